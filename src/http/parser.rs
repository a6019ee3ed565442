//! Bytes, in pieces of any size, become requests. How they are cut makes no difference.
//!
//! A head is looked through once, byte for byte, for its end, and parsed once when that has come:
//! a client that sends byte by byte costs no more than one that sends all at once.

use std::fmt;

use super::chunked::ChunkedDecoder;
use super::error::HttpError;
use super::head::{self, Framing, Head};
use super::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX, REQUEST_LINE_BYTES_MAX};
use super::request::Request;
use super::syntax::is_token_byte;
use crate::base::memory::allocated_bytes;

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing of it is here.
    Idle,
    /// Its head is coming.
    Head,
    /// Its body is coming.
    Body,
}

/// Reads one request, or several one after the other.
///
/// Holds nothing while it [is idle](Self::is_idle), so a connection that waits for its next
/// request can drop it and make another one later.
#[derive(Default)]
pub struct RequestParser {
    state: Partial,
}

enum Partial {
    Head(HeadBuffer),
    Body(BodyBuffer),
}

/// What has come of a head. At most [`HEAD_BYTES_MAX`] bytes.
#[derive(Default)]
struct HeadBuffer {
    bytes: Vec<u8>,
    scan: Scan,
    /// The CR of an empty line in front of the request has come, its LF has not.
    has_carriage_return: bool,
}

/// The search for the end of a head, kept between pieces.
#[derive(Default)]
struct Scan {
    /// Where to go on. Everything before has been looked at.
    position: usize,
    /// The request line has ended.
    has_request_line: bool,
}

/// A request whose body has not come in full.
struct BodyBuffer {
    request: Request,
    bytes: Vec<u8>,
    end: BodyEnd,
    /// The client waits for `100 Continue`.
    continue_due: bool,
}

/// How the end of a body will be known.
enum BodyEnd {
    After { remaining: usize },
    Chunked(ChunkedDecoder),
}

impl RequestParser {
    /// Reads on in `input`, which shrinks by what was used. `Some`: a whole request; what is left
    /// of `input` comes after it, the next request or a WebSocket's first bytes. `None`: all of
    /// `input` was used, and more is needed.
    ///
    /// # Errors
    /// [`HttpError`]. Nothing that follows on this connection can be understood.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Request>, HttpError> {
        let mut body = match std::mem::take(&mut self.state) {
            Partial::Head(mut buffer) => {
                let Some(head) = buffer.feed(input)? else {
                    self.state = Partial::Head(buffer);
                    return Ok(None);
                };
                BodyBuffer::new(head)
            }
            Partial::Body(body) => body,
        };
        if body.feed(input)? {
            return Ok(Some(body.into_request()));
        }
        debug_assert!(input.is_empty(), "an unfinished body takes everything");
        self.state = Partial::Body(body);
        Ok(None)
    }

    /// How far the current request has come.
    pub fn stage(&self) -> Stage {
        match &self.state {
            Partial::Head(buffer) if buffer.is_empty() => Stage::Idle,
            Partial::Head(_) => Stage::Head,
            Partial::Body(_) => Stage::Body,
        }
    }

    /// Whether nothing of a request is here. Empty lines in front of one are nothing
    /// (RFC 9112, 2.2).
    pub fn is_idle(&self) -> bool {
        self.stage() == Stage::Idle
    }

    /// Bytes kept of an unfinished request, for the memory budget. At most about twice
    /// [`BODY_BYTES_MAX`], since buffers grow by doubling.
    pub fn buffered_bytes(&self) -> usize {
        match &self.state {
            Partial::Head(buffer) => allocated_bytes(buffer.bytes.capacity()),
            Partial::Body(body) => {
                body.request.head_bytes() + allocated_bytes(body.bytes.capacity())
            }
        }
    }

    /// Whether `100 Continue` is to be sent: the client asked for it, its body is acceptable, and
    /// nothing of it has come (RFC 9110, 10.1.1). True once.
    pub fn take_continue(&mut self) -> bool {
        match &mut self.state {
            Partial::Head(_) => false,
            Partial::Body(body) => std::mem::take(&mut body.continue_due),
        }
    }
}

impl Default for Partial {
    fn default() -> Self {
        Self::Head(HeadBuffer::default())
    }
}

/// Shows no byte of a request: it may be part of a secret.
impl fmt::Debug for RequestParser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestParser")
            .field("stage", &self.stage())
            .field("buffered_bytes", &self.buffered_bytes())
            .finish_non_exhaustive()
    }
}

impl HeadBuffer {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.has_carriage_return
    }

    /// Takes in a head; `Some` once it is complete.
    fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Head>, HttpError> {
        if !self.bytes.is_empty() {
            return self.feed_further(input);
        }
        self.skip_empty_lines(input)?;
        let Some(&first) = input.first() else { return Ok(None) };
        // A client that speaks TLS, say, hears about it before a deadline passes.
        if !is_token_byte(first) {
            return Err(HttpError::REQUEST_LINE);
        }
        let piece = &input[..input.len().min(HEAD_BYTES_MAX)];
        let end = self.scan.find_end(piece)?;
        let (piece, rest) = input.split_at(end.unwrap_or(piece.len()));
        *input = rest;
        if end.is_some() {
            return head::parse(piece.into()).map(Some);
        }
        self.bytes.extend_from_slice(piece);
        Ok(None)
    }

    /// Takes in more of a head whose beginning has come before.
    fn feed_further(&mut self, input: &mut &[u8]) -> Result<Option<Head>, HttpError> {
        let before = self.bytes.len();
        let (piece, rest) = input.split_at(input.len().min(HEAD_BYTES_MAX - before));
        self.bytes.extend_from_slice(piece);
        let Some(end) = self.scan.find_end(&self.bytes)? else {
            *input = rest;
            return Ok(None);
        };
        debug_assert!(end > before, "the end would have been found earlier");
        *input = &input[end - before..];
        self.bytes.truncate(end);
        head::parse(std::mem::take(&mut self.bytes).into_boxed_slice()).map(Some)
    }

    /// RFC 9112, 2.2: empty lines in front of a request line are overlooked.
    fn skip_empty_lines(&mut self, input: &mut &[u8]) -> Result<(), HttpError> {
        while let Some((&byte, rest)) = input.split_first() {
            self.has_carriage_return = match (self.has_carriage_return, byte) {
                (_, b'\n') => false,
                (false, b'\r') => true,
                (true, _) => return Err(HttpError::LINE_END),
                (false, _) => return Ok(()),
            };
            *input = rest;
        }
        Ok(())
    }
}

impl Scan {
    /// Where the head that `bytes` begin with ends. `bytes` are those of the call before, with
    /// more behind them, and at most [`HEAD_BYTES_MAX`].
    ///
    /// # Errors
    /// A bound that what has come is beyond already, whatever may follow. The request line is
    /// judged first, so that the answer does not depend on how much came at once.
    fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, HttpError> {
        debug_assert!(self.position <= bytes.len() && bytes.len() <= HEAD_BYTES_MAX);
        while let Some(offset) = bytes[self.position..].iter().position(|byte| *byte == b'\n') {
            let line_feed = self.position + offset;
            if !self.has_request_line {
                check_request_line(&bytes[..line_feed])?;
                self.has_request_line = true;
            }
            self.position = line_feed;
            match bytes[line_feed + 1..] {
                [b'\n', ..] => return Ok(Some(line_feed + 2)),
                [b'\r', b'\n', ..] => return Ok(Some(line_feed + 3)),
                [] | [b'\r'] => return check_unfinished(bytes),
                _ => self.position += 1,
            }
        }
        self.position = bytes.len();
        if !self.has_request_line {
            check_request_line(bytes)?;
        }
        check_unfinished(bytes)
    }
}

/// `line` is a request line, perhaps unfinished, perhaps with its CR.
fn check_request_line(line: &[u8]) -> Result<(), HttpError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > REQUEST_LINE_BYTES_MAX { Err(HttpError::REQUEST_LINE_TOO_LONG) } else { Ok(()) }
}

fn check_unfinished(head: &[u8]) -> Result<Option<usize>, HttpError> {
    if head.len() == HEAD_BYTES_MAX { Err(HttpError::HEAD_TOO_LARGE) } else { Ok(None) }
}

impl BodyBuffer {
    fn new(head: Head) -> Self {
        let end = match head.framing {
            Framing::Length(remaining) => BodyEnd::After { remaining },
            Framing::Chunked => BodyEnd::Chunked(ChunkedDecoder::default()),
        };
        Self { request: head.request, bytes: Vec::new(), end, continue_due: head.expects_continue }
    }

    /// Takes in the body; true once it is complete. Room is made for what has come, never for
    /// what was only announced.
    fn feed(&mut self, input: &mut &[u8]) -> Result<bool, HttpError> {
        self.continue_due &= input.is_empty();
        match &mut self.end {
            BodyEnd::After { remaining } => {
                let (piece, rest) = input.split_at(input.len().min(*remaining));
                self.bytes.extend_from_slice(piece);
                *remaining -= piece.len();
                *input = rest;
                Ok(*remaining == 0)
            }
            BodyEnd::Chunked(decoder) => decoder.feed(input, &mut self.bytes),
        }
    }

    fn into_request(mut self) -> Request {
        debug_assert!(self.bytes.len() <= BODY_BYTES_MAX);
        self.request.body = self.bytes;
        self.request
    }
}
