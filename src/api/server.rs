//! What the server says of itself, and why it has no answer at present.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::pages;
use super::route::routes;
use crate::config::SyncWriters;
use crate::http::{Request, Response, ServerAnswer, Status};

/// `GET /health` and `GET /health/ready`: what the server says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `healthy`, or `unavailable` if it takes no new work.
    pub status: Cow<'static, str>,
    /// Rooms in memory.
    pub rooms: usize,
    /// All connections, those that speak HTTP too.
    pub connections: usize,
    /// Since it began to serve.
    pub uptime_seconds: u64,
    /// As `sync-server --version` has it.
    pub version: Cow<'static, str>,
    /// `ok` or `degraded`.
    pub store: Cow<'static, str>,
    /// Now.
    #[serde(default)]
    pub timestamp: String,
}

impl Health {
    /// What `answer` says, if it is that of a healthy sync server.
    pub fn read(answer: &ServerAnswer) -> Option<Self> {
        let health: Self = serde_json::from_slice(&answer.body).ok()?;
        let is_word = |text: &str| {
            (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let is_ours = health.status == "healthy"
            && matches!(&*health.store, "ok" | "degraded")
            && is_word(&health.version);
        (answer.status == 200 && is_ours).then_some(health)
    }
}

impl From<&Health> for Response {
    fn from(health: &Health) -> Self {
        let is_healthy = health.status == "healthy";
        Self::json(if is_healthy { Status::OK } else { Status::SERVICE_UNAVAILABLE }, health)
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, version, store, rooms, connections, .. } = self;
        write!(f, "{status}: version {version}, store {store}, ")?;
        write!(f, "{rooms} rooms, {connections} connections")
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse_answer;

    #[test]
    fn only_a_sync_server_is_healthy() {
        let health = r#"{"status":"healthy","rooms":2,"connections":3,"uptime_seconds":1,
            "version":"1.2.3","store":"ok","timestamp":"2026-11-23T00:00:00.000Z"}"#;
        let read = |status: u16, body: &str| {
            let text =
                format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let parsed = parse_answer(text.as_bytes(), true).expect("HTTP");
            Health::read(&parsed.expect("whole").0)
        };
        let ours = read(200, health).expect("ours");
        let line = "healthy: version 1.2.3, store ok, 2 rooms, 3 connections";
        assert_eq!(ours.to_string(), line);
        let degraded = read(200, &health.replace("\"ok\"", "\"degraded\"")).expect("ours");
        assert_eq!(degraded.store, "degraded");
        for (status, body) in [
            (503, health.to_owned()),
            (200, health.replace("healthy", "unavailable")),
            (200, health.replace("\"ok\"", "\"fine\"")),
            (200, health.replace("1.2.3", "1\\n2")),
            (200, health.replace("1.2.3", "")),
            (200, health.replace("1.2.3", &"1".repeat(33))),
            (200, r#"{"status":"healthy"}"#.to_owned()),
            (200, "OK".to_owned()),
            (200, String::new()),
        ] {
            assert_eq!(read(status, &body), None, "{status} {body}");
        }
    }
}
