//! What comes in: bytes become requests and messages, which are handed to the application with
//! everything else that it is to hear of.

use log::debug;

use super::dispatch::Dispatch;
use super::state::{Expired, Input, InputError, Session};
use super::table::Sessions;
use crate::base::ids::ConnId;
use crate::base::time::Now;
use crate::http::{Response, Status};
use crate::ws::{self, Frame, Incoming};

/// A scratch buffer that grew beyond this for one big message is given back.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

impl Sessions {
    /// `bytes` came from `conn`.
    pub(super) fn receive<D: Dispatch>(
        &mut self,
        conn: ConnId,
        bytes: &[u8],
        now: Now,
        dispatch: &mut D,
    ) {
        let Some(session) = self.slots.get_mut(conn) else { return };
        session.received(now.at);
        self.traffic.bytes_received += bytes.len() as u64;
        self.process(conn, bytes, now, dispatch);
    }

    /// The peer has shut its half of the connection.
    pub(super) fn receive_end(&mut self, conn: ConnId) {
        let Some(session) = self.slots.get_mut(conn) else { return };
        if session.peer_has_finished() {
            self.abort(conn, "the client closed the connection");
        }
    }

    /// Whether bytes should be read from the socket of `conn`.
    pub(super) fn wants_read(&self, conn: ConnId) -> bool {
        self.slots.get(conn).is_some_and(Session::wants_read)
    }

    /// Whether something is left over for the next turn, which should begin at once.
    pub(super) fn has_leftovers(&self) -> bool {
        !(self.resumed.is_empty() && self.postponed.is_empty() && self.departed.is_empty())
    }

    /// Takes a connection that was resumed: its withheld input is processed, and its socket
    /// should be read again.
    pub(super) fn next_resumed<D: Dispatch>(
        &mut self,
        now: Now,
        dispatch: &mut D,
    ) -> Option<ConnId> {
        let conn = self.resumed.pop()?;
        if let Some(session) = self.slots.get_mut(conn) {
            let parked = session.hold.release();
            self.process(conn, &parked, now, dispatch);
        }
        Some(conn)
    }

    /// Acts on every deadline that has passed, and closes the largest sessions while the memory
    /// budget is exceeded.
    pub(super) fn handle_timeout<D: Dispatch>(&mut self, now: Now, dispatch: &mut D) {
        while let Some((_, conn)) = self.deadlines.pop_due(now.at) {
            let Some(session) = self.slots.get_mut(conn) else { continue };
            session.armed = None;
            let expired = session.expired(now.at, &self.timeouts);
            self.act_on(conn, expired, now, dispatch);
            self.arm(conn);
        }
        self.enforce_budget(now);
        self.tell_departed(now, dispatch);
    }

    /// Tells the application which clients are gone, then moves the ids of sessions that have
    /// ended to `into`. Close their sockets, then [`remove`](Self::remove) them.
    pub(super) fn take_finished<D: Dispatch>(
        &mut self,
        into: &mut Vec<ConnId>,
        now: Now,
        dispatch: &mut D,
    ) {
        self.tell_departed(now, dispatch);
        // A slot is used again only when the application knows that its client is gone.
        let slots = &self.slots;
        into.extend(
            self.finished.extract_if(.., |conn| {
                slots.get(*conn).is_none_or(|session| !session.is_departing())
            }),
        );
    }
}

impl Sessions {
    /// Turns `input` into requests and messages and hands them to the application, until it is
    /// used up or the session has to wait.
    fn process<D: Dispatch>(&mut self, conn: ConnId, mut input: &[u8], now: Now, dispatch: &mut D) {
        loop {
            let is_sated = self.is_sated();
            let Some(session) = self.slots.get_mut(conn) else { break };
            if is_sated && session.postpone() {
                self.postponed.push(conn);
            }
            if session.is_held() {
                session.hold.park(input);
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
                if let Some(session) = self.slots.get_mut(conn) {
                    session.drain(now.at);
                }
                self.mark_due(conn);
            }
        }
    }

    /// Input that cannot be read, or that ends the conversation.
    fn end_of_input(&mut self, conn: ConnId, error: &InputError, now: Now) {
        let Some(peer) = self.slots.get(conn).map(|session| session.peer) else { return };
        match error {
            InputError::Http(error) => {
                debug!("{conn} {peer}: bad request: {error}");
                self.respond(conn, &Response::from(error), now);
            }
            InputError::WebSocket(reason) => {
                debug!("{conn} {peer}: closing: {reason}");
                self.depart(conn);
                self.push_close_frame(conn, *reason);
                if let Some(session) = self.slots.get_mut(conn) {
                    session.drain(now.at);
                }
            }
            InputError::Closed => {
                if let Some(session) = self.slots.get_mut(conn) {
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
        self.send(conn, &Frame::whole(&replies), now);
        replies.clear();
        replies.shrink_to(SCRATCH_BYTES_MAX);
        self.replies = replies;
    }

    fn act_on<D: Dispatch>(&mut self, conn: ConnId, expired: Expired, now: Now, dispatch: &mut D) {
        match expired {
            Expired::Nothing => {}
            Expired::Ping => {
                let Some(session) = self.slots.get_mut(conn) else { return };
                session.queue.push_copy(ws::PING_FRAME);
                self.mark_due(conn);
                self.settle(conn);
            }
            Expired::RequestTimeout => {
                let response =
                    Response::error(Status::REQUEST_TIMEOUT, "the request took too long");
                self.respond(conn, &response, now);
            }
            Expired::Overdue => dispatch.overdue(self, conn, now),
            Expired::Drop(why) => {
                if let Some(session) = self.slots.get_mut(conn) {
                    session.forsake_if_stuck();
                }
                self.abort(conn, why);
            }
        }
    }

    /// Tells the application which clients are gone: once a turn, so that a thousand connections
    /// that break in one instant are all known to be gone before the application is told of the
    /// first.
    fn tell_departed<D: Dispatch>(&mut self, now: Now, dispatch: &mut D) {
        while let Some(conn) = self.departed.pop_front() {
            dispatch.closed(self, conn, now);
            if let Some(session) = self.slots.get_mut(conn) {
                session.has_departed();
            }
            self.settle(conn);
            if self.is_sated() {
                self.to_flush.end_patience();
                return;
            }
        }
    }
}
