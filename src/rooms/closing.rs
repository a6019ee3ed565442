//! Closing a room for good: its members are sent away, and what is stored of it is deleted.
//!
//! Until the store has answered, the room stands in the table without members and document, so
//! that nobody brings it back from the store or makes another one with its code meanwhile. The
//! deletion waits for a write of the room that is under way, which would else come after it, and
//! for lookups that may bring back what is about to be deleted.

use super::answer::{CloseDone, RoomError};
use super::event::{Output, RoomChange};
use super::locate::{Located, RoomPlace};
use super::registry::Rooms;
use super::room::{Armed, Room};
use crate::base::ids::RoomKey;
use crate::base::time::Now;

impl<W> Rooms<W> {
    /// Closes a room, wherever it is; the asker need not be in it. A request for the room is
    /// answered until it is deleted that the store does not answer, and then that there is no such
    /// room.
    ///
    /// # Errors
    ///
    /// [`RoomError::RoomNotFound`], [`RoomError::StoreUnavailable`], also while it is being closed
    /// already, and [`RoomError::TooManyRooms`] for a room that is stored only.
    pub fn close(
        &mut self,
        located: Located<'_>,
        now: Now,
        out: &mut impl Output,
    ) -> Result<CloseDone, RoomError> {
        let index = match located.0 {
            RoomPlace::Memory(key) => self.table.find_key(key).ok_or(RoomError::RoomNotFound)?,
            RoomPlace::Store(stored) => {
                self.ensure_space(out)?;
                let room = Room::restored(stored, None, now.at);
                self.table.insert(room)
            }
            RoomPlace::Nowhere => return Err(RoomError::RoomNotFound),
            RoomPlace::Unknown | RoomPlace::Closing => return Err(RoomError::StoreUnavailable),
        };
        Ok(self.close_at(index, out))
    }

    /// The store's answer to [`Output::delete`]: the room has been deleted, or will not be. Either
    /// way it leaves memory.
    pub fn deleted(&mut self, key: RoomKey) {
        if let Some(index) = self.table.find_key(key).filter(|index| self.closing.contains(index)) {
            self.drop_closed(index);
        }
    }

    fn close_at(&mut self, index: u32, out: &mut impl Output) -> CloseDone {
        let key = self.table.key(index);
        let members = self.table[index].connections().to_vec();
        for &conn in &members {
            self.membership.remove(conn);
        }
        self.unlist(index);
        self.table[index].begin_closing();
        self.closing.insert(index);
        self.arm(index, Armed::Nothing);
        let room = &self.table[index];
        out.dismissed(key, &members);
        out.room_changed(room.code(), RoomChange::Closed);
        if room.saving.is_off() {
            self.drop_closed(index);
            return CloseDone::Closed;
        }
        self.delete_closed(out);
        CloseDone::WhenDeleted(key)
    }

    /// Asks the store to delete the closed rooms that nothing of is under way any more.
    pub(super) fn delete_closed(&mut self, out: &mut impl Output) {
        for &index in &self.closing {
            let key = self.table.key(index);
            let room = &mut self.table[index];
            let has_to_wait = room.saving.is_under_way() || self.lookups.concern(room.code());
            if !has_to_wait && room.begin_deleting() {
                let view = room.view();
                out.delete(key, view.code(), view.room_id());
            }
        }
    }

    fn drop_closed(&mut self, index: u32) {
        self.closing.remove(&index);
        self.forget_failing(index);
        self.table.remove(index);
    }
}
