//! What the server says of itself, and why it has no answer at present.

use std::time::Duration;

use serde::Serialize;

use super::pages;
use super::route::ROUTES;
use crate::base::time::UnixMillis;
use crate::config::SyncWriters;
use crate::http::{Request, Response, Status};

/// `GET /health` and `GET /health/ready`.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// Whether it takes new work.
    pub is_ready: bool,
    /// Rooms in memory.
    pub rooms: usize,
    /// All connections, those that speak HTTP too.
    pub connections: usize,
    /// Since it began to serve.
    pub uptime: Duration,
    /// What is said of the store.
    pub store: &'static str,
    /// Now.
    pub at: UnixMillis,
}

impl From<&Health> for Response {
    fn from(health: &Health) -> Self {
        #[derive(Serialize)]
        struct Body<'a> {
            status: &'a str,
            rooms: usize,
            connections: usize,
            uptime_seconds: u64,
            version: &'a str,
            store: &'a str,
            timestamp: String,
        }
        let (status, word) = if health.is_ready {
            (Status::OK, "healthy")
        } else {
            (Status::SERVICE_UNAVAILABLE, "unavailable")
        };
        let body = Body {
            status: word,
            rooms: health.rooms,
            connections: health.connections,
            uptime_seconds: health.uptime.as_secs(),
            version: env!("CARGO_PKG_VERSION"),
            store: health.store,
            timestamp: health.at.rfc3339(),
        };
        Self::json(status, &body)
    }
}

/// `GET /`: the page for browsers, and for programs what this server is.
pub fn index(request: &Request, require_auth: bool, sync_writers: SyncWriters) -> Response {
    #[derive(Serialize)]
    struct Index<'a> {
        name: &'a str,
        version: &'a str,
        status: &'a str,
        routes: &'a [&'a str],
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
        routes: ROUTES,
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
