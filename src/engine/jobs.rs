//! Work for the pool: what there is, in which order it is started, and for how long somebody
//! waits for it.
//!
//! Knows no thread: jobs are asked for, and outcomes told, by the event loop.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use crate::accounts::password::HASH_MEMORY_BYTES;
use crate::accounts::{AccountReply, AccountRequest, AuthError, Identity};
use crate::base::ids::{ConnId, JobId, RoomKey};
use crate::base::memory::MemoryBudget;
use crate::base::metrics::{Histogram, ProcessFacts};
use crate::base::secret::Secret;
use crate::base::time::{Timestamp, UnixMillis};
use crate::config::HostAuth;
use crate::rooms::{Document, Snapshot, StoredRoom, TokenHash};
use crate::store::StoreError;

/// How long a client waits for a job before it is told that the store does not answer.
pub(super) const JOB_TIMEOUT: Duration = Duration::from_secs(5);
/// Jobs that may wait to be started; more are refused.
pub(super) const QUEUE_MAX: usize = 1024;
/// Bounds of what is counted of their times.
const DURATIONS: [Duration; 11] = [
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    JOB_TIMEOUT,
];
/// Memory of one argon2id hash with our parameters.
pub(super) const HASH_BYTES: usize = HASH_MEMORY_BYTES;

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
    /// Delete what is stored of a room.
    DeleteRoom {
        /// The room's code.
        room_code: String,
        /// Its permanent id; a room with another one is left alone.
        room_id: String,
    },
    /// An account route.
    Account {
        /// The route with its input.
        request: Box<AccountRequest>,
        /// When it came.
        now: UnixMillis,
    },
    /// Whose token is this?
    Authenticate {
        /// The token, if one was sent.
        token: Option<Secret>,
        /// When it came.
        now: UnixMillis,
    },
    /// Which of these users' tokens have ended?
    CheckAccounts(Vec<Identity>),
    /// Does the store answer? If so, it is made ready, with the administrator of the settings.
    Probe {
        /// When that administrator was made, if it is now.
        now: UnixMillis,
    },
    /// What does the operating system say of this process?
    InspectProcess,
}

/// What a job ends with; the names are those of [`Job`].
#[derive(Debug)]
pub enum Outcome {
    /// The room, if there is one.
    FoundRoom(Result<Option<StoredRoom>, StoreError>),
    /// Whether it is durable now.
    SavedRoom(Result<(), StoreError>),
    /// What there is to say, if the operating system says it.
    InspectedProcess(Option<ProcessFacts>),
    /// Whether it is deleted now.
    DeletedRoom(Result<(), StoreError>),
    /// What to answer.
    Account(AccountReply),
    /// Who it is.
    Authenticated(Result<Identity, AuthError>),
    /// Those whose tokens have ended.
    CheckedAccounts(Result<Vec<Identity>, StoreError>),
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

impl Job {
    /// Bytes of memory behind it that nobody else counts: a document counts for itself.
    fn held_bytes(&self) -> usize {
        match self {
            Self::FindRoom { room_code } => room_code.capacity(),
            Self::SaveRoom(room) => {
                let RoomToSave { room_code, room_id, host_id, .. } = &**room;
                size_of::<RoomToSave>() + room_code.len() + room_id.len() + host_id.len()
            }
            Self::DeleteRoom { room_code, room_id } => room_code.capacity() + room_id.capacity(),
            Self::Account { request, .. } => request.held_bytes(),
            Self::Authenticate { token, .. } => token.as_ref().map_or(0, |t| t.expose().len()),
            Self::CheckAccounts(identities) => identities.capacity() * size_of::<Identity>(),
            Self::Probe { .. } | Self::InspectProcess => 0,
        }
    }
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
    /// [`Job::DeleteRoom`] for the rooms. Nobody gives up on it, as it would else delete a room
    /// that has come back meanwhile.
    Delete(RoomKey),
    /// [`Job::Account`] for a request.
    Request(ConnId),
    /// [`Job::Authenticate`] for a request.
    Authentication(ConnId),
    /// [`Job::CheckAccounts`].
    Revocations,
    /// [`Job::Probe`].
    Probe,
    /// [`Job::InspectProcess`] for a request.
    Metrics(ConnId),
}

/// What jobs are called where their times are counted, in the order of [`Purpose::kind`].
const KINDS: [&str; 8] = [
    "room_lookup",
    "room_save",
    "room_delete",
    "account",
    "authentication",
    "revocations",
    "probe",
    "metrics",
];

impl Purpose {
    /// An index of [`KINDS`].
    fn kind(&self) -> usize {
        match self {
            Self::Lookup(_) => 0,
            Self::Save(..) => 1,
            Self::Delete(_) => 2,
            Self::Request(_) => 3,
            Self::Authentication(_) => 4,
            Self::Revocations => 5,
            Self::Probe => 6,
            Self::Metrics(_) => 7,
        }
    }

    fn times_out(&self) -> bool {
        !matches!(self, Self::Save(..) | Self::Delete(_))
    }

    /// A client brings what is kept for the job, as much as it likes.
    fn is_request(&self) -> bool {
        matches!(self, Self::Request(_) | Self::Authentication(_))
    }
}

/// The queue is full, or the memory budget is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

/// Jobs that wait or run.
#[derive(Debug)]
pub(super) struct Jobs {
    /// What the jobs that wait to be started count against.
    budget: MemoryBudget,
    last: u64,
    /// Short work, in order.
    ready: VecDeque<(JobId, Job)>,
    /// Work that hashes a password: 19 MiB and a tenth of a second each. It never takes all
    /// workers, so that rooms don't wait for logins.
    hashing: VecDeque<(JobId, Job)>,
    hashes_running: Vec<JobId>,
    /// With the time since when.
    waiting_for: HashMap<JobId, (Purpose, Timestamp)>,
    /// In order of time, for those that time out.
    deadlines: BTreeSet<(Timestamp, JobId)>,
    /// Outcomes that came after everybody had given up.
    pub(super) stale: u64,
    /// How long jobs took, in the order of [`KINDS`]. One that was given up counts as
    /// [`JOB_TIMEOUT`].
    durations: [Histogram; KINDS.len()],
}

impl Jobs {
    /// None.
    pub(super) fn new(budget: MemoryBudget) -> Self {
        Self {
            budget,
            last: 0,
            ready: VecDeque::new(),
            hashing: VecDeque::new(),
            hashes_running: Vec::new(),
            waiting_for: HashMap::new(),
            deadlines: BTreeSet::new(),
            stale: 0,
            durations: std::array::from_fn(|_| Histogram::new(&DURATIONS)),
        }
    }

    /// Queues a job.
    pub(super) fn start(
        &mut self,
        job: Job,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<JobId, QueueFull> {
        // Saves and deletions are bounded by the number of rooms: one each.
        if purpose.times_out() && self.ready.len() + self.hashing.len() >= QUEUE_MAX {
            return Err(QueueFull);
        }
        let bytes = job.held_bytes();
        if purpose.is_request() && self.budget.used() + bytes > self.budget.limit() {
            return Err(QueueFull);
        }
        self.budget.add(bytes);
        self.last += 1;
        let id = JobId(self.last);
        if purpose.times_out() {
            self.deadlines.insert((now + JOB_TIMEOUT, id));
        }
        self.waiting_for.insert(id, (purpose, now));
        if needs_hash(&job) {
            self.hashing.push_back((id, job));
        } else {
            self.ready.push_back((id, job));
        }
        Ok(id)
    }

    /// The next job to run. At most `hashes_max` password hashes run at once.
    pub(super) fn next(&mut self, hashes_max: usize) -> Option<(JobId, Job)> {
        loop {
            let (id, job) = match self.ready.pop_front() {
                Some(next) => next,
                None if self.hashes_running.len() < hashes_max => self.hashing.pop_front()?,
                None => return None,
            };
            self.budget.sub(job.held_bytes());
            // What nobody waits for any more need not be started.
            if self.waiting_for.contains_key(&id) {
                if needs_hash(&job) {
                    self.hashes_running.push(id);
                }
                return Some((id, job));
            }
        }
    }

    /// Puts back a job that could not be started.
    pub(super) fn put_back(&mut self, id: JobId, job: Job) {
        self.budget.add(job.held_bytes());
        if needs_hash(&job) {
            self.hashes_running.retain(|running| *running != id);
            self.hashing.push_front((id, job));
        } else {
            self.ready.push_front((id, job));
        }
    }

    /// How many wait to be started.
    pub(super) fn waiting(&self) -> usize {
        self.ready.len() + self.hashing.len()
    }

    /// How many were started and have not ended.
    pub(super) fn running(&self) -> usize {
        self.waiting_for.len().saturating_sub(self.waiting())
    }

    /// Bytes that running hashes take.
    pub(super) fn hash_bytes(&self) -> usize {
        self.hashes_running.len() * HASH_BYTES
    }

    /// A job has ended. `None`: nobody waits for it any more.
    pub(super) fn done(&mut self, id: JobId, now: Timestamp) -> Option<Purpose> {
        self.hashes_running.retain(|running| *running != id);
        let Some((purpose, started)) = self.waiting_for.remove(&id) else {
            self.stale += 1;
            return None;
        };
        self.deadlines.remove(&(started + JOB_TIMEOUT, id));
        self.durations[purpose.kind()].observe(now.since(started));
        Some(purpose)
    }

    /// Takes a job that somebody has waited for too long.
    pub(super) fn expired(&mut self, now: Timestamp) -> Option<Purpose> {
        let &(deadline, id) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.deadlines.remove(&(deadline, id));
        let (purpose, _) = self.waiting_for.remove(&id)?;
        self.durations[purpose.kind()].observe(JOB_TIMEOUT);
        Some(purpose)
    }

    /// How long jobs took, by kind.
    pub(super) fn durations(&self) -> Vec<(&'static str, Histogram)> {
        KINDS.into_iter().zip(self.durations.iter().cloned()).collect()
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

fn needs_hash(job: &Job) -> bool {
    matches!(job, Job::Account { request, .. } if request.needs_hash())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Job = Job::Probe { now: UnixMillis(0) };

    fn login() -> Job {
        let request = Box::new(AccountRequest::Login { body: Vec::new() });
        Job::Account { request, now: UnixMillis(0) }
    }

    #[test]
    fn hashes_never_take_all_workers_and_short_work_overtakes_them() {
        let conn = ConnId { index: 0, generation: 1 };
        let mut jobs = Jobs::new(MemoryBudget::new(1 << 20));
        let mut start = |job| jobs.start(job, Purpose::Request(conn), Timestamp(0)).expect("room");
        let (first, second, probe) = (start(login()), start(login()), start(PROBE));
        assert_eq!(jobs.next(1).expect("a job").0, probe);
        let (id, job) = jobs.next(1).expect("a job");
        assert_eq!((id, jobs.hash_bytes()), (first, HASH_BYTES));
        assert!(jobs.next(1).is_none(), "one hash at a time");
        jobs.put_back(id, job);
        assert_eq!(jobs.hash_bytes(), 0);
        assert_eq!(jobs.next(1).expect("a job").0, first);
        jobs.done(first, Timestamp(0));
        assert_eq!(jobs.next(1).expect("a job").0, second);
    }

    #[test]
    fn a_job_nobody_waits_for_is_not_started_and_its_outcome_is_dropped() {
        let mut jobs = Jobs::new(MemoryBudget::new(1 << 20));
        let at = Timestamp::from_secs(1);
        let first = jobs.start(PROBE, Purpose::Probe, at).unwrap();
        assert_eq!(jobs.poll_timeout(), Some(at + JOB_TIMEOUT));
        assert_eq!(jobs.expired(Timestamp::from_millis(5_999)), None);
        assert_eq!(jobs.expired(Timestamp::from_secs(6)), Some(Purpose::Probe));
        assert!(jobs.next(1).is_none());
        assert_eq!(jobs.done(first, at), None);
        assert_eq!(jobs.stale, 1);
        assert!(jobs.is_idle());
    }

    #[test]
    fn the_queue_is_bounded_but_saves_are_always_taken() {
        let mut jobs = Jobs::new(MemoryBudget::new(1 << 20));
        for _ in 0..QUEUE_MAX {
            jobs.start(PROBE, Purpose::Probe, Timestamp(0)).unwrap();
        }
        assert_eq!(jobs.start(PROBE, Purpose::Probe, Timestamp(0)), Err(QueueFull));
        let key = RoomKey { index: 0, generation: 1 };
        assert!(jobs.start(PROBE, Purpose::Save(key, 1), Timestamp(0)).is_ok());
    }

    #[test]
    fn what_waits_counts_until_it_is_started_or_given_up() {
        let conn = ConnId { index: 0, generation: 1 };
        let budget = MemoryBudget::new(100_000);
        let mut jobs = Jobs::new(budget.clone());
        let mut start = |bytes| {
            let request = Box::new(AccountRequest::Login { body: vec![b' '; bytes] });
            let job = Job::Account { request, now: UnixMillis(0) };
            jobs.start(job, Purpose::Request(conn), Timestamp(0))
        };
        assert!(start(60_000).is_ok());
        assert_eq!(start(60_000), Err(QueueFull), "no memory for it");
        assert!(start(40_000).is_ok());
        assert_eq!(budget.used(), 100_000);
        let (id, job) = jobs.next(1).unwrap();
        assert_eq!(budget.used(), 40_000);
        jobs.put_back(id, job);
        assert_eq!(budget.used(), 100_000);
        while jobs.expired(Timestamp(0) + JOB_TIMEOUT).is_some() {}
        assert!(jobs.next(1).is_none());
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn jobs_start_in_order_and_a_refused_one_comes_first_again() {
        let mut jobs = Jobs::new(MemoryBudget::new(1 << 20));
        let first = jobs.start(PROBE, Purpose::Probe, Timestamp(0)).unwrap();
        let second = jobs.start(PROBE, Purpose::Probe, Timestamp(0)).unwrap();
        let (id, job) = jobs.next(1).unwrap();
        assert_eq!(id, first);
        jobs.put_back(id, job);
        assert_eq!(jobs.next(1).unwrap().0, first);
        assert_eq!(jobs.next(1).unwrap().0, second);
        assert!(jobs.next(1).is_none());
        assert_eq!(jobs.done(second, Timestamp(0)), Some(Purpose::Probe));
    }
}
