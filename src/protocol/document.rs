//! A room's document between its two forms: the frame that every reader is sent, and the text
//! that is stored.
//!
//! The frame is made once, when the document comes, and lasts as long as the document does: a
//! hundred readers of 4 MiB share 4 MiB.

use std::io;

use serde::Deserializer;
use serde::de::{Error, Visitor};

use crate::base::memory::MemoryBudget;
use crate::rooms::{Document, RawJson};
use crate::ws;

/// The message around a document.
const PREFIX: &[u8] = br#"{"type":"document_sync","document":"#;
const SUFFIX: &[u8] = b"}";

/// What stands around a text as a JSON string.
const QUOTES: &[u8] = br#""""#;

/// The bytes are not the frame of a document. The server is to blame: frames are made here only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the frame of a document")]
pub struct MalformedDocument;

/// The frame of a document has more bytes than there is memory set aside for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargerDocument {
    /// So many it has.
    pub bytes: usize,
}

/// Makes the frame of `document`, a JSON string with its quotes and escapes, which readers get as
/// it came. The frame is one buffer of exactly its size, and counts against `budget` while
/// it is held anywhere.
pub fn encode_document(document: RawJson<'_>, budget: &MemoryBudget) -> Document {
    debug_assert!(document.0.starts_with('"'), "a document is a string");
    frame(document.0.len(), budget, |out| out.extend_from_slice(document.0.as_bytes()))
}

/// Makes the frame of a document that was stored as `text`, likewise, if it has no more than
/// `bytes_max` bytes. It takes time in proportion to the text.
///
/// # Errors
///
/// [`LargerDocument`]: it has more.
pub fn document_from_text(
    text: &str,
    bytes_max: usize,
    budget: &MemoryBudget,
) -> Result<Document, LargerDocument> {
    let mut literal = Length(0);
    let written = serde_json::to_writer(&mut literal, text);
    debug_assert!(written.is_ok(), "every string has a JSON form, and a length takes it");
    let bytes = frame_bytes(literal.0);
    if bytes > bytes_max {
        return Err(LargerDocument { bytes });
    }
    Ok(frame(literal.0, budget, |out| write_string(text, out)))
}

/// Bytes of the frame of a document that is stored as `text_bytes` bytes. If something in it has to
/// be escaped, they are more.
pub fn document_frame_bytes(text_bytes: usize) -> usize {
    frame_bytes(QUOTES.len() + text_bytes)
}

/// The text of `document`, as it is stored. Takes time in proportion to it. A lone half of a
/// surrogate pair, which JavaScript can send and UTF-8 cannot hold, becomes U+FFFD.
///
/// # Errors
///
/// Only if `document` was not made by this module.
pub fn document_text(document: &Document) -> Result<String, MalformedDocument> {
    let literal = message(document)
        .and_then(|message| message.strip_prefix(PREFIX))
        .and_then(|message| message.strip_suffix(SUFFIX))
        .ok_or(MalformedDocument)?;
    let mut json = serde_json::Deserializer::from_slice(literal);
    let mut text = json.deserialize_bytes(StringBytes).map_err(|_| MalformedDocument)?;
    json.end().map_err(|_| MalformedDocument)?;
    replace_surrogates(&mut text);
    String::from_utf8(text).map_err(|_| MalformedDocument)
}

/// The frame of a document whose JSON string, of `literal_bytes` bytes, `write` appends.
fn frame(
    literal_bytes: usize,
    budget: &MemoryBudget,
    write: impl FnOnce(&mut Vec<u8>),
) -> Document {
    let mut frame = Vec::with_capacity(frame_bytes(literal_bytes));
    ws::push_text_header(payload_bytes(literal_bytes), &mut frame);
    frame.extend_from_slice(PREFIX);
    write(&mut frame);
    frame.extend_from_slice(SUFFIX);
    debug_assert_eq!(frame.len(), frame_bytes(literal_bytes), "it is as long as was worked out");
    Document(budget.counted_bytes(frame))
}

/// Bytes of the frame of a document whose JSON string has `literal_bytes` bytes.
fn frame_bytes(literal_bytes: usize) -> usize {
    let payload_bytes = payload_bytes(literal_bytes);
    ws::header_bytes(payload_bytes) + payload_bytes
}

/// Bytes of the message in it.
fn payload_bytes(literal_bytes: usize) -> usize {
    PREFIX.len() + literal_bytes + SUFFIX.len()
}

/// The JSON text of the message in `document`'s frame.
pub(super) fn message(document: &Document) -> Option<&[u8]> {
    ws::payload(&document.0)
}

/// Appends `text` as a JSON string. Names are nearly always plain and then copied as they are;
/// `serde_json` escapes the others.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        let written = serde_json::to_writer(out, text);
        debug_assert!(written.is_ok(), "every string has a JSON form, a vector takes it");
    }
}

/// Takes text and keeps only how long it is, in bytes.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a JSON string as bytes: unlike for a `String`, `serde_json` then lets a lone surrogate
/// pass, as the three bytes that UTF-8 would have for it if it had any (WTF-8).
struct StringBytes;

impl Visitor<'_> for StringBytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

/// Puts U+FFFD in the place of every surrogate, which luckily takes three bytes too.
fn replace_surrogates(text: &mut [u8]) {
    // In UTF-8 what follows 0xED is below 0xA0; only surrogates have more. 0xED is no
    // continuation byte, so it never stands within another character.
    for at in 0..text.len().saturating_sub(2) {
        if text[at] == 0xed && text[at + 1] >= 0xa0 {
            text[at..at + 3].copy_from_slice("\u{fffd}".as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::allocated_bytes;

    fn budget() -> MemoryBudget {
        MemoryBudget::new(1 << 30)
    }

    #[test]
    fn readers_get_the_literal_as_it_came() {
        let document = encode_document(RawJson(r#""a\/ก\u0e01\ud800""#), &budget());
        let expected = r#"{"type":"document_sync","document":"a\/ก\u0e01\ud800"}"#;
        assert_eq!(document.0[0], 0x81, "a whole text frame");
        assert_eq!(message(&document), Some(expected.as_bytes()));
    }

    #[test]
    fn text_comes_back_from_the_store_as_it_went() {
        let lengths = [0, 1, 85, 86, 87, 65_400, 65_494, 65_495, 65_496, 65_497, 70_000];
        let mut texts: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
        texts.push("\"\\\u{0}\u{1f}\u{7f}\n\u{2028}กข\u{d7ff}\u{e000}\u{fffd}\u{1f600}".into());
        texts.push("\\\"\u{1}".repeat(40_000));
        for text in texts {
            let document = document_from_text(&text, usize::MAX, &budget()).expect("any");
            assert_eq!(document_text(&document).as_ref(), Ok(&text));
            let is_plain = !text.contains(['"', '\\', '\n', '\u{0}', '\u{1}']);
            let expected = document_frame_bytes(text.len());
            assert!(document.0.len() > expected || (is_plain && document.0.len() == expected));
            let message: serde_json::Value =
                serde_json::from_slice(message(&document).expect("a frame")).unwrap();
            assert_eq!(message["document"], text);
        }
    }

    #[test]
    fn escapes_are_undone_and_lone_surrogates_replaced() {
        let table = [
            (r#""""#, ""),
            (r#""\"\\\/\b\f\n\r\tA\u0e01""#, "\"\\/\u{8}\u{c}\n\r\tAก"),
            (r#""\ud83d\ude00""#, "\u{1f600}"),
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""a\ude00b""#, "a\u{fffd}b"),
            (r#""\ud83d\ud83d\ude00\ude00""#, "\u{fffd}\u{1f600}\u{fffd}"),
            (r#""\ud83dx\ud7ff퟿""#, "\u{fffd}x\u{d7ff}\u{d7ff}"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
        ];
        for (literal, text) in table {
            let document = encode_document(RawJson(literal), &budget());
            assert_eq!(document_text(&document).as_deref(), Ok(text), "{literal}");
        }
    }

    #[test]
    fn a_document_is_one_buffer_of_its_size_however_many_hold_it() {
        let budget = budget();
        let document = encode_document(RawJson(r#""12345""#), &budget);
        let clones = vec![document.clone(); 100];
        assert_eq!(budget.used(), allocated_bytes(document.0.len()));
        drop((document, clones));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_not_a_document_has_no_text() {
        let frame = |payload: &str| {
            let mut frame = Vec::new();
            ws::push_text_header(payload.len(), &mut frame);
            frame.extend_from_slice(payload.as_bytes());
            frame
        };
        let good = frame(r#"{"type":"document_sync","document":"x"}"#);
        assert_eq!(document_text(&Document(good.clone().into())).as_deref(), Ok("x"));
        let table = [
            b"".to_vec(),
            b"\x81".to_vec(),
            b"\x81\x7e\x00".to_vec(),
            good[..good.len() - 1].to_vec(),
            [&good[..], b"}"].concat(),
            frame("{}"),
            frame(r#"{"type":"document_sync","document":5}"#),
            frame(r#"{"type":"document_sync","document":"a"b"}"#),
            frame(r#"{"type":"document_sync","document":"a\x"}"#),
            frame(r#"{"type":"document_sync","document":"a"#),
        ];
        for bytes in table {
            let what = String::from_utf8_lossy(&bytes).into_owned();
            assert_eq!(document_text(&Document(bytes.into())), Err(MalformedDocument), "{what}");
        }
    }
}
