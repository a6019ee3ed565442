//! One turn of the loop, in its order: over sockets, or over what stands for them in a test.
//!
//! A turn is: wait → read the clock → note events → take up what the last turn left over → read
//! (once for each connection that may have something) → finished jobs → deadlines → start jobs →
//! flush (one vectored write each) → reap → flush what reaping dirtied → accept.
//! Whatever is left over is remembered, and the next wait is then no wait.
//!
//! The driver knows no socket, clock or thread: those are the [`Transport`]'s.

use std::io::{self, ErrorKind, IoSlice};
use std::time::Duration;

use super::bulk::{BULK_BYTES_MIN, Bulk, Written};
use super::dispatch::Dispatch;
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

/// What carries bytes, jobs and the time: the kernel, or a simulation of it.
///
/// Readiness is edge-triggered: what is said once ([`Driver::readable`], [`Driver::writable`])
/// holds until a read brings less than it could, or a write takes less than it was given.
pub trait Transport<D: Dispatch> {
    /// Why the loop cannot go on.
    type Error;

    /// Reads the clock: asked twice a turn, before and after the wait.
    fn now(&self) -> Now;

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
    sessions: Sessions,
    application: D,
    /// What the transport last said of each connection.
    readiness: ConnMap<Readiness>,
    scratch: Vec<u8>,
    /// Connections that may have something to read, each once.
    to_read: Vec<ConnId>,
    /// Sessions to flush; empty between two flushes.
    due: Vec<ConnId>,
    /// Sessions to flush that have much to send.
    bulk: Bulk,
    finished: Vec<ConnId>,
    outcomes: Vec<(JobId, D::Outcome)>,
    /// When the last turn began, after its wait.
    turn_began: Option<Timestamp>,
    stop: Stop,
}

/// What a connection's transport may do.
#[derive(Clone, Copy, Debug)]
struct Readiness {
    input: Readable,
    /// The peer has shut its half: a short read is not the last one, the end is still to be read,
    /// and the transport will not say so again.
    is_ending: bool,
    /// It may take something.
    is_writable: bool,
}

/// Whether there is something to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readable {
    /// Nothing.
    No,
    /// Perhaps, but the session does not want it now.
    Unwanted,
    /// Perhaps: the connection stands in the list of those to read.
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
            to_read: Vec::new(),
            due: Vec::new(),
            bulk: Bulk::default(),
            finished: Vec::new(),
            outcomes: Vec::new(),
            turn_began: None,
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
        let ended = transport.now().at;
        if let Some(began) = self.turn_began {
            self.application.turned(ended.since(began));
        }
        transport.wait(self.timeout(ended, transport.poll_timeout()))?;
        let now = transport.now();
        self.turn_began = Some(now.at);
        self.sessions.begin_turn();
        transport.note_events(self, now);
        self.process_resumed(now);
        self.read(transport, now);
        self.finish_jobs(transport, now);
        self.sessions.handle_timeout(now, &mut self.application);
        self.application.handle_timeout(&mut self.sessions, now);
        self.process_resumed(now);
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
        let new = Readiness { input: Readable::No, is_ending: false, is_writable: true };
        self.readiness.insert(conn, new);
        Ok(conn)
    }

    /// There may be something to read from `conn`.
    pub fn readable(&mut self, conn: ConnId) {
        if let Some(readiness) = self.readiness.get_mut(conn)
            && readiness.input != Readable::Listed
        {
            readiness.input = Readable::Listed;
            self.to_read.push(conn);
        }
    }

    /// The peer of `conn` has shut its half, or the connection broke: reading will tell.
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
    /// How long nothing needs to be done.
    fn timeout(&self, now: Timestamp, transport: Option<Timestamp>) -> Option<Duration> {
        let is_busy = !self.to_read.is_empty() || !self.bulk.is_empty();
        if is_busy || self.sessions.has_leftovers() {
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

    /// Goes on with connections whose input was withheld.
    fn process_resumed(&mut self, now: Now) {
        while let Some(conn) = self.sessions.next_resumed(now, &mut self.application) {
            if self.readiness.get(conn).is_some_and(|known| known.input == Readable::Unwanted) {
                self.readable(conn);
            }
        }
    }

    /// One read for each connection that may have something and whose session wants it; the next
    /// turn goes on where this one has had enough.
    fn read<T: Transport<D>>(&mut self, transport: &mut T, now: Now) {
        let mut listed = std::mem::take(&mut self.to_read).into_iter();
        while !self.sessions.is_sated()
            && let Some(conn) = listed.next()
        {
            let Some(readiness) = self.readiness.get_mut(conn) else { continue };
            readiness.input = Readable::Unwanted;
            if self.sessions.wants_read(conn) {
                self.read_one(transport, conn, now);
            }
        }
        // What was not read comes first in the next turn.
        let read = std::mem::replace(&mut self.to_read, listed.collect());
        self.to_read.extend(read);
    }

    fn read_one<T: Transport<D>>(&mut self, transport: &mut T, conn: ConnId, now: Now) {
        let Some(readiness) = self.readiness.get_mut(conn) else { return };
        let result = transport.read(conn, &mut self.scratch);
        // A short read has emptied the transport; asking again would only cost a call. It will say
        // so when more comes.
        let has_more = match &result {
            Ok(count) => *count > 0 && (readiness.is_ending || *count == self.scratch.len()),
            Err(error) => error.kind() == ErrorKind::Interrupted,
        };
        readiness.input = if has_more { Readable::Listed } else { Readable::No };
        if has_more {
            self.to_read.push(conn);
        }
        match result {
            Ok(0) => self.sessions.receive_end(conn),
            Ok(count) => {
                let bytes = &self.scratch[..count];
                self.sessions.receive(conn, bytes, now, &mut self.application);
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => self.sessions.abort(conn, &error.to_string()),
        }
    }

    fn finish_jobs<T: Transport<D>>(&mut self, transport: &mut T, now: Now) {
        transport.take_outcomes(&mut self.outcomes);
        for (id, outcome) in self.outcomes.drain(..) {
            self.application.job_done(&mut self.sessions, id, outcome, now);
        }
        self.process_resumed(now);
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
    /// last and take turns.
    fn flush<T: Transport<D>>(&mut self, transport: &mut T, now: Now) {
        let mut due = std::mem::take(&mut self.due);
        let mut bulk = std::mem::take(&mut self.bulk);
        self.sessions.take_due(&mut due, now);
        for conn in due.drain(..) {
            if self.sessions.unsent_bytes(conn) > BULK_BYTES_MIN
                || self.flush_one(transport, conn, now).has_more
            {
                bulk.add(conn);
            }
        }
        bulk.take_turns(|conn| self.flush_one(transport, conn, now));
        self.sessions.take_unconfirmed(&mut due);
        if !due.is_empty() {
            transport.retain_full(&mut due);
            due.drain(..).for_each(|conn| self.sessions.filled(conn));
        }
        // They keep their capacity for the next turn.
        self.due = due;
        self.bulk = bulk;
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

    /// Has the application told which clients are gone, closes the transports of sessions that
    /// have ended, and frees their slots: nowhere else is a slot freed.
    fn reap<T: Transport<D>>(&mut self, transport: &mut T, now: Now) {
        self.sessions.take_finished(&mut self.finished, now, &mut self.application);
        for conn in self.finished.drain(..) {
            if self.sessions.is_forsaken(conn) {
                transport.forsake(conn);
            }
            transport.close(conn);
            self.readiness.remove(conn);
            self.sessions.remove(conn);
        }
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
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
