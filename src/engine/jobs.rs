//! Jobs that wait or run: which are started next, how long each may take, and what goes on when
//! one has ended.
//!
//! There are three lanes, none of which can starve another: each has a worker that no other lane
//! takes. Clients wait in turns by address in two of them, and rooms to be stored in the third.
//!
//! Knows no thread: jobs are asked for, and outcomes told, by the event loop.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use super::job::{Job, room_bytes};
use super::saves::{NextSave, Saves};
use super::turns::{Owner, QueueFull, Turns};
use super::waiting::{KINDS, Save, Waiting};
use crate::accounts::password::HASH_MEMORY_BYTES;
use crate::base::ids::JobId;
use crate::base::memory::MemoryBudget;
use crate::base::metrics::Histogram;
use crate::base::time::{Timestamp, UnixMillis};
use crate::base::timer_set::TimerSet;
use crate::rooms::StoredRoom;

/// How long a client waits for a job before it is told that the store does not answer.
pub(super) const JOB_TIMEOUT: Duration = Duration::from_secs(5);
/// Jobs of clients that may wait in one lane to be started; then the address with most of them has
/// to make place.
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

/// The lanes by name, in the order of [`Lane`].
pub(super) const LANES: [&str; 3] = ["reads", "hashes", "saves"];

/// What kinds of jobs have workers of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// Short work for clients, and the question whether tokens have ended.
    Reads,
    /// What computes a password hash.
    Hashes,
    /// Rooms that are stored or deleted, and the question whether the store answers. One at a
    /// time, as databases write.
    Saves,
}

/// The jobs. What waits to be started, what goes on afterwards, and the memory of running hashes
/// count against the budget.
#[derive(Debug)]
pub(super) struct Jobs {
    budget: MemoryBudget,
    last: u64,
    /// Workers that reads and hashes share. Each lane leaves the other one, if there are two.
    shared_workers: usize,
    reads: Turns<(JobId, Job)>,
    hashes: Turns<(JobId, Job)>,
    saves: Saves,
    /// A read was started last: a hash comes first, if one waits and may run.
    hash_is_next: bool,
    /// Jobs that workers have, whether or not they were given up. Bounded by the workers.
    running: BTreeMap<JobId, Running>,
    /// What goes on after each job that has not ended. Looked up only, so that its order does not
    /// count.
    waiting: HashMap<JobId, Started>,
    deadlines: TimerSet<JobId>,
    /// What waited for jobs that had to make place, until it is told so in the same turn.
    displaced: VecDeque<Waiting>,
    /// Outcomes that came after the job had been given up.
    late: u64,
    /// Jobs that have stored rooms, each a group of them.
    groups: u64,
    /// How long jobs took, in the order of [`KINDS`]. One that was given up counts as
    /// [`JOB_TIMEOUT`].
    durations: [Histogram; KINDS.len()],
}

#[derive(Clone, Copy, Debug)]
struct Running {
    lane: Lane,
    owner: Owner,
    /// Counted against the budget as long as it runs.
    hash_bytes: usize,
}

#[derive(Debug)]
struct Started {
    waiting: Waiting,
    since: Timestamp,
    /// When it is given up.
    deadline: Option<Timestamp>,
    owner: Owner,
    lane: Lane,
}

/// A job that has taken too long.
#[derive(Debug)]
pub(super) struct GivenUp {
    /// What goes on without it.
    pub(super) waiting: Waiting,
    /// It was never started, as jobs of other clients were in its way: the store is not to blame.
    pub(super) is_clients_doing: bool,
}

impl Jobs {
    /// None. Reads and hashes share so many workers; saves have one more.
    pub(super) fn new(budget: MemoryBudget, shared_workers: usize) -> Self {
        Self {
            budget,
            last: 0,
            shared_workers,
            reads: Turns::new(QUEUE_MAX),
            hashes: Turns::new(QUEUE_MAX),
            saves: Saves::default(),
            hash_is_next: false,
            running: BTreeMap::new(),
            waiting: HashMap::new(),
            deadlines: TimerSet::default(),
            displaced: VecDeque::new(),
            late: 0,
            groups: 0,
            durations: std::array::from_fn(|_| Histogram::new(&DURATIONS)),
        }
    }

    /// Queues a job of `owner`, after which `waiting` goes on. It may take the place of a job of
    /// an address that has more of them: see [`displaced`](Self::displaced).
    ///
    /// # Errors
    /// [`QueueFull`], also if the memory budget is used up; not in the lane of saves,
    /// where each room has one job at most.
    pub(super) fn start(
        &mut self,
        owner: Owner,
        job: Job,
        waiting: Waiting,
        now: Timestamp,
    ) -> Result<JobId, QueueFull> {
        let bytes = job.held_bytes() + waiting.held_bytes();
        // That a hash runs is no reason to refuse what waits for it to end.
        let held = self.budget.held();
        if waiting.is_of_client() && held + bytes > self.budget.limit() {
            return Err(QueueFull);
        }
        let lane = Lane::of(&job);
        let id = self.next_id();
        match self.lane_mut(lane) {
            Some(queue) => {
                let displaced = queue.push(owner, (id, job))?;
                self.displace(displaced);
            }
            None => self.saves.push_single(id, job),
        }
        self.budget.add(bytes);
        let deadline = waiting.times_out().then(|| now + JOB_TIMEOUT);
        let mut started = Started { waiting, since: now, deadline: None, owner, lane };
        self.deadlines.rearm(id, &mut started.deadline, deadline);
        self.waiting.insert(id, started);
        Ok(id)
    }

    /// Queues a room to be stored, together with others.
    pub(super) fn save(&mut self, save: Save, room: StoredRoom) {
        self.budget.add(room_bytes(&room));
        self.saves.push(save, room);
    }

    /// The next job to run, if a worker of its lane is free. `now` is what stored rooms are marked
    /// with.
    pub(super) fn next(&mut self, now: UnixMillis) -> Option<(JobId, Job)> {
        self.next_save(now).or_else(|| self.next_of_clients())
    }

    /// Puts back a job that could not be started.
    pub(super) fn put_back(&mut self, id: JobId, job: Job) {
        let Some(running) = self.stop_running(id) else { return };
        self.budget.add(job.held_bytes());
        match (job, self.lane_mut(running.lane)) {
            (job, Some(queue)) => queue.put_back(running.owner, (id, job)),
            (Job::SaveRooms { rooms, .. }, None) => {
                if let Some(Started { waiting: Waiting::Saves(saves), .. }) =
                    self.waiting.remove(&id)
                {
                    self.saves.put_back(saves, rooms);
                }
            }
            (job, None) => self.saves.put_back_single(id, job),
        }
    }

    /// How many wait to be started, by lane.
    pub(super) fn queued(&self) -> [(&'static str, usize); LANES.len()] {
        let lengths = [self.reads.len(), self.hashes.len(), self.saves.len()];
        std::array::from_fn(|index| (LANES[index], lengths[index]))
    }

    /// How many were started and have not ended, by lane.
    pub(super) fn running(&self) -> [(&'static str, usize); LANES.len()] {
        let lanes = [Lane::Reads, Lane::Hashes, Lane::Saves];
        std::array::from_fn(|index| (LANES[index], self.running_in(lanes[index])))
    }

    /// Outcomes that came after the job had been given up.
    pub(super) fn late(&self) -> u64 {
        self.late
    }

    /// Jobs that have stored rooms, each a group of them.
    pub(super) fn groups(&self) -> u64 {
        self.groups
    }

    /// A job has ended: what goes on. `None`: it was given up before.
    pub(super) fn done(&mut self, id: JobId, now: Timestamp) -> Option<Waiting> {
        self.stop_running(id);
        let Some(mut started) = self.waiting.remove(&id) else {
            self.late += 1;
            return None;
        };
        self.deadlines.rearm(id, &mut started.deadline, None);
        Some(self.end(started, |since| now.since(since)))
    }

    /// Gives up a job that has taken too long, whether it waits or runs.
    pub(super) fn expired(&mut self, now: Timestamp) -> Option<GivenUp> {
        let (_, id) = self.deadlines.pop_due(now)?;
        let started = self.waiting.remove(&id)?;
        let (owner, was_started) = (started.owner, self.running.contains_key(&id));
        if !was_started {
            let queued = match self.lane_mut(started.lane) {
                // All take equally long to expire, so it is the oldest of its owner.
                Some(queue) => queue.remove_oldest(owner, |(queued, _)| *queued == id),
                None => self.saves.remove_single(id).map(|job| (id, job)),
            };
            self.budget.sub(queued.map_or(0, |(_, job)| job.held_bytes()));
        }
        let is_clients_doing = !was_started && owner != Owner::Server;
        Some(GivenUp { waiting: self.end(started, |_| JOB_TIMEOUT), is_clients_doing })
    }

    /// What waited for a job that had to make place for those of other addresses.
    pub(super) fn displaced(&mut self) -> Option<Waiting> {
        self.displaced.pop_front()
    }

    /// How long jobs took, by kind.
    pub(super) fn durations(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        KINDS.into_iter().zip(&self.durations)
    }

    /// When the next job is given up.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let displaced = (!self.displaced.is_empty()).then_some(Timestamp(0));
        displaced.or_else(|| self.deadlines.poll_timeout())
    }

    /// Whether no job waits or runs that anything waits for.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.saves.len() == 0
    }

    fn next_id(&mut self) -> JobId {
        self.last += 1;
        JobId(self.last)
    }

    /// The queue of a lane in which clients wait.
    fn lane_mut(&mut self, lane: Lane) -> Option<&mut Turns<(JobId, Job)>> {
        match lane {
            Lane::Reads => Some(&mut self.reads),
            Lane::Hashes => Some(&mut self.hashes),
            Lane::Saves => None,
        }
    }

    fn next_save(&mut self, now: UnixMillis) -> Option<(JobId, Job)> {
        if self.running_in(Lane::Saves) > 0 {
            return None;
        }
        let (id, job) = match self.saves.pop()? {
            NextSave::Single(id, job) => (id, job),
            NextSave::Group(saves, rooms) => {
                let id = self.next_id();
                let since = saves.first().map_or(Timestamp(0), |save| save.since);
                let waiting = Waiting::Saves(saves);
                let (owner, lane) = (Owner::Server, Lane::Saves);
                let started = Started { waiting, since, deadline: None, owner, lane };
                self.waiting.insert(id, started);
                (id, Job::SaveRooms { rooms, now })
            }
        };
        self.run(id, &job, Owner::Server, Lane::Saves);
        Some((id, job))
    }

    /// The next of a read and a hash, by turns, as far as both wait and may run.
    fn next_of_clients(&mut self) -> Option<(JobId, Job)> {
        let mut lanes = [Lane::Reads, Lane::Hashes];
        if self.hash_is_next {
            lanes.reverse();
        }
        for lane in lanes {
            if self.may_start(lane)
                && let Some((owner, (id, job))) = self.lane_mut(lane).and_then(Turns::pop)
            {
                self.hash_is_next = lane == Lane::Reads;
                self.run(id, &job, owner, lane);
                return Some((id, job));
            }
        }
        None
    }

    /// Whether a worker may have a read or a hash. One hash may always run; others must find
    /// memory.
    fn may_start(&self, lane: Lane) -> bool {
        let [reads, hashes] = [Lane::Reads, Lane::Hashes].map(|lane| self.running_in(lane));
        let of_lane = if lane == Lane::Reads { reads } else { hashes };
        let fits = lane == Lane::Reads
            || hashes == 0
            || self.budget.used() + HASH_MEMORY_BYTES <= self.budget.limit();
        let own_max = self.shared_workers.saturating_sub(1).max(1);
        reads + hashes < self.shared_workers && of_lane < own_max && fits
    }

    fn running_in(&self, lane: Lane) -> usize {
        self.running.values().filter(|running| running.lane == lane).count()
    }

    /// A worker gets this job, which no longer waits.
    fn run(&mut self, id: JobId, job: &Job, owner: Owner, lane: Lane) {
        self.budget.sub(job.held_bytes());
        // In a budget of a few hashes one must not look as if it were all that there is.
        let share_bytes = HASH_MEMORY_BYTES.min(self.budget.limit() / 2);
        let hash_bytes = if lane == Lane::Hashes { share_bytes } else { 0 };
        self.budget.begin_work(hash_bytes);
        self.running.insert(id, Running { lane, owner, hash_bytes });
    }

    fn stop_running(&mut self, id: JobId) -> Option<Running> {
        let running = self.running.remove(&id)?;
        self.budget.end_work(running.hash_bytes);
        Some(running)
    }

    /// Forgets a job that had to make place; what waited for it will be told.
    fn displace(&mut self, displaced: Option<(JobId, Job)>) {
        let Some((id, job)) = displaced else { return };
        self.budget.sub(job.held_bytes());
        if let Some(mut started) = self.waiting.remove(&id) {
            self.deadlines.rearm(id, &mut started.deadline, None);
            self.budget.sub(started.waiting.held_bytes());
            self.displaced.push_back(started.waiting);
        }
    }

    fn end(&mut self, started: Started, took: impl Fn(Timestamp) -> Duration) -> Waiting {
        let Started { waiting, since, .. } = started;
        self.budget.sub(waiting.held_bytes());
        let durations = &mut self.durations[waiting.kind()];
        if let Waiting::Saves(saves) = &waiting {
            self.groups += 1;
            for save in saves {
                durations.observe(took(save.since));
            }
        } else {
            durations.observe(took(since));
        }
        waiting
    }
}

impl Lane {
    fn of(job: &Job) -> Self {
        match job {
            Job::SaveRooms { .. } | Job::DeleteRoom { .. } | Job::Probe { .. } => Self::Saves,
            _ if job.needs_hash() => Self::Hashes,
            _ => Self::Reads,
        }
    }
}

#[cfg(test)]
mod tests;
