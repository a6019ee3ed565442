//! The server's half of the opening handshake (RFC 6455, 4.2).

use tungstenite::handshake::derive_accept_key;

use super::cors::{is_listed, is_own_origin, names_no_domain};
use super::credentials::credentials;
use super::request::{Request, Version};
use super::response::Response;
use super::status::Status;
use crate::base::secret::Secret;
use crate::config::AllowedOrigins;

/// The one subprotocol spoken here (protocol, section 1).
pub const SUBPROTOCOL: &str = "khun-phaen.v1";
/// A subprotocol that begins so is a token. It is never echoed.
const BEARER_PREFIX: &[u8] = b"bearer.";
/// Characters of a key, which is 16 bytes in base64, without the two of padding.
const KEY_DIGITS: usize = 22;

/// A checked request to speak WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept_key: String,
    /// The value of `Sec-WebSocket-Protocol`, if ours was offered. If only others were, the
    /// answer names none, and it is for the client to go on or not (RFC 6455, 4.2.2).
    pub subprotocol: Option<&'static str>,
    /// A token, from the subprotocols, else the query, else where [`credentials`] looks.
    pub bearer: Option<Secret>,
}

/// Checks a request for `/ws` against RFC 6455, 4.2.1. Offered extensions are not taken.
///
/// # Errors
/// The answer: 426 for a request that does not ask for WebSocket, or for another version of it;
/// 400 for a malformed one; 403 for an origin that is not listed.
pub fn check_upgrade(
    request: &Request,
    allowed_origins: &AllowedOrigins,
) -> Result<Upgrade, Response> {
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
    if !may_connect(request, allowed_origins) {
        return Err(Response::error(Status::FORBIDDEN, "This origin may not connect"));
    }
    let speaks_ours =
        request.list_elements("sec-websocket-protocol").any(|name| name == SUBPROTOCOL.as_bytes());
    Ok(Upgrade {
        accept_key: derive_accept_key(key),
        subprotocol: speaks_ours.then_some(SUBPROTOCOL),
        bearer: bearer(request, allowed_origins),
    })
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

/// A page of any site can make a browser open a WebSocket here, but not hide whose page it is.
fn may_connect(request: &Request, allowed_origins: &AllowedOrigins) -> bool {
    match allowed_origins {
        AllowedOrigins::Any => true,
        AllowedOrigins::List(_) => {
            !request.has_header("origin")
                || request.only_header("origin").is_some_and(|origin| {
                    is_listed(allowed_origins, origin) || is_own_page(request, origin)
                })
        }
    }
}

/// Whether the page at `origin` is this server's own, opened by an address. One that is opened by a
/// name is listed: by `PUBLIC_URL`.
fn is_own_page(request: &Request, origin: &[u8]) -> bool {
    request.host().is_some_and(|host| names_no_domain(host) && is_own_origin(origin, host))
}

fn bearer(request: &Request, allowed_origins: &AllowedOrigins) -> Option<Secret> {
    let offered = request
        .list_elements("sec-websocket-protocol")
        .find_map(|name| name.strip_prefix(BEARER_PREFIX).filter(|token| !token.is_empty()));
    offered
        .and_then(|token| str::from_utf8(token).ok().map(str::to_owned))
        .or_else(|| request.query_value("token").filter(|token| !token.is_empty()))
        .map(Secret::new)
        .or_else(|| credentials(request, allowed_origins))
}
