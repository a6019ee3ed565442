//! Lines of one kind in one second: the first few are written, the others are counted. Pure: the
//! time is an argument.

use std::collections::BTreeMap;

use log::Level;

/// Lines of one kind that are written in a second before the others are summed up.
pub(super) const LINES_PER_KIND_MAX: u64 = 20;
/// How long lines are summed up before the sum is told.
const PERIOD_US: u64 = 1_000_000;
/// Kinds that are told apart within a period; those that come later are one.
const KINDS_MAX: usize = 256;
/// Of the message that a sum quotes.
const EXAMPLE_CHARACTERS_MAX: usize = 160;

/// What makes lines alike: they come from the same place in the source, and matter alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    /// `None` is what has no place of its own any more.
    pub(super) place: Option<(&'static str, u32, Level)>,
}

/// What is known of the kinds that had lines in this period.
#[derive(Debug, Default)]
pub(super) struct Sums {
    begin_us: u64,
    kinds: BTreeMap<Kind, Count>,
}

#[derive(Debug)]
struct Count {
    level: Level,
    lines: u64,
    example: String,
}

/// Lines of one kind that were not written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) level: Level,
    pub(super) lines: u64,
    pub(super) message: String,
}

impl Sums {
    /// Whether a line of this kind is to be written; else it has been counted.
    pub(super) fn admit(&mut self, kind: Kind, level: Level, now_us: u64) -> bool {
        if self.kinds.is_empty() {
            self.begin_us = now_us;
        }
        let is_known = self.kinds.contains_key(&kind);
        let kind = if is_known || self.kinds.len() < KINDS_MAX { kind } else { Kind::default() };
        let new = || Count { level, lines: 0, example: String::new() };
        let count = self.kinds.entry(kind).or_insert_with(new);
        count.lines += 1;
        count.lines <= LINES_PER_KIND_MAX
    }

    /// A line of this kind is written with this message.
    pub(super) fn note(&mut self, kind: Kind, message: &str) {
        if let Some(count) = self.kinds.get_mut(&kind).filter(|count| count.example.is_empty()) {
            count.example = message.chars().take(EXAMPLE_CHARACTERS_MAX).collect();
        }
    }

    /// What was not written, in the order of the kinds, once the period is over; then a new one
    /// begins.
    pub(super) fn settle(&mut self, now_us: u64) -> Vec<Sum> {
        // A clock that steps back ends the period too.
        let is_over = now_us.checked_sub(self.begin_us).is_none_or(|passed| passed >= PERIOD_US);
        if is_over { self.settle_at_once() } else { Vec::new() }
    }

    /// The same before the period is over.
    pub(super) fn settle_at_once(&mut self) -> Vec<Sum> {
        let counts = std::mem::take(&mut self.kinds).into_values();
        counts.filter(|count| count.lines > LINES_PER_KIND_MAX).map(Count::into_sum).collect()
    }
}

impl Count {
    fn into_sum(self) -> Sum {
        let Self { level, lines, example } = self;
        let lines = lines.saturating_sub(LINES_PER_KIND_MAX);
        let message = format!("… and {lines} more like it in the last second: {example}");
        Sum { level, lines, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(line: u32) -> Kind {
        Kind { place: Some(("a.rs", line, Level::Info)) }
    }

    /// How many of `count` lines of this kind are written.
    fn written(sums: &mut Sums, kind: Kind, count: u64, now_us: u64) -> u64 {
        (0..count).map(|_| u64::from(sums.admit(kind, Level::Info, now_us))).sum()
    }

    #[test]
    fn the_first_of_a_kind_are_written_and_the_others_summed_up_once_a_second() {
        let mut sums = Sums::default();
        assert_eq!(written(&mut sums, kind(1), 166_000, 5), LINES_PER_KIND_MAX);
        sums.note(kind(1), "gone");
        sums.note(kind(1), "only the first is quoted");
        assert_eq!(written(&mut sums, kind(2), LINES_PER_KIND_MAX, 6), LINES_PER_KIND_MAX);
        assert_eq!(sums.settle(PERIOD_US + 4), [], "the second is not over");
        let lines = 166_000 - LINES_PER_KIND_MAX;
        let message = format!("… and {lines} more like it in the last second: gone");
        assert_eq!(sums.settle(PERIOD_US + 5), [Sum { level: Level::Info, lines, message }]);
        assert_eq!(written(&mut sums, kind(1), 1, PERIOD_US + 5), 1, "a new second has begun");
        assert_eq!(sums.settle(3 * PERIOD_US), [], "there was but one");
    }

    #[test]
    fn at_the_end_and_after_a_step_of_the_clock_nothing_is_waited_for() {
        let mut sums = Sums::default();
        written(&mut sums, kind(1), LINES_PER_KIND_MAX + 1, 9);
        assert_eq!(sums.settle_at_once().len(), 1);
        assert_eq!(sums.settle_at_once(), []);
        written(&mut sums, kind(1), LINES_PER_KIND_MAX + 1, 9);
        assert_eq!(sums.settle(8).len(), 1);
    }

    #[test]
    fn kinds_beyond_the_bound_are_one() {
        let mut sums = Sums::default();
        for line in 0..1_000 {
            sums.admit(kind(line), Level::Info, 0);
        }
        assert_eq!(sums.kinds.len(), KINDS_MAX + 1);
        let lines = 1_000 - KINDS_MAX as u64 - LINES_PER_KIND_MAX;
        assert_eq!(sums.settle_at_once()[0].lines, lines);
    }

    #[test]
    fn a_sum_quotes_only_the_beginning() {
        let mut sums = Sums::default();
        written(&mut sums, kind(1), LINES_PER_KIND_MAX + 1, 0);
        sums.note(kind(1), &"ก".repeat(4_096));
        let message = &sums.settle_at_once()[0].message;
        assert_eq!(message.matches('ก').count(), EXAMPLE_CHARACTERS_MAX);
    }
}
