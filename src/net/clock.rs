//! The one reader of the operating system's clocks.
//!
//! The loop's monotonic clock leaves out the time in which the process did not run: a stopped
//! process, a paused container, a virtual machine whose snapshot was taken. Nothing could be read,
//! sent or stored meanwhile, so no deadline of a client, a job or a stop may come closer by it: a
//! stall is not silence. It is left out here, and so for every deadline that there is or will be.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::base::time::{Now, Timestamp, UnixMillis};

/// A gap between two readings that is so much longer than expected was a stall. What is shorter
/// happens on a busy machine, and counts.
const STALL_MIN: Duration = Duration::from_secs(1);

/// The date, for what runs outside of a loop. A system date before 1970 reads as 1970.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clocks")]
pub fn unix_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The system's monotonic clock, as other processes read it too, in microseconds.
pub fn monotonic_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let since = Duration::try_from(now).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Both clocks; [`Timestamp`] zero is the moment of its making.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    gaps: Gaps,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clocks")]
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), gaps: Gaps::default() }
    }

    /// Until the next reading, which follows a wait, `wait` may pass; `None`: any time.
    pub(super) fn expect_wait(&mut self, wait: Option<Duration>) {
        self.gaps.expected = wait.unwrap_or(Duration::MAX);
    }

    /// Reads both clocks.
    pub(super) fn now(&mut self) -> Now {
        let passed = self.gaps.read(self.start.elapsed());
        let at = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        Now { at: Timestamp(at), unix: unix_now() }
    }

    /// How much time is left out so far.
    pub(super) fn left_out(&self) -> Duration {
        self.gaps.left_out
    }
}

/// What tells stalls from time that passes.
#[derive(Debug, Default)]
struct Gaps {
    /// The last reading, with all stalls.
    read: Duration,
    /// What may pass before the next one.
    expected: Duration,
    left_out: Duration,
}

impl Gaps {
    /// The monotonic clock shows `elapsed`; the time without stalls.
    fn read(&mut self, elapsed: Duration) -> Duration {
        let gap = elapsed.saturating_sub(self.read);
        let excess = gap.saturating_sub(self.expected);
        if excess > STALL_MIN {
            self.left_out += excess;
        }
        self.read = elapsed;
        self.expected = Duration::ZERO;
        elapsed.saturating_sub(self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_stall_is_left_out_and_all_other_time_counts() {
        let mut gaps = Gaps::default();
        // What was expected to pass, what the clock shows, and what that is without stalls.
        for (expected, elapsed, passed) in [
            (Some(0), 5, 5),
            // Slow work, and a machine that is busy.
            (Some(0), 1_005, 1_005),
            (Some(500), 1_500, 1_500),
            (Some(0), 2_000, 2_000),
            // Stopped in a wait of a second: so much of it may have been used.
            (Some(1_000), 63_000, 3_000),
            (Some(0), 63_010, 3_010),
            // Stopped in the middle of a turn.
            (Some(0), 65_010, 3_010),
            // Nothing was due, so nothing tells how long the wait should have been.
            (None, 1_000_000, 938_000),
            (Some(0), 1_000_001, 938_001),
        ] {
            gaps.expected = expected.map_or(Duration::MAX, ms);
            assert_eq!(gaps.read(ms(elapsed)), ms(passed), "{elapsed}");
        }
        assert_eq!(gaps.left_out, ms(62_000));
    }
}
