//! Accounts and durability, end to end: the real binary over HTTP and WebSocket, on SQLite and on
//! a real MongoDB-compatible server over TCP.
//!
//! Goal: what the README shows works on both stores, and what must hold does so against crashes,
//! races and a store that is away. Method: one flow, run by every store that is to be had.

#[path = "../store/mongo_server.rs"]
mod mongo_server;
#[path = "../support/mod.rs"]
mod support;

mod durability;
mod flow;
mod store_away;

use mongo_server::MongoServer;
use support::skip;

/// What `INITIAL_SETUP_TOKEN` is in these tests.
pub(crate) const SETUP_TOKEN: &str = "a setup token of the tests";

/// A MongoDB server of this test's own, unless there is none to be had, which is said.
pub(crate) fn mongodb(name: &str) -> Option<MongoServer> {
    let server = MongoServer::start(name);
    if server.is_none() {
        skip("no MongoDB server could be started (scripts/test installs one)", "REQUIRE_MONGODB");
    }
    server
}
