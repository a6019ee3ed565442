//! The server's side of the network, and the only place with signals and the clock.
//!
//! [`EventLoop`] gives the [`Driver`](crate::session::Driver) what the kernel has: sockets, signals
//! and the time. It knows nothing of rooms, routes or messages: the application behind it is any
//! [`Dispatch`](crate::session::Dispatch).

mod clock;
mod event_loop;
mod file_limit;
mod gate;
mod listener;
mod socket;
mod socket_file;
pub mod systemd;

pub use clock::{monotonic_us, unix_now};
pub use event_loop::{EventLoop, LoopError, Reload, Wake};
pub use file_limit::{FILES_RESERVED, FileLimit, file_limit, raise_file_limit};
pub use listener::{ListenError, Listener};
