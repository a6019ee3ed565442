//! In which room a connection is: one small slot for each slot of the caller's session table.

use crate::base::ids::ConnId;

/// Connections that are in a room.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// By the connection's index. As long as the highest index seen, which the caller's own
    /// table bounds.
    slots: Vec<Option<Slot>>,
    /// How many slots are taken.
    joined: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    generation: u32,
    room: u32,
}

impl Membership {
    /// The index of the room that `conn` is in; nothing for a stale id.
    pub(super) fn room_of(&self, conn: ConnId) -> Option<u32> {
        let slot = (*self.slots.get(conn.index as usize)?)?;
        (slot.generation == conn.generation).then_some(slot.room)
    }

    /// How many connections are in a room.
    pub(super) fn joined(&self) -> usize {
        self.joined
    }

    /// Notes that `conn` is in `room`.
    pub(super) fn enter(&mut self, conn: ConnId, room: u32) {
        let index = conn.index as usize;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, None);
        }
        let slot = Slot { generation: conn.generation, room };
        let previous = self.slots[index].replace(slot);
        debug_assert!(
            previous.is_none_or(|slot| slot.generation == conn.generation && slot.room == room),
            "{conn} takes a slot whose last connection was never disconnected"
        );
        self.joined += usize::from(previous.is_none());
    }

    /// Notes that `conn` is in no room.
    pub(super) fn leave(&mut self, conn: ConnId) {
        if self.room_of(conn).is_some() {
            self.slots[conn.index as usize] = None;
            self.joined -= 1;
        }
    }
}
