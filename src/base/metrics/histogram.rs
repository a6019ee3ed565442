//! How long things took, in a fixed number of buckets.

use std::time::Duration;

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
