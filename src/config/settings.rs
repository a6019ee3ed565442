//! The settings as one table: names, defaults, what is allowed, and how each is read.
//!
//! Pure: the caller hands in a function that looks a variable up.

use std::fmt;

use super::address::{AllowedOrigins, TrustedProxies};
use super::server::{Config, HostAuth, InitialAdmin, Limits, LogFormat, SyncWriters};
use super::values::{
    bind_address, boolean, choice, database_name, header_token, log_level, number, public_url,
    size, size_text, with_credentials,
};
use crate::base::login::{PASSWORD_BYTES, email};
use crate::base::secret::Secret;

/// Set by systemd for a service with `StateDirectory=`: where its data belongs (systemd.exec(5)).
pub const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// What a message to a client may have beside the data that a client sent: the frame's header,
/// the event's own JSON, and a sender's id of 128 characters, each as long as JSON can make it.
const EVENT_BYTES_MAX: usize = 1024;

/// Of a value that an error shows; enough to recognise it.
const SHOWN_CHARS_MAX: usize = 100;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const YEAR: u64 = 365 * 24 * HOUR;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// One setting, as `--help` and the README show it.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// Its default as one would write it; empty if there is none.
    pub default: &'static str,
    /// What it may be, so that "must be …" is a sentence.
    pub allowed: &'static str,
    /// What it is for, in one line.
    pub help: &'static str,
    /// Whether its value is never shown.
    pub is_secret: bool,
    read: Read,
    /// Whether it differs, for a setting that takes effect only at the start.
    differs: Option<Differs>,
}

/// A value that is not allowed, or that does not go with another one; the operator is to blame.
///
/// Its text is one line: the name, the value unless it is a secret, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{assignment}: must be {allowed}")]
pub struct SettingError {
    /// `NAME=value`, or the name alone.
    assignment: String,
    allowed: String,
}

/// Puts a value into its place; `None` if it is not allowed.
type Read = fn(&mut Draft, &str) -> Option<()>;

/// Whether two configurations differ in a setting.
type Differs = fn(&Config, &Config) -> bool;

/// Settings that are being read. What needs another to make sense waits here for it.
#[derive(Default)]
struct Draft {
    config: Config,
    mongodb_username: Option<String>,
    mongodb_password: Option<Secret>,
    admin_email: Option<String>,
    admin_password: Option<Secret>,
    admin_nickname: Option<String>,
}

const BOOLEAN: &str = "true or false (1/0, yes/no, on/off)";

/// Every setting, in the order in which people read about them (protocol, section 5).
pub static SETTINGS: &[Setting] = &[
    at_start(
        open("PORT", "3001", "0 to 65535", "port to listen on; 0: any free one", |d, v| {
            put(&mut d.config.port, number(v, 0, u16::MAX))
        }),
        |a, b| a.port != b.port,
    ),
    at_start(
        open(
            "BIND_ADDR",
            "0.0.0.0",
            "an IP address or unix:/path",
            "address to listen on; :: for IPv6; unix:/path for a Unix socket, without PORT",
            |d, v| put(&mut d.config.bind_addr, bind_address(v)),
        ),
        |a, b| a.bind_addr != b.bind_addr,
    ),
    open(
        "PUBLIC_URL",
        "",
        "http(s)://host[:port][/path]",
        "how clients reach the server, if not by the address they ask",
        |d, v| put(&mut d.config.public_url, public_url(v).map(Some)),
    ),
    open(
        "RUST_LOG",
        "info",
        "off, error, warn, info, debug or trace",
        "how much is logged",
        |d, v| put(&mut d.config.log_level, log_level(v)),
    ),
    at_start(
        open(
            "LOG_FORMAT",
            "text",
            "text or json",
            "a log line is text, or a JSON object",
            |d, v| {
                let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
                put(&mut d.config.log_format, choice(v, &formats))
            },
        ),
        |a, b| a.log_format != b.log_format,
    ),
    at_start(
        open(
            "DATA_DIR",
            "./data",
            "a directory",
            "embedded store and generated secret; under systemd $STATE_DIRECTORY",
            |d, v| put(&mut d.config.data_dir, Some(v.into())),
        ),
        |a, b| a.data_dir != b.data_dir,
    ),
    at_start(
        secret(
            "MONGODB_URI",
            "mongodb://… or mongodb+srv://…",
            "store everything in this MongoDB instead of in DATA_DIR",
            |d, v| {
                let uri = v.trim();
                let is_known = uri.starts_with("mongodb://") || uri.starts_with("mongodb+srv://");
                put(&mut d.config.mongodb_uri, is_known.then(|| Some(Secret::new(uri))))
            },
        ),
        |a, b| a.mongodb_uri != b.mongodb_uri,
    ),
    at_start(
        open(
            "MONGODB_USERNAME",
            "",
            "a user of MongoDB",
            "whom to log in to MongoDB as, if MONGODB_URI does not say it",
            |d, v| put(&mut d.mongodb_username, Some(Some(v.to_owned()))),
        ),
        is_part_of_uri,
    ),
    at_start(
        secret(
            "MONGODB_PASSWORD",
            "any text",
            "password of that user, as it is: nothing has to be percent-encoded",
            |d, v| put(&mut d.mongodb_password, Some(Some(Secret::new(v)))),
        ),
        is_part_of_uri,
    ),
    at_start(
        open("DB_NAME", "tracker-db", "a database name", "database in MongoDB", |d, v| {
            put(&mut d.config.db_name, database_name(v))
        }),
        |a, b| a.db_name != b.db_name,
    ),
    at_start(
        secret(
            "JWT_SECRET",
            "any text, best of 32 bytes or more",
            "signs login tokens; unset: generated once and kept in DATA_DIR",
            |d, v| put(&mut d.config.jwt_secret, Some(Some(Secret::new(v)))),
        ),
        |a, b| a.jwt_secret != b.jwt_secret,
    ),
    at_start(
        open("JWT_TTL_SECONDS", "604800", "60 to 31536000", "how long a login lasts", |d, v| {
            put(&mut d.config.jwt_ttl_seconds, number(v, MINUTE, YEAR))
        }),
        |a, b| a.jwt_ttl_seconds != b.jwt_ttl_seconds,
    ),
    at_start(
        secret(
            "INITIAL_SETUP_TOKEN",
            "1 to 1024 ASCII letters, digits and signs, no blanks",
            "lets the first administrator be made over HTTP, once",
            |d, v| put(&mut d.config.initial_setup_token, header_token(v).map(Some)),
        ),
        |a, b| a.initial_setup_token != b.initial_setup_token,
    ),
    at_start(
        open(
            "INITIAL_ADMIN_EMAIL",
            "",
            "an e-mail address",
            "administrator to be made at the first start",
            |d, v| put(&mut d.admin_email, email(v).map(Some)),
        ),
        |a, b| admin(a, |a| a.email.clone()) != admin(b, |b| b.email.clone()),
    ),
    at_start(
        secret(
            "INITIAL_ADMIN_PASSWORD",
            "8 to 1024 bytes",
            "password of that administrator",
            |d, v| {
                let is_long_enough = PASSWORD_BYTES.contains(&v.len());
                put(&mut d.admin_password, is_long_enough.then(|| Some(Secret::new(v))))
            },
        ),
        |a, b| admin(a, |a| a.password.clone()) != admin(b, |b| b.password.clone()),
    ),
    at_start(
        open(
            "INITIAL_ADMIN_NICKNAME",
            "",
            "up to 200 characters",
            "shown name of that administrator",
            |d, v| {
                let is_name = v.chars().count() <= 200 && !v.contains(char::is_control);
                put(&mut d.admin_nickname, is_name.then(|| Some(v.to_owned())))
            },
        ),
        |a, b| admin(a, |a| a.nickname.clone()) != admin(b, |b| b.nickname.clone()),
    ),
    at_start(
        open("REQUIRE_AUTH", "false", BOOLEAN, "rooms only for logged-in users", |d, v| {
            put(&mut d.config.require_auth, boolean(v))
        }),
        |a, b| a.require_auth != b.require_auth,
    ),
    at_start(
        open(
            "HOST_AUTH",
            "peer_id",
            "peer_id or token",
            "what makes a member host: the host id, or also the host token",
            |d, v| put(&mut d.config.host_auth, HostAuth::from_name(&v.to_ascii_lowercase())),
        ),
        |a, b| a.host_auth != b.host_auth,
    ),
    open("SYNC_WRITERS", "host", "host or any", "who may replace a document", |d, v| {
        let writers = [("host", SyncWriters::Host), ("any", SyncWriters::Any)];
        put(&mut d.config.sync_writers, choice(v, &writers))
    }),
    open(
        "ROOM_IDLE_TIMEOUT_SECONDS",
        "3600",
        "0 to 31536000",
        "an empty room leaves memory after this; 0: never",
        |d, v| put(&mut d.config.room_idle_timeout_seconds, number(v, 0, YEAR)),
    ),
    open("ROOM_AUTO_CREATE", "false", BOOLEAN, "joining an unknown room makes it", |d, v| {
        put(&mut d.config.room_auto_create, boolean(v))
    }),
    at_start(
        open("ROOM_STORE", "on", BOOLEAN, "keep rooms in the store, not only in memory", |d, v| {
            put(&mut d.config.room_store, boolean(v))
        }),
        |a, b| a.room_store != b.room_store,
    ),
    open(
        "ALLOWED_ORIGINS",
        "*",
        "* or a comma list of scheme://host[:port]",
        "sites whose pages may use the server",
        |d, v| put(&mut d.config.allowed_origins, AllowedOrigins::parse(v)),
    ),
    open(
        "TRUSTED_PROXIES",
        "",
        "a comma list of addresses or networks (10.0.0.0/8)",
        "proxies whose X-Forwarded-* headers count",
        |d, v| put(&mut d.config.trusted_proxies, TrustedProxies::parse(v)),
    ),
    secret(
        "METRICS_TOKEN",
        "1 to 1024 ASCII letters, digits and signs, no blanks",
        "who has it sees GET /metrics; unset: only this machine does",
        |d, v| put(&mut d.config.metrics_token, header_token(v).map(Some)),
    ),
    open("MAX_CONNECTIONS", "10000", "1 to 1000000", "connections at once", |d, v| {
        put(&mut d.config.limits.connections_max, number(v, 1, 1_000_000))
    }),
    open(
        "MAX_CONNECTIONS_PER_IP",
        "500",
        "1 to 1000000",
        "connections of one address; loopback is exempt",
        |d, v| put(&mut d.config.limits.connections_per_ip_max, number(v, 1, 1_000_000)),
    ),
    open("MAX_ROOMS", "10000", "1 to 1000000", "rooms in memory", |d, v| {
        put(&mut d.config.limits.rooms_max, number(v, 1, 1_000_000))
    }),
    open("MAX_PEERS_PER_ROOM", "1000", "1 to 100000", "connections in one room", |d, v| {
        put(&mut d.config.limits.peers_per_room_max, number(v, 1, 100_000))
    }),
    open("MAX_MESSAGE_BYTES", "4MiB", "1KiB to 64MiB", "longest message of a client", |d, v| {
        put(&mut d.config.limits.message_bytes_max, size(v, KIB, 64 * MIB))
    }),
    open(
        "SEND_QUEUE_BYTES",
        "8MiB",
        "64KiB to 1GiB, and 1KiB more than MAX_MESSAGE_BYTES",
        "unsent bytes of one connection before it is closed as too slow",
        |d, v| put(&mut d.config.limits.send_queue_bytes_max, size(v, 64 * KIB, GIB)),
    ),
    open(
        "MEMORY_BUDGET_BYTES",
        "64MiB",
        "8MiB to 64GiB, and at least SEND_QUEUE_BYTES",
        "everything that clients make the server keep",
        |d, v| put(&mut d.config.limits.memory_budget_bytes, size(v, 8 * MIB, 64 * GIB)),
    ),
    open(
        "MESSAGE_RATE_LIMIT",
        "100",
        "0 to 1000000",
        "messages a second of one connection; 0: no limit",
        |d, v| put(&mut d.config.limits.message_rate_max, number(v, 0, 1_000_000)),
    ),
    open(
        "ROOM_CREATE_RATE",
        "2",
        "0 to 1000000",
        "rooms a second made by one address; 0: no limit",
        |d, v| put(&mut d.config.limits.room_create_rate_max, number(v, 0, 1_000_000)),
    ),
    open("ROOM_CODE_LENGTH", "6", "4 to 32", "characters of a new room's code", |d, v| {
        put(&mut d.config.limits.room_code_length, number(v, 4, 32))
    }),
    open(
        "PING_INTERVAL_SECONDS",
        "25",
        "1 to 3600",
        "silence after which a client is pinged",
        |d, v| put(&mut d.config.limits.ping_interval_seconds, number(v, 1, HOUR)),
    ),
    open(
        "PING_TIMEOUT_SECONDS",
        "60",
        "2 to 7200, and more than PING_INTERVAL_SECONDS",
        "silence after which a client counts as gone",
        |d, v| put(&mut d.config.limits.ping_timeout_seconds, number(v, 2, 2 * HOUR)),
    ),
    open("HEADER_TIMEOUT_SECONDS", "10", "1 to 300", "time for the head of a request", |d, v| {
        put(&mut d.config.limits.header_timeout_seconds, number(v, 1, 5 * MINUTE))
    }),
    open(
        "KEEP_ALIVE_SECONDS",
        "75",
        "1 to 3600",
        "time between two requests of a connection",
        |d, v| put(&mut d.config.limits.keep_alive_seconds, number(v, 1, HOUR)),
    ),
    open(
        "SHUTDOWN_GRACE_SECONDS",
        "10",
        "0 to 600",
        "time to store and say goodbye when stopped",
        |d, v| put(&mut d.config.limits.shutdown_grace_seconds, number(v, 0, 10 * MINUTE)),
    ),
    at_start(
        open("WORKER_THREADS", "2", "1 to 16", "threads for the store and passwords", |d, v| {
            put(&mut d.config.limits.worker_threads, number(v, 1, 16))
        }),
        |a, b| a.limits.worker_threads != b.limits.worker_threads,
    ),
];

/// The name of every variable that [`Config::from_variables`] asks for.
pub fn variable_names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.name).chain([STATE_DIRECTORY])
}

impl Config {
    /// Reads every setting; `lookup` gives a variable's value. A value of nothing but blanks
    /// counts as unset. Blanks around a value don't count; around that of a secret only line ends
    /// don't, for those come from files that were made into variables, and blanks may be meant.
    ///
    /// # Errors
    /// [`SettingError`] for the first value that is not allowed, in the order of [`SETTINGS`];
    /// then for the first that does not go with another.
    pub fn from_variables(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingError> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let mut draft = Draft::default();
        if let Some(directories) = lookup(STATE_DIRECTORY) {
            // A colon list if the unit names several; the first is for the data.
            let mut listed = directories.split(':').filter(|directory| !directory.is_empty());
            draft.config.data_dir = listed.next().map_or(draft.config.data_dir, Into::into);
        }
        for setting in SETTINGS {
            let Some(value) = lookup(setting.name) else { continue };
            let text = setting.trimmed(&value);
            (setting.read)(&mut draft, text).ok_or_else(|| setting.refusal(text))?;
        }
        check_relations(&draft.config.limits)?;
        draft.finish()
    }
}

impl Setting {
    /// Whether a running server goes on with the value that it was started with.
    pub fn takes_effect_at_start(&self) -> bool {
        self.differs.is_some()
    }

    /// Whether it would have to change for `new`, and cannot while the server runs.
    pub(super) fn has_to_wait(&self, running: &Config, new: &Config) -> bool {
        self.differs.is_some_and(|differs| differs(running, new))
    }

    /// `value` without what surrounds it by accident.
    fn trimmed<'a>(&self, value: &'a str) -> &'a str {
        if self.is_secret { value.trim_end_matches(['\r', '\n']) } else { value.trim() }
    }

    fn refusal(&self, value: &str) -> SettingError {
        // A URL with a password in it may have come into a setting that is no secret.
        let hides = self.is_secret || (value.contains("://") && value.contains('@'));
        let assignment =
            if hides { self.name.to_owned() } else { format!("{}={}", self.name, shown(value)) };
        SettingError { assignment, allowed: self.allowed.to_owned() }
    }
}

impl Draft {
    /// The administrator needs an e-mail address and a password; a name alone makes none.
    fn finish(mut self) -> Result<Config, SettingError> {
        self.config.mongodb_uri = self.complete_mongodb_uri()?;
        if let Some(url) = &self.config.public_url {
            self.config.allowed_origins.add_site_of(url);
        }
        let initial_admin = match (self.admin_email, self.admin_password) {
            (Some(email), Some(password)) => {
                Some(InitialAdmin { email, password, nickname: self.admin_nickname })
            }
            (Some(_), None) => {
                return Err(missing("INITIAL_ADMIN_PASSWORD", "INITIAL_ADMIN_EMAIL"));
            }
            (None, Some(_)) => {
                return Err(missing("INITIAL_ADMIN_EMAIL", "INITIAL_ADMIN_PASSWORD"));
            }
            (None, None) => None,
        };
        Ok(Config { initial_admin, ..self.config })
    }

    /// `MONGODB_URI` with the user and the password that were given apart from it.
    fn complete_mongodb_uri(&self) -> Result<Option<Secret>, SettingError> {
        const NAMES: [&str; 3] = ["MONGODB_URI", "MONGODB_USERNAME", "MONGODB_PASSWORD"];
        let (username, password) = match (&self.mongodb_username, &self.mongodb_password) {
            (Some(username), Some(password)) => (username, password),
            (Some(_), None) => return Err(missing(NAMES[2], NAMES[1])),
            (None, Some(_)) => return Err(missing(NAMES[1], NAMES[2])),
            (None, None) => return Ok(self.config.mongodb_uri.clone()),
        };
        let uri = self.config.mongodb_uri.as_ref().ok_or_else(|| missing(NAMES[0], NAMES[1]))?;
        let uri = with_credentials(uri, username, password).ok_or_else(|| SettingError {
            assignment: NAMES[0].to_owned(),
            allowed: format!("without a user if {} is set", NAMES[1]),
        })?;
        Ok(Some(uri))
    }
}

fn missing(name: &str, other: &str) -> SettingError {
    SettingError { assignment: name.to_owned(), allowed: format!("set if {other} is") }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A setting whose value may be shown.
const fn open(
    name: &'static str,
    default: &'static str,
    allowed: &'static str,
    help: &'static str,
    read: Read,
) -> Setting {
    Setting { name, default, allowed, help, is_secret: false, read, differs: None }
}

/// A secret setting: no default, and never shown.
const fn secret(
    name: &'static str,
    allowed: &'static str,
    help: &'static str,
    read: Read,
) -> Setting {
    Setting { name, default: "", allowed, help, is_secret: true, read, differs: None }
}

/// A setting that a running server cannot change.
const fn at_start(setting: Setting, differs: Differs) -> Setting {
    Setting { differs: Some(differs), ..setting }
}

/// For what is a part of `MONGODB_URI` in the end, and differs there.
fn is_part_of_uri(_: &Config, _: &Config) -> bool {
    false
}

/// What of the administrator that is to be made one setting says.
fn admin<T>(config: &Config, part: impl FnOnce(&InitialAdmin) -> T) -> Option<T> {
    config.initial_admin.as_ref().map(part)
}

/// Puts a value into its place, if there is one.
fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    value.map(|value| *place = value)
}

/// `value` in one line that cannot hide what is in it.
fn shown(value: &str) -> String {
    let mut line = String::new();
    for character in value.chars().take(SHOWN_CHARS_MAX) {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    if value.chars().count() > SHOWN_CHARS_MAX {
        line.push('…');
    }
    line
}

/// What no setting alone can promise: whatever a client may send fits the queue of those who are
/// to get it, a full queue fits the budget, and a silent client is asked before it is dropped.
fn check_relations(limits: &Limits) -> Result<(), SettingError> {
    let wrong = |name: &str, value: String, allowed: String| {
        Err(SettingError { assignment: format!("{name}={value}"), allowed })
    };
    if limits.send_queue_bytes_max < limits.message_bytes_max + EVENT_BYTES_MAX {
        let message = size_text(limits.message_bytes_max);
        return wrong(
            "SEND_QUEUE_BYTES",
            size_text(limits.send_queue_bytes_max),
            format!("at least 1KiB more than MAX_MESSAGE_BYTES={message}"),
        );
    }
    if limits.memory_budget_bytes < limits.send_queue_bytes_max {
        let queue = size_text(limits.send_queue_bytes_max);
        return wrong(
            "MEMORY_BUDGET_BYTES",
            size_text(limits.memory_budget_bytes),
            format!("at least SEND_QUEUE_BYTES={queue}"),
        );
    }
    if limits.ping_timeout_seconds <= limits.ping_interval_seconds {
        let interval = limits.ping_interval_seconds;
        return wrong(
            "PING_TIMEOUT_SECONDS",
            limits.ping_timeout_seconds.to_string(),
            format!("more than PING_INTERVAL_SECONDS={interval}"),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
