//! The table of all sessions: its limits, how a session gets in, how it ends, and what it counts.

use std::collections::VecDeque;
use std::time::Duration;

use log::debug;

use super::flush_list::FlushList;
use super::places::Places;
use super::state::Session;
use super::timeouts::Timeouts;
use crate::base::conn_map::ConnSlab;
use crate::base::ids::ConnId;
use crate::base::memory::MemoryBudget;
use crate::base::metrics::Traffic;
use crate::base::time::{Now, Timestamp};
use crate::base::timer_set::TimerSet;
use crate::config::{Config, RemoteEnd, TrustedProxies};
use crate::http::{Response, ResponseEncoder};
use crate::ws::{self, CloseReason, DecoderPool};

/// Connections beyond the limit that may be open at once, just long enough to be told 503.
const REFUSALS_MAX: usize = 64;
/// What the connections may come to hold in one turn before no more is taken in: what is queued
/// gets a chance to leave first. A thousand clients that come, or go, in one instant may
/// otherwise queue a million messages before the first is sent.
const GROWTH_PER_TURN_MAX: usize = 8 << 20;
/// So much is taken in even when the memory budget is used up, or no connection would get further.
const GROWTH_PER_TURN_MIN: usize = 1 << 20;

/// There is no room for a further connection, not even to say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// The table of all connections.
#[derive(Debug)]
pub struct Sessions {
    pub(super) slots: ConnSlab<Session>,
    pub(super) pool: DecoderPool,
    /// Automatic answers (pong, close) of the frame decoder, on their way into a queue.
    pub(super) replies: Vec<u8>,
    pub(super) encoder: ResponseEncoder,
    /// When to look at a session again. Receiving bytes moves most deadlines later, on every
    /// message; the set is not touched then, and an entry that comes due too early is put back.
    pub(super) deadlines: TimerSet<ConnId>,
    pub(super) timeouts: Timeouts,
    pub(super) places: Places,
    pub(super) to_flush: FlushList,
    pub(super) departed: VecDeque<ConnId>,
    /// What was withheld of them goes on.
    pub(super) resumed: Vec<ConnId>,
    /// Bytes in use at which no more is taken in during this turn.
    sated_at: usize,
    /// What the loop's clock has left out so far.
    pub(super) left_out: Duration,
    pub(super) finished: Vec<ConnId>,
    pub(super) budget: MemoryBudget,
    /// Closing sessions was of no use while less than this was in use, in bytes.
    pub(super) vain_below: usize,
    /// Bytes that send buffers may hold although nothing says so.
    pub(super) unconfirmed_bytes: usize,
    pub(super) connections_max: usize,
    pub(super) connections_per_ip_max: u32,
    pub(super) send_queue_bytes_max: usize,
    pub(super) trusted_proxies: TrustedProxies,
    /// Connections that are only there to be refused.
    pub(super) refusals: usize,
    pub(super) traffic: Traffic,
}

impl Sessions {
    /// An empty table with the limits of `config`.
    pub fn new(config: &Config, budget: MemoryBudget) -> Self {
        let limits = &config.limits;
        Self {
            slots: ConnSlab::default(),
            pool: DecoderPool::default(),
            replies: Vec::new(),
            encoder: ResponseEncoder::default(),
            deadlines: TimerSet::default(),
            timeouts: Timeouts::from(limits),
            places: Places::default(),
            to_flush: FlushList::default(),
            departed: VecDeque::new(),
            resumed: Vec::new(),
            sated_at: GROWTH_PER_TURN_MIN,
            left_out: Duration::ZERO,
            finished: Vec::new(),
            budget,
            vain_below: 0,
            unconfirmed_bytes: 0,
            connections_max: limits.connections_max as usize,
            connections_per_ip_max: limits.connections_per_ip_max,
            send_queue_bytes_max: limits.send_queue_bytes_max,
            trusted_proxies: config.trusted_proxies.clone(),
            refusals: 0,
            traffic: Traffic::default(),
        }
    }

    /// A turn begins, before which the loop's clock has left out `left_out`. If not all was
    /// flushed that the last one queued (`is_behind`), no more is taken in than it might have.
    pub(super) fn begin_turn(&mut self, left_out: Duration, is_behind: bool) {
        let free = self.budget.limit().saturating_sub(self.budget.used());
        let growth = free.clamp(GROWTH_PER_TURN_MIN, GROWTH_PER_TURN_MAX);
        let sated_at = self.budget.used() + growth;
        self.sated_at = if is_behind { self.sated_at.min(sated_at) } else { sated_at };
        self.left_out = left_out;
    }

    /// Enough was taken in for this turn: read no further.
    pub(super) fn is_sated(&self) -> bool {
        self.budget.used() > self.sated_at
    }

    /// A connection came from `peer`. Over a limit it is still given an id, is told 503, and
    /// is closed.
    ///
    /// # Errors
    /// [`Refused`] when even the places for that are taken: close the socket.
    pub(super) fn accept(&mut self, peer: RemoteEnd, now: Now) -> Result<ConnId, Refused> {
        if self.slots.len() >= self.connections_max + REFUSALS_MAX {
            return Err(Refused);
        }
        let opened = self.slots.insert(|conn| Session::new(conn, peer, now.at));
        let conn = opened.ok_or(Refused)?;
        self.traffic.connections_accepted += 1;
        self.places.release(now.at);
        let trusted = self.trusted_proxies.trusts(peer);
        if self.slots.len() - self.refusals > self.connections_max {
            self.refuse(conn, "the server is full", now);
        } else if !trusted && !self.count(conn, peer.address()) {
            self.refuse(conn, "too many connections from this address", now);
        } else {
            debug!("{conn} {peer}: connected");
        }
        self.settle(conn);
        self.arm(conn);
        Ok(conn)
    }

    /// Frees the slot of `conn`: the only place where one is freed.
    pub(super) fn remove(&mut self, conn: ConnId) {
        let Some(mut session) = self.slots.remove(conn) else { return };
        debug_assert!(session.is_gone(), "a live session cannot be removed");
        debug_assert_eq!(session.counted_bytes, 0);
        self.deadlines.rearm(conn, &mut session.armed, None);
        self.refusals -= usize::from(session.refused);
        if let Some(place) = &session.place {
            self.places.give_back(place);
        }
    }

    /// When [`handle_deadline`](Self::handle_deadline) or [`take_due`](Self::take_due) wants to
    /// be called.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        [self.deadlines.poll_timeout(), self.to_flush.poll_timeout()].into_iter().flatten().min()
    }
}

// Helpers of all that a session can meet.
impl Sessions {
    /// Of what is queued, only what is on its way still goes out.
    pub(super) fn forget_unstarted(&mut self, conn: ConnId) {
        if let Some(session) = self.slots.get_mut(conn) {
            session.queue.clear_unstarted();
        }
    }

    /// Ends `conn` at once: what is queued is lost.
    pub fn abort(&mut self, conn: ConnId, why: &str) {
        let Some(session) = self.slots.get_mut(conn) else { return };
        if session.is_gone() {
            return;
        }
        debug!("{conn} {}: gone, {why}", session.peer);
        let known = session.is_websocket() || session.is_answering();
        self.unconfirmed_bytes -= session.send_buffer.unconfirmed_bytes();
        session.abandon();
        if known {
            self.depart(conn);
        }
        self.settle(conn);
        self.finished.push(conn);
    }

    /// The application is to hear that the client is gone.
    pub(super) fn depart(&mut self, conn: ConnId) {
        let Some(session) = self.slots.get_mut(conn) else { return };
        if session.depart() {
            self.departed.push_back(conn);
        }
    }

    pub(super) fn push_close_frame(&mut self, conn: ConnId, reason: CloseReason) {
        let mut frame = Vec::new();
        ws::close_frame(reason, &mut frame);
        let Some(session) = self.slots.get_mut(conn) else { return };
        session.queue.push_copy(&frame);
        *self.traffic.closes.entry(reason.name()).or_default() += 1;
    }

    pub(super) fn mark_due(&mut self, conn: ConnId) {
        if let Some(session) = self.slots.get_mut(conn) {
            self.to_flush.add_due(&mut session.flush, conn);
        }
    }

    /// Tells the memory budget what the session holds now.
    pub(super) fn settle(&mut self, conn: ConnId) {
        if let Some(session) = self.slots.get_mut(conn) {
            session.settle(&self.budget);
        }
    }

    /// Makes sure that `conn` is looked at in time.
    pub(super) fn arm(&mut self, conn: ConnId) {
        let Some(session) = self.slots.get_mut(conn) else { return };
        let Some(deadline) = session.deadline(&self.timeouts) else { return };
        if session.armed.is_none_or(|armed| deadline < armed) {
            self.deadlines.rearm(conn, &mut session.armed, Some(deadline));
        }
    }

    /// A connection that is only told that there is no place for it.
    fn refuse(&mut self, conn: ConnId, why: &'static str, now: Now) {
        let Some(session) = self.slots.get_mut(conn) else { return };
        session.refused = true;
        debug!("{conn} {}: refused, {why}", session.peer);
        self.refusals += 1;
        self.traffic.connections_refused += 1;
        self.respond(conn, &Response::unavailable(why), now);
    }
}
