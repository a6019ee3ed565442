//! Which requests become a WebSocket: from which pages, and in which subprotocol.

use super::cors::{is_listed, is_own_origin, names_no_domain};
use super::credentials::upgrade_credentials;
use crate::base::secret::Secret;
use crate::config::AllowedOrigins;
use crate::http::{Request, Response, Status, Upgrade};

/// The one subprotocol spoken here (protocol, section 1).
pub const SUBPROTOCOL: &str = "khun-phaen.v1";

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
