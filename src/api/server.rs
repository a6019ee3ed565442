//! What the server says of itself, and why it has no answer at present.

use serde::Serialize;

use super::pages;
use super::route::routes;
use crate::config::SyncWriters;
use crate::http::{Request, Response, Status};

/// The answer to `GET /health` and `GET /health/ready`.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// In a word.
    pub status: &'static str,
    /// Rooms in memory.
    pub rooms: usize,
    /// All connections, those that speak HTTP too.
    pub connections: usize,
    /// Since it began to serve.
    pub uptime_seconds: u64,
    /// Of the program.
    pub version: &'static str,
    /// What is said of the store.
    pub store: &'static str,
    /// Now.
    pub timestamp: String,
}

/// `GET /`: the page for browsers, and for programs what this server is.
pub fn index(request: &Request, require_auth: bool, sync_writers: SyncWriters) -> Response {
    #[derive(Serialize)]
    struct Index<'a> {
        name: &'a str,
        version: &'a str,
        status: &'a str,
        routes: Vec<String>,
        require_auth: bool,
        sync_writers: &'a str,
    }
    if request.accepts("text/html") {
        return pages::respond(request, "/", Status::OK);
    }
    let index = Index {
        name: "Khun Phaen Sync Server",
        version: env!("CARGO_PKG_VERSION"),
        status: "running",
        routes: routes().collect(),
        require_auth,
        sync_writers: match sync_writers {
            SyncWriters::Host => "host",
            SyncWriters::Any => "any",
        },
    };
    Response::json(Status::OK, &index).with_header("Vary", "Accept")
}

/// Only the store could tell.
pub fn store_unavailable() -> Response {
    Response::unavailable("The store does not answer; try again")
}

/// There is no place for a further WebSocket at present.
pub fn busy() -> Response {
    Response::unavailable("The server is busy; try again later")
}

/// The client's address has as many connections as it may have.
pub fn too_many_connections() -> Response {
    Response::error(Status::SERVICE_UNAVAILABLE, "Too many connections from this address")
}
