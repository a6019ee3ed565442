//! One turn of the loop, in its order: over sockets, or over what stands for them in a test.
//!
//! A turn is: wait → read the clock → note events → take in what there is, in turns by address →
//! finished jobs → deadlines → take in what they resumed → start jobs → flush (one vectored write
//! each) → reap → flush what reaping dirtied → accept.
//! Each of them is bounded by time. Whatever is left over is remembered, and the next wait is then
//! no wait.
//!
//! The driver knows no socket, clock or thread: those are the [`Transport`]'s.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::time::Duration;

use super::bulk::{BULK_BYTES_MIN, Bulk, Written};
use super::dispatch::Dispatch;
use super::rota::Rota;
use super::send_queue::SLICES_MAX;
use super::state::AfterFlush;
use super::table::{Refused, Sessions};
use crate::base::conn_map::ConnMap;
use crate::base::ids::{ConnId, JobId};
use crate::base::time::{Now, Timestamp};
use crate::config::RemoteEnd;

/// Bytes that one read brings at most. One buffer serves all connections.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Jobs taken from the application in one turn; the pool is full long before.
const JOBS_PER_TURN_MAX: usize = 256;
/// What one flush takes, in time, beside those that have much to send.
const FLUSH: Duration = Duration::from_millis(2);
/// Writes after which the clock is asked whether that is over.
const WRITES_PER_CHECK: usize = 16;
/// What a write counts for in the turn of an address, in microseconds.
const WRITE_COST_US: u64 = 10;

/// What carries bytes, jobs and the time: the kernel, or a simulation of it.
///
/// Readiness is edge-triggered: what is said once ([`Driver::readable`], [`Driver::writable`])
/// holds until a read brings less than it could, or a write takes less than it was given.
pub trait Transport<D: Dispatch> {
    /// Why the loop cannot go on.
    type Error;

    /// Reads the clock: before and after the wait, and between two pieces of work.
    fn now(&mut self) -> Now;

    /// How much time [`now`](Self::now) has left out so far, because nothing ran meanwhile.
    fn left_out(&self) -> Duration {
        Duration::ZERO
    }

    /// When the transport wants a turn, at the latest.
    fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    /// Waits for events, but not longer than `timeout`.
    ///
    /// # Errors
    /// If there is no waiting for events.
    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), Self::Error>;

    /// Tells `driver` what has happened. Nothing is read or written yet.
    fn note_events(&mut self, driver: &mut Driver<D>, now: Now);

    /// Reads once. `Ok(0)`: the peer has shut its half.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if there is nothing now; any other but
    /// [`ErrorKind::Interrupted`] ends the connection.
    fn read(&mut self, conn: ConnId, into: &mut [u8]) -> io::Result<usize>;

    /// Writes once, as much as there is room for, and returns how many bytes that was.
    ///
    /// # Errors
    /// As those of [`read`](Self::read).
    fn write(&mut self, conn: ConnId, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Has about `bytes` bytes of what is written to `conn` kept for it at most.
    fn set_send_buffer(&mut self, _conn: ConnId, _bytes: usize) {}

    /// Leaves only those in `conns` whose peers have not taken in what was written.
    fn retain_full(&mut self, conns: &mut Vec<ConnId>) {
        conns.clear();
    }

    /// Has what was written to `conn` and is not sent yet forgotten, once it is closed.
    fn forsake(&mut self, _conn: ConnId) {}

    /// Shuts the writing half.
    fn shut(&mut self, conn: ConnId);

    /// Closes what is left of a connection.
    fn close(&mut self, conn: ConnId);

    /// Hands connections that wait to [`Driver::accept`], a bounded number of them.
    fn accept(&mut self, driver: &mut Driver<D>, now: Now);

    /// Moves the outcomes of jobs that have ended to `into`.
    fn take_outcomes(&mut self, into: &mut Vec<(JobId, D::Outcome)>);

    /// Whether a job would be taken. The end of another job that makes room is an event.
    fn takes_jobs(&self) -> bool;

    /// Starts a job.
    ///
    /// # Errors
    /// The job, if it is not taken after all.
    fn start_job(&mut self, id: JobId, job: D::Job) -> Result<(), D::Job>;
}

/// How the loop came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything was sent and stored.
    Cleanly,
    /// `SHUTDOWN_GRACE_SECONDS` were over.
    GraceOver,
    /// It was asked to end at once.
    Forced,
}

/// Sessions and the application behind them, driven by a [`Transport`].
#[derive(Debug)]
pub struct Driver<D: Dispatch> {
    pub(super) sessions: Sessions,
    pub(super) application: D,
    /// What the transport last said of each connection.
    pub(super) readiness: ConnMap<Readiness>,
    pub(super) scratch: Vec<u8>,
    /// What a read asks for, in bytes.
    pub(super) read_bytes: usize,
    /// Connections of which something may be taken in, each once.
    pub(super) to_serve: Rota,
    /// Connections that were read in this turn and may have more.
    pub(super) again: Vec<ConnId>,
    /// Sessions to flush; empty between two flushes.
    due: Vec<ConnId>,
    /// Sessions to flush that are left over, by address.
    to_flush: Rota,
    /// Sessions to flush that have much to send.
    bulk: Bulk,
    /// Sessions that have ended, to be closed.
    pub(super) finished: VecDeque<ConnId>,
    pub(super) outcomes: VecDeque<(JobId, D::Outcome)>,
    /// Empty between two uses.
    pub(super) taken_outcomes: Vec<(JobId, D::Outcome)>,
    /// When the last turn began, after its wait.
    turn_began: Option<Timestamp>,
    /// What the transport now says is ready may have been so since then, on a clock that leaves
    /// nothing out.
    ready_since: Timestamp,
    stop: Stop,
}

/// What a connection's transport may do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readiness {
    /// There may be something to read.
    pub(super) has_input: bool,
    pub(super) place: Place,
    /// The peer has shut its half: a short read is not the last one, the end is still to be read,
    /// and the transport will not say so again.
    pub(super) is_ending: bool,
    /// It may take something.
    is_writable: bool,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing of it is to be taken in.
    Nowhere,
    /// In the rota: it waits for its turn.
    Listed,
}

/// Whether the loop was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    /// Until then.
    Asked(Timestamp),
    Now,
}

impl<D: Dispatch> Driver<D> {
    /// A driver of `sessions`, without any connection yet.
    pub fn new(sessions: Sessions, application: D) -> Self {
        Self {
            sessions,
            application,
            readiness: ConnMap::default(),
            scratch: vec![0; SCRATCH_BYTES],
            read_bytes: SCRATCH_BYTES,
            to_serve: Rota::default(),
            again: Vec::new(),
            due: Vec::new(),
            to_flush: Rota::default(),
            bulk: Bulk::default(),
            finished: VecDeque::new(),
            outcomes: VecDeque::new(),
            taken_outcomes: Vec::new(),
            turn_began: None,
            ready_since: Timestamp(0),
            stop: Stop::No,
        }
    }

    /// The sessions.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The application.
    pub fn application(&self) -> &D {
        &self.application
    }

    /// Both, for what comes from outside of all connections.
    pub fn parts_mut(&mut self) -> (&mut D, &mut Sessions) {
        (&mut self.application, &mut self.sessions)
    }

    /// Takes one turn. Returns how the loop has ended, once it has.
    ///
    /// # Errors
    /// Those of [`Transport::wait`].
    pub fn turn<T: Transport<D>>(&mut self, transport: &mut T) -> Result<Option<Ended>, T::Error> {
        let now = self.wait(transport)?;
        let until = Self::intake_until(transport);
        transport.note_events(self, now);
        for conn in std::mem::take(&mut self.again) {
            self.list(conn);
        }
        self.take_in(transport, now, until);
        self.finish_jobs(transport, now);
        self.handle_deadlines(transport, now);
        self.tell_departed(transport, now);
        self.application.handle_timeout(&mut self.sessions, now);
        self.take_in(transport, now, until);
        self.start_jobs(transport, now);
        self.flush(transport, now);
        self.reap(transport, now);
        if self.sessions.has_due(now) {
            self.flush(transport, now);
        }
        transport.accept(self, now);
        Ok(self.end(now))
    }
}

// What the transport tells.
impl<D: Dispatch> Driver<D> {
    /// A connection came from `peer`. Its transport takes bytes, and has none yet.
    ///
    /// # Errors
    /// [`Refused`] when there is no place even for telling it so: close it.
    pub fn accept(&mut self, peer: RemoteEnd, now: Now) -> Result<ConnId, Refused> {
        let conn = self.sessions.accept(peer, now)?;
        let new = Readiness {
            has_input: false,
            place: Place::Nowhere,
            is_ending: false,
            is_writable: true,
        };
        self.readiness.insert(conn, new);
        Ok(conn)
    }

    /// There may be something to read from `conn`.
    pub fn readable(&mut self, conn: ConnId) {
        if let Some(readiness) = self.readiness.get_mut(conn) {
            readiness.has_input = true;
            self.sessions.note_input(conn, self.ready_since);
            self.list(conn);
        }
    }

    /// The peer of `conn` has shut its half: reading will tell.
    pub fn ending(&mut self, conn: ConnId) {
        if let Some(readiness) = self.readiness.get_mut(conn) {
            readiness.is_ending = true;
        }
        self.readable(conn);
    }

    /// `conn` may take bytes again.
    pub fn writable(&mut self, conn: ConnId) {
        if let Some(readiness) = self.readiness.get_mut(conn) {
            readiness.is_writable = true;
            self.sessions.unblocked(conn);
        }
    }

    /// There is no use in `conn` any more.
    pub fn abort(&mut self, conn: ConnId, why: &str) {
        self.sessions.abort(conn, why);
    }

    /// Something came for the application from outside of all connections.
    pub fn deliver(&mut self, event: D::Event, now: Now) {
        self.application.event(&mut self.sessions, event, now);
    }

    /// The loop is to stop: once all is sent and stored, or the grace is over.
    pub fn stop(&mut self, now: Now) {
        self.stop = Stop::Asked(now.at + self.application.shutdown_grace());
        self.application.shut_down(&mut self.sessions, now);
    }

    /// The loop is to end with this turn.
    pub fn stop_at_once(&mut self) {
        self.stop = Stop::Now;
    }

    /// Whether the loop was asked to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop != Stop::No
    }
}

// The steps of a turn.
impl<D: Dispatch> Driver<D> {
    /// Waits for something to do. What is ready then may have been so since the last wait, for all
    /// that is known: as long as the last turn took, or the process did not run.
    fn wait<T: Transport<D>>(&mut self, transport: &mut T) -> Result<Now, T::Error> {
        let ended = transport.now().at;
        let left_out = transport.left_out();
        let took = self.turn_began.map_or(Duration::ZERO, |began| ended.since(began));
        if self.turn_began.is_some() {
            self.application.turned(took);
        }
        let lost = left_out.saturating_sub(self.sessions.left_out);
        transport.wait(self.timeout(ended, transport.poll_timeout()))?;
        let now = transport.now();
        let stalled = transport.left_out().saturating_sub(left_out);
        let late = took + lost + stalled;
        let passed = now.at.since(Timestamp(0)) + transport.left_out();
        self.ready_since = Timestamp(0) + passed.saturating_sub(late);
        self.turn_began = Some(now.at);
        self.sessions.begin_turn(transport.left_out(), !self.to_flush.is_empty());
        Ok(now)
    }

    /// How long nothing needs to be done.
    fn timeout(&self, now: Timestamp, transport: Option<Timestamp>) -> Option<Duration> {
        let is_taken_in = self.to_serve.is_empty() && self.again.is_empty();
        let is_flushed = self.to_flush.is_empty() && self.bulk.is_empty();
        let is_done = self.outcomes.is_empty() && self.finished.is_empty();
        let is_idle = is_taken_in && is_flushed && is_done;
        if !is_idle || self.sessions.has_leftovers() {
            return Some(Duration::ZERO);
        }
        let stop = match self.stop {
            Stop::Asked(until) => Some(until),
            Stop::No | Stop::Now => None,
        };
        let (sessions, application) =
            (self.sessions.poll_timeout(), self.application.poll_timeout());
        let deadlines = [sessions, application, transport, stop];
        deadlines.into_iter().flatten().min().map(|deadline| deadline.since(now))
    }

    /// Starts jobs while they are taken. A full pool needs no timer: the end of a job that makes
    /// room also ends the wait.
    fn start_jobs<T: Transport<D>>(&mut self, transport: &mut T, now: Now) {
        for _ in 0..JOBS_PER_TURN_MAX {
            if !transport.takes_jobs() {
                return;
            }
            let Some((id, job)) = self.application.next_job(now) else { return };
            if let Err(job) = transport.start_job(id, job) {
                self.application.job_refused(id, job);
                return;
            }
        }
    }

    /// One vectored write for each session with something to send; those with much to send come
    /// last and take turns. If the time is over, the rest is flushed in the next turn: in turns by
    /// address, so that what few are to hear does not wait for what a crowd is to hear.
    fn flush<T: Transport<D>>(&mut self, transport: &mut T, now: Now) {
        let mut due = std::mem::take(&mut self.due);
        self.sessions.take_due(&mut due, now);
        if due.len() <= WRITES_PER_CHECK && self.to_flush.is_empty() {
            due.drain(..).for_each(|conn| self.flush_or_wait(transport, conn, now));
        } else {
            for conn in due.drain(..) {
                if let Some(address) = self.sessions.share_of(conn) {
                    self.to_flush.add(address, conn);
                }
            }
            self.flush_by_address(transport, now);
        }
        let mut bulk = std::mem::take(&mut self.bulk);
        bulk.take_turns(|conn| self.flush_one(transport, conn, now));
        self.bulk = bulk;
        self.sessions.take_unconfirmed(&mut due);
        if !due.is_empty() {
            transport.retain_full(&mut due);
            due.drain(..).for_each(|conn| self.sessions.filled(conn));
        }
        // It keeps its capacity for the next turn.
        self.due = due;
    }

    fn flush_by_address<T: Transport<D>>(&mut self, transport: &mut T, now: Now) {
        let until = transport.now().at + FLUSH;
        loop {
            for _ in 0..WRITES_PER_CHECK {
                let Some((address, conn)) = self.to_flush.next() else { return };
                self.flush_or_wait(transport, conn, now);
                self.to_flush.charge(address, WRITE_COST_US);
            }
            if transport.now().at >= until {
                return;
            }
        }
    }

    /// One write for `conn`, unless it has so much to send that it waits for its turn.
    fn flush_or_wait<T: Transport<D>>(&mut self, transport: &mut T, conn: ConnId, now: Now) {
        if self.sessions.unsent_bytes(conn) > BULK_BYTES_MIN
            || self.flush_one(transport, conn, now).has_more
        {
            self.bulk.add(conn);
        }
    }

    /// One write for `conn`.
    fn flush_one<T: Transport<D>>(&mut self, transport: &mut T, conn: ConnId, now: Now) -> Written {
        let nothing = Written { bytes: 0, has_more: false };
        let Some(readiness) = self.readiness.get_mut(conn) else { return nothing };
        let bytes = match write_one(&mut self.sessions, transport, readiness, conn, now) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.sessions.abort(conn, &error.to_string());
                return nothing;
            }
        };
        let has_more = readiness.is_writable && self.sessions.has_unsent(conn);
        // With more to send it stays due.
        if !has_more && self.sessions.flushed(conn, now) == AfterFlush::ShutdownWrite {
            transport.shut(conn);
        }
        Written { bytes, has_more }
    }

    fn end(&self, now: Now) -> Option<Ended> {
        match self.stop {
            Stop::No => None,
            Stop::Now => Some(Ended::Forced),
            Stop::Asked(_) if self.sessions.is_empty() && self.application.is_finished() => {
                Some(Ended::Cleanly)
            }
            Stop::Asked(until) => (until <= now.at).then_some(Ended::GraceOver),
        }
    }
}

/// Writes what `conn` has to send next, if its transport takes it; how many bytes went.
fn write_one<D: Dispatch, T: Transport<D>>(
    sessions: &mut Sessions,
    transport: &mut T,
    readiness: &mut Readiness,
    conn: ConnId,
    now: Now,
) -> io::Result<usize> {
    if !readiness.is_writable {
        return Ok(0);
    }
    if let Some(bytes) = sessions.enlarged_send_buffer(conn) {
        transport.set_send_buffer(conn, bytes);
    }
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let count = sessions.slices(conn, &mut slices);
    if count == 0 {
        return Ok(0);
    }
    let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
    let written = match transport.write(conn, &slices[..count]) {
        Err(error) if is_passing(&error) => 0,
        result => result?,
    };
    if written > 0 {
        sessions.wrote(conn, written);
    }
    if written < offered {
        // Less than offered: there is no more room (epoll(7), question 9).
        readiness.is_writable = false;
        sessions.blocked(conn, now);
    }
    Ok(written)
}

/// Whether the connection is as good as before.
pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
