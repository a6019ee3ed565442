//! All rooms in memory, by slot and by code.

use std::collections::BTreeMap;
use std::ops::{Bound, Index, IndexMut};
use std::sync::Arc;

use slab::Slab;

use super::room::Room;
use crate::base::ids::RoomKey;

/// The rooms. Codes are kept in a tree: users choose them, and a tree has neither collisions to
/// attack nor an order of its own making.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Boxed: a slot that is free, or spare after the table has grown, then costs little.
    rooms: Slab<Box<Room>>,
    /// Invariant: one entry for each room.
    codes: BTreeMap<Arc<str>, u32>,
    /// How many rooms were ever put in (modulo 2³²).
    opened: u32,
}

impl Table {
    /// How many rooms there are.
    pub(super) fn len(&self) -> usize {
        self.rooms.len()
    }

    /// The room with exactly this code.
    pub(super) fn find(&self, code: &str) -> Option<u32> {
        self.codes.get(code).copied()
    }

    /// The room that `key` names, if it is still here.
    pub(super) fn find_key(&self, key: RoomKey) -> Option<u32> {
        let room = self.rooms.get(key.index as usize)?;
        (room.generation == key.generation).then_some(key.index)
    }

    /// What names the room at `index` to the outside.
    pub(super) fn key(&self, index: u32) -> RoomKey {
        RoomKey { index, generation: self[index].generation }
    }

    /// Adds a room; no other one may have its code.
    pub(super) fn insert(&mut self, mut room: Box<Room>) -> u32 {
        room.generation = self.opened;
        self.opened = self.opened.wrapping_add(1);
        let code = room.shared_code();
        let index = u32::try_from(self.rooms.insert(room)).expect("rooms_max is a u32");
        let previous = self.codes.insert(code, index);
        debug_assert!(previous.is_none(), "two rooms with one code");
        index
    }

    /// Takes a room out.
    pub(super) fn remove(&mut self, index: u32) -> Box<Room> {
        let room = self.rooms.remove(index as usize);
        self.codes.remove(room.code());
        room
    }

    /// The rooms with a code greater than `after`, in the order of their codes.
    pub(super) fn beyond(&self, after: Option<&str>) -> impl Iterator<Item = u32> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.codes.range::<str, _>((from, Bound::Unbounded)).map(|(_, &index)| index)
    }

    /// All rooms, by index.
    pub(super) fn indexes(&self) -> impl Iterator<Item = u32> {
        self.codes.values().copied()
    }
}

impl Index<u32> for Table {
    type Output = Room;

    fn index(&self, index: u32) -> &Room {
        &self.rooms[index as usize]
    }
}

impl IndexMut<u32> for Table {
    fn index_mut(&mut self, index: u32) -> &mut Room {
        &mut self.rooms[index as usize]
    }
}
