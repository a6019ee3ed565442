//! When things are due: a set of points in time, each with the key of what is due then.
//!
//! A key has at most one entry, whose time its owner keeps beside itself: so an entry is found
//! again without a scan, and the set is bounded by the number of owners.

use std::collections::BTreeSet;

use super::time::Timestamp;

/// Points in time, the earliest first; of two at the same time, the one with the lesser key.
#[derive(Clone, Debug)]
pub struct TimerSet<K> {
    entries: BTreeSet<(Timestamp, K)>,
}

impl<K> Default for TimerSet<K> {
    fn default() -> Self {
        Self { entries: BTreeSet::new() }
    }
}

impl<K: Copy + Ord> TimerSet<K> {
    /// Moves the entry of `key`, which is at `armed`, to `next`; `None` is no entry.
    pub fn rearm(&mut self, key: K, armed: &mut Option<Timestamp>, next: Option<Timestamp>) {
        if *armed == next {
            return;
        }
        if let Some(at) = *armed {
            let was_there = self.entries.remove(&(at, key));
            debug_assert!(was_there, "the owner of an entry knows its time");
        }
        if let Some(at) = next {
            self.entries.insert((at, key));
        }
        *armed = next;
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The earliest entry.
    pub fn first(&self) -> Option<(Timestamp, K)> {
        self.entries.first().copied()
    }

    /// The time of the earliest entry.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.first().map(|(at, _)| at)
    }

    /// Takes the earliest entry out if it is due at `now`. Its owner is to note that it has none.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, K)> {
        let first = self.first().filter(|(at, _)| *at <= now)?;
        self.entries.pop_first();
        Some(first)
    }

    /// The keys, the one that is due first before the others.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = K> {
        self.entries.iter().map(|&(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_entry_and_comes_out_once_when_it_is_due() {
        let mut timers = TimerSet::default();
        let (mut a, mut b) = (None, None);
        timers.rearm('a', &mut a, Some(Timestamp(30)));
        timers.rearm('b', &mut b, Some(Timestamp(10)));
        timers.rearm('a', &mut a, Some(Timestamp(20)));
        assert_eq!((timers.len(), timers.poll_timeout()), (2, Some(Timestamp(10))));
        assert_eq!(timers.pop_due(Timestamp(9)), None);
        assert_eq!(timers.pop_due(Timestamp(40)), Some((Timestamp(10), 'b')));
        assert_eq!(timers.keys().collect::<Vec<_>>(), ['a']);
        timers.rearm('a', &mut a, None);
        assert_eq!(timers.pop_due(Timestamp(40)), None);
        assert!(timers.is_empty());
    }
}
