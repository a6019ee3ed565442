//! What is counted of the event loop's turns.

use std::time::Duration;

use crate::base::metrics::Histogram;

/// Bounds of how long turns took.
const TURNS: [Duration; 12] = [
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_secs(1),
];

/// How long turns took, without what they waited.
#[derive(Debug)]
pub(super) struct Gauges {
    turns: Histogram,
}

impl Default for Gauges {
    fn default() -> Self {
        Self { turns: Histogram::new(&TURNS) }
    }
}

impl Gauges {
    /// The loop has turned once.
    pub(super) fn turned(&mut self, took: Duration) {
        self.turns.observe(took);
    }

    /// All turns so far.
    pub(super) fn turns(&self) -> &Histogram {
        &self.turns
    }
}
