//! How messages to WebSocket clients become frames, and how many of them were errors.

use super::context::Context;
use crate::base::memory::MemoryBudget;
use crate::protocol::{self, ErrorCode, MessageId, Reply};
use crate::rooms::Event;
use crate::ws::Frame;

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
        let write = |out: &mut Vec<u8>| protocol::encode_reply(reply, out);
        let frame = Frame::text(&mut self.scratch, cx.sessions.budget(), write);
        cx.sessions.send(cx.conn, &frame, cx.now);
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

    /// The frame of `event`; a big one counts against `budget`.
    pub(super) fn encode_event(&mut self, event: &Event<'_>, budget: &MemoryBudget) -> Frame<'_> {
        Frame::text(&mut self.scratch, budget, |out| protocol::encode_event(event, out))
    }

    /// How many errors clients were told, by their code.
    pub(super) fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ErrorCode::ALL.map(ErrorCode::as_str).into_iter().zip(self.errors)
    }
}
