//! Why a request cannot be read. The client is to blame for all of it; here is the one table from
//! these errors to statuses.

use super::status::Status;

/// What is wrong with a request; `Display` is one line for the client. Nobody knows where the
/// next request would begin, so the connection is closed after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Not `method SP target SP version` (RFC 9112, 3), or no HTTP at all.
    #[error("Malformed request line")]
    RequestLine,
    /// The target is in none of the forms of RFC 9112, 3.2, or not one for this method.
    #[error("Malformed request target")]
    Target,
    /// HTTP, but neither 1.0 nor 1.1.
    #[error("Only HTTP/1.0 and HTTP/1.1 are spoken here")]
    Version,
    /// `CONNECT`: this is no proxy.
    #[error("CONNECT is not supported")]
    Connect,
    /// A bad character in a field name, a space before the colon, or a folded line
    /// (RFC 9112, 5.1 and 5.2).
    #[error("Malformed header name")]
    HeaderName,
    /// A control byte in a field value (RFC 9110, 5.5).
    #[error("Malformed header value")]
    HeaderValue,
    /// A CR without its LF (RFC 9112, 2.2).
    #[error("Malformed line end")]
    LineEnd,
    /// HTTP/1.1 without `Host` (RFC 9112, 3.2).
    #[error("No Host header")]
    HostMissing,
    /// More than one `Host` (RFC 9112, 3.2).
    #[error("More than one Host header")]
    HostRepeated,
    /// `Host` is no `host[:port]` (RFC 9112, 3.2).
    #[error("Malformed Host header")]
    HostInvalid,
    /// `Content-Length` is not one plain number (RFC 9110, 8.6).
    #[error("Malformed Content-Length")]
    ContentLengthInvalid,
    /// More than one `Content-Length`, even if they agree (RFC 9112, 6.3).
    #[error("More than one Content-Length header")]
    ContentLengthRepeated,
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112, 6.1).
    #[error("Content-Length beside Transfer-Encoding")]
    LengthWithChunked,
    /// A transfer coding other than `chunked` alone (RFC 9112, 6.1).
    #[error("Only the transfer coding \"chunked\" is understood")]
    TransferCoding,
    /// `Transfer-Encoding` in HTTP/1.0, which has none (RFC 9112, 6.1).
    #[error("HTTP/1.0 has no Transfer-Encoding")]
    TransferEncodingInHttp10,
    /// A bad chunk size, extension or line end (RFC 9112, 7.1).
    #[error("Malformed chunk")]
    Chunk,
    /// A bad trailer field (RFC 9112, 7.1.2).
    #[error("Malformed trailer field")]
    Trailer,
    /// The body is longer than [`BODY_BYTES_MAX`](super::BODY_BYTES_MAX).
    #[error("The body is too large")]
    BodyTooLarge,
    /// More than [`CHUNK_EXTENSION_BYTES_MAX`](super::CHUNK_EXTENSION_BYTES_MAX) of extensions.
    #[error("The chunk extensions are too large")]
    ChunkExtensionsTooLarge,
    /// The request line is longer than
    /// [`REQUEST_LINE_BYTES_MAX`](super::REQUEST_LINE_BYTES_MAX).
    #[error("The request line is too long")]
    RequestLineTooLong,
    /// An expectation other than `100-continue` (RFC 9110, 10.1.1).
    #[error("Only the expectation \"100-continue\" can be met")]
    Expectation,
    /// The head is longer than [`HEAD_BYTES_MAX`](super::HEAD_BYTES_MAX).
    #[error("The request header is too large")]
    HeadTooLarge,
    /// More than [`HEADERS_MAX`](super::HEADERS_MAX) fields in a head.
    #[error("Too many request headers")]
    TooManyHeaders,
    /// More than [`TRAILER_BYTES_MAX`](super::TRAILER_BYTES_MAX) of trailer fields.
    #[error("The trailer fields are too large")]
    TrailersTooLarge,
}

impl HttpError {
    /// The status to answer with.
    pub const fn status(self) -> Status {
        match self {
            Self::RequestLine
            | Self::Target
            | Self::HeaderName
            | Self::HeaderValue
            | Self::LineEnd
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostInvalid
            | Self::ContentLengthInvalid
            | Self::ContentLengthRepeated
            | Self::LengthWithChunked
            // RFC 9112, 6.1 would have 501 here; the protocol page says 400.
            | Self::TransferCoding
            | Self::TransferEncodingInHttp10
            | Self::Chunk
            | Self::Trailer => Status::BAD_REQUEST,
            Self::BodyTooLarge | Self::ChunkExtensionsTooLarge => Status::CONTENT_TOO_LARGE,
            Self::RequestLineTooLong => Status::URI_TOO_LONG,
            Self::Expectation => Status::EXPECTATION_FAILED,
            Self::HeadTooLarge | Self::TooManyHeaders | Self::TrailersTooLarge => {
                Status::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::Connect => Status::NOT_IMPLEMENTED,
            Self::Version => Status::HTTP_VERSION_NOT_SUPPORTED,
        }
    }
}
