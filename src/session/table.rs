//! All sessions: the slab, who has something to send, who is due, who is finished.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::io::IoSlice;

use log::{debug, warn};
use slab::Slab;

use super::Dispatch;
use super::deadlines::{Deadlines, NEVER};
use super::flush_list::FlushList;
use super::state::{AfterFlush, Expired, Input, InputError, Session};
use super::timeouts::Timeouts;
use crate::base::ids::ConnId;
use crate::base::memory::MemoryBudget;
use crate::base::metrics::Traffic;
use crate::base::time::{Now, Timestamp};
use crate::config::{AddressKey, Config, Peer, TrustedProxies};
use crate::http::{Response, ResponseEncoder, Status};
use crate::ws::{self, CloseReason, DecoderPool, Incoming};

/// Connections beyond the limit that may be open at once, just long enough to be told 503.
const REFUSALS_MAX: usize = 64;
/// Sessions that are closed in one turn because the memory budget is exceeded.
const EVICTIONS_PER_TURN_MAX: usize = 64;
/// What the connections may come to hold in one turn before no more is taken in: what is queued
/// gets a chance to leave first. A thousand members that join, or go, in one instant would
/// otherwise queue a million messages before the first is sent.
const GROWTH_PER_TURN_MAX: usize = 8 << 20;
/// While more than this share (1/n) of the memory budget is in use, news do not wait for others.
const PATIENT_SHARE: usize = 4;
/// What may be in use beyond the budget for a moment, before those that hold most are closed in
/// the middle of a turn.
const EXCESS_BYTES_MAX: usize = GROWTH_PER_TURN_MAX;
/// So much is taken in even when the memory budget is used up, or nobody would get on.
const GROWTH_PER_TURN_MIN: usize = 1 << 20;
/// A scratch buffer that grew beyond this for one big message is given back.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

/// There is no room for a further connection, not even to say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// The table of all connections. See the [module](super) for the order of calls.
#[derive(Debug)]
pub struct Sessions {
    pub(super) slab: Slab<Session>,
    pub(super) pool: DecoderPool,
    /// Automatic answers (pong, close) of the frame decoder, on their way into a queue.
    pub(super) replies: Vec<u8>,
    pub(super) encoder: ResponseEncoder,
    pub(super) deadlines: Deadlines,
    pub(super) timeouts: Timeouts,
    pub(super) per_address: HashMap<AddressKey, u32>,
    pub(super) to_flush: FlushList,
    pub(super) departed: VecDeque<ConnId>,
    pub(super) resumed: Vec<ConnId>,
    /// Their input waits for the next turn.
    postponed: Vec<ConnId>,
    /// Bytes in use at which no more is taken in during this turn.
    sated_at: usize,
    pub(super) finished: Vec<ConnId>,
    pub(super) budget: MemoryBudget,
    pub(super) connections_max: usize,
    pub(super) connections_per_ip_max: u32,
    pub(super) send_queue_bytes_max: usize,
    pub(super) trusted_proxies: TrustedProxies,
    /// Connections accepted so far; the generation of the newest.
    pub(super) accepted: u32,
    /// Connections that are only there to be refused.
    pub(super) refusals: usize,
    pub(super) traffic: Traffic,
}

impl Sessions {
    /// An empty table with the limits of `config`.
    pub fn new(config: &Config, budget: MemoryBudget) -> Self {
        let limits = &config.limits;
        Self {
            slab: Slab::new(),
            pool: DecoderPool::default(),
            replies: Vec::new(),
            encoder: ResponseEncoder::default(),
            deadlines: Deadlines::default(),
            timeouts: Timeouts::from(limits),
            per_address: HashMap::new(),
            to_flush: FlushList::default(),
            departed: VecDeque::new(),
            resumed: Vec::new(),
            postponed: Vec::new(),
            sated_at: GROWTH_PER_TURN_MIN,
            finished: Vec::new(),
            budget,
            connections_max: limits.connections_max as usize,
            connections_per_ip_max: limits.connections_per_ip_max,
            send_queue_bytes_max: limits.send_queue_bytes_max,
            trusted_proxies: config.trusted_proxies.clone(),
            accepted: 0,
            refusals: 0,
            traffic: Traffic::default(),
        }
    }

    // --- the transport tells what happened ---

    /// A turn begins: what came too much for the last one is taken up again.
    pub fn begin_turn(&mut self) {
        let free = self.budget.limit().saturating_sub(self.budget.used());
        let growth = free.clamp(GROWTH_PER_TURN_MIN, GROWTH_PER_TURN_MAX);
        self.sated_at = self.budget.used() + growth;
        for conn in std::mem::take(&mut self.postponed) {
            let Some(session) = self.session_mut(conn) else { continue };
            if session.take_up() {
                self.resumed.push(conn);
            }
        }
    }

    /// Enough was taken in for this turn: read no further.
    pub fn is_sated(&self) -> bool {
        self.budget.used() > self.sated_at
    }

    /// A connection came from `peer`. Over a limit it is still given an id, is told 503, and
    /// is closed.
    ///
    /// # Errors
    /// [`Refused`] when even the places for that are taken: close the socket.
    pub fn accept(&mut self, peer: Peer, now: Now) -> Result<ConnId, Refused> {
        if self.slab.len() >= self.connections_max + REFUSALS_MAX {
            return Err(Refused);
        }
        self.accepted = self.accepted.wrapping_add(1);
        self.traffic.connections_accepted += 1;
        let entry = self.slab.vacant_entry();
        // The slab never holds more than MAX_CONNECTIONS (a u32) and REFUSALS_MAX.
        let index = u32::try_from(entry.key()).map_err(|_| Refused)?;
        let conn = ConnId { index, generation: self.accepted };
        entry.insert(Session::new(conn, peer, now.at));
        let trusted = self.trusted_proxies.trusts(peer);
        if self.slab.len() - self.refusals > self.connections_max {
            self.refuse(conn, "the server is full", now);
        } else if !trusted && !self.count(conn, peer.address()) {
            self.refuse(conn, "too many connections from this address", now);
        } else {
            debug!("{conn} {peer}: connected");
        }
        self.arm(conn);
        Ok(conn)
    }

    /// `bytes` came from `conn`.
    pub fn receive<D: Dispatch>(&mut self, conn: ConnId, bytes: &[u8], now: Now, dispatch: &mut D) {
        let Some(session) = self.session_mut(conn) else { return };
        session.received(now.at);
        self.traffic.bytes_received += bytes.len() as u64;
        self.process(conn, bytes, now, dispatch);
    }

    /// The peer has shut its half of the connection.
    pub fn receive_end(&mut self, conn: ConnId) {
        let Some(session) = self.session_mut(conn) else { return };
        if session.peer_has_finished() {
            self.drop_now(conn, "the client closed the connection");
        }
    }

    /// The connection broke.
    pub fn lost(&mut self, conn: ConnId, why: &str) {
        self.drop_now(conn, why);
    }

    /// The socket took `bytes` bytes of what [`Sessions::slices`] gave.
    pub fn wrote(&mut self, conn: ConnId, bytes: usize) {
        let Some(session) = self.session_mut(conn) else { return };
        session.queue.consume(bytes);
        session.write_progressed();
        if session.withheld && !session.is_held() {
            self.resumed.push(conn);
        }
        self.traffic.bytes_sent += bytes as u64;
        self.settle(conn);
    }

    /// The socket takes nothing at present.
    pub fn blocked(&mut self, conn: ConnId, now: Now) {
        let Some(session) = self.session_mut(conn) else { return };
        session.write_blocked(now.at);
        self.arm(conn);
    }

    /// Acts on every deadline that has passed, and closes the largest sessions while the memory
    /// budget is exceeded.
    pub fn handle_timeouts<D: Dispatch>(&mut self, now: Now, dispatch: &mut D) {
        while let Some((at, conn)) = self.deadlines.pop_due(now.at) {
            let timeouts = self.timeouts;
            let Some(session) = self.session_mut(conn) else { continue };
            if session.armed != at {
                continue;
            }
            session.armed = NEVER;
            let expired = session.expired(now.at, &timeouts);
            self.act_on(conn, expired, now);
            self.arm(conn);
        }
        let slab = &self.slab;
        self.deadlines.tidy(slab.len(), |conn| {
            slab.get(conn.index as usize).filter(|s| s.id == conn).map(|s| s.armed)
        });
        self.enforce_budget(now);
        self.tell_departed(now, dispatch);
    }

    // --- the transport asks what to do ---

    /// Moves the ids of sessions that are to be flushed now to `into`.
    pub fn take_due(&mut self, into: &mut Vec<ConnId>, now: Now) {
        if self.is_sated() || self.budget.used() > self.budget.limit() / PATIENT_SHARE {
            self.to_flush.end_patience();
        }
        let slab = &mut self.slab;
        self.to_flush.take(into, now.at, |conn| {
            let session = slab.get_mut(conn.index as usize).filter(|session| session.id == conn);
            session.is_some_and(|session| session.flush.end_patience() && !session.queue.is_empty())
        });
    }

    /// Whether [`take_due`](Self::take_due) has something.
    pub fn has_due(&self, now: Now) -> bool {
        self.to_flush.is_due(now.at)
    }

    /// What `conn` has to send, as far as it fits `slices`; returns how many are filled. Whoever
    /// asks must answer with [`Sessions::wrote`], [`Sessions::blocked`] or [`Sessions::lost`].
    pub fn slices<'a>(&'a self, conn: ConnId, slices: &mut [IoSlice<'a>]) -> usize {
        self.session(conn).map_or(0, |session| session.queue.slices(slices))
    }

    /// `conn` was flushed as far as its socket allows; says what to do if its queue is empty.
    pub fn flushed(&mut self, conn: ConnId, now: Now) -> AfterFlush {
        let Some(session) = self.session_mut(conn) else { return AfterFlush::Nothing };
        session.flush.flushed();
        if !session.queue.is_empty() {
            return AfterFlush::Nothing;
        }
        let next = session.flushed(now.at);
        if next == AfterFlush::Drop {
            self.drop_now(conn, "done");
        } else {
            self.arm(conn);
        }
        next
    }

    /// The socket of `conn` takes bytes again.
    pub fn unblocked(&mut self, conn: ConnId) {
        if self.has_unsent(conn) {
            self.mark_due(conn);
        }
    }

    /// Bytes that `conn` has yet to send.
    pub fn unsent_bytes(&self, conn: ConnId) -> usize {
        self.session(conn).map_or(0, |session| session.queue.queued_bytes())
    }

    /// Whether `conn` has unsent bytes.
    pub fn has_unsent(&self, conn: ConnId) -> bool {
        self.unsent_bytes(conn) > 0
    }

    /// Whether bytes should be read from the socket of `conn`.
    pub fn wants_read(&self, conn: ConnId) -> bool {
        self.session(conn).is_some_and(Session::wants_read)
    }

    /// Whether something is left over for the next turn, which should begin at once.
    pub fn has_leftovers(&self) -> bool {
        !(self.resumed.is_empty() && self.postponed.is_empty() && self.departed.is_empty())
    }

    /// Takes a connection that was resumed: its withheld input is processed, and its socket
    /// should be read again.
    pub fn next_resumed<D: Dispatch>(&mut self, now: Now, dispatch: &mut D) -> Option<ConnId> {
        let conn = self.resumed.pop()?;
        if let Some(session) = self.session_mut(conn) {
            let parked = session.unpark();
            self.process(conn, &parked, now, dispatch);
        }
        Some(conn)
    }

    /// Tells the application who is gone, then moves the ids of sessions that have ended to
    /// `into`. Close their sockets, then [`remove`](Self::remove) them.
    pub fn take_finished<D: Dispatch>(
        &mut self,
        into: &mut Vec<ConnId>,
        now: Now,
        dispatch: &mut D,
    ) {
        self.tell_departed(now, dispatch);
        // A slot is used again only when everybody knows that it is free.
        let slab = &self.slab;
        into.extend(self.finished.extract_if(.., |conn| {
            slab.get(conn.index as usize).is_none_or(|session| !session.is_departing())
        }));
    }

    /// Frees the slot of `conn`: the only place where one is freed.
    pub fn remove(&mut self, conn: ConnId) {
        let Some(session) = self.session_mut(conn) else { return };
        debug_assert!(session.is_gone(), "a live session cannot be removed");
        debug_assert_eq!(session.counted_bytes, 0);
        let (counted_as, refused) = (session.counted_as, session.refused);
        self.slab.remove(conn.index as usize);
        self.refusals -= usize::from(refused);
        if let Some(key) = counted_as {
            self.uncount(key);
        }
    }

    /// When [`handle_timeouts`](Self::handle_timeouts) or [`take_due`](Self::take_due) wants to
    /// be called.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        [self.deadlines.next(), self.to_flush.poll_timeout()].into_iter().flatten().min()
    }
}

// Helpers of both sides: looking up, counting, processing input, ending.
impl Sessions {
    pub(super) fn session(&self, conn: ConnId) -> Option<&Session> {
        self.slab.get(conn.index as usize).filter(|session| session.id == conn)
    }

    pub(super) fn session_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.slab.get_mut(conn.index as usize).filter(|session| session.id == conn)
    }

    /// Turns `input` into requests and messages and hands them to the application, until it is
    /// used up or the session has to wait.
    fn process<D: Dispatch>(&mut self, conn: ConnId, mut input: &[u8], now: Now, dispatch: &mut D) {
        while let Some(session) = self.slab.get_mut(conn.index as usize) {
            if session.id != conn {
                break;
            }
            if self.budget.used() > self.sated_at && session.postpone() {
                self.postponed.push(conn);
            }
            if session.is_held() {
                session.park(input);
                break;
            }
            let next = session.next_input(&mut input, &mut self.pool, &mut self.replies, now.at);
            self.queue_replies(conn, now);
            match next {
                Ok(None) => break,
                Ok(Some(Input::Request(request))) => {
                    self.traffic.requests += 1;
                    dispatch.request(self, conn, *request, now);
                }
                Ok(Some(Input::Message(message))) => {
                    self.deliver(conn, &message, now, dispatch);
                }
                Err(error) => self.end_of_input(conn, &error, now),
            }
        }
        self.mark_due_if_unsent(conn);
        self.settle(conn);
        self.arm(conn);
    }

    fn deliver<D: Dispatch>(
        &mut self,
        conn: ConnId,
        message: &Incoming,
        now: Now,
        dispatch: &mut D,
    ) {
        let is_data = matches!(message, Incoming::Text(_) | Incoming::Binary(_));
        self.traffic.messages_received += u64::from(is_data);
        match message {
            Incoming::Text(text) => dispatch.message(self, conn, text.as_str(), now),
            Incoming::Binary(bytes) => dispatch.binary(self, conn, bytes, now),
            Incoming::Ping | Incoming::Pong => {}
            Incoming::Close(_) => {
                // The decoder has answered it; RFC 6455, 7.1.1: the server closes first.
                self.depart(conn);
                if let Some(session) = self.session_mut(conn) {
                    session.drain(now.at);
                }
                self.mark_due(conn);
            }
        }
    }

    /// Input that cannot be read, or that ends the conversation.
    fn end_of_input(&mut self, conn: ConnId, error: &InputError, now: Now) {
        let Some(peer) = self.session(conn).map(|session| session.peer) else { return };
        match error {
            InputError::Http(error) => {
                debug!("{conn} {peer}: bad request: {error}");
                self.respond(conn, &Response::from(error), now);
            }
            InputError::WebSocket(reason) => {
                debug!("{conn} {peer}: closing: {reason}");
                self.depart(conn);
                self.push_close_frame(conn, *reason);
                if let Some(session) = self.session_mut(conn) {
                    session.drain(now.at);
                }
            }
            InputError::Closed => {
                if let Some(session) = self.session_mut(conn) {
                    session.drain(now.at);
                }
            }
        }
        self.mark_due(conn);
    }

    /// Pongs and close replies go into the queue like anything else, and count against it.
    fn queue_replies(&mut self, conn: ConnId, now: Now) {
        if self.replies.is_empty() {
            return;
        }
        let mut replies = std::mem::take(&mut self.replies);
        self.send_copy(conn, &replies, now);
        replies.clear();
        replies.shrink_to(SCRATCH_BYTES_MAX);
        self.replies = replies;
    }

    fn act_on(&mut self, conn: ConnId, expired: Expired, now: Now) {
        match expired {
            Expired::Nothing => {}
            Expired::Ping => {
                let Some(session) = self.session_mut(conn) else { return };
                session.queue.push_copy(ws::PING_FRAME);
                self.mark_due(conn);
                self.settle(conn);
            }
            Expired::RequestTimeout => {
                let response =
                    Response::error(Status::REQUEST_TIMEOUT, "the request took too long");
                self.respond(conn, &response, now);
            }
            Expired::Close(reason) => self.close(conn, reason, now),
            Expired::Drop(why) => self.drop_now(conn, why),
        }
    }

    /// Closes the sessions that hold most until the budget is kept again.
    pub(super) fn enforce_budget(&mut self, now: Now) {
        for _ in 0..EVICTIONS_PER_TURN_MAX {
            if !self.budget.is_over() {
                return;
            }
            let alive = self.slab.iter().filter(|(_, session)| !session.is_gone());
            let largest = alive
                .map(|(_, session)| (session.held_bytes() + session.queue.shared_bytes(), session))
                .max_by_key(|(bytes, session)| (*bytes, session.id))
                .filter(|(bytes, _)| *bytes > 0);
            let Some((bytes, session)) = largest else { return };
            let (conn, peer) = (session.id, session.peer);
            warn!("{peer}: closed, it held {bytes} bytes while memory was short");
            if session.is_open_websocket() {
                self.forget_unstarted(conn);
                self.close(conn, CloseReason::TryAgainLater, now);
            } else {
                self.drop_now(conn, "the memory budget is used up");
            }
        }
    }

    /// Of what is queued, only what is on its way still goes out.
    pub(super) fn forget_unstarted(&mut self, conn: ConnId) {
        if let Some(session) = self.session_mut(conn) {
            session.queue.clear_unstarted();
        }
    }

    /// Ends `conn` at once; what is queued is lost.
    pub(super) fn drop_now(&mut self, conn: ConnId, why: &str) {
        let Some(session) = self.session_mut(conn) else { return };
        if session.is_gone() {
            return;
        }
        debug!("{conn} {}: gone, {why}", session.peer);
        let known = session.is_websocket() || session.is_answering();
        session.abandon();
        if known {
            self.depart(conn);
        }
        self.settle(conn);
        self.finished.push(conn);
    }

    /// The application is to hear that the client is gone.
    pub(super) fn depart(&mut self, conn: ConnId) {
        let Some(session) = self.session_mut(conn) else { return };
        if session.depart() {
            self.departed.push_back(conn);
        }
    }

    /// Tells the application who is gone: once a turn, so that a thousand connections that break
    /// in one instant are all known to be gone before anybody is told of the first.
    fn tell_departed<D: Dispatch>(&mut self, now: Now, dispatch: &mut D) {
        while let Some(conn) = self.departed.pop_front() {
            dispatch.closed(self, conn, now);
            if let Some(session) = self.session_mut(conn) {
                session.has_departed();
            }
            self.settle(conn);
            if self.is_sated() {
                self.to_flush.end_patience();
                return;
            }
        }
    }

    pub(super) fn push_close_frame(&mut self, conn: ConnId, reason: CloseReason) {
        let mut frame = Vec::new();
        ws::close_frame(reason, &mut frame);
        let Some(session) = self.session_mut(conn) else { return };
        session.queue.push_copy(&frame);
        *self.traffic.closes.entry(reason.name()).or_default() += 1;
    }

    pub(super) fn mark_due(&mut self, conn: ConnId) {
        let Some(session) = self.slab.get_mut(conn.index as usize) else { return };
        if session.id == conn {
            self.to_flush.add_due(&mut session.flush, conn);
        }
    }

    fn mark_due_if_unsent(&mut self, conn: ConnId) {
        if self.has_unsent(conn) {
            self.mark_due(conn);
        }
    }

    /// More is in use than a turn that ends soon could explain.
    pub(super) fn is_flooded(&self) -> bool {
        self.budget.used() > self.budget.limit() + EXCESS_BYTES_MAX
    }

    /// Tells the memory budget what the session holds now.
    pub(super) fn settle(&mut self, conn: ConnId) {
        let Some(session) = self.slab.get_mut(conn.index as usize) else { return };
        let held = session.held_bytes();
        self.budget.replace(session.counted_bytes, held);
        session.counted_bytes = held;
    }

    /// Makes sure that the deadline heap looks at `conn` in time.
    pub(super) fn arm(&mut self, conn: ConnId) {
        let timeouts = self.timeouts;
        let Some(session) = self.session_mut(conn) else { return };
        let deadline = session.deadline(&timeouts);
        if deadline < session.armed {
            session.armed = deadline;
            self.deadlines.push(deadline, conn);
        }
    }

    /// A connection that is only told that there is no place for it.
    fn refuse(&mut self, conn: ConnId, why: &'static str, now: Now) {
        let Some(session) = self.session_mut(conn) else { return };
        session.refused = true;
        debug!("{conn} {}: refused, {why}", session.peer);
        self.refusals += 1;
        self.traffic.connections_refused += 1;
        self.respond(conn, &Response::unavailable(why), now);
    }
}
