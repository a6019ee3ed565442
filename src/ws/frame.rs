//! Frames as the server sends them: whole, unmasked, without extensions (RFC 6455, 5.1 and 5.2).
//!
//! An unmasked frame is the same for every recipient, so it is encoded once and its bytes serve all
//! of them.

use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::close::{CloseReason, REASON_BYTES_MAX};
use crate::base::memory::MemoryBudget;

/// A ping without payload: all that keeping a connection honest needs.
pub const PING_FRAME: &[u8] = &[0x89, 0x00];

/// Frames up to this length are copied into each queue, longer ones shared. Sharing costs two
/// atomic operations, a place in the queue, a slice of its own in the write and a fresh chunk for
/// what follows, together about as much as copying 2 KiB; and a copy of 2 KiB for each of a
/// thousand recipients is still only 2 MiB.
const COPY_BYTES_MAX: usize = 2 * 1024;

/// The longest header that the server writes: two bytes and a 64-bit length.
const HEADER_BYTES_MAX: usize = 10;

/// A scratch buffer that grew beyond this for one big frame is given back.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

/// A whole encoded message, for any number of recipients.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    pub(crate) bytes: FrameBytes<'a>,
    /// It may wait a few milliseconds for others.
    pub(crate) can_wait: bool,
    /// It takes the place of an older one of its kind of which nothing was sent yet.
    pub(crate) replaces_older: bool,
}

/// The bytes of a [`Frame`], as a queue should keep them.
#[derive(Clone, Debug)]
pub(crate) enum FrameBytes<'a> {
    /// To be copied: they are in the buffer in which they were encoded.
    Copied(&'a [u8]),
    /// To be shared by all queues.
    Shared(Bytes),
}

impl<'a> Frame<'a> {
    /// A text frame. `write` appends the payload, which must be UTF-8, and leaves what is there as
    /// it is. A frame of at most 2 KiB stays in `scratch`, whatever that held before, and allocates
    /// only when `scratch` has to grow; a longer one becomes a buffer of its own, which counts
    /// against `budget` until the last queue has sent it.
    pub fn text(
        scratch: &'a mut Vec<u8>,
        budget: &MemoryBudget,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Self {
        let start = encode(Data::Text, scratch, write);
        Self::encoded(scratch, start, budget)
    }

    /// A binary frame, otherwise as [`text`](Self::text).
    pub fn binary(
        scratch: &'a mut Vec<u8>,
        budget: &MemoryBudget,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Self {
        let start = encode(Data::Binary, scratch, write);
        Self::encoded(scratch, start, budget)
    }

    /// `frame`, a whole one, which is the newest of its kind: it takes the place of an older one of
    /// which nothing was sent yet.
    pub fn latest(frame: Bytes) -> Self {
        Self { replaces_older: true, ..Self::of(FrameBytes::Shared(frame)) }
    }

    /// `frames`, which are one or more whole frames already.
    pub(crate) fn whole(frames: &'a [u8]) -> Self {
        Self::of(FrameBytes::Copied(frames))
    }

    /// The same frame, which may wait a few milliseconds for others if it is small: a big one saves
    /// no write by it.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { can_wait: matches!(self.bytes, FrameBytes::Copied(_)), ..self }
    }

    /// All of its bytes.
    pub fn as_slice(&self) -> &[u8] {
        match &self.bytes {
            FrameBytes::Copied(bytes) => bytes,
            FrameBytes::Shared(bytes) => bytes,
        }
    }

    fn of(bytes: FrameBytes<'a>) -> Self {
        Self { bytes, can_wait: false, replaces_older: false }
    }

    /// What [`encode`] left in `scratch` from `start` on.
    fn encoded(scratch: &'a mut Vec<u8>, start: usize, budget: &MemoryBudget) -> Self {
        if scratch.len() - start <= COPY_BYTES_MAX {
            return Self::whole(&scratch[start..]);
        }
        let shared = budget.counted_bytes(scratch[start..].to_vec());
        if scratch.capacity() > SCRATCH_BYTES_MAX {
            *scratch = Vec::new();
        }
        Self::of(FrameBytes::Shared(shared))
    }
}

/// Appends a Close frame to `out`. A text that is too long for a control frame is cut between two
/// characters.
pub fn close_frame(reason: CloseReason, out: &mut Vec<u8>) {
    let mut text = reason.text();
    while text.len() > REASON_BYTES_MAX {
        text = text.split_at(text.len() - text.chars().next_back().map_or(1, char::len_utf8)).0;
    }
    let code = reason.code().to_be_bytes();
    push_header(OpCode::Control(Control::Close), code.len() + text.len(), out);
    out.extend_from_slice(&code);
    out.extend_from_slice(text.as_bytes());
}

/// The length of the header that the server puts in front of `payload_bytes` bytes.
pub(crate) fn header_bytes(payload_bytes: usize) -> usize {
    header(OpCode::Data(Data::Text)).len(payload_bytes as u64)
}

/// Appends the header of a text frame with `payload_bytes` bytes of payload to `out`.
pub(crate) fn push_text_header(payload_bytes: usize, out: &mut Vec<u8>) {
    push_header(OpCode::Data(Data::Text), payload_bytes, out);
}

/// The payload of `frame`, which is one whole frame of the server's; `None` if it is not.
pub(crate) fn payload(frame: &[u8]) -> Option<&[u8]> {
    let mut cursor = std::io::Cursor::new(frame);
    let (_, payload_bytes) = FrameHeader::parse(&mut cursor).ok()??;
    let payload = frame.get(usize::try_from(cursor.position()).ok()?..)?;
    (payload.len() as u64 == payload_bytes).then_some(payload)
}

/// Encodes a frame into `scratch`, and returns where it begins there. The payload goes behind room
/// for the longest header, and the header right in front of the payload once its length is known:
/// nothing is moved.
fn encode(data: Data, scratch: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> usize {
    scratch.clear();
    scratch.extend_from_slice(&[0; HEADER_BYTES_MAX]);
    write(scratch);
    debug_assert!(scratch.len() >= HEADER_BYTES_MAX, "`write` removed what it did not append");
    let payload_bytes = (scratch.len() - HEADER_BYTES_MAX) as u64;
    let header = header(OpCode::Data(data));
    let start = HEADER_BYTES_MAX - header.len(payload_bytes);
    let mut place = &mut scratch[start..HEADER_BYTES_MAX];
    let written = header.format(payload_bytes, &mut place);
    debug_assert!(written.is_ok() && place.is_empty(), "the place is as long as the header");
    start
}

fn push_header(opcode: OpCode, payload_bytes: usize, out: &mut Vec<u8>) {
    let written = header(opcode).format(payload_bytes as u64, out);
    debug_assert!(written.is_ok(), "a vector takes everything");
}

fn header(opcode: OpCode) -> FrameHeader {
    FrameHeader { opcode, ..FrameHeader::default() }
}

#[cfg(test)]
mod tests {
    use tungstenite::protocol::CloseFrame;
    use tungstenite::protocol::frame::Frame as Theirs;

    use super::*;
    use crate::base::memory::allocated_bytes;

    fn by_tungstenite(frame: Theirs) -> Vec<u8> {
        let mut out = Vec::new();
        frame.format(&mut out).expect("a vector takes everything");
        out
    }

    #[test]
    fn frames_are_those_of_tungstenite_at_every_boundary_of_the_length() {
        let mut scratch = b"left over".to_vec();
        for length in [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537, 1 << 20] {
            let payload = vec![b'x'; length];
            let mut check = |data, ours: fn(&mut Vec<u8>, &[u8]) -> Vec<u8>| {
                let theirs = Theirs::message(payload.clone(), OpCode::Data(data), true);
                assert_eq!(ours(&mut scratch, &payload), by_tungstenite(theirs), "{length}");
            };
            check(Data::Text, |scratch, payload| {
                let frame = Frame::text(scratch, &budget(), |out| out.extend_from_slice(payload));
                frame.as_slice().to_vec()
            });
            check(Data::Binary, |scratch, payload| {
                let frame = Frame::binary(scratch, &budget(), |out| out.extend_from_slice(payload));
                frame.as_slice().to_vec()
            });
            let mut front = Vec::new();
            push_text_header(length, &mut front);
            assert_eq!(front.len(), header_bytes(length));
            front.extend_from_slice(&payload);
            let start = encode(Data::Text, &mut scratch, |out| out.extend_from_slice(&payload));
            assert_eq!(scratch[start..], front);
            assert_eq!(super::payload(&front), Some(payload.as_slice()));
            assert_eq!(super::payload(&front[..front.len() - 1]), None);
        }
    }

    fn budget() -> MemoryBudget {
        MemoryBudget::new(1 << 30)
    }

    #[test]
    fn small_frames_stay_in_the_scratch_buffer_and_big_ones_are_shared_and_counted() {
        let (mut scratch, budget) = (Vec::new(), budget());
        let header = header_bytes(COPY_BYTES_MAX);
        for (payload_bytes, is_shared) in [
            (0, false),
            (COPY_BYTES_MAX - header, false),
            (COPY_BYTES_MAX - header + 1, true),
            (2 * SCRATCH_BYTES_MAX, true),
        ] {
            let write = |out: &mut Vec<u8>| out.resize(out.len() + payload_bytes, b' ');
            let frame = Frame::text(&mut scratch, &budget, write);
            let bytes = frame.as_slice().len();
            assert_eq!(matches!(frame.bytes, FrameBytes::Shared(_)), is_shared);
            assert_eq!(budget.used(), if is_shared { allocated_bytes(bytes) } else { 0 });
            drop(frame);
            assert_eq!(budget.used(), 0);
        }
        assert_eq!(scratch.capacity(), 0, "what one big frame needed is given back");
    }

    #[test]
    fn the_scratch_buffer_is_allocated_once() {
        let mut scratch = Vec::with_capacity(HEADER_BYTES_MAX + 300);
        let at = scratch.as_ptr();
        for length in [300, 0, 126, 300] {
            let write = |out: &mut Vec<u8>| out.resize(out.len() + length, b' ');
            let start = encode(Data::Text, &mut scratch, write);
            assert_eq!(scratch.len() - start, length + header_bytes(length));
        }
        assert_eq!(scratch.as_ptr(), at);
    }

    #[test]
    fn control_frames_are_those_of_tungstenite() {
        assert_eq!(PING_FRAME, by_tungstenite(Theirs::ping(Vec::new())));
        let reasons = [CloseReason::Normal, CloseReason::TooSlow, CloseReason::Policy("กฎ")];
        for reason in reasons {
            let mut ours = b"before".to_vec();
            close_frame(reason, &mut ours);
            let close = CloseFrame { code: reason.code().into(), reason: reason.text().into() };
            assert_eq!(ours[6..], by_tungstenite(Theirs::close(Some(close))));
        }
    }

    #[test]
    fn a_close_reason_is_cut_to_fit_between_two_characters() {
        // 121 bytes, and then three-byte characters of which none fits.
        const LONG: &str = concat!(
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaกกก",
        );
        let mut frame = Vec::new();
        close_frame(CloseReason::Policy(LONG), &mut frame);
        assert_eq!(frame[..4], [0x88, 123, 0x03, 0xf0]);
        assert_eq!(&frame[4..], &LONG.as_bytes()[..121]);
    }
}
