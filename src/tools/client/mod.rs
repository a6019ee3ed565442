//! The client with which all tools ask a server, over HTTP/1.1 and WebSocket, as its clients do.
//! It blocks, within deadlines.

mod connection;
mod request;
mod server;
#[cfg(feature = "tls")]
mod tls;

pub use connection::{Connection, Deadline, Wire};
pub use request::{AskError, RequestHead, UpgradeError, ask, complaint, upgrade};
pub use server::{ConnectError, Server};
#[cfg(feature = "tls")]
pub use tls::{TlsConnection, start_tls};
