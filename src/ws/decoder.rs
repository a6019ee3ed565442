//! From the bytes of a client to its messages, through tungstenite's `WebSocketContext`.
//!
//! A context owns a read buffer that it allocates at once, grows to its largest message and never
//! shrinks; one for each of ten thousand idle connections would be most of the server's memory.
//! But between two messages a context has no state. So connections that are between messages
//! share the spare contexts of one [`DecoderPool`], and only a connection in the middle of a
//! message has one of its own.
//!
//! tungstenite reads ahead and does not say whether it holds half a frame. Therefore a [`Boundary`]
//! follows the frames beside it, and a context is fed at most one frame at a time. The caller can
//! stop after any message: what follows is still in its hands.

use std::io::{self, Cursor, Read, Write};
use std::mem;

use bytes::Bytes;
use tungstenite::protocol::frame::coding::{Control, OpCode};
use tungstenite::protocol::frame::{FrameHeader, Utf8Bytes};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use super::close::CloseReason;
use crate::base::memory::{allocated_bytes, resident_bytes};

/// What a context's read buffer begins with, and what it takes in at once. tungstenite zero-fills
/// that much before each read: small messages pay for more, and big ones do not notice less.
const READ_BUFFER_BYTES: usize = 1024;

/// A context whose read buffer had to grow beyond this is dropped after its message.
const SPARE_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Spare contexts that are kept. One serves all whose messages come whole; a few more are for
/// messages that end in a later read than they began.
const SPARES_MAX: usize = 8;

/// The longest header of a client's frame: two bytes, a 64-bit length, a masking key (RFC 6455,
/// 5.2).
const HEADER_BYTES_MAX: usize = 14;

/// What a client sent: a whole message or a control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message. Whether it is UTF-8 has not been looked at.
    Binary(Bytes),
    /// A ping. Its pong is among the replies.
    Ping,
    /// A pong, asked for or not.
    Pong,
    /// A Close with its code, if it had one; 1002 if it had one that must not be sent. Its answer,
    /// unless we sent our Close first, is among the replies. Nothing comes after it.
    Close(Option<u16>),
}

/// What one connection keeps between two reads: nothing if it is between two messages.
///
/// - [`next`](Self::next) yields what came, one message after the other.
/// - [`discard_until_close`](Self::discard_until_close) belongs to our own Close frame: it lets
///   `next` throw away everything but the peer's Close.
/// - After an error or the peer's Close the decoder is finished; `next` may be called and throws
///   everything away.
#[derive(Debug, Default)]
pub struct Decoder {
    state: Progress,
}

/// Spare contexts for the connections that begin a message; one pool serves all connections.
#[derive(Debug, Default)]
pub struct DecoderPool {
    /// Boxed, because a context moves to a connection and back with each message. Invariant: at
    /// most [`SPARES_MAX`], each between two messages, with a buffer of at most
    /// [`SPARE_BUFFER_BYTES_MAX`].
    #[expect(clippy::vec_box, reason = "a context goes in and out as the box it is used in")]
    spares: Vec<Box<MessageContext>>,
}

#[derive(Debug, Default)]
enum Progress {
    /// Between two messages.
    #[default]
    Idle,
    /// In the middle of a message or of a control frame.
    Unfinished(Box<MessageContext>),
    /// We have sent a Close: only frame headers are looked at.
    Discarding(Boundary),
    /// The peer has sent a Close, or what cannot be read.
    Finished,
}

/// tungstenite's state and what we have to know beside it.
#[derive(Debug)]
struct MessageContext {
    tungstenite: WebSocketContext,
    boundary: Boundary,
    /// The message has come in part: at least one frame of it is complete, its last one is not.
    is_fragmented: bool,
    /// Payload bytes of the message's complete frames.
    fragment_bytes: usize,
    /// Capacity of what they were copied to.
    fragment_capacity: usize,
    /// Payload bytes that have come of the current frame.
    frame_bytes: usize,
    /// The most that has ever come of one frame: so much of the read buffer was written to. The
    /// fragments that were copied out of it come on top.
    frame_bytes_most: usize,
    /// Capacity of the read buffer: made for the longest payload that was announced.
    buffer_capacity: usize,
}

/// A place in a stream of frames.
#[derive(Debug, Default)]
struct Boundary {
    /// What has come of a header that is not complete yet: the first `header_bytes`.
    header: [u8; HEADER_BYTES_MAX],
    /// Invariant: below [`HEADER_BYTES_MAX`], and 0 within a payload.
    header_bytes: u8,
    /// Bytes of the current payload that are still to come.
    payload_bytes_left: u64,
}

/// How far one call went.
#[derive(Debug)]
struct Advance {
    /// Bytes that belong to the current frame; at least 1.
    bytes: usize,
    /// How many of them are payload.
    payload_bytes: usize,
    /// Kind and payload length of the frame whose header ended here.
    header: Option<(OpCode, usize)>,
}

/// The stream that a context sees: one piece of input, and no end of it.
struct Feed<'a> {
    input: &'a [u8],
    replies: &'a mut Vec<u8>,
}

impl Decoder {
    /// Takes bytes off the front of `input` up to the end of the next message or control frame,
    /// and returns that; `None` once all of `input` is taken and more is needed. Automatic
    /// answers (pong, Close) are appended to `replies` as frames.
    ///
    /// `message_bytes_max` bounds the payload of a message and of each of its frames. A changed
    /// bound holds from the next frame on.
    ///
    /// A returned payload shares the read buffer of a spare context; one that is kept for longer
    /// should be copied.
    ///
    /// # Errors
    ///
    /// The reason to close with. The peer has broken the protocol, and no Close was sent yet.
    pub fn next(
        &mut self,
        pool: &mut DecoderPool,
        input: &mut &[u8],
        message_bytes_max: usize,
        replies: &mut Vec<u8>,
    ) -> Result<Option<Incoming>, CloseReason> {
        if input.is_empty() {
            return Ok(None);
        }
        // An error, and the peer's Close after ours, leave it at that.
        let mut context = match mem::replace(&mut self.state, Progress::Finished) {
            Progress::Idle => pool.take(),
            Progress::Unfinished(context) => context,
            Progress::Discarding(mut boundary) => {
                if discard(&mut boundary, input)? {
                    return Ok(Some(Incoming::Close(None)));
                }
                self.state = Progress::Discarding(boundary);
                return Ok(None);
            }
            Progress::Finished => {
                *input = &[];
                return Ok(None);
            }
        };
        context.limit(message_bytes_max);
        let incoming = context.next(input, replies)?;
        self.state = match &incoming {
            Some(Incoming::Close(_)) => Progress::Finished,
            _ if context.is_between_messages() => {
                pool.give_back(context);
                Progress::Idle
            }
            _ => Progress::Unfinished(context),
        };
        Ok(incoming)
    }

    /// We have sent a Close frame. From here on data, pings and pongs are thrown away unread and
    /// unanswered, in whatever amount they come, and [`next`](Self::next) returns only
    /// `Close(None)`, as soon as the header of the peer's Close is there.
    pub fn discard_until_close(&mut self) {
        self.state = match mem::take(&mut self.state) {
            Progress::Idle => Progress::Discarding(Boundary::default()),
            Progress::Unfinished(context) => Progress::Discarding(context.boundary),
            other => other,
        };
    }

    /// Bytes of memory behind this decoder: 0, or what has come of an unfinished message and the
    /// context that holds it.
    pub fn held_bytes(&self) -> usize {
        match &self.state {
            Progress::Unfinished(context) => context.held_bytes(),
            Progress::Idle | Progress::Discarding(_) | Progress::Finished => 0,
        }
    }
}

impl DecoderPool {
    fn take(&mut self) -> Box<MessageContext> {
        self.spares.pop().unwrap_or_else(|| Box::new(MessageContext::new()))
    }

    fn give_back(&mut self, context: Box<MessageContext>) {
        debug_assert!(context.is_between_messages());
        if context.buffer_capacity <= SPARE_BUFFER_BYTES_MAX && self.spares.len() < SPARES_MAX {
            self.spares.push(context);
        }
    }
}

impl MessageContext {
    fn new() -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(usize::MAX)
            .accept_unmasked_frames(false);
        Self {
            tungstenite: WebSocketContext::new(Role::Server, Some(config)),
            boundary: Boundary::default(),
            is_fragmented: false,
            fragment_bytes: 0,
            fragment_capacity: 0,
            frame_bytes: 0,
            frame_bytes_most: 0,
            buffer_capacity: READ_BUFFER_BYTES,
        }
    }

    fn limit(&mut self, message_bytes_max: usize) {
        self.tungstenite.set_config(|config| {
            config.max_message_size = Some(message_bytes_max);
            config.max_frame_size = Some(message_bytes_max);
        });
    }

    fn is_between_messages(&self) -> bool {
        self.boundary.is_between_frames() && !self.is_fragmented
    }

    /// tungstenite makes room for all of a frame at once, and for fragments by doubling.
    fn held_bytes(&self) -> usize {
        // It zero-fills so much behind what has come.
        let written = self.frame_bytes_most + READ_BUFFER_BYTES;
        allocated_bytes(size_of::<Self>())
            + resident_bytes(self.buffer_capacity, written)
            + resident_bytes(self.fragment_capacity, self.fragment_bytes)
    }

    /// As [`Decoder::next`].
    fn next(
        &mut self,
        input: &mut &[u8],
        replies: &mut Vec<u8>,
    ) -> Result<Option<Incoming>, CloseReason> {
        while !input.is_empty() {
            let step = self.boundary.advance(input)?;
            let (piece, rest) = input.split_at(step.bytes);
            *input = rest;
            self.frame_bytes += step.payload_bytes;
            self.frame_bytes_most = self.frame_bytes_most.max(self.frame_bytes);
            if let Some((_, payload_bytes)) = step.header {
                grow(&mut self.buffer_capacity, payload_bytes);
            }
            let mut feed = Feed { input: piece, replies };
            let read = self.tungstenite.read(&mut feed);
            debug_assert!(read.is_err() || feed.input.is_empty(), "a message before its end");
            match read {
                Ok(message) => return self.complete(message, &mut feed).map(Some),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(CloseReason::from(&error)),
            }
            if self.boundary.is_between_frames() {
                // A whole frame and no message: there is more of it to come.
                self.is_fragmented = true;
                self.fragment_bytes += mem::take(&mut self.frame_bytes);
                grow(&mut self.fragment_capacity, self.fragment_bytes);
            }
        }
        Ok(None)
    }

    fn complete(&mut self, message: Message, feed: &mut Feed<'_>) -> Result<Incoming, CloseReason> {
        debug_assert!(self.boundary.is_between_frames(), "a message ends with its frame");
        self.frame_bytes = 0;
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            self.is_fragmented = false;
            self.fragment_bytes = 0;
            self.fragment_capacity = 0;
        }
        // tungstenite would answer at the next read, which may be another connection's.
        if matches!(message, Message::Ping(_)) {
            self.tungstenite.flush(feed).map_err(|error| CloseReason::from(&error))?;
        }
        match message {
            Message::Text(text) => Ok(Incoming::Text(text)),
            Message::Binary(bytes) => Ok(Incoming::Binary(bytes)),
            Message::Ping(_) => Ok(Incoming::Ping),
            Message::Pong(_) => Ok(Incoming::Pong),
            Message::Close(close) => {
                let flushed = self.tungstenite.flush(feed);
                debug_assert!(matches!(flushed, Err(Error::ConnectionClosed)), "{flushed:?}");
                Ok(Incoming::Close(close.map(|close| close.code.into())))
            }
            // tungstenite documents that a read never returns one.
            Message::Frame(_) => Err(CloseReason::Internal),
        }
    }
}

impl Boundary {
    /// No byte of a frame has come whose end has not.
    fn is_between_frames(&self) -> bool {
        self.header_bytes == 0 && self.payload_bytes_left == 0
    }

    /// Goes to the end of the current frame, or of `input`, which is not empty.
    ///
    /// # Errors
    ///
    /// The header has an opcode that does not exist.
    #[expect(clippy::cast_possible_truncation, reason = "header lengths are at most 14")]
    fn advance(&mut self, input: &[u8]) -> Result<Advance, CloseReason> {
        debug_assert!(!input.is_empty());
        if self.payload_bytes_left > 0 {
            let bytes = self.skip_payload(input);
            return Ok(Advance { bytes, payload_bytes: bytes, header: None });
        }
        let known = usize::from(self.header_bytes);
        let copied = input.len().min(HEADER_BYTES_MAX - known);
        self.header[known..known + copied].copy_from_slice(&input[..copied]);
        let mut cursor = Cursor::new(&self.header[..known + copied]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|error| CloseReason::from(&error))?;
        let Some((header, payload_bytes)) = parsed else {
            debug_assert_eq!(copied, input.len(), "no header is longer than the longest");
            self.header_bytes += copied as u8;
            return Ok(Advance { bytes: copied, payload_bytes: 0, header: None });
        };
        // It ends behind what was known of it, or it would have been complete before.
        let header_bytes = cursor.position() as usize - known;
        self.header_bytes = 0;
        self.payload_bytes_left = payload_bytes;
        let announced_bytes = usize::try_from(payload_bytes).unwrap_or(usize::MAX);
        let payload_bytes = self.skip_payload(&input[header_bytes..]);
        Ok(Advance {
            bytes: header_bytes + payload_bytes,
            payload_bytes,
            header: Some((header.opcode, announced_bytes)),
        })
    }

    fn skip_payload(&mut self, input: &[u8]) -> usize {
        let left = usize::try_from(self.payload_bytes_left).unwrap_or(usize::MAX);
        let skipped = left.min(input.len());
        self.payload_bytes_left -= skipped as u64;
        skipped
    }
}

/// The capacity of a buffer that has to hold `bytes` and grows as those of std and `bytes` do.
fn grow(capacity: &mut usize, bytes: usize) {
    if bytes > *capacity {
        *capacity = bytes.max(*capacity * 2);
    }
}

/// Skips frames. True once the header of a Close has come.
fn discard(boundary: &mut Boundary, input: &mut &[u8]) -> Result<bool, CloseReason> {
    while !input.is_empty() {
        let step = boundary.advance(input)?;
        *input = &input[step.bytes..];
        if matches!(step.header, Some((OpCode::Control(Control::Close), _))) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Read for Feed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            // Zero bytes would mean that the connection has ended.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Feed<'_> {
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(frame);
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const _: () = assert!(size_of::<Decoder>() <= 32);

#[cfg(test)]
mod tests;
