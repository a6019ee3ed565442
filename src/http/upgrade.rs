//! The server's half of the opening handshake (RFC 6455, 4.2).

use tungstenite::handshake::derive_accept_key;

use super::request::{Request, Version};
use super::response::Response;
use super::status::Status;
use crate::base::memory::allocated_bytes;

/// Characters of a key, which is 16 bytes in base64, without the two of padding.
const KEY_DIGITS: usize = 22;

/// A checked request to speak WebSocket, and what it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept_key: String,
    /// The value of `Sec-WebSocket-Protocol`, if one was chosen.
    pub subprotocol: Option<&'static str>,
}

impl Upgrade {
    /// Checks `request` against RFC 6455, 4.2.1. Offered extensions are not taken, nor any
    /// subprotocol until [`speak`](Self::speak).
    ///
    /// # Errors
    /// The answer: 426 for a request that does not ask for WebSocket, or for another version of
    /// it; 400 for a malformed one.
    pub fn of(request: &Request) -> Result<Self, Response> {
        if !request.has_header("upgrade") {
            let answer = Response::error(Status::UPGRADE_REQUIRED, "This is a WebSocket endpoint");
            return Err(answer.with_header("Upgrade", "websocket"));
        }
        if request.method() != "GET" || request.version() < Version::Http11 {
            return Err(malformed("A WebSocket is opened with GET and HTTP/1.1"));
        }
        if !request.has_token("upgrade", "websocket") {
            return Err(malformed("The Upgrade header does not name websocket"));
        }
        if !request.has_token("connection", "upgrade") {
            return Err(malformed("The Connection header does not name Upgrade"));
        }
        check_version(request)?;
        let key = request
            .only_header("sec-websocket-key")
            .filter(|key| is_key(key))
            .ok_or_else(|| malformed("Sec-WebSocket-Key must be 16 bytes in base64, once"))?;
        Ok(Self { accept_key: derive_accept_key(key), subprotocol: None })
    }

    /// Chooses `subprotocol` if `request` offers it. If only others are offered, the answer names
    /// none, and it is for the client to go on or not (RFC 6455, 4.2.2).
    pub fn speak(&mut self, subprotocol: &'static str, request: &Request) {
        if offered_subprotocols(request).any(|name| name == subprotocol.as_bytes()) {
            self.subprotocol = Some(subprotocol);
        }
    }

    /// Bytes of memory behind it.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>() + allocated_bytes(self.accept_key.capacity())
    }
}

/// The subprotocols that `request` offers, in its order of preference.
pub fn offered_subprotocols(request: &Request) -> impl Iterator<Item = &[u8]> {
    request.list_elements("sec-websocket-protocol")
}

fn malformed(message: &str) -> Response {
    Response::error(Status::BAD_REQUEST, message)
}

/// RFC 6455, 4.4.
fn check_version(request: &Request) -> Result<(), Response> {
    match request.only_header("sec-websocket-version") {
        Some(b"13") => Ok(()),
        Some(version) if !version.is_empty() && version.iter().all(u8::is_ascii_digit) => {
            let answer =
                Response::error(Status::UPGRADE_REQUIRED, "Only WebSocket version 13 is spoken");
            Err(answer.with_header("Sec-WebSocket-Version", "13"))
        }
        _ => Err(malformed("Sec-WebSocket-Version must be a number, once")),
    }
}

/// 16 bytes in base64: 22 digits and `==`. Of the last digit only two bits are used; what the
/// other four are is not looked at, as many decoders do not.
fn is_key(key: &[u8]) -> bool {
    let Some(digits) = key.strip_suffix(b"==") else { return false };
    digits.len() == KEY_DIGITS
        && digits.iter().all(|digit| digit.is_ascii_alphanumeric() || matches!(digit, b'+' | b'/'))
}
