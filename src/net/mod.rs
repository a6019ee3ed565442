//! The only place with sockets, signals and the clock.
//!
//! [`EventLoop`] gives the [`Driver`](crate::session::Driver) what the kernel has: sockets, signals
//! and the time. It knows nothing of rooms, routes or messages: the application behind it is any
//! [`Dispatch`](crate::session::Dispatch).
//!
//! [`Connection`] is the other side: how the health check and the doctor ask a server. It blocks.

mod clock;
mod connection;
mod event_loop;
mod file_limit;
mod gate;
mod listener;
mod resolve;
mod socket;
mod socket_file;
pub mod systemd;
#[cfg(feature = "tls")]
mod tls;

pub use clock::{Deadline, unix_now};
pub use connection::Connection;
pub use event_loop::{EventLoop, LoopError, Reload, Wake};
pub use file_limit::{FILES_RESERVED, FileLimit, file_limit, raise_file_limit};
pub use listener::{ListenError, Listener};
pub use resolve::resolve;
#[cfg(feature = "tls")]
pub use tls::{TlsConnection, authorities, start_tls};
