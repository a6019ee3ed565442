//! A connection that speaks WebSocket, from its bytes to its messages, by our decoder and, for a
//! second opinion, by tungstenite alone.

use std::io::{self, Read, Write};

use super::pieces;
use sync_server::ws::{CloseReason, Decoder, DecoderPool, Incoming};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

/// How long a message may be: around the lengths at which headers and control frames change.
pub(crate) const LIMITS: [usize; 8] = [0, 1, 125, 126, 300, 4_096, 65_536, 1 << 20];

/// What a decoder may hold beyond the bytes that came: the context, a buffer for what a header has
/// only announced, and what the allocator rounds up to.
const HELD_BYTES_SPARE: usize = 24 * 1024;

/// What came of a stream: the messages, the frames sent back, how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) incoming: Vec<Incoming>,
    pub(crate) replies: Vec<u8>,
    pub(crate) error: Option<CloseReason>,
}

/// A connection with its decoder.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    decoder: Decoder,
    bytes: usize,
    outcome: Outcome,
}

impl Peer {
    pub(crate) fn receive(
        &mut self,
        pool: &mut DecoderPool,
        mut piece: &[u8],
        message_bytes_max: usize,
    ) {
        self.bytes += piece.len();
        loop {
            let replies = &mut self.outcome.replies;
            match self.decoder.next(pool, &mut piece, message_bytes_max, replies) {
                Ok(Some(incoming)) => self.outcome.incoming.push(incoming),
                Ok(None) => break,
                Err(reason) => {
                    assert_eq!(self.outcome.error.replace(reason), None, "a second error");
                }
            }
        }
        assert!(piece.is_empty(), "without a message nothing is left over");
        // Its fragments, whose buffer is doubled and rounded up to a size class, and a read buffer
        // that had to take the longest of them.
        assert!(self.decoder.held_bytes() <= 3 * self.bytes + HELD_BYTES_SPARE);
        let is_over = self.outcome.error.is_some()
            || matches!(self.outcome.incoming.last(), Some(Incoming::Close(_)));
        assert!(!is_over || self.decoder.held_bytes() == 0, "the dead hold nothing");
    }

    /// We have sent our Close.
    pub(crate) fn close(&mut self) {
        self.decoder.discard_until_close();
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        self.outcome
    }
}

/// What comes of `pieces`.
pub(crate) fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    message_bytes_max: usize,
) -> Outcome {
    let mut pool = DecoderPool::default();
    let mut peer = Peer::default();
    for piece in pieces {
        peer.receive(&mut pool, piece, message_bytes_max);
    }
    peer.into_outcome()
}

/// What comes of a stream after whose first `before` bytes we have sent our Close.
fn decode_closing(
    stream: &[u8],
    before: usize,
    lengths: &[u8],
    message_bytes_max: usize,
) -> Outcome {
    let mut pool = DecoderPool::default();
    let mut peer = Peer::default();
    let (first, second) = stream.split_at(before);
    for piece in pieces(first, lengths) {
        peer.receive(&mut pool, piece, message_bytes_max);
    }
    peer.close();
    for piece in pieces(second, lengths) {
        peer.receive(&mut pool, piece, message_bytes_max);
    }
    peer.into_outcome()
}

/// Checks a stream in every cut. Of `input` the first byte chooses how long a message may be, the
/// second after how many bytes we close, the next four are the lengths of [`pieces`], and the rest
/// is the stream.
pub(crate) fn check_input(input: &[u8]) {
    let Some(([limit, before, lengths @ ..], stream)) = input.split_first_chunk::<6>() else {
        return;
    };
    let message_bytes_max = LIMITS[usize::from(*limit) % LIMITS.len()];
    check_stream(stream, lengths, message_bytes_max);
    check_closing(stream, stream.len().min(usize::from(*before)), lengths, message_bytes_max);
}

/// However `stream` is cut, and whoever is read beside it, it comes to what tungstenite says.
pub(crate) fn check_stream(stream: &[u8], lengths: &[u8], message_bytes_max: usize) {
    let whole = decode([stream], message_bytes_max);
    assert_eq!(decode(stream.chunks(1), message_bytes_max), whole, "byte by byte");
    assert_eq!(decode_by_tungstenite(stream, message_bytes_max), whole, "by tungstenite");
    // Two that are read in turns, so that each has the spare parts of the other.
    let mut pool = DecoderPool::default();
    let mut peers = [Peer::default(), Peer::default()];
    for piece in pieces(stream, lengths) {
        for peer in &mut peers {
            peer.receive(&mut pool, piece, message_bytes_max);
        }
    }
    for peer in peers {
        assert_eq!(peer.into_outcome(), whole, "in pieces");
    }
}

/// Once we have sent our Close nothing is answered, and nothing is heard but the peer's.
pub(crate) fn check_closing(
    stream: &[u8],
    before: usize,
    lengths: &[u8],
    message_bytes_max: usize,
) {
    let whole = decode_closing(stream, before, &[], message_bytes_max);
    let in_pieces = decode_closing(stream, before, lengths, message_bytes_max);
    assert_eq!(in_pieces, whole, "in pieces");
    let heard_before = decode([&stream[..before]], message_bytes_max);
    assert_eq!(whole.replies, heard_before.replies, "nothing is answered any more");
    let heard_after = &whole.incoming[heard_before.incoming.len()..];
    assert!(matches!(heard_after, [] | [Incoming::Close(None)]), "{heard_after:?}");
}

/// What tungstenite makes of `stream`, all at once and without our decoder around it.
fn decode_by_tungstenite(stream: &[u8], message_bytes_max: usize) -> Outcome {
    let config = WebSocketConfig::default()
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max));
    let mut context = WebSocketContext::new(Role::Server, Some(config));
    let mut memory = Memory { input: stream, output: Vec::new() };
    let mut outcome = Outcome::default();
    loop {
        let incoming = match context.read(&mut memory) {
            Ok(Message::Text(text)) => Incoming::Text(text),
            Ok(Message::Binary(bytes)) => Incoming::Binary(bytes),
            Ok(Message::Ping(_)) => Incoming::Ping,
            Ok(Message::Pong(_)) => Incoming::Pong,
            Ok(Message::Close(close)) => Incoming::Close(close.map(|close| close.code.into())),
            Ok(Message::Frame(_)) => panic!("tungstenite documents that a read returns no frame"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => {
                outcome.error = Some(CloseReason::from(&error));
                break;
            }
        };
        let is_close = matches!(incoming, Incoming::Close(_));
        outcome.incoming.push(incoming);
        if is_close {
            break;
        }
    }
    // Its answer to a Close waits for this; it says that the connection has ended by an error.
    let _is_over = context.flush(&mut memory);
    outcome.replies = memory.output;
    outcome
}

/// `messages` as a client sends them.
pub(crate) fn encode_by_tungstenite(messages: &[Message]) -> Vec<u8> {
    let mut client = WebSocketContext::new(Role::Client, None);
    let mut memory = Memory { input: &[], output: Vec::new() };
    for message in messages {
        client.write(&mut memory, message.clone()).expect("memory takes everything");
        client.flush(&mut memory).expect("memory takes everything");
    }
    memory.output
}

/// A stream that has so much to read, and no end.
struct Memory<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl Read for Memory<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
