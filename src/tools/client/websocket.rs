//! A request that becomes a WebSocket. Knows no socket, like the request.

use std::io::{Read, Write};

use tungstenite::WebSocket;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};

use super::request::{AskError, RequestHead, ask};
use crate::http::Answer;

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// There is no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The answer is not 101.
    #[error("it answered {} and not 101", .0.status)]
    Refused(Answer),
    /// The answer is not to this request (RFC 6455, 4.1).
    #[error("the key of the handshake is wrong")]
    Key,
}

/// Makes `stream` a WebSocket, by the request that begins with `head`. Longer messages than
/// `message_bytes_max` are errors.
///
/// # Errors
/// [`UpgradeError`].
pub fn upgrade<S: Read + Write>(
    mut stream: S,
    head: RequestHead,
    message_bytes_max: usize,
) -> Result<WebSocket<S>, UpgradeError> {
    let key = generate_key();
    let (answer, rest) = ask(&mut stream, &head.with_upgrade(&key))?;
    if answer.status != 101 {
        return Err(UpgradeError::Refused(answer));
    }
    if answer.field("sec-websocket-accept") != Some(&derive_accept_key(key.as_bytes())) {
        return Err(UpgradeError::Key);
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max));
    Ok(WebSocket::from_partially_read(stream, rest, Role::Client, Some(config)))
}
