//! A few named threads for what blocks: the database, password hashing, the disk.
//!
//! The event loop hands a job in with [`Workers::try_submit`] and takes the outcomes out with
//! [`Workers::drain`]; it never waits for a worker. The pool knows neither what a job is nor what
//! it is for. How long a job may take is the caller's business too: a caller that has given up
//! drops the outcome when it comes.
//!
//! **Jobs must not panic.** The release profile aborts on a panic, and so does a worker in every
//! other profile: a pool that silently went on with one thread less would be worse.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::base::ids::JobId;

/// Stack of one worker, in bytes. Only pages that a job touches are ever resident, so this costs
/// address space. Hashing keeps its memory on the heap; the deepest user is the `MongoDB` driver,
/// whose futures are polled on the calling thread: between 128 and 256 KiB in a debug build.
const STACK_BYTES: usize = 1 << 20;

/// A pool that turns jobs `J` into outcomes `O`.
///
/// Dropping it closes the queue and forgets the jobs that wait. Jobs that run are not waited for.
pub struct Workers<J, O> {
    shared: Arc<Shared<J, O>>,
    queue_max: usize,
}

impl<J, O> fmt::Debug for Workers<J, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Workers")
            .field("queued", &state.queue.len())
            .field("running", &state.running)
            .finish_non_exhaustive()
    }
}

/// What a worker runs for each job.
pub type Run<J, O> = Arc<dyn Fn(J) -> O + Send + Sync>;

struct Shared<J, O> {
    state: Mutex<State<J, O>>,
    /// Told when a job is queued or the queue is closed: workers wait here.
    work: Condvar,
    run: Run<J, O>,
    wake: Box<dyn Fn() + Send + Sync>,
}

struct State<J, O> {
    queue: VecDeque<(JobId, J)>,
    finished: Vec<(JobId, O)>,
    running: usize,
    closed: bool,
}

impl<J: Send + 'static, O: Send + 'static> Workers<J, O> {
    /// Starts `threads` workers (at least one) named `worker-0`, `worker-1`, …. At most `queue_max`
    /// jobs wait, for a worker or to be drained.
    ///
    /// `wake` is called from a worker when the first outcome since the last [`Self::drain`] is
    /// there: once a batch, not once a job.
    ///
    /// # Errors
    /// The system's, when a thread cannot be made; those already made end.
    pub fn start(
        threads: usize,
        queue_max: usize,
        run: Run<J, O>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let state = State {
            queue: VecDeque::with_capacity(queue_max),
            finished: Vec::new(),
            running: 0,
            closed: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            run,
            wake: Box::new(wake),
        });
        // Made before the threads, so that an early return closes the queue for those that run.
        let workers = Self { shared, queue_max };
        for index in 0..threads.max(1) {
            let shared = Arc::clone(&workers.shared);
            thread::Builder::new()
                .name(format!("worker-{index}"))
                .stack_size(STACK_BYTES)
                .spawn(move || shared.work_until_closed())?;
        }
        Ok(workers)
    }

    /// Queues `job`; its outcome will carry `id`.
    ///
    /// # Errors
    /// Gives the job back when `queue_max` jobs wait.
    pub fn try_submit(&self, id: JobId, job: J) -> Result<(), J> {
        let mut state = self.shared.lock();
        // Outcomes count too: a caller that never drains must not make them pile up.
        if state.queue.len() + state.finished.len() >= self.queue_max {
            return Err(job);
        }
        state.queue.push_back((id, job));
        drop(state);
        self.shared.work.notify_one();
        Ok(())
    }

    /// Appends what has finished since the last call to `outcomes`, in the order of finishing.
    /// Never waits for a job.
    pub fn drain(&self, outcomes: &mut Vec<(JobId, O)>) {
        outcomes.append(&mut self.shared.lock().finished);
    }
}

impl<J, O> Workers<J, O> {
    /// Jobs that wait for a worker.
    pub fn queued(&self) -> usize {
        self.shared.lock().queue.len()
    }
}

impl<J, O> Drop for Workers<J, O> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.queue.clear();
        drop(state);
        self.shared.work.notify_all();
    }
}

impl<J, O> Shared<J, O> {
    /// No job runs under the lock and jobs do not panic, so a poisoned lock guards sound data.
    fn lock(&self) -> MutexGuard<'_, State<J, O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work_until_closed(&self) {
        while let Some((id, job)) = self.next() {
            let panic_guard = AbortOnPanic;
            let outcome = (self.run)(job);
            drop(panic_guard);
            self.finish(id, outcome);
        }
    }

    /// Waits for a job and counts it as running; `None` when the queue is closed and empty.
    fn next(&self) -> Option<(JobId, J)> {
        let idle = |state: &mut State<J, O>| state.queue.is_empty() && !state.closed;
        let mut state =
            self.work.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let next = state.queue.pop_front()?;
        state.running += 1;
        Some(next)
    }

    fn finish(&self, id: JobId, outcome: O) {
        let mut state = self.lock();
        let first_of_batch = state.finished.is_empty();
        state.finished.push((id, outcome));
        state.running -= 1;
        drop(state);
        if first_of_batch {
            (self.wake)();
        }
    }
}

/// Ends the process when it is dropped by a panic. The panic hook has told by then what happened.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    #[expect(clippy::disallowed_methods, reason = "a pool with a thread less would be worse")]
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    /// A job of these tests: say that it began, wait for the gate if there is one, answer.
    struct Step {
        answer: u32,
        began: Sender<u32>,
        gate: Option<Receiver<()>>,
    }

    struct Pool {
        workers: Workers<Step, u32>,
        wakes: Arc<AtomicUsize>,
        woken: Receiver<()>,
        began_sender: Sender<u32>,
        began: Receiver<u32>,
    }

    const LONG: Duration = Duration::from_secs(10);

    fn pool(threads: usize, queue_max: usize) -> Pool {
        let wakes = Arc::new(AtomicUsize::new(0));
        let (woken_sender, woken) = channel();
        let (began_sender, began) = channel();
        let counted = Arc::clone(&wakes);
        let wake = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            woken_sender.send(()).expect("the test keeps the receiver");
        };
        let run: Run<Step, u32> = Arc::new(|step: Step| {
            step.began.send(step.answer).expect("the test keeps the receiver");
            if let Some(gate) = step.gate {
                // A dropped sender opens the gate as well.
                let _opened_or_dropped = gate.recv();
            }
            step.answer
        });
        let workers = Workers::start(threads, queue_max, run, wake).expect("threads start");
        Pool { workers, wakes, woken, began_sender, began }
    }

    impl Pool {
        fn submit(&self, answer: u32) -> Result<(), u32> {
            let step = Step { answer, began: self.began_sender.clone(), gate: None };
            self.workers.try_submit(JobId(u64::from(answer)), step).map_err(|step| step.answer)
        }

        /// Submits a job that waits for the returned sender, and waits until a worker has it.
        fn submit_blocked(&self, answer: u32) -> Sender<()> {
            let (open, gate) = channel();
            let step = Step { answer, began: self.began_sender.clone(), gate: Some(gate) };
            assert!(self.workers.try_submit(JobId(u64::from(answer)), step).is_ok());
            assert_eq!(self.began.recv_timeout(LONG), Ok(answer));
            open
        }

        /// How many jobs wait, and how many run.
        fn load(&self) -> (usize, usize) {
            let state = self.workers.shared.lock();
            (state.queue.len(), state.running)
        }

        /// Waits until no job waits or runs.
        fn finish(&self) {
            while self.load() != (0, 0) {
                thread::yield_now();
            }
        }

        fn drained(&self) -> Vec<(JobId, u32)> {
            let mut outcomes = Vec::new();
            self.workers.drain(&mut outcomes);
            outcomes
        }
    }

    #[test]
    fn outcomes_carry_their_id_and_keep_the_order_of_finishing() {
        let pool = pool(1, 4);
        let open = pool.submit_blocked(1);
        assert_eq!(pool.submit(2), Ok(()));
        assert_eq!(pool.load(), (1, 1));
        assert_eq!(pool.drained(), []);
        drop(open);
        pool.finish();
        assert_eq!(pool.drained(), [(JobId(1), 1), (JobId(2), 2)]);
        assert_eq!(pool.drained(), []);
        assert_eq!(pool.load(), (0, 0));
    }

    #[test]
    fn a_full_queue_gives_the_job_back() {
        let pool = pool(1, 2);
        let open = pool.submit_blocked(1);
        assert_eq!(pool.submit(2), Ok(()));
        assert_eq!(pool.submit(3), Ok(()));
        assert_eq!(pool.submit(4), Err(4));
        drop(open);
        pool.woken.recv_timeout(LONG).expect("a wake");
        pool.finish();
        assert_eq!(pool.drained().len(), 3);
    }

    #[test]
    fn outcomes_that_nobody_drains_fill_the_queue() {
        let pool = pool(1, 2);
        assert_eq!(pool.submit(1), Ok(()));
        assert_eq!(pool.began.recv_timeout(LONG), Ok(1));
        pool.woken.recv_timeout(LONG).expect("a wake");
        let open = pool.submit_blocked(2);
        assert_eq!(pool.submit(3), Ok(()));
        assert_eq!(pool.submit(4), Err(4));
        assert_eq!(pool.drained(), [(JobId(1), 1)]);
        assert_eq!(pool.submit(4), Ok(()));
        drop(open);
        pool.finish();
        assert_eq!(pool.drained(), [(JobId(2), 2), (JobId(3), 3), (JobId(4), 4)]);
    }

    #[test]
    fn one_wake_a_batch() {
        let pool = pool(1, 8);
        let open = pool.submit_blocked(1);
        for answer in 2..=5 {
            assert_eq!(pool.submit(answer), Ok(()));
        }
        drop(open);
        pool.finish();
        assert_eq!(pool.drained().len(), 5);
        assert_eq!(pool.wakes.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_drained_batch_is_followed_by_another_wake() {
        let pool = pool(1, 8);
        for answer in 1..=3 {
            assert_eq!(pool.submit(answer), Ok(()));
            pool.woken.recv_timeout(LONG).expect("a wake");
            assert_eq!(pool.drained(), [(JobId(u64::from(answer)), answer)]);
        }
        assert_eq!(pool.wakes.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn workers_run_side_by_side() {
        let pool = pool(3, 3);
        let gates = [pool.submit_blocked(1), pool.submit_blocked(2), pool.submit_blocked(3)];
        assert_eq!(pool.load(), (0, 3));
        drop(gates);
        pool.finish();
    }

    #[test]
    fn dropping_forgets_what_waits_and_does_not_wait_for_what_runs() {
        let pool = pool(1, 4);
        let open = pool.submit_blocked(1);
        assert_eq!(pool.submit(2), Ok(()));
        let Pool { workers, began, began_sender, woken, .. } = pool;
        drop(workers);
        drop(began_sender);
        drop(open);
        woken.recv_timeout(LONG).expect("the running job ends");
        // The last sender goes with the queued job: nothing began after the first.
        assert!(began.recv_timeout(LONG).is_err());
    }

    #[test]
    fn threads_are_named() {
        let (sender, names) = channel();
        let run: Run<(), ()> = Arc::new(move |()| {
            let name = thread::current().name().map(str::to_owned);
            sender.send(name).expect("the test keeps the receiver");
        });
        let workers = Workers::start(1, 1, run, || ()).expect("threads start");
        assert!(workers.try_submit(JobId(1), ()).is_ok());
        assert_eq!(names.recv_timeout(LONG), Ok(Some("worker-0".into())));
    }
}
