//! HTTP/1.1 without a socket: bytes to requests, requests to routes, responses to bytes, and the
//! way from HTTP to WebSocket.
//!
//! Pure: knows no socket, no clock, no store and no room; time for the `Date` field is handed in.
//! Syntax is that of RFC 9112, semantics that of RFC 9110. Wherever two readers of the same bytes
//! could see two different requests (two lengths, a length beside chunks, folded lines), the
//! request is refused, so that a proxy in front and this server never disagree.
//!
//! The order of things: [`RequestParser`] → [`Request`] → [`route()`] → [`Response`] →
//! [`ResponseEncoder`], or for `/ws` [`check_upgrade`] → [`ResponseEncoder::encode_upgrade`].
//! [`parse_answer`] is for those who ask such a server.

mod answer;
mod body;
mod chunked;
mod conditional;
mod cors;
mod credentials;
mod date;
mod error;
mod forwarded;
mod head;
mod parser;
mod percent;
mod request;
mod response;
mod route;
mod status;
mod target;
#[cfg(test)]
mod tests;
mod upgrade;

pub use answer::{Answer, AnswerError, parse_answer};
pub use body::parse_json;
pub use chunked::{CHUNK_EXTENSION_BYTES_MAX, TRAILER_BYTES_MAX};
pub use conditional::{accepts_gzip, is_known};
pub use credentials::{bearer, credentials};
pub use date::parse_date;
pub use error::HttpError;
pub use forwarded::{forwarded_for, forwarded_host, is_secure, websocket_url};
pub use head::HEADERS_MAX;
pub use parser::{BODY_BYTES_MAX, HEAD_BYTES_MAX, REQUEST_LINE_BYTES_MAX, RequestParser, Stage};
pub use percent::query_value;
pub use request::{Request, Version};
pub use response::{RETRY_AFTER, Response, ResponseContext, ResponseEncoder};
pub use route::{AccountRoute, AdminRoute, ROUTES, Route, RouteError, is_room_code, route};
pub use status::Status;
pub use upgrade::{SUBPROTOCOL, Upgrade, check_upgrade};
