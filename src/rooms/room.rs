//! One room: what makes it this room, its members, its document, and how an event changes them.
//! What may happen is checked in `accept`, and told to the members in `deliver`.

use std::sync::Arc;

use super::action::{Create, Document, Join, TokenHash};
use super::answer::StoreUnavailable;
use super::data::{Peer, StoredRoom};
use super::document::{Listing, Place};
use super::members::{Audience, Entry, Presence};
use super::persistence::Saving;
use super::room_event::{Joiner, Member, NodeId, RoomEvent, RoomEventKind};
use crate::base::ids::ConnId;
use crate::base::time::{Now, Timestamp, UnixMillis};
use crate::config::{AddressKey, HostAuth};

/// A room in memory.
#[derive(Clone, Debug)]
pub(super) struct Room {
    /// Tells it from other rooms that used its slot; set by the table.
    pub(super) generation: u32,
    identity: RoomIdentity,
    created_at: UnixMillis,
    document: Place,
    occupancy: Occupancy,
    pub(super) saving: Saving,
    /// What it stands in the sets of timers with.
    pub(super) armed: Armed,
    /// The document is on its way from the store.
    is_being_read: bool,
}

/// What a room waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Armed {
    /// Nothing.
    #[default]
    Nothing,
    /// Its next write at this time.
    Save(Timestamp),
    /// The end of its idle time. It has nothing to write and has been empty since this time.
    Idle(Timestamp),
}

/// What makes a room this room; stored with it.
#[derive(Clone, Debug)]
pub(super) struct RoomIdentity {
    code: Arc<str>,
    room_id: Box<str>,
    /// Empty while the room is unclaimed.
    pub(super) host_id: Box<str>,
    pub(super) host_auth: HostAuth,
    pub(super) host_token: Option<TokenHash>,
}

/// Whether there are members.
#[derive(Clone, Debug)]
enum Occupancy {
    /// None, since this time.
    Empty { since: Timestamp },
    /// None, and none is let in: the room is being closed.
    Closing {
        /// The store was asked to delete it.
        is_deleting: bool,
    },
    /// At least one. Boxed: a room that waits for members costs little.
    Live(Box<Members>),
}

/// The members of a room. Invariant: those of this server are its audience, in the same order.
#[derive(Clone, Debug, Default)]
struct Members {
    presence: Presence,
    audience: Audience,
}

/// What an event changed of the peers that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PeerChange {
    /// Nothing.
    None,
    /// The peer of the event's member came.
    Came,
    /// This peer went.
    Went(Peer),
}

/// A room as others may see it; cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct RoomView<'a> {
    room: &'a Room,
}

impl Armed {
    /// When the room is to be written, if it waits for that.
    pub(super) fn save(self) -> Option<Timestamp> {
        if let Self::Save(at) = self { Some(at) } else { None }
    }

    /// Since when the room is idle, if it waits for the end of that.
    pub(super) fn idle(self) -> Option<Timestamp> {
        if let Self::Idle(since) = self { Some(since) } else { None }
    }
}

impl Room {
    /// A room that a create asked for.
    pub(super) fn created(create: &Create<'_>, store: bool, now: Now) -> Box<Self> {
        let identity = RoomIdentity {
            code: create.room_code.into(),
            room_id: create.room_id.into(),
            host_id: create.host_id.into(),
            host_auth: create.host_auth,
            host_token: Some(create.host_token),
        };
        Self::with(identity, now.unix, Saving::created(store), now.at)
    }

    /// A room that comes to be by a join. No token was given out for it, so none can be asked
    /// for.
    pub(super) fn auto_created(join: &Join<'_>, room_id: &str, store: bool, now: Now) -> Box<Self> {
        let identity = RoomIdentity {
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
        let identity = RoomIdentity {
            code: stored.room_code.as_str().into(),
            room_id: room_id.into(),
            host_id: stored.host_id.as_deref().unwrap_or_default().into(),
            host_auth: stored.host_auth,
            host_token: stored.host_token,
        };
        let mut room = Self::with(identity, stored.created_at, Saving::restored(), at);
        room.document = Place::of(&stored.document, at);
        if fresh_id.is_some() {
            room.saving.changed();
        }
        room
    }

    fn with(
        identity: RoomIdentity,
        created_at: UnixMillis,
        saving: Saving,
        at: Timestamp,
    ) -> Box<Self> {
        Box::new(Self {
            generation: 0,
            identity,
            created_at,
            document: Place::Nowhere,
            occupancy: Occupancy::Empty { since: at },
            saving,
            armed: Armed::Nothing,
            is_being_read: false,
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

    /// The connections to this server that hear the room, in the order of their joins.
    pub(super) fn connections(&self) -> &[ConnId] {
        match &self.occupancy {
            Occupancy::Empty { .. } | Occupancy::Closing { .. } => &[],
            Occupancy::Live(members) => members.audience.connections(),
        }
    }

    /// The members, on whichever server, if there are any.
    pub(super) fn presence(&self) -> Option<&Presence> {
        match &self.occupancy {
            Occupancy::Empty { .. } | Occupancy::Closing { .. } => None,
            Occupancy::Live(members) => Some(&members.presence),
        }
    }

    /// The peer that a member belongs to; nothing for one that is not here.
    pub(super) fn peer_of(&self, member: Member) -> Option<&Peer> {
        self.presence()?.peer_of(member)
    }

    /// What makes the room this room.
    pub(super) fn identity(&self) -> &RoomIdentity {
        &self.identity
    }

    /// The document to be sent to members, if the room has one and it is in memory.
    pub(super) fn lend_document(&self) -> Option<Document> {
        if let Place::Memory(held) = &self.document { Some(held.lend()) } else { None }
    }

    /// Whether only the store has the document.
    pub(super) fn needs_document(&self) -> bool {
        matches!(self.document, Place::Store { .. })
    }

    /// Whether the document is on its way from the store.
    pub(super) fn is_being_read(&self) -> bool {
        self.is_being_read
    }

    /// The store is asked for the document. Until it has answered, none leaves memory: what the
    /// store says may be older than what it has been given since.
    pub(super) fn begin_reading(&mut self) {
        self.is_being_read = true;
    }

    /// The store has answered. A document that was written meanwhile is newer.
    pub(super) fn end_reading(
        &mut self,
        found: Result<Option<Document>, StoreUnavailable>,
        at: Timestamp,
    ) {
        self.is_being_read = false;
        if let (true, Ok(found)) = (self.needs_document(), found) {
            self.document = Place::Nowhere;
            if let Some(document) = found {
                self.document.replace(document, at);
            }
        }
    }

    /// The document is used.
    pub(super) fn touch_document(&mut self, at: Timestamp) {
        self.document.touch(at);
    }

    /// The document is charged to `writer`.
    pub(super) fn charge_document(&mut self, writer: AddressKey) {
        if let Place::Memory(held) = &mut self.document {
            held.writer = Some(writer);
        }
    }

    /// Whether memory would be free if the document went: it is on its way to no member.
    pub(super) fn holds_document_alone(&self) -> bool {
        matches!(&self.document, Place::Memory(held) if !held.is_lent())
    }

    /// From here on only the store has the document; nothing may be [listed](Room::listed).
    pub(super) fn evict_document(&mut self) {
        debug_assert_eq!(self.listed(), Listing::Absent, "it is not counted any more");
        self.document = Place::Store { bytes: self.document.bytes() };
    }

    /// What the document was counted as last.
    pub(super) fn listed(&self) -> Listing {
        if let Place::Memory(held) = &self.document { held.listed } else { Listing::Absent }
    }

    /// Notes what the document is counted as; returns what it was counted as before.
    pub(super) fn list(&mut self, listing: Listing) -> Listing {
        match &mut self.document {
            Place::Memory(held) => std::mem::replace(&mut held.listed, listing),
            Place::Nowhere | Place::Store { .. } => Listing::Absent,
        }
    }

    /// What the document counts as now.
    pub(super) fn listing(&self) -> Listing {
        let Place::Memory(held) = &self.document else { return Listing::Absent };
        let (bytes, writer) = (held.document.0.len(), held.writer);
        match self.empty_since() {
            since if self.saving.is_stored() && !self.is_being_read => {
                let has_members = since.is_none();
                Listing::Evictable { bytes, has_members, used_at: held.used_at }
            }
            Some(since) if self.saving.is_off() => Listing::Abandoned { bytes, writer, since },
            _ => Listing::Pinned { bytes, writer },
        }
    }

    /// The room as others may see it.
    pub(super) fn view(&self) -> RoomView<'_> {
        RoomView { room: self }
    }

    /// The room as it is to be stored.
    pub(super) fn stored(&self) -> StoredRoom {
        let RoomIdentity { code, room_id, host_id, host_auth, host_token } = &self.identity;
        StoredRoom {
            room_code: code.to_string(),
            room_id: Some(room_id.to_string()),
            host_id: (!host_id.is_empty()).then(|| host_id.to_string()),
            host_auth: *host_auth,
            host_token: *host_token,
            document: self.document.stored(),
            created_at: self.created_at,
        }
    }

    /// When the room has to be written, if it has.
    pub(super) fn save_due(&self) -> Option<Timestamp> {
        self.saving.due().filter(|_| !self.is_closing())
    }

    /// What the room waits for.
    pub(super) fn deadline(&self) -> Armed {
        match (self.save_due(), self.empty_since()) {
            (Some(at), _) => Armed::Save(at),
            (None, Some(since)) if self.saving.may_forget() => Armed::Idle(since),
            (None, _) => Armed::Nothing,
        }
    }

    /// Lets the idle time of an empty room start again.
    pub(super) fn touch(&mut self, at: Timestamp) {
        if let Occupancy::Empty { since } = &mut self.occupancy {
            *since = at;
            self.document.touch(at);
        }
    }

    /// The room is being closed: its document goes, of which nothing may be
    /// [listed](Room::listed), and so do its members.
    pub(super) fn begin_closing(&mut self) {
        debug_assert_eq!(self.listed(), Listing::Absent, "it is not counted any more");
        self.document = Place::Nowhere;
        self.occupancy = Occupancy::Closing { is_deleting: false };
    }

    /// Whether the room is being closed.
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.occupancy, Occupancy::Closing { .. })
    }

    /// Notes that the store is asked to delete the room. Returns whether that is news.
    pub(super) fn begin_deleting(&mut self) -> bool {
        match &mut self.occupancy {
            Occupancy::Closing { is_deleting } => !std::mem::replace(is_deleting, true),
            Occupancy::Empty { .. } | Occupancy::Live(_) => false,
        }
    }

    /// Whether `member` is in the room as `peer_id`.
    pub(super) fn seats(&self, member: Member, peer_id: &str) -> bool {
        self.peer_of(member).is_some_and(|peer| *peer.id == *peer_id)
    }

    /// Lets an event change the room; `here` is the server that does. The members are told next.
    pub(super) fn apply(
        &mut self,
        event: &RoomEvent<'_>,
        here: NodeId,
        at: Timestamp,
    ) -> PeerChange {
        match &event.kind {
            RoomEventKind::Joined(joiner) => {
                self.document.touch(at);
                self.seat(event.from, joiner, here)
            }
            RoomEventKind::Left => self.unseat(event.from, here, at),
            RoomEventKind::Data { .. } => PeerChange::None,
            RoomEventKind::Document(document) => {
                self.document.replace(document.clone(), at);
                self.saving.changed();
                PeerChange::None
            }
        }
    }

    /// Panics if an invariant does not hold.
    pub(super) fn check_invariants(&self, here: NodeId) {
        assert_eq!(self.armed, self.deadline(), "room {} has a stale deadline", self.code());
        assert_eq!(self.listed(), self.listing(), "room {} counts as before", self.code());
        if let Some(presence) = self.presence() {
            presence.check_invariants();
            let members = presence.members().iter();
            assert!(
                members.filter_map(|one| one.connected_to(here)).eq(self.connections().to_vec())
            );
        }
    }

    fn empty_since(&self) -> Option<Timestamp> {
        match self.occupancy {
            Occupancy::Empty { since } => Some(since),
            Occupancy::Live(_) | Occupancy::Closing { .. } => None,
        }
    }

    fn seat(&mut self, member: Member, joiner: &Joiner<'_>, here: NodeId) -> PeerChange {
        debug_assert!(!self.is_closing(), "no member is let into such a room");
        if joiner.is_host && self.identity.host_id.is_empty() {
            self.identity.host_id = (*joiner.peer_id).into();
            self.saving.changed();
        }
        if !matches!(self.occupancy, Occupancy::Live(_)) {
            self.occupancy = Occupancy::Live(Box::default());
        }
        let Occupancy::Live(members) = &mut self.occupancy else { return PeerChange::None };
        let entry = members.presence.enter(member, joiner);
        if entry != Entry::Renewed
            && let Some(conn) = member.connected_to(here)
        {
            members.audience.enter(conn);
        }
        if entry == Entry::FirstOfPeer { PeerChange::Came } else { PeerChange::None }
    }

    fn unseat(&mut self, member: Member, here: NodeId, at: Timestamp) -> PeerChange {
        let Occupancy::Live(members) = &mut self.occupancy else { return PeerChange::None };
        if let Some(conn) = member.connected_to(here) {
            members.audience.leave(conn);
        }
        let left = members.presence.leave(member);
        if members.presence.members().is_empty() {
            self.occupancy = Occupancy::Empty { since: at };
            self.document.touch(at);
        }
        left.map_or(PeerChange::None, PeerChange::Went)
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

    /// Empty while the room is unclaimed.
    pub fn host_id(self) -> &'a str {
        &self.room.identity.host_id
    }

    /// The peers that are there, in the order of their first joins.
    pub fn peers(self) -> impl ExactSizeIterator<Item = &'a Peer> {
        self.room.presence().map_or(&[][..], Presence::peers).iter()
    }

    /// How many peers are there.
    pub fn peer_count(self) -> usize {
        self.room.presence().map_or(0, |presence| presence.peers().len())
    }

    /// How many connections these peers have.
    pub fn connection_count(self) -> usize {
        self.room.presence().map_or(0, |presence| presence.members().len())
    }

    /// Whether the room has a document.
    pub fn has_document(self) -> bool {
        !matches!(self.room.document, Place::Nowhere)
    }

    /// Bytes of the document as it is sent; 0 if there is none. For one that was never in memory
    /// they are those without what has to be escaped in it.
    pub fn document_bytes(self) -> usize {
        self.room.document.bytes()
    }

    /// The room's state: each change that is to be stored raises it, from 1 on.
    pub fn revision(self) -> u64 {
        self.room.saving.revision()
    }

    /// Whether the store has the room as it is.
    pub fn is_stored(self) -> bool {
        self.room.saving.is_stored()
    }

    /// Since when the room has no members; `None` if it has.
    pub fn empty_since(self) -> Option<Timestamp> {
        self.room.empty_since()
    }

    /// When the room was made.
    pub fn created_at(self) -> UnixMillis {
        self.room.created_at
    }
}

// With its strings and its entries in the tables, a room without members takes about twice that,
// and its document.
const _: () = assert!(size_of::<Room>() <= 200);
