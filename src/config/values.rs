//! How the text of a setting is read: numbers, sizes, switches, URLs. Each function gives `None`
//! for what is not allowed; the table of settings says what is.

use std::fmt::Write;
use std::str::FromStr;

use log::LevelFilter;

use super::server::BindAddress;
use crate::base::authority::{Authority, split_url, usual_port};
use crate::base::secret::Secret;

/// The target of our own log lines, as a directive of `RUST_LOG` names it.
const OWN_TARGET: &str = "sync_server";

/// Bytes of a Unix socket's path: 108 with the zero behind it (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Units of [`size`], in lower case, and their bytes.
const UNITS: [(&str, u64); 11] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
];

/// An IP address, IPv6 perhaps in brackets; or `unix:` and an absolute path.
pub(super) fn bind_address(text: &str) -> Option<BindAddress> {
    if let Some(path) = text.strip_prefix("unix:") {
        let is_path = path.len() > 1 && path.starts_with('/') && !path.contains('\0');
        return (is_path && path.len() <= SOCKET_PATH_BYTES_MAX)
            .then(|| BindAddress::Unix(path.into()));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().map(BindAddress::Ip)
}

/// A decimal number from `min` to `max`, without a sign.
pub(super) fn number<T: FromStr + PartialOrd>(text: &str, min: T, max: T) -> Option<T> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|value| (min..=max).contains(value))
}

/// Bytes from `min` to `max`: a number, or one with a unit such as `4MiB`, `64 kib` or `1GB`.
pub(super) fn size(text: &str, min: u64, max: u64) -> Option<usize> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let unit = unit.trim().to_ascii_lowercase();
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let bytes = digits.parse::<u64>().ok()?.checked_mul(*factor)?;
    usize::try_from(bytes).ok().filter(|_| (min..=max).contains(&bytes))
}

/// `bytes` in the largest unit that shows them exactly, as [`size`] reads it.
pub(super) fn size_text(bytes: usize) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let exact = units.iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    exact.map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

/// `true` or `false`, or other words for them, in any case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    let words = [
        ("true", true),
        ("1", true),
        ("yes", true),
        ("on", true),
        ("false", false),
        ("0", false),
        ("no", false),
        ("off", false),
    ];
    choice(text, &words)
}

/// What `text` stands for among `words`, in any case.
pub(super) fn choice<T: Copy>(text: &str, words: &[(&str, T)]) -> Option<T> {
    words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value)
}

/// `http(s)://host[:port][/path]`, with the scheme in lower case and without a `/` at its end;
/// `None` for what is not allowed as `PUBLIC_URL`.
pub fn public_url(text: &str) -> Option<String> {
    let (scheme, host, path) = split_url(text)?;
    let scheme = choice(scheme, &[("http", "http"), ("https", "https")])?;
    Authority::parse_reachable(host)?;
    let is_path = |byte: u8| byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte);
    path.bytes().all(is_path).then(|| format!("{scheme}://{host}{}", path.trim_end_matches('/')))
}

/// The parts of an http or https address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlParts<'a> {
    /// https.
    pub is_secure: bool,
    /// `host[:port]` as it was written.
    pub authority: &'a str,
    /// An IPv6 address in brackets, an IPv4 address or a name.
    pub host: &'a str,
    /// As written, else that of the scheme.
    pub port: u16,
    /// Empty, or begins with `/` and does not end with one.
    pub path: &'a str,
}

/// Takes `url` apart, which is in the form that [`public_url`] gives.
pub fn url_parts(url: &str) -> Option<UrlParts<'_>> {
    let (scheme, authority, path) = split_url(url)?;
    let Authority { host, port } = Authority::parse_reachable(authority)?;
    let port = port.or(usual_port(scheme))?;
    Some(UrlParts { is_secure: scheme == "https", authority, host, port, path })
}

/// A level; or, as in the `.env` of an older server, directives such as
/// `backend=debug,tower_http=info,warn`. Of those, one for `sync_server` counts, else the one
/// that is a bare level, else it is `info`. Directives for other targets must be well formed all
/// the same.
pub(super) fn log_level(text: &str) -> Option<LevelFilter> {
    let mut bare = None;
    let mut own = None;
    let mut directives = 0;
    for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        directives += 1;
        match directive.split_once('=') {
            None => bare = Some(directive.parse().ok()?),
            Some((target, level)) => {
                let level: LevelFilter = level.trim().parse().ok()?;
                let target = target.trim();
                if target.is_empty() {
                    return None;
                }
                if target.split("::").next() == Some(OWN_TARGET) {
                    own = own.max(Some(level));
                }
            }
        }
    }
    (directives > 0).then(|| own.or(bare).unwrap_or(LevelFilter::Info))
}

/// The shown name of a user.
pub(super) fn nickname(text: &str) -> Option<String> {
    let is_name = text.chars().count() <= 200 && !text.contains(char::is_control);
    is_name.then(|| text.to_owned())
}

/// A token that comes in a header field, which cannot hold all of Unicode.
pub(super) fn header_token(text: &str) -> Option<Secret> {
    let token = text.trim();
    let is_sendable = token.len() <= 1024 && token.bytes().all(|b| b.is_ascii_graphic());
    is_sendable.then(|| Secret::new(token))
}

/// A name that MongoDB takes for a database on every system that it runs on.
pub(super) fn database_name(text: &str) -> Option<String> {
    let is_allowed = |c: char| !(c.is_control() || "/\\. \"$*<>:|?".contains(c));
    (text.len() < 64 && text.chars().all(is_allowed)).then(|| text.to_owned())
}

/// A connection string of MongoDB, as far as it can be told without the driver.
pub(super) fn mongodb_uri(text: &str) -> Option<Secret> {
    let uri = text.trim();
    let is_known = uri.starts_with("mongodb://") || uri.starts_with("mongodb+srv://");
    is_known.then(|| Secret::new(uri))
}

/// The connection string `uri` with the user and the password in it, percent-encoded. `None` if
/// it has a user already.
pub(super) fn with_credentials(uri: &Secret, username: &str, password: &Secret) -> Option<Secret> {
    let (scheme, rest) = uri.expose().split_once("://")?;
    let hosts = rest.split(['/', '?']).next().unwrap_or(rest);
    let (username, password) = (percent_encoded(username), percent_encoded(password.expose()));
    (!hosts.contains('@')).then(|| Secret::new(format!("{scheme}://{username}:{password}@{rest}")))
}

/// With everything encoded that may have a meaning in a URI (RFC 3986, section 2.3).
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes everything");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_parts() {
        let table = [
            ("http://a", (false, "a", "a", 80, "")),
            ("HTTPS://Sync.example.com/", (true, "Sync.example.com", "Sync.example.com", 443, "")),
            ("https://[::1]:8443/a/b/", (true, "[::1]:8443", "[::1]", 8443, "/a/b")),
        ];
        for (text, (is_secure, authority, host, port, path)) in table {
            let url = public_url(text).expect("allowed");
            let expected = UrlParts { is_secure, authority, host, port, path };
            assert_eq!(url_parts(&url), Some(expected), "{text}");
        }
    }
}
