//! Where a request's token is (protocol, section 3), when a cookie counts, and which requests
//! become a WebSocket: from which pages, and in which subprotocol.

use super::cors::{is_listed, is_own_origin, names_no_domain};
use crate::base::secret::Secret;
use crate::config::AllowedOrigins;
use crate::http::{Request, Response, Status, Upgrade, offered_subprotocols};

/// The one subprotocol spoken here (protocol, section 1).
pub const SUBPROTOCOL: &str = "khun-phaen.v1";
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

/// Checks a request for `/ws`, and finds its token, of which it is not said whether it is valid.
///
/// # Errors
/// The answer: that of [`Upgrade::of`], or 403 for an origin that is not listed.
pub fn check_upgrade(
    request: &Request,
    allowed_origins: &AllowedOrigins,
) -> Result<(Upgrade, Option<Secret>), Response> {
    let mut upgrade = Upgrade::of(request)?;
    if !may_connect(request, allowed_origins) {
        return Err(Response::error(Status::FORBIDDEN, "This origin may not connect"));
    }
    upgrade.speak(SUBPROTOCOL, request);
    Ok((upgrade, upgrade_credentials(request, allowed_origins)))
}

/// The token of a request to become a WebSocket, which browsers let no page add a field to: from
/// the subprotocols, else from `?token=`, else where [`credentials`] looks.
fn upgrade_credentials(request: &Request, allowed_origins: &AllowedOrigins) -> Option<Secret> {
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

/// A page of any site can make a browser open a WebSocket here, but not hide whose page it is.
fn may_connect(request: &Request, allowed_origins: &AllowedOrigins) -> bool {
    match allowed_origins {
        AllowedOrigins::Any => true,
        AllowedOrigins::List(_) => {
            !request.has_header("origin")
                || request.only_header("origin").is_some_and(|origin| {
                    is_listed(allowed_origins, origin) || is_own_page(request, origin)
                })
        }
    }
}

/// Whether the page at `origin` is this server's own, opened by an address. One that is opened by a
/// name is listed: by `PUBLIC_URL`.
fn is_own_page(request: &Request, origin: &[u8]) -> bool {
    request.host().is_some_and(|host| names_no_domain(host) && is_own_origin(origin, host))
}
