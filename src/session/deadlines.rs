//! When to look at a connection again: a heap of deadlines with lazy deletion.
//!
//! Receiving bytes moves most deadlines *later*, on every message, so the heap is not touched
//! then: an entry that comes due too early is simply put back with the session's real deadline.
//! Only a deadline that moves *earlier* costs an insertion.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::base::ids::ConnId;
use crate::base::time::Timestamp;

/// Stale entries that are tolerated per connection (and `STALE_FLOOR` in all) before the heap is
/// cleaned, so that it cannot grow with the number of events.
const STALE_PER_CONNECTION: usize = 2;

/// See [`STALE_PER_CONNECTION`].
const STALE_FLOOR: usize = 64;

/// The heap. Invariant: a session whose `armed` time is not [`NEVER`] has an entry of that time.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Timestamp, ConnId)>>,
}

/// "No deadline".
pub(super) const NEVER: Timestamp = Timestamp(u64::MAX);

impl Deadlines {
    /// Adds an entry.
    pub(super) fn push(&mut self, at: Timestamp, conn: ConnId) {
        debug_assert_ne!(at, NEVER);
        self.heap.push(Reverse((at, conn)));
    }

    /// The earliest entry's time. It may turn out to be stale, which costs a spurious wake-up.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes an entry that is due.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, ConnId)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Drops stale entries once they outnumber the live ones. `armed` gives a connection's live
    /// entry, if the connection still exists.
    pub(super) fn tidy(&mut self, live: usize, armed: impl Fn(ConnId) -> Option<Timestamp>) {
        if self.heap.len() > live * (1 + STALE_PER_CONNECTION) + STALE_FLOOR {
            self.heap.retain(|Reverse((at, conn))| armed(*conn) == Some(*at));
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnId = ConnId { index: 0, generation: 1 };
    const B: ConnId = ConnId { index: 1, generation: 2 };

    #[test]
    fn entries_come_out_in_time_order_and_only_when_due() {
        let mut deadlines = Deadlines::default();
        deadlines.push(Timestamp(30), A);
        deadlines.push(Timestamp(10), B);
        assert_eq!(deadlines.next(), Some(Timestamp(10)));
        assert_eq!(deadlines.pop_due(Timestamp(9)), None);
        assert_eq!(deadlines.pop_due(Timestamp(40)), Some((Timestamp(10), B)));
        assert_eq!(deadlines.pop_due(Timestamp(40)), Some((Timestamp(30), A)));
        assert_eq!(deadlines.pop_due(Timestamp(40)), None);
    }

    #[test]
    fn stale_entries_are_bounded() {
        let mut deadlines = Deadlines::default();
        for at in (1..=10_000).rev() {
            deadlines.push(Timestamp(at), A);
            deadlines.tidy(1, |_| Some(Timestamp(at)));
            assert!(deadlines.len() <= 1 + STALE_PER_CONNECTION + STALE_FLOOR);
        }
        assert_eq!(deadlines.next(), Some(Timestamp(1)), "the live entry is never dropped");
    }
}
