//! The language of the clients: JSON text becomes actions, events become JSON text.
//!
//! This is the one place that parses a message and the one place that encodes a broadcast. It
//! knows no socket and no event loop, and of the rooms only the words they speak.

mod document;
mod encode;
mod error;
mod parse;

pub use document::{
    LargerDocument, MalformedDocument, document_frame_bytes, document_from_text, document_text,
    encode_document,
};
pub use encode::{Reply, encode_event, encode_reply, encode_room_view};
pub use error::ErrorCode;
pub use parse::{
    ClientAction, HOST_TOKEN_BYTES_MAX, ID_BYTES_MAX, METADATA_BYTES_MAX, Message, MessageId,
    PEER_ID_CHARS_MAX, ParseError, parse,
};
