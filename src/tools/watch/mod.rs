//! `sync-server watch CODE`: shows what happens in a room, as a guest that says nothing. For
//! finding out why two clients do not understand each other.

mod show;

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use tungstenite::{Error, Message, WebSocket};

use crate::base::secret::Secret;
use crate::cli::Watch;
use crate::config::{Config, url_parts};
use crate::net::unix_now;
use crate::tools::client::{
    ConnectError, Deadline, Server, UpgradeError, Wire, complaint, upgrade,
};
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
type Failure = Box<dyn std::error::Error>;

/// Shows the room until the connection ends, with `show` for each line. `config` describes the
/// server, unless `watch` has a URL; `token` is for one with `REQUIRE_AUTH`. Returns once
/// `show` fails: the reader is gone.
///
/// # Errors
/// One line, whatever ends it otherwise.
pub fn watch(
    config: &Config,
    watch: &Watch,
    token: Option<&Secret>,
    mut show: impl FnMut(&str) -> io::Result<()>,
) -> Result<(), Failure> {
    let server = server(config, watch)?;
    let mut socket = open(&server, token)?;
    let peer_id = format!("watch-{:x}", unix_now().0);
    let join = serde_json::json!({
        "action": "join",
        "room_code": watch.room_code,
        "peer_id": peer_id,
        "is_host": false,
        "metadata": { "name": "watch" },
    });
    socket.send(Message::text(join.to_string())).map_err(|error| unreachable(&server, &error))?;
    let mut viewer = Viewer::default();
    let mut has_joined = false;
    loop {
        let Some(text) = next_text(&mut socket, has_joined)? else { continue };
        let event = serde_json::from_str(&text).unwrap_or(Seen::Other);
        match &event {
            Seen::Error { message, .. } if !has_joined => {
                return Err(format!("{server} refuses: {}", shortened(message)).into());
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

/// The server that is meant.
fn server<'a>(config: &Config, watch: &'a Watch) -> Result<Server<'a>, Failure> {
    match watch.url.as_deref().and_then(url_parts) {
        Some(url) => Ok(Server::Url(url)),
        None => Server::local(&config.bind_addr, config.port).ok_or_else(|| {
            "PORT=0 lets the system choose a port: say where the server is (watch CODE URL)".into()
        }),
    }
}

fn open(server: &Server<'_>, token: Option<&Secret>) -> Result<WebSocket<Box<dyn Wire>>, Failure> {
    let connected = server.connect(Deadline::after(JOIN_LIMIT), JOIN_LIMIT);
    let wire = connected.map_err(|error| match error {
        ConnectError::NoTls => error.into(),
        error => unreachable(server, &error),
    })?;
    let mut head = server.request("GET", "/ws");
    if let Some(token) = token {
        head = head.field("Authorization", format_args!("Bearer {}", token.expose()));
    }
    upgrade(wire, &head, MESSAGE_BYTES_MAX).map_err(|error| match error {
        UpgradeError::Refused(answer) => {
            let why = match complaint(&answer) {
                Some(text) => format!("{} {}", answer.status, shortened(&text)),
                None => format!("{}; is it a sync server?", answer.status),
            };
            format!("{server} refuses: {why}").into()
        }
        error => unreachable(server, &error),
    })
}

fn unreachable(server: &Server<'_>, error: &dyn fmt::Display) -> Failure {
    format!("{server}: {error}").into()
}

/// The next text message; `None`: something else came, or the server was asked whether it is
/// there, and is.
fn next_text(
    socket: &mut WebSocket<Box<dyn Wire>>,
    has_joined: bool,
) -> Result<Option<String>, Failure> {
    const SILENT: &str = "the server is silent: it is gone, or the network is";
    let closed = |why: &str| Err(format!("closed by the server: {}", shortened(why)).into());
    let limit = if has_joined { SILENCE_LIMIT } else { JOIN_LIMIT };
    let mut asked = !has_joined;
    loop {
        socket.get_mut().connection().deadline = Deadline::after(limit);
        match socket.read() {
            Ok(Message::Text(text)) => return Ok(Some(text.as_str().to_owned())),
            Ok(Message::Close(Some(frame))) => return closed(&frame.to_string()),
            Ok(Message::Close(None)) => return closed("without a code"),
            Ok(_) => return Ok(None),
            Err(Error::Io(error)) if error.kind() == ErrorKind::TimedOut && !asked => {
                asked = true;
                socket.get_mut().connection().deadline = Deadline::after(limit);
                socket.send(Message::Ping(Vec::new().into())).map_err(|_| SILENT)?;
            }
            Err(Error::Io(error)) if error.kind() == ErrorKind::TimedOut => {
                return Err(SILENT.into());
            }
            Err(error) => return closed(&error.to_string()),
        }
    }
}
