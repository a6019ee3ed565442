//! What the rooms tell their members, borrowed from the room's own state, and what they ask of
//! the engine around them.

use super::action::{Document, RawJson};
use super::answer::StoreUnavailable;
use super::data::{Peer, StoredRoom};
use super::room::RoomView;
use super::room_event::RoomEvent;
use crate::base::ids::{ConnId, RoomKey};

/// A message to members (protocol, *Server to client*).
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// First answer to a join.
    Connected {
        /// The joiner.
        peer_id: &'a str,
        /// The room's own spelling of its code.
        room_code: &'a str,
    },
    /// Second answer to a join.
    RoomInfo {
        /// The joiner included.
        room: RoomView<'a>,
    },
    /// The document; `None` is sent as `""`.
    DocumentSync {
        /// The frame to send.
        document: Option<&'a Document>,
    },
    /// A peer's first connection joined.
    PeerJoined {
        /// The peer.
        peer: &'a Peer,
    },
    /// A peer's last connection left.
    PeerLeft {
        /// The peer.
        peer_id: &'a str,
    },
    /// A broadcast.
    Data {
        /// The sending peer.
        from: &'a str,
        /// Relayed untouched.
        data: RawJson<'a>,
    },
}

/// Where effects go, in order, while the rooms are borrowed: membership cannot change under a
/// fan-out. An implementation must not call back into the rooms.
pub trait Output {
    /// `event` to one connection.
    fn send(&mut self, to: ConnId, event: &Event<'_>);

    /// `event` to each of `to` but `except`, in that order.
    fn broadcast(&mut self, to: &[ConnId], except: Option<ConnId>, event: &Event<'_>);

    /// `event` of the room `room_code` was accepted here and is delivered next. A broker would
    /// publish it to the other servers, which deliver it by
    /// [`Rooms::deliver_event`](super::Rooms::deliver_event).
    fn accepted(&mut self, _room_code: &str, _event: &RoomEvent<'_>) {}

    /// Ask the store for `room_code`, as it is and then upper-cased; its answer ends with
    /// [`Rooms::lookup_done`](super::Rooms::lookup_done). At most one is under way for one code.
    ///
    /// # Errors
    ///
    /// The store cannot be asked at present.
    fn lookup(&mut self, room_code: &str) -> Result<(), StoreUnavailable>;

    /// Read the document of the room `stored`, for `asker` first of all; answer with
    /// [`Rooms::document_read`](super::Rooms::document_read). The store has it under that code,
    /// with that permanent id or none. At most one is under way for one room.
    fn read_document(&mut self, asker: ConnId, room: RoomKey, stored: RoomView<'_>);

    /// The room is closed under these members, which are in no room any more. What was to be made
    /// durable of it never will be.
    fn dismissed(&mut self, room: RoomKey, members: &[ConnId]);

    /// Delete the stored room that has this code and this permanent id, or none; answer with
    /// [`Rooms::deleted`](super::Rooms::deleted). Once for a room, and nothing else of it is under
    /// way then.
    fn delete(&mut self, room: RoomKey, room_code: &str, room_id: &str);

    /// Store `room` as it is at `revision`; answer with [`Rooms::saved`](super::Rooms::saved). At
    /// most one is under way for one room.
    fn persist(&mut self, key: RoomKey, revision: u64, room: StoredRoom);

    /// Everything up to `revision` of this room is durably stored now.
    fn durable(&mut self, room: RoomKey, revision: u64);

    /// Nothing of this room that is not durable by now ever will be: another room owns its code
    /// in the store. Said once; later changes are
    /// [`Done::NotDurable`](super::Done::NotDurable) at once.
    fn not_durable(&mut self, room: RoomKey);

    /// A fresh permanent room id.
    fn fresh_room_id(&mut self) -> String;

    /// The room came to memory or left it, or the store refused it; for the log.
    fn room_changed(&mut self, room_code: &str, change: RoomChange);
}

/// What happened to a room as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomChange {
    /// New.
    Created,
    /// Back from the store.
    Restored,
    /// Left memory after its idle time.
    Expired,
    /// Left memory before its idle time, to make room for another one; it is stored.
    Evicted,
    /// Left memory before its idle time, as memory was short; nothing of it is stored.
    Dropped,
    /// Its document left memory, which is short; it is stored.
    Unloaded,
    /// Its document was only in the store, and is not there any more.
    DocumentLost,
    /// Was closed, and what is stored of it is to be deleted.
    Closed,
    /// Is not stored any longer: another room owns its code in the store.
    Conflicted,
}
