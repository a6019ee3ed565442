//! Jobs that wait or run: in which order they are started, how long each may take, and what goes on
//! when one has ended.
//!
//! Knows no thread: jobs are asked for, and outcomes told, by the event loop.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::job::Job;
use super::waiting::{KINDS, Waiting};
use crate::accounts::password::HASH_MEMORY_BYTES;
use crate::base::ids::JobId;
use crate::base::memory::MemoryBudget;
use crate::base::metrics::Histogram;
use crate::base::time::Timestamp;
use crate::base::timer_set::TimerSet;

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
/// The queue is full, or the memory budget is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

/// The jobs. What waits to be started, and what goes on afterwards, counts against the budget.
#[derive(Debug)]
pub(super) struct Jobs {
    budget: MemoryBudget,
    last: u64,
    /// Short work, in order.
    ready: VecDeque<(JobId, Job)>,
    /// Work that hashes a password. It never takes all workers, so that rooms don't wait for
    /// logins.
    hashing: VecDeque<(JobId, Job)>,
    hashes_running: Vec<JobId>,
    /// What goes on after each job that has not ended. Looked up only, so that its order does not
    /// count.
    waiting: HashMap<JobId, Started>,
    deadlines: TimerSet<JobId>,
    /// Outcomes that came after the job had been given up.
    late: u64,
    /// How long jobs took, in the order of [`KINDS`]. One that was given up counts as
    /// [`JOB_TIMEOUT`].
    durations: [Histogram; KINDS.len()],
}

#[derive(Debug)]
struct Started {
    waiting: Waiting,
    since: Timestamp,
    /// When it is given up.
    deadline: Option<Timestamp>,
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
            waiting: HashMap::new(),
            deadlines: TimerSet::default(),
            late: 0,
            durations: std::array::from_fn(|_| Histogram::new(&DURATIONS)),
        }
    }

    /// Queues a job, after which `waiting` goes on.
    ///
    /// # Errors
    /// [`QueueFull`]; not for what never times out, of which each room has one at most.
    pub(super) fn start(
        &mut self,
        job: Job,
        waiting: Waiting,
        now: Timestamp,
    ) -> Result<JobId, QueueFull> {
        let times_out = waiting.times_out();
        if times_out && self.queued() >= QUEUE_MAX {
            return Err(QueueFull);
        }
        let bytes = job.held_bytes() + waiting.held_bytes();
        if waiting.is_of_client() && self.budget.used() + bytes > self.budget.limit() {
            return Err(QueueFull);
        }
        self.budget.add(bytes);
        self.last += 1;
        let id = JobId(self.last);
        let mut started = Started { waiting, since: now, deadline: None };
        let deadline = times_out.then(|| now + JOB_TIMEOUT);
        self.deadlines.rearm(id, &mut started.deadline, deadline);
        self.waiting.insert(id, started);
        let queue = if job.needs_hash() { &mut self.hashing } else { &mut self.ready };
        queue.push_back((id, job));
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
            // What was given up need not be started.
            if self.waiting.contains_key(&id) {
                if job.needs_hash() {
                    self.hashes_running.push(id);
                }
                return Some((id, job));
            }
        }
    }

    /// Puts back a job that could not be started.
    pub(super) fn put_back(&mut self, id: JobId, job: Job) {
        self.budget.add(job.held_bytes());
        if job.needs_hash() {
            self.hashes_running.retain(|running| *running != id);
            self.hashing.push_front((id, job));
        } else {
            self.ready.push_front((id, job));
        }
    }

    /// How many wait to be started.
    pub(super) fn queued(&self) -> usize {
        self.ready.len() + self.hashing.len()
    }

    /// How many were started and have not ended.
    pub(super) fn running(&self) -> usize {
        self.waiting.len().saturating_sub(self.queued())
    }

    /// Outcomes that came after the job had been given up.
    pub(super) fn late(&self) -> u64 {
        self.late
    }

    /// Bytes that running hashes take.
    pub(super) fn hash_bytes(&self) -> usize {
        self.hashes_running.len() * HASH_MEMORY_BYTES
    }

    /// A job has ended: what goes on. `None`: it was given up before.
    pub(super) fn done(&mut self, id: JobId, now: Timestamp) -> Option<Waiting> {
        self.hashes_running.retain(|running| *running != id);
        let Some(mut started) = self.waiting.remove(&id) else {
            self.late += 1;
            return None;
        };
        self.deadlines.rearm(id, &mut started.deadline, None);
        Some(self.end(started, |since| now.since(since)))
    }

    /// Gives up a job that has taken too long: what goes on without it.
    pub(super) fn expired(&mut self, now: Timestamp) -> Option<Waiting> {
        let (_, id) = self.deadlines.pop_due(now)?;
        let started = self.waiting.remove(&id)?;
        Some(self.end(started, |_| JOB_TIMEOUT))
    }

    /// How long jobs took, by kind.
    pub(super) fn durations(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        KINDS.into_iter().zip(&self.durations)
    }

    /// When the next job is given up.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.deadlines.poll_timeout()
    }

    /// Whether no job waits or runs.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    fn end(&mut self, started: Started, took: impl FnOnce(Timestamp) -> Duration) -> Waiting {
        let Started { waiting, since, .. } = started;
        self.budget.sub(waiting.held_bytes());
        self.durations[waiting.kind()].observe(took(since));
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{AccountRequest, AccountRoute};
    use crate::base::ids::{ConnId, RoomKey};
    use crate::base::time::UnixMillis;
    use crate::engine::waiting::AskedAccount;

    const PROBE: Job = Job::Probe { now: UnixMillis(0) };

    fn login(bytes: usize) -> Job {
        let (route, body) = (AccountRoute::Login, vec![b' '; bytes]);
        let request = AccountRequest { route, credentials: None, setup_token: None, body };
        Job::Account { request: Box::new(request), now: UnixMillis(0) }
    }

    /// The request of some client.
    fn asked() -> Waiting {
        let conn = ConnId { index: 0, generation: 1 };
        Waiting::Account(conn, AskedAccount { login: None, is_secure: false })
    }

    #[test]
    fn hashes_never_take_all_workers_and_short_work_overtakes_them() {
        let mut jobs = Jobs::new(MemoryBudget::new(1 << 20));
        let mut start = |job| jobs.start(job, asked(), Timestamp(0)).expect("room");
        let (first, second, probe) = (start(login(0)), start(login(0)), start(PROBE));
        assert_eq!(jobs.next(1).expect("a job").0, probe);
        let (id, job) = jobs.next(1).expect("a job");
        assert_eq!((id, jobs.hash_bytes()), (first, HASH_MEMORY_BYTES));
        assert!(jobs.next(1).is_none(), "one hash at a time");
        jobs.put_back(id, job);
        assert_eq!(jobs.hash_bytes(), 0);
        assert_eq!(jobs.next(1).expect("a job").0, first);
        jobs.done(first, Timestamp(0));
        assert_eq!(jobs.next(1).expect("a job").0, second);
    }

    #[test]
    fn a_job_that_was_given_up_is_not_started_and_its_outcome_is_dropped() {
        let mut jobs = Jobs::new(MemoryBudget::new(1 << 20));
        let at = Timestamp::from_secs(1);
        let first = jobs.start(PROBE, Waiting::Probe, at).unwrap();
        assert_eq!(jobs.poll_timeout(), Some(at + JOB_TIMEOUT));
        assert!(jobs.expired(Timestamp::from_millis(5_999)).is_none());
        assert!(matches!(jobs.expired(Timestamp::from_secs(6)), Some(Waiting::Probe)));
        assert!(jobs.next(1).is_none());
        assert!(jobs.done(first, at).is_none());
        assert_eq!(jobs.late(), 1);
        assert!(jobs.is_idle());
    }

    #[test]
    fn the_queue_is_bounded_but_saves_are_always_taken() {
        let mut jobs = Jobs::new(MemoryBudget::new(1 << 20));
        for _ in 0..QUEUE_MAX {
            jobs.start(PROBE, Waiting::Probe, Timestamp(0)).unwrap();
        }
        assert_eq!(jobs.start(PROBE, Waiting::Probe, Timestamp(0)), Err(QueueFull));
        let key = RoomKey { index: 0, generation: 1 };
        assert!(jobs.start(PROBE, Waiting::Save(key, 1), Timestamp(0)).is_ok());
    }

    #[test]
    fn what_waits_counts_until_it_is_started_or_given_up() {
        let budget = MemoryBudget::new(100_000);
        let mut jobs = Jobs::new(budget.clone());
        let mut start = |bytes| jobs.start(login(bytes), asked(), Timestamp(0));
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
        let first = jobs.start(PROBE, Waiting::Probe, Timestamp(0)).unwrap();
        let second = jobs.start(PROBE, Waiting::Probe, Timestamp(0)).unwrap();
        let (id, job) = jobs.next(1).unwrap();
        assert_eq!(id, first);
        jobs.put_back(id, job);
        assert_eq!(jobs.next(1).unwrap().0, first);
        assert_eq!(jobs.next(1).unwrap().0, second);
        assert!(jobs.next(1).is_none());
        assert!(matches!(jobs.done(second, Timestamp(0)), Some(Waiting::Probe)));
    }
}
