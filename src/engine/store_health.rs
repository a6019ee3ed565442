//! Whether the store stores, as far as the outcomes of jobs tell.
//!
//! What has failed is mended by a write that worked, and by nothing else: a disk that is full can
//! be read, and so can a file that another program has locked. As long as a room waits since its
//! own write has failed, a smaller write that worked proves nothing either.

use std::time::Duration;

use log::{info, warn};

use super::job::Outcome;
use crate::accounts::AuthError;
use crate::base::time::Timestamp;
use crate::rooms::{SaveError, StoreUnavailable};
use crate::store::StoreError;

/// How often to ask a store that failed whether it takes a write.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// How often to look at a store of which no failure is known.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// How long a store that did not answer a reader is not read for what can wait.
const READING_PAUSE: Duration = Duration::from_secs(30);
/// How often the log repeats what is wrong.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// The state of the store.
#[derive(Debug)]
pub(super) struct StoreHealth {
    /// Nothing has failed since the last write that worked.
    is_ok: bool,
    /// A write has shown that there can be one.
    is_proven: bool,
    /// What can wait is not read before, since reading has failed.
    read_after: Option<Timestamp>,
    /// Rooms that wait since their last write has failed.
    failing_rooms: usize,
    /// When to ask the next question.
    ask_at: Timestamp,
    is_asking: bool,
    /// When the log last said what is wrong.
    warned_at: Option<Timestamp>,
}

/// What the store may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Answered without a write.
    IsSomethingWrong,
    /// Answered by a write.
    TakesWrites,
}

impl StoreHealth {
    /// `is_ok`: the store is known to take writes; otherwise it counts as away until it has.
    pub(super) fn new(is_ok: bool) -> Self {
        Self {
            is_ok,
            is_proven: false,
            read_after: None,
            failing_rooms: 0,
            ask_at: Timestamp(0),
            is_asking: false,
            warned_at: None,
        }
    }

    /// Whether the store stores what it is given.
    pub(super) fn is_ok(&self) -> bool {
        self.is_ok && self.failing_rooms == 0
    }

    /// The same in a word, for people and programs.
    pub(super) fn as_str(&self) -> &'static str {
        if self.is_ok() { "ok" } else { "degraded" }
    }

    /// Whether what can wait may be read: it works with a full disk, too.
    pub(super) fn is_readable(&self, now: Timestamp) -> bool {
        self.read_after.is_none_or(|at| at <= now)
    }

    /// Learns from `outcome`; whether that was a write that worked.
    pub(super) fn note(&mut self, outcome: &Outcome, now: Timestamp) -> bool {
        match outcome {
            Outcome::FoundRoom(Err(error))
            | Outcome::ReadDocument(Err(error))
            | Outcome::CheckedAccounts(Err(error))
            | Outcome::Authenticated(Err(AuthError::Store(error))) => {
                self.read_after = Some(now + READING_PAUSE);
                self.note_error(error, now);
            }
            Outcome::DeletedRoom(Err(error)) => self.note_error(error, now),
            Outcome::Probed(Err(error)) | Outcome::InspectedStore(Err(error)) => {
                self.is_asking = false;
                self.note_error(error, now);
            }
            Outcome::SavedRooms(results) => {
                let has_written = results.iter().any(Result::is_ok);
                if has_written {
                    self.wrote(now);
                }
                for error in results.iter().filter_map(|result| result.as_ref().err()) {
                    self.note_error(error, now);
                }
                return has_written;
            }
            Outcome::Probed(Ok(())) => {
                self.is_asking = false;
                self.wrote(now);
                return true;
            }
            Outcome::InspectedStore(Ok(())) => {
                self.is_asking = false;
                self.ask_at = self.ask_at.max(now + LOOK_INTERVAL);
            }
            Outcome::FoundRoom(Ok(_))
            | Outcome::ReadDocument(Ok(_))
            | Outcome::DocumentNeeds { .. }
            | Outcome::CheckedAccounts(Ok(_)) => self.read_after = None,
            // To delete what is not there works with a full disk as well.
            Outcome::DeletedRoom(Ok(()))
            // These may end without having asked the store.
            | Outcome::Account(_)
            | Outcome::Authenticated(_)
            | Outcome::InspectedProcess(_) => {}
        }
        false
    }

    /// How many rooms wait since their last write has failed.
    pub(super) fn note_failing(&mut self, rooms: usize) {
        self.failing_rooms = rooms;
        if self.is_ok() && self.warned_at.take().is_some() {
            info!("the store answers again");
        }
    }

    /// The store did not answer, for the reason `why`.
    pub(super) fn failed(&mut self, why: &str, now: Timestamp) {
        if self.note_failure(now) {
            warn!("the store does not answer: {why}");
        }
    }

    /// The store did not answer in time; `is_question`: one of ours.
    pub(super) fn timed_out(&mut self, is_question: bool, now: Timestamp) {
        self.is_asking &= !is_question;
        self.read_after = Some(now + READING_PAUSE);
        self.failed("it did not answer in time", now);
    }

    /// What is to be asked now.
    pub(super) fn due_question(&self, now: Timestamp) -> Option<Question> {
        if self.poll_timeout()? > now {
            return None;
        }
        let is_fine = self.is_ok() && self.is_proven;
        Some(if is_fine { Question::IsSomethingWrong } else { Question::TakesWrites })
    }

    /// The store is being asked.
    pub(super) fn question_started(&mut self) {
        self.is_asking = true;
    }

    /// The store could not be asked: it is tried again.
    pub(super) fn question_refused(&mut self, now: Timestamp) {
        self.is_asking = false;
        self.ask_at = now + PROBE_INTERVAL;
    }

    /// When the store is to be asked next.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        (!self.is_asking).then_some(self.ask_at)
    }

    fn note_error(&mut self, error: &StoreError, now: Timestamp) {
        match error {
            StoreError::Unavailable(why) => self.failed(why, now),
            error if is_of_store(error) && self.note_failure(now) => warn!("the store: {error}"),
            _ => {}
        }
    }

    /// Something has failed; whether the log is to say so.
    fn note_failure(&mut self, now: Timestamp) -> bool {
        self.is_ok = false;
        self.ask_at = now + PROBE_INTERVAL;
        let is_news = self.warned_at.is_none_or(|at| now.since(at) >= WARNING_INTERVAL);
        if is_news {
            self.warned_at = Some(now);
        }
        is_news
    }

    /// The store has taken a write.
    fn wrote(&mut self, now: Timestamp) {
        (self.is_ok, self.is_proven) = (true, true);
        self.read_after = None;
        self.ask_at = now + LOOK_INTERVAL;
    }
}

/// Whether an error says that the store is not as it should be, whatever it was asked.
fn is_of_store(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable(_)
            | StoreError::Damaged(_)
            | StoreError::Unsupported(_)
            | StoreError::TooNew { .. }
    )
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
    match error {
        StoreError::Conflict => SaveError::Conflict,
        error if is_of_store(error) => SaveError::Unavailable,
        error => {
            warn!("cannot store a room: {error}");
            SaveError::Refused
        }
    }
}
