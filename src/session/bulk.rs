//! Sessions that have much to send take turns. One big write costs the kernel half of what many
//! small ones do, but a big frame for a thousand recipients must not keep the others waiting.

use std::collections::VecDeque;

use crate::base::ids::ConnId;

/// A session with more to send than this, in bytes, waits for a turn.
pub(super) const BULK_BYTES_MIN: usize = 64 * 1024;

/// Bytes that one round of turns sends, and one write more: about a millisecond.
pub(super) const ROUND_BYTES: usize = 4 * 1024 * 1024;

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// Bytes that the socket took.
    pub(super) bytes: usize,
    /// There is more to send, and the socket may take it.
    pub(super) has_more: bool,
}

/// Sessions that have much to send, in the order of their turns. Bounded by the number of
/// sessions: one that stands here is due, and one that is due is not listed again.
#[derive(Debug, Default)]
pub(super) struct Bulk(VecDeque<ConnId>);

impl Bulk {
    /// `conn` waits for its turn.
    pub(super) fn add(&mut self, conn: ConnId) {
        self.0.push_back(conn);
    }

    /// No session waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives turns until enough is sent or none waits. `write` makes one write for a session;
    /// one that has more to send waits again, behind the others.
    pub(super) fn take_turns(&mut self, mut write: impl FnMut(ConnId) -> Written) {
        let mut bytes_sent = 0;
        while bytes_sent < ROUND_BYTES
            && let Some(conn) = self.0.pop_front()
        {
            let Written { bytes, has_more } = write(conn);
            bytes_sent += bytes;
            if has_more {
                self.add(conn);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::send_queue::FLUSH_BYTES_MAX;

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 0 }
    }

    /// Gives turns to all in `bulk`, which have `left` bytes to send; which wrote, in order.
    fn round(bulk: &mut Bulk, left: &mut [usize]) -> Vec<u32> {
        let mut wrote = Vec::new();
        bulk.take_turns(|conn| {
            let left = &mut left[conn.index as usize];
            let bytes = FLUSH_BYTES_MAX.min(*left);
            *left -= bytes;
            wrote.push(conn.index);
            Written { bytes, has_more: *left > 0 }
        });
        wrote
    }

    #[test]
    fn a_round_is_bounded_and_everybody_has_a_turn_before_anybody_has_two() {
        let mut bulk = Bulk::default();
        let mut left = [3 * FLUSH_BYTES_MAX; 5];
        (0..5).for_each(|index| bulk.add(conn(index)));
        let mut turns = Vec::new();
        while !bulk.is_empty() {
            let before: usize = left.iter().sum();
            turns.extend(round(&mut bulk, &mut left));
            let sent = before - left.iter().sum::<usize>();
            assert!(sent > 0 && sent < ROUND_BYTES + FLUSH_BYTES_MAX, "{sent}");
        }
        assert_eq!(turns, [0, 1, 2, 3, 4].repeat(3));
        assert_eq!(left, [0; 5]);
    }

    #[test]
    fn whoever_can_send_nothing_loses_the_place_and_costs_the_others_nothing() {
        let mut bulk = Bulk::default();
        (0..100).for_each(|index| bulk.add(conn(index)));
        let mut asked = 0;
        bulk.take_turns(|_| {
            asked += 1;
            Written { bytes: 0, has_more: false }
        });
        assert_eq!((asked, bulk.is_empty()), (100, true));
    }
}
