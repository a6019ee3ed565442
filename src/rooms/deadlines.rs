//! When something has to happen to a room without being asked: the next write, or the end of its
//! idle time. A room stands in at most one of the two sets, so both together are bounded by the
//! number of rooms, and looking at the nearest one costs no scan.

use std::collections::BTreeSet;

use crate::base::time::Timestamp;

/// What a room waits for; kept with the room, so that its entry can be found again.
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

/// The deadlines of all rooms, each with the index of its room. Ties go by that index.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    saves: BTreeSet<(Timestamp, u32)>,
    idle: BTreeSet<(Timestamp, u32)>,
}

impl Deadlines {
    /// Replaces what `room` waits for.
    pub(super) fn rearm(&mut self, room: u32, armed: &mut Armed, next: Armed) {
        if *armed == next {
            return;
        }
        match *armed {
            Armed::Nothing => {}
            Armed::Save(at) => drop(self.saves.remove(&(at, room))),
            Armed::Idle(since) => drop(self.idle.remove(&(since, room))),
        }
        match next {
            Armed::Nothing => {}
            Armed::Save(at) => drop(self.saves.insert((at, room))),
            Armed::Idle(since) => drop(self.idle.insert((since, room))),
        }
        *armed = next;
    }

    /// The nearest write and its room.
    pub(super) fn first_save(&self) -> Option<(Timestamp, u32)> {
        self.saves.first().copied()
    }

    /// Since when the room that is empty longest has been so.
    pub(super) fn longest_idle(&self) -> Option<(Timestamp, u32)> {
        self.idle.first().copied()
    }

    /// Rooms with something to write and nothing under way, the most urgent first.
    pub(super) fn saves(&self) -> impl ExactSizeIterator<Item = u32> {
        self.saves.iter().map(|&(_, room)| room)
    }

    /// Empty rooms with nothing to write, the longest empty first.
    pub(super) fn idle(&self) -> impl ExactSizeIterator<Item = u32> {
        self.idle.iter().map(|&(_, room)| room)
    }
}
