//! All rooms of the server: the tables, and what can be asked of them. What happens to them is in
//! `flow`, `upkeep` and `closing`.

use std::collections::BTreeSet;

use super::config::RoomsConfig;
use super::document::{Listing, Shelf};
use super::lookups::Lookups;
use super::room::{Room, RoomView};
use super::table::Table;
use super::waiting::Waiting;
use crate::base::conn_map::ConnMap;
use crate::base::ids::{ConnId, RoomKey};
use crate::base::timer_set::TimerSet;

/// All rooms and all that are in them, or wait to be. The module's documentation has the contract.
/// `W` is a request that waits for the store.
#[derive(Debug)]
pub struct Rooms<W> {
    pub(super) config: RoomsConfig,
    pub(super) table: Table,
    /// In which room each connection is.
    pub(super) membership: ConnMap<u32>,
    pub(super) lookups: Lookups<W>,
    /// Rooms with something to write and nothing under way, the most urgent first.
    pub(super) saves: TimerSet<u32>,
    /// Empty rooms with nothing to write, the longest empty first.
    pub(super) idle: TimerSet<u32>,
    /// Rooms that are being closed.
    pub(super) closing: BTreeSet<u32>,
    /// Snapshots that were handed out and not answered yet.
    pub(super) saves_under_way: usize,
    /// Rooms whose last write failed because of the store.
    pub(super) failing: BTreeSet<u32>,
    /// Those of them that wait to be tried again.
    pub(super) retries: BTreeSet<u32>,
    /// Requests that wait for the document of a room; at most one read of each is under way.
    pub(super) reads: Waiting<RoomKey, W>,
    /// All documents in memory.
    pub(super) shelf: Shelf,
    /// Documents that left memory while their rooms stayed.
    pub(super) documents_evicted: u64,
    /// The server is shutting down: write as soon as possible.
    pub(super) is_draining: bool,
}

impl<W> Rooms<W> {
    /// No rooms yet.
    pub fn new(config: RoomsConfig) -> Self {
        Self {
            config,
            table: Table::default(),
            membership: ConnMap::default(),
            lookups: Lookups::default(),
            saves: TimerSet::default(),
            idle: TimerSet::default(),
            closing: BTreeSet::new(),
            saves_under_way: 0,
            failing: BTreeSet::new(),
            retries: BTreeSet::new(),
            reads: Waiting::default(),
            shelf: Shelf::default(),
            documents_evicted: 0,
            is_draining: false,
        }
    }

    /// From here on the rules are those of `config`, but which server this is, whether rooms are
    /// stored, and what makes a host, stay. Rooms and members beyond a lower limit stay as well.
    pub fn reconfigure(&mut self, config: &RoomsConfig) {
        let RoomsConfig { node, store, host_auth, .. } = self.config;
        self.config = RoomsConfig { node, store, host_auth, ..*config };
    }

    /// How many rooms are in memory.
    pub fn rooms(&self) -> usize {
        self.table.len()
    }

    /// How many rooms are in memory without those that are being closed.
    pub fn live_rooms(&self) -> usize {
        self.table.len() - self.closing.len()
    }

    /// The rooms with a code greater than `after`, in the order of their codes, without those
    /// that are being closed.
    pub fn list(&self, after: Option<&str>) -> impl Iterator<Item = RoomView<'_>> {
        let rooms = self.table.beyond(after).map(|index| &self.table[index]);
        rooms.filter(|room| !room.is_closing()).map(Room::view)
    }

    /// How many connections are in a room.
    pub fn connections(&self) -> usize {
        self.membership.len()
    }

    /// Bytes of all documents in memory, as they are sent.
    pub fn document_bytes(&self) -> usize {
        self.shelf.bytes()
    }

    /// Rooms whose newest state is not stored, as far as the store is there for it.
    pub fn unsaved(&self) -> usize {
        self.saves.len() + self.saves_under_way
    }

    /// Rooms whose last write failed because of the store, and whose state waits since then.
    pub fn failing(&self) -> usize {
        self.failing.len()
    }

    /// Whether `conn` is in a room.
    pub fn has_joined(&self, conn: ConnId) -> bool {
        self.membership.get(conn).is_some()
    }

    /// The room that `conn` is in.
    pub fn room_of(&self, conn: ConnId) -> Option<RoomView<'_>> {
        Some(self.table[*self.membership.get(conn)?].view())
    }

    /// For tests: looks at everything.
    ///
    /// # Panics
    ///
    /// If an invariant of a room or a table does not hold.
    pub fn check_invariants(&self) {
        let mut connections = 0;
        let mut shelf = Shelf::default();
        let mut under_way = 0;
        for index in self.table.indexes() {
            self.check_room(index);
            let room = &self.table[index];
            connections += room.connections().len();
            shelf.relist(index, Listing::Absent, room.listing());
            assert!(!room.is_being_read() || self.reads.is_under_way(&self.table.key(index)));
            under_way += usize::from(room.saving.is_under_way());
            assert_eq!(self.failing.contains(&index), room.saving.is_failing());
        }
        assert_eq!(connections, self.membership.len());
        assert_eq!(shelf, self.shelf);
        assert_eq!(under_way, self.saves_under_way);
        assert!(self.retries.is_subset(&self.failing));
        assert!(self.closing.iter().all(|&index| self.table[index].is_closing()));
        assert!(self.saves.len() + self.idle.len() <= self.table.len());
        self.lookups.check_invariants();
        self.reads.check_invariants();
    }
}
