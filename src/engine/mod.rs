//! The whole server but its input and output: rooms, accounts, routes and jobs behind one
//! [`Dispatch`].
//!
//! The engine is driven by `net` (or by a simulation): every method takes the time as an
//! argument, randomness comes from a function it is given, and what may block leaves as a
//! [`Job`] and comes back as an [`Outcome`]. It touches no socket, no thread and no clock.
//!
//! It has two halves, so that the borrow checker keeps the order of things: [`Rooms`] decides,
//! and the `Desk` — everything else — carries out what they decided while they are borrowed.

mod accounts;
mod actions;
mod admin;
mod clients;
mod desk;
mod effects;
mod gauges;
mod jobs;
mod reload;
mod requests;
mod shutdown;
mod whoami;

pub use jobs::{Job, Outcome, RoomToSave};

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use crate::base::ids::{ConnId, JobId};
use crate::base::memory::MemoryBudget;
use crate::base::time::{Now, Timestamp};
use crate::config::Config;
use crate::http::Request;
use crate::rooms::{Rooms, RoomsConfig, StoreUnavailable};
use crate::session::{Dispatch, Sessions};
use crate::store::StoreError;
use crate::ws::CloseReason;
use desk::{Desk, Waiting};
use effects::Effects;
use jobs::Purpose;

/// Fills a slice with bytes that nobody can guess.
pub type Entropy = Box<dyn FnMut(&mut [u8])>;

/// The application: see the [module](self).
#[derive(Debug)]
pub struct Engine {
    rooms: Rooms,
    desk: Desk,
}

impl Engine {
    /// A server with nobody in it. Randomness for codes, ids and tokens comes from `entropy`,
    /// which must be unpredictable outside of tests. `store_ok` says that the store is known to
    /// answer; otherwise it counts as away until it has.
    pub fn new(
        config: Arc<Config>,
        budget: MemoryBudget,
        entropy: Entropy,
        store_ok: bool,
    ) -> Self {
        let rooms = Rooms::new(RoomsConfig::from(config.as_ref()));
        Self { rooms, desk: Desk::new(config, budget, entropy, store_ok) }
    }

    /// Runs `act` on the rooms with a place for their effects, then does what those left over.
    fn with_rooms<T>(
        &mut self,
        sessions: &mut Sessions,
        now: Now,
        act: impl FnOnce(&mut Rooms, &mut Effects<'_>) -> T,
    ) -> T {
        let mut effects = Effects { desk: &mut self.desk, sessions, now };
        let result = act(&mut self.rooms, &mut effects);
        while let Some(code) = effects.desk.lookups_refused.pop() {
            self.rooms.lookup_done(&code, Err(StoreUnavailable), now, &mut effects);
        }
        while let Some(conn) = self.desk.code_taken.pop() {
            self.create_again(sessions, conn, now);
        }
        result
    }
}

impl Dispatch for Engine {
    type Job = Job;
    type Outcome = Outcome;
    type Event = Infallible;

    fn request(&mut self, sessions: &mut Sessions, conn: ConnId, request: Request, now: Now) {
        self.answer(sessions, conn, &request, now);
    }

    fn message(&mut self, sessions: &mut Sessions, conn: ConnId, text: &str, now: Now) {
        self.act(sessions, conn, text, now);
    }

    fn overdue(&mut self, sessions: &mut Sessions, conn: ConnId, now: Now) {
        sessions.close(conn, CloseReason::Policy("no join"), now);
    }

    fn closed(&mut self, sessions: &mut Sessions, conn: ConnId, now: Now) {
        self.desk.forget(conn);
        self.with_rooms(sessions, now, |rooms, effects| rooms.disconnect(conn, now, effects));
    }

    fn job_done(&mut self, sessions: &mut Sessions, job: JobId, outcome: Outcome, now: Now) {
        let Some(purpose) = self.desk.jobs.done(job, now.at) else { return };
        self.desk.note_store(&outcome, now);
        match (purpose, outcome) {
            (Purpose::Lookup(code), Outcome::FoundRoom(found)) => {
                let found = found.map_err(|error| Desk::unavailable("look up a room", &error));
                self.with_rooms(sessions, now, |rooms, effects| {
                    rooms.lookup_done(
                        &code,
                        found.as_ref().map(Option::as_ref).map_err(|e| *e),
                        now,
                        effects,
                    );
                });
            }
            (Purpose::Save(key, revision), Outcome::SavedRoom(result)) => {
                let result = result.map_err(|error| Desk::save_error(&error));
                self.with_rooms(sessions, now, |rooms, effects| {
                    rooms.saved(key, revision, result, now, effects);
                });
            }
            (Purpose::Delete(room), Outcome::DeletedRoom(result)) => {
                self.room_deleted(sessions, room, &result, now);
            }
            (Purpose::Request(conn), Outcome::Account(reply)) => {
                self.account_answered(sessions, conn, reply, now);
            }
            (Purpose::Authentication(conn), Outcome::Authenticated(result)) => {
                self.authenticated(sessions, conn, result, now);
            }
            (Purpose::Revocations, Outcome::CheckedAccounts(ended)) => {
                self.desk.revocations_checked();
                self.revoke(sessions, &ended.unwrap_or_default(), now);
            }
            (Purpose::Metrics(conn), Outcome::InspectedProcess(facts)) => {
                self.process_inspected(sessions, conn, facts, now);
            }
            (Purpose::Probe, Outcome::Probed(_)) => {}
            (purpose, outcome) => {
                debug_assert!(false, "{purpose:?} ended with {outcome:?}");
            }
        }
    }

    fn event(&mut self, _: &mut Sessions, event: Infallible, _: Now) {
        match event {}
    }

    fn turned(&mut self, took: Duration) {
        self.desk.gauges.turned(took);
    }

    fn next_job(&mut self, _now: Now) -> Option<(JobId, Job)> {
        let hashes_max = self.desk.hashes_max();
        self.desk.jobs.next(hashes_max)
    }

    fn job_refused(&mut self, id: JobId, job: Job) {
        self.desk.jobs.put_back(id, job);
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        [self.rooms.poll_timeout(), self.desk.poll_timeout()].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, sessions: &mut Sessions, now: Now) {
        self.with_rooms(sessions, now, |rooms, effects| rooms.handle_timeout(now, effects));
        while let Some(purpose) = self.desk.jobs.expired(now.at) {
            self.job_expired(sessions, purpose, now);
        }
        self.give_up_closings(sessions, now);
        self.desk.probe_store(now);
        self.desk.check_revocations(now);
        self.close_next(sessions, now);
    }

    fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(self.desk.config.limits.shutdown_grace_seconds)
    }

    fn shut_down(&mut self, sessions: &mut Sessions, now: Now) {
        self.begin_shutdown(sessions, now);
    }

    fn is_finished(&self) -> bool {
        self.rooms.unsaved() == 0 && self.desk.jobs.is_idle()
    }
}

impl Engine {
    /// Somebody has waited for a job as long as anybody should.
    fn job_expired(&mut self, sessions: &mut Sessions, purpose: Purpose, now: Now) {
        if let Purpose::Metrics(conn) = purpose {
            // No worker was free to look. The rest can be told.
            self.process_inspected(sessions, conn, None, now);
            return;
        }
        self.desk.store_failed("it did not answer in time", now);
        match purpose {
            Purpose::Lookup(code) => self.with_rooms(sessions, now, |rooms, effects| {
                rooms.lookup_done(&code, Err(StoreUnavailable), now, effects);
            }),
            Purpose::Request(conn) | Purpose::Authentication(conn) => {
                if let Some(Waiting::Account(asked)) = self.desk.waiting.remove(&conn) {
                    self.desk.logins.not_failed(asked);
                }
                Desk::store_unavailable(sessions, conn, now);
            }
            Purpose::Revocations => self.desk.revocations_checked(),
            Purpose::Save(..) | Purpose::Delete(_) | Purpose::Probe | Purpose::Metrics(_) => {}
        }
    }
}

impl StoreError {
    /// Whether trying again later may help.
    fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
