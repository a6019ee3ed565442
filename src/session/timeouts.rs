//! How long anything of a connection may take: the times that are fixed, and those that an operator
//! can set.

use std::time::Duration;

use crate::config::Limits;

/// How long a request body may take from its first byte on.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a blocked write may stay without progress (protocol, *Slow readers*).
pub(super) const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take to begin its first request once the server stops.
pub(super) const FIRST_REQUEST_AT_STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// How long after our Close frame has left we wait for the peer's (RFC 6455, 7.1.1).
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long after our last byte we read on, so that the peer gets to see it: closing at once with
/// unread input makes the kernel send a reset, which may overtake the answer (RFC 9112, 9.6).
pub(super) const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a Close frame, or the last answer, may take to leave.
pub(super) const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a WebSocket may stay without its first message, unless the application says otherwise.
pub const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Times that an operator can set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// For a connection's first request to begin.
    pub(super) first_request: Duration,
    /// For a request's head, from the connection's or the request's first moment.
    pub(super) header: Duration,
    /// Between two requests.
    pub(super) keep_alive: Duration,
    /// Silence before a ping.
    pub(super) ping_interval: Duration,
    /// Silence before the connection counts as gone.
    pub(super) ping_timeout: Duration,
}

impl From<&Limits> for Timeouts {
    fn from(limits: &Limits) -> Self {
        let header = Duration::from_secs(limits.header_timeout_seconds);
        Self {
            first_request: header,
            header,
            keep_alive: Duration::from_secs(limits.keep_alive_seconds),
            ping_interval: Duration::from_secs(limits.ping_interval_seconds),
            ping_timeout: Duration::from_secs(limits.ping_timeout_seconds),
        }
    }
}
