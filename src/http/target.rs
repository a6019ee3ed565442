//! Request targets (RFC 9112, 3.2).

use super::error::HttpError;
use crate::base::authority::{Authority, split_url};

/// The parts of a request target; each is a slice of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestTarget<'a> {
    /// `host[:port]` of a target in absolute form.
    pub(super) authority: Option<&'a str>,
    /// Begins with `/`; empty for an absolute target without a path; or `*`.
    pub(super) path: &'a str,
    /// What follows the `?`.
    pub(super) query: Option<&'a str>,
}

impl<'a> RequestTarget<'a> {
    /// Takes `target` apart.
    ///
    /// Visible ASCII is taken as it comes: browsers leave characters such as `|` and `{` as they
    /// are, although RFC 3986 would have them encoded. A `#` never belongs on the wire.
    ///
    /// # Errors
    /// [`HttpError::CONNECT`] for that method, else [`HttpError::TARGET`].
    pub(super) fn parse(method: &str, target: &'a str) -> Result<Self, HttpError> {
        if method == "CONNECT" {
            return Err(HttpError::CONNECT);
        }
        if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(HttpError::TARGET);
        }
        if target == "*" {
            let whole_server = Self { authority: None, path: target, query: None };
            return if method == "OPTIONS" { Ok(whole_server) } else { Err(HttpError::TARGET) };
        }
        let (authority, path_and_query) =
            if target.starts_with('/') { (None, target) } else { split_absolute(target)? };
        Ok(match path_and_query.split_once('?') {
            Some((path, query)) => Self { authority, path, query: Some(query) },
            None => Self { authority, path: path_and_query, query: None },
        })
    }
}

/// Authority and rest of `http://authority/path?query`. User names are an error
/// (RFC 9110, 4.2.4), and so is an empty host (4.2.1).
fn split_absolute(target: &str) -> Result<(Option<&str>, &str), HttpError> {
    let (scheme, authority, rest) = split_url(target).ok_or(HttpError::TARGET)?;
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    Authority::parse(authority).filter(|_| is_http).ok_or(HttpError::TARGET)?;
    Ok((Some(authority), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_taken_apart_or_refused() {
        let ok = |authority, path, query| Ok(RequestTarget { authority, path, query });
        let table = [
            ("GET", "/", ok(None, "/", None)),
            ("GET", "/a/b?c=d?e", ok(None, "/a/b", Some("c=d?e"))),
            ("GET", "/?", ok(None, "/", Some(""))),
            ("GET", "/a|b?{c}^[d]", ok(None, "/a|b", Some("{c}^[d]"))),
            ("GET", "//a/b", ok(None, "//a/b", None)),
            ("GET", "/a?u=http://b", ok(None, "/a", Some("u=http://b"))),
            ("GET", "http://a:80/b?c", ok(Some("a:80"), "/b", Some("c"))),
            ("GET", "HTTPS://A", ok(Some("A"), "", None)),
            ("GET", "http://a?b", ok(Some("a"), "", Some("b"))),
            ("OPTIONS", "*", ok(None, "*", None)),
            ("GET", "*", Err(HttpError::TARGET)),
            ("GET", "a/b", Err(HttpError::TARGET)),
            ("GET", "?a", Err(HttpError::TARGET)),
            ("GET", "/a#b", Err(HttpError::TARGET)),
            ("GET", "/é", Err(HttpError::TARGET)),
            ("GET", "ftp://a/", Err(HttpError::TARGET)),
            ("GET", "http:///a", Err(HttpError::TARGET)),
            ("GET", "http://user@a/", Err(HttpError::TARGET)),
            ("GET", "a:443", Err(HttpError::TARGET)),
            ("CONNECT", "a:443", Err(HttpError::CONNECT)),
        ];
        for (method, target, expected) in table {
            assert_eq!(RequestTarget::parse(method, target), expected, "{method} {target}");
        }
    }
}
