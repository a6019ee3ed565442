//! The chunked transfer coding (RFC 9112, 7.1), decoded from pieces of any size.
//!
//! Line ends are CRLF and nothing else here: a single LF, which the head may have, is where
//! readers of chunks have disagreed to the harm of those behind them. Extensions and trailer
//! fields are checked and thrown away; nothing in this server asks for one.

use super::error::HttpError;
use super::limits::{
    BODY_BYTES_MAX, CHUNK_EXTENSION_BYTES_MAX, CHUNK_SIZE_DIGITS_MAX, TRAILER_BYTES_MAX,
};
use super::syntax::{hex_digit, is_field_byte, is_token_byte};

/// Where in a chunked body a decoder is.
#[derive(Debug, Default)]
pub(super) struct ChunkedDecoder {
    state: ChunkPart,
    /// Bytes of extensions so far.
    extension_bytes: usize,
    /// Bytes of trailer fields so far.
    trailer_bytes: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum ChunkPart {
    /// A digit of a chunk's size, of which `digits` were seen.
    Size { size: u64, digits: u8 },
    /// Blanks after a size, up to the `;` of an extension.
    ExtensionStart { size: usize },
    /// A byte of an extension, or the CR after it.
    Extension { size: usize },
    /// The LF that ends a size line.
    SizeLineFeed { size: usize },
    /// A chunk's data.
    Data { remaining: usize },
    /// The CR behind it.
    DataReturn,
    /// The LF behind it.
    DataLineFeed,
    /// A trailer field, or the CR of the empty line that ends the body.
    FieldStart,
    /// The rest of a trailer field's name.
    FieldName,
    /// A trailer field's value.
    FieldValue,
    /// The LF that ends a trailer field.
    FieldLineFeed,
    /// The LF that ends the body.
    LastLineFeed,
    /// Nothing: the body is complete.
    End,
}

impl Default for ChunkPart {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

impl ChunkedDecoder {
    /// Decodes `input`, which shrinks by what was used, onto the end of `body`. True once the
    /// body is complete; what follows is left in `input`.
    ///
    /// # Errors
    /// What is malformed, or which bound was passed. Bounds count before anything is kept.
    pub(super) fn feed(
        &mut self,
        input: &mut &[u8],
        body: &mut Vec<u8>,
    ) -> Result<bool, HttpError> {
        while !matches!(self.state, ChunkPart::End) {
            if let ChunkPart::Data { remaining } = self.state {
                let (data, rest) = input.split_at(remaining.min(input.len()));
                body.extend_from_slice(data);
                *input = rest;
                self.state = match remaining - data.len() {
                    0 => ChunkPart::DataReturn,
                    remaining => ChunkPart::Data { remaining },
                };
            }
            let Some((&byte, rest)) = input.split_first() else { return Ok(false) };
            self.state = match self.state {
                ChunkPart::FieldStart
                | ChunkPart::FieldName
                | ChunkPart::FieldValue
                | ChunkPart::FieldLineFeed
                | ChunkPart::LastLineFeed => self.trailer_byte(byte)?,
                _ => self.framing_byte(byte, body.len())?,
            };
            *input = rest;
        }
        Ok(true)
    }

    /// The state after `byte`, which belongs to a size line or ends a chunk's data.
    fn framing_byte(&mut self, byte: u8, body_bytes: usize) -> Result<ChunkPart, HttpError> {
        match (self.state, byte) {
            (ChunkPart::Size { size, digits }, byte) => match hex_digit(byte) {
                Some(_) if digits == CHUNK_SIZE_DIGITS_MAX => Err(HttpError::CHUNK),
                Some(digit) => {
                    Ok(ChunkPart::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
                }
                None if digits == 0 => Err(HttpError::CHUNK),
                None => self.after_size(checked_size(size, body_bytes)?, byte),
            },
            (ChunkPart::ExtensionStart { size }, b' ' | b'\t' | b';') => {
                self.after_size(size, byte)
            }
            (ChunkPart::Extension { size }, b'\r') => Ok(ChunkPart::SizeLineFeed { size }),
            (ChunkPart::Extension { .. }, byte) if is_field_byte(byte) => {
                self.count_extension_byte()?;
                Ok(self.state)
            }
            (ChunkPart::SizeLineFeed { size: 0 }, b'\n') => Ok(ChunkPart::FieldStart),
            (ChunkPart::SizeLineFeed { size }, b'\n') => Ok(ChunkPart::Data { remaining: size }),
            (ChunkPart::DataReturn, b'\r') => Ok(ChunkPart::DataLineFeed),
            (ChunkPart::DataLineFeed, b'\n') => Ok(ChunkPart::default()),
            _ => Err(HttpError::CHUNK),
        }
    }

    /// The state after `byte`, which follows a size, or blanks behind one.
    fn after_size(&mut self, size: usize, byte: u8) -> Result<ChunkPart, HttpError> {
        match byte {
            b'\r' => Ok(ChunkPart::SizeLineFeed { size }),
            b' ' | b'\t' => {
                self.count_extension_byte()?;
                Ok(ChunkPart::ExtensionStart { size })
            }
            b';' => {
                self.count_extension_byte()?;
                Ok(ChunkPart::Extension { size })
            }
            _ => Err(HttpError::CHUNK),
        }
    }

    /// The state after `byte`, which belongs to the trailer section.
    fn trailer_byte(&mut self, byte: u8) -> Result<ChunkPart, HttpError> {
        if !matches!(
            (self.state, byte),
            (ChunkPart::FieldStart, b'\r') | (ChunkPart::LastLineFeed, _)
        ) {
            self.trailer_bytes += 1;
            if self.trailer_bytes > TRAILER_BYTES_MAX {
                return Err(HttpError::TRAILERS_TOO_LARGE);
            }
        }
        match (self.state, byte) {
            (ChunkPart::FieldStart, b'\r') => Ok(ChunkPart::LastLineFeed),
            (ChunkPart::LastLineFeed, b'\n') => Ok(ChunkPart::End),
            (ChunkPart::FieldStart | ChunkPart::FieldName, byte) if is_token_byte(byte) => {
                Ok(ChunkPart::FieldName)
            }
            (ChunkPart::FieldName, b':') => Ok(ChunkPart::FieldValue),
            (ChunkPart::FieldValue, b'\r') => Ok(ChunkPart::FieldLineFeed),
            (ChunkPart::FieldValue, byte) if is_field_byte(byte) => Ok(ChunkPart::FieldValue),
            (ChunkPart::FieldLineFeed, b'\n') => Ok(ChunkPart::FieldStart),
            _ => Err(HttpError::TRAILER),
        }
    }

    fn count_extension_byte(&mut self) -> Result<(), HttpError> {
        self.extension_bytes += 1;
        if self.extension_bytes > CHUNK_EXTENSION_BYTES_MAX {
            return Err(HttpError::CHUNK_EXTENSIONS_TOO_LARGE);
        }
        Ok(())
    }
}

/// `size`, if a body that has `body_bytes` already may grow by that.
fn checked_size(size: u64, body_bytes: usize) -> Result<usize, HttpError> {
    debug_assert!(body_bytes <= BODY_BYTES_MAX);
    usize::try_from(size)
        .ok()
        .filter(|size| *size <= BODY_BYTES_MAX - body_bytes)
        .ok_or(HttpError::BODY_TOO_LARGE)
}
