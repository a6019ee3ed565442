//! What can be refused, by which code, in which words: the one table of errors (protocol,
//! *Errors*).

use super::message_id::MessageId;

/// Why an action is refused, for programs. The connection stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The message is not JSON, or not an action with the fields that it needs.
    BadMessage,
    /// There is no action of that name.
    UnknownAction,
    /// There is no room of that code, in memory or stored.
    RoomNotFound,
    /// The action needs a room, and the connection is in none.
    NotInRoom,
    /// The action is the host's.
    HostOnly,
    /// The room has as many connections as it may have.
    RoomFull,
    /// The server has as many rooms as it may have.
    TooManyRooms,
    /// A name, an id or the metadata is longer than it may be.
    TooLarge,
    /// The client, or its address, asks too often.
    RateLimited,
    /// The client has not shown that it may do this.
    Unauthorized,
    /// Only the store could tell, and it does not answer.
    StoreUnavailable,
    /// The server failed.
    Internal,
}

/// A message that cannot be carried out. The client is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError<'a> {
    /// What kind of error it is.
    pub code: ErrorCode,
    /// What is wrong, for people; at most a few hundred bytes.
    pub message: String,
    /// The message's `id`, if it was well-formed enough to have one.
    pub id: Option<MessageId<'a>>,
}

impl ErrorCode {
    /// All of them, in their order.
    pub const ALL: [Self; 12] = [
        Self::BadMessage,
        Self::UnknownAction,
        Self::RoomNotFound,
        Self::NotInRoom,
        Self::HostOnly,
        Self::RoomFull,
        Self::TooManyRooms,
        Self::TooLarge,
        Self::RateLimited,
        Self::Unauthorized,
        Self::StoreUnavailable,
        Self::Internal,
    ];

    /// The code as it is sent.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// What it means, for people; for use where there is nothing more exact to say.
    pub fn message(self) -> &'static str {
        self.row().1
    }

    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::BadMessage => ("bad_message", "Invalid message format"),
            Self::UnknownAction => ("unknown_action", "Unknown action"),
            Self::RoomNotFound => ("room_not_found", "Room not found"),
            Self::NotInRoom => ("not_in_room", "Join a room first"),
            Self::HostOnly => ("host_only", "Only the host can sync the document"),
            Self::RoomFull => ("room_full", "The room is full"),
            Self::TooManyRooms => ("too_many_rooms", "Too many rooms are open, try again later"),
            Self::TooLarge => ("too_large", "A part of the message is too large"),
            Self::RateLimited => ("rate_limited", "Too many messages, slow down"),
            Self::Unauthorized => ("unauthorized", "Not authorized"),
            Self::StoreUnavailable => {
                ("store_unavailable", "The room store does not answer, try again later")
            }
            Self::Internal => ("internal", "Internal server error"),
        }
    }
}
