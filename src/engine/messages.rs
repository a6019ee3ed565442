//! What a WebSocket client's message does.

use std::borrow::Cow;
use std::task::Poll;

use log::debug;

use super::acks::PendingAck;
use super::application::Engine;
use super::clients::Admission;
use super::context::Context;
use super::misses::Missed;
use super::waiting::RoomRequest;
use crate::config::AddressKey;
use crate::protocol::{self, ClientAction, ErrorCode, Message, MessageId, Reply};
use crate::rooms::{Action, Done, Join, Located, RawJson, RoomError};
use crate::session::FIRST_MESSAGE_TIMEOUT;
use crate::ws::CloseReason;

impl Engine {
    /// One message of the client of `cx`, from its bytes to its effects.
    pub(super) fn act(&mut self, cx: &mut Context<'_>, text: &str) {
        let arrival = cx.sessions.arrival(cx.conn, cx.now);
        let rate = self.clients.count_message(cx.conn, arrival);
        if rate == Admission::Close {
            cx.sessions.close(cx.conn, CloseReason::Policy("too many messages"), cx.now);
            return;
        }
        let message = match protocol::parse(text) {
            Ok(message) => message,
            Err(error) => {
                if self.clients.count_bad(cx.conn) == Admission::Close {
                    let reason = CloseReason::Policy("too many bad messages");
                    cx.sessions.close(cx.conn, reason, cx.now);
                    return;
                }
                self.replies.send_error(cx, error.code, &error.message, error.id.as_ref());
                return;
            }
        };
        if rate == Admission::Refuse {
            self.replies.refuse(cx, ErrorCode::RateLimited, message.id.as_ref());
            return;
        }
        self.clients.count_good(cx.conn);
        if !self.clients.has_joined(cx.conn) {
            cx.sessions.expect_message_by(cx.conn, Some(cx.now.at + FIRST_MESSAGE_TIMEOUT));
        }
        self.perform(cx, message);
    }

    fn perform(&mut self, cx: &mut Context<'_>, message: Message<'_>) {
        let id = message.id.as_ref();
        match message.action {
            ClientAction::Ping => {
                self.replies.send(cx, &Reply::Pong);
                self.finish(cx, Ok(Done::Now), id);
            }
            ClientAction::Join(join) => self.join(cx, join, id),
            ClientAction::Broadcast { data } => self.handle(cx, Action::Broadcast { data }, id),
            ClientAction::SyncDocument { document } => self.sync_document(cx, document, id),
            ClientAction::RequestSync => self.handle(cx, Action::RequestSync, id),
            ClientAction::Leave => {
                cx.sessions.keep(cx.conn, 0);
                self.handle(cx, Action::Leave, id);
            }
        }
    }

    /// An action about the room that the client is in.
    pub(super) fn handle(
        &mut self,
        cx: &mut Context<'_>,
        action: Action<'_>,
        id: Option<&MessageId<'_>>,
    ) {
        let (rooms, mut effects) = self.split(cx.sessions, cx.now);
        let result = rooms.handle(cx.conn, action, cx.now, &mut effects);
        self.finish(cx, result, id);
    }

    fn sync_document(
        &mut self,
        cx: &mut Context<'_>,
        document: RawJson<'_>,
        id: Option<&MessageId<'_>>,
    ) {
        if !self.has_memory_for(cx, document.0.len()) {
            let message = "The server is short of memory; try again later";
            self.replies.send_error(cx, ErrorCode::Internal, message, id);
            return;
        }
        let document = protocol::encode_document(document, &self.budget);
        let (rooms, mut effects) = self.split(cx.sessions, cx.now);
        let action = Action::SyncDocument { document };
        let result = rooms.handle(cx.conn, action, cx.now, &mut effects);
        if result.is_ok()
            && let Some(address) = cx.sessions.address(cx.conn)
        {
            self.rooms.charge_document(cx.conn, AddressKey::of(address));
        }
        self.finish(cx, result, id);
        self.evict(cx.sessions, cx.now);
    }

    fn join(
        &mut self,
        cx: &mut Context<'_>,
        join: Join<'_, Option<Cow<'_, str>>>,
        id: Option<&MessageId<'_>>,
    ) {
        let join = join.named(|peer_id| peer_id.unwrap_or_else(|| self.draw.peer_id().into()));
        // Kept as long as it waits for the store, and then as long as it is a member. What a join
        // that fails said counts until the next one.
        cx.sessions.keep(cx.conn, join.peer_id.len() + join.metadata.len());
        let owner = cx.owner();
        let (rooms, mut effects) = self.split_for(owner, cx.sessions, cx.now);
        let request = || {
            let (join, id) = (join.clone().into_owned(), id.map(MessageId::to_owned));
            RoomRequest::Join { join, id }
        };
        match rooms.locate(&join.room_code, cx.conn, request, &mut effects) {
            Poll::Ready(located) => self.enter(cx, located, &join, id),
            Poll::Pending => cx.sessions.pause(cx.conn),
        }
    }

    /// Lets the client into the room, now that it is known where that is.
    pub(super) fn enter(
        &mut self,
        cx: &mut Context<'_>,
        located: Located<'_>,
        join: &Join<'_>,
        id: Option<&MessageId<'_>>,
    ) {
        let (rooms, mut effects) = self.split(cx.sessions, cx.now);
        let result = rooms.join(located, cx.conn, join, cx.now, &mut effects);
        match result {
            Ok(Done::WhenRead(room)) => {
                let (join, id) = (join.clone().into_owned(), id.map(MessageId::to_owned));
                self.wait_for_document(cx, room, RoomRequest::Join { join, id });
                return;
            }
            Ok(_) => {
                let bytes_max = self.config.limits.message_bytes_max;
                cx.sessions.set_message_bytes_max(cx.conn, bytes_max);
                cx.sessions.expect_message_by(cx.conn, None);
                self.clients.note_joined(cx.conn);
            }
            Err(RoomError::RoomNotFound) => {
                if let Some(address) = cx.sessions.address(cx.conn)
                    && let Some(until) = self.count_miss(address, cx.now.at)
                {
                    cx.sessions.pause(cx.conn);
                    let missed = Missed::Join(id.map(MessageId::to_owned));
                    self.answer_late(cx, address, until, missed);
                    return;
                }
            }
            Err(_) => {}
        }
        self.finish(cx, result, id);
    }

    /// Acknowledges an action that has taken effect, or says why it has not.
    pub(super) fn finish(
        &mut self,
        cx: &mut Context<'_>,
        result: Result<Done, RoomError>,
        id: Option<&MessageId<'_>>,
    ) {
        match (result, id) {
            (Ok(Done::WhenRead(room)), id) => {
                let request = RoomRequest::RequestSync { id: id.map(MessageId::to_owned) };
                self.wait_for_document(cx, room, request);
            }
            (Ok(Done::Now), Some(id)) => self.replies.send(cx, &Reply::Ack { id }),
            (Ok(Done::WhenDurable { room, revision }), Some(id)) => {
                let ack = PendingAck { conn: cx.conn, revision, id: id.to_owned() };
                if self.acks.wait(room, ack, self.free_bytes()).is_err() {
                    self.replies.refuse(cx, ErrorCode::StoreUnavailable, Some(id));
                }
            }
            (Ok(Done::NotDurable), Some(id)) => {
                self.replies.refuse(cx, ErrorCode::StoreUnavailable, Some(id));
            }
            (Ok(_), None) => {}
            (Err(error), id) => {
                let code = ErrorCode::from(error);
                debug!("{}: {}", cx.conn, code.as_str());
                self.replies.refuse(cx, code, id);
            }
        }
    }
}
