//! Where a request's token is (protocol, section 3), and when a cookie counts.

use super::cors::{is_listed, is_own_origin};
use super::request::Request;
use crate::base::secret::Secret;
use crate::config::AllowedOrigins;

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
