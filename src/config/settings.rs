//! The settings as one table: names, defaults, what is allowed, and how each is read.
//!
//! Pure: the caller hands in a function that looks a variable up.

use super::address::{AllowedOrigins, TrustedProxies};
use super::server::{Config, HostAuth, InitialAdmin, Limits, LogFormat, SyncWriters};
use super::values::{
    bind_address, boolean, choice, database_name, header_token, log_level, mongodb_uri, nickname,
    number, public_url, size, size_text, with_credentials,
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
    /// Puts a value into its place; `None` if it is not allowed.
    read: fn(&mut Draft, &str) -> Option<()>,
    when: When,
}

/// When a setting takes effect.
#[derive(Clone, Copy, Debug)]
enum When {
    /// At once: copies the value of the second configuration into the first.
    AtOnce(fn(&mut Config, &Config)),
    /// When a server starts: whether two configurations differ in it.
    AtStart(fn(&Config, &Config) -> bool),
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
const TOKEN: &str = "1 to 1024 ASCII letters, digits and signs, no blanks";

/// Makes the rows of the table, each `visibility when name, default, allowed, help, place = how
/// its text is read`. `live` takes effect at once, `start` only at the start; and so does what is
/// part of a value, which has in brackets how two configurations differ in it.
macro_rules! settings {
    ($($visibility:ident $when:tt $name:literal, $default:literal, $allowed:expr, $help:literal,
        $($place:ident).+ = |$text:ident| $read:expr;)*) => {
        &[$(Setting {
            name: $name,
            default: $default,
            allowed: $allowed,
            help: $help,
            is_secret: settings!(@$visibility),
            read: |draft, $text| {
                draft.$($place).+ = $read?;
                Some(())
            },
            when: settings!(@when $when $($place).+),
        }),*]
    };
    (@open) => { false };
    (@secret) => { true };
    (@when live config.$($place:ident).+) => {
        When::AtOnce(|running, new| running.$($place).+.clone_from(&new.$($place).+))
    };
    (@when start config.$($place:ident).+) => {
        When::AtStart(|a, b| a.$($place).+ != b.$($place).+)
    };
    (@when [$differs:expr] $($place:ident).+) => { When::AtStart($differs) };
}

/// Every setting, in the order in which people read about them (protocol, section 5).
pub static SETTINGS: &[Setting] = settings! {
    open start "PORT", "3001", "0 to 65535", "port to listen on; 0: any free one",
        config.port = |v| number(v, 0, u16::MAX);
    open start "BIND_ADDR", "0.0.0.0", "an IP address or unix:/path",
        "address to listen on; :: for IPv6; unix:/path for a Unix socket, without PORT",
        config.bind_addr = |v| bind_address(v);
    open live "PUBLIC_URL", "", "http(s)://host[:port][/path]",
        "how clients reach the server, if not by the address they ask",
        config.public_url = |v| public_url(v).map(Some);
    open live "RUST_LOG", "info", "off, error, warn, info, debug or trace", "how much is logged",
        config.log_level = |v| log_level(v);
    open start "LOG_FORMAT", "text", "text or json", "a log line is text, or a JSON object",
        config.log_format = |v| choice(v, &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
    open start "DATA_DIR", "./data", "a directory",
        "embedded store and generated secret; under systemd $STATE_DIRECTORY",
        config.data_dir = |v| Some(v.into());
    secret start "MONGODB_URI", "", "mongodb://… or mongodb+srv://…",
        "store everything in this MongoDB instead of in DATA_DIR",
        config.mongodb_uri = |v| mongodb_uri(v).map(Some);
    open [is_part_of_uri] "MONGODB_USERNAME", "", "a user of MongoDB",
        "whom to log in to MongoDB as, if MONGODB_URI does not say it",
        mongodb_username = |v| Some(Some(v.to_owned()));
    secret [is_part_of_uri] "MONGODB_PASSWORD", "", "any text",
        "password of that user, as it is: nothing has to be percent-encoded",
        mongodb_password = |v| Some(Some(Secret::new(v)));
    open start "DB_NAME", "tracker-db", "a database name", "database in MongoDB",
        config.db_name = |v| database_name(v);
    secret start "JWT_SECRET", "", "any text, best of 32 bytes or more",
        "signs login tokens; unset: generated once and kept in DATA_DIR",
        config.jwt_secret = |v| Some(Some(Secret::new(v)));
    open start "JWT_TTL_SECONDS", "604800", "60 to 31536000", "how long a login lasts",
        config.jwt_ttl_seconds = |v| number(v, MINUTE, YEAR);
    secret start "INITIAL_SETUP_TOKEN", "", TOKEN,
        "lets the first administrator be made over HTTP, once",
        config.initial_setup_token = |v| header_token(v).map(Some);
    open [|a, b| admin(a, |a| a.email.clone()) != admin(b, |b| b.email.clone())]
        "INITIAL_ADMIN_EMAIL", "", "an e-mail address",
        "administrator to be made at the first start",
        admin_email = |v| email(v).map(Some);
    secret [|a, b| admin(a, |a| a.password.clone()) != admin(b, |b| b.password.clone())]
        "INITIAL_ADMIN_PASSWORD", "", "8 to 1024 bytes", "password of that administrator",
        admin_password = |v| PASSWORD_BYTES.contains(&v.len()).then(|| Some(Secret::new(v)));
    open [|a, b| admin(a, |a| a.nickname.clone()) != admin(b, |b| b.nickname.clone())]
        "INITIAL_ADMIN_NICKNAME", "", "up to 200 characters", "shown name of that administrator",
        admin_nickname = |v| nickname(v).map(Some);
    open start "REQUIRE_AUTH", "false", BOOLEAN, "rooms only for logged-in users",
        config.require_auth = |v| boolean(v);
    open start "HOST_AUTH", "peer_id", "peer_id or token",
        "what makes a member host: the host id, or also the host token",
        config.host_auth =
            |v| HostAuth::from_name(&v.to_ascii_lowercase());
    open live "SYNC_WRITERS", "host", "host or any", "who may replace a document",
        config.sync_writers =
            |v| choice(v, &[("host", SyncWriters::Host), ("any", SyncWriters::Any)]);
    open live "ROOM_IDLE_TIMEOUT_SECONDS", "3600", "0 to 31536000",
        "an empty room leaves memory after this; 0: never",
        config.room_idle_timeout_seconds = |v| number(v, 0, YEAR);
    open live "ROOM_AUTO_CREATE", "false", BOOLEAN, "joining an unknown room makes it",
        config.room_auto_create = |v| boolean(v);
    open start "ROOM_STORE", "on", BOOLEAN, "keep rooms in the store, not only in memory",
        config.room_store = |v| boolean(v);
    open live "ALLOWED_ORIGINS", "*", "* or a comma list of scheme://host[:port]",
        "sites whose pages may use the server",
        config.allowed_origins = |v| AllowedOrigins::parse(v);
    open live "TRUSTED_PROXIES", "", "a comma list of addresses or networks (10.0.0.0/8)",
        "proxies whose X-Forwarded-* headers count",
        config.trusted_proxies = |v| TrustedProxies::parse(v);
    secret live "METRICS_TOKEN", "", TOKEN,
        "who has it sees GET /metrics; unset: only this machine does",
        config.metrics_token = |v| header_token(v).map(Some);
    open live "MAX_CONNECTIONS", "10000", "1 to 1000000", "connections at once",
        config.limits.connections_max = |v| number(v, 1, 1_000_000);
    open live "MAX_CONNECTIONS_PER_IP", "500", "1 to 1000000",
        "connections of one address; loopback is exempt",
        config.limits.connections_per_ip_max = |v| number(v, 1, 1_000_000);
    open live "MAX_ROOMS", "10000", "1 to 1000000", "rooms in memory",
        config.limits.rooms_max = |v| number(v, 1, 1_000_000);
    open live "MAX_PEERS_PER_ROOM", "1000", "1 to 100000", "connections in one room",
        config.limits.peers_per_room_max = |v| number(v, 1, 100_000);
    open live "MAX_MESSAGE_BYTES", "4MiB", "1KiB to 64MiB", "longest message of a client",
        config.limits.message_bytes_max = |v| size(v, KIB, 64 * MIB);
    open live "SEND_QUEUE_BYTES", "8MiB", "64KiB to 1GiB, and 1KiB more than MAX_MESSAGE_BYTES",
        "unsent bytes of one connection before it is closed as too slow",
        config.limits.send_queue_bytes_max = |v| size(v, 64 * KIB, GIB);
    open live "MEMORY_BUDGET_BYTES", "64MiB", "8MiB to 64GiB, and at least SEND_QUEUE_BYTES",
        "everything that clients make the server keep",
        config.limits.memory_budget_bytes = |v| size(v, 8 * MIB, 64 * GIB);
    open live "MESSAGE_RATE_LIMIT", "100", "0 to 1000000",
        "messages a second of one connection; 0: no limit",
        config.limits.message_rate_max = |v| number(v, 0, 1_000_000);
    open live "ROOM_CREATE_RATE", "2", "0 to 1000000",
        "rooms a second made by one address; 0: no limit",
        config.limits.room_create_rate_max = |v| number(v, 0, 1_000_000);
    open live "ROOM_CODE_LENGTH", "6", "4 to 32", "characters of a new room's code",
        config.limits.room_code_length = |v| number(v, 4, 32);
    open live "PING_INTERVAL_SECONDS", "25", "1 to 3600", "silence after which a client is pinged",
        config.limits.ping_interval_seconds = |v| number(v, 1, HOUR);
    open live "PING_TIMEOUT_SECONDS", "60", "2 to 7200, and more than PING_INTERVAL_SECONDS",
        "silence after which a client counts as gone",
        config.limits.ping_timeout_seconds = |v| number(v, 2, 2 * HOUR);
    open live "HEADER_TIMEOUT_SECONDS", "10", "1 to 300", "time for the head of a request",
        config.limits.header_timeout_seconds = |v| number(v, 1, 5 * MINUTE);
    open live "KEEP_ALIVE_SECONDS", "75", "1 to 3600", "time between two requests of a connection",
        config.limits.keep_alive_seconds = |v| number(v, 1, HOUR);
    open live "SHUTDOWN_GRACE_SECONDS", "10", "0 to 600",
        "time to store and say goodbye when stopped",
        config.limits.shutdown_grace_seconds = |v| number(v, 0, 10 * MINUTE);
    open start "WORKER_THREADS", "2", "1 to 16",
        "threads for reading and passwords; one more writes",
        config.limits.worker_threads = |v| number(v, 1, 16);
};

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

    /// The settings that a server with these ones runs with after it was given `new` ones, and
    /// the names of those in `new` that differ but take effect only when it starts.
    ///
    /// What was bound, opened or signed by a setting cannot follow it, and a rule of which
    /// clients may come in should not hold for some only.
    pub fn reloaded(&self, new: &Self) -> (Self, Vec<&'static str>) {
        let (mut config, mut waiting) = (self.clone(), Vec::new());
        for setting in SETTINGS {
            match setting.when {
                When::AtOnce(copy) => copy(&mut config, new),
                When::AtStart(differ) if differ(self, new) => waiting.push(setting.name),
                When::AtStart(_) => {}
            }
        }
        (config, waiting)
    }
}

impl Setting {
    /// Whether a running server goes on with the value that it was started with.
    pub fn takes_effect_at_start(&self) -> bool {
        matches!(self.when, When::AtStart(_))
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

/// For what is a part of `MONGODB_URI` in the end, and differs there.
fn is_part_of_uri(_: &Config, _: &Config) -> bool {
    false
}

/// What of the administrator that is to be made one setting says.
fn admin<T>(config: &Config, part: impl FnOnce(&InitialAdmin) -> T) -> Option<T> {
    config.initial_admin.as_ref().map(part)
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

/// What no setting alone can promise: whatever a client may send fits the queue of those that are
/// to get it, a full queue fits the budget, and a silent client is asked before it is dropped.
fn check_relations(limits: &Limits) -> Result<(), SettingError> {
    let (message, queue) = (limits.message_bytes_max, limits.send_queue_bytes_max);
    let (interval, timeout) = (limits.ping_interval_seconds, limits.ping_timeout_seconds);
    let (assignment, allowed) = if queue < message + EVENT_BYTES_MAX {
        let allowed = format!("at least 1KiB more than MAX_MESSAGE_BYTES={}", size_text(message));
        (format!("SEND_QUEUE_BYTES={}", size_text(queue)), allowed)
    } else if limits.memory_budget_bytes < queue {
        let budget = size_text(limits.memory_budget_bytes);
        let allowed = format!("at least SEND_QUEUE_BYTES={}", size_text(queue));
        (format!("MEMORY_BUDGET_BYTES={budget}"), allowed)
    } else if timeout <= interval {
        let allowed = format!("more than PING_INTERVAL_SECONDS={interval}");
        (format!("PING_TIMEOUT_SECONDS={timeout}"), allowed)
    } else {
        return Ok(());
    };
    Err(SettingError { assignment, allowed })
}

#[cfg(test)]
mod tests;
