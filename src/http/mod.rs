//! HTTP/1.1 without a socket: bytes to requests, responses to bytes, and the opening handshake of
//! WebSocket (RFC 6455, 4.2). What is asked for and answered is up to the application.
//!
//! Pure: knows no socket, no clock and no setting; time for the `Date` field is handed in.
//! Syntax is that of RFC 9112, semantics that of RFC 9110. Wherever two readers of the same bytes
//! could see two different requests (two lengths, a length beside chunks, folded lines), the
//! request is refused, so that a proxy in front and this server never disagree.
//!
//! The order of things: [`RequestParser`] → [`Request`] → [`Response`] → [`ResponseEncoder`], or
//! [`Upgrade`] → [`ResponseEncoder::encode_upgrade`]. [`parse_answer`] is for clients.

mod answer;
mod chunked;
mod encoder;
mod error;
mod head;
mod limits;
mod parser;
mod request;
mod response;
mod status;
mod syntax;
#[cfg(test)]
mod tests;
mod upgrade;

pub use answer::{AnswerError, ServerAnswer, parse_answer};
pub use encoder::{ExtraFields, ResponseContext, ResponseEncoder, parse_date};
pub use error::HttpError;
pub use limits::{
    BODY_BYTES_MAX, CHUNK_EXTENSION_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX, REQUEST_LINE_BYTES_MAX,
    TRAILER_BYTES_MAX,
};
pub use parser::{RequestParser, Stage};
pub use request::{Request, Version, accepts_gzip, is_known, parse_json};
pub use response::{RETRY_AFTER_SECONDS, Response};
pub use status::Status;
pub use syntax::{decode_segment, query_value};
pub use upgrade::{Upgrade, offered_subprotocols};
