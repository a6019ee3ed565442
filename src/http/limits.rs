//! How much of a message is read: every bound of the parsers, and how they relate.

/// Bytes of a head: request line, fields, and the empty line behind them.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a request line, without its line end.
pub const REQUEST_LINE_BYTES_MAX: usize = 8 * 1024;
/// Fields in a head.
pub const HEADERS_MAX: usize = 64;
/// Bytes of a body, without the framing of chunks (protocol, section 3).
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all chunk extensions of one body.
pub const CHUNK_EXTENSION_BYTES_MAX: usize = 4 * 1024;
/// Bytes of all trailer fields of one body, line ends included.
pub const TRAILER_BYTES_MAX: usize = 4 * 1024;
/// Digits of a chunk size, leading zeros included.
pub(super) const CHUNK_SIZE_DIGITS_MAX: u8 = 16;
/// Bytes of an `Origin` that is kept for the answer: scheme, the longest name there is, port.
pub(super) const ORIGIN_BYTES_MAX: usize = 512;

// A request line that is too long is told apart from a head that is.
const _: () = assert!(REQUEST_LINE_BYTES_MAX < HEAD_BYTES_MAX);
// A mark in a head has 16 bits.
const _: () = assert!(HEAD_BYTES_MAX <= u16::MAX as usize);
// A trailer section is no larger than the head that it belongs to could be.
const _: () = assert!(TRAILER_BYTES_MAX <= HEAD_BYTES_MAX);
// A size of that many hexadecimal digits cannot overflow.
const _: () = assert!(CHUNK_SIZE_DIGITS_MAX as u32 * 4 <= u64::BITS);
