//! So many a minute for each key, in bounded memory.
//!
//! Pure: time comes in as an argument, and no result depends on the order of a hash table.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::base::time::{Arrival, Timestamp};

/// Entries that are looked at, to find one to replace, when a new key comes to a full table: an
/// attack with ever new keys costs so much for each, however large the table is.
const CANDIDATES_MAX: usize = 32;

/// Entries that are looked at when a new key comes, and dropped if they say nothing any more.
/// More than one, so that a table shrinks faster than it grows.
const SWEPT_MAX: usize = 2;

/// The longest wait that [`Throttle::charge`] leads to.
pub const DEBT_MAX: Duration = Duration::from_secs(10 * 60);

/// How fast tokens come back, and how many there are at once: the "virtual scheduling" of the
/// Generic Cell Rate Algorithm (ITU-T I.371). What is known of a bucket is one time, that at which
/// it will be full again.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Microseconds in which one token comes back; zero: no limit.
    interval_us: u64,
    /// How far in the future a bucket may be full for a token still to be in it.
    tolerance_us: u64,
}

/// How long to wait for the next token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(Duration);

/// A bucket of tokens for each key: a burst at once, then so many in so much time.
///
/// What is known of a key is the time at which its bucket will be full again. A bucket that is full
/// is as good as none, so it needs no entry.
///
/// A table of `capacity` keys is full if so many keys have a token missing. A new one then takes
/// the place of that which is nearest to being full, of a few: a key that asks once and never again
/// goes before one that is being refused. Memory: for each of at most `capacity` keys twice the
/// key, eight bytes, and what a `HashMap` adds to an entry.
#[derive(Debug)]
pub struct Throttle<K> {
    rate: Rate,
    capacity: usize,
    /// When each bucket is full again. Never iterated: its order differs from run to run.
    full_at: HashMap<K, Timestamp>,
    /// The same keys, in an order that depends on the calls alone.
    keys: Vec<K>,
    /// The key to be looked at next; it goes round and round.
    hand: usize,
}

impl RetryAfter {
    /// Exactly so long.
    pub fn duration(self) -> Duration {
        self.0
    }

    /// Whole seconds, rounded up and at least one, as the header field `Retry-After` has them
    /// (RFC 9110, section 10.2.3).
    pub fn seconds(self) -> u64 {
        let begun = u64::from(self.0.subsec_nanos() > 0);
        (self.0.as_secs() + begun).max(1)
    }
}

impl Rate {
    /// `tokens` in `per`, at most `burst` (at least one) at once. No tokens: no limit. More than a
    /// million tokens a second are as many.
    pub fn new(tokens: u32, per: Duration, burst: u32) -> Self {
        let time_for = |count: u32| {
            let us = (per.as_micros() * u128::from(count)).checked_div(u128::from(tokens));
            us.map_or(0, |us| u64::try_from(us).unwrap_or(u64::MAX).max(1))
        };
        let interval_us = time_for(1);
        let tolerance_us = time_for(burst.max(1)).saturating_sub(interval_us);
        Self { interval_us, tolerance_us }
    }

    /// Whether there is no limit.
    pub fn is_unlimited(self) -> bool {
        self.interval_us == 0
    }

    /// Whether a bucket that is full at `full_at` has a token.
    ///
    /// # Errors
    /// How long to wait for one.
    pub fn check(self, full_at: Timestamp, now: Timestamp) -> Result<(), RetryAfter> {
        let wait = full_at.since(now + Duration::from_micros(self.tolerance_us));
        if wait.is_zero() { Ok(()) } else { Err(RetryAfter(wait)) }
    }

    /// Takes a token, for what has come at `arrival`, of the bucket that is full at `full_at`.
    ///
    /// It is taken as early as that may have been, and compared with now: what keeps the rate when
    /// it comes is never refused, however late it is looked at, and however much came meanwhile.
    /// What does not has, in the end, no more than if it had been looked at in time.
    ///
    /// # Errors
    /// How long to wait for one; nothing is taken then.
    pub fn take(self, full_at: &mut Timestamp, arrival: Arrival) -> Result<(), RetryAfter> {
        self.check(*full_at, arrival.latest)?;
        *full_at = (*full_at).max(arrival.earliest) + self.interval();
        Ok(())
    }

    fn interval(self) -> Duration {
        Duration::from_micros(self.interval_us)
    }
}

impl<K: Copy + Eq + Hash> Throttle<K> {
    /// `tokens` in `per`, at most `burst` (at least one) at once, for at most `capacity` keys (at
    /// least one). No tokens: no limit. More than a million tokens a second are as many.
    pub fn new(tokens: u32, per: Duration, burst: u32, capacity: usize) -> Self {
        Self {
            rate: Rate::new(tokens, per, burst),
            capacity: capacity.max(1),
            full_at: HashMap::new(),
            keys: Vec::new(),
            hand: 0,
        }
    }

    /// Whether `key` has a token, without taking it.
    ///
    /// # Errors
    /// How long to wait for one.
    pub fn check(&self, key: K, now: Timestamp) -> Result<(), RetryAfter> {
        self.rate.check(self.full_at.get(&key).copied().unwrap_or_default(), now)
    }

    /// Takes a token of `key`.
    ///
    /// # Errors
    /// How long to wait for one; nothing is taken then.
    pub fn take(&mut self, key: K, now: Timestamp) -> Result<(), RetryAfter> {
        if self.rate.is_unlimited() {
            return Ok(());
        }
        self.check(key, now)?;
        self.charge(key, now);
        Ok(())
    }

    /// Takes a token of `key` for what cannot be refused any more. If there is none it is owed:
    /// the next one comes so much later, but after [`DEBT_MAX`] at the latest.
    pub fn charge(&mut self, key: K, now: Timestamp) {
        if self.rate.is_unlimited() {
            return;
        }
        let interval = self.rate.interval();
        let tolerance = Duration::from_micros(self.rate.tolerance_us);
        let latest = now + tolerance + interval.max(DEBT_MAX);
        if let Some(full_at) = self.full_at.get_mut(&key) {
            // Never earlier than it was, should the clock step back.
            let owed = ((*full_at).max(now) + interval).min(latest);
            *full_at = (*full_at).max(owed);
        } else {
            self.insert(key, now + interval, now);
        }
        debug_assert_eq!(self.keys.len(), self.full_at.len());
        debug_assert!(self.keys.len() <= self.capacity);
    }

    /// Puts back a token that was taken of `key` and turned out not to count. A bucket never gets
    /// more than full by it.
    pub fn give_back(&mut self, key: K) {
        if let Some(full_at) = self.full_at.get_mut(&key) {
            full_at.0 = full_at.0.saturating_sub(self.rate.interval_us);
        }
    }

    /// How many keys have an entry.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key has an entry.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Adds an entry for a key that has none.
    fn insert(&mut self, key: K, full_at: Timestamp, now: Timestamp) {
        self.sweep(now);
        if self.keys.len() < self.capacity {
            self.keys.push(key);
        } else {
            let place = self.nearest_to_full();
            self.full_at.remove(&self.keys[place]);
            self.keys[place] = key;
        }
        self.full_at.insert(key, full_at);
    }

    /// Drops a few entries of buckets that are full by now.
    fn sweep(&mut self, now: Timestamp) {
        for _ in 0..SWEPT_MAX.min(self.keys.len()) {
            let place = self.hand % self.keys.len();
            let key = self.keys[place];
            if self.full_at.get(&key).is_some_and(|full_at| *full_at > now) {
                self.hand = place + 1;
            } else {
                self.full_at.remove(&key);
                self.keys.swap_remove(place);
                self.hand = place;
            }
        }
    }

    /// Where, among the next few keys, the one is whose bucket is nearest to being full.
    fn nearest_to_full(&mut self) -> usize {
        let count = self.keys.len();
        let candidates = CANDIDATES_MAX.min(count);
        let begin = self.hand;
        self.hand = (begin + candidates) % count;
        let places = (begin..begin + candidates).map(|place| place % count);
        places.min_by_key(|place| self.full_at.get(&self.keys[*place])).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    /// Takes tokens of one key at the given times, and compares with how long it has to wait.
    fn check(mut throttle: Throttle<char>, trace: &[(u64, Option<u64>)]) {
        for (step, (ms, wait_ms)) in trace.iter().enumerate() {
            let expected = wait_ms.map_or(Ok(()), |ms| Err(RetryAfter(Duration::from_millis(ms))));
            assert_eq!(throttle.check('a', at(*ms)), expected, "check, step {step}");
            assert_eq!(throttle.take('a', at(*ms)), expected, "take, step {step}");
        }
    }

    #[test]
    fn rooms_are_created_in_a_burst_and_then_at_a_rate() {
        let start = 100_000;
        let burst = [(start, None); 5];
        let then = [
            (start, Some(500)),
            (start + 499, Some(1)),
            (start + 500, None),
            (start + 500, Some(500)),
            (start + 1_600, None),
            (start + 1_600, None),
            (start + 1_600, Some(400)),
        ];
        check(Throttle::new(2, SECOND, 5, 10), &[&burst[..], &then].concat());
    }

    #[test]
    fn thirty_a_minute_come_back_one_every_two_seconds() {
        let burst = [(0, None); 30];
        let then = [(0, Some(2_000)), (2_000, None), (2_000, Some(2_000)), (60_000, None)];
        check(Throttle::new(30, MINUTE, 30, 10), &[&burst[..], &then].concat());
    }

    #[test]
    fn what_cannot_be_refused_is_owed_for_ten_minutes_at_most() {
        let mut throttle = Throttle::new(30, MINUTE, 30, 10);
        let wait = |throttle: &Throttle<char>, ms| {
            throttle.check('a', at(ms)).map_err(RetryAfter::seconds).err().unwrap_or(0)
        };
        for (charges, expected) in [(29, 0), (1, 2), (1, 4), (69, 142), (1_000, 600)] {
            for _ in 0..charges {
                throttle.charge('a', at(0));
            }
            assert_eq!(wait(&throttle, 0), expected, "after {charges} more");
        }
        assert_eq!(wait(&throttle, 599_000), 1);
        throttle.take('a', at(600_000)).expect("the first token after all");
        assert_eq!(wait(&throttle, 600_000), 2);
        let mut unlimited = Throttle::new(0, SECOND, 1, 10);
        unlimited.charge('a', at(0));
        assert!(unlimited.is_empty() && unlimited.check('a', at(0)).is_ok());
        let mut slow = Throttle::new(1, DEBT_MAX * 2, 1, 10);
        slow.charge('a', at(0));
        assert_eq!(wait_of(&slow), 1_200, "one token at a time is no debt");
        slow.charge('a', at(0));
        assert_eq!(wait_of(&slow), 1_200);
    }

    fn wait_of(throttle: &Throttle<char>) -> u64 {
        throttle.check('a', at(0)).expect_err("it has to wait").seconds()
    }

    #[test]
    fn a_bucket_holds_no_more_than_its_burst() {
        check(
            Throttle::new(1, SECOND, 2, 10),
            &[(0, None), (3_600_000, None), (3_600_000, None), (3_600_000, Some(1_000))],
        );
    }

    #[test]
    fn a_clock_that_stands_or_steps_back_gives_nothing_away() {
        check(
            Throttle::new(1, SECOND, 1, 10),
            &[(5_000, None), (4_000, Some(2_000)), (6_000, None)],
        );
    }

    #[test]
    fn it_does_what_counting_tokens_would_do() {
        const INTERVAL: u64 = 400;
        const BURST: u64 = 5;
        let mut throttle = Throttle::new(5, Duration::from_micros(5 * INTERVAL), 5, 1);
        // A bucket in microseconds' worth of tokens.
        let (mut level, mut now, mut state) = (BURST * INTERVAL, 0, 3_u64);
        let mut refused = 0;
        for step in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let passed = (state >> 40) % 500;
            now += passed;
            level = (level + passed).min(BURST * INTERVAL);
            if (state >> 60) == 0 {
                throttle.give_back('a');
                level = (level + INTERVAL).min(BURST * INTERVAL);
            }
            let expected = if level >= INTERVAL {
                level -= INTERVAL;
                Ok(())
            } else {
                refused += 1;
                Err(RetryAfter(Duration::from_micros(INTERVAL - level)))
            };
            assert_eq!(throttle.take('a', Timestamp(now)), expected, "step {step}");
        }
        assert!((1_000..19_000).contains(&refused), "{refused}");
    }

    #[test]
    fn each_key_has_its_own_bucket() {
        let mut throttle = Throttle::new(1, SECOND, 1, 10);
        assert_eq!(throttle.take('a', at(0)), Ok(()));
        assert_eq!(throttle.take('b', at(0)), Ok(()));
        assert!(throttle.take('a', at(0)).is_err());
    }

    #[test]
    fn a_refused_attempt_costs_nothing() {
        let mut throttle = Throttle::new(1, SECOND, 1, 10);
        assert_eq!(throttle.take('a', at(0)), Ok(()));
        for ms in 0..1_000 {
            assert!(throttle.take('a', at(ms)).is_err(), "{ms}");
        }
        assert_eq!(throttle.take('a', at(1_000)), Ok(()));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_but_not_more() {
        let mut throttle = Throttle::new(10, MINUTE, 2, 10);
        throttle.give_back('a');
        assert!(throttle.is_empty(), "there was nothing to give back to");
        for _ in 0..2 {
            assert_eq!(throttle.take('a', at(0)), Ok(()));
        }
        assert!(throttle.check('a', at(0)).is_err());
        throttle.give_back('a');
        assert_eq!(throttle.take('a', at(0)), Ok(()));
        assert!(throttle.take('a', at(0)).is_err());
        for _ in 0..9 {
            throttle.give_back('a');
        }
        for _ in 0..2 {
            assert_eq!(throttle.take('a', at(1)), Ok(()));
        }
        assert!(throttle.take('a', at(1)).is_err(), "a full bucket is not made fuller");
    }

    #[test]
    fn no_rate_is_no_limit() {
        let mut throttle = Throttle::new(0, SECOND, 1, 10);
        for _ in 0..1_000 {
            assert_eq!(throttle.take('a', at(0)), Ok(()));
        }
        assert!(throttle.is_empty() && throttle.check('a', at(0)).is_ok());
    }

    #[test]
    fn extreme_rates_do_not_overflow() {
        let mut slow = Throttle::new(1, Duration::MAX, u32::MAX, 1);
        assert_eq!(slow.take('a', Timestamp(u64::MAX)), Ok(()));
        let mut fast = Throttle::new(u32::MAX, Duration::from_micros(1), 1, 0);
        assert_eq!(fast.take('a', Timestamp(0)), Ok(()));
        assert!(fast.take('a', Timestamp(0)).is_err(), "a limit, if a high one");
        assert_eq!(fast.take('a', Timestamp(1)), Ok(()));
        assert_eq!(fast.take('b', Timestamp(1)), Ok(()));
        assert_eq!(fast.len(), 1, "no capacity is a capacity of one");
    }

    #[test]
    fn the_table_never_exceeds_its_capacity() {
        for capacity in [1, 2, 31, 100] {
            let mut throttle = Throttle::new(1, SECOND, 3, capacity);
            for key in 0..1_000 {
                assert_eq!(throttle.take(key, at(0)), Ok(()));
                assert!(throttle.len() <= capacity && throttle.full_at.len() <= capacity);
            }
            assert_eq!(throttle.len(), capacity);
        }
    }

    #[test]
    fn full_buckets_are_forgotten_faster_than_new_keys_come() {
        let mut throttle = Throttle::new(1, SECOND, 3, 100);
        for key in 0..100_u64 {
            throttle.take(key, at(0)).expect("a token");
        }
        // One key a second: each is full again when the next one comes.
        for key in 100..201 {
            throttle.take(key, at(key * 1_000)).expect("a token");
        }
        assert_eq!(throttle.len(), 1);
    }

    #[test]
    fn in_a_full_table_the_one_nearest_to_full_goes() {
        let mut throttle = Throttle::new(1, SECOND, 9, 3);
        for key in ['a', 'a', 'b', 'c', 'c'] {
            throttle.take(key, at(0)).expect("a token");
        }
        throttle.take('d', at(0)).expect("a token");
        assert_eq!(throttle.keys, ['a', 'd', 'c']);
    }

    #[test]
    fn who_is_refused_stays_refused_while_a_crowd_comes() {
        let mut throttle = Throttle::new(1, MINUTE, 5, 100);
        for _ in 0..5 {
            throttle.take(0, at(0)).expect("a token");
        }
        for key in 1..10_000 {
            throttle.take(key, at(0)).expect("a token");
            assert!(throttle.check(0, at(0)).is_err(), "forgotten when {key} came");
        }
    }

    #[test]
    fn two_tables_with_the_same_past_have_the_same_future() {
        // Each has its own hash seed.
        let mut tables = [(); 2].map(|()| Throttle::new(3, SECOND, 4, 50));
        let mut state = 7_u64;
        for step in 0..20_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = (state >> 33) % 90;
            let [one, other] = tables.each_mut().map(|table| table.take(key, at(step)));
            assert_eq!(one, other, "step {step}, key {key}");
        }
        assert_eq!(tables[0].keys, tables[1].keys);
    }

    #[test]
    fn seconds_are_rounded_up() {
        for (ms, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (59_500, 60)] {
            assert_eq!(RetryAfter(Duration::from_millis(ms)).seconds(), seconds, "{ms} ms");
        }
    }
}
