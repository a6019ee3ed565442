//! Answers, and how they are written.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use super::chunked::{is_field_byte, is_token_byte};
use super::cors;
use super::date::DateCache;
use super::request::{Request, Version};
use super::status::Status;
use super::upgrade::Upgrade;
use crate::base::time::UnixMillis;
use crate::config::AllowedOrigins;

/// A longer `Origin` is none that anybody listed: scheme, the longest name there is, port.
const ORIGIN_BYTES_MAX: usize = 512;

/// The value of `Retry-After` for what passes soon, in seconds.
pub const RETRY_AFTER: &str = "5";

/// Fields that follow from the context or the body. Only the encoder writes them.
const ENCODER_FIELDS: [&str; 4] = ["Connection", "Content-Length", "Date", "Transfer-Encoding"];

/// The answer to one request, before it is known how it has to be written.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    status: Status,
    /// Invariant: names are tokens, values have no control bytes.
    headers: Vec<(&'static str, Cow<'static, str>)>,
    body: Cow<'static, [u8]>,
    is_preflight: bool,
}

/// What of a request decides how its answer is written. Kept while the answer is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseContext {
    head_only: bool,
    keep_alive: bool,
    version: Version,
    origin: Option<Box<[u8]>>,
}

/// Writes answers, and adds what every answer has.
#[derive(Debug)]
pub struct ResponseEncoder {
    allowed_origins: AllowedOrigins,
    date: DateCache,
    is_closing: bool,
}

impl Response {
    /// `body` of the type `content_type`.
    pub fn new(
        status: Status,
        content_type: &'static str,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Self {
        let headers = vec![("Content-Type", Cow::Borrowed(content_type))];
        Self { status, headers, body: body.into(), is_preflight: false }
    }

    /// `body` written as JSON. It must be a type that always can be: no map in it whose keys are
    /// not strings.
    pub fn json(status: Status, body: &impl Serialize) -> Self {
        let text = serde_json::to_vec(body);
        debug_assert!(text.is_ok(), "an answer that has no JSON form");
        Self::json_text(status, text.unwrap_or_default())
    }

    /// `body`, which is JSON already. No cache may keep it: it may be somebody's token.
    pub fn json_text(status: Status, body: impl Into<Vec<u8>>) -> Self {
        let mut response = Self::new(status, "application/json", body.into());
        response.headers.push(("Cache-Control", Cow::Borrowed("no-store")));
        response
    }

    /// `{"error": message}`.
    pub fn error(status: Status, message: &str) -> Self {
        #[derive(Serialize)]
        struct Failure<'a> {
            error: &'a str,
        }
        Self::json(status, &Failure { error: message })
    }

    /// 503: what is missing may be there in a moment, `message` says what. [`RETRY_AFTER`] says
    /// when to come back.
    pub fn unavailable(message: &str) -> Self {
        Self::error(Status::SERVICE_UNAVAILABLE, message).with_header("Retry-After", RETRY_AFTER)
    }

    /// 304: the client has it already (RFC 9110, 15.4.5).
    pub const fn not_modified() -> Self {
        Self {
            status: Status::NOT_MODIFIED,
            headers: Vec::new(),
            body: Cow::Borrowed(&[]),
            is_preflight: false,
        }
    }

    /// 204, the answer to an `OPTIONS` request, preflight (Fetch standard) or not.
    pub const fn preflight() -> Self {
        Self {
            status: Status::NO_CONTENT,
            headers: Vec::new(),
            body: Cow::Borrowed(&[]),
            is_preflight: true,
        }
    }

    /// Sets a field in place of another with that name. Control bytes in `value`, which could end
    /// the field and begin another, are left out.
    pub fn set_header(&mut self, name: &'static str, value: &str) {
        debug_assert!(name.bytes().all(is_token_byte) && !ENCODER_FIELDS.contains(&name));
        let is_clean = value.bytes().all(is_field_byte);
        let value = if is_clean {
            value.to_owned()
        } else {
            value.chars().filter(|char| !char.is_control()).collect()
        };
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name, Cow::Owned(value)));
    }

    /// Adds a field with a fixed value.
    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, Cow::Borrowed(value)));
        self
    }

    /// The status.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The value of the field called `name`, of those that were set.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_ref())
    }

    /// The content.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Shows no field and no body: either may be somebody's token.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status.code())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl ResponseContext {
    /// That of an answer to `request`.
    pub fn of(request: &Request) -> Self {
        Self {
            head_only: request.method() == "HEAD",
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
        Self { head_only: false, keep_alive: false, version: Version::Http11, origin: None }
    }

    /// Whether the connection stays open after the answer.
    pub const fn keep_alive(&self) -> bool {
        self.keep_alive
    }
}

impl ResponseEncoder {
    /// An encoder that lets pages of `allowed_origins` read the answers.
    pub fn new(allowed_origins: AllowedOrigins) -> Self {
        Self { allowed_origins, date: DateCache::default(), is_closing: false }
    }

    /// From here on pages of `allowed_origins` may read the answers.
    pub fn set_allowed_origins(&mut self, allowed_origins: AllowedOrigins) {
        self.allowed_origins = allowed_origins;
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
        self.write_start(response.status.code(), response.status.reason(), now, out);
        for (name, value) in &response.headers {
            write_field(name, value.as_bytes(), out);
        }
        let origin = context.origin.as_deref();
        cors::write_fields(&self.allowed_origins, origin, response.is_preflight, out);
        self.write_connection(response, context, out);
        // RFC 9110, 8.6: a 204 has none, and a 304 none of its own; an answer to HEAD has that of
        // the answer to GET.
        let has_content = !matches!(response.status, Status::NO_CONTENT | Status::NOT_MODIFIED);
        if has_content {
            let mut digits = itoa::Buffer::new();
            write_field("Content-Length", digits.format(response.body.len()).as_bytes(), out);
        }
        out.extend_from_slice(b"\r\n");
        if has_content && !context.head_only {
            out.extend_from_slice(&response.body);
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
