//! How the rooms answer a request: that it is done, or with a reason why not.

use thiserror::Error;

use crate::base::ids::RoomKey;

/// When an accepted action counts as done, and so when it may be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It has taken effect.
    Now,
    /// It has taken effect in memory; [`Output::durable`](super::Output::durable) with this or a
    /// later revision makes it last, [`Output::not_durable`](super::Output::not_durable) says that
    /// nothing ever will.
    WhenDurable {
        /// The room.
        room: RoomKey,
        /// The state of the room that contains the change.
        revision: u64,
    },
    /// It has taken effect in memory and will never be stored, because another room owns this
    /// code in the store. If an acknowledgement was asked for, this is to be said instead.
    NotDurable,
    /// It has not taken effect, as only the store has the document of this room. The request is to
    /// wait for it ([`Rooms::wait_for_document`](super::Rooms::wait_for_document)).
    WhenRead(RoomKey),
}

/// The answer to a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseDone {
    /// The room is gone; it was not stored.
    Closed,
    /// Its members are gone; [`Output::delete`](super::Output::delete) asks for what is stored of
    /// it to be deleted, at once or when nothing stands in the way any more.
    WhenDeleted(RoomKey),
}

/// Why a request was refused. Each but the last two is the asker's doing. What clients are told is
/// the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomError {
    /// Neither in memory nor stored.
    RoomNotFound,
    /// The action needs a room and the connection is in none.
    NotInRoom,
    /// The connection did not join as host.
    HostOnly,
    /// The room has as many connections as it may have.
    RoomFull,
    /// No more rooms fit into memory.
    TooManyRooms,
    /// Only the store could tell, and it does not answer.
    StoreUnavailable,
}

/// The store gave no answer to a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the store does not answer")]
pub struct StoreUnavailable;

/// Why a snapshot was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SaveError {
    /// No answer; it is tried again.
    #[error("the store does not answer")]
    Unavailable,
    /// The store takes all but this; it is tried again.
    #[error("the store refuses this room")]
    Refused,
    /// The store has another room (another room id) under this code; this one stays in memory only.
    #[error("another room owns this code in the store")]
    Conflict,
}
