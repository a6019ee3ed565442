//! The loop over the kernel's events: the one thread, and what it shares with the outside.
//!
//! In which order a turn does what is for the [`Driver`]; here are the sockets, the clock, the
//! workers and the signals that it is given, and what systemd is told.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use log::{debug, error, info, warn};
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::clock::{Clock, monotonic_us};
use super::gate::Gate;
use super::listener::{LISTENERS_MAX, Listener};
use super::socket::Stream;
use super::systemd::Supervisor;
use crate::base::conn_map::ConnMap;
use crate::base::ids::{ConnId, JobId};
use crate::base::time::{Now, Timestamp};
use crate::session::{Dispatch, Driver, Ended, Sessions, Transport};
use crate::workers::pool::Workers;

const WAKER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
/// The first of [`LISTENERS_MAX`] tokens.
const LISTENERS: Token = Token(SIGNALS.0 - LISTENERS_MAX);

/// Events taken from the kernel at once; more wait for the next turn.
const EVENTS_PER_TURN_MAX: usize = 16 * 1024;
/// Jobs that wait in the pool for a worker. The application hands out no more than there are
/// workers: these are on their way to one, and none keeps another lane's from its own.
const JOBS_QUEUED_MAX: usize = 32;

/// Sockets that the kernel is asked about in one call.
const POLLED_MAX: usize = 1024;
/// The longest wait while there are connections. A wait is what may be stopped without being seen:
/// by so much at most a stall takes of the time that a client has.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Why the loop can't start or go on: the operating system refused something basic.
#[derive(Debug, thiserror::Error)]
#[error("the event loop failed: {what}: {source}")]
pub struct LoopError {
    what: &'static str,
    source: io::Error,
}

/// Wakes the loop from another thread.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// Gives the application its new settings; or says in one line why there are none.
pub type Reload<D> = Box<dyn FnMut(&mut D, &mut Sessions) -> Result<(), String>>;

/// The event loop of one server.
pub struct EventLoop<D: Dispatch> {
    driver: Driver<D>,
    kernel: Kernel<D>,
}

/// What the loop has from the operating system.
struct Kernel<D: Dispatch> {
    poll: Poll,
    events: Events,
    signals: Signals,
    gate: Gate,
    clock: Clock,
    streams: ConnMap<Stream>,
    workers: Workers<D::Job, D::Outcome>,
    reload: Option<Reload<D>>,
    supervisor: Supervisor,
    /// What the supervisor shows while all is well.
    status: String,
}

impl<D: Dispatch> fmt::Debug for EventLoop<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sessions = self.driver.sessions().len();
        f.debug_struct("EventLoop").field("sessions", &sessions).finish_non_exhaustive()
    }
}

impl<D: Dispatch> EventLoop<D> {
    /// Watches `listener` and the signals SIGINT and SIGTERM. `workers` is given the callback
    /// that wakes the loop when a job has ended.
    ///
    /// # Errors
    /// [`LoopError`] when the kernel has no poll, waker or signal handler to give.
    pub fn new(
        listener: Listener,
        sessions: Sessions,
        dispatch: D,
        workers: impl FnOnce(Wake) -> io::Result<Workers<D::Job, D::Outcome>>,
    ) -> Result<Self, LoopError> {
        let failed = |what| move |source| LoopError { what, source };
        let poll = Poll::new().map_err(failed("no poll"))?;
        let registry = poll.registry();
        let waker = Arc::new(Waker::new(registry, WAKER).map_err(failed("no waker"))?);
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed("no signal handlers"))?;
        registry
            .register(&mut signals, SIGNALS, Interest::READABLE)
            .map_err(failed("cannot watch signals"))?;
        let status = format!("listening on {listener}");
        let mut gate = Gate::new(listener.into_sockets());
        gate.register(registry, LISTENERS).map_err(failed("cannot watch the listener"))?;
        let wake = move || {
            // Waking fails only if the loop is gone, and then there is nothing to wake.
            let _loop_is_gone = waker.wake();
        };
        let kernel = Kernel {
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN_MAX),
            signals,
            gate,
            clock: Clock::start(),
            streams: ConnMap::default(),
            workers: workers(Box::new(wake)).map_err(failed("no worker threads"))?,
            reload: None,
            supervisor: Supervisor::default(),
            status,
        };
        Ok(Self { driver: Driver::new(sessions, dispatch), kernel })
    }

    /// Has `supervisor` told when the loop is ready, turns and stops.
    pub fn supervised_by(mut self, supervisor: Supervisor) -> Self {
        self.kernel.supervisor = supervisor;
        self
    }

    /// Calls `reload` at SIGHUP. The loop waits for it meanwhile, so all it may read is a few
    /// small files.
    ///
    /// # Errors
    /// [`LoopError`] when the kernel has no signal handler to give.
    pub fn reloaded_by(mut self, reload: Reload<D>) -> Result<Self, LoopError> {
        let failed = |source| LoopError { what: "no handler for SIGHUP", source };
        self.kernel.signals.add_signal(SIGHUP).map_err(failed)?;
        self.kernel.reload = Some(reload);
        Ok(self)
    }

    /// Runs until a signal asks it to stop.
    ///
    /// # Errors
    /// [`LoopError`] when waiting for events fails.
    pub fn run(mut self) -> Result<Ended, LoopError> {
        self.kernel.supervisor.ready(&self.kernel.status);
        loop {
            if let Some(ended) = self.driver.turn(&mut self.kernel)? {
                return Ok(ended);
            }
        }
    }
}

impl<D: Dispatch> Transport<D> for Kernel<D> {
    type Error = LoopError;

    fn now(&mut self) -> Now {
        self.clock.now()
    }

    fn left_out(&self) -> Duration {
        self.clock.left_out()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        // The service manager's clock leaves nothing out.
        let start = Timestamp(0) + self.clock.left_out();
        let feed_at = self.supervisor.poll_timeout().map(|at| Timestamp(0) + at.since(start));
        [self.gate.poll_timeout(), feed_at].into_iter().flatten().min()
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), LoopError> {
        let longest = (!self.streams.is_empty()).then_some(WAIT_MAX);
        let mut timeout = [timeout, longest].into_iter().flatten().min();
        self.clock.expect_wait(timeout);
        loop {
            match self.poll.poll(&mut self.events, timeout) {
                Ok(()) => return Ok(()),
                // A process that was stopped finds its wait interrupted, and what has come
                // meanwhile is to be known in this turn: its time is the one that counts.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    timeout = Some(Duration::ZERO);
                }
                Err(source) => {
                    return Err(LoopError { what: "cannot wait for events", source });
                }
            }
        }
    }

    fn note_events(&mut self, driver: &mut Driver<D>, now: Now) {
        // Here and nowhere else: a loop that hangs must not look alive.
        self.supervisor.handle_timeout(now.at + self.clock.left_out());
        let mut signalled = false;
        for event in &self.events {
            match event.token() {
                WAKER => {}
                SIGNALS => signalled = true,
                Token(token) if token >= LISTENERS.0 => self.gate.set_ready(token - LISTENERS.0),
                Token(index) => {
                    let Some(conn) = driver.sessions().id_at(index) else { continue };
                    if event.is_error() {
                        // Also if nothing is read from it now, as of one whose answer is late.
                        driver.abort(conn, "the connection broke");
                        continue;
                    }
                    if event.is_writable() {
                        driver.writable(conn);
                    }
                    if event.is_read_closed() {
                        driver.ending(conn);
                    } else if event.is_readable() {
                        driver.readable(conn);
                    }
                }
            }
        }
        if signalled {
            self.take_signals(driver, now);
        }
    }

    fn read(&mut self, conn: ConnId, into: &mut [u8]) -> io::Result<usize> {
        self.streams.get_mut(conn).ok_or(io::ErrorKind::NotConnected)?.read(into)
    }

    fn write(&mut self, conn: ConnId, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.streams.get_mut(conn).ok_or(io::ErrorKind::NotConnected)?.write(slices)
    }

    fn set_send_buffer(&mut self, conn: ConnId, bytes: usize) {
        if let Some(stream) = self.streams.get(conn)
            && let Err(error) = stream.set_send_buffer(bytes)
        {
            debug!("{conn}: no larger send buffer: {error}");
        }
    }

    fn retain_full(&mut self, conns: &mut Vec<ConnId>) {
        let streams = conns.drain(..).filter_map(|conn| Some((conn, self.streams.get(conn)?)));
        let streams: Vec<(ConnId, &Stream)> = streams.collect();
        for part in streams.chunks(POLLED_MAX) {
            let mut asked: Vec<_> =
                part.iter().map(|(_, stream)| PollFd::new(stream, PollFlags::OUT)).collect();
            // Without an answer none counts as full, and what is written next is asked about again.
            if poll(&mut asked, Some(&Timespec::default())).is_err() {
                continue;
            }
            let answered = part.iter().zip(&asked);
            let full = answered.filter(|(_, answer)| answer.revents().is_empty());
            conns.extend(full.map(|((conn, _), _)| *conn));
        }
    }

    fn forsake(&mut self, conn: ConnId) {
        if let Some(stream) = self.streams.get(conn)
            && let Err(error) = stream.forsake()
        {
            debug!("{conn}: the kernel goes on sending: {error}");
        }
    }

    fn shut(&mut self, conn: ConnId) {
        if let Some(stream) = self.streams.get(conn) {
            stream.shut();
        }
    }

    fn close(&mut self, conn: ConnId) {
        // Closing the file also takes it off the poll, and what failed for want of one may work.
        self.streams.remove(conn);
        self.gate.reopen();
    }

    fn accept(&mut self, driver: &mut Driver<D>, now: Now) {
        let Self { gate, streams, poll, .. } = self;
        gate.accept(now.at, |mut stream, peer| {
            // Without a place even for a refusal, closing the socket is all that is left to say.
            let Ok(conn) = driver.accept(peer, now) else { return };
            if let Err(error) = stream.register(poll.registry(), Token(conn.index as usize)) {
                warn!("{peer}: cannot be watched: {error}");
                driver.abort(conn, "cannot be watched");
            }
            streams.insert(conn, stream);
        });
    }

    fn take_outcomes(&mut self, into: &mut Vec<(JobId, D::Outcome)>) {
        self.workers.drain(into);
    }

    fn takes_jobs(&self) -> bool {
        self.workers.queued() < JOBS_QUEUED_MAX
    }

    fn start_job(&mut self, id: JobId, job: D::Job) -> Result<(), D::Job> {
        self.workers.try_submit(id, job)
    }
}

// Signals.
impl<D: Dispatch> Kernel<D> {
    fn take_signals(&mut self, driver: &mut Driver<D>, now: Now) {
        let signals: Vec<i32> = self.signals.pending().collect();
        for signal in signals {
            match (signal, driver.is_stopping()) {
                (SIGHUP, false) => self.reload(driver),
                (SIGHUP, true) => info!("SIGHUP: ignored while stopping"),
                (_, false) => self.begin_stop(signal_name(signal), driver, now),
                (_, true) => {
                    warn!("{} again: stopping at once", signal_name(signal));
                    driver.stop_at_once();
                }
            }
        }
    }

    fn begin_stop(&mut self, signal: &str, driver: &mut Driver<D>, now: Now) {
        let grace = driver.application().shutdown_grace();
        info!("{signal}: stopping, for at most {} s", grace.as_secs());
        self.supervisor.stopping(grace);
        self.gate.shut();
        driver.stop(now);
    }

    fn reload(&mut self, driver: &mut Driver<D>) {
        let Some(reload) = &mut self.reload else { return };
        info!("SIGHUP: reading the settings again");
        self.supervisor.reloading(monotonic_us());
        let (application, sessions) = driver.parts_mut();
        match reload(application, sessions) {
            Ok(()) => self.supervisor.ready(&self.status),
            Err(problem) => {
                error!("all settings stay as they are: {problem}");
                let status = format!("{}; settings not read again: {problem}", self.status);
                self.supervisor.ready(&status);
            }
        }
    }
}

fn signal_name(signal: i32) -> &'static str {
    if signal == SIGINT { "SIGINT" } else { "SIGTERM" }
}
