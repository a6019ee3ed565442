//! The `Date` field (RFC 9110, 6.6.1), written once a second.

use std::io::Write;

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::base::time::UnixMillis;

/// Bytes of an IMF-fixdate such as `Mon, 23 Nov 2026 11:39:29 GMT`.
const DATE_BYTES: usize = 29;

/// RFC 9110, 5.6.7.
const IMF_FIXDATE: &[BorrowedFormatItem<'_>] = format_description!(
    version = 2,
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// The text of a date, kept for the rest of its second.
#[derive(Debug)]
pub(super) struct DateCache {
    second: i64,
    text: [u8; DATE_BYTES],
}

impl Default for DateCache {
    fn default() -> Self {
        Self { second: 0, text: *b"Thu, 01 Jan 1970 00:00:00 GMT" }
    }
}

impl DateCache {
    /// `now` as an IMF-fixdate. Years that do not have four digits cannot be written so: then it
    /// is the date of the call before.
    pub(super) fn at(&mut self, now: UnixMillis) -> &[u8] {
        let second = now.seconds();
        if second != self.second {
            let mut text = [0; DATE_BYTES];
            if write_date(second, &mut text).is_some() {
                *self = Self { second, text };
            }
        }
        &self.text
    }
}

/// The seconds since the Unix epoch that `text` stands for, an IMF-fixdate as all servers write
/// it today.
pub fn parse_date(text: &str) -> Option<i64> {
    let date = PrimitiveDateTime::parse(text, IMF_FIXDATE).ok()?;
    Some(date.assume_utc().unix_timestamp())
}

/// `Some` if `text` was filled exactly.
fn write_date(second: i64, text: &mut [u8; DATE_BYTES]) -> Option<()> {
    let date = OffsetDateTime::from_unix_timestamp(second).ok()?;
    let mut rest = text.as_mut_slice();
    date.format_into(&mut rest, IMF_FIXDATE).ok()?;
    rest.flush().ok()?;
    rest.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_imf_fixdates_and_follow_the_second() {
        let mut cache = DateCache::default();
        let table = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_777_999, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_778_000, "Sun, 06 Nov 1994 08:49:38 GMT"),
            (1_795_433_969_007, "Mon, 23 Nov 2026 11:39:29 GMT"),
            (951_782_400_000, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (253_402_300_799_999, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ];
        for (millis, expected) in table {
            assert_eq!(cache.at(UnixMillis(millis)), expected.as_bytes(), "{millis}");
            assert_eq!(parse_date(expected), Some(millis / 1_000));
        }
        for bad in ["", "Mon, 23 Nov 2026", "Tue, 23 Nov 2026 11:39:29 GMT ", "1795433969"] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_year_that_cannot_be_written_leaves_the_date_before() {
        let mut cache = DateCache::default();
        for millis in [i64::MAX, i64::MIN, 253_402_300_800_000] {
            assert_eq!(cache.at(UnixMillis(millis)), b"Thu, 01 Jan 1970 00:00:00 GMT");
        }
    }
}
