//! The whole server over real sockets: its executable on a port that the system chooses, and
//! clients that share no code with it.
//!
//! What can be tested without a socket is tested elsewhere; here are the promises of the protocol
//! as somebody at the other end of a cable sees them. Each test has a server of its own.

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod crowds;
mod doctor;
mod documents;
mod frames;
mod http_messages;
mod limits;
mod liveness;
mod log;
mod metrics;
mod pages;
mod process;
mod reload;
mod room_routes;
mod rooms;
mod secret_files;
mod systemd;
mod unix_socket;
mod upgrades;
mod watch;
