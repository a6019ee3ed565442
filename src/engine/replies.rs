//! Messages to one WebSocket client that are no event of a room, and how many of them were errors.

use super::context::Context;
use crate::protocol::{self, ErrorCode, MessageId, Reply};
use crate::ws;

/// A scratch buffer that grew beyond this for one big event is given back.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

/// Encodes messages, and counts errors.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// Where frames are encoded.
    scratch: Vec<u8>,
    /// Errors that clients were told, in the order of [`ErrorCode::ALL`].
    errors: [u64; ErrorCode::ALL.len()],
}

impl Replies {
    /// Sends `reply` to the client of `cx`.
    pub(super) fn send(&mut self, cx: &mut Context<'_>, reply: &Reply<'_>) {
        self.encode(
            |out| protocol::encode_reply(reply, out),
            |frame| cx.sessions.send_copy(cx.conn, frame, cx.now),
        );
    }

    /// Tells the client of `cx` that its message `id` is refused, and why.
    pub(super) fn send_error(
        &mut self,
        cx: &mut Context<'_>,
        code: ErrorCode,
        message: &str,
        id: Option<&MessageId<'_>>,
    ) {
        self.errors[code as usize] += 1;
        self.send(cx, &Reply::Error { code, message, id });
    }

    /// The same in the usual words.
    pub(super) fn refuse(
        &mut self,
        cx: &mut Context<'_>,
        code: ErrorCode,
        id: Option<&MessageId<'_>>,
    ) {
        self.send_error(cx, code, code.message(), id);
    }

    /// Encodes a message that `write` appends as text, and has `send` take its frame.
    pub(super) fn encode(&mut self, write: impl FnOnce(&mut Vec<u8>), send: impl FnOnce(&[u8])) {
        send(ws::text_frame(&mut self.scratch, write));
        if self.scratch.capacity() > SCRATCH_BYTES_MAX {
            self.scratch = Vec::new();
        }
    }

    /// How many errors clients were told, by their code.
    pub(super) fn errors(&self) -> Vec<(&'static str, u64)> {
        ErrorCode::ALL.map(ErrorCode::as_str).into_iter().zip(self.errors).collect()
    }
}
