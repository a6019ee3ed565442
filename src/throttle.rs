//! Token buckets by key, in a table that cannot grow without bound. Time comes in as an argument.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::time::Timestamp;

/// Entries looked at to find a place in a full table, so that an attack with ever new keys costs
/// a bounded time for each.
const SCAN_MAX: usize = 32;

/// How long to wait before the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(Duration);

/// A bucket for each key: so many tokens in so much time, a burst at once.
///
/// It is the "virtual scheduling" form (GCRA): a key's state is one time, that at which its
/// bucket will be full again; a full bucket needs no entry.
#[derive(Debug)]
pub struct Throttle<K> {
    /// In which one token comes back; zero: no limit.
    interval: Duration,
    burst: u32,
    capacity: usize,
    /// When each bucket is full again.
    full_at: HashMap<K, Timestamp>,
    /// Keys in the order in which they came to the table, to find one to forget.
    order: std::collections::VecDeque<K>,
}

impl RetryAfter {
    /// Whole seconds, at least 1, as in the header field `Retry-After`.
    pub fn seconds(self) -> u64 {
        let up = u64::from(self.0.subsec_nanos() > 0);
        (self.0.as_secs() + up).max(1)
    }
}

impl<K: Copy + Eq + Hash> Throttle<K> {
    /// `tokens` in `per`, at most `burst` at once, for at most `capacity` keys. No tokens: no
    /// limit.
    pub fn new(tokens: u32, per: Duration, burst: u32, capacity: usize) -> Self {
        let interval = if tokens == 0 { Duration::ZERO } else { per / tokens };
        let order = std::collections::VecDeque::new();
        Self { interval, burst: burst.max(1), capacity, full_at: HashMap::new(), order }
    }

    /// Whether `key` has a token, without taking it.
    ///
    /// # Errors
    /// How long to wait for one.
    pub fn check(&self, key: K, now: Timestamp) -> Result<(), RetryAfter> {
        let full_at = self.full_at.get(&key).copied().unwrap_or(now).max(now);
        // One token less must leave the bucket at most empty.
        let empty_at = now + self.interval * (self.burst - 1);
        if full_at <= empty_at { Ok(()) } else { Err(RetryAfter(full_at.since(empty_at))) }
    }

    /// Takes a token of `key`.
    ///
    /// # Errors
    /// How long to wait for one; nothing is taken then.
    pub fn take(&mut self, key: K, now: Timestamp) -> Result<(), RetryAfter> {
        if self.interval.is_zero() {
            return Ok(());
        }
        self.check(key, now)?;
        let interval = self.interval;
        if let Some(full_at) = self.full_at.get_mut(&key) {
            *full_at = (*full_at).max(now) + interval;
        } else {
            self.make_room(now);
            self.full_at.insert(key, now + interval);
            self.order.push_back(key);
        }
        Ok(())
    }

    /// Puts a token of `key` back that turned out not to count.
    pub fn give_back(&mut self, key: K) {
        if let Some(full_at) = self.full_at.get_mut(&key) {
            let micros = u64::try_from(self.interval.as_micros()).unwrap_or(u64::MAX);
            *full_at = Timestamp(full_at.0.saturating_sub(micros));
        }
    }

    /// Keys that are kept in mind.
    pub fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Whether no key is kept in mind.
    pub fn is_empty(&self) -> bool {
        self.full_at.is_empty()
    }

    /// Forgets full buckets, which are as good as none; in a table full of others, of the oldest
    /// the one that is nearest to full.
    fn make_room(&mut self, now: Timestamp) {
        for _ in 0..2 {
            let Some(&oldest) = self.order.front() else { break };
            if self.full_at.get(&oldest).is_some_and(|full_at| *full_at > now) {
                break;
            }
            self.full_at.remove(&oldest);
            self.order.pop_front();
        }
        if self.full_at.len() < self.capacity {
            return;
        }
        let nearest = (0..self.order.len().min(SCAN_MAX))
            .min_by_key(|index| self.full_at.get(&self.order[*index]));
        if let Some(key) = nearest.and_then(|index| self.order.remove(index)) {
            self.full_at.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_then_the_rate() {
        let mut throttle = Throttle::new(2, SECOND, 5, 10);
        let start = Timestamp::from_secs(100);
        for _ in 0..5 {
            assert_eq!(throttle.take('a', start), Ok(()));
        }
        let wait = throttle.take('a', start).unwrap_err();
        assert_eq!(wait, RetryAfter(Duration::from_millis(500)));
        assert_eq!(wait.seconds(), 1);
        assert_eq!(throttle.take('b', start), Ok(()), "another key has its own bucket");
        assert!(throttle.take('a', Timestamp::from_millis(100_499)).is_err());
        assert_eq!(throttle.take('a', Timestamp::from_millis(100_500)), Ok(()));
        assert!(throttle.take('a', Timestamp::from_millis(100_500)).is_err());
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let mut throttle = Throttle::new(1, SECOND, 1, 10);
        let now = Timestamp::from_secs(1);
        assert_eq!(throttle.take('a', now), Ok(()));
        assert!(throttle.check('a', now).is_err());
        throttle.give_back('a');
        assert_eq!(throttle.take('a', now), Ok(()));
    }

    #[test]
    fn no_rate_is_no_limit() {
        let mut throttle = Throttle::new(0, SECOND, 1, 10);
        for _ in 0..1_000 {
            assert_eq!(throttle.take('a', Timestamp(0)), Ok(()));
        }
        assert!(throttle.is_empty());
    }

    #[test]
    fn the_table_never_exceeds_its_capacity() {
        let mut throttle = Throttle::new(1, SECOND, 3, 100);
        for key in 0..1_000 {
            assert_eq!(throttle.take(key, Timestamp::from_secs(1)), Ok(()));
            assert!(throttle.len() <= 100);
            assert_eq!(throttle.len(), throttle.order.len());
        }
        assert_eq!(throttle.len(), 100);
        throttle.take(0, Timestamp::from_secs(1_000)).expect("a full bucket");
        assert_eq!(throttle.len(), 99, "full buckets are forgotten, a few at a time");
    }

    #[test]
    fn in_a_full_table_the_one_nearest_to_full_goes() {
        let mut throttle = Throttle::new(1, SECOND, 9, 3);
        let now = Timestamp::from_secs(1);
        for key in ['a', 'a', 'b', 'c', 'c'] {
            throttle.take(key, now).expect("a token");
        }
        throttle.take('d', now).expect("a token");
        let mut kept: Vec<_> = throttle.full_at.keys().copied().collect();
        kept.sort_unstable();
        assert_eq!(kept, ['a', 'c', 'd']);
    }

    #[test]
    fn seconds_are_rounded_up() {
        for (ms, seconds) in [(1, 1), (1_000, 1), (1_001, 2), (59_500, 60)] {
            assert_eq!(RetryAfter(Duration::from_millis(ms)).seconds(), seconds);
        }
    }
}
