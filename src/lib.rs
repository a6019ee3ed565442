//! Live shared rooms over WebSocket: the library behind `sync-server`.
//!
//! One thread owns all sockets and all rooms; whatever blocks runs on a few workers. Everything
//! that decides something is a state machine that is handed bytes, outcomes and the time, and can
//! be driven by a test without a socket:
//!
//! ```text
//!      net          the event loop: sockets, signals, the clock
//!       |
//!    session        connections without their sockets   workers   threads for what blocks
//!     |    |                                                |
//!   http   ws       bytes <-> requests, messages         backend  jobs, carried out
//!       |                                                 |    |
//!     engine        the application: what is asked for   accounts store
//!     |    |     |
//!  rooms protocol api   what is shared; JSON text; routes and their answers
//! ```
//!
//! `ARCHITECTURE.md` tells the rest. The modules, in reading order:

// What every part may use.
pub mod base;
pub mod config;

// What is decided.
pub mod http;
pub mod protocol;
pub mod rooms;
pub mod ws;

// What is connected, and what that means.
pub mod api;
pub mod engine;
pub mod session;

// What blocks.
pub mod accounts;
pub mod store;
pub mod workers;

// The world outside.
pub mod cli;
pub mod net;
pub mod tools;
