//! `sync-server watch CODE`: shows what happens in a room, as a guest who says nothing. For
//! finding out why two clients do not understand each other.

mod show;

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use tungstenite::{Error, Message, WebSocket};

use crate::base::secret::Secret;
use crate::cli::Watch;
use crate::config::{Config, UrlParts, url_parts};
use crate::http::Answer;
use crate::net::{Connection, Deadline, unix_now};
#[cfg(feature = "tls")]
use crate::net::{TlsConnection, authorities, start_tls};
use crate::tools::client::{self, UpgradeError};
use crate::tools::healthcheck::{Target, local_address};
use show::{Seen, Viewer, json_line, shortened};

/// To be in the room.
const JOIN_LIMIT: Duration = Duration::from_secs(15);
/// After so long without a byte the server is asked whether it is there, and once more so long is
/// waited. Servers ping every 30 s unless they are told otherwise.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// The longest message: a document of the largest size that `MAX_MESSAGE_BYTES` can be, and what
/// is around it.
const MESSAGE_BYTES_MAX: usize = (64 << 20) + 1024;

/// Why nothing more is to be seen, in one line.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// `PORT` is 0, so nobody knows where the server is.
    #[error("PORT=0 lets the system choose a port: say where the server is (watch CODE URL)")]
    UnknownPort,
    /// https, and this build has no TLS.
    #[error("this build speaks no TLS: give an http address")]
    NoTls,
    /// Nobody answers there.
    #[error("{0}: {1}")]
    Unreachable(String, String),
    /// The upgrade is refused, or the room.
    #[error("{0} refuses: {1}")]
    Refused(String, String),
    /// The server has closed the connection.
    #[error("closed by the server: {0}")]
    Closed(String),
    /// The server says nothing any more.
    #[error("the server is silent: it is gone, or the network is")]
    Silent,
}

/// Shows the room until the connection ends, with `show` for each line. `config` describes the
/// server, unless `watch` has a URL; `token` is for one with `REQUIRE_AUTH`. Returns once nobody
/// looks any more, that is, once `show` fails.
///
/// # Errors
/// [`WatchError`], whatever ends it otherwise.
pub fn watch(
    config: &Config,
    watch: &Watch,
    token: Option<&Secret>,
    mut show: impl FnMut(&str) -> io::Result<()>,
) -> Result<(), WatchError> {
    let server = Server::of(config, watch)?;
    let mut socket = server.open(token)?;
    let peer_id = format!("watch-{:x}", unix_now().0);
    let join = serde_json::json!({
        "action": "join",
        "room_code": watch.room_code,
        "peer_id": peer_id,
        "is_host": false,
        "metadata": { "name": "watch" },
    });
    socket.send(Message::text(join.to_string())).map_err(|error| server.unreachable(&error))?;
    let mut viewer = Viewer::default();
    let mut has_joined = false;
    loop {
        let Some(text) = next_text(&mut socket, has_joined)? else { continue };
        let event = serde_json::from_str(&text).unwrap_or(Seen::Other);
        match &event {
            Seen::Error { message, .. } if !has_joined => {
                return Err(WatchError::Refused(server.to_string(), shortened(message)));
            }
            Seen::Connected { .. } => has_joined = true,
            _ => {}
        }
        let line = if watch.is_json {
            json_line(&text)
        } else {
            let time = unix_now().rfc3339();
            // Of `2026-11-23T11:39:29.000Z`.
            let clock = time.get(11..19).unwrap_or_default();
            format!("{clock} {}", viewer.line(&event, &text))
        };
        if show(&line).is_err() {
            return Ok(());
        }
    }
}

/// Where the server is.
enum Server<'a> {
    Local(Target),
    Remote(UrlParts<'a>),
}

impl<'a> Server<'a> {
    fn of(config: &Config, watch: &'a Watch) -> Result<Self, WatchError> {
        if let Some(parts) = watch.url.as_deref().and_then(url_parts) {
            return Ok(Self::Remote(parts));
        }
        match local_address(&config.bind_addr, config.port) {
            Target::Tcp(address) if address.port() == 0 => Err(WatchError::UnknownPort),
            target => Ok(Self::Local(target)),
        }
    }

    fn open(&self, token: Option<&Secret>) -> Result<WebSocket<Wire>, WatchError> {
        let wire = self.connect(Deadline::after(JOIN_LIMIT))?;
        let (authority, prefix) = match self {
            Self::Remote(parts) => (parts.authority.to_owned(), parts.path),
            Self::Local(Target::Tcp(address)) => (address.to_string(), ""),
            Self::Local(Target::Unix(_)) => ("localhost".to_owned(), ""),
        };
        let bearer = token.map(|token| format!("Authorization: Bearer {}\r\n", token.expose()));
        let head = format!(
            "GET {prefix}/ws HTTP/1.1\r\nHost: {authority}\r\n{}",
            bearer.unwrap_or_default()
        );
        client::upgrade(wire, &head, MESSAGE_BYTES_MAX).map_err(|error| match error {
            UpgradeError::Refused(answer) => {
                WatchError::Refused(self.to_string(), complaint(&answer))
            }
            error => self.unreachable(&error),
        })
    }

    fn connect(&self, deadline: Deadline) -> Result<Wire, WatchError> {
        let connected = match self {
            Self::Local(Target::Tcp(address)) => Connection::open(*address, deadline),
            Self::Local(Target::Unix(path)) => Connection::open_unix(path, deadline),
            Self::Remote(parts) => Connection::open_by_name(parts.host, parts.port, deadline),
        };
        let connection = connected.map_err(|error| self.unreachable(&error))?;
        match self {
            Self::Remote(parts) if parts.is_secure => self.secured(connection, parts.host),
            _ => Ok(Wire::Plain(connection)),
        }
    }

    #[cfg(feature = "tls")]
    fn secured(&self, connection: Connection, host: &str) -> Result<Wire, WatchError> {
        authorities()
            .and_then(|pem| start_tls(connection, host, pem.as_deref()))
            .map(|tls| Wire::Tls(Box::new(tls)))
            .map_err(|error| self.unreachable(&error))
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "it takes the place of the one with TLS")]
    fn secured(&self, _: Connection, _: &str) -> Result<Wire, WatchError> {
        Err(WatchError::NoTls)
    }

    fn unreachable(&self, error: &dyn fmt::Display) -> WatchError {
        WatchError::Unreachable(self.to_string(), error.to_string())
    }
}

impl fmt::Display for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(target) => target.fmt(f),
            Self::Remote(parts) => f.write_str(parts.authority),
        }
    }
}

/// The connection, encrypted or not.
enum Wire {
    Plain(Connection),
    #[cfg(feature = "tls")]
    Tls(Box<TlsConnection>),
}

impl Wire {
    fn set_deadline(&mut self, deadline: Deadline) {
        match self {
            Self::Plain(connection) => connection.set_deadline(deadline),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.sock.set_deadline(deadline),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(connection) => connection.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(connection) => connection.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(connection) => connection.flush(),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// The next text message; `None`: something else came, or the server was asked whether it is
/// there, and is.
fn next_text(socket: &mut WebSocket<Wire>, has_joined: bool) -> Result<Option<String>, WatchError> {
    let limit = if has_joined { SILENCE_LIMIT } else { JOIN_LIMIT };
    let mut asked = !has_joined;
    loop {
        socket.get_mut().set_deadline(Deadline::after(limit));
        match socket.read() {
            Ok(Message::Text(text)) => return Ok(Some(text.as_str().to_owned())),
            Ok(Message::Close(frame)) => {
                let why = frame.map_or_else(|| "without a code".to_owned(), |f| f.to_string());
                return Err(WatchError::Closed(shortened(&why)));
            }
            Ok(_) => return Ok(None),
            Err(Error::Io(error)) if error.kind() == ErrorKind::TimedOut && !asked => {
                asked = true;
                socket.get_mut().set_deadline(Deadline::after(limit));
                socket.send(Message::Ping(Vec::new().into())).map_err(|_| WatchError::Silent)?;
            }
            Err(Error::Io(error)) if error.kind() == ErrorKind::TimedOut => {
                return Err(WatchError::Silent);
            }
            Err(error) => return Err(WatchError::Closed(shortened(&error.to_string()))),
        }
    }
}

/// What a refusal says.
fn complaint(answer: &Answer) -> String {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match body["error"].as_str() {
        Some(error) => format!("{} {}", answer.status, shortened(error)),
        None => format!("{}; is it a sync server?", answer.status),
    }
}
