//! `GET /api/whoami`: who the asker is as this server sees it. What a proxy in front gets wrong
//! shows here: for `sync-server doctor`, and for people with curl.

use std::net::IpAddr;

use serde::Serialize;

use super::url::websocket_url;
use crate::http::{Request, Response, Status};

/// The answer. It tells nothing of any client but the asker and the proxy that passed it on.
#[derive(Serialize)]
struct Whoami {
    /// What the limits of an address are keyed by.
    address: IpAddr,
    /// What became of `X-Forwarded-For`.
    forwarded: &'static str,
    /// Where this asker would be told to open the WebSocket.
    websocket_url: String,
}

/// Answers `request` for the client at `address`; `trusted` says whether what its peer says of
/// the client counts.
///
/// Browsers name the page that asks in `Origin` unless it is of this very server. A page of
/// another one gets nothing: it could learn its visitor's address in a network behind a NAT.
pub fn whoami(
    request: &Request,
    address: IpAddr,
    public_url: Option<&str>,
    trusted: bool,
) -> Response {
    if let Err(refusal) = refuse_pages(request) {
        return refusal;
    }
    let forwarded = match request.has_header("x-forwarded-for") {
        false => "none",
        true if trusted => "believed",
        true => "ignored",
    };
    let websocket_url = websocket_url(request, public_url, trusted);
    Response::json(Status::OK, &Whoami { address, forwarded, websocket_url })
}

/// Refuses a request that the page of another site makes; browsers name it in `Origin`.
pub(super) fn refuse_pages(request: &Request) -> Result<(), Response> {
    if request.has_header("origin") {
        return Err(Response::error(Status::FORBIDDEN, "This is not for pages of other sites"));
    }
    Ok(())
}
