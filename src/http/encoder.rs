//! How answers are written: what every answer has, and what follows from its request.

use std::fmt;
use std::io::Write;

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use super::limits::ORIGIN_BYTES_MAX;
use super::request::{Request, Version};
use super::response::Response;
use super::status::Status;
use super::syntax::is_field_byte;
use super::upgrade::Upgrade;
use crate::base::time::UnixMillis;

/// Bytes of an IMF-fixdate such as `Mon, 23 Nov 2026 11:39:29 GMT`.
const DATE_BYTES: usize = 29;

/// RFC 9110, 5.6.7.
const IMF_FIXDATE: &[BorrowedFormatItem<'_>] = format_description!(
    version = 2,
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// What an application adds to every answer, those to requests that could not be read too.
pub trait ExtraFields: fmt::Debug {
    /// Calls `add` with the name and the value of each field for an answer with this `context`.
    fn write(&self, context: &ResponseContext, add: &mut dyn FnMut(&str, &[u8]));
}

/// What of a request decides how its answer is written. Kept while the answer is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseContext {
    head_only: bool,
    is_options: bool,
    keep_alive: bool,
    version: Version,
    origin: Option<Box<[u8]>>,
}

/// Writes answers, and adds what every answer has.
#[derive(Debug, Default)]
pub struct ResponseEncoder {
    extra_fields: Option<Box<dyn ExtraFields>>,
    date: DateCache,
    is_closing: bool,
}

impl ResponseContext {
    /// That of an answer to `request`.
    pub fn of(request: &Request) -> Self {
        Self {
            head_only: request.method() == "HEAD",
            is_options: request.method() == "OPTIONS",
            keep_alive: request.keep_alive(),
            version: request.version(),
            origin: request
                .only_header("origin")
                .filter(|origin| origin.len() <= ORIGIN_BYTES_MAX)
                .map(Into::into),
        }
    }

    /// That of an answer to something that could not be read: the connection ends with it.
    pub const fn closing() -> Self {
        Self {
            head_only: false,
            is_options: false,
            keep_alive: false,
            version: Version::Http11,
            origin: None,
        }
    }

    /// The request's `Origin`, if it has one, and only one, of at most 512 bytes.
    pub fn origin(&self) -> Option<&[u8]> {
        self.origin.as_deref()
    }

    /// Whether the request's method is `OPTIONS`.
    pub const fn is_options(&self) -> bool {
        self.is_options
    }

    /// Whether the connection stays open after the answer.
    pub const fn keep_alive(&self) -> bool {
        self.keep_alive
    }
}

impl ResponseEncoder {
    /// From here on each answer has what `extra_fields` adds.
    pub fn set_extra_fields(&mut self, extra_fields: Box<dyn ExtraFields>) {
        self.extra_fields = Some(extra_fields);
    }

    /// From here on each answer says that it is the last one of its connection; for shutting
    /// down.
    pub const fn close_after_answers(&mut self) {
        self.is_closing = true;
    }

    /// Whether each answer is the last one of its connection.
    pub const fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Appends `response` to `out`, in one piece.
    pub fn encode(
        &mut self,
        response: &Response,
        context: &ResponseContext,
        now: UnixMillis,
        out: &mut Vec<u8>,
    ) {
        let status = response.status();
        self.write_start(status.code(), status.reason(), now, out);
        for (name, value) in response.headers() {
            write_field(name, value.as_bytes(), out);
        }
        if let Some(extra_fields) = &self.extra_fields {
            extra_fields.write(context, &mut |name, value| write_field(name, value, out));
        }
        self.write_connection(response, context, out);
        // RFC 9110, 8.6: a 204 has none, and a 304 none of its own; an answer to HEAD has that of
        // the answer to GET.
        let has_content = !matches!(status, Status::NO_CONTENT | Status::NOT_MODIFIED);
        if has_content {
            let mut digits = itoa::Buffer::new();
            write_field("Content-Length", digits.format(response.body().len()).as_bytes(), out);
        }
        out.extend_from_slice(b"\r\n");
        if has_content && !context.head_only {
            out.extend_from_slice(response.body());
        }
    }

    /// Appends the 101 that ends HTTP on a connection (RFC 6455, 4.2.2). The next byte is a
    /// WebSocket's.
    pub fn encode_upgrade(&mut self, upgrade: &Upgrade, now: UnixMillis, out: &mut Vec<u8>) {
        self.write_start(101, "Switching Protocols", now, out);
        out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n");
        write_field("Sec-WebSocket-Accept", upgrade.accept_key.as_bytes(), out);
        if let Some(subprotocol) = upgrade.subprotocol {
            write_field("Sec-WebSocket-Protocol", subprotocol.as_bytes(), out);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The status line, and the fields that every answer has.
    fn write_start(&mut self, code: u16, reason: &str, now: UnixMillis, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(itoa::Buffer::new().format(code).as_bytes());
        out.push(b' ');
        out.extend_from_slice(reason.as_bytes());
        out.extend_from_slice(b"\r\n");
        write_field("Date", self.date.at(now), out);
        out.extend_from_slice(b"X-Content-Type-Options: nosniff\r\n");
    }

    /// RFC 9112, 9.3 and 9.6; and RFC 9110, 7.8: `Upgrade` goes with a connection option.
    fn write_connection(&self, response: &Response, context: &ResponseContext, out: &mut Vec<u8>) {
        let persistence: &[&str] = match (context.keep_alive && !self.is_closing, context.version) {
            (false, _) => &["close"],
            (true, Version::Http10) => &["keep-alive"],
            (true, Version::Http11) => &[],
        };
        let upgrade = response.header("Upgrade").map(|_| "upgrade");
        let mut separator = "Connection: ";
        for option in persistence.iter().copied().chain(upgrade) {
            out.extend_from_slice(separator.as_bytes());
            out.extend_from_slice(option.as_bytes());
            separator = ", ";
        }
        if separator == ", " {
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn write_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    debug_assert!(value.iter().copied().all(is_field_byte));
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The text of a date, kept for the rest of its second.
#[derive(Debug)]
struct DateCache {
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
    fn at(&mut self, now: UnixMillis) -> &[u8] {
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
