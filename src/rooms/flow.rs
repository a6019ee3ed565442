//! What a request, an action of a member, or an event of another server does to its room.

use super::action::{Action, Create, Document, Join, RawJson};
use super::answer::{Done, RoomError};
use super::data::StoredRoom;
use super::event::{Output, RoomChange};
use super::locate::{Located, RoomPlace};
use super::registry::Rooms;
use super::room::{PeerChange, Room, RoomView};
use super::room_event::{Member, RoomEvent, RoomEventKind};
use crate::base::ids::ConnId;
use crate::base::room_code::is_room_code;
use crate::base::time::{Now, Timestamp};

/// The answer to a create.
#[derive(Clone, Copy, Debug)]
pub enum CreateDone<'a> {
    /// A new room.
    Created(RoomView<'a>),
    /// The desired code exists; this is the room that has it.
    Restored(RoomView<'a>),
    /// The drawn code exists; draw another one.
    Taken,
}

impl<W> Rooms<W> {
    /// Does what a member asks for.
    ///
    /// # Errors
    ///
    /// As the variants of [`RoomError`] say; nothing has changed then.
    pub fn handle(
        &mut self,
        from: ConnId,
        action: Action<'_>,
        now: Now,
        out: &mut impl Output,
    ) -> Result<Done, RoomError> {
        debug_assert!(!self.is_waiting(from), "{from} has a request that waits");
        match action {
            Action::Broadcast { data } => self.broadcast(from, data, now, out),
            Action::SyncDocument { document } => self.sync_document(from, document, now, out),
            Action::RequestSync => self.request_sync(from, now, out),
            Action::Leave => {
                self.leave(from, now, out).then_some(Done::Now).ok_or(RoomError::NotInRoom)
            }
        }
    }

    /// Lets an event happen that another server has accepted for its room `room_code`. It has no
    /// effect on a room that is not in memory or is being closed, nor where it does not fit: a
    /// member comes in as one peer, and goes before it comes in as another one.
    pub fn deliver_event(
        &mut self,
        room_code: &str,
        event: &RoomEvent<'_>,
        now: Now,
        out: &mut impl Output,
    ) {
        debug_assert!(
            event.from.node != self.config.node,
            "what happens here is delivered at once"
        );
        let Some(index) = self.table.find(room_code) else { return };
        let room = &self.table[index];
        let fits = match &event.kind {
            RoomEventKind::Joined(joiner) => {
                room.peer_of(event.from).is_none_or(|peer| *peer.id == *joiner.peer_id)
            }
            _ => true,
        };
        if fits && !room.is_closing() {
            self.deliver(index, event, now, out);
        }
    }

    /// The connection is gone: out of its room, and its request waits no more.
    pub fn disconnect(&mut self, conn: ConnId, now: Now, out: &mut impl Output) {
        self.lookups.cancel(conn);
        self.reads.cancel(conn);
        self.leave(conn, now, out);
    }

    /// Lets a connection into a room, out of the one that it is in.
    ///
    /// A join that fails leaves the connection where it was. While a join waits for the store the
    /// connection is still in its old room and hears it. So does one that is
    /// [`Done::WhenRead`], which is to be asked again then.
    ///
    /// # Errors
    ///
    /// [`RoomError::RoomNotFound`], [`RoomError::RoomFull`], [`RoomError::TooManyRooms`] and
    /// [`RoomError::StoreUnavailable`]; nothing has changed then.
    pub fn join(
        &mut self,
        located: Located<'_>,
        from: ConnId,
        join: &Join<'_>,
        now: Now,
        out: &mut impl Output,
    ) -> Result<Done, RoomError> {
        let index = match located.0 {
            RoomPlace::Memory(key) => self.table.find_key(key).ok_or(RoomError::RoomNotFound)?,
            RoomPlace::Store(stored) => self.restore(stored, now, out)?,
            RoomPlace::Nowhere if self.config.auto_create && is_room_code(&join.room_code) => {
                self.auto_create(join, now, out)?
            }
            RoomPlace::Nowhere => return Err(RoomError::RoomNotFound),
            RoomPlace::Unknown | RoomPlace::Closing => return Err(RoomError::StoreUnavailable),
        };
        let entered = self.enter(index, from, join, now, out);
        // Also if the connection did not get in: the room may have come for its sake.
        self.settle(index, now, out);
        entered
    }

    /// Makes a room, or restores the one that has the desired code. The maker is not in it.
    ///
    /// While the store does not answer, a room with a drawn code is made nevertheless: that such a
    /// code is taken is next to impossible, and [`SaveError::Conflict`](super::SaveError::Conflict)
    /// would tell.
    ///
    /// # Errors
    ///
    /// [`RoomError::TooManyRooms`], and [`RoomError::StoreUnavailable`] for a desired code.
    pub fn create(
        &mut self,
        located: Located<'_>,
        create: &Create<'_>,
        now: Now,
        out: &mut impl Output,
    ) -> Result<CreateDone<'_>, RoomError> {
        let (index, is_new) = match located.0 {
            RoomPlace::Memory(_) | RoomPlace::Store(_) | RoomPlace::Closing if !create.desired => {
                return Ok(CreateDone::Taken);
            }
            RoomPlace::Memory(key) => {
                (self.table.find_key(key).ok_or(RoomError::StoreUnavailable)?, false)
            }
            RoomPlace::Store(stored) => (self.restore(stored, now, out)?, false),
            RoomPlace::Closing => return Err(RoomError::StoreUnavailable),
            RoomPlace::Unknown if create.desired => return Err(RoomError::StoreUnavailable),
            RoomPlace::Unknown | RoomPlace::Nowhere => {
                self.ensure_space(out)?;
                let room = Room::created(create, self.config.store, now);
                (self.open(room, RoomChange::Created, out), true)
            }
        };
        // A client that asked for the room will join it: that much time it has.
        self.table[index].touch(now.at);
        self.settle(index, now, out);
        let view = self.table[index].view();
        Ok(if is_new { CreateDone::Created(view) } else { CreateDone::Restored(view) })
    }

    /// Shows a room to `show`. A stored one is shown without coming to memory.
    ///
    /// # Errors
    ///
    /// [`RoomError::RoomNotFound`] and [`RoomError::StoreUnavailable`].
    pub fn view<T>(
        &self,
        located: Located<'_>,
        show: impl FnOnce(RoomView<'_>) -> T,
    ) -> Result<T, RoomError> {
        match located.0 {
            RoomPlace::Memory(key) => {
                let index = self.table.find_key(key).ok_or(RoomError::RoomNotFound)?;
                Ok(show(self.table[index].view()))
            }
            RoomPlace::Store(stored) => {
                Ok(show(Room::restored(stored, None, Timestamp::default()).view()))
            }
            RoomPlace::Nowhere => Err(RoomError::RoomNotFound),
            RoomPlace::Unknown | RoomPlace::Closing => Err(RoomError::StoreUnavailable),
        }
    }

    /// Sends `data` from a member to the others.
    pub(super) fn broadcast(
        &mut self,
        from: ConnId,
        data: RawJson<'_>,
        now: Now,
        out: &mut impl Output,
    ) -> Result<Done, RoomError> {
        let index = self.room_index(from)?;
        let room = &self.table[index];
        let event = room.accept_data(self.member(from), data)?;
        out.accepted(room.code(), &event);
        // It borrows from the room, which it does not change.
        room.tell(&event, &PeerChange::None, self.config.node, out);
        self.settle(index, now, out);
        Ok(Done::Now)
    }

    /// Replaces the document of a member's room.
    pub(super) fn sync_document(
        &mut self,
        from: ConnId,
        document: Document,
        now: Now,
        out: &mut impl Output,
    ) -> Result<Done, RoomError> {
        let index = self.room_index(from)?;
        let room = &self.table[index];
        let event = room.accept_document(self.member(from), document, &self.config)?;
        out.accepted(room.code(), &event);
        self.deliver(index, &event, now, out);
        Ok(self.table[index].saving.promise(self.table.key(index)))
    }

    /// Sends a member the document of its room.
    pub(super) fn request_sync(
        &mut self,
        from: ConnId,
        now: Now,
        out: &mut impl Output,
    ) -> Result<Done, RoomError> {
        let index = self.room_index(from)?;
        let room = &mut self.table[index];
        if room.needs_document() {
            return Ok(Done::WhenRead(self.table.key(index)));
        }
        room.touch_document(now.at);
        room.send_document(from, out);
        // Nothing that is stored has changed.
        self.relist(index);
        Ok(Done::Now)
    }

    /// Takes a connection out of its room. Returns whether it was in one.
    pub(super) fn leave(&mut self, conn: ConnId, now: Now, out: &mut impl Output) -> bool {
        let Ok(index) = self.room_index(conn) else { return false };
        let room = &self.table[index];
        let event = room.accept_leave(self.member(conn));
        out.accepted(room.code(), &event);
        self.deliver(index, &event, now, out);
        true
    }

    /// Brings a stored room to memory. The caller settles it.
    fn restore(
        &mut self,
        stored: &StoredRoom,
        now: Now,
        out: &mut impl Output,
    ) -> Result<u32, RoomError> {
        self.ensure_space(out)?;
        let fresh_id = stored.room_id.is_none().then(|| out.fresh_room_id());
        let room = Room::restored(stored, fresh_id.as_deref(), now.at);
        Ok(self.open(room, RoomChange::Restored, out))
    }

    /// Makes the room of a join. The caller settles it.
    fn auto_create(
        &mut self,
        join: &Join<'_>,
        now: Now,
        out: &mut impl Output,
    ) -> Result<u32, RoomError> {
        self.ensure_space(out)?;
        let room = Room::auto_created(join, &out.fresh_room_id(), self.config.store, now);
        Ok(self.open(room, RoomChange::Created, out))
    }

    fn open(&mut self, room: Box<Room>, change: RoomChange, out: &mut impl Output) -> u32 {
        out.room_changed(room.code(), change);
        self.table.insert(room)
    }

    /// Lets a connection into a room, out of the one that it is in.
    fn enter(
        &mut self,
        index: u32,
        from: ConnId,
        join: &Join<'_>,
        now: Now,
        out: &mut impl Output,
    ) -> Result<Done, RoomError> {
        let member = self.member(from);
        let room = &self.table[index];
        let event = room.accept_join(member, join, now.unix, &self.config)?;
        if room.needs_document() {
            return Ok(Done::WhenRead(self.table.key(index)));
        }
        if !self.table[index].seats(member, &join.peer_id) {
            self.leave(from, now, out);
        }
        out.accepted(self.table[index].code(), &event);
        self.deliver(index, &event, now, out);
        Ok(Done::Now)
    }

    /// The index of the room that a connection is in.
    fn room_index(&self, conn: ConnId) -> Result<u32, RoomError> {
        self.membership.get(conn).copied().ok_or(RoomError::NotInRoom)
    }

    /// The connection as a member of rooms that other servers may have too.
    fn member(&self, conn: ConnId) -> Member {
        Member { node: self.config.node, conn }
    }

    /// Lets an event happen, whichever server has accepted it: it changes the room, and then the
    /// audience is told.
    pub(super) fn deliver(
        &mut self,
        index: u32,
        event: &RoomEvent<'_>,
        now: Now,
        out: &mut impl Output,
    ) {
        let here = self.config.node;
        match (&event.kind, event.from.connected_to(here)) {
            (RoomEventKind::Joined(_), Some(conn)) => drop(self.membership.insert(conn, index)),
            (RoomEventKind::Left, Some(conn)) => drop(self.membership.remove(conn)),
            _ => {}
        }
        let room = &mut self.table[index];
        let change = room.apply(event, here, now.at);
        room.tell(event, &change, here, out);
        self.settle(index, now, out);
    }
}
