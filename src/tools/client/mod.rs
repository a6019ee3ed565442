//! The client with which all tools ask a server, over HTTP/1.1 and WebSocket, as its clients do.
//! It blocks, within deadlines.

mod answers;
mod connection;
mod deadline;
mod request;
mod resolve;
mod server;
#[cfg(feature = "tls")]
mod tls;
mod websocket;
mod wire;

pub use answers::{HealthAnswer, WhoamiAnswer, complaint};
pub use connection::Connection;
pub use deadline::Deadline;
pub use request::{AskError, RequestHead, ask};
pub use server::Server;
#[cfg(feature = "tls")]
pub use tls::{TlsConnection, start_tls};
pub use websocket::{UpgradeError, upgrade};
pub use wire::{ConnectError, Wire};
