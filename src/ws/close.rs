//! Why a connection is closed, and what the peer is told: the one table of close codes.

use std::fmt;

use tungstenite::Error;

/// Bytes of a Close frame's reason: a control frame has at most 125, two of them are the code
/// (RFC 6455, 5.5 and 5.5.1).
pub(super) const REASON_BYTES_MAX: usize = 123;

/// A reason to close a connection (RFC 6455, 7.4.1; 1013 is from the IANA registry).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// 1000: the purpose is fulfilled.
    Normal,
    /// 1001: the server is shutting down.
    GoingAway,
    /// 1002: the peer's frames break RFC 6455.
    ProtocolError,
    /// 1007: a text message, or the reason of a Close, is not UTF-8.
    InvalidUtf8,
    /// 1008: the peer broke a rule of this server; the text names it, in at most 123 bytes.
    Policy(&'static str),
    /// 1008: the room was closed under the peer, which did nothing wrong but is not to come back.
    RoomClosed,
    /// 1009: the peer's message is longer than it may be.
    MessageTooBig,
    /// 1011: the server failed.
    Internal,
    /// 1013: the peer does not read as fast as its rooms talk.
    TooSlow,
    /// 1013: the server has no place for this connection now.
    TryAgainLater,
}

impl CloseReason {
    /// The close code.
    pub fn code(self) -> u16 {
        self.row().0
    }

    /// What the peer is told beside the code; empty if the code says it all.
    pub fn text(self) -> &'static str {
        self.row().1
    }

    /// Whether it belongs in the log: a rule was broken, a reader was too slow, or the server
    /// failed.
    pub fn is_fault(self) -> bool {
        matches!(self, Self::Policy(_) | Self::TooSlow | Self::Internal)
    }

    /// What it is called where it is counted.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Normal => (1000, "", "normal"),
            Self::GoingAway => (1001, "the server is shutting down", "going_away"),
            Self::ProtocolError => (1002, "protocol error", "protocol_error"),
            Self::InvalidUtf8 => (1007, "not UTF-8", "invalid_utf8"),
            Self::Policy(rule) => (1008, rule, "policy"),
            Self::RoomClosed => (1008, "the room was closed by an administrator", "room_closed"),
            Self::MessageTooBig => (1009, "message too big", "message_too_big"),
            Self::Internal => (1011, "internal error", "internal"),
            Self::TooSlow => (1013, "too slow to keep up", "too_slow"),
            Self::TryAgainLater => (1013, "the server is full, come back later", "try_again_later"),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, text, _) = self.row();
        write!(f, "{code}")?;
        if text.is_empty() { Ok(()) } else { write!(f, " {text}") }
    }
}

impl From<&Error> for CloseReason {
    fn from(error: &Error) -> Self {
        match error {
            Error::Protocol(_) | Error::AttackAttempt => Self::ProtocolError,
            Error::Capacity(_) => Self::MessageTooBig,
            Error::Utf8(_) => Self::InvalidUtf8,
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Normal,
            // The peer cannot cause these: decoding happens in memory, and knows no TLS or HTTP.
            Error::Io(_)
            | Error::Tls(_)
            | Error::WriteBufferFull(_)
            | Error::Url(_)
            | Error::Http(_)
            | Error::HttpFormat(_) => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use tungstenite::error::{CapacityError, ProtocolError};
    use tungstenite::protocol::frame::coding::CloseCode;

    use super::*;

    const ALL: [CloseReason; 10] = [
        CloseReason::Normal,
        CloseReason::GoingAway,
        CloseReason::ProtocolError,
        CloseReason::InvalidUtf8,
        CloseReason::Policy("no action for a minute"),
        CloseReason::RoomClosed,
        CloseReason::MessageTooBig,
        CloseReason::Internal,
        CloseReason::TooSlow,
        CloseReason::TryAgainLater,
    ];

    #[test]
    fn every_reason_has_a_sendable_code_and_fits_a_close_frame() {
        for reason in ALL {
            assert!(CloseCode::from(reason.code()).is_allowed(), "{reason}");
            assert!(reason.text().len() <= REASON_BYTES_MAX, "{reason}");
        }
        assert_eq!(CloseReason::Normal.to_string(), "1000");
        assert_eq!(CloseReason::TooSlow.to_string(), "1013 too slow to keep up");
    }

    #[test]
    fn errors_of_the_decoder_blame_the_right_side() {
        let too_long = CapacityError::MessageTooLong { size: 2, max_size: 1 };
        let table = [
            (Error::Protocol(ProtocolError::NonZeroReservedBits), 1002),
            (Error::Capacity(too_long), 1009),
            (Error::Utf8("bad".to_owned()), 1007),
            (Error::ConnectionClosed, 1000),
            (Error::Io(std::io::ErrorKind::BrokenPipe.into()), 1011),
        ];
        for (error, code) in table {
            assert_eq!(CloseReason::from(&error).code(), code, "{error}");
        }
    }
}
