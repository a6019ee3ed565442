//! The command line: a scenario, and how much of it.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::server::{Url, UrlError};
use super::stamp::STAMP_BYTES;

/// The text of `--help`.
pub(crate) const HELP: &str = "\
load: many clients for a server of rooms, and a count of what reached whom

Usage: load SCENARIO [OPTIONS]

Scenarios
  idle      clients join and say nothing
  join      clients connect and join as fast as they can
  paced     messages at a fixed rate into all rooms
  flood     messages as fast as the room can hear them (a window of them under way)
  bigroom   flood, with everybody in one room
  document  hosts replace the document of their room as fast as it is read
  stalled   paced, while some clients stop reading
  churn     clients connect, join and vanish, while others listen

Options (defaults depend on the scenario)
  --url URL            the server, http://127.0.0.1:3001 unless said otherwise
  --clients N          clients, 1 to 25000
  --rooms N            rooms that they are spread over, 1 to 10000
  --room CODE          a room to use, made if need be; as often as there are rooms
  --seconds N          how long, 1 to 600
  --rate N             messages a second in all (paced, stalled), 1 to 1000000
  --bytes SIZE         length of a message's text or of a document, up to 64MiB
  --senders N          clients of each room that send (paced, flood, bigroom, stalled)
  --window N           messages of one sender under way (flood, bigroom), 1 to 1024
  --stalled N          clients of each room that stop reading (stalled)
  --concurrency N      connections being opened at once, 1 to 1000
  --pid PID            the server's process, for its processor time and memory (Linux)
  --busy               never sleep: what it costs the server to wake the clients is left out
  --json               print the report as one JSON object
  --i-own-this-server  allow another address than loopback

If the environment variable LOAD_TOKEN is set, it is used to log in (REQUIRE_AUTH=true).

The server's own limits hold: start it with ROOM_CREATE_RATE=0 to have many rooms made quickly,
and with MESSAGE_RATE_LIMIT=0 for flood, bigroom and small documents.

Exit code: 0 if every message reached everybody once and in order, 1 if not, 2 if the load could
not be put on the server.
";

const CLIENTS_MAX: u32 = 25_000;
const ROOMS_MAX: u32 = 10_000;
const SECONDS_MAX: u64 = 600;
const RATE_MAX: u32 = 1_000_000;
const BYTES_MAX: usize = 64 << 20;
const WINDOW_MAX: u32 = 1024;
const CONCURRENCY_MAX: u32 = 1000;
/// What each client keeps in mind of each sender of its room, summed up: a bound on our memory.
const PAIRS_MAX: u64 = 50_000_000;

/// What to do.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Show [`HELP`].
    Help,
    /// Put load on a server.
    Run(Options),
}

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Nothing.
    Idle,
    /// Join.
    Join,
    /// Send at a fixed rate.
    Paced,
    /// Send as fast as can be heard.
    Flood,
    /// The same in one room.
    BigRoom,
    /// Replace documents.
    Document,
    /// Send while some do not read.
    Stalled,
    /// Come and go.
    Churn,
}

/// The whole command line.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// What the clients do.
    pub(crate) scenario: Scenario,
    /// The server.
    pub(crate) url: Url,
    /// All clients.
    pub(crate) clients: u32,
    /// They are dealt out to the rooms one by one.
    pub(crate) rooms: u32,
    /// Codes of the rooms to use; empty: fresh ones.
    pub(crate) room_codes: Vec<String>,
    /// How long.
    pub(crate) duration: Duration,
    /// Messages a second.
    pub(crate) rate: u32,
    /// Of each message's text.
    pub(crate) bytes: usize,
    /// In each room.
    pub(crate) senders: u32,
    /// Messages of one sender under way.
    pub(crate) window: u32,
    /// In each room, those who do not read.
    pub(crate) stalled: u32,
    /// Connections being opened at once.
    pub(crate) concurrency: u32,
    /// The server's process.
    pub(crate) pid: Option<u32>,
    /// Never sleeps. On a virtual machine it costs the server more to wake a sleeping reader than
    /// to send it a message, and readers of a real server are on other machines.
    pub(crate) is_busy: bool,
    /// Report for programs.
    pub(crate) json: bool,
    /// Allows other addresses than loopback.
    pub(crate) owns_server: bool,
    /// To log in with.
    pub(crate) token: Option<String>,
}

/// What is wrong with the command line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OptionsError {
    /// As a whole.
    #[error("{0} (load --help shows what there is)")]
    Usage(String),
    /// One value.
    #[error("{name} must be {allowed}")]
    Value {
        /// The option.
        name: &'static str,
        /// What it may be.
        allowed: String,
    },
    /// The address.
    #[error(transparent)]
    Url(#[from] UrlError),
}

impl Scenario {
    const ALL: [Self; 8] = [
        Self::Idle,
        Self::Join,
        Self::Paced,
        Self::Flood,
        Self::BigRoom,
        Self::Document,
        Self::Stalled,
        Self::Churn,
    ];

    /// As it is said.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Join => "join",
            Self::Paced => "paced",
            Self::Flood => "flood",
            Self::BigRoom => "bigroom",
            Self::Document => "document",
            Self::Stalled => "stalled",
            Self::Churn => "churn",
        }
    }

    /// Clients, rooms, and bytes of a message.
    fn size(self) -> (u32, u32, usize) {
        match self {
            Self::Idle | Self::Churn => (200, 10, 200),
            Self::Join | Self::Paced | Self::Flood => (1000, 50, 200),
            Self::BigRoom => (1000, 1, 200),
            Self::Document => (51, 1, 1 << 20),
            Self::Stalled => (40, 4, 32 << 10),
        }
    }
}

/// What was said, before the defaults.
#[derive(Default)]
struct Said {
    clients: Option<u32>,
    rooms: Option<u32>,
    rate: Option<u32>,
    seconds: Option<u64>,
    bytes: Option<usize>,
    senders: Option<u32>,
    window: Option<u32>,
    stalled: Option<u32>,
    concurrency: Option<u32>,
    url: Option<String>,
    room_codes: Vec<String>,
    pid: Option<u32>,
    is_busy: bool,
    json: bool,
    owns_server: bool,
}

/// Reads the arguments, without the program's name, and the environment's `LOAD_TOKEN`.
///
/// # Errors
/// [`OptionsError`] with one line.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Command, OptionsError> {
    use lexopt::Arg::{Long, Short, Value};
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut scenario = None;
    let mut said = Said::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("busy") => said.is_busy = true,
            Long("json") => said.json = true,
            Long("i-own-this-server") => said.owns_server = true,
            Long(name) => {
                let name = name.to_owned();
                let value = parser.value()?;
                said.set(&name, &value.to_string_lossy())?;
            }
            Value(value) if scenario.is_none() => {
                let named = Scenario::ALL.into_iter().find(|scenario| value == scenario.name());
                scenario = Some(named.ok_or_else(|| {
                    OptionsError::Usage(format!("no scenario is called {}", value.display()))
                })?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let scenario = scenario.ok_or_else(|| OptionsError::Usage("which scenario?".to_owned()))?;
    said.with_defaults(scenario).map(Command::Run)
}

impl From<lexopt::Error> for OptionsError {
    fn from(problem: lexopt::Error) -> Self {
        Self::Usage(problem.to_string())
    }
}

fn wrong(name: &'static str, allowed: impl Into<String>) -> OptionsError {
    OptionsError::Value { name, allowed: allowed.into() }
}

fn number<T: FromStr + PartialOrd + std::fmt::Display>(
    name: &'static str,
    text: &str,
    allowed: &RangeInclusive<T>,
) -> Result<Option<T>, OptionsError> {
    let value = text.parse().ok().filter(|value| allowed.contains(value));
    let (min, max) = (allowed.start(), allowed.end());
    value.map(Some).ok_or_else(|| wrong(name, format!("{min} to {max}")))
}

fn size(text: &str) -> Option<usize> {
    let (digits, factor) = match text.to_ascii_lowercase() {
        text if text.ends_with("kib") => (text[..text.len() - 3].to_owned(), 1 << 10),
        text if text.ends_with("mib") => (text[..text.len() - 3].to_owned(), 1 << 20),
        text => (text, 1),
    };
    digits.parse::<usize>().ok()?.checked_mul(factor)
}

impl Said {
    fn set(&mut self, name: &str, value: &str) -> Result<(), OptionsError> {
        match name {
            "clients" => self.clients = number("--clients", value, &(1..=CLIENTS_MAX))?,
            "rooms" => self.rooms = number("--rooms", value, &(1..=ROOMS_MAX))?,
            "rate" => self.rate = number("--rate", value, &(1..=RATE_MAX))?,
            "seconds" => self.seconds = number("--seconds", value, &(1..=SECONDS_MAX))?,
            "senders" => self.senders = number("--senders", value, &(1..=CLIENTS_MAX))?,
            "window" => self.window = number("--window", value, &(1..=WINDOW_MAX))?,
            "stalled" => self.stalled = number("--stalled", value, &(1..=CLIENTS_MAX))?,
            "concurrency" => {
                self.concurrency = number("--concurrency", value, &(1..=CONCURRENCY_MAX))?;
            }
            "pid" => self.pid = number("--pid", value, &(1..=u32::MAX))?,
            "bytes" => {
                let bytes = size(value).filter(|bytes| (STAMP_BYTES..=BYTES_MAX).contains(bytes));
                let allowed = format!("{STAMP_BYTES} to 64MiB");
                self.bytes = Some(bytes.ok_or_else(|| wrong("--bytes", allowed))?);
            }
            "url" => self.url = Some(value.to_owned()),
            "room" => {
                let is_code = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
                if !(1..=64).contains(&value.len()) || !value.bytes().all(is_code) {
                    return Err(wrong("--room", "1 to 64 of A-Z, a-z, 0-9, _ and -"));
                }
                self.room_codes.push(value.to_owned());
            }
            _ => return Err(OptionsError::Usage(format!("there is no option --{name}"))),
        }
        Ok(())
    }

    fn with_defaults(self, scenario: Scenario) -> Result<Options, OptionsError> {
        let (clients, rooms, bytes) = scenario.size();
        let codes = u32::try_from(self.room_codes.len()).unwrap_or(u32::MAX);
        let rooms = if codes > 0 { codes } else { self.rooms.unwrap_or(rooms) };
        if self.rooms.is_some_and(|said| said != rooms) {
            return Err(wrong("--rooms", format!("{codes}, as there are --room")));
        }
        let clients = self.clients.unwrap_or(clients.max(rooms));
        // Everybody is in the smallest room or in one with a member more.
        let members_min = clients / rooms;
        let stalled = if scenario == Scenario::Stalled { self.stalled.unwrap_or(1) } else { 0 };
        let readers_min = members_min.saturating_sub(stalled);
        let senders = match scenario {
            Scenario::Idle | Scenario::Join | Scenario::Churn => 0,
            Scenario::Flood | Scenario::BigRoom => self.senders.unwrap_or(1),
            Scenario::Document => 1,
            // The others only listen, so that the order in which they hear things can be compared.
            Scenario::Paced | Scenario::Stalled => self.senders.unwrap_or((readers_min / 2).max(1)),
        };
        let sends = senders > 0;
        if clients < rooms || (sends && readers_min < 2) {
            let least = if sends { (stalled + 2) * rooms } else { rooms };
            return Err(wrong("--clients", format!("at least {least} for {rooms} rooms")));
        }
        if senders > readers_min {
            return Err(wrong("--senders", format!("at most {readers_min}")));
        }
        if u64::from(clients) * u64::from(senders.max(1)) > PAIRS_MAX {
            return Err(wrong("--senders", "fewer, with so many clients"));
        }
        let window = if scenario == Scenario::Document { 1 } else { self.window.unwrap_or(16) };
        let seconds = if scenario == Scenario::Stalled { 15 } else { 10 };
        let rate = if scenario == Scenario::Stalled { 200 } else { 500 };
        Ok(Options {
            scenario,
            url: Url::parse(self.url.as_deref().unwrap_or("http://127.0.0.1:3001"))?,
            clients,
            rooms,
            room_codes: self.room_codes,
            duration: Duration::from_secs(self.seconds.unwrap_or(seconds)),
            rate: self.rate.unwrap_or(rate),
            bytes: self.bytes.unwrap_or(bytes),
            senders,
            window,
            stalled,
            concurrency: self.concurrency.unwrap_or(64),
            pid: self.pid,
            is_busy: self.is_busy,
            json: self.json,
            owns_server: self.owns_server,
            token: std::env::var("LOAD_TOKEN").ok().filter(|token| !token.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Options, String> {
        match parse(line.split_whitespace().map(OsString::from)) {
            Ok(Command::Run(options)) => Ok(options),
            Ok(Command::Help) => Err("help".to_owned()),
            Err(problem) => Err(problem.to_string()),
        }
    }

    #[test]
    fn every_scenario_has_defaults_and_a_line_of_help() {
        for scenario in Scenario::ALL {
            let options = options(scenario.name()).unwrap();
            assert_eq!(options.scenario, scenario);
            assert!(options.clients >= options.rooms);
            assert!(HELP.contains(&format!("\n  {:9} ", scenario.name())));
        }
        let options = options("paced").unwrap();
        assert_eq!((options.clients, options.rooms, options.rate), (1000, 50, 500));
        assert_eq!((options.senders, options.bytes, options.duration.as_secs()), (10, 200, 10));
    }

    #[test]
    fn options_replace_defaults() {
        let options = options(
            "--clients 9 flood --room A --room b-2 --seconds 3 --bytes 1KiB --senders 2 \
             --window 4 --pid 7 --busy --json --url ws://localhost:80/x",
        )
        .unwrap();
        assert_eq!((options.clients, options.rooms), (9, 2));
        assert_eq!(options.room_codes, ["A", "b-2"]);
        assert_eq!((options.bytes, options.senders, options.window), (1024, 2, 4));
        assert_eq!((options.pid, options.is_busy, options.json), (Some(7), true, true));
    }

    #[test]
    fn what_is_wrong_is_said_in_a_line() {
        for (line, problem) in [
            ("", "which scenario? (load --help shows what there is)"),
            ("fly", "no scenario is called fly"),
            ("idle flood", "unexpected argument \"flood\""),
            ("idle --wings 2", "there is no option --wings"),
            ("idle --clients", "missing argument for option '--clients'"),
            ("idle --clients 0", "--clients must be 1 to 25000"),
            ("idle --clients 5 --rooms 6", "--clients must be at least 6 for 6 rooms"),
            ("paced --clients 5 --rooms 3", "--clients must be at least 6 for 3 rooms"),
            ("stalled --clients 5 --rooms 2", "--clients must be at least 6 for 2 rooms"),
            ("flood --clients 10 --rooms 2 --senders 6", "--senders must be at most 5"),
            ("flood --clients 25000 --rooms 1 --senders 9999", "--senders must be fewer"),
            ("flood --bytes 46", "--bytes must be 47 to 64MiB"),
            ("flood --bytes 1GB", "--bytes must be 47 to 64MiB"),
            ("flood --room a/b", "--room must be 1 to 64"),
            ("flood --room A --rooms 2", "--rooms must be 1, as there are --room"),
            ("flood --url https://h", "--url must be http://"),
            ("--help", "help"),
        ] {
            let told = options(line).expect_err(line);
            assert!(told.starts_with(problem), "{line}: {told}");
        }
    }
}
