//! Where a request's token is (protocol, section 3), and when a cookie counts.

use super::cors::{is_listed, is_own_origin};
use crate::base::secret::Secret;
use crate::config::AllowedOrigins;
use crate::http::{Request, offered_subprotocols};

/// The cookie that a token may come in.
pub(super) const TOKEN_COOKIE: &str = "_khun_ph_token";

/// A subprotocol that begins so is a token. It is never echoed.
const BEARER_PREFIX: &[u8] = b"bearer.";

/// The token of `request`: `Authorization: Bearer` (RFC 6750, 2.1), else the cookie. Nothing is
/// said about whether it is valid.
///
/// A browser sends the cookie along whichever page made it send the request. It therefore counts
/// only without an `Origin` (which no browser leaves out of a request that changes something), or
/// if that is our own host or listed in `allowed_origins`. With `*` no foreign page is trusted.
pub fn credentials(request: &Request, allowed_origins: &AllowedOrigins) -> Option<Secret> {
    bearer_text(request)
        .or_else(|| {
            request.cookie(TOKEN_COOKIE).filter(|_| may_use_cookie(request, allowed_origins))
        })
        .filter(|token| !token.is_empty())
        .map(Secret::new)
}

/// The token of a request to become a WebSocket, which browsers let no page add a field to: from
/// the subprotocols, else from `?token=`, else where [`credentials`] looks.
pub(super) fn upgrade_credentials(
    request: &Request,
    allowed_origins: &AllowedOrigins,
) -> Option<Secret> {
    let offered = offered_subprotocols(request)
        .find_map(|name| name.strip_prefix(BEARER_PREFIX).filter(|token| !token.is_empty()));
    offered
        .and_then(|token| str::from_utf8(token).ok().map(str::to_owned))
        .or_else(|| request.query_value("token").filter(|token| !token.is_empty()))
        .map(Secret::new)
        .or_else(|| credentials(request, allowed_origins))
}

/// The token in `Authorization: Bearer` (RFC 6750, 2.1), which may be empty.
pub(super) fn bearer(request: &Request) -> Option<Secret> {
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
