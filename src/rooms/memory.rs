//! Documents come back from the store when a client asks for them, and leave memory when it is
//! short.

use std::time::Duration;

use super::action::Document;
use super::answer::StoreUnavailable;
use super::document::Listing;
use super::event::{Output, RoomChange};
use super::registry::Rooms;
use crate::base::ids::{ConnId, RoomKey};
use crate::base::time::Now;
use crate::config::AddressKey;

/// Documents that [`Rooms::free_memory`] passes by in one call because they are still on their way.
const PASSED_BY_MAX: usize = 16;

/// How long a room that nothing stores has to be empty before it may go with its document: a proxy
/// that reloads, or a network that is away for a moment, empties rooms for less than that.
const ABANDONED_TIME_MIN: Duration = Duration::from_secs(120);

/// What the documents in memory come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentCensus {
    /// Bytes of all of them, as they are sent.
    pub bytes: usize,
    /// How many they are.
    pub held: usize,
    /// Bytes of those that may leave memory.
    pub evictable_bytes: usize,
    /// Those that left memory since the start.
    pub evicted: u64,
}

impl<W> Rooms<W> {
    /// `request` of `conn` waits for the document of `room`, as
    /// [`Done::WhenRead`](super::Done::WhenRead) has said.
    pub fn wait_for_document(
        &mut self,
        room: RoomKey,
        conn: ConnId,
        request: W,
        out: &mut impl Output,
    ) {
        debug_assert!(!self.is_waiting(conn), "{conn} has a request that waits");
        let is_news = !self.reads.is_under_way(&room);
        self.reads.wait(room, conn, request);
        let Some(index) = self.table.find_key(room).filter(|_| is_news) else { return };
        self.table[index].begin_reading();
        out.read_document(conn, room, self.table[index].view());
    }

    /// Whether a request waits for the document of `room`.
    pub fn is_awaited(&self, room: RoomKey) -> bool {
        self.reads.is_awaited(&room)
    }

    /// The store has answered [`Output::read_document`], or will not: the document is in memory,
    /// unless there is a newer one, and the requests that waited for it are given back, in the
    /// order of asking. If it has come, each is asked again, before memory is
    /// [freed](Rooms::free_memory).
    pub fn document_read(
        &mut self,
        room: RoomKey,
        found: Result<Option<Document>, StoreUnavailable>,
        now: Now,
        out: &mut impl Output,
    ) -> Vec<(ConnId, W)> {
        if let Some(index) = self.table.find_key(room) {
            let known = &mut self.table[index];
            if known.needs_document() && found == Ok(None) {
                out.room_changed(known.code(), RoomChange::DocumentLost);
            }
            known.end_reading(found, now.at);
            self.settle(index, now, out);
        }
        self.reads.finish(&room)
    }

    /// The document that `conn` has just written is charged to `writer`.
    pub fn charge_document(&mut self, conn: ConnId, writer: AddressKey) {
        if let Some(&index) = self.membership.get(conn) {
            self.table[index].charge_document(writer);
            self.relist(index);
        }
    }

    /// Bytes of documents that only memory has and that were written from `writer`, without that of
    /// the room that `conn` is in.
    pub fn charged_bytes(&self, writer: AddressKey, conn: ConnId) -> usize {
        let room = self.membership.get(conn).map(|&index| &self.table[index]);
        let own = room.and_then(|room| room.listed().charge()).filter(|(own, _)| *own == writer);
        self.shelf.charged(writer) - own.map_or(0, |(_, bytes)| bytes)
    }

    /// From how many addresses the documents were written that only memory has.
    pub fn charged_writers(&self) -> usize {
        self.shelf.writers()
    }

    /// What the documents in memory come to.
    pub fn document_census(&self) -> DocumentCensus {
        DocumentCensus {
            bytes: self.shelf.bytes(),
            held: self.shelf.held(),
            evictable_bytes: self.shelf.evictable_bytes(),
            evicted: self.documents_evicted,
        }
    }

    /// Frees `bytes_wanted` bytes of memory, or what there is to be freed, in this order: what the
    /// store has, then what nothing will ever store and no client is there for. Returns how many
    /// bytes were freed. A document that is still on its way to a member stays: its going
    /// would free nothing.
    pub fn free_memory(&mut self, bytes_wanted: usize, now: Now, out: &mut impl Output) -> usize {
        let mut freed = self.evict_documents(bytes_wanted, now, out);
        if freed < bytes_wanted {
            freed += self.drop_abandoned(bytes_wanted - freed, now, out);
        }
        freed
    }

    /// Documents of empty rooms go first, the longest empty before the others; then those of rooms
    /// with members, the least lately used before the others.
    fn evict_documents(&mut self, bytes_wanted: usize, now: Now, out: &mut impl Output) -> usize {
        let (mut freed, mut passed_by) = (0, 0);
        while freed < bytes_wanted
            && passed_by < PASSED_BY_MAX
            && let Some(index) = self.shelf.first_evictable()
        {
            if self.table[index].holds_document_alone() {
                freed += self.table[index].view().document_bytes();
                self.documents_evicted += 1;
                self.unlist(index);
                self.table[index].evict_document();
                out.room_changed(self.table[index].code(), RoomChange::Unloaded);
            } else {
                // It is in use, and so not the first to go.
                passed_by += 1;
                self.table[index].touch_document(now.at);
                self.relist(index);
            }
        }
        freed
    }

    /// Rooms of which nothing is stored, without members: the longest empty first.
    fn drop_abandoned(&mut self, bytes_wanted: usize, now: Now, out: &mut impl Output) -> usize {
        let before = self.shelf.bytes();
        while before - self.shelf.bytes() < bytes_wanted
            && let Some((since, index)) = self.shelf.first_abandoned()
            && since + ABANDONED_TIME_MIN <= now.at
            && !self.is_asked_for(index)
        {
            self.forget(index, RoomChange::Dropped, out);
        }
        before - self.shelf.bytes()
    }

    /// Whether a request of `conn` waits for the store.
    pub(super) fn is_waiting(&self, conn: ConnId) -> bool {
        self.lookups.is_waiting(conn) || self.reads.is_waiting(conn)
    }

    /// The document of a room is counted as what it has become.
    pub(super) fn relist(&mut self, index: u32) {
        self.count_as(index, self.table[index].listing());
    }

    /// The document of a room is not counted any more: it is about to leave memory.
    pub(super) fn unlist(&mut self, index: u32) {
        self.count_as(index, Listing::Absent);
    }

    fn count_as(&mut self, index: u32, listing: Listing) {
        let before = self.table[index].list(listing);
        self.shelf.relist(index, before, listing);
    }
}
