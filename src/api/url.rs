//! Where a client is told to open its WebSocket.

use crate::http::{self, Request};

/// The address of `/ws` for the client of `request`: below `public_url` (`http(s)://…`, perhaps
/// with a path) if there is one, else on the host that the request was sent to. What a proxy says
/// of that counts if it is `trusted`.
pub fn websocket_url(request: &Request, public_url: Option<&str>, trusted: bool) -> String {
    let secure = trusted && http::is_secure(request);
    let forwarded_host = http::forwarded_host(request).filter(|_| trusted);
    let host = forwarded_host.or(request.host()).unwrap_or("localhost");
    http::websocket_url(public_url, host, secure)
}
