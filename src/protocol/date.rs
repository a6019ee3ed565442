//! Dates for many readers: RFC 3339 without a general formatter. A room of a thousand peers that
//! all come at once writes a million of them.

use time::Date;

use crate::base::time::UnixMillis;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// The Julian day of 1970-01-01.
const EPOCH_JULIAN_DAY: i64 = 2_440_588;

/// Appends `at` as [`UnixMillis::rfc3339`] has it.
pub(super) fn write_rfc3339(at: UnixMillis, out: &mut Vec<u8>) {
    let Some(date) = four_digit_date(at) else {
        out.extend_from_slice(at.rfc3339().as_bytes());
        return;
    };
    let (year, month, day) = date.to_calendar_date();
    let ms = at.0.rem_euclid(DAY_MS).unsigned_abs();
    let mut text = *b"0000-00-00T00:00:00.000Z";
    write_number(year.unsigned_abs().into(), &mut text[0..4]);
    write_number(u8::from(month).into(), &mut text[5..7]);
    write_number(day.into(), &mut text[8..10]);
    write_number(ms / 3_600_000, &mut text[11..13]);
    write_number(ms / 60_000 % 60, &mut text[14..16]);
    write_number(ms / 1_000 % 60, &mut text[17..19]);
    write_number(ms % 1_000, &mut text[20..23]);
    out.extend_from_slice(&text);
}

/// The day of `at`, if its year is 0 to 9999.
fn four_digit_date(at: UnixMillis) -> Option<Date> {
    let julian_day = i32::try_from(at.0.div_euclid(DAY_MS) + EPOCH_JULIAN_DAY).ok()?;
    Date::from_julian_day(julian_day).ok().filter(|date| (0..=9999).contains(&date.year()))
}

/// Fills `place` with the decimal digits of `number`.
fn write_number(mut number: u64, place: &mut [u8]) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    debug_assert_eq!(number, 0, "the place is wide enough");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_general_formatter() {
        let check = |ms| {
            let mut out = Vec::new();
            write_rfc3339(UnixMillis(ms), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), UnixMillis(ms).rfc3339(), "{ms}");
        };
        for ms in [0, -1, 1, 999, 1_795_433_969_007, 951_782_400_000, i64::MIN, i64::MAX] {
            check(ms);
        }
        // The first and the last millisecond of years of four digits, and those beside them.
        for edge in [-62_167_219_200_000, 253_402_300_800_000] {
            (edge - 2..edge + 2).for_each(check);
        }
        // Every day of four centuries, each at another time of day.
        (-80_000..80_000).for_each(|day| check(day * DAY_MS + day * 86_398));
    }
}
