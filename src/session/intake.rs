//! What comes in: bytes become requests and messages, which are handed to the application with
//! everything else that it is to hear of.

use std::collections::VecDeque;
use std::time::Duration;

use log::debug;

use super::dispatch::Dispatch;
use super::hold::Parked;
use super::state::{Expired, Input, InputError, Session};
use super::table::Sessions;
use crate::base::ids::ConnId;
use crate::base::time::{Now, Timestamp};
use crate::config::AddressKey;
use crate::http::{Response, Status};
use crate::ws::{self, Frame, Incoming};

/// A scratch buffer that grew beyond this for one big message is given back.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

/// When to look again at a session that is due while its input waits for the server.
const UNHEARD_AGAIN: Duration = Duration::from_millis(100);

/// What a step has made of a connection's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TakenIn {
    /// A request, a message, or the end of both; there may be more.
    One,
    /// All there was.
    All,
    /// Nothing: the rest has to wait for the application.
    Held,
}

impl Sessions {
    /// So many bytes were read from `conn`.
    pub(super) fn received(&mut self, conn: ConnId, bytes: usize, now: Now) {
        let Some(session) = self.slots.get_mut(conn) else { return };
        session.received(now.at);
        self.traffic.bytes_received += bytes as u64;
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

    /// The address in whose turns `conn` is served; `None` if it is gone.
    pub(super) fn share_of(&self, conn: ConnId) -> Option<AddressKey> {
        self.slots.get(conn).map(|session| AddressKey::of(session.peer.address()))
    }

    /// There is input of `conn`, which may have waited since then, on a clock that leaves nothing
    /// out.
    pub(super) fn note_input(&mut self, conn: ConnId, since: Timestamp) {
        if let Some(session) = self.slots.get_mut(conn) {
            session.waiting_since.get_or_insert(since);
        }
    }

    /// All that has come from `conn` so far was taken in.
    pub(super) fn note_caught_up(&mut self, conn: ConnId) {
        if let Some(session) = self.slots.get_mut(conn)
            && !session.hold.has_parked()
        {
            session.waiting_since = None;
        }
    }

    /// Whether something is left over for the next turn, which should begin at once.
    pub(super) fn has_leftovers(&self) -> bool {
        !(self.resumed.is_empty() && self.departed.is_empty())
    }

    /// Takes a connection whose withheld input goes on, if it still does.
    pub(super) fn next_resumed(&mut self) -> Option<ConnId> {
        self.resumed.pop()
    }

    /// What was withheld of `conn`, if that goes on.
    pub(super) fn release(&mut self, conn: ConnId) -> Option<Parked> {
        let session = self.slots.get_mut(conn).filter(|session| session.can_go_on())?;
        session.hold.release()
    }

    /// Withholds `parked`, maybe nothing, until `conn` has its turn or is resumed.
    pub(super) fn park(&mut self, conn: ConnId, parked: Parked) {
        if let Some(session) = self.slots.get_mut(conn) {
            session.hold.park(parked);
        }
    }

    /// Makes the next request or message of `input` and hands it to the application; says how it
    /// goes on with the rest.
    pub(super) fn take_in<D: Dispatch>(
        &mut self,
        conn: ConnId,
        input: &mut &[u8],
        now: Now,
        dispatch: &mut D,
    ) -> TakenIn {
        let Some(session) = self.slots.get_mut(conn) else { return TakenIn::All };
        if session.is_held() {
            return TakenIn::Held;
        }
        let next = session.next_input(input, &mut self.pool, &mut self.replies, now.at);
        self.queue_replies(conn, now);
        match next {
            Ok(None) => return TakenIn::All,
            Ok(Some(Input::Request(request))) => {
                self.traffic.requests += 1;
                dispatch.request(self, conn, *request, now);
            }
            Ok(Some(Input::Message(message))) => self.deliver(conn, &message, now, dispatch),
            Err(error) => self.end_of_input(conn, &error, now),
        }
        TakenIn::One
    }

    /// For now no more is taken in of `conn`: what that came to is sent, counted and watched.
    pub(super) fn end_intake(&mut self, conn: ConnId) {
        self.mark_due_if_unsent(conn);
        self.settle(conn);
        self.arm(conn);
    }

    /// Acts on the earliest deadline that has passed; false if there is none.
    pub(super) fn handle_deadline<D: Dispatch>(&mut self, now: Now, dispatch: &mut D) -> bool {
        let Some((_, conn)) = self.deadlines.pop_due(now.at) else { return false };
        let Some(session) = self.slots.get_mut(conn) else { return true };
        session.armed = None;
        let expired = session.expired(now.at, &self.timeouts);
        if expired == Expired::Unheard {
            let later = Some(now.at + UNHEARD_AGAIN);
            self.deadlines.rearm(conn, &mut session.armed, later);
        } else {
            self.act_on(conn, expired, now, dispatch);
            self.arm(conn);
        }
        true
    }

    /// Tells the application which client is gone next; false if it knows of all, or if what it
    /// was told has led to so much that this turn should tell no more.
    pub(super) fn tell_departed<D: Dispatch>(&mut self, now: Now, dispatch: &mut D) -> bool {
        let Some(conn) = self.departed.pop_front() else { return false };
        dispatch.closed(self, conn, now);
        if let Some(session) = self.slots.get_mut(conn) {
            session.has_departed();
        }
        self.settle(conn);
        if self.is_sated() {
            self.to_flush.end_patience();
            return false;
        }
        true
    }

    /// Moves the ids of sessions that have ended to `into`, once the application knows that their
    /// clients are gone: a slot is used again only then. Close their sockets, then
    /// [`remove`](Self::remove) them.
    pub(super) fn take_finished(&mut self, into: &mut VecDeque<ConnId>) {
        let slots = &self.slots;
        into.extend(
            self.finished.extract_if(.., |conn| {
                slots.get(*conn).is_none_or(|session| !session.is_departing())
            }),
        );
    }
}

impl Sessions {
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
            Expired::Nothing | Expired::Unheard => {}
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
}
