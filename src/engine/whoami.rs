//! `GET /api/whoami`: who the asker is as this server sees it. What a proxy in front gets wrong
//! shows here: for `sync-server doctor`, and for people with curl.

use std::net::IpAddr;

use serde::Serialize;

use super::desk::Desk;
use crate::config::Peer;
use crate::http::{Request, Response, Status};

/// The answer. It tells nothing of anybody but the asker and the proxy that passed it on.
#[derive(Serialize)]
struct Whoami {
    /// What the limits of an address are keyed by.
    address: IpAddr,
    /// What became of `X-Forwarded-For`.
    forwarded: &'static str,
    /// Where this asker would be told to open the WebSocket.
    websocket_url: String,
}

/// The refusal of a request that the page of another site makes; browsers name it in `Origin`.
pub(super) fn not_for_pages(request: &Request) -> Option<Response> {
    let message = "This is not for pages of other sites";
    request.has_header("origin").then(|| Response::error(Status::FORBIDDEN, message))
}

impl Desk {
    /// Answers `request`, which came from `peer`, for the client at `address`.
    ///
    /// Browsers name the page that asks in `Origin` unless it is of this very server. A page of
    /// another one gets nothing: it could learn its visitor's address in a network behind a NAT.
    pub(super) fn whoami(&self, request: &Request, peer: Peer, address: IpAddr) -> Response {
        if let Some(refusal) = not_for_pages(request) {
            return refusal;
        }
        let forwarded = match request.has_header("x-forwarded-for") {
            false => "none",
            true if self.config.trusted_proxies.trusts(peer) => "believed",
            true => "ignored",
        };
        let websocket_url = self.websocket_url(request, peer);
        Response::json(Status::OK, &Whoami { address, forwarded, websocket_url })
    }
}
