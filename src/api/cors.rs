//! Origins: which pages may read our answers (the Fetch standard's CORS protocol), and which of
//! them are this server's own.

use crate::base::authority::{Authority, split_url, usual_port};
use crate::config::AllowedOrigins;
use crate::http::{ExtraFields, ResponseContext};

/// What a page may send, as the answer to a preflight request says. A browser may remember it for
/// two hours, the longest that any of them does.
const PREFLIGHT: [(&str, &[u8]); 3] = [
    ("Access-Control-Allow-Methods", b"GET, POST, PUT, DELETE"),
    ("Access-Control-Allow-Headers", b"Content-Type, Authorization, X-Setup-Token"),
    ("Access-Control-Max-Age", b"7200"),
];

/// The fields that tell a browser whether the page that asked may read the answer.
#[derive(Clone, Debug)]
pub struct Cors {
    allowed_origins: AllowedOrigins,
}

impl Cors {
    /// Pages of `allowed_origins` may read.
    pub const fn new(allowed_origins: AllowedOrigins) -> Self {
        Self { allowed_origins }
    }
}

impl ExtraFields for Cors {
    fn write(&self, context: &ResponseContext, add: &mut dyn FnMut(&str, &[u8])) {
        match &self.allowed_origins {
            AllowedOrigins::Any => add("Access-Control-Allow-Origin", b"*"),
            listed @ AllowedOrigins::List(_) => {
                // Without it a cache would give one origin's answer to another.
                add("Vary", b"Origin");
                let origin = context.origin().filter(|origin| is_listed(listed, origin));
                let Some(origin) = origin else { return };
                add("Access-Control-Allow-Origin", origin);
                add("Access-Control-Allow-Credentials", b"true");
            }
        }
        if context.is_options() {
            for (name, value) in PREFLIGHT {
                add(name, value);
            }
        } else {
            add("Access-Control-Expose-Headers", b"Retry-After");
        }
    }
}

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
    let parts = str::from_utf8(origin).ok().and_then(split_url);
    let Some((scheme, own, "")) = parts else { return false };
    let Some(usual) = usual_port(scheme) else { return false };
    let port = |authority: Authority<'_>| authority.port.unwrap_or(usual);
    match (Authority::parse(own), Authority::parse(host)) {
        (Some(own), Some(asked)) => {
            own.host.eq_ignore_ascii_case(asked.host) && port(own) == port(asked)
        }
        _ => false,
    }
}

/// Whether `host` names no domain: it is an address or `localhost`, perhaps with a port. Such a
/// name cannot be made to lead here by another party; a page of a foreign domain that resolves to
/// an address of this network is of the "same origin" too (DNS rebinding).
pub(super) fn names_no_domain(host: &str) -> bool {
    Authority::parse(host).is_some_and(|authority| {
        authority.address().is_some() || authority.host.eq_ignore_ascii_case("localhost")
    })
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
