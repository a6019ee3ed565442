//! `host[:port]` and what stands around it in a URL (RFC 3986, 3.2): the one reader of both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host that is not empty, and perhaps a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// An IPv6 address in brackets, an IPv4 address or a name.
    pub host: &'a str,
    /// As written; `None` if there is none, or only its colon.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads all that RFC 3986, 3.2.2 lets a host be, but no user name; a port may be empty, and
    /// one above 65535 does not exist.
    pub fn parse(text: &'a str) -> Option<Self> {
        let host_end = match text.strip_prefix('[') {
            Some(rest) => rest.find(']')? + "[]".len(),
            None => text.find(':').unwrap_or(text.len()),
        };
        let (host, port) = text.split_at(host_end);
        let is_host = match bracketed(host) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(is_name_byte),
        };
        let digits = if port.is_empty() { "" } else { port.strip_prefix(':')? };
        if !is_host || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let port = if digits.is_empty() { None } else { Some(digits.parse().ok()?) };
        Some(Self { host, port })
    }

    /// Reads one that a connection can be made to: a name has letters, digits, `-`, `.` and `_`, a
    /// port is not empty and not 0.
    pub fn parse_reachable(text: &'a str) -> Option<Self> {
        let authority = Self::parse(text)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_reachable = (bracketed(authority.host).is_some()
            || authority.host.bytes().all(is_plain))
            && authority.port != Some(0)
            && !text.ends_with(':');
        is_reachable.then_some(authority)
    }

    /// The host, if it is an address.
    pub fn address(&self) -> Option<IpAddr> {
        match bracketed(self.host) {
            Some(address) => address.parse().ok().map(IpAddr::V6),
            None => self.host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        }
    }
}

/// Scheme, authority and all that follows it in `url`, none of them checked.
pub fn split_url(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    Some((scheme, authority, rest))
}

/// The port of a URL that names none, if its `scheme`, in lower case, is http or https.
pub fn usual_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// What is in the brackets of an IP literal.
fn bracketed(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

/// A byte of a registered name: unreserved, a sub-delimiter, or the `%` of an escape.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%')
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')')
        || matches!(byte, b'*' | b'+' | b',' | b';' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_a_port() {
        for (text, host, port) in [
            ("a", "a", None),
            ("sync.example.com:443", "sync.example.com", Some(443)),
            ("my_host", "my_host", None),
            ("10.0.0.1:3001", "10.0.0.1", Some(3001)),
            ("[::1]", "[::1]", None),
            ("[2001:db8::1]:80", "[2001:db8::1]", Some(80)),
            ("a:", "a", None),
            ("a:0", "a", Some(0)),
            ("a:65535", "a", Some(65535)),
            ("%41", "%41", None),
        ] {
            assert_eq!(Authority::parse(text), Some(Authority { host, port }), "{text}");
        }
        for text in [
            "",
            ":80",
            "a b",
            "a:b",
            "a:-1",
            "a:+1",
            "a:65536",
            "a:1:2",
            "[::1",
            "[]",
            "[::1]80",
            "[a]",
            "::1",
            "a/b",
            "a@b",
            "a\"b",
            "é",
            "a,b c",
            "[::1%eth0]",
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_can_be_reached_has_a_plain_name_and_a_port_that_exists() {
        for text in ["a", "a_b-c.d:1", "10.0.0.1:3001", "[::1]:80"] {
            assert_eq!(Authority::parse_reachable(text), Authority::parse(text), "{text}");
        }
        for text in ["a:", "[::1]:", "a:0", "[::1]:0", "%41", "a,b", "a~b", ""] {
            assert_eq!(Authority::parse_reachable(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_are_told_from_names() {
        let address = |text| Authority::parse(text).and_then(|authority| authority.address());
        assert_eq!(address("127.0.0.1:80"), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(address("[::1]"), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        for name in ["a", "1.2.3", "0x7f000001", "127.0.0.1.example"] {
            assert_eq!(address(name), None, "{name}");
        }
    }

    #[test]
    fn urls_have_three_parts() {
        for (url, parts) in [
            ("http://a", Some(("http", "a", ""))),
            ("https://[::1]:80/b?c", Some(("https", "[::1]:80", "/b?c"))),
            ("x://a?b/c", Some(("x", "a", "?b/c"))),
            ("://", Some(("", "", ""))),
            ("http:/a", None),
        ] {
            assert_eq!(split_url(url), parts, "{url}");
        }
    }
}
