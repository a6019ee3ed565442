//! Where frames begin and end in a stream of bytes. Headers are parsed, payloads only counted.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::OpCode;

use crate::ws::close::CloseReason;

/// The longest header of a client's frame: two bytes, a 64-bit length, a masking key (RFC 6455,
/// 5.2).
const HEADER_BYTES_MAX: usize = 14;

/// A place in a stream of frames.
#[derive(Debug, Default)]
pub(super) struct Boundary {
    /// What has come of a header that is not complete yet: the first `header_bytes`.
    header: [u8; HEADER_BYTES_MAX],
    /// Invariant: below [`HEADER_BYTES_MAX`], and 0 within a payload.
    header_bytes: u8,
    /// Bytes of the current payload that are still to come.
    payload_bytes_left: u64,
}

/// How far one call went.
#[derive(Debug)]
pub(super) struct Step {
    /// Bytes that belong to the current frame; at least 1.
    pub(super) bytes: usize,
    /// Kind and payload length of the frame whose header ended here.
    pub(super) header: Option<(OpCode, usize)>,
}

impl Boundary {
    /// No byte of a frame has come whose end has not.
    pub(super) fn is_between_frames(&self) -> bool {
        self.header_bytes == 0 && self.payload_bytes_left == 0
    }

    /// Goes to the end of the current frame, or of `input`, which is not empty.
    ///
    /// # Errors
    ///
    /// The header has an opcode that does not exist.
    #[expect(clippy::cast_possible_truncation, reason = "header lengths are at most 14")]
    pub(super) fn advance(&mut self, input: &[u8]) -> Result<Step, CloseReason> {
        debug_assert!(!input.is_empty());
        if self.payload_bytes_left > 0 {
            return Ok(Step { bytes: self.skip_payload(input), header: None });
        }
        let known = usize::from(self.header_bytes);
        let copied = input.len().min(HEADER_BYTES_MAX - known);
        self.header[known..known + copied].copy_from_slice(&input[..copied]);
        let mut cursor = Cursor::new(&self.header[..known + copied]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|error| CloseReason::from(&error))?;
        let Some((header, payload_bytes)) = parsed else {
            debug_assert_eq!(copied, input.len(), "no header is longer than the longest");
            self.header_bytes += copied as u8;
            return Ok(Step { bytes: copied, header: None });
        };
        // It ends behind what was known of it, or it would have been complete before.
        let header_bytes = cursor.position() as usize - known;
        self.header_bytes = 0;
        self.payload_bytes_left = payload_bytes;
        let payload_bytes = usize::try_from(payload_bytes).unwrap_or(usize::MAX);
        Ok(Step {
            bytes: header_bytes + self.skip_payload(&input[header_bytes..]),
            header: Some((header.opcode, payload_bytes)),
        })
    }

    fn skip_payload(&mut self, input: &[u8]) -> usize {
        let left = usize::try_from(self.payload_bytes_left).unwrap_or(usize::MAX);
        let skipped = left.min(input.len());
        self.payload_bytes_left -= skipped as u64;
        skipped
    }
}
