//! Time as a value. Nothing here can read the OS clock: `net` reads it once a turn and hands a
//! [`Now`] down, so every layer below can be driven by a test with literal times.

use std::ops::Add;
use std::time::Duration;

use time::Date;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// The Julian day of 1970-01-01.
const EPOCH_JULIAN_DAY: i64 = 2_440_588;

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
        let mut text = Vec::new();
        self.write_rfc3339(&mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Appends the time as RFC 3339. Without a general formatter: a room of a thousand peers that
    /// all come at once writes a million of them.
    ///
    /// Dates outside the years −9999..9999 cannot be written; the epoch stands for them.
    pub fn write_rfc3339(self, out: &mut Vec<u8>) {
        let julian_day = i32::try_from(self.0.div_euclid(DAY_MS) + EPOCH_JULIAN_DAY).ok();
        let Some(date) = julian_day.and_then(|day| Date::from_julian_day(day).ok()) else {
            return Self(0).write_rfc3339(out);
        };
        let (year, month, day) = date.to_calendar_date();
        let ms = self.0.rem_euclid(DAY_MS).unsigned_abs();
        let mut text = *b"0000-00-00T00:00:00.000Z";
        write_number(year.unsigned_abs().into(), &mut text[0..4]);
        write_number(u8::from(month).into(), &mut text[5..7]);
        write_number(day.into(), &mut text[8..10]);
        write_number(ms / 3_600_000, &mut text[11..13]);
        write_number(ms / 60_000 % 60, &mut text[14..16]);
        write_number(ms / 1_000 % 60, &mut text[17..19]);
        write_number(ms % 1_000, &mut text[20..23]);
        if year < 0 {
            out.push(b'-');
        }
        out.extend_from_slice(&text);
    }
}

/// Fills `place` with the decimal digits of `number`.
fn write_number(mut number: u64, place: &mut [u8]) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    debug_assert_eq!(number, 0, "the place is wide enough");
}

/// What the event loop read from the clocks at the start of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines and order.
    pub at: Timestamp,
    /// For dates that people and tokens see.
    pub unix: UnixMillis,
}

/// When something has come, as far as can be told: at `earliest` or later, and by now. Both on a
/// monotonic clock that leaves nothing out, also no time in which the server did not run: clients
/// went on meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// All that had come before was read before.
    pub earliest: Timestamp,
    /// Now.
    pub latest: Timestamp,
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use time::format_description::BorrowedFormatItem;
    use time::macros::format_description;

    use super::*;

    #[test]
    fn rfc3339_has_milliseconds_and_utc() {
        assert_eq!(UnixMillis(1_795_433_969_007).rfc3339(), "2026-11-23T11:39:29.007Z");
        assert_eq!(UnixMillis(0).rfc3339(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn dates_are_those_of_the_general_formatter() {
        const FORMAT: &[BorrowedFormatItem<'_>] = format_description!(
            version = 2,
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        let check = |ms| {
            let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
                .unwrap_or(OffsetDateTime::UNIX_EPOCH);
            assert_eq!(UnixMillis(ms).rfc3339(), at.format(FORMAT).unwrap(), "{ms}");
        };
        for ms in [0, -1, 1, 999, 1_795_433_969_007, 951_782_400_000, i64::MIN, i64::MAX] {
            check(ms);
        }
        // The first and the last millisecond of years of four digits, and those beside them; and
        // of the years that can be written.
        for edge in [-62_167_219_200_000, 253_402_300_800_000, -377_705_116_800_000] {
            (edge - 2..edge + 2).for_each(check);
        }
        // Every day of four centuries, each at another time of day.
        (-80_000..80_000).for_each(|day| check(day * DAY_MS + day * 86_398));
    }

    #[test]
    fn time_passed_never_runs_backwards() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp(u64::MAX) + Duration::from_secs(1), Timestamp(u64::MAX));
    }
}
