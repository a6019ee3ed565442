//! What the driver takes in during a turn: from which connection, in which order, for how long.
//!
//! Connections take turns by address ([`Rota`](super::rota::Rota)), and each phase of a turn is
//! bounded by time. The clock is the transport's.

use std::io::ErrorKind;
use std::time::Duration;

use super::dispatch::Dispatch;
use super::driver::{Driver, Place, Transport, is_passing};
use super::hold::Parked;
use super::intake::TakenIn;
use crate::base::ids::ConnId;
use crate::base::time::{Now, Timestamp};

/// What a turn takes in, in time. A message that is being handled then is still finished.
const INTAKE: Duration = Duration::from_millis(2);
/// What a turn gives to the outcomes of jobs, to deadlines, and to clients that are gone: each so
/// much, and one step more.
const PHASE: Duration = Duration::from_millis(1);
/// What a connection has of the turn of its address before its next connection goes on.
const SLICE: Duration = Duration::from_micros(100);
/// The least that a read asks for, in bytes.
const READ_BYTES_MIN: usize = 4 * 1024;

impl<D: Dispatch> Driver<D> {
    /// There may be something to take in from `conn`: it waits for its turn.
    pub(super) fn list(&mut self, conn: ConnId) {
        if let Some(readiness) = self.readiness.get_mut(conn)
            && readiness.place == Place::Nowhere
            && let Some(address) = self.sessions.share_of(conn)
        {
            readiness.place = Place::Listed;
            self.to_serve.add(address, conn);
        }
    }

    /// When a turn that begins to take in now has taken in enough.
    pub(super) fn intake_until<T: Transport<D>>(transport: &mut T) -> Timestamp {
        transport.now().at + INTAKE
    }

    /// Takes in what there is, one connection after the other, until it has been enough; the next
    /// turn goes on from there.
    pub(super) fn take_in<T: Transport<D>>(
        &mut self,
        transport: &mut T,
        now: Now,
        until: Timestamp,
    ) {
        while let Some(conn) = self.sessions.next_resumed() {
            self.list(conn);
        }
        let mut began = transport.now().at;
        while began < until
            && !self.sessions.is_sated()
            && let Some((address, conn)) = self.to_serve.next()
        {
            self.serve(transport, conn, now, began + SLICE);
            let ended = transport.now().at;
            let cost_us = ended.since(began).as_micros();
            self.to_serve.charge(address, u64::try_from(cost_us).unwrap_or(u64::MAX));
            began = ended;
        }
    }

    /// The outcomes of jobs reach the application.
    pub(super) fn finish_jobs<T: Transport<D>>(&mut self, transport: &mut T, now: Now) {
        if self.outcomes.is_empty() {
            transport.take_outcomes(&mut self.taken_outcomes);
            self.outcomes.extend(self.taken_outcomes.drain(..));
        }
        self.phase(transport, |driver, _| {
            let Some((id, outcome)) = driver.outcomes.pop_front() else { return false };
            driver.application.job_done(&mut driver.sessions, id, outcome, now);
            true
        });
    }

    /// Acts on deadlines that have passed.
    pub(super) fn handle_deadlines<T: Transport<D>>(&mut self, transport: &mut T, now: Now) {
        self.phase(transport, |driver, _| {
            driver.sessions.handle_deadline(now, &mut driver.application)
        });
        self.application.ease_memory(&mut self.sessions, now);
        self.sessions.enforce_budget(now);
    }

    /// Tells the application which clients are gone: once a turn or a few times, so that a
    /// thousand connections that break in one instant are all known to be gone before it is told
    /// of the first.
    pub(super) fn tell_departed<T: Transport<D>>(&mut self, transport: &mut T, now: Now) {
        self.phase(transport, |driver, _| {
            driver.sessions.tell_departed(now, &mut driver.application)
        });
    }

    /// Tells the application which clients are gone, closes the transports of sessions that have
    /// ended, and frees their slots: nowhere else is a slot freed.
    pub(super) fn reap<T: Transport<D>>(&mut self, transport: &mut T, now: Now) {
        self.tell_departed(transport, now);
        self.sessions.take_finished(&mut self.finished);
        self.phase(transport, |driver, transport| {
            let Some(conn) = driver.finished.pop_front() else { return false };
            if driver.sessions.is_forsaken(conn) {
                transport.forsake(conn);
            }
            transport.close(conn);
            driver.readiness.remove(conn);
            driver.sessions.remove(conn);
            true
        });
    }
}

impl<D: Dispatch> Driver<D> {
    /// Takes one step after the other until there is none, or they have had their time.
    fn phase<T: Transport<D>>(
        &mut self,
        transport: &mut T,
        mut step: impl FnMut(&mut Self, &mut T) -> bool,
    ) {
        let until = transport.now().at + PHASE;
        while step(self, transport) && transport.now().at < until {}
    }

    /// Takes in from `conn` what was withheld or, if nothing was, what one read brings.
    fn serve<T: Transport<D>>(
        &mut self,
        transport: &mut T,
        conn: ConnId,
        now: Now,
        until: Timestamp,
    ) {
        let Some(readiness) = self.readiness.get_mut(conn) else { return };
        readiness.place = Place::Nowhere;
        if let Some(parked) = self.sessions.release(conn) {
            let left = self.digest(transport, conn, parked.rest(), now, until);
            self.withhold(conn, left, |bytes| parked.keep_last(bytes));
            // Its socket may have more: something has come while the session did not want it.
            if left == Left::Nothing && self.has_input(conn) {
                self.list(conn);
            }
        } else if readiness.has_input && self.sessions.wants_read(conn) {
            let Some(count) = self.read(transport, conn, now) else { return };
            let scratch = std::mem::take(&mut self.scratch);
            let input = &scratch[..count];
            let left = self.digest(transport, conn, input, now, until);
            self.withhold(conn, left, |bytes| Parked::copy(&input[count - bytes..]));
            self.scratch = scratch;
            self.learn_read_bytes(count, left);
        }
    }

    /// Reads once; how many bytes that has brought, unless it has brought something else. If there
    /// may be more, the next turn reads that.
    fn read<T: Transport<D>>(
        &mut self,
        transport: &mut T,
        conn: ConnId,
        now: Now,
    ) -> Option<usize> {
        let readiness = self.readiness.get_mut(conn)?;
        let result = transport.read(conn, &mut self.scratch[..self.read_bytes]);
        // A short read has emptied the transport; asking again would only cost a call. It will say
        // so when more comes.
        readiness.has_input = match &result {
            Ok(count) => *count > 0 && (readiness.is_ending || *count == self.read_bytes),
            Err(error) => error.kind() == ErrorKind::Interrupted,
        };
        if readiness.has_input {
            self.again.push(conn);
        }
        match result {
            Ok(0) => self.sessions.receive_end(conn),
            Ok(count) => {
                self.sessions.received(conn, count, now);
                return Some(count);
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => self.sessions.abort(conn, &error.to_string()),
        }
        if !self.has_input(conn) {
            self.sessions.note_caught_up(conn);
        }
        None
    }

    /// What cannot be taken in at once is copied, and counts as held: so no more is read than was
    /// taken in lately.
    fn learn_read_bytes(&mut self, count: usize, left: Left) {
        if matches!(left, Left::Late(1..)) {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
        } else if left == Left::Nothing && count == self.read_bytes {
            self.read_bytes = (self.read_bytes * 2).min(self.scratch.len());
        }
    }

    /// Hands `input` of `conn` to the application, until it is used up, has to wait, or it is
    /// `until`.
    fn digest<T: Transport<D>>(
        &mut self,
        transport: &mut T,
        conn: ConnId,
        mut input: &[u8],
        now: Now,
        until: Timestamp,
    ) -> Left {
        loop {
            let taken = self.sessions.take_in(conn, &mut input, now, &mut self.application);
            match taken {
                TakenIn::All => return Left::Nothing,
                TakenIn::Held => return Left::Held(input.len()),
                TakenIn::One if self.sessions.is_sated() || transport.now().at >= until => {
                    return Left::Late(input.len());
                }
                TakenIn::One => {}
            }
        }
    }

    /// Withholds what is left of the input of `conn`; `keep` keeps the last so many bytes.
    fn withhold(&mut self, conn: ConnId, left: Left, keep: impl FnOnce(usize) -> Parked) {
        if let Left::Held(bytes) | Left::Late(bytes) = left {
            self.sessions.park(conn, keep(bytes));
        }
        if matches!(left, Left::Late(_)) {
            self.list(conn);
        }
        if !self.has_input(conn) {
            self.sessions.note_caught_up(conn);
        }
        self.sessions.end_intake(conn);
    }

    /// Whether the transport of `conn` may have something.
    fn has_input(&self, conn: ConnId) -> bool {
        self.readiness.get(conn).is_some_and(|readiness| readiness.has_input)
    }
}

/// What is left of a connection's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    /// So many bytes, which wait for the application.
    Held(usize),
    /// So many bytes, which wait for the connection's next turn.
    Late(usize),
}
