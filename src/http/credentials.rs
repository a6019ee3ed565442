//! Where a request's token is (protocol, section 3), and when a cookie counts.

use super::cors::is_listed;
use super::request::Request;
use crate::config::AllowedOrigins;
use crate::secret::Secret;

/// The cookie that may hold a token.
const TOKEN_COOKIE: &str = "_khun_ph_token";

/// The token of `request`: `Authorization: Bearer` (RFC 6750, 2.1), else the cookie. Nothing is
/// said about whether it is valid.
///
/// A browser sends the cookie along whoever made it send the request. It therefore counts only
/// without an `Origin` (which no browser leaves out of a request that changes something), or if
/// that is our own host or listed in `allowed_origins`. With `*` no foreign page is trusted.
pub fn credentials(request: &Request, allowed_origins: &AllowedOrigins) -> Option<Secret> {
    bearer_text(request)
        .or_else(|| {
            request.cookie(TOKEN_COOKIE).filter(|_| may_use_cookie(request, allowed_origins))
        })
        .filter(|token| !token.is_empty())
        .map(Secret::new)
}

/// The token in `Authorization: Bearer` (RFC 6750, 2.1), which may be empty.
pub fn bearer(request: &Request) -> Option<Secret> {
    bearer_text(request).map(Secret::new)
}

fn bearer_text(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn may_use_cookie(request: &Request, allowed_origins: &AllowedOrigins) -> bool {
    if !request.has_header("origin") {
        return true;
    }
    let Some(origin) = request.only_header("origin") else { return false };
    is_listed(allowed_origins, origin)
        || request.host().is_some_and(|host| is_own_origin(origin, host))
}

/// Whether `origin` is `scheme://host`, give or take the scheme's usual port. The scheme itself
/// does not count: behind a proxy we cannot know which one the browser used.
fn is_own_origin(origin: &[u8], host: &str) -> bool {
    let Some((scheme, origin_host)) =
        str::from_utf8(origin).ok().and_then(|origin| origin.split_once("://"))
    else {
        return false;
    };
    let usual_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return false,
    };
    let without_port = |host| str::strip_suffix(host, usual_port).unwrap_or(host);
    without_port(origin_host).eq_ignore_ascii_case(without_port(host))
}

#[cfg(test)]
mod tests {
    use super::is_own_origin;

    #[test]
    fn our_own_origin_has_the_host_of_the_request() {
        let table = [
            ("https://sync.example.com", "sync.example.com", true),
            ("https://Sync.example.com", "SYNC.example.com", true),
            ("https://sync.example.com", "sync.example.com:443", true),
            ("https://sync.example.com:443", "sync.example.com", true),
            ("http://10.0.0.1:3001", "10.0.0.1:3001", true),
            ("http://[::1]:3001", "[::1]:3001", true),
            ("http://a", "a:80", true),
            ("https://a", "a:80", false),
            ("http://a:3001", "a:3002", false),
            ("http://a:3001", "a", false),
            ("https://a.evil.example", "a", false),
            ("https://evil.example/a", "a", false),
            ("ftp://a", "a", false),
            ("null", "a", false),
            ("null", "null", false),
            ("", "a", false),
        ];
        for (origin, host, expected) in table {
            assert_eq!(is_own_origin(origin.as_bytes(), host), expected, "{origin} {host}");
        }
    }
}
