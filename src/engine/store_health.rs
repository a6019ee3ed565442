//! Whether the store answers, as far as the outcomes of jobs tell.

use std::time::Duration;

use log::{info, warn};

use super::job::Outcome;
use crate::accounts::AuthError;
use crate::base::time::Timestamp;
use crate::rooms::{SaveError, StoreUnavailable};
use crate::store::StoreError;

/// How often to ask a store that did not answer.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// How often the log repeats that the store does not answer.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// The state of the store.
#[derive(Debug)]
pub(super) struct StoreHealth {
    /// The store answered the last time.
    is_ok: bool,
    /// When to ask the store whether it answers.
    probe_at: Option<Timestamp>,
    /// When the log last said that it does not.
    warned_at: Option<Timestamp>,
}

impl StoreHealth {
    /// `is_ok`: the store is known to answer; otherwise it counts as away until it has.
    pub(super) fn new(is_ok: bool) -> Self {
        Self { is_ok, probe_at: Some(Timestamp(0)), warned_at: None }
    }

    /// Whether the store answered the last time.
    pub(super) fn is_ok(&self) -> bool {
        self.is_ok
    }

    /// The same in a word, for people and programs.
    pub(super) fn as_str(&self) -> &'static str {
        if self.is_ok { "ok" } else { "degraded" }
    }

    /// Learns from `outcome`.
    pub(super) fn note(&mut self, outcome: &Outcome, now: Timestamp) {
        match outcome {
            Outcome::FoundRoom(Err(error))
            | Outcome::ReadDocument(Err(error))
            | Outcome::SavedRoom(Err(error))
            | Outcome::DeletedRoom(Err(error))
            | Outcome::CheckedAccounts(Err(error))
            | Outcome::Authenticated(Err(AuthError::Store(error)))
            | Outcome::Probed(Err(error)) => {
                if error.is_passing() {
                    self.failed(&error.to_string(), now);
                } else if matches!(outcome, Outcome::Probed(_)) {
                    warn!("the store: {error}");
                    self.answered();
                }
            }
            Outcome::FoundRoom(Ok(_))
            | Outcome::ReadDocument(Ok(_))
            | Outcome::SavedRoom(Ok(()))
            | Outcome::DeletedRoom(Ok(()))
            | Outcome::CheckedAccounts(Ok(_))
            | Outcome::Probed(Ok(())) => self.answered(),
            // These may end without having asked the store.
            Outcome::Account(_) | Outcome::Authenticated(_) | Outcome::InspectedProcess(_) => {}
        }
    }

    /// The store did not answer, for the reason `why`.
    pub(super) fn failed(&mut self, why: &str, now: Timestamp) {
        if self.warned_at.is_none_or(|at| now.since(at) >= WARNING_INTERVAL) {
            warn!("the store does not answer: {why}");
            self.warned_at = Some(now);
        }
        self.is_ok = false;
        self.probe_at = Some(now + PROBE_INTERVAL);
    }

    /// Whether the store is to be asked now whether it answers.
    pub(super) fn is_probe_due(&self, now: Timestamp) -> bool {
        self.probe_at.is_some_and(|at| at <= now)
    }

    /// The store is being asked.
    pub(super) fn probe_started(&mut self) {
        self.probe_at = None;
    }

    /// The store could not be asked: it is tried again.
    pub(super) fn probe_refused(&mut self, now: Timestamp) {
        self.probe_at = Some(now + PROBE_INTERVAL);
    }

    /// When the store is to be asked next.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.probe_at
    }

    fn answered(&mut self) {
        if self.warned_at.take().is_some() {
            info!("the store answers again");
        }
        self.is_ok = true;
        self.probe_at = None;
    }
}

/// What the rooms are told when a lookup has failed.
pub(super) fn lookup_error(error: &StoreError) -> StoreUnavailable {
    if !error.is_passing() {
        warn!("cannot look up a room: {error}");
    }
    StoreUnavailable
}

/// What the rooms are told when a write has failed.
pub(super) fn save_error(error: &StoreError) -> SaveError {
    if matches!(error, StoreError::Conflict) {
        return SaveError::Conflict;
    }
    if !error.is_passing() {
        warn!("cannot store a room: {error}");
    }
    SaveError::Unavailable
}
