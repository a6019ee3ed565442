//! `GET /api/whoami`: the asker as this server sees it. What a proxy in front gets wrong
//! shows here: for `sync-server doctor`, and for people with curl.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::url::websocket_url;
use crate::http::{Answer, Request, Response, Status};

/// The answer. It tells nothing of any client but the asker and the proxy that passed it on.
#[derive(Debug, Serialize, Deserialize)]
pub struct Whoami {
    /// What the limits of an address are keyed by.
    pub address: IpAddr,
    /// What became of `X-Forwarded-For`: `none`, `believed` or `ignored`.
    pub forwarded: Cow<'static, str>,
    /// Where this asker would be told to open the WebSocket.
    pub websocket_url: String,
}

impl Whoami {
    /// What `answer` says, if it is that of a sync server.
    pub fn read(answer: &Answer) -> Option<Self> {
        serde_json::from_slice(&answer.body).ok().filter(|_| answer.status == 200)
    }
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
    Response::json(Status::OK, &Whoami { address, forwarded: forwarded.into(), websocket_url })
}

/// Refuses a request that the page of another site makes; browsers name it in `Origin`.
pub(super) fn refuse_pages(request: &Request) -> Result<(), Response> {
    if request.has_header("origin") {
        return Err(Response::error(Status::FORBIDDEN, "This is not for pages of other sites"));
    }
    Ok(())
}
