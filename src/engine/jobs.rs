//! Work for the pool: what there is, in which order it is started, and for how long somebody
//! waits for it.
//!
//! Knows no thread: jobs are asked for, and outcomes told, by the event loop.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use crate::config::HostAuth;
use crate::ids::{JobId, RoomKey};
use crate::rooms::{Document, Snapshot, StoredRoom, TokenHash};
use crate::store::StoreError;
use crate::time::{Timestamp, UnixMillis};

/// How long a client waits for a job before it is told that the store does not answer.
pub(super) const JOB_TIMEOUT: Duration = Duration::from_secs(5);
/// Jobs that may wait to be started; more are refused.
pub(super) const QUEUE_MAX: usize = 1024;

/// Something that may block.
#[derive(Debug)]
pub enum Job {
    /// Look for a room: the code as it is, then upper-cased.
    FindRoom {
        /// As asked for.
        room_code: String,
    },
    /// Store a room.
    SaveRoom(Box<RoomToSave>),
    /// Does the store answer?
    Probe,
}

/// What a job ends with; the names are those of [`Job`].
#[derive(Debug)]
pub enum Outcome {
    /// The room, if there is one.
    FoundRoom(Result<Option<StoredRoom>, StoreError>),
    /// Whether it is durable now.
    SavedRoom(Result<(), StoreError>),
    /// Whether the store answers.
    Probed(Result<(), StoreError>),
}

/// A room on its way to the store, with bytes shared with the room itself.
#[derive(Clone, Debug)]
pub struct RoomToSave {
    /// The room's code.
    pub room_code: String,
    /// Its permanent id.
    pub room_id: String,
    /// Its host, empty while nobody has claimed it.
    pub host_id: String,
    /// How a host proves itself.
    pub host_auth: HostAuth,
    /// Hash of the creator's token.
    pub host_token: Option<TokenHash>,
    /// The frame that holds the document.
    pub document: Option<Document>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

impl RoomToSave {
    pub(super) fn of(snapshot: &Snapshot<'_>, now: UnixMillis) -> Self {
        Self {
            room_code: snapshot.room_code.to_owned(),
            room_id: snapshot.room_id.to_owned(),
            host_id: snapshot.host_id.to_owned(),
            host_auth: snapshot.host_auth,
            host_token: snapshot.host_token,
            document: snapshot.document.cloned(),
            created_at: snapshot.created_at,
            updated_at: now,
        }
    }
}

/// For whom a job works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// [`Job::FindRoom`] for the rooms.
    Lookup(String),
    /// [`Job::SaveRoom`] for the rooms. Nobody gives up on it: a second save of the same room
    /// beside it might be overtaken by it.
    Save(RoomKey, u64),
    /// [`Job::Probe`].
    Probe,
}

impl Purpose {
    fn times_out(&self) -> bool {
        !matches!(self, Self::Save(..))
    }
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

/// Jobs that wait or run.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    last: u64,
    ready: VecDeque<(JobId, Job)>,
    waiting_for: HashMap<JobId, (Purpose, Timestamp)>,
    /// In order of time, for those that time out.
    deadlines: BTreeSet<(Timestamp, JobId)>,
    /// Outcomes that came after everybody had given up.
    pub(super) stale: u64,
}

impl Jobs {
    /// Queues a job.
    pub(super) fn start(
        &mut self,
        job: Job,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<JobId, QueueFull> {
        // Saves are bounded by the number of rooms: one each.
        if purpose.times_out() && self.ready.len() >= QUEUE_MAX {
            return Err(QueueFull);
        }
        self.last += 1;
        let id = JobId(self.last);
        let deadline = now + JOB_TIMEOUT;
        if purpose.times_out() {
            self.deadlines.insert((deadline, id));
        }
        self.waiting_for.insert(id, (purpose, deadline));
        self.ready.push_back((id, job));
        Ok(id)
    }

    /// The next job to run.
    pub(super) fn next(&mut self) -> Option<(JobId, Job)> {
        // What nobody waits for any more need not be started.
        while let Some((id, job)) = self.ready.pop_front() {
            if self.waiting_for.contains_key(&id) {
                return Some((id, job));
            }
        }
        None
    }

    /// Puts back a job that could not be started.
    pub(super) fn put_back(&mut self, id: JobId, job: Job) {
        self.ready.push_front((id, job));
    }

    /// A job has ended. `None`: nobody waits for it any more.
    pub(super) fn done(&mut self, id: JobId) -> Option<Purpose> {
        let Some((purpose, deadline)) = self.waiting_for.remove(&id) else {
            self.stale += 1;
            return None;
        };
        self.deadlines.remove(&(deadline, id));
        Some(purpose)
    }

    /// Takes a job that somebody has waited for too long.
    pub(super) fn expired(&mut self, now: Timestamp) -> Option<Purpose> {
        let &(deadline, id) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.deadlines.remove(&(deadline, id));
        self.waiting_for.remove(&id).map(|(purpose, _)| purpose)
    }

    /// When the next job times out.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Whether no job waits or runs.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting_for.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_nobody_waits_for_is_not_started_and_its_outcome_is_dropped() {
        let mut jobs = Jobs::default();
        let at = Timestamp::from_secs(1);
        let first = jobs.start(Job::Probe, Purpose::Probe, at).unwrap();
        assert_eq!(jobs.poll_timeout(), Some(at + JOB_TIMEOUT));
        assert_eq!(jobs.expired(Timestamp::from_millis(5_999)), None);
        assert_eq!(jobs.expired(Timestamp::from_secs(6)), Some(Purpose::Probe));
        assert!(jobs.next().is_none());
        assert_eq!(jobs.done(first), None);
        assert_eq!(jobs.stale, 1);
        assert!(jobs.is_idle());
    }

    #[test]
    fn the_queue_is_bounded_but_saves_are_always_taken() {
        let mut jobs = Jobs::default();
        for _ in 0..QUEUE_MAX {
            jobs.start(Job::Probe, Purpose::Probe, Timestamp(0)).unwrap();
        }
        assert_eq!(jobs.start(Job::Probe, Purpose::Probe, Timestamp(0)), Err(QueueFull));
        let key = RoomKey { index: 0, generation: 1 };
        assert!(jobs.start(Job::Probe, Purpose::Save(key, 1), Timestamp(0)).is_ok());
    }

    #[test]
    fn jobs_start_in_order_and_a_refused_one_comes_first_again() {
        let mut jobs = Jobs::default();
        let first = jobs.start(Job::Probe, Purpose::Probe, Timestamp(0)).unwrap();
        let second = jobs.start(Job::Probe, Purpose::Probe, Timestamp(0)).unwrap();
        let (id, job) = jobs.next().unwrap();
        assert_eq!(id, first);
        jobs.put_back(id, job);
        assert_eq!(jobs.next().unwrap().0, first);
        assert_eq!(jobs.next().unwrap().0, second);
        assert!(jobs.next().is_none());
        assert_eq!(jobs.done(second), Some(Purpose::Probe));
    }
}
