//! Why a request cannot be read, and the status of each answer. The client is to blame for all of
//! it.

use super::status::Status;

/// What is wrong with a request; `Display` is one line for the client. Where the next request
/// would begin is not known, so the connection is closed after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HttpError {
    /// The status to answer with.
    pub status: Status,
    message: &'static str,
}

impl HttpError {
    const fn new(status: Status, message: &'static str) -> Self {
        Self { status, message }
    }

    /// Not `method SP target SP version` (RFC 9112, 3), or no HTTP at all.
    pub const REQUEST_LINE: Self = Self::new(Status::BAD_REQUEST, "Malformed request line");
    /// The target is in none of the forms of RFC 9112, 3.2, or not one for this method.
    pub const TARGET: Self = Self::new(Status::BAD_REQUEST, "Malformed request target");
    /// HTTP, but neither 1.0 nor 1.1.
    pub const VERSION: Self =
        Self::new(Status::HTTP_VERSION_NOT_SUPPORTED, "Only HTTP/1.0 and HTTP/1.1 are spoken here");
    /// `CONNECT`: this is no proxy.
    pub const CONNECT: Self = Self::new(Status::NOT_IMPLEMENTED, "CONNECT is not supported");
    /// A bad character in a field name, a space before the colon, or a folded line
    /// (RFC 9112, 5.1 and 5.2).
    pub const HEADER_NAME: Self = Self::new(Status::BAD_REQUEST, "Malformed header name");
    /// A control byte in a field value (RFC 9110, 5.5).
    pub const HEADER_VALUE: Self = Self::new(Status::BAD_REQUEST, "Malformed header value");
    /// A CR without its LF (RFC 9112, 2.2).
    pub const LINE_END: Self = Self::new(Status::BAD_REQUEST, "Malformed line end");
    /// HTTP/1.1 without `Host` (RFC 9112, 3.2).
    pub const HOST_MISSING: Self = Self::new(Status::BAD_REQUEST, "No Host header");
    /// More than one `Host` (RFC 9112, 3.2).
    pub const HOST_REPEATED: Self = Self::new(Status::BAD_REQUEST, "More than one Host header");
    /// `Host` is no `host[:port]` (RFC 9112, 3.2).
    pub const HOST_INVALID: Self = Self::new(Status::BAD_REQUEST, "Malformed Host header");
    /// `Content-Length` is not one plain number (RFC 9110, 8.6).
    pub const CONTENT_LENGTH_INVALID: Self =
        Self::new(Status::BAD_REQUEST, "Malformed Content-Length");
    /// More than one `Content-Length`, even if they agree (RFC 9112, 6.3).
    pub const CONTENT_LENGTH_REPEATED: Self =
        Self::new(Status::BAD_REQUEST, "More than one Content-Length header");
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112, 6.1).
    pub const LENGTH_WITH_CHUNKED: Self =
        Self::new(Status::BAD_REQUEST, "Content-Length beside Transfer-Encoding");
    /// A transfer coding other than `chunked` alone (RFC 9112, 6.1, which would have 501
    /// here; the protocol page says 400).
    pub const TRANSFER_CODING: Self =
        Self::new(Status::BAD_REQUEST, "Only the transfer coding \"chunked\" is understood");
    /// `Transfer-Encoding` in HTTP/1.0, which has none (RFC 9112, 6.1).
    pub const TRANSFER_ENCODING_IN_HTTP10: Self =
        Self::new(Status::BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding");
    /// A bad chunk size, extension or line end (RFC 9112, 7.1).
    pub const CHUNK: Self = Self::new(Status::BAD_REQUEST, "Malformed chunk");
    /// A bad trailer field (RFC 9112, 7.1.2).
    pub const TRAILER: Self = Self::new(Status::BAD_REQUEST, "Malformed trailer field");
    /// The body is longer than [`BODY_BYTES_MAX`](super::BODY_BYTES_MAX).
    pub const BODY_TOO_LARGE: Self = Self::new(Status::CONTENT_TOO_LARGE, "The body is too large");
    /// More than [`CHUNK_EXTENSION_BYTES_MAX`](super::CHUNK_EXTENSION_BYTES_MAX) of extensions.
    pub const CHUNK_EXTENSIONS_TOO_LARGE: Self =
        Self::new(Status::CONTENT_TOO_LARGE, "The chunk extensions are too large");
    /// The request line is longer than
    /// [`REQUEST_LINE_BYTES_MAX`](super::REQUEST_LINE_BYTES_MAX).
    pub const REQUEST_LINE_TOO_LONG: Self =
        Self::new(Status::URI_TOO_LONG, "The request line is too long");
    /// An expectation other than `100-continue` (RFC 9110, 10.1.1).
    pub const EXPECTATION: Self =
        Self::new(Status::EXPECTATION_FAILED, "Only the expectation \"100-continue\" can be met");
    /// The head is longer than [`HEAD_BYTES_MAX`](super::HEAD_BYTES_MAX).
    pub const HEAD_TOO_LARGE: Self =
        Self::new(Status::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request header is too large");
    /// More than [`HEADERS_MAX`](super::HEADERS_MAX) fields in a head.
    pub const TOO_MANY_HEADERS: Self =
        Self::new(Status::REQUEST_HEADER_FIELDS_TOO_LARGE, "Too many request headers");
    /// More than [`TRAILER_BYTES_MAX`](super::TRAILER_BYTES_MAX) of trailer fields.
    pub const TRAILERS_TOO_LARGE: Self =
        Self::new(Status::REQUEST_HEADER_FIELDS_TOO_LARGE, "The trailer fields are too large");
}
