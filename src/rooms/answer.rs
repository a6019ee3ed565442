//! How the rooms answer a request: at once, later, or with a reason why not.

use thiserror::Error;

use super::room::RoomView;
use crate::base::ids::RoomKey;

/// When an accepted action counts as done, and so when it may be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It has taken effect.
    Now,
    /// The room has to be looked up first; [`Output::resolved`](super::Output::resolved) will tell.
    /// Until then the caller passes on nothing else of this connection.
    WaitingForStore,
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
    /// code in the store. Whoever asked for an acknowledgement has to be told so.
    NotDurable,
}

/// The answer to a create.
#[derive(Clone, Copy, Debug)]
pub enum CreateDone<'a> {
    /// A new room.
    Created(RoomView<'a>),
    /// The desired code exists; this is the room that has it.
    Restored(RoomView<'a>),
    /// The drawn code exists; draw another one.
    Taken,
    /// The code has to be looked up first; [`Output::created`](super::Output::created) will tell.
    WaitingForStore,
}

/// The answer to a view.
#[derive(Clone, Copy, Debug)]
pub enum ViewDone<'a> {
    /// The room is in memory.
    Room(RoomView<'a>),
    /// It has to be looked up first; [`Output::viewed`](super::Output::viewed) will tell.
    WaitingForStore,
}

/// The answer to a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseDone {
    /// The room is gone; it was not stored.
    Closed,
    /// Its members are gone; [`Output::delete`](super::Output::delete) asks for what is stored of
    /// it to be deleted, at once or when nothing stands in the way any more.
    WhenDeleted(RoomKey),
    /// The room has to be looked up first; [`Output::closed`](super::Output::closed) will tell.
    WaitingForStore,
}

/// Why a request was refused. Each but the last two is the asker's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RoomError {
    /// Neither in memory nor stored.
    #[error("Room not found")]
    RoomNotFound,
    /// The action needs a room and the connection is in none.
    #[error("Join a room first")]
    NotInRoom,
    /// The connection did not join as host.
    #[error("Only the host can sync the document")]
    HostOnly,
    /// The room has as many connections as it may have.
    #[error("Room is full")]
    RoomFull,
    /// No more rooms fit into memory.
    #[error("Too many rooms, try again later")]
    TooManyRooms,
    /// Only the store could tell, and it does not answer.
    #[error("The room store does not answer, try again later")]
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
    /// The store has another room (another room id) under this code; this one stays in memory only.
    #[error("another room owns this code in the store")]
    Conflict,
}
