//! `sync-server healthcheck`: asks the server that the settings describe how it is. For containers
//! without a shell. Opens no store; a database that does not answer makes no server unhealthy,
//! since a restart would not bring it back.

use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::config::{BindAddress, Config};
use crate::http::Answer;
use crate::net::{Connection, Deadline};
use crate::tools::client::{self, AskError};

/// For everything together: Docker and its like have time-outs of their own, the usual one being
/// 30 s.
const LIMIT: Duration = Duration::from_secs(5);

/// What a healthy server says of itself (`GET /health`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Health {
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

/// Where a server is asked from the same machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Over TCP.
    Tcp(SocketAddr),
    /// On the Unix socket with this path.
    Unix(PathBuf),
}

/// Why the server is not healthy, in one line.
#[derive(Debug, thiserror::Error)]
pub enum HealthcheckError {
    /// `PORT` is 0, so nobody knows where to ask.
    #[error("PORT=0 lets the system choose a port, so it is not known where to ask")]
    UnknownPort,
    /// Nobody listens.
    #[error("nobody listens on {0} (PORT and BIND_ADDR say where the server is asked)")]
    NobodyThere(Target),
    /// No answer within the time there is.
    #[error("{0} gave no answer within 5 s")]
    Late(Target),
    /// The connection failed, or the answer is no HTTP.
    #[error("{0}: {1}")]
    Failed(Target, AskError),
    /// The answer is one that says no.
    #[error("{0} answered {1} to GET /health, not 200")]
    Refused(Target, u16),
    /// Somebody else answers.
    #[error("{0} is another program: its answer to GET /health is not that of a sync server")]
    Stranger(Target),
}

/// Asks the server that `config` describes, within five seconds.
///
/// # Errors
/// [`HealthcheckError`], whatever keeps it from being known as healthy.
pub fn ask(config: &Config) -> Result<Health, HealthcheckError> {
    let target = local_address(&config.bind_addr, config.port);
    if matches!(target, Target::Tcp(_)) && config.port == 0 {
        return Err(HealthcheckError::UnknownPort);
    }
    match ask_at(&target, Deadline::after(LIMIT)) {
        Ok(answer) if answer.status != 200 => Err(HealthcheckError::Refused(target, answer.status)),
        Ok(answer) => Health::read(&answer).ok_or(HealthcheckError::Stranger(target)),
        Err(AskError::Connection(error)) => Err(match error.kind() {
            ErrorKind::TimedOut => HealthcheckError::Late(target),
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
                HealthcheckError::NobodyThere(target)
            }
            _ => HealthcheckError::Failed(target, error.into()),
        }),
        Err(error) => Err(HealthcheckError::Failed(target, error)),
    }
}

/// Where a server that listens on `bind_addr` is asked from the same machine: an address that
/// stands for all of them is no destination.
pub fn local_address(bind_addr: &BindAddress, port: u16) -> Target {
    let address = match bind_addr {
        BindAddress::Unix(path) => return Target::Unix(path.clone()),
        BindAddress::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.into(),
        BindAddress::Ip(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => Ipv6Addr::LOCALHOST.into(),
        BindAddress::Ip(specific) => *specific,
    };
    Target::Tcp(SocketAddr::new(address, port))
}

impl Health {
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

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, version, store, rooms, connections, .. } = self;
        write!(f, "{status}: version {version}, store {store}, ")?;
        write!(f, "{rooms} rooms, {connections} connections")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn ask_at(target: &Target, deadline: Deadline) -> Result<Answer, AskError> {
    let (mut connection, host) = match target {
        Target::Tcp(address) => (Connection::open(*address, deadline)?, address.to_string()),
        Target::Unix(path) => (Connection::open_unix(path, deadline)?, "localhost".to_owned()),
    };
    let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    client::ask(&mut connection, &request).map(|(answer, _)| answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse_answer;

    #[test]
    fn all_addresses_are_asked_at_loopback() {
        let late = HealthcheckError::Late(Target::Tcp(([127, 0, 0, 1], 80).into()));
        assert!(late.to_string().ends_with(&format!("within {} s", LIMIT.as_secs())), "{late}");
        for (bind_addr, expected) in [
            ("0.0.0.0", "127.0.0.1:3001"),
            ("::", "[::1]:3001"),
            ("127.0.0.2", "127.0.0.2:3001"),
            ("192.168.1.7", "192.168.1.7:3001"),
            ("fd00::1", "[fd00::1]:3001"),
        ] {
            let bind_addr = BindAddress::Ip(bind_addr.parse().expect("an address"));
            assert_eq!(local_address(&bind_addr, 3001).to_string(), expected);
        }
        let on_a_file = BindAddress::Unix("/run/sync.sock".into());
        assert_eq!(local_address(&on_a_file, 3001).to_string(), "unix:/run/sync.sock");
    }

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
