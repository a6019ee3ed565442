//! What happens to a room, one event after the other.
//!
//! An event is accepted once and delivered wherever the room has members: it names its origin and
//! carries all that its delivery needs. While it is borrowed it costs no allocation; to travel it
//! is made independent of what it was borrowed from.

use std::borrow::Cow;

use super::action::Document;
use crate::base::ids::ConnId;
use crate::base::time::UnixMillis;

/// One server among those that have members of the same rooms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A connection in a room, on whichever server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The connection. It comes first, as members are told apart by it most quickly.
    pub conn: ConnId,
    /// The server it is connected to.
    pub node: NodeId,
}

/// What happens to a room next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomEvent<'a> {
    /// The member whose action it is.
    pub from: Member,
    /// What the member does.
    pub kind: RoomEventKind<'a>,
}

/// The kinds of events, each with what its delivery needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomEventKind<'a> {
    /// A member comes in, or asks afresh from the seat that it has.
    Joined(Joiner<'a>),
    /// A member goes.
    Left,
    /// A broadcast.
    Data {
        /// The peer that the member belongs to.
        peer_id: Cow<'a, str>,
        /// JSON text, relayed untouched.
        data: Cow<'a, str>,
    },
    /// A new document.
    Document(Document),
}

/// What a member comes in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joiner<'a> {
    /// The peer that the member belongs to.
    pub peer_id: Cow<'a, str>,
    /// The member has host rights.
    pub is_host: bool,
    /// JSON text that is shown to the other peers.
    pub metadata: Cow<'a, str>,
    /// When the join was accepted.
    pub joined_at: UnixMillis,
}

impl Member {
    /// The connection, if it is one of the server `here`.
    pub(super) fn connected_to(self, here: NodeId) -> Option<ConnId> {
        (self.node == here).then_some(self.conn)
    }
}

impl RoomEvent<'_> {
    /// The same, independent of what it was borrowed from.
    pub fn into_owned(self) -> RoomEvent<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let kind = match self.kind {
            RoomEventKind::Joined(joiner) => RoomEventKind::Joined(Joiner {
                peer_id: owned(joiner.peer_id),
                metadata: owned(joiner.metadata),
                ..joiner
            }),
            RoomEventKind::Left => RoomEventKind::Left,
            RoomEventKind::Data { peer_id, data } => {
                RoomEventKind::Data { peer_id: owned(peer_id), data: owned(data) }
            }
            RoomEventKind::Document(document) => RoomEventKind::Document(document),
        };
        RoomEvent { from: self.from, kind }
    }
}
