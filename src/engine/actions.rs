//! What a WebSocket client's message does.

use log::debug;
use sha2::{Digest, Sha256};

use super::Engine;
use super::clients::Verdict;
use super::desk::Waiting;
use crate::base::ids::ConnId;
use crate::base::time::Now;
use crate::protocol::{self, ClientAction, ErrorCode, Message, MessageId, Reply};
use crate::rooms::{Action, Done, Join, RoomError, TokenHash};
use crate::session::{FIRST_MESSAGE_TIMEOUT, Sessions};
use crate::ws::CloseReason;

impl Engine {
    /// One message of a client, from its bytes to its effects.
    pub(super) fn act(&mut self, sessions: &mut Sessions, conn: ConnId, text: &str, now: Now) {
        let rate = self.desk.clients.count_message(conn, now.at);
        if rate == Verdict::Close {
            sessions.close(conn, CloseReason::Policy("too many messages"), now);
            return;
        }
        let message = match protocol::parse(text) {
            Ok(message) => message,
            Err(error) => {
                if self.desk.clients.count_bad(conn) == Verdict::Close {
                    sessions.close(conn, CloseReason::Policy("too many bad messages"), now);
                    return;
                }
                let id = error.id.as_ref();
                self.desk.send_error(sessions, conn, error.code, &error.message, id, now);
                return;
            }
        };
        if rate == Verdict::Refuse {
            self.desk.refuse(sessions, conn, ErrorCode::RateLimited, message.id.as_ref(), now);
            return;
        }
        self.desk.clients.count_good(conn);
        let unjoined = self.desk.clients.client_mut(conn).is_some_and(|c| !c.has_joined);
        if unjoined {
            sessions.expect_message_by(conn, Some(now.at + FIRST_MESSAGE_TIMEOUT));
        }
        self.perform(sessions, conn, message, now);
    }

    fn perform(&mut self, sessions: &mut Sessions, conn: ConnId, message: Message<'_>, now: Now) {
        let id = message.id;
        let action = match message.action {
            ClientAction::Ping => {
                self.desk.send_reply(sessions, conn, &Reply::Pong, now);
                self.finish(sessions, conn, Ok(Done::Now), id.as_ref(), now);
                return;
            }
            ClientAction::Join { room_code, peer_id, is_host, metadata, host_token } => {
                let drawn;
                let peer_id = if let Some(peer_id) = &peer_id {
                    peer_id.as_ref()
                } else {
                    drawn = self.desk.fresh_peer_id();
                    &drawn
                };
                let join = Join {
                    room_code: &room_code,
                    peer_id,
                    is_host,
                    metadata,
                    host_token: host_token.map(|token| hash_token(token.expose())),
                };
                self.join(sessions, conn, join, id.as_ref(), now);
                return;
            }
            ClientAction::Broadcast { data } => Action::Broadcast { data },
            ClientAction::SyncDocument { document } => {
                if !self.desk.has_memory_for(document.0.len()) {
                    let code = ErrorCode::Internal;
                    let message = "The server is short of memory; try again later";
                    self.desk.send_error(sessions, conn, code, message, id.as_ref(), now);
                    return;
                }
                let document = protocol::encode_document(document, sessions.budget());
                Action::SyncDocument { document }
            }
            ClientAction::RequestSync => Action::RequestSync,
            ClientAction::Leave => {
                sessions.keep(conn, 0);
                Action::Leave
            }
        };
        let result = self
            .with_rooms(sessions, now, |rooms, effects| rooms.handle(conn, action, now, effects));
        self.finish(sessions, conn, result, id.as_ref(), now);
    }

    fn join(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        join: Join<'_>,
        id: Option<&MessageId<'_>>,
        now: Now,
    ) {
        if self.desk.guesses_too_much(sessions, conn, now) {
            self.desk.refuse(sessions, conn, ErrorCode::RateLimited, id, now);
            return;
        }
        // Kept as long as it waits for the store, and then as long as it is a member. What a join
        // that fails said counts until the next one.
        sessions.keep(conn, join.peer_id.len() + join.metadata.0.len());
        let result = self.with_rooms(sessions, now, |rooms, effects| {
            rooms.handle(conn, Action::Join(join), now, effects)
        });
        match result {
            Ok(Done::WaitingForStore) => {
                let id = id.map(MessageId::to_owned);
                self.desk.waiting.insert(conn, Waiting::Join { id });
                sessions.pause(conn);
            }
            result => {
                self.desk.join_ended(sessions, conn, &result, now);
                self.finish(sessions, conn, result, id, now);
            }
        }
    }

    /// Acknowledges, or says what was wrong.
    fn finish(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        result: Result<Done, RoomError>,
        id: Option<&MessageId<'_>>,
        now: Now,
    ) {
        if let Err(error) = result {
            debug!("{conn}: {error}");
        }
        self.desk.finish(sessions, conn, result, id, now);
    }
}

/// What is kept of a host token.
pub(super) fn hash_token(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token.as_bytes()).into())
}
