//! The loop: one thread, fixed phases, bounded work in each.
//!
//! A turn is: wait → read the clock → take up what the last turn left over → read sockets (one
//! `recv` each) → finished jobs → deadlines → start jobs → flush (one vectored write each) → reap →
//! flush what reaping dirtied → accept.
//! Whatever is left over is remembered, and the next wait is then no wait.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use log::{error, info, warn};
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::bulk::{BULK_BYTES_MIN, Bulk, Written};
use super::clock::{Clock, monotonic_us};
use super::gate::Gate;
use super::listener::{LISTENERS_MAX, Listener};
use super::socket::{ReadOutcome, Socket, Stream};
use crate::base::ids::{ConnId, JobId};
use crate::base::time::{Now, Timestamp};
use crate::config::Peer;
use crate::net::systemd::Supervisor;
use crate::session::send_queue::SLICES_MAX;
use crate::session::{AfterFlush, Dispatch, Sessions};
use crate::workers::pool::Workers;

const WAKER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
/// The first of [`LISTENERS_MAX`] tokens.
const LISTENERS: Token = Token(SIGNALS.0 - LISTENERS_MAX);

/// Events taken from the kernel at once; more wait for the next turn.
const EVENTS_PER_TURN_MAX: usize = 16 * 1024;
/// Bytes that one `recv` brings at most. One buffer serves all connections.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Jobs taken from the application in one turn; the pool is full long before.
const JOBS_PER_TURN_MAX: usize = 256;
/// Jobs that wait in the pool for a worker: few, so that the application's order of importance
/// is the order in which they are started.
const JOBS_QUEUED_MAX: usize = 2;

/// Why the loop can't start or go on: the operating system refused something basic.
#[derive(Debug, thiserror::Error)]
#[error("the event loop failed: {what}: {source}")]
pub struct LoopError {
    what: &'static str,
    source: io::Error,
}

/// How the loop came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything was sent and stored.
    Cleanly,
    /// `SHUTDOWN_GRACE_SECONDS` were over.
    GraceOver,
    /// A second signal came.
    Forced,
}

/// Wakes the loop from another thread.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// Gives the application its new settings; or says in one line why there are none.
pub type Reload<D> = Box<dyn FnMut(&mut D, &mut Sessions) -> Result<(), String>>;

/// The event loop of one server.
pub struct EventLoop<D: Dispatch> {
    poll: Poll,
    events: Events,
    signals: Signals,
    gate: Gate,
    clock: Clock,
    /// Indexed like the sessions.
    sockets: Vec<Option<(ConnId, Socket)>>,
    sessions: Sessions,
    dispatch: D,
    workers: Workers<D::Job, D::Outcome>,
    scratch: Vec<u8>,
    /// Sockets that may have something to read.
    pending: Vec<ConnId>,
    /// Sessions to flush; empty between two flushes.
    due: Vec<ConnId>,
    /// Sessions to flush that have much to send.
    bulk: Bulk,
    finished: Vec<ConnId>,
    completions: Vec<(JobId, D::Outcome)>,
    /// When the last turn began, after its wait.
    turn_began: Option<Timestamp>,
    stop: Stop,
    reload: Option<Reload<D>>,
    supervisor: Supervisor,
    /// What the supervisor shows while all is well.
    status: String,
}

/// Whether the process was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    /// Until then.
    Asked(Timestamp),
    Now,
}

impl<D: Dispatch> fmt::Debug for EventLoop<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("sessions", &self.sessions.len()).finish_non_exhaustive()
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
            // Waking fails only if the loop is gone, and then nobody needs to be woken.
            let _loop_is_gone = waker.wake();
        };
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN_MAX),
            signals,
            gate,
            clock: Clock::start(),
            sockets: Vec::new(),
            sessions,
            dispatch,
            workers: workers(Box::new(wake)).map_err(failed("no worker threads"))?,
            scratch: vec![0; SCRATCH_BYTES],
            pending: Vec::new(),
            due: Vec::new(),
            bulk: Bulk::default(),
            finished: Vec::new(),
            completions: Vec::new(),
            turn_began: None,
            stop: Stop::No,
            reload: None,
            supervisor: Supervisor::default(),
            status,
        })
    }

    /// Has `supervisor` told when the loop is ready, turns and stops.
    pub fn supervised_by(self, supervisor: Supervisor) -> Self {
        Self { supervisor, ..self }
    }

    /// Calls `reload` at SIGHUP. The loop waits for it meanwhile, so all it may read is a few
    /// small files.
    ///
    /// # Errors
    /// [`LoopError`] when the kernel has no signal handler to give.
    pub fn reloaded_by(mut self, reload: Reload<D>) -> Result<Self, LoopError> {
        let failed = |source| LoopError { what: "no handler for SIGHUP", source };
        self.signals.add_signal(SIGHUP).map_err(failed)?;
        self.reload = Some(reload);
        Ok(self)
    }

    /// Runs until a signal asks it to stop.
    ///
    /// # Errors
    /// [`LoopError`] when waiting for events fails.
    pub fn run(mut self) -> Result<Ended, LoopError> {
        self.supervisor.ready(&self.status);
        loop {
            let now = self.turn()?;
            match self.stop {
                Stop::No => {}
                Stop::Now => return Ok(Ended::Forced),
                Stop::Asked(until) => {
                    if self.sessions.is_empty() && self.dispatch.is_finished() {
                        return Ok(Ended::Cleanly);
                    }
                    if until <= now.at {
                        return Ok(Ended::GraceOver);
                    }
                }
            }
        }
    }

    fn turn(&mut self) -> Result<Now, LoopError> {
        let ended = self.clock.now().at;
        if let Some(began) = self.turn_began {
            self.dispatch.turned(ended.since(began));
        }
        let timeout = self.timeout(ended);
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(LoopError { what: "cannot wait for events", source: error });
            }
            _ => {}
        }
        let now = self.clock.now();
        self.turn_began = Some(now.at);
        self.supervisor.handle_timeout(now.at);
        self.sessions.begin_turn();
        self.note_events(now);
        self.process_resumed(now);
        self.read_sockets(now);
        self.finish_jobs(now);
        self.sessions.handle_timeouts(now, &mut self.dispatch);
        self.dispatch.handle_timeout(&mut self.sessions, now);
        self.process_resumed(now);
        self.start_jobs(now);
        self.flush(now);
        if self.reap(now) {
            self.gate.reopen();
        }
        if self.sessions.has_due(now) {
            self.flush(now);
        }
        self.accept(now);
        Ok(now)
    }

    /// How long nothing needs to be done.
    fn timeout(&self, now: Timestamp) -> Option<Duration> {
        let is_busy = !self.pending.is_empty() || !self.bulk.is_empty();
        if is_busy || self.sessions.has_leftovers() || self.gate.is_pending(now) {
            return Some(Duration::ZERO);
        }
        let stop = match self.stop {
            Stop::Asked(until) => Some(until),
            Stop::No | Stop::Now => None,
        };
        let deadlines = [
            self.sessions.poll_timeout(),
            self.dispatch.poll_timeout(),
            self.gate.poll_timeout(),
            self.supervisor.poll_timeout(),
            stop,
        ];
        deadlines.into_iter().flatten().min().map(|deadline| deadline.since(now))
    }

    /// Remembers what the kernel says; nothing is done yet.
    fn note_events(&mut self, now: Now) {
        let mut signalled = false;
        for event in &self.events {
            match event.token() {
                WAKER => {}
                SIGNALS => signalled = true,
                Token(token) if token >= LISTENERS.0 => self.gate.set_ready(token - LISTENERS.0),
                Token(index) => {
                    let Some(Some((conn, socket))) = self.sockets.get_mut(index) else { continue };
                    if event.is_writable() {
                        socket.writable = true;
                        self.sessions.unblocked(*conn);
                    }
                    if event.is_readable() || event.is_read_closed() || event.is_error() {
                        socket.readable = true;
                        socket.ending |= event.is_read_closed() || event.is_error();
                        if !socket.pending {
                            socket.pending = true;
                            self.pending.push(*conn);
                        }
                    }
                }
            }
        }
        if signalled {
            self.take_signals(now);
        }
    }

    fn take_signals(&mut self, now: Now) {
        let signals: Vec<i32> = self.signals.pending().collect();
        for signal in signals {
            match (signal, self.stop) {
                (SIGHUP, Stop::No) => self.reload(),
                (SIGHUP, _) => info!("SIGHUP: ignored while stopping"),
                (_, Stop::No) => self.begin_stop(signal_name(signal), now),
                (_, _) => {
                    warn!("{} again: stopping at once", signal_name(signal));
                    self.stop = Stop::Now;
                }
            }
        }
    }

    fn begin_stop(&mut self, signal: &str, now: Now) {
        let grace = self.dispatch.shutdown_grace();
        info!("{signal}: stopping, for at most {} s", grace.as_secs());
        self.stop = Stop::Asked(now.at + grace);
        self.supervisor.stopping(grace);
        self.gate.shut();
        self.dispatch.shut_down(&mut self.sessions, now);
    }

    fn reload(&mut self) {
        let Some(reload) = &mut self.reload else { return };
        info!("SIGHUP: reading the settings again");
        self.supervisor.reloading(monotonic_us());
        match reload(&mut self.dispatch, &mut self.sessions) {
            Ok(()) => self.supervisor.ready(&self.status),
            Err(problem) => {
                error!("all settings stay as they are: {problem}");
                let status = format!("{}; settings not read again: {problem}", self.status);
                self.supervisor.ready(&status);
            }
        }
    }

    /// One `recv` for each socket that may have something and whose session wants it; the next
    /// turn goes on where this one has had enough.
    fn read_sockets(&mut self, now: Now) {
        let mut pending = std::mem::take(&mut self.pending).into_iter();
        while !self.sessions.is_sated()
            && let Some(conn) = pending.next()
        {
            let Some(socket) = socket_mut(&mut self.sockets, conn) else { continue };
            socket.pending = false;
            if !self.sessions.wants_read(conn) {
                continue;
            }
            match socket.read(&mut self.scratch) {
                Ok(ReadOutcome::Bytes { count, more }) => {
                    if more {
                        socket.pending = true;
                        self.pending.push(conn);
                    }
                    let bytes = &self.scratch[..count];
                    self.sessions.receive(conn, bytes, now, &mut self.dispatch);
                }
                Ok(ReadOutcome::Nothing) => {}
                Ok(ReadOutcome::End) => {
                    self.sessions.receive_end(conn);
                }
                Err(error) => {
                    self.sessions.lost(conn, &error.to_string());
                }
            }
        }
        // Whoever was not read comes first in the next turn.
        let read = std::mem::replace(&mut self.pending, pending.collect());
        self.pending.extend(read);
    }

    fn finish_jobs(&mut self, now: Now) {
        self.workers.drain(&mut self.completions);
        for (id, outcome) in self.completions.drain(..) {
            self.dispatch.job_done(&mut self.sessions, id, outcome, now);
        }
        self.process_resumed(now);
    }

    /// Goes on with connections whose input was withheld.
    fn process_resumed(&mut self, now: Now) {
        while let Some(conn) = self.sessions.next_resumed(now, &mut self.dispatch) {
            let Some(socket) = socket_mut(&mut self.sockets, conn) else { continue };
            if socket.readable && !socket.pending {
                socket.pending = true;
                self.pending.push(conn);
            }
        }
    }

    /// Hands jobs to the pool while it takes them. A full pool needs no timer: the completion that
    /// makes room also wakes this loop.
    fn start_jobs(&mut self, now: Now) {
        for _ in 0..JOBS_PER_TURN_MAX {
            if self.workers.queued() >= JOBS_QUEUED_MAX {
                return;
            }
            let Some((id, job)) = self.dispatch.next_job(now) else { return };
            if let Err(job) = self.workers.try_submit(id, job) {
                self.dispatch.job_refused(id, job);
                return;
            }
        }
    }

    /// One vectored write for each session with something to send; those with much to send come
    /// last and take turns.
    fn flush(&mut self, now: Now) {
        let mut due = std::mem::take(&mut self.due);
        let mut bulk = std::mem::take(&mut self.bulk);
        self.sessions.take_due(&mut due, now);
        for conn in due.drain(..) {
            if self.sessions.unsent_bytes(conn) > BULK_BYTES_MIN
                || self.flush_one(conn, now).has_more
            {
                bulk.add(conn);
            }
        }
        bulk.take_turns(|conn| self.flush_one(conn, now));
        // They keep their capacity for the next turn.
        self.due = due;
        self.bulk = bulk;
    }

    /// One write for `conn`.
    fn flush_one(&mut self, conn: ConnId, now: Now) -> Written {
        let nothing = Written { bytes: 0, has_more: false };
        let Some(socket) = socket_mut(&mut self.sockets, conn) else { return nothing };
        let bytes = match write_one(&mut self.sessions, socket, conn, now) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.sessions.lost(conn, &error.to_string());
                return nothing;
            }
        };
        let has_more = socket.writable && self.sessions.has_unsent(conn);
        // With more to send it stays due.
        if !has_more && self.sessions.flushed(conn, now) == AfterFlush::ShutdownWrite {
            socket.shutdown_write();
        }
        Written { bytes, has_more }
    }

    /// Has everybody told who is gone, closes the sockets of sessions that have ended, and frees
    /// their slots: nowhere else is a slot freed. Returns whether there was one.
    fn reap(&mut self, now: Now) -> bool {
        self.sessions.take_finished(&mut self.finished, now, &mut self.dispatch);
        let any = !self.finished.is_empty();
        for conn in self.finished.drain(..) {
            if let Some(slot) = self.sockets.get_mut(conn.index as usize) {
                // Closing the file also takes it off the poll.
                *slot = None;
            }
            self.sessions.remove(conn);
        }
        any
    }

    fn accept(&mut self, now: Now) {
        let Self { gate, sessions, sockets, poll, .. } = self;
        gate.accept(now.at, |stream, peer| {
            register(sessions, sockets, poll, stream, peer, now);
        });
    }
}

fn signal_name(signal: i32) -> &'static str {
    if signal == SIGINT { "SIGINT" } else { "SIGTERM" }
}

/// Writes what `conn` has to send next, if `socket` takes it; how many bytes went.
fn write_one(
    sessions: &mut Sessions,
    socket: &mut Socket,
    conn: ConnId,
    now: Now,
) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let count = sessions.slices(conn, &mut slices);
    if count == 0 || !socket.writable {
        return Ok(0);
    }
    let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
    let written = socket.write(&slices[..count])?;
    if written > 0 {
        sessions.wrote(conn, written);
    }
    if written < offered {
        // Less than offered: the socket's buffer is full (epoll(7), question 9).
        socket.writable = false;
        sessions.blocked(conn, now);
    }
    Ok(written)
}

fn socket_mut(sockets: &mut [Option<(ConnId, Socket)>], conn: ConnId) -> Option<&mut Socket> {
    match sockets.get_mut(conn.index as usize) {
        Some(Some((id, socket))) if *id == conn => Some(socket),
        _ => None,
    }
}

/// Gives an accepted connection its session and has the kernel watch it.
fn register(
    sessions: &mut Sessions,
    sockets: &mut Vec<Option<(ConnId, Socket)>>,
    poll: &Poll,
    stream: Stream,
    peer: Peer,
    now: Now,
) {
    // Without a place even for a refusal, closing the socket is all that is left to say.
    let Ok(conn) = sessions.accept(peer, now) else { return };
    let mut socket = Socket::new(stream);
    let index = conn.index as usize;
    if let Err(error) = socket.register(poll.registry(), Token(index)) {
        warn!("{peer}: cannot be watched: {error}");
        sessions.abort(conn, "cannot be watched");
    }
    if sockets.len() <= index {
        sockets.resize_with(index + 1, || None);
    }
    debug_assert!(sockets[index].is_none(), "the slot was freed before it is used again");
    sockets[index] = Some((conn, socket));
}
