//! WebSocket frames of a client (RFC 6455, 5.2): writing masked ones, and skipping through the
//! server's. Only the first bytes of a message are looked at; the rest is counted.

/// Bytes of a message that are kept to be looked at.
pub(crate) const HEAD_BYTES_MAX: usize = 256;
/// The longest header of an unmasked frame.
const HEADER_BYTES_MAX: usize = 10;
/// The longest payload of a control frame (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: u64 = 125;

/// Text frame, Close, Ping, Pong.
pub(crate) const TEXT: u8 = 1;
const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
/// The answer to a ping.
pub(crate) const PONG: u8 = 10;

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// The last byte of a message.
    Message {
        /// Its first bytes, at most [`HEAD_BYTES_MAX`].
        head: &'a [u8],
        /// All its bytes.
        bytes: u64,
    },
    /// To be answered with the same payload.
    Ping(&'a [u8]),
    /// An answer.
    Pong,
    /// The end, with a code if there was one.
    Close(Option<u16>),
}

/// The server broke RFC 6455.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a WebSocket frame of a server: {0}")]
pub(crate) struct FrameError(&'static str);

/// Where a stream of frames stands.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    /// The frame whose payload is coming.
    current: Option<Header>,
    /// Of the message under way, if any: its first bytes, and how many there were.
    message: Option<u64>,
    head: Vec<u8>,
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Header {
    is_final: bool,
    opcode: u8,
    payload_left: u64,
}

impl FrameReader {
    /// The next message or control frame in `input` from `at`, which moves on. `None`: all input
    /// is used up.
    ///
    /// # Errors
    /// [`FrameError`]; nothing that follows makes sense then.
    pub(crate) fn next<'a>(
        &'a mut self,
        input: &'a [u8],
        at: &mut usize,
    ) -> Result<Option<Frame<'a>>, FrameError> {
        loop {
            let Some(header) = self.read_header(input, at)? else { return Ok(None) };
            let rest = &input[*at..];
            let count = usize::try_from(header.payload_left).unwrap_or(usize::MAX).min(rest.len());
            let payload = &rest[..count];
            *at += count;
            let left = header.payload_left - count as u64;
            self.current = (left > 0).then_some(Header { payload_left: left, ..header });
            if header.opcode >= CLOSE {
                if left == 0 && self.control.is_empty() {
                    return control(header.opcode, payload).map(Some);
                }
                self.control.extend_from_slice(payload);
                if left == 0 {
                    // Cleared when the next header comes: the frame borrows it until then.
                    return control(header.opcode, &self.control).map(Some);
                }
            } else if let Some(bytes) = self.add(payload, left == 0 && header.is_final) {
                let is_whole = bytes == count as u64;
                let head =
                    if is_whole { &payload[..count.min(HEAD_BYTES_MAX)] } else { &self.head };
                return Ok(Some(Frame::Message { head, bytes }));
            }
        }
    }

    /// Adds a part of a message; the length of the message if that was its end.
    fn add(&mut self, part: &[u8], is_end: bool) -> Option<u64> {
        let before = self.message.unwrap_or(0);
        if before == 0 {
            self.head.clear();
        }
        let bytes = before + part.len() as u64;
        // A message that came whole needs no copy of its head.
        if before > 0 || !is_end {
            let room = HEAD_BYTES_MAX - self.head.len();
            self.head.extend_from_slice(&part[..part.len().min(room)]);
        }
        self.message = (!is_end).then_some(bytes);
        is_end.then_some(bytes)
    }

    /// The header of the current frame, read from `input` if it is not yet known.
    fn read_header(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Header>, FrameError> {
        if let Some(header) = self.current {
            return Ok((*at < input.len()).then_some(header));
        }
        while let Some(byte) = input.get(*at) {
            self.header[self.header_bytes] = *byte;
            self.header_bytes += 1;
            *at += 1;
            if self.header_bytes < 2 || self.header_bytes < header_bytes(self.header[1]) {
                continue;
            }
            let header = self.parse_header()?;
            self.header_bytes = 0;
            if header.opcode >= CLOSE {
                self.control.clear();
            }
            return Ok(Some(header));
        }
        Ok(None)
    }

    fn parse_header(&self) -> Result<Header, FrameError> {
        let [first, second, ..] = self.header;
        let extended = self.header[2..self.header_bytes]
            .iter()
            .fold(0, |length, byte| (length << 8) | u64::from(*byte));
        let payload_left = if second & 0x7f < 126 { u64::from(second & 0x7f) } else { extended };
        let header = Header { is_final: first & 0x80 != 0, opcode: first & 0x0f, payload_left };
        let is_control = header.opcode >= CLOSE;
        let fault = if first & 0x70 != 0 {
            "a reserved bit is set"
        } else if second & 0x80 != 0 {
            "it is masked"
        } else if !matches!(header.opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG) {
            "an unknown opcode"
        } else if is_control && (!header.is_final || payload_left > CONTROL_BYTES_MAX) {
            "a control frame in parts, or too long"
        } else if !is_control && (header.opcode == CONTINUATION) != self.message.is_some() {
            "a message within another, or a part without a beginning"
        } else {
            return Ok(header);
        };
        Err(FrameError(fault))
    }
}

fn header_bytes(second: u8) -> usize {
    match second & 0x7f {
        126 => 4,
        127 => 10,
        _ => 2,
    }
}

fn control(opcode: u8, payload: &[u8]) -> Result<Frame<'_>, FrameError> {
    match (opcode, payload) {
        (PING, _) => Ok(Frame::Ping(payload)),
        (PONG, _) => Ok(Frame::Pong),
        (_, []) => Ok(Frame::Close(None)),
        (_, [high, low, ..]) => Ok(Frame::Close(Some(u16::from_be_bytes([*high, *low])))),
        (_, _) => Err(FrameError("a Close frame with half a code")),
    }
}

/// Appends a masked frame to `out`.
pub(crate) fn write_frame(opcode: u8, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    if let Ok(length @ 0..=125) = u8::try_from(payload.len()) {
        out.push(0x80 | length);
    } else if let Ok(length) = u16::try_from(payload.len()) {
        out.push(0x80 | 0x7e);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(0x80 | 0x7f);
        out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    }
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    for (index, byte) in out[start..].iter_mut().enumerate() {
        *byte ^= mask[index % 4];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a server sends it.
    fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut masked = Vec::new();
        write_frame(first & 0x0f, payload, [0; 4], &mut masked);
        let header = header_bytes(masked[1]);
        let mut frame = masked[..header].to_vec();
        frame[0] = first;
        frame[1] &= 0x7f;
        frame.extend_from_slice(payload);
        frame
    }

    /// Everything in `stream`, given in pieces of at most `piece` bytes.
    fn read(stream: &[u8], piece: usize) -> Vec<String> {
        let mut reader = FrameReader::default();
        let mut seen = Vec::new();
        for input in stream.chunks(piece) {
            let mut at = 0;
            loop {
                match reader.next(input, &mut at) {
                    Ok(None) => break,
                    Ok(Some(Frame::Message { head, bytes })) => {
                        seen.push(format!("{} of {bytes}", String::from_utf8_lossy(head)));
                    }
                    Ok(Some(other)) => seen.push(format!("{other:?}")),
                    Err(error) => {
                        seen.push(error.to_string());
                        return seen;
                    }
                }
            }
        }
        seen
    }

    #[test]
    fn any_split_of_a_stream_gives_the_same() {
        let long = ["long ", &"x".repeat(70_000)].concat();
        let middle = ["middle ", &"y".repeat(300)].concat();
        let stream = [
            server_frame(0x81, b"one"),
            server_frame(0x81, b""),
            server_frame(0x89, b"are you there"),
            server_frame(0x01, b"in "),
            server_frame(0x00, b"three "),
            server_frame(0x8a, b""),
            server_frame(0x80, b"parts"),
            server_frame(0x81, middle.as_bytes()),
            server_frame(0x82, long.as_bytes()),
            server_frame(0x88, b""),
            server_frame(0x88, b"\x03\xf5gone"),
        ]
        .concat();
        let whole = read(&stream, stream.len());
        assert_eq!(whole[0], "one of 3");
        assert_eq!(whole[1], " of 0");
        assert_eq!(whole[2], format!("{:?}", Frame::Ping(b"are you there")));
        assert_eq!(whole[3], "Pong");
        assert_eq!(whole[4], "in three parts of 14");
        assert!(whole[5].starts_with("middle yyy") && whole[5].ends_with(" of 307"));
        assert!(whole[6].starts_with("long xxx") && whole[6].ends_with(" of 70005"));
        assert_eq!(whole[7..], ["Close(None)", "Close(Some(1013))"]);
        for piece in (1..40).chain([255, 256, 257, 1000, 65_536]) {
            assert_eq!(read(&stream, piece), whole, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_no_server_may_send_is_an_error() {
        for bytes in [
            b"\xc1\x01x".as_slice(),
            b"\x81\x81\0\0\0\0x",
            b"\x83\x01x",
            b"\x09\x01x",
            b"\x89\x7e\x00\x7e",
            b"\x80\x01x",
            b"\x01\x01x\x81\x01x",
            b"\x88\x01x",
        ] {
            for piece in [1, bytes.len()] {
                let seen = read(bytes, piece).concat();
                assert!(seen.contains("not a WebSocket frame"), "{bytes:?}: {seen}");
            }
        }
    }

    #[test]
    fn what_is_written_is_masked_and_has_the_right_length() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'a'; length];
            let mut out = Vec::new();
            write_frame(TEXT, &payload, [1, 2, 3, 4], &mut out);
            let header = header_bytes(out[1]);
            assert_eq!(out[header..header + 4], [1, 2, 3, 4]);
            let mut body = out.split_off(header + 4);
            for (index, byte) in body.iter_mut().enumerate() {
                *byte ^= [1, 2, 3, 4][index % 4];
            }
            assert_eq!(body, payload);
            assert_eq!(out[1] & 0x80, 0x80);
        }
    }
}
