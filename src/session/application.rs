//! What the application can do with its connections.

use std::net::IpAddr;

use bytes::Bytes;
use log::{Level, log};

use super::Sessions;
use super::flush_list::{FlushList, FlushState};
use super::send_queue::SendQueue;
use super::state::Session;
use super::timeouts::{FIRST_REQUEST_AT_STOP_TIMEOUT, Timeouts};
use crate::base::ids::ConnId;
use crate::base::memory::MemoryBudget;
use crate::base::metrics::Traffic;
use crate::base::time::{Now, Timestamp};
use crate::config::{Config, Peer};
use crate::http::{ExtraFields, Response, Upgrade};
use crate::rooms::Document;
use crate::ws::CloseReason;

/// What all connections come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Those that speak WebSocket.
    pub websockets: usize,
    /// Bytes queued for all of them; shared ones count for each.
    pub queued_bytes: usize,
    /// Bytes of the longest queue.
    pub queued_bytes_longest: usize,
}

impl Sessions {
    /// Answers the request that `conn` waits with.
    pub fn respond(&mut self, conn: ConnId, response: &Response, now: Now) {
        let index = conn.index as usize;
        let Some(session) = self.slab.get_mut(index).filter(|session| session.id == conn) else {
            return;
        };
        let encoder = &mut self.encoder;
        let is_last = encoder.is_closing();
        session.respond(
            |context, out| encoder.encode(response, context, now.unix, out),
            is_last,
            now.at,
        );
        if session.withheld && !session.is_held() {
            self.resumed.push(conn);
        }
        self.mark_due(conn);
        self.settle(conn);
        self.arm(conn);
    }

    /// Answers an upgrade request: from here on `conn` speaks WebSocket.
    pub fn upgrade(&mut self, conn: ConnId, upgrade: &Upgrade, now: Now) {
        let mut head = Vec::new();
        self.encoder.encode_upgrade(upgrade, now.unix, &mut head);
        let Some(session) = self.session_mut(conn) else { return };
        session.upgrade(&head, now.at);
        if session.withheld {
            self.resumed.push(conn);
        }
        self.mark_due(conn);
        self.arm(conn);
    }

    /// Queues `frame` for `conn`, copying it. Does nothing unless it is an open WebSocket.
    pub fn send_copy(&mut self, conn: ConnId, frame: &[u8], now: Now) {
        self.send(conn, frame.len(), now, |queue| queue.push_copy(frame));
    }

    /// Like [`send_copy`](Self::send_copy), but if such frames left lately, this one may wait a
    /// few milliseconds for others (at most 20), unless something urgent follows it.
    pub fn send_patiently(&mut self, conn: ConnId, frame: &[u8], now: Now) {
        self.push(conn, frame.len(), now, FlushList::add_patient, |queue| queue.push_copy(frame));
    }

    /// Queues `frame` for `conn`, sharing it. Does nothing unless it is an open WebSocket.
    pub fn send_shared(&mut self, conn: ConnId, frame: &Bytes, now: Now) {
        self.send(conn, frame.len(), now, |queue| queue.push_shared(frame.clone()));
    }

    /// Queues `document` for `conn` in place of an older one that is not yet on its way.
    pub fn send_document(&mut self, conn: ConnId, document: &Document, now: Now) {
        let superseded = self.session(conn).map_or(0, |session| session.queue.replaceable_bytes());
        let bytes = document.0.len().saturating_sub(superseded);
        self.send(conn, bytes, now, |queue| queue.push_document(document));
    }

    /// Closes the WebSocket `conn` with `reason`: what is queued still goes out, then the Close
    /// frame. Its room should forget it at once; [`Dispatch::closed`](super::Dispatch::closed)
    /// follows.
    pub fn close(&mut self, conn: ConnId, reason: CloseReason, now: Now) {
        let Some(session) = self.session(conn) else { return };
        if !session.is_open_websocket() {
            return;
        }
        let level = if reason.is_fault() { Level::Warn } else { Level::Debug };
        log!(level, "{conn} {}: closing: {reason}", session.peer);
        self.push_close_frame(conn, reason);
        self.depart(conn);
        if let Some(session) = self.session_mut(conn) {
            session.wait_for_close(now.at);
        }
        self.mark_due(conn);
        self.settle(conn);
        self.arm(conn);
    }

    /// From here on the settings are those of `config`. Nobody is sent away: a lower limit keeps
    /// out who comes later.
    pub fn reconfigure(&mut self, config: &Config) {
        let limits = &config.limits;
        self.trusted_proxies = config.trusted_proxies.clone();
        self.connections_max = limits.connections_max as usize;
        self.connections_per_ip_max = limits.connections_per_ip_max;
        self.send_queue_bytes_max = limits.send_queue_bytes_max;
        self.budget.set_limit(limits.memory_budget_bytes);
        self.timeouts = Timeouts::from(limits);
        for conn in self.ids() {
            self.arm(conn);
        }
    }

    /// From here on each answer to a request has what `extra_fields` adds.
    pub fn set_extra_fields(&mut self, extra_fields: impl ExtraFields + 'static) {
        self.encoder.set_extra_fields(Box::new(extra_fields));
    }

    /// From here on each answer to a request is the last one of its connection, and a connection
    /// that has just come gets a moment for its first request, but not more: a restart should
    /// leave nobody without an answer who was let in.
    pub fn stop_keeping_alive(&mut self) {
        self.encoder.close_after_answers();
        self.timeouts.first_request =
            self.timeouts.first_request.min(FIRST_REQUEST_AT_STOP_TIMEOUT);
        for conn in self.ids() {
            self.arm(conn);
        }
    }

    /// Ends a connection that is between two requests; for shutting down. One of which something
    /// has come is still read and answered.
    pub fn end_if_idle(&mut self, conn: ConnId) {
        let idle = self
            .session(conn)
            .is_some_and(|session| session.is_between_requests() && session.queue.is_empty());
        if idle {
            self.drop_now(conn, "shutting down");
        }
    }

    /// Ends `conn` at once.
    pub fn abort(&mut self, conn: ConnId, why: &str) {
        self.drop_now(conn, why);
    }

    /// Hears nothing more of `conn` until [`resume`](Self::resume): input waits, bounded by what
    /// one read brings, and then the client is slowed down by TCP.
    pub fn pause(&mut self, conn: ConnId) {
        if let Some(session) = self.session_mut(conn) {
            session.pause();
        }
    }

    /// Ends a [`pause`](Self::pause).
    pub fn resume(&mut self, conn: ConnId) {
        let Some(session) = self.session_mut(conn) else { return };
        if session.resume() {
            self.resumed.push(conn);
        }
    }

    /// The largest message that `conn` may send, in bytes.
    pub fn set_message_bytes_max(&mut self, conn: ConnId, bytes_max: usize) {
        if let Some(session) = self.session_mut(conn) {
            session.set_message_bytes_max(bytes_max);
        }
    }

    /// The application keeps `bytes` bytes for `conn` beside what is queued for it, in place of
    /// what it said before. They count as held by `conn` until the application has been told that
    /// it is gone.
    pub fn keep(&mut self, conn: ConnId, bytes: usize) {
        if let Some(session) = self.session_mut(conn) {
            session.keep(bytes);
        }
        self.settle(conn);
    }

    /// Closes `conn` with 1008 unless this is called again before `by`; `None` waits for ever.
    pub fn expect_action_by(&mut self, conn: ConnId, by: Option<Timestamp>) {
        if let Some(session) = self.session_mut(conn) {
            session.expect_action_by(by);
        }
        self.arm(conn);
    }

    /// Who is at the other end; once [`set_address`](Self::set_address) was called, the client.
    pub fn peer(&self, conn: ConnId) -> Option<Peer> {
        self.session(conn).map(|session| session.peer)
    }

    /// The address that limits go by.
    pub fn address(&self, conn: ConnId) -> Option<IpAddr> {
        self.peer(conn).map(Peer::address)
    }

    /// The ids of all connections, in the order of their slots.
    pub fn ids(&self) -> Vec<ConnId> {
        self.slab.iter().map(|(_, session)| session.id).collect()
    }

    /// Whether `conn` is an open WebSocket.
    pub fn is_open_websocket(&self, conn: ConnId) -> bool {
        self.session(conn).is_some_and(Session::is_open_websocket)
    }

    /// Connections that exist, those being refused not counted.
    pub fn len(&self) -> usize {
        self.slab.len() - self.refusals
    }

    /// Whether there is no connection at all.
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// How many connections there may be.
    pub fn connections_max(&self) -> usize {
        self.connections_max
    }

    /// The budget that all buffers count against.
    pub fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// What went in and out since the start.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// How many connections speak WebSocket, how many bytes are queued for all connections,
    /// and for the one with the longest queue. It looks at each of them.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for (_, session) in &self.slab {
            let bytes = session.queue.queued_bytes();
            census.websockets += usize::from(session.is_open_websocket());
            census.queued_bytes += bytes;
            census.queued_bytes_longest = census.queued_bytes_longest.max(bytes);
        }
        census
    }

    /// Queues something of `bytes` bytes to leave with the next flush.
    fn send(&mut self, conn: ConnId, bytes: usize, now: Now, push: impl FnOnce(&mut SendQueue)) {
        self.push(conn, bytes, now, FlushList::add_due, push);
    }

    /// Queues something of `bytes` bytes and has it flushed as `add` says, or closes a reader
    /// that is too slow for it.
    fn push(
        &mut self,
        conn: ConnId,
        bytes: usize,
        now: Now,
        add: impl FnOnce(&mut FlushList, &mut FlushState, ConnId),
        push: impl FnOnce(&mut SendQueue),
    ) {
        let index = conn.index as usize;
        let Some(session) = self.slab.get_mut(index).filter(|session| session.id == conn) else {
            return;
        };
        if !session.is_open_websocket() {
            return;
        }
        if session.queue.queued_bytes() + bytes > self.send_queue_bytes_max {
            self.forget_unstarted(conn);
            self.close(conn, CloseReason::TooSlow, now);
            return;
        }
        push(&mut session.queue);
        self.traffic.messages_delivered += 1;
        add(&mut self.to_flush, &mut session.flush, conn);
        let held = session.held_bytes();
        self.budget.replace(session.counted_bytes, held);
        session.counted_bytes = held;
        // One event can be a message to a thousand members, and one outcome of a job an event for
        // each of a thousand who waited.
        if self.is_flooded() {
            self.enforce_budget(now);
        }
    }
}
