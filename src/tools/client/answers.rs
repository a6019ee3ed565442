//! What servers say of themselves, as their clients read it.

use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;

use crate::http::Answer;

/// What a healthy server says of itself (`GET /health`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HealthAnswer {
    status: String,
    /// The version of the server, as `sync-server --version` has it.
    pub version: String,
    /// `ok` or `degraded`.
    pub store: String,
    /// Rooms in memory.
    pub rooms: u64,
    /// Open connections, this one included.
    pub connections: u64,
    /// Time since its start.
    pub uptime_seconds: u64,
}

/// `GET /api/whoami`: the asker as the server sees it (see the README).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WhoamiAnswer {
    /// Its address.
    pub address: IpAddr,
    /// What became of `X-Forwarded-For`: `none`, `believed` or `ignored`.
    pub forwarded: String,
    /// Where it is told to open the WebSocket.
    pub websocket_url: String,
}

impl HealthAnswer {
    /// What `answer` says, if it is that of a sync server.
    pub fn read(answer: &Answer) -> Option<Self> {
        let health: Self = serde_json::from_slice(&answer.body).ok()?;
        let is_word = |text: &str| {
            (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let is_ours = health.status == "healthy"
            && matches!(health.store.as_str(), "ok" | "degraded")
            && is_word(&health.version);
        (answer.status == 200 && is_ours).then_some(health)
    }
}

impl fmt::Display for HealthAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, version, store, rooms, connections, .. } = self;
        write!(f, "{status}: version {version}, store {store}, ")?;
        write!(f, "{rooms} rooms, {connections} connections")
    }
}

impl WhoamiAnswer {
    /// What `answer` says, if it is that of a sync server.
    pub fn read(answer: &Answer) -> Option<Self> {
        serde_json::from_slice(&answer.body).ok().filter(|_| answer.status == 200)
    }
}

/// What a refusal says to people, if it is that of a sync server.
pub fn complaint(answer: &Answer) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    body["error"].as_str().map(str::to_owned)
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
            HealthAnswer::read(&parsed.expect("whole").0)
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
