//! One request over HTTP/1.1, and its answer or the WebSocket that it opens.
//!
//! Knows no socket: it reads from and writes to what it is given, which says when to give up.

use std::fmt::Display;
use std::io::{self, ErrorKind, Read, Write};

use tungstenite::WebSocket;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};

use crate::base::secret::Secret;
use crate::http::{AnswerError, ServerAnswer, parse_answer};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The connection failed, or took too long ([`ErrorKind::TimedOut`]).
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// The other end is not what it was taken for.
    #[error("{0}")]
    Answer(#[from] AnswerError),
}

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// There is no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The answer is not 101.
    #[error("it answered {} and not 101", .0.status)]
    Refused(ServerAnswer),
    /// The answer is not to this request (RFC 6455, 4.1).
    #[error("the key of the handshake is wrong")]
    Key,
}

/// The head of a request, to which fields can be added; they may be secrets.
#[derive(Debug)]
pub struct RequestHead(Secret);

impl RequestHead {
    /// A request for `path` of the server that is called `host`.
    pub(super) fn new(method: &str, path: &str, host: &str) -> Self {
        Self(Secret::new(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n")))
    }

    /// Adds a field.
    #[must_use]
    pub fn field(self, name: &str, value: impl Display) -> Self {
        Self(Secret::new(format!("{}{name}: {value}\r\n", self.0.expose())))
    }

    /// The whole request, after whose answer the connection ends.
    pub fn with_body(self, body: &str) -> String {
        format!("{}Connection: close\r\n\r\n{body}", self.0.expose())
    }
}

/// Sends `request`, which is no `HEAD`, and reads its answer. Also returns what came behind it:
/// after a 101, the first bytes of the other protocol.
///
/// # Errors
/// [`AskError`]. What is read of an answer is bounded (see [`parse_answer`]).
pub fn ask(
    stream: &mut (impl Read + Write),
    request: &str,
) -> Result<(ServerAnswer, Vec<u8>), AskError> {
    // A server may answer without reading, and close; then the answer is what counts.
    let sent = stream.write_all(request.as_bytes()).and_then(|()| stream.flush());
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4 * 1024];
        let count = match stream.read(&mut chunk) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(sent.err().unwrap_or(error).into()),
        };
        bytes.extend_from_slice(&chunk[..count]);
        if let Some((answer, used)) = parse_answer(&bytes, count == 0)? {
            let rest = bytes.split_off(used);
            return Ok((answer, rest));
        }
    }
}

/// Makes `stream` a WebSocket, by the request that begins with `head`. Longer messages than
/// `message_bytes_max` are errors (RFC 6455, 4.1).
///
/// # Errors
/// [`UpgradeError`].
pub fn upgrade<S: Read + Write>(
    mut stream: S,
    head: &RequestHead,
    message_bytes_max: usize,
) -> Result<WebSocket<S>, UpgradeError> {
    let key = generate_key();
    let request = format!(
        "{}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\n\r\n",
        head.0.expose()
    );
    let (answer, rest) = ask(&mut stream, &request)?;
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

/// What a refusal says to people, if it is that of a sync server.
pub fn complaint(answer: &ServerAnswer) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    body["error"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says the same to everything, in pieces of `piece` bytes.
    struct Parrot<'a> {
        asked: Vec<u8>,
        says: &'a [u8],
        piece: usize,
        failure: Option<ErrorKind>,
    }

    impl Read for Parrot<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if let Some(failure) = self.failure.take() {
                return Err(failure.into());
            }
            let (piece, rest) = self.says.split_at(self.says.len().min(self.piece));
            buffer[..piece.len()].copy_from_slice(piece);
            self.says = rest;
            Ok(piece.len())
        }
    }

    impl Write for Parrot<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.asked.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn parrot(says: &[u8], piece: usize, failure: Option<ErrorKind>) -> Parrot<'_> {
        Parrot { asked: Vec::new(), says, piece, failure }
    }

    #[test]
    fn an_answer_may_come_in_pieces() {
        let says = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        for piece in 1..=says.len() {
            let mut server = parrot(says, piece, Some(ErrorKind::Interrupted));
            let (answer, rest) = ask(&mut server, "GET / HTTP/1.1\r\n\r\n").expect("an answer");
            assert_eq!((answer.status, &answer.body[..], &rest[..]), (200, &b"ok"[..], &b""[..]));
            assert_eq!(server.asked, b"GET / HTTP/1.1\r\n\r\n");
        }
    }

    #[test]
    fn what_follows_an_upgrade_is_kept() {
        let mut server = parrot(b"HTTP/1.1 101 S\r\n\r\n\x81\x00", 4096, None);
        let (answer, rest) = ask(&mut server, "").expect("an answer");
        assert_eq!((answer.status, &rest[..]), (101, &b"\x81\x00"[..]));
    }

    #[test]
    fn a_connection_that_fails_or_ends_gives_no_answer() {
        let cut = ask(&mut parrot(b"HTTP/1.1 200", 4096, None), "");
        assert!(matches!(cut, Err(AskError::Answer(AnswerError::Cut))), "{cut:?}");
        let late = ask(&mut parrot(b"", 4096, Some(ErrorKind::TimedOut)), "");
        let Err(AskError::Connection(error)) = late else { panic!("an error: {late:?}") };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
