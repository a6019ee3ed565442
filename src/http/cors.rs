//! Which pages may read our answers (the Fetch standard's CORS protocol), and which may open a
//! WebSocket.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::config::AllowedOrigins;

/// For every origin that may read at all.
const EXPOSED: &[u8] = b"Access-Control-Expose-Headers: Retry-After\r\n";
/// The answer to a preflight request: what a page may then send. A browser may remember it for
/// two hours, the longest that any of them does.
const PREFLIGHT: &[u8] = b"Access-Control-Allow-Methods: GET, POST, PUT, DELETE\r\n\
    Access-Control-Allow-Headers: Content-Type, Authorization, X-Setup-Token\r\n\
    Access-Control-Max-Age: 7200\r\n";

/// Whether `origin` stands in the list; `*` lists none by name.
pub(super) fn is_listed(origins: &AllowedOrigins, origin: &[u8]) -> bool {
    match origins {
        AllowedOrigins::Any => false,
        AllowedOrigins::List(list) => {
            list.iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(origin))
        }
    }
}

/// Whether `origin` is `scheme://host`, give or take the scheme's usual port. The scheme itself
/// does not count: behind a proxy we cannot know which one the browser used.
pub(super) fn is_own_origin(origin: &[u8], host: &str) -> bool {
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

/// Whether `host` names no domain: it is an address or `localhost`, perhaps with a port. Such a
/// name cannot be made to lead here by somebody else; a page of a foreign domain that resolves to
/// an address of this network is of the "same origin" too (DNS rebinding).
pub(super) fn names_no_domain(host: &str) -> bool {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => host,
    };
    let unbracketed = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<Ipv4Addr>().is_ok()
        || unbracketed.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// Appends the fields that tell a browser whether the page at `origin` may read this answer.
pub(super) fn write_fields(
    origins: &AllowedOrigins,
    origin: Option<&[u8]>,
    is_preflight: bool,
    out: &mut Vec<u8>,
) {
    match (origins, origin) {
        (AllowedOrigins::Any, _) => out.extend_from_slice(b"Access-Control-Allow-Origin: *\r\n"),
        (AllowedOrigins::List(_), origin) => {
            // Without it a cache would give one origin's answer to another.
            out.extend_from_slice(b"Vary: Origin\r\n");
            let Some(origin) = origin.filter(|origin| is_listed(origins, origin)) else { return };
            out.extend_from_slice(b"Access-Control-Allow-Origin: ");
            out.extend_from_slice(origin);
            out.extend_from_slice(b"\r\nAccess-Control-Allow-Credentials: true\r\n");
        }
    }
    out.extend_from_slice(if is_preflight { PREFLIGHT } else { EXPOSED });
}

#[cfg(test)]
mod tests {
    use super::{is_own_origin, names_no_domain};

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

    #[test]
    fn only_addresses_and_localhost_name_no_domain() {
        for host in ["127.0.0.1", "192.168.1.5:3001", "[::1]", "[fe80::1]:80", "LocalHost:1"] {
            assert!(names_no_domain(host), "{host}");
        }
        for host in [
            "a",
            "a:80",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "1.2.3",
            "::1",
            "[::1",
            "[a]",
            "",
            ":80",
            "127.0.0.1:80:80",
            "0x7f000001",
        ] {
            assert!(!names_no_domain(host), "{host}");
        }
    }
}
