//! Acknowledgements that wait until the store has what they acknowledge.

use std::collections::{HashMap, VecDeque};

use crate::base::ids::{ConnId, RoomKey};
use crate::base::memory::MemoryBudget;
use crate::protocol::MessageId;

/// Acknowledgements that wait for one room to be stored; beyond that the store is too slow.
const ACKS_PER_ROOM_MAX: usize = 4096;

/// A document whose sender wants to hear when it is durable.
#[derive(Debug)]
pub(super) struct PendingAck {
    /// The sender's connection.
    pub(super) conn: ConnId,
    /// The state of the room that contains the document.
    pub(super) revision: u64,
    /// What the client calls its message.
    pub(super) id: MessageId<'static>,
}

/// There is no place, or no memory, for a further acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AcksFull;

/// The acknowledgements that wait, which count against the memory budget.
#[derive(Debug)]
pub(super) struct Acks {
    budget: MemoryBudget,
    /// Of each room in the order of revisions. Looked up only, so that its order does not count.
    by_room: HashMap<RoomKey, VecDeque<PendingAck>>,
}

impl PendingAck {
    fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.id.as_json().len()
    }
}

impl Acks {
    /// None; those to come count against `budget`.
    pub(super) fn new(budget: MemoryBudget) -> Self {
        Self { budget, by_room: HashMap::new() }
    }

    /// Keeps `ack` until `room` is stored, if that fits into `free_bytes` bytes.
    ///
    /// # Errors
    /// [`AcksFull`].
    pub(super) fn wait(
        &mut self,
        room: RoomKey,
        ack: PendingAck,
        free_bytes: usize,
    ) -> Result<(), AcksFull> {
        let bytes = ack.held_bytes();
        let waiting = self.by_room.get(&room).map_or(0, VecDeque::len);
        if waiting >= ACKS_PER_ROOM_MAX || bytes > free_bytes {
            return Err(AcksFull);
        }
        self.budget.add(bytes);
        self.by_room.entry(room).or_default().push_back(ack);
        Ok(())
    }

    /// Takes those of `room` that wait for no newer state than `revision`, in the order of asking.
    pub(super) fn stored(&mut self, room: RoomKey, revision: u64) -> Vec<PendingAck> {
        let Some(waiting) = self.by_room.get_mut(&room) else { return Vec::new() };
        let count = waiting.partition_point(|ack| ack.revision <= revision);
        let stored: Vec<_> = waiting.drain(..count).collect();
        if waiting.is_empty() {
            self.by_room.remove(&room);
        }
        self.release(stored)
    }

    /// Takes those of `room`, which will not be stored.
    pub(super) fn give_up(&mut self, room: RoomKey) -> Vec<PendingAck> {
        let waiting = self.by_room.remove(&room).unwrap_or_default();
        self.release(waiting.into())
    }

    fn release(&self, acks: Vec<PendingAck>) -> Vec<PendingAck> {
        self.budget.sub(acks.iter().map(PendingAck::held_bytes).sum());
        acks
    }
}
