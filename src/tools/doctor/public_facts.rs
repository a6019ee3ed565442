//! Facts about the public address: asked as a client asks, over the network.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use super::machine::OtherClock;
use super::public::{Idle, Opened, PublicFacts, Trouble};
use crate::api::Health;
use crate::config::UrlParts;
use crate::http::{ServerAnswer, parse_date};
use crate::net::unix_now;
use crate::tools::client::{
    AskError, ConnectError, Deadline, RequestHead, Server, UpgradeError, Wire, ask, upgrade,
};

/// For a connection to one of the addresses of a name.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// For one request.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// The longest silence that is tried: a client that joins no room is closed after a minute.
const SILENCE_SECONDS_MAX: u64 = 90;
/// Of a message that is read; ours have a few dozen bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Messages in front of the answer to an action: a ping or two.
const MESSAGES_BEFORE_ANSWER_MAX: usize = 8;

/// Asks at `url`. `local` is what the server here says of itself. If `is_slow`, also tries for
/// more than twice `ping_interval_seconds`, but a minute at most, whether a silent WebSocket stays
/// open.
pub(super) fn public(
    url: UrlParts<'_>,
    local: Option<Health>,
    ping_interval_seconds: u64,
    is_slow: bool,
) -> (PublicFacts, Option<OtherClock>) {
    let server = Server::Url(url);
    let health = get(&server, "/health").map(|(answer, _)| answer);
    let clock = health.as_ref().ok().and_then(|answer| {
        let seconds = parse_date(answer.field("date")?)?;
        Some(OtherClock { name: "the public address", seconds, ours: unix_now().seconds() })
    });
    let is_ours = health.as_ref().is_ok_and(|answer| Health::read(answer).is_some());
    let (whoami, opened) = if is_ours {
        (get(&server, "/api/whoami"), open_and_ask(&server))
    } else {
        let not_asked = || Trouble::Http("not asked".to_owned());
        (Err(not_asked()), Opened::Failed(not_asked()))
    };
    let seconds = (2 * ping_interval_seconds + 5).min(SILENCE_SECONDS_MAX);
    let idle = (is_slow && opened == Opened::Answered).then(|| be_silent(&server, seconds));
    let facts = PublicFacts { health, local, whoami, opened, idle, ping_interval_seconds };
    (facts, clock)
}

/// The answer to `GET` of `path`, and our end's address.
fn get(server: &Server<'_>, path: &str) -> Result<(ServerAnswer, IpAddr), Trouble> {
    let mut wire = connect(server, REQUEST_LIMIT)?;
    let own =
        wire.connection().own_address().map_err(|error| Trouble::Connection(error.to_string()))?;
    let (answer, _) = ask(&mut wire, &request(server, path).with_body("")).map_err(no_answer)?;
    Ok((answer, own.ip()))
}

/// Opens a WebSocket, and has an action answered.
fn open_and_ask(server: &Server<'_>) -> Opened {
    let mut socket = match open(server, REQUEST_LIMIT) {
        Ok(socket) => socket,
        Err(opened) => return opened,
    };
    match ask_for_pong(&mut socket) {
        Ok(()) => {
            // It has served; whether the close arrives changes nothing.
            let _gone_already = socket.close(None);
            Opened::Answered
        }
        Err(why) => Opened::Mute(why),
    }
}

/// Holds a WebSocket open for `seconds` in which only pings go over it.
fn be_silent(server: &Server<'_>, seconds: u64) -> Idle {
    let ended = |seconds, why: String| Idle::Ended { seconds, why };
    let time = Duration::from_secs(seconds);
    let Ok(mut socket) = open(server, time + REQUEST_LIMIT) else {
        return ended(0, "it does not open again".to_owned());
    };
    if let Err(why) = ask_for_pong(&mut socket) {
        return ended(0, why);
    }
    let silence = Deadline::after(time);
    let passed = |silence: Deadline| time.saturating_sub(silence.left()).as_secs();
    while !silence.left().is_zero() {
        match socket.read() {
            // The server's own rule for clients that join no room; so it came through.
            Ok(Message::Close(Some(frame))) if frame.code == CloseCode::Policy => {
                return Idle::Open { seconds: passed(silence) };
            }
            Ok(Message::Close(frame)) => {
                let why = frame.map_or("closed".to_owned(), |frame| frame.to_string());
                return ended(passed(silence), why);
            }
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == ErrorKind::TimedOut => break,
            Err(error) => {
                return ended(passed(silence), error.to_string());
            }
        }
    }
    Idle::Open { seconds }
}

/// An open WebSocket that lives for `limit`.
fn open(server: &Server<'_>, limit: Duration) -> Result<WebSocket<Box<dyn Wire>>, Opened> {
    let wire = connect(server, limit).map_err(Opened::Failed)?;
    upgrade(wire, &request(server, "/ws"), MESSAGE_BYTES_MAX).map_err(|error| match error {
        UpgradeError::Ask(error) => Opened::Failed(no_answer(error)),
        UpgradeError::Refused(answer) => Opened::Refused(answer),
        UpgradeError::Key => Opened::Mute(error.to_string()),
    })
}

/// A request for `path`.
fn request(server: &Server<'_>, path: &str) -> RequestHead {
    let program = concat!("sync-server/", env!("CARGO_PKG_VERSION"));
    server.request("GET", path).field("User-Agent", program)
}

/// A connection that can be used for `limit`.
fn connect(server: &Server<'_>, limit: Duration) -> Result<Box<dyn Wire>, Trouble> {
    let mut wire = server.connect(Deadline::after(REQUEST_LIMIT), CONNECT_LIMIT)?;
    wire.connection().deadline = Deadline::after(limit);
    Ok(wire)
}

/// Sends the action `ping`, and waits for its answer.
fn ask_for_pong(socket: &mut WebSocket<Box<dyn Wire>>) -> Result<(), String> {
    let in_words = |error: Error| match error {
        Error::Io(error) if error.kind() == ErrorKind::TimedOut => {
            format!("no answer within {} s", REQUEST_LIMIT.as_secs())
        }
        error => error.to_string(),
    };
    socket.send(Message::text(r#"{"action":"ping"}"#)).map_err(in_words)?;
    for _ in 0..MESSAGES_BEFORE_ANSWER_MAX {
        match socket.read().map_err(in_words)? {
            Message::Text(text) if text.as_str().contains("\"pong\"") => return Ok(()),
            Message::Close(_) => return Err("it was closed".to_owned()),
            _ => {}
        }
    }
    Err("other messages came than the answer".to_owned())
}

impl From<ConnectError> for Trouble {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Name(error) => Self::Name(error.to_string()),
            ConnectError::Address { each, .. } => Self::Connection(each),
            ConnectError::Tls(error) => Self::Tls(error.to_string()),
            ConnectError::NoTls => Self::NoTls,
        }
    }
}

fn no_answer(error: AskError) -> Trouble {
    match error {
        AskError::Connection(error) if error.kind() == ErrorKind::TimedOut => {
            Trouble::Http(format!("nothing came within {} s", REQUEST_LIMIT.as_secs()))
        }
        error => Trouble::Http(error.to_string()),
    }
}
