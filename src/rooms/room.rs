//! One room. What happens to it goes through two steps: an action is *accepted* (checked against
//! the room, which it does not change; the result is the room's next event), and the event is
//! *delivered* (it changes the room and is handed to the members). All members see the events in
//! the order of delivery.

use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::RoomsConfig;
use super::action::{Create, Document, Join, RawJson, TokenHash};
use super::answer::RoomError;
use super::deadlines::Armed;
use super::event::{Event, Output, Peer, Snapshot, StoredRoom};
use super::members::{Entry, Members};
use super::persistence::Saving;
use crate::base::ids::{ConnId, RoomKey};
use crate::base::time::{Now, Timestamp, UnixMillis};
use crate::config::{HostAuth, SyncWriters};

/// A room in memory.
#[derive(Clone, Debug)]
pub(super) struct Room {
    /// Tells it from other rooms that used its slot; set by the table.
    pub(super) generation: u32,
    identity: Identity,
    created_at: UnixMillis,
    document: Option<Document>,
    presence: Presence,
    pub(super) saving: Saving,
    /// What is noted of this room in the deadlines.
    pub(super) armed: Armed,
}

/// What makes a room this room; stored with it.
#[derive(Clone, Debug)]
struct Identity {
    code: Arc<str>,
    room_id: Box<str>,
    /// Empty while nobody has claimed the room.
    host_id: Box<str>,
    host_auth: HostAuth,
    host_token: Option<TokenHash>,
}

/// Who is there.
#[derive(Clone, Debug)]
enum Presence {
    /// Nobody, since this time.
    Empty { since: Timestamp },
    /// Nobody, and nobody comes: the room is being closed.
    Closing {
        /// The store was asked to delete it.
        is_deleting: bool,
    },
    /// Invariant: at least one connection. Boxed: a room that waits for people costs little.
    Live(Box<Members>),
}

/// A room as others may see it; cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct RoomView<'a> {
    room: &'a Room,
}

/// What happens to a room next. Whoever delivers it need not have accepted it.
#[derive(Debug)]
pub(super) enum RoomEvent<'a> {
    /// A connection comes in, or asks afresh from the seat that it has.
    Joined {
        conn: ConnId,
        peer_id: &'a str,
        /// It has host rights.
        is_host: bool,
        metadata: RawJson<'a>,
    },
    /// A connection goes.
    Left { conn: ConnId },
    /// A broadcast.
    Data { from: ConnId, data: RawJson<'a> },
    /// A new document.
    Document { from: ConnId, document: Document },
}

impl Room {
    /// A room that somebody asked for by a create.
    pub(super) fn created(create: &Create<'_>, store: bool, now: Now) -> Box<Self> {
        let identity = Identity {
            code: create.room_code.into(),
            room_id: create.room_id.into(),
            host_id: create.host_id.into(),
            host_auth: create.host_auth,
            host_token: Some(create.host_token),
        };
        Self::with(identity, now.unix, Saving::created(store), now.at)
    }

    /// A room that comes to be because somebody joins it. Nobody was given a token for it, so
    /// none can be asked for.
    pub(super) fn auto_created(join: &Join<'_>, room_id: &str, store: bool, now: Now) -> Box<Self> {
        let identity = Identity {
            code: (*join.room_code).into(),
            room_id: room_id.into(),
            host_id: if join.is_host { (*join.peer_id).into() } else { "".into() },
            host_auth: HostAuth::PeerId,
            host_token: None,
        };
        Self::with(identity, now.unix, Saving::created(store), now.at)
    }

    /// A room as the store has it, which stays so if it has an id.
    pub(super) fn restored(
        stored: &StoredRoom,
        fresh_id: Option<&str>,
        at: Timestamp,
    ) -> Box<Self> {
        let room_id = stored.room_id.as_deref().or(fresh_id).unwrap_or_default();
        let identity = Identity {
            code: stored.room_code.as_str().into(),
            room_id: room_id.into(),
            host_id: stored.host_id.as_deref().unwrap_or_default().into(),
            host_auth: stored.host_auth,
            host_token: stored.host_token,
        };
        let mut room = Self::with(identity, stored.created_at, Saving::restored(), at);
        room.document.clone_from(&stored.document);
        if fresh_id.is_some() {
            room.saving.changed();
        }
        room
    }

    fn with(
        identity: Identity,
        created_at: UnixMillis,
        saving: Saving,
        at: Timestamp,
    ) -> Box<Self> {
        Box::new(Self {
            generation: 0,
            identity,
            created_at,
            document: None,
            presence: Presence::Empty { since: at },
            saving,
            armed: Armed::Nothing,
        })
    }

    /// The room's own spelling of its code.
    pub(super) fn code(&self) -> &str {
        &self.identity.code
    }

    /// The same, to be kept elsewhere without a copy.
    pub(super) fn shared_code(&self) -> Arc<str> {
        Arc::clone(&self.identity.code)
    }

    /// All connections, in the order of their joins.
    pub(super) fn connections(&self) -> &[ConnId] {
        self.members().map_or(&[], Members::connections)
    }

    /// The room as others may see it.
    pub(super) fn view(&self) -> RoomView<'_> {
        RoomView { room: self }
    }

    /// The room as it is to be stored.
    pub(super) fn snapshot(&self, key: RoomKey) -> Snapshot<'_> {
        Snapshot {
            key,
            revision: self.saving.revision(),
            room_code: &self.identity.code,
            room_id: &self.identity.room_id,
            host_id: &self.identity.host_id,
            host_auth: self.identity.host_auth,
            host_token: self.identity.host_token,
            document: self.document.as_ref(),
            created_at: self.created_at,
        }
    }

    /// Bytes of the document.
    pub(super) fn document_bytes(&self) -> usize {
        self.document.as_ref().map_or(0, |document| document.0.len())
    }

    /// When the room has to be written, if it has.
    pub(super) fn save_due(&self) -> Option<Timestamp> {
        self.saving.due().filter(|_| !self.is_closing())
    }

    /// What the room waits for.
    pub(super) fn deadline(&self) -> Armed {
        match (self.save_due(), &self.presence) {
            (Some(at), _) => Armed::Save(at),
            (None, &Presence::Empty { since }) if self.saving.may_forget() => Armed::Idle(since),
            (None, _) => Armed::Nothing,
        }
    }

    /// Lets the idle time of an empty room start again.
    pub(super) fn touch(&mut self, at: Timestamp) {
        if let Presence::Empty { since } = &mut self.presence {
            *since = at;
        }
    }

    /// The room is being closed: its document goes, and nobody is in it.
    pub(super) fn begin_closing(&mut self) {
        self.document = None;
        self.presence = Presence::Closing { is_deleting: false };
    }

    /// Whether the room is being closed.
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.presence, Presence::Closing { .. })
    }

    /// Notes that the store is asked to delete the room. Returns whether that is news.
    pub(super) fn begin_deleting(&mut self) -> bool {
        match &mut self.presence {
            Presence::Closing { is_deleting } => !std::mem::replace(is_deleting, true),
            Presence::Empty { .. } | Presence::Live(_) => false,
        }
    }

    /// Whether `conn` is in the room as `peer_id`.
    pub(super) fn seats(&self, conn: ConnId, peer_id: &str) -> bool {
        self.peer_of(conn).is_some_and(|peer| *peer.id == *peer_id)
    }

    /// Checks a join. A connection that is in the room already always finds a place.
    pub(super) fn accept_join<'a>(
        &self,
        conn: ConnId,
        join: &'a Join<'_>,
        config: &RoomsConfig,
    ) -> Result<RoomEvent<'a>, RoomError> {
        let is_full = self.connections().len() >= config.peers_per_room_max as usize;
        if is_full && self.peer_of(conn).is_none() {
            return Err(RoomError::RoomFull);
        }
        Ok(RoomEvent::Joined {
            conn,
            peer_id: &join.peer_id,
            is_host: self.grants_host(join, config.host_auth),
            metadata: RawJson(&join.metadata),
        })
    }

    /// Checks a new document of a member.
    pub(super) fn accept_document(
        &self,
        from: ConnId,
        document: Document,
        config: &RoomsConfig,
    ) -> Result<RoomEvent<'static>, RoomError> {
        let is_host = self.members().is_some_and(|members| members.is_host(from));
        if config.sync_writers == SyncWriters::Host && !is_host {
            return Err(RoomError::HostOnly);
        }
        Ok(RoomEvent::Document { from, document })
    }

    /// Lets an event happen.
    pub(super) fn deliver(&mut self, event: RoomEvent<'_>, now: Now, out: &mut impl Output) {
        match event {
            RoomEvent::Joined { conn, peer_id, is_host, metadata } => {
                let entry = Entry { conn, peer_id, is_host, metadata: metadata.0, at: now.unix };
                self.deliver_joined(entry, out);
            }
            RoomEvent::Left { conn } => self.deliver_left(conn, now, out),
            RoomEvent::Data { from, data } => {
                let Some(peer) = self.peer_of(from) else { return };
                self.tell_others(from, &Event::Data { from: &peer.id, data }, out);
            }
            RoomEvent::Document { from, document } => {
                self.document = Some(document);
                self.saving.changed();
                let document = self.document.as_ref();
                self.tell_others(from, &Event::DocumentSync { document }, out);
            }
        }
    }

    /// Sends the document to a member that asked for it.
    pub(super) fn send_document(&self, to: ConnId, out: &mut impl Output) {
        out.send(to, &Event::DocumentSync { document: self.document.as_ref() });
    }

    /// Panics if an invariant does not hold.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.armed, self.deadline(), "room {} has a stale deadline", self.code());
        if let Presence::Live(members) = &self.presence {
            assert!(!members.connections().is_empty(), "a live room has members");
            members.check_invariants();
        }
    }

    fn members(&self) -> Option<&Members> {
        match &self.presence {
            Presence::Empty { .. } | Presence::Closing { .. } => None,
            Presence::Live(members) => Some(members),
        }
    }

    fn peer_of(&self, conn: ConnId) -> Option<&Peer> {
        self.members()?.peer_of(conn)
    }

    /// Whether a joiner gets the host rights that it asks for. A room that nobody has claimed is
    /// there to be claimed.
    fn grants_host(&self, join: &Join<'_>, server: HostAuth) -> bool {
        let Identity { host_id, host_auth, host_token, .. } = &self.identity;
        let has_token = match (join.host_token, host_token) {
            (Some(given), Some(expected)) => bool::from(given.0.ct_eq(&expected.0)),
            _ => false,
        };
        // Where no token was ever given out, the server-wide rule would lock everybody out.
        let needs_token =
            *host_auth == HostAuth::Token || (server == HostAuth::Token && host_token.is_some());
        let is_named = host_id.is_empty() || **host_id == *join.peer_id;
        join.is_host && is_named && (has_token || !needs_token)
    }

    /// The joiner gets the room as it is, itself included; the others hear of it afterwards.
    fn deliver_joined(&mut self, entry: Entry<'_>, out: &mut impl Output) {
        if entry.is_host && self.identity.host_id.is_empty() {
            self.identity.host_id = entry.peer_id.into();
            self.saving.changed();
        }
        let is_first = self.presence.members_mut().enter(entry).is_some();
        let (conn, peer_id) = (entry.conn, entry.peer_id);
        out.send(conn, &Event::Connected { peer_id, room_code: self.code() });
        out.send(conn, &Event::RoomInfo { room: self.view() });
        if self.document.is_some() {
            self.send_document(conn, out);
        }
        if is_first && let Some(peer) = self.peer_of(conn) {
            self.tell_others(conn, &Event::PeerJoined { peer }, out);
        }
    }

    fn deliver_left(&mut self, conn: ConnId, now: Now, out: &mut impl Output) {
        let Presence::Live(members) = &mut self.presence else { return };
        let left = members.leave(conn);
        if members.connections().is_empty() {
            self.presence = Presence::Empty { since: now.at };
        } else if let Some(peer) = left {
            self.tell_others(conn, &Event::PeerLeft { peer_id: &peer.id }, out);
        }
    }

    /// To every connection but `from`; to nobody at no cost.
    fn tell_others(&self, from: ConnId, event: &Event<'_>, out: &mut impl Output) {
        match self.connections() {
            [] => {}
            [only] if *only == from => {}
            members => out.broadcast(members, Some(from), event),
        }
    }
}

impl Presence {
    /// The members, to let one more in.
    fn members_mut(&mut self) -> &mut Members {
        debug_assert!(!matches!(self, Self::Closing { .. }), "nobody is let into such a room");
        if !matches!(self, Self::Live(_)) {
            *self = Self::Live(Box::default());
        }
        match self {
            Self::Live(members) => members,
            Self::Empty { .. } | Self::Closing { .. } => unreachable!("it was made live above"),
        }
    }
}

impl<'a> RoomView<'a> {
    /// The room's own spelling of its code.
    pub fn code(self) -> &'a str {
        &self.room.identity.code
    }

    /// The room's permanent id; empty for a viewed room of the old backend.
    pub fn room_id(self) -> &'a str {
        &self.room.identity.room_id
    }

    /// Empty while nobody has claimed the room.
    pub fn host_id(self) -> &'a str {
        &self.room.identity.host_id
    }

    /// Who is there, in the order of their first joins.
    pub fn peers(self) -> impl ExactSizeIterator<Item = &'a Peer> {
        self.room.members().map_or(&[][..], Members::peers).iter()
    }

    /// How many peers are there.
    pub fn peer_count(self) -> usize {
        self.room.members().map_or(0, |members| members.peers().len())
    }

    /// How many connections these peers have.
    pub fn connection_count(self) -> usize {
        self.room.connections().len()
    }

    /// Whether the room has a document.
    pub fn has_document(self) -> bool {
        self.room.document.is_some()
    }

    /// Bytes of the document as it is sent; 0 if there is none.
    pub fn document_bytes(self) -> usize {
        self.room.document_bytes()
    }

    /// The room's state: each change that is to be stored raises it, from 1 on.
    pub fn revision(self) -> u64 {
        self.room.saving.revision()
    }

    /// Whether the store has the room as it is.
    pub fn is_stored(self) -> bool {
        self.room.saving.is_stored()
    }

    /// Since when nobody is there; `None` if somebody is.
    pub fn empty_since(self) -> Option<Timestamp> {
        match self.room.presence {
            Presence::Empty { since } => Some(since),
            Presence::Live(_) | Presence::Closing { .. } => None,
        }
    }

    /// When the room was made.
    pub fn created_at(self) -> UnixMillis {
        self.room.created_at
    }
}

// With its strings and its entries in the tables, a room that nobody is in takes about twice that,
// and its document.
const _: () = assert!(size_of::<Room>() <= 200);
