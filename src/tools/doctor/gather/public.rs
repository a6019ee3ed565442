//! Facts about the public address: asked as a client asks, over the network.

use std::io::{ErrorKind, Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use crate::config::UrlParts;
use crate::http::{Answer, parse_date};
use crate::net::{Connection, Deadline, resolve, unix_now};
use crate::tools::client::{self, AskError, UpgradeError};
use crate::tools::doctor::machine::OtherClock;
use crate::tools::doctor::public::{Idle, Opened, PublicFacts, Trouble};
use crate::tools::healthcheck::Health;

/// For a connection to one of the addresses of a name.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// For one request.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// The longest silence that is tried: who joins no room is closed after a minute.
const SILENCE_SECONDS_MAX: u64 = 90;
/// Of a message that is read; ours have a few dozen bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Messages in front of the answer to an action: a ping or two.
const MESSAGES_BEFORE_ANSWER_MAX: usize = 8;

/// Whatever reads and writes.
trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// A server at an address.
struct Server<'a> {
    url: UrlParts<'a>,
}

/// Asks at `url`. `local` is what the server here says of itself. If `is_slow`, also tries for
/// more than twice `ping_interval_seconds`, but a minute at most, whether a silent WebSocket stays
/// open.
pub(in crate::tools::doctor) fn public(
    url: UrlParts<'_>,
    local: Option<Health>,
    ping_interval_seconds: u64,
    is_slow: bool,
) -> (PublicFacts, Option<OtherClock>) {
    let server = Server { url };
    let health = server.get("/health").map(|(answer, _)| answer);
    let clock = health.as_ref().ok().and_then(|answer| {
        let seconds = parse_date(answer.field("date")?)?;
        Some(OtherClock { name: "the public address", seconds, ours: unix_now().seconds() })
    });
    let is_ours = health.as_ref().is_ok_and(|answer| Health::read(answer).is_some());
    let (whoami, opened) = if is_ours {
        (server.get("/api/whoami"), server.open_and_ask())
    } else {
        let not_asked = || Trouble::Http("not asked".to_owned());
        (Err(not_asked()), Opened::Failed(not_asked()))
    };
    let seconds = (2 * ping_interval_seconds + 5).min(SILENCE_SECONDS_MAX);
    let idle = (is_slow && opened == Opened::Answered).then(|| server.be_silent(seconds));
    let facts = PublicFacts { health, local, whoami, opened, idle, ping_interval_seconds };
    (facts, clock)
}

impl Server<'_> {
    /// The answer to `GET` of `path`, and our end's address.
    fn get(&self, path: &str) -> Result<(Answer, IpAddr), Trouble> {
        let (mut stream, own) = self.connect(REQUEST_LIMIT)?;
        let request = format!("{}Connection: close\r\n\r\n", self.head(path));
        let (answer, _) = client::ask(&mut stream, &request).map_err(|error| no_answer(&error))?;
        Ok((answer, own))
    }

    /// Opens a WebSocket, and has an action answered.
    fn open_and_ask(&self) -> Opened {
        let mut socket = match self.open(REQUEST_LIMIT) {
            Ok(socket) => socket,
            Err(opened) => return opened,
        };
        match ask_for_pong(&mut socket) {
            Ok(()) => {
                // It has served; whether the goodbye arrives changes nothing.
                let _gone_already = socket.close(None);
                Opened::Answered
            }
            Err(why) => Opened::Mute(why),
        }
    }

    /// Holds a WebSocket open for `seconds` in which only pings go over it.
    fn be_silent(&self, seconds: u64) -> Idle {
        let ended = |seconds, why: String| Idle::Ended { seconds, why };
        let time = Duration::from_secs(seconds);
        let Ok(mut socket) = self.open(time + REQUEST_LIMIT) else {
            return ended(0, "it does not open again".to_owned());
        };
        if let Err(why) = ask_for_pong(&mut socket) {
            return ended(0, why);
        }
        let silence = Deadline::after(time);
        let passed = |silence: Deadline| time.saturating_sub(silence.left()).as_secs();
        while !silence.left().is_zero() {
            match socket.read() {
                // The server's own rule for those who join no room; so it came through.
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
    fn open(&self, limit: Duration) -> Result<WebSocket<Box<dyn Stream>>, Opened> {
        let (stream, _) = self.connect(limit).map_err(Opened::Failed)?;
        let head = self.head("/ws");
        client::upgrade(stream, &head, MESSAGE_BYTES_MAX).map_err(|error| match error {
            UpgradeError::Ask(error) => Opened::Failed(no_answer(&error)),
            UpgradeError::Refused(answer) => Opened::Refused(answer),
            UpgradeError::Key => Opened::Mute(error.to_string()),
        })
    }

    /// A request for `path`, up to where further fields come.
    fn head(&self, path: &str) -> String {
        let UrlParts { authority, path: prefix, .. } = self.url;
        let program = concat!("sync-server/", env!("CARGO_PKG_VERSION"));
        format!("GET {prefix}{path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {program}\r\n")
    }

    /// A connection to the first address that takes one, and our end's address.
    fn connect(&self, limit: Duration) -> Result<(Box<dyn Stream>, IpAddr), Trouble> {
        let UrlParts { host, port, is_secure, .. } = self.url;
        if is_secure && !cfg!(feature = "tls") {
            return Err(Trouble::NoTls);
        }
        let name_limit = Deadline::after(REQUEST_LIMIT);
        let addresses =
            resolve(host, port, name_limit).map_err(|error| Trouble::Name(error.to_string()))?;
        let mut failures = Vec::new();
        for address in addresses {
            // An address that swallows everything must not use up the time of the next one.
            let opened = Connection::open(address, Deadline::after(CONNECT_LIMIT));
            let mut connection = match opened {
                Ok(connection) => connection,
                Err(error) => {
                    failures.push(format!("{address}: {error}"));
                    continue;
                }
            };
            connection.set_deadline(Deadline::after(limit));
            let own = connection.own_address();
            let own = own.map_err(|error| Trouble::Connection(error.to_string()))?.ip();
            let stream = if is_secure { secured(connection, host)? } else { Box::new(connection) };
            return Ok((stream, own));
        }
        Err(Trouble::Connection(failures.join("; ")))
    }
}

/// Sends the action `ping`, and waits for its answer.
fn ask_for_pong(socket: &mut WebSocket<Box<dyn Stream>>) -> Result<(), String> {
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

#[cfg(feature = "tls")]
fn secured(connection: Connection, host: &str) -> Result<Box<dyn Stream>, Trouble> {
    let in_words = |error: std::io::Error| Trouble::Tls(error.to_string());
    let authorities = crate::net::authorities().map_err(in_words)?;
    let stream = crate::net::start_tls(connection, host, authorities.as_deref());
    Ok(Box::new(stream.map_err(in_words)?))
}

#[cfg(not(feature = "tls"))]
fn secured(_: Connection, _: &str) -> Result<Box<dyn Stream>, Trouble> {
    Err(Trouble::Tls("not in this build".to_owned()))
}

fn no_answer(error: &AskError) -> Trouble {
    match error {
        AskError::Connection(error) if error.kind() == ErrorKind::TimedOut => {
            Trouble::Http(format!("nothing came within {} s", REQUEST_LIMIT.as_secs()))
        }
        error => Trouble::Http(error.to_string()),
    }
}
