//! Accounts and durability, end to end: the real binary over HTTP and WebSocket, on SQLite and on
//! a real MongoDB-compatible server over TCP.
//!
//! Goal: what the README shows works on both stores, and what must hold does so against crashes,
//! races and a store that is away. Method: one flow, run by every store that is to be had.

#[path = "../support/mongodb/mod.rs"]
mod mongodb_server;
#[path = "../support/mod.rs"]
mod support;

mod admin;
mod doctor;
mod durability;
mod flow;
mod setup_command;
mod store_away;

/// What `INITIAL_SETUP_TOKEN` is in these tests.
pub(crate) const SETUP_TOKEN: &str = "a-setup-token-of-the-tests";
