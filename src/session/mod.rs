//! Connections without their sockets: bytes in, requests and messages out; frames in, bytes out.
//!
//! [`Sessions`] is the table of all connections, as the application sees it: it may `respond`,
//! `upgrade`, `send`, `close`, `pause`, `resume`, … What comes in is handed to a [`Dispatch`], the
//! application. Every id may be stale; a call with one does nothing.
//!
//! The [`Driver`] has both, and takes each turn of the loop: over the sockets of `net`, or over
//! anything else that is a [`Transport`]. This layer knows no socket, no clock and nothing of what
//! an application does.

mod addresses;
mod application;
mod bulk;
mod dispatch;
mod driver;
mod flush_list;
mod hold;
mod intake;
mod outgoing;
mod places;
mod pressure;
mod rota;
mod send_buffer;
mod send_queue;
mod serving;
mod state;
mod table;
mod timeouts;

pub use application::Census;
pub use dispatch::Dispatch;
pub use driver::{Driver, Ended, Transport};
pub use send_buffer::SEND_BUFFER_BYTES_MIN;
pub use table::{Refused, Sessions};
pub use timeouts::FIRST_MESSAGE_TIMEOUT;
