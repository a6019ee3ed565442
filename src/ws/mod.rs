//! WebSocket (RFC 6455) on top of tungstenite's protocol layer: client bytes become messages,
//! what the server says becomes frames, and every reason to close has its code.
//!
//! Knows no socket, no event loop, no room and no JSON. The opening handshake is HTTP and lives
//! there.

mod close;
mod decoder;
mod frame;

pub use close::CloseReason;
pub use decoder::{Decoder, DecoderPool, Incoming};
pub use frame::{Frame, PING_FRAME, close_frame};
pub(crate) use frame::{FrameBytes, header_bytes, payload, push_text_header};
