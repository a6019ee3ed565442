//! Time as a value. Nothing here can read the OS clock: `net` reads it once a turn and hands a
//! [`Now`] down, so every layer below can be driven by a test with literal times.

use std::ops::Add;
use std::time::Duration;

/// A point on the monotonic clock: microseconds since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// `ms` milliseconds after the start.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000)
    }

    /// `s` seconds after the start.
    pub const fn from_secs(s: u64) -> Self {
        Self(s * 1_000_000)
    }

    /// Time passed since `earlier`; zero if `earlier` is in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        let micros = u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// Wall-clock time: milliseconds since the Unix epoch. It may jump; use it for dates only, never
/// for deadlines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Whole seconds since the Unix epoch, as JWT claims have them (RFC 7519, NumericDate).
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The time as RFC 3339 in UTC with milliseconds, e.g. `2026-11-23T11:39:29.000Z`.
    pub fn rfc3339(self) -> String {
        use time::OffsetDateTime;
        use time::macros::format_description;
        const FORMAT: &[time::format_description::BorrowedFormatItem<'_>] = format_description!(
            version = 2,
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        // Dates outside the years −9999..9999 cannot be written; the epoch stands for them.
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        at.format(FORMAT).unwrap_or_default()
    }
}

/// What the event loop read from the clocks at the start of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines and order.
    pub at: Timestamp,
    /// For dates that people and tokens see.
    pub unix: UnixMillis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_has_milliseconds_and_utc() {
        assert_eq!(UnixMillis(1_795_433_969_007).rfc3339(), "2026-11-23T11:39:29.007Z");
        assert_eq!(UnixMillis(0).rfc3339(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn time_passed_never_runs_backwards() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp(u64::MAX) + Duration::from_secs(1), Timestamp(u64::MAX));
    }
}
