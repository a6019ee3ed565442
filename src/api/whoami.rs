//! What a proxy says of the client (`X-Forwarded-*`), the address that clients are told to connect
//! to, and `GET /api/whoami`, which shows what a proxy in front gets wrong: for the doctor, and for
//! people with curl.
//!
//! Whether a proxy is to be believed is for the caller to decide: see
//! [`TrustedProxies`](crate::config::TrustedProxies).

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::base::authority::Authority;
use crate::http::{Request, Response, ServerAnswer, Status};

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
    pub fn read(answer: &ServerAnswer) -> Option<Self> {
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

/// The address of `/ws` for the client of `request`: below `public_url` (`http(s)://…`, perhaps
/// with a path) if there is one, else on the host that the request was sent to. What a proxy says
/// of that counts if it is `trusted`.
pub fn websocket_url(request: &Request, public_url: Option<&str>, trusted: bool) -> String {
    let secure = trusted && is_secure(request);
    let forwarded_host = forwarded_host(request).filter(|_| trusted);
    let host = forwarded_host.or(request.host()).unwrap_or("localhost");
    url(public_url, host, secure)
}

/// `host[:port]` that the client sent its request to. If each proxy of a chain added one, that is
/// the first.
fn forwarded_host(request: &Request) -> Option<&str> {
    first_of_list(request, "x-forwarded-host").filter(|host| Authority::parse(host).is_some())
}

/// Whether the client came by TLS: the first scheme of `X-Forwarded-Proto` says so.
fn is_secure(request: &Request) -> bool {
    first_of_list(request, "x-forwarded-proto").is_some_and(|scheme| {
        scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss")
    })
}

/// The address below `public_url` or on `host`, by TLS if the client's way here is `secure`.
fn url(public_url: Option<&str>, host: &str, secure: bool) -> String {
    let (secure, base) = match public_url.and_then(|url| url.split_once("://")) {
        Some((scheme, rest)) => (scheme.eq_ignore_ascii_case("https"), rest),
        None => (secure, public_url.unwrap_or(host)),
    };
    let scheme = if secure { "wss" } else { "ws" };
    format!("{scheme}://{}/ws", base.trim_end_matches('/'))
}

fn first_of_list<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.list_elements(name).next().and_then(|element| str::from_utf8(element).ok())
}

#[cfg(test)]
mod tests {
    use super::{forwarded_host, is_secure, url};
    use crate::http::{Request, RequestParser};

    fn request(fields: &str) -> Request {
        let raw = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        RequestParser::default().feed(&mut raw.as_bytes()).expect("HTTP").expect("whole")
    }

    #[test]
    fn the_first_word_of_a_chain_of_proxies_is_about_the_client() {
        let chain = request(
            "X-Forwarded-For: 10.0.0.1, ::1\r\nX-Forwarded-For: 10.0.0.2\r\n\
             X-Forwarded-Host: sync.example.com, b\r\nX-Forwarded-Proto: HTTPS, http\r\n",
        );
        let hops = chain.joined_header("x-forwarded-for");
        assert_eq!(hops.as_deref(), Some("10.0.0.1, ::1, 10.0.0.2"));
        assert_eq!(forwarded_host(&chain), Some("sync.example.com"));
        assert!(is_secure(&chain));
        let plain = request("X-Forwarded-Proto: http\r\nX-Forwarded-Host: a/b\r\n");
        assert_eq!((forwarded_host(&plain), is_secure(&plain)), (None, false));
        let none = request("");
        assert_eq!(none.joined_header("x-forwarded-for"), None);
        assert_eq!((forwarded_host(&none), is_secure(&none)), (None, false));
    }

    #[test]
    fn clients_are_told_the_public_address_or_the_one_they_used() {
        let table = [
            (None, "10.0.0.1:3001", false, "ws://10.0.0.1:3001/ws"),
            (None, "sync.example.com", true, "wss://sync.example.com/ws"),
            (Some("https://sync.example.com"), "a", false, "wss://sync.example.com/ws"),
            (Some("http://sync.example.com:80"), "a", true, "ws://sync.example.com:80/ws"),
            (Some("https://example.com/sync"), "a", false, "wss://example.com/sync/ws"),
            (Some("HTTPS://example.com/sync/"), "a", false, "wss://example.com/sync/ws"),
        ];
        for (public_url, host, secure, expected) in table {
            assert_eq!(url(public_url, host, secure), expected);
        }
    }
}
