//! The clock of the load generator, the only one it reads.

use std::thread;
use std::time::{Duration, Instant};

/// Microseconds since the start of the load generator.
pub(crate) type Micros = u64;

/// Microseconds of a second.
pub(crate) const SECOND: Micros = 1_000_000;

/// Counts from its making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "a load generator measures real time")]
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Micros {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Does nothing for as long.
    pub(crate) fn wait(&self, time: Duration) {
        let until = self.start.elapsed() + time;
        // A thread may be unparked without any reason.
        while let Some(left) = until.checked_sub(self.start.elapsed()) {
            thread::park_timeout(left);
        }
    }
}
