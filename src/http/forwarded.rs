//! What a proxy says of the client (`X-Forwarded-*`), and the address that clients are told to
//! connect to.
//!
//! Whether a proxy is to be believed is for the caller to decide: see
//! [`TrustedProxies`](crate::config::TrustedProxies).

use super::request::Request;
use super::target::is_host;

/// The list of addresses that the request came by, the client's first. Of several fields, in the
/// order they came (protocol, section 4).
pub fn forwarded_for(request: &Request) -> Option<String> {
    request.joined_header("x-forwarded-for")
}

/// `host[:port]` that the client sent its request to. If each proxy of a chain added one, that is
/// the first.
pub fn forwarded_host(request: &Request) -> Option<&str> {
    first_of_list(request, "x-forwarded-host").filter(|host| is_host(host))
}

/// Whether the client came by TLS: the first scheme of `X-Forwarded-Proto` says so.
pub fn is_secure(request: &Request) -> bool {
    first_of_list(request, "x-forwarded-proto").is_some_and(|scheme| {
        scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss")
    })
}

/// The address of `/ws`: below `public_url` (`http(s)://…`, perhaps with a path) if there is one,
/// else on `host`, by TLS if the client's way here is `secure`.
pub fn websocket_url(public_url: Option<&str>, host: &str, secure: bool) -> String {
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
    use super::websocket_url;

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
            assert_eq!(websocket_url(public_url, host, secure), expected);
        }
    }
}
