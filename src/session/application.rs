//! What the application can do with its connections.

use std::net::IpAddr;

use log::{Level, log};

use super::state::Session;
use super::table::Sessions;
use super::timeouts::{FIRST_REQUEST_AT_STOP_TIMEOUT, Timeouts};
use crate::base::ids::ConnId;
use crate::base::memory::MemoryBudget;
use crate::base::metrics::Traffic;
use crate::base::time::{Arrival, Now, Timestamp};
use crate::config::{Config, RemoteEnd};
use crate::http::{ExtraFields, Response, Upgrade};
use crate::ws::{CloseReason, Frame};

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
        let Some(session) = self.slots.get_mut(conn) else { return };
        let encoder = &mut self.encoder;
        let is_last = encoder.is_closing();
        session.respond(
            |context, out| encoder.encode(response, context, now.unix, out),
            is_last,
            now.at,
        );
        if session.can_go_on() {
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
        let Some(session) = self.slots.get_mut(conn) else { return };
        session.upgrade(&head, now.at);
        if session.hold.has_withheld() {
            self.resumed.push(conn);
        }
        self.mark_due(conn);
        self.arm(conn);
    }

    /// Queues `frame` for `conn`: to leave with the next flush, or a little later together with
    /// others if it [may wait](Frame::patient), such frames left lately (at most 20 ms ago), and
    /// nothing urgent follows it. Does nothing unless `conn` is an open WebSocket, and closes one
    /// that reads too slowly for it.
    pub fn send(&mut self, conn: ConnId, frame: &Frame<'_>, now: Now) {
        let Some(session) = self.slots.get_mut(conn) else { return };
        if !session.is_open_websocket() {
            return;
        }
        let bytes_after = session.queue.queued_bytes() + session.queue.bytes_to_add(frame);
        if bytes_after > self.send_queue_bytes_max {
            self.forget_unstarted(conn);
            self.close(conn, CloseReason::TooSlow, now);
            return;
        }
        session.queue.push(frame);
        self.traffic.messages_delivered += 1;
        if frame.can_wait {
            self.to_flush.add_patient(&mut session.flush, conn);
        } else {
            self.to_flush.add_due(&mut session.flush, conn);
        }
        session.settle(&self.budget);
        // One event can be a message to a thousand recipients, and one outcome of a job an event
        // for each of a thousand that waited.
        if self.is_flooded() {
            self.enforce_budget(now);
        }
    }

    /// Closes the WebSocket `conn` with `reason`: what is queued still goes out, then the Close
    /// frame. [`Dispatch::closed`](super::Dispatch::closed) follows.
    pub fn close(&mut self, conn: ConnId, reason: CloseReason, now: Now) {
        let Some(session) = self.slots.get(conn) else { return };
        if !session.is_open_websocket() {
            return;
        }
        let level = if reason.is_fault() { Level::Warn } else { Level::Debug };
        log!(level, "{conn} {}: closing: {reason}", session.peer);
        self.push_close_frame(conn, reason);
        self.depart(conn);
        if let Some(session) = self.slots.get_mut(conn) {
            session.wait_for_close(now.at);
        }
        self.mark_due(conn);
        self.settle(conn);
        self.arm(conn);
    }

    /// From here on the settings are those of `config`. No connection is closed for a
    /// lower limit: it keeps out later ones.
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
    /// leave no connection that was accepted without an answer.
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
            .slots
            .get(conn)
            .is_some_and(|session| session.is_between_requests() && session.queue.is_empty());
        if idle {
            self.abort(conn, "shutting down");
        }
    }

    /// Hears nothing more of `conn` until [`resume`](Self::resume): input waits, bounded by what
    /// one read brings, and then the client is slowed down by TCP.
    pub fn pause(&mut self, conn: ConnId) {
        if let Some(session) = self.slots.get_mut(conn) {
            session.hold.pause();
        }
    }

    /// Ends a [`pause`](Self::pause).
    pub fn resume(&mut self, conn: ConnId) {
        let Some(session) = self.slots.get_mut(conn) else { return };
        if session.resume() {
            self.resumed.push(conn);
        }
    }

    /// The largest message that `conn` may send, in bytes.
    pub fn set_message_bytes_max(&mut self, conn: ConnId, bytes_max: usize) {
        if let Some(session) = self.slots.get_mut(conn) {
            session.set_message_bytes_max(bytes_max);
        }
    }

    /// The application keeps `bytes` bytes for `conn` beside what is queued for it, in place of
    /// what it said before. They count as held by `conn` until the application has been told that
    /// it is gone.
    pub fn keep(&mut self, conn: ConnId, bytes: usize) {
        if let Some(session) = self.slots.get_mut(conn) {
            session.keep(bytes);
        }
        self.settle(conn);
    }

    /// Has the application told that `conn` is [overdue](super::Dispatch::overdue), unless this is
    /// called again before `by`; `None` waits for ever.
    pub fn expect_message_by(&mut self, conn: ConnId, by: Option<Timestamp>) {
        if let Some(session) = self.slots.get_mut(conn) {
            session.expect_message_by(by);
        }
        self.arm(conn);
    }

    /// When the message has come that the application is told of at `now`: since the server has
    /// last read all that the client had sent. How late the server itself is says nothing of how
    /// fast a client talks.
    pub fn arrival(&self, conn: ConnId, now: Now) -> Arrival {
        let latest = now.at + self.left_out;
        let since = self.slots.get(conn).and_then(|session| session.waiting_since);
        Arrival { earliest: since.map_or(latest, |since| since.min(latest)), latest }
    }

    /// The peer at the other end; once [`set_address`](Self::set_address) was called, the client.
    pub fn peer(&self, conn: ConnId) -> Option<RemoteEnd> {
        self.slots.get(conn).map(|session| session.peer)
    }

    /// The address that limits go by.
    pub fn address(&self, conn: ConnId) -> Option<IpAddr> {
        self.peer(conn).map(RemoteEnd::address)
    }

    /// The ids of all connections, in the order of their slots.
    pub fn ids(&self) -> Vec<ConnId> {
        self.slots.iter().map(|(conn, _)| conn).collect()
    }

    /// The connection in the slot `index`.
    pub fn id_at(&self, index: usize) -> Option<ConnId> {
        self.slots.id_at(index)
    }

    /// Whether a request of `conn` waits for its answer.
    pub fn is_answering(&self, conn: ConnId) -> bool {
        self.slots.get(conn).is_some_and(Session::is_answering)
    }

    /// Whether `conn` is an open WebSocket.
    pub fn is_open_websocket(&self, conn: ConnId) -> bool {
        self.slots.get(conn).is_some_and(Session::is_open_websocket)
    }

    /// Connections that exist, those being refused not counted.
    pub fn len(&self) -> usize {
        self.slots.len() - self.refusals
    }

    /// Whether there is no connection at all.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
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
        for (_, session) in self.slots.iter() {
            let bytes = session.queue.queued_bytes();
            census.websockets += usize::from(session.is_open_websocket());
            census.queued_bytes += bytes;
            census.queued_bytes_longest = census.queued_bytes_longest.max(bytes);
        }
        census
    }
}
