//! A complete head becomes a request: httparse finds the fields, this module holds them to what
//! RFC 9112 asks of them and finds out how long the body is.

use std::mem::MaybeUninit;

use super::error::HttpError;
use super::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX};
use super::request::{FieldSpan, Marks, Request, Span, Version};
use super::target::RequestTarget;
use crate::base::authority::Authority;

/// A checked head.
pub(super) struct Head {
    /// Has no body yet.
    pub(super) request: Request,
    pub(super) framing: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
}

/// How the end of a body is known (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes follow, at most [`BODY_BYTES_MAX`].
    Length(usize),
    /// Chunks follow.
    Chunked,
}

/// How often a field that must not be repeated came.
#[derive(Clone, Copy, Default)]
enum Occurrence<'a> {
    #[default]
    Never,
    Once(&'a [u8]),
    Repeated,
}

/// The fields that decide whom a request is for and where it ends.
#[derive(Default)]
struct KeyFields<'a> {
    host: Occurrence<'a>,
    content_length: Occurrence<'a>,
    transfer_encoding: Occurrence<'a>,
}

/// Reads `bytes`, a head from its request line up to and including its empty line.
///
/// Line ends may be a single LF, as RFC 9112, 2.2 allows.
pub(super) fn parse(bytes: Box<[u8]>) -> Result<Head, HttpError> {
    debug_assert!(bytes.len() <= HEAD_BYTES_MAX);
    let mut fields = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    let status = parsed
        .parse_with_uninit_headers(&bytes, &mut fields)
        .map_err(|error| head_error(error, &bytes))?;
    let (Some(method), Some(target), Some(minor_version)) =
        (parsed.method, parsed.path, parsed.version)
    else {
        return Err(HttpError::REQUEST_LINE);
    };
    if status != httparse::Status::Complete(bytes.len()) {
        return Err(HttpError::REQUEST_LINE);
    }
    let version = if minor_version == 0 { Version::Http10 } else { Version::Http11 };
    let target = RequestTarget::parse(method, target)?;
    let key_fields = KeyFields::of(parsed.headers);
    let host = key_fields.host(version)?;
    let framing = key_fields.framing(version)?;
    let span = |part: &[u8]| Span::of(part, &bytes);
    let marks = Marks {
        method: span(method.as_bytes()),
        path: span(target.path.as_bytes()),
        query: target.query.map(|query| span(query.as_bytes())),
        // RFC 9112, 3.2.2: an absolute target overrules `Host`.
        host: target.authority.or(host).map(|host| span(host.as_bytes())),
        fields: parsed
            .headers
            .iter()
            .map(|field| FieldSpan { name: span(field.name.as_bytes()), value: span(field.value) })
            .collect(),
        version,
    };
    let request = Request::new(bytes, marks);
    let expects_continue = expects_continue(&request)?;
    Ok(Head { request, framing, expects_continue })
}

impl Span {
    /// Where `part` lies in `head`. An empty part may lie anywhere.
    fn of(part: &[u8], head: &[u8]) -> Self {
        if part.is_empty() {
            return Self { start: 0, end: 0 };
        }
        let start = part.as_ptr().addr() - head.as_ptr().addr();
        let end = start + part.len();
        debug_assert!(end <= head.len(), "a part of another buffer");
        let mark = |at| u16::try_from(at).expect("a head is shorter than 2¹⁶ bytes");
        Self { start: mark(start), end: mark(end) }
    }
}

impl<'a> Occurrence<'a> {
    fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Never => Self::Once(value),
            Self::Once(_) | Self::Repeated => Self::Repeated,
        };
    }
}

impl<'a> KeyFields<'a> {
    fn of(fields: &[httparse::Header<'a>]) -> Self {
        let mut key_fields = Self::default();
        for field in fields {
            if field.name.eq_ignore_ascii_case("host") {
                key_fields.host.add(field.value);
            } else if field.name.eq_ignore_ascii_case("content-length") {
                key_fields.content_length.add(field.value);
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                key_fields.transfer_encoding.add(field.value);
            }
        }
        key_fields
    }

    /// RFC 9112, 3.2.
    fn host(&self, version: Version) -> Result<Option<&'a str>, HttpError> {
        match self.host {
            Occurrence::Never if version == Version::Http10 => Ok(None),
            Occurrence::Never => Err(HttpError::HOST_MISSING),
            Occurrence::Repeated => Err(HttpError::HOST_REPEATED),
            Occurrence::Once(value) => match str::from_utf8(value) {
                Ok(host) if Authority::parse(host).is_some() => Ok(Some(host)),
                _ => Err(HttpError::HOST_INVALID),
            },
        }
    }

    /// RFC 9112, 6.3, where it offers a choice between guessing and refusing: refusing.
    fn framing(&self, version: Version) -> Result<Framing, HttpError> {
        match (self.content_length, self.transfer_encoding) {
            (Occurrence::Never, Occurrence::Never) => Ok(Framing::Length(0)),
            (Occurrence::Once(value), Occurrence::Never) => {
                Ok(Framing::Length(content_length(value)?))
            }
            (Occurrence::Repeated, Occurrence::Never) => Err(HttpError::CONTENT_LENGTH_REPEATED),
            (Occurrence::Once(_) | Occurrence::Repeated, _) => Err(HttpError::LENGTH_WITH_CHUNKED),
            (Occurrence::Never, _) if version == Version::Http10 => {
                Err(HttpError::TRANSFER_ENCODING_IN_HTTP10)
            }
            (Occurrence::Never, Occurrence::Once(coding))
                if coding.eq_ignore_ascii_case(b"chunked") =>
            {
                Ok(Framing::Chunked)
            }
            (Occurrence::Never, _) => Err(HttpError::TRANSFER_CODING),
        }
    }
}

/// A plain decimal number (RFC 9110, 8.6): no sign, no list, no blanks, no overflow.
fn content_length(value: &[u8]) -> Result<usize, HttpError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(HttpError::CONTENT_LENGTH_INVALID);
    }
    let length = value
        .iter()
        .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        .ok_or(HttpError::CONTENT_LENGTH_INVALID)?;
    usize::try_from(length)
        .ok()
        .filter(|length| *length <= BODY_BYTES_MAX)
        .ok_or(HttpError::BODY_TOO_LARGE)
}

/// RFC 9110, 10.1.1. HTTP/1.0 knows no expectations: there they are to be overlooked.
fn expects_continue(request: &Request) -> Result<bool, HttpError> {
    if request.version() == Version::Http10 {
        return Ok(false);
    }
    let mut expects = false;
    for element in request.list_elements("expect") {
        if !element.eq_ignore_ascii_case(b"100-continue") {
            return Err(HttpError::EXPECTATION);
        }
        expects = true;
    }
    Ok(expects)
}

fn head_error(error: httparse::Error, head: &[u8]) -> HttpError {
    match error {
        httparse::Error::HeaderName => HttpError::HEADER_NAME,
        httparse::Error::HeaderValue => HttpError::HEADER_VALUE,
        httparse::Error::NewLine => HttpError::LINE_END,
        httparse::Error::TooManyHeaders => HttpError::TOO_MANY_HEADERS,
        httparse::Error::Version if names_a_version(head) => HttpError::VERSION,
        httparse::Error::Version | httparse::Error::Token | httparse::Error::Status => {
            HttpError::REQUEST_LINE
        }
    }
}

/// Whether the request line is three words, the last being `HTTP/` digit `.` digit
/// (RFC 9112, 2.3): then it is HTTP, only of another time.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line.strip_suffix(b"\r").unwrap_or(line).split(|byte| *byte == b' ').skip(2);
    match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None) => {
            major.is_ascii_digit() && minor.is_ascii_digit()
        }
        _ => false,
    }
}
