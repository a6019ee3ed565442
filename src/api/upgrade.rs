//! Which requests become a WebSocket.

use crate::base::secret::Secret;
use crate::config::AllowedOrigins;
pub use crate::http::SUBPROTOCOL;
use crate::http::{Request, Response, Upgrade, check_upgrade as check};

/// Checks a request for `/ws`, and finds its token.
///
/// # Errors
/// The answer.
pub fn check_upgrade(
    request: &Request,
    allowed_origins: &AllowedOrigins,
) -> Result<(Upgrade, Option<Secret>), Response> {
    let mut upgrade = check(request, allowed_origins)?;
    let bearer = upgrade.bearer.take();
    Ok((upgrade, bearer))
}
