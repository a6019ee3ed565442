//! A whole request: its head as the bytes that came, with marks in them, and its body.

use std::fmt;

use serde::de::DeserializeOwned;

use super::syntax;
use crate::base::memory::allocated_bytes;

/// The HTTP versions that are spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0 (RFC 1945): closes unless asked to keep alive, may lack `Host`.
    Http10,
    /// HTTP/1.1 (RFC 9112).
    Http11,
}

/// A whole request, checked by the parser.
///
/// The head is one allocation and its fields are pairs of marks in it, so that a request costs
/// three allocations however many fields it has.
///
/// Invariant: `method`, `path`, `query` and `host` are ASCII.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub(super) head: Box<[u8]>,
    pub(super) body: Vec<u8>,
    pub(super) method: Span,
    pub(super) path: Span,
    pub(super) query: Option<Span>,
    pub(super) host: Option<Span>,
    pub(super) fields: Box<[FieldSpan]>,
    pub(super) version: Version,
}

/// Part of a head: from `start` up to, but without, `end`. A head is shorter than 2¹⁶ bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u16,
    pub(super) end: u16,
}

/// One header field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct FieldSpan {
    pub(super) name: Span,
    pub(super) value: Span,
}

impl Request {
    /// The method as it was written; methods are case-sensitive (RFC 9110, 9.1).
    pub fn method(&self) -> &str {
        self.text(self.method)
    }

    /// The path, not decoded. Begins with `/`, or is `*` (with `OPTIONS` only).
    pub fn path(&self) -> &str {
        match self.text(self.path) {
            // RFC 9112, 3.2.2: `http://host` asks for `/`.
            "" => "/",
            path => path,
        }
    }

    /// What follows the `?`, not decoded. May hold a secret: not for logs.
    pub fn query(&self) -> Option<&str> {
        self.query.map(|span| self.text(span))
    }

    /// The decoded value of the first `name=` in the query (see [`super::query_value`]).
    pub fn query_value(&self, name: &str) -> Option<String> {
        syntax::query_value(self.query()?, name)
    }

    /// The version that the client speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// `host[:port]` that the request was sent to: from an absolute target, else from `Host`.
    /// Only HTTP/1.0 may have none.
    pub fn host(&self) -> Option<&str> {
        self.host.map(|span| self.text(span))
    }

    /// Whether the client wants to use the connection again (RFC 9112, 9.3).
    pub fn keep_alive(&self) -> bool {
        !self.has_token("connection", "close")
            && (self.version == Version::Http11 || self.has_token("connection", "keep-alive"))
    }

    /// The content, without the framing of chunks. At most
    /// [`BODY_BYTES_MAX`](super::BODY_BYTES_MAX) bytes.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The values of all fields called `name`, in order. Names are compared without case.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields
            .iter()
            .filter(move |field| self.bytes(field.name).eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| self.bytes(field.value))
    }

    /// Whether there is a field called `name`, whatever its value.
    pub fn has_header(&self, name: &str) -> bool {
        self.header_values(name).next().is_some()
    }

    /// The value of the first field called `name`, if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).next().and_then(|value| str::from_utf8(value).ok())
    }

    /// The value of the field called `name` if there is exactly one. For fields where a second
    /// one means that one of two readers is being cheated.
    pub fn only_header(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.header_values(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// The values of all fields called `name` that are UTF-8, as one comma list (RFC 9110, 5.3).
    pub fn joined_header(&self, name: &str) -> Option<String> {
        let texts = self.header_values(name).filter_map(|value| str::from_utf8(value).ok());
        let texts: Vec<_> = texts.collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }

    /// The elements of the comma list in all fields called `name`, empty ones left out
    /// (RFC 9110, 5.6.1).
    pub fn list_elements(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.header_values(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|element| !element.is_empty())
    }

    /// Whether the comma list in the fields called `name` has `token`, compared without case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.list_elements(name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Whether `Accept` names `media_type` itself, not just by `*/*`: a browser that wants a page
    /// names `text/html`, a program rarely does.
    pub fn accepts(&self, media_type: &str) -> bool {
        self.list_elements("accept").any(|element| {
            let range = element.split(|byte| *byte == b';').next().unwrap_or_default();
            range.trim_ascii().eq_ignore_ascii_case(media_type.as_bytes())
        })
    }

    /// The value of the first cookie called `name` (RFC 6265, 5.4), without quotes around it.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.header_values("cookie")
            .filter_map(|value| str::from_utf8(value).ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim_matches('"'))
    }

    /// Bytes of memory behind this request.
    pub fn held_bytes(&self) -> usize {
        self.head_bytes() + allocated_bytes(self.body.capacity())
    }

    /// Bytes that the head keeps alive.
    pub(super) fn head_bytes(&self) -> usize {
        allocated_bytes(self.head.len()) + allocated_bytes(size_of_val(&*self.fields))
    }

    fn bytes(&self, span: Span) -> &[u8] {
        &self.head[usize::from(span.start)..usize::from(span.end)]
    }

    /// A part that is ASCII by the invariant of [`Request`].
    fn text(&self, span: Span) -> &str {
        let text = str::from_utf8(self.bytes(span));
        debug_assert!(text.is_ok(), "the parser marks only ASCII as text");
        text.unwrap_or_default()
    }
}

/// The body of `request` as a `T`; an empty one is `T::default()`.
///
/// `Content-Type` is not looked at, since clients exist that send another. That lets a form of a
/// foreign page post JSON: a cookie must not count there.
///
/// # Errors
/// One line for the client, which is to blame. It may quote the body: not for logs.
pub fn parse_json<T: DeserializeOwned + Default>(request: &Request) -> Result<T, String> {
    let body = request.body();
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| format!("Invalid JSON: {error}"))
}

/// Whether the client says that it has what `entity_tag`, a weak one, names (RFC 9110, 13.1.2).
pub fn is_known(request: &Request, entity_tag: &str) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    request
        .list_elements("if-none-match")
        .any(|tag| tag == b"*" || opaque(tag) == opaque(entity_tag.as_bytes()))
}

/// Whether the client takes content that is compressed with gzip (RFC 9110, 12.5.3).
pub fn accepts_gzip(request: &Request) -> bool {
    let accepted = |coding: &[u8]| {
        request.list_elements("accept-encoding").find_map(|element| {
            let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let is_it = parts.next()?.eq_ignore_ascii_case(coding);
            is_it.then(|| !parts.any(is_zero_weight))
        })
    };
    accepted(b"gzip").or_else(|| accepted(b"*")).unwrap_or(false)
}

/// `q=0`, `q=0.000`: not acceptable.
fn is_zero_weight(parameter: &[u8]) -> bool {
    parameter
        .strip_prefix(b"q=")
        .or_else(|| parameter.strip_prefix(b"Q="))
        .is_some_and(|weight| weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
}

/// Shows nothing that may be secret: no query, no field values, no body.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method())
            .field("path", &self.path())
            .field("version", &self.version())
            .field("fields", &self.fields.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
