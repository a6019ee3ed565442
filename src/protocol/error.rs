//! What can be refused, by which code, in which words: the one table of errors (protocol,
//! *Errors*).

use crate::rooms::RoomError;

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

/// What each is called as it is sent, and what it means for people, in the order of the codes.
const TABLE: [(ErrorCode, &str, &str); 12] = [
    (ErrorCode::BadMessage, "bad_message", "Invalid message format"),
    (ErrorCode::UnknownAction, "unknown_action", "Unknown action"),
    (ErrorCode::RoomNotFound, "room_not_found", "Room not found"),
    (ErrorCode::NotInRoom, "not_in_room", "Join a room first"),
    (ErrorCode::HostOnly, "host_only", "Only the host can sync the document"),
    (ErrorCode::RoomFull, "room_full", "The room is full"),
    (ErrorCode::TooManyRooms, "too_many_rooms", "Too many rooms are open, try again later"),
    (ErrorCode::TooLarge, "too_large", "A part of the message is too large"),
    (ErrorCode::RateLimited, "rate_limited", "Too many messages, slow down"),
    (ErrorCode::Unauthorized, "unauthorized", "Not authorized"),
    (
        ErrorCode::StoreUnavailable,
        "store_unavailable",
        "The room store does not answer, try again later",
    ),
    (ErrorCode::Internal, "internal", "Internal server error"),
];

/// What a client is told for each error of the rooms.
impl From<RoomError> for ErrorCode {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::RoomNotFound => Self::RoomNotFound,
            RoomError::NotInRoom => Self::NotInRoom,
            RoomError::HostOnly => Self::HostOnly,
            RoomError::RoomFull => Self::RoomFull,
            RoomError::TooManyRooms => Self::TooManyRooms,
            RoomError::StoreUnavailable => Self::StoreUnavailable,
        }
    }
}

impl ErrorCode {
    /// All of them, in their order.
    pub const ALL: [Self; TABLE.len()] = {
        let mut all = [Self::Internal; TABLE.len()];
        let mut index = 0;
        while index < all.len() {
            all[index] = TABLE[index].0;
            assert!(all[index] as usize == index, "the table has the order of the codes");
            index += 1;
        }
        all
    };

    /// The code as it is sent.
    pub fn as_str(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// What it means, for people; for use where there is nothing more exact to say.
    pub fn message(self) -> &'static str {
        TABLE[self as usize].2
    }
}
