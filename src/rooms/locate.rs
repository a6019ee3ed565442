//! Where the room of a code is: in memory, in the store, or nowhere.
//!
//! Every request for a room by its code begins here ([`Rooms::locate`]). If only the store can
//! tell, the request waits, as the `W` that its caller gives, for the lookup of that code, and is
//! given back by [`Rooms::lookup_done`]. So a request that waits is recorded in one place.

use std::task::Poll;

use super::answer::StoreUnavailable;
use super::data::StoredRoom;
use super::event::Output;
use super::registry::Rooms;
use crate::base::ids::{ConnId, RoomKey};

/// Where the room of a code is. It holds until the rooms are called next.
#[derive(Clone, Copy, Debug)]
pub struct Located<'a>(pub(super) RoomPlace<'a>);

#[derive(Clone, Copy, Debug)]
pub(super) enum RoomPlace<'a> {
    /// In memory.
    Memory(RoomKey),
    /// In the store only.
    Store(&'a StoredRoom),
    /// Nowhere.
    Nowhere,
    /// Not in memory; the store does not say.
    Unknown,
    /// Nowhere soon, but the store may still have it.
    Closing,
}

impl Located<'_> {
    /// Whether it is known that no room has the code.
    pub fn is_nowhere(&self) -> bool {
        matches!(self.0, RoomPlace::Nowhere)
    }
}

impl<W> Rooms<W> {
    /// Finds the room of `code`: as it is, then upper-cased. Pending: only the store can tell, and
    /// `request` of `conn` waits for it; it is made only then.
    ///
    /// A room in memory whose code is the upper-cased one does not settle the matter: the store
    /// may have the other spelling, and a client that types that must not end up in a stranger's
    /// room.
    pub fn locate(
        &mut self,
        code: &str,
        conn: ConnId,
        request: impl FnOnce() -> W,
        out: &mut impl Output,
    ) -> Poll<Located<'static>> {
        debug_assert!(!self.is_waiting(conn), "{conn} has a request that waits");
        let place = if let Some(index) = self.table.find(code) {
            self.in_memory(index)
        } else if !self.config.store {
            self.upper_cased(code).unwrap_or(RoomPlace::Nowhere)
        } else if let Some(RoomPlace::Closing) = self.upper_cased(code) {
            RoomPlace::Closing
        } else if self.is_asked(code, out) {
            self.lookups.wait(code, conn, request());
            return Poll::Pending;
        } else {
            self.upper_cased(code).unwrap_or(RoomPlace::Unknown)
        };
        Poll::Ready(Located(place))
    }

    /// The store has answered [`Output::lookup`], or will not: ends the lookup of `code`, and gives
    /// back the requests that waited for it, in the order of asking. Each goes on with
    /// [`Rooms::located`].
    pub fn lookup_done(&mut self, code: &str, out: &mut impl Output) -> Vec<(ConnId, W)> {
        let waiting = self.lookups.finish(code);
        self.delete_closed(out);
        waiting
    }

    /// The same as [`Rooms::locate`] once the store has been asked and has `found` something.
    /// Memory goes first: the room may have come meanwhile, by another spelling or an earlier
    /// request, and is then newer than what was found.
    pub fn located<'a>(
        &self,
        code: &str,
        found: Result<Option<&'a StoredRoom>, StoreUnavailable>,
    ) -> Located<'a> {
        if let Some(index) = self.table.find(code) {
            return Located(self.in_memory(index));
        }
        Located(match found {
            Ok(Some(stored)) => {
                let index = self.table.find(&stored.room_code);
                index.map_or(RoomPlace::Store(stored), |index| self.in_memory(index))
            }
            Ok(None) => self.upper_cased(code).unwrap_or(RoomPlace::Nowhere),
            Err(StoreUnavailable) => self.upper_cased(code).unwrap_or(RoomPlace::Unknown),
        })
    }

    /// The room of `key`, of which a request knows already where it is. If it has left memory, or
    /// is about to, what became of it is not known.
    pub fn located_by_key(&self, key: RoomKey) -> Located<'static> {
        let index = self.table.find_key(key);
        Located(index.map_or(RoomPlace::Unknown, |index| self.in_memory(index)))
    }

    /// Whether the store is being asked for `code`: since before, or from now on.
    fn is_asked(&self, code: &str, out: &mut impl Output) -> bool {
        self.lookups.is_under_way(code) || (!self.lookups.is_full() && out.lookup(code).is_ok())
    }

    /// The room that has `code` in capitals.
    fn upper_cased(&self, code: &str) -> Option<RoomPlace<'static>> {
        // Of any alphabet, as the store is asked: older servers let a code be any text.
        self.table.find(&code.to_uppercase()).map(|index| self.in_memory(index))
    }

    /// Where a room of the table is for those who ask for it.
    fn in_memory(&self, index: u32) -> RoomPlace<'static> {
        if self.table[index].is_closing() {
            RoomPlace::Closing
        } else {
            RoomPlace::Memory(self.table.key(index))
        }
    }
}
