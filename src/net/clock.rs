//! The one reader of the operating system's clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::base::time::{Now, Timestamp, UnixMillis};

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
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clocks")]
    pub(super) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Reads both clocks.
    pub(super) fn now(&self) -> Now {
        let at = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { at: Timestamp(at), unix: unix_now() }
    }
}
