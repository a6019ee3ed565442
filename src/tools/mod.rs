//! What the program does besides serving: what the operator does at the console, and clients of a
//! running server, with one `client` below them all. The server knows nothing of it.

pub mod client;
pub mod console;
pub mod doctor;
pub mod first_admin;
pub mod healthcheck;
pub mod watch;
