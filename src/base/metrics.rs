//! What the server counts of itself.
//!
//! The counters are plain numbers of the part that does what is counted: an addition, no atomic,
//! no allocation. Nothing here knows which part that is, or how the numbers are asked for.

use std::collections::BTreeMap;
use std::time::Duration;

/// What went in and out since the start.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Connections that were taken.
    pub connections_accepted: u64,
    /// Of these, those that were told to come back later.
    pub connections_refused: u64,
    /// Bytes read from clients.
    pub bytes_received: u64,
    /// Bytes that sockets took.
    pub bytes_sent: u64,
    /// HTTP requests, with those that became a WebSocket.
    pub requests: u64,
    /// WebSocket messages of clients.
    pub messages_received: u64,
    /// Frames queued for clients: a message to twenty members is twenty.
    pub messages_delivered: u64,
    /// Connections that the server closed, by the reason's name. Bounded by the number of reasons.
    pub closes: BTreeMap<&'static str, u64>,
}

/// What the operating system says of the process, and what else is known outside of the loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProcessFacts {
    /// Memory that is in use and not swapped out.
    pub resident_bytes: u64,
    /// Addresses that are in use, with or without memory behind them.
    pub virtual_bytes: u64,
    /// Processor time of all threads, in user and kernel mode.
    pub processor_seconds: f64,
    /// Open file descriptors.
    pub open_files: u64,
    /// How many there may be.
    pub open_files_max: u64,
    /// Lines that the log had no place for.
    pub log_lines_dropped: u64,
}

/// Counts of durations, by the first of some bounds that each does not exceed.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// Invariant: they rise.
    bounds: &'static [Duration],
    /// One for each bound, and one for what exceeds them all.
    counts: Vec<u64>,
    sum: Duration,
}

impl Histogram {
    /// Nothing is counted yet. `bounds` must rise.
    pub fn new(bounds: &'static [Duration]) -> Self {
        debug_assert!(bounds.is_sorted(), "bounds rise");
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: Duration::ZERO }
    }

    /// Something took `duration`.
    pub fn observe(&mut self, duration: Duration) {
        let bucket = self.bounds.partition_point(|bound| *bound < duration);
        self.counts[bucket] += 1;
        self.sum = self.sum.saturating_add(duration);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them together, in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum.as_secs_f64()
    }

    /// For each bucket its bound in seconds and how many are in it and in none before; the last
    /// one has none: infinity.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_under_the_first_bound_that_it_does_not_exceed() {
        const BOUNDS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(10)];
        let mut histogram = Histogram::new(&BOUNDS);
        for micros in [0, 999, 1_000, 1_001, 10_000, 10_001, 5_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        assert_eq!(histogram.buckets(), [(0.001, 3), (0.01, 2), (f64::INFINITY, 2)]);
        assert_eq!(histogram.count(), 7);
        assert!((histogram.sum_seconds() - 5.023_001).abs() < 1e-9);
    }
}
