//! The settings as one table: names, defaults, what is allowed, and how each is read.

use std::fmt;
use std::str::FromStr;

use log::LevelFilter;

use super::{
    AllowedOrigins, Config, HostAuth, InitialAdmin, LogFormat, SyncWriters, TrustedProxies,
};
use crate::secret::Secret;

/// One setting, as `--help` and the README show it.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// Its default, empty if there is none.
    pub default: &'static str,
    /// What it may be.
    pub allowed: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// Its value is never shown.
    is_secret: bool,
    read: fn(&mut Config, &str) -> bool,
}

/// A value that is not allowed; the operator is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}{}: {problem}", shown(.value.as_ref()))]
pub struct SettingError {
    name: String,
    value: Option<String>,
    problem: String,
}

fn shown(value: Option<&String>) -> String {
    value.map_or_else(String::new, |value| format!("={}", value.escape_debug()))
}

/// An open setting: its value may be shown.
const fn open(
    name: &'static str,
    default: &'static str,
    allowed: &'static str,
    help: &'static str,
    read: fn(&mut Config, &str) -> bool,
) -> Setting {
    Setting { name, default, allowed, help, is_secret: false, read }
}

/// A secret setting: no default, and never shown.
const fn secret(
    name: &'static str,
    allowed: &'static str,
    help: &'static str,
    read: fn(&mut Config, &str) -> bool,
) -> Setting {
    Setting { name, default: "", allowed, help, is_secret: true, read }
}

/// Every setting (protocol, section 5).
pub static SETTINGS: &[Setting] = &[
    open("PORT", "3001", "0 to 65535", "port to listen on; 0: any free one", |c, v| {
        set(&mut c.port, number(v, 0, 65_535))
    }),
    open("BIND_ADDR", "0.0.0.0", "an IP address", "address to listen on", |c, v| {
        set(&mut c.bind_addr, v.parse().ok())
    }),
    open(
        "PUBLIC_URL",
        "",
        "http(s)://host[/path]",
        "how clients reach the server, if not by the address they ask",
        |c, v| set(&mut c.public_url, public_url(v).map(Some)),
    ),
    open(
        "RUST_LOG",
        "info",
        "off, error, warn, info, debug or trace",
        "how much is logged",
        |c, v| set(&mut c.log_level, log_level(v)),
    ),
    open("LOG_FORMAT", "text", "text or json", "how it is logged", |c, v| {
        let format = match v {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        };
        set(&mut c.log_format, format)
    }),
    open(
        "DATA_DIR",
        "./data",
        "a directory",
        "embedded store and generated secret; under systemd $STATE_DIRECTORY",
        |c, v| set(&mut c.data_dir, Some(v.into())),
    ),
    secret(
        "MONGODB_URI",
        "mongodb://… or mongodb+srv://…",
        "store everything in this MongoDB instead of in DATA_DIR",
        |c, v| {
            let known = v.starts_with("mongodb://") || v.starts_with("mongodb+srv://");
            set(&mut c.mongodb_uri, known.then(|| Some(Secret::new(v))))
        },
    ),
    open("DB_NAME", "tracker-db", "a database name", "database in MongoDB", |c, v| {
        let valid = v.len() < 64 && !v.contains(['/', '\\', '.', ' ', '"', '$', '\0']);
        set(&mut c.db_name, valid.then(|| v.to_owned()))
    }),
    secret(
        "JWT_SECRET",
        "any text, 32 bytes or more",
        "signs login tokens; unset: generated once and kept in DATA_DIR",
        |c, v| set(&mut c.jwt_secret, Some(Some(Secret::new(v)))),
    ),
    open("JWT_TTL_SECONDS", "604800", "60 to 31536000", "how long a login lasts", |c, v| {
        set(&mut c.jwt_ttl_seconds, number(v, 60, 31_536_000))
    }),
    secret(
        "INITIAL_SETUP_TOKEN",
        "any text",
        "lets the first administrator be made, once",
        |c, v| set(&mut c.initial_setup_token, Some(Some(Secret::new(v)))),
    ),
    open(
        "INITIAL_ADMIN_EMAIL",
        "",
        "an e-mail address",
        "administrator to be made at the first start",
        |c, v| {
            let email = v.to_lowercase();
            let valid = email.len() <= 254
                && email
                    .split_once('@')
                    .is_some_and(|(a, b)| !a.is_empty() && !b.is_empty() && !b.contains('@'))
                && !email.contains(|c: char| c.is_whitespace() || c.is_control());
            admin(c).email = email;
            valid
        },
    ),
    secret("INITIAL_ADMIN_PASSWORD", "8 to 1024 bytes", "and the password", |c, v| {
        admin(c).password = Secret::new(v);
        (8..=1024).contains(&v.len())
    }),
    open("INITIAL_ADMIN_NICKNAME", "", "up to 200 characters", "and the shown name", |c, v| {
        admin(c).nickname = Some(v.to_owned());
        v.chars().count() <= 200
    }),
    open("REQUIRE_AUTH", "false", BOOLEAN, "rooms only for logged-in users", |c, v| {
        set(&mut c.require_auth, boolean(v))
    }),
    open(
        "HOST_AUTH",
        "peer_id",
        "peer_id or token",
        "what makes a member host: the host id, or also the host token",
        |c, v| {
            let auth = match v {
                "peer_id" => Some(HostAuth::PeerId),
                "token" => Some(HostAuth::Token),
                _ => None,
            };
            set(&mut c.host_auth, auth)
        },
    ),
    open("SYNC_WRITERS", "host", "host or any", "who may replace a document", |c, v| {
        let writers = match v {
            "host" => Some(SyncWriters::Host),
            "any" => Some(SyncWriters::Any),
            _ => None,
        };
        set(&mut c.sync_writers, writers)
    }),
    open(
        "ROOM_IDLE_TIMEOUT_SECONDS",
        "3600",
        "0 to 31536000",
        "an empty room leaves memory after this; 0: never",
        |c, v| set(&mut c.room_idle_timeout_seconds, number(v, 0, 31_536_000)),
    ),
    open("ROOM_AUTO_CREATE", "false", BOOLEAN, "joining an unknown room makes it", |c, v| {
        set(&mut c.room_auto_create, boolean(v))
    }),
    open("ROOM_STORE", "on", BOOLEAN, "keep rooms in the store", |c, v| {
        set(&mut c.room_store, boolean(v))
    }),
    open(
        "ALLOWED_ORIGINS",
        "*",
        "* or a comma list of scheme://host[:port]",
        "pages that may use the server",
        |c, v| set(&mut c.allowed_origins, AllowedOrigins::parse(v)),
    ),
    open(
        "TRUSTED_PROXIES",
        "",
        "a comma list of addresses or networks (10.0.0.0/8)",
        "proxies whose X-Forwarded-* headers count",
        |c, v| set(&mut c.trusted_proxies, TrustedProxies::parse(v)),
    ),
    open("MAX_CONNECTIONS", "10000", "1 to 1000000", "connections at once", |c, v| {
        set(&mut c.limits.connections_max, number(v, 1, 1_000_000))
    }),
    open(
        "MAX_CONNECTIONS_PER_IP",
        "500",
        "1 to 1000000",
        "connections of one address; loopback is exempt",
        |c, v| set(&mut c.limits.connections_per_ip_max, number(v, 1, 1_000_000)),
    ),
    open("MAX_ROOMS", "10000", "1 to 1000000", "rooms in memory", |c, v| {
        set(&mut c.limits.rooms_max, number(v, 1, 1_000_000))
    }),
    open("MAX_PEERS_PER_ROOM", "1000", "1 to 100000", "connections in one room", |c, v| {
        set(&mut c.limits.peers_per_room_max, number(v, 1, 100_000))
    }),
    open("MAX_MESSAGE_BYTES", "4MiB", "1KiB to 64MiB", "longest message of a client", |c, v| {
        set(&mut c.limits.message_bytes_max, size(v, 1 << 10, 64 << 20))
    }),
    open(
        "SEND_QUEUE_BYTES",
        "8MiB",
        "64KiB to 1GiB, more than MAX_MESSAGE_BYTES",
        "unsent bytes of one connection before it is closed as too slow",
        |c, v| set(&mut c.limits.send_queue_bytes_max, size(v, 64 << 10, 1 << 30)),
    ),
    open(
        "MEMORY_BUDGET_BYTES",
        "64MiB",
        "8MiB to 64GiB, at least SEND_QUEUE_BYTES",
        "everything that clients make the server keep",
        |c, v| set(&mut c.limits.memory_budget_bytes, size(v, 8 << 20, 64 << 30)),
    ),
    open(
        "MESSAGE_RATE_LIMIT",
        "100",
        "0 to 1000000",
        "messages a second of one connection; 0: no limit",
        |c, v| set(&mut c.limits.message_rate_max, number(v, 0, 1_000_000)),
    ),
    open(
        "ROOM_CREATE_RATE",
        "2",
        "0 to 1000000",
        "rooms a second made by one address; 0: no limit",
        |c, v| set(&mut c.limits.room_create_rate_max, number(v, 0, 1_000_000)),
    ),
    open("ROOM_CODE_LENGTH", "6", "4 to 32", "characters of a new room's code", |c, v| {
        set(&mut c.limits.room_code_length, number(v, 4, 32))
    }),
    open(
        "PING_INTERVAL_SECONDS",
        "25",
        "1 to 3600",
        "silence after which a client is pinged",
        |c, v| set(&mut c.limits.ping_interval_seconds, number(v, 1, 3600)),
    ),
    open(
        "PING_TIMEOUT_SECONDS",
        "60",
        "2 to 7200, more than PING_INTERVAL_SECONDS",
        "silence after which a client counts as gone",
        |c, v| set(&mut c.limits.ping_timeout_seconds, number(v, 2, 7200)),
    ),
    open("HEADER_TIMEOUT_SECONDS", "10", "1 to 300", "time for the head of a request", |c, v| {
        set(&mut c.limits.header_timeout_seconds, number(v, 1, 300))
    }),
    open(
        "KEEP_ALIVE_SECONDS",
        "75",
        "1 to 3600",
        "time between two requests of a connection",
        |c, v| set(&mut c.limits.keep_alive_seconds, number(v, 1, 3600)),
    ),
    open(
        "SHUTDOWN_GRACE_SECONDS",
        "10",
        "0 to 600",
        "time to store and say goodbye when stopped",
        |c, v| set(&mut c.limits.shutdown_grace_seconds, number(v, 0, 600)),
    ),
    open("WORKER_THREADS", "2", "1 to 16", "threads for store and passwords", |c, v| {
        set(&mut c.limits.worker_threads, number(v, 1, 16))
    }),
];

const BOOLEAN: &str = "true or false (on/off, yes/no, 1/0)";

impl Config {
    /// Reads every setting; `lookup` gives a variable's value. An empty value counts as unset.
    ///
    /// # Errors
    /// [`SettingError`] for the first value that is not allowed, in the order of [`SETTINGS`],
    /// then for the first that does not go with another.
    pub fn from_variables(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingError> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let mut config = Self::default();
        if let Some(directories) = lookup("STATE_DIRECTORY") {
            // systemd gives a colon list; the first is ours.
            let first = directories.split(':').next().unwrap_or_default();
            config.data_dir = first.into();
        }
        for setting in SETTINGS {
            if let Some(value) = lookup(setting.name)
                && !(setting.read)(&mut config, value.trim())
            {
                return Err(SettingError {
                    name: setting.name.to_owned(),
                    value: (!setting.is_secret).then(|| value.clone()),
                    problem: format!("must be {}", setting.allowed),
                });
            }
        }
        config.check_relations()?;
        Ok(config)
    }

    /// What an operator may want to change, a line each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.jwt_secret.as_ref().is_some_and(|secret| secret.expose().len() < 32) {
            warnings.push("JWT_SECRET is shorter than 32 bytes: tokens can be forged".to_owned());
        }
        if self.allowed_origins == AllowedOrigins::Any && self.require_auth {
            warnings.push(
                "REQUIRE_AUTH is on, but ALLOWED_ORIGINS lets every page use the server".to_owned(),
            );
        }
        warnings
    }

    fn check_relations(&self) -> Result<(), SettingError> {
        /// Header and message around the largest document.
        const FRAME_BYTES: usize = 1024;
        let limits = &self.limits;
        let wrong = |name: &str, value: String, problem: &str| {
            let problem = problem.to_owned();
            Err(SettingError { name: name.to_owned(), value: Some(value), problem })
        };
        if limits.send_queue_bytes_max < limits.message_bytes_max + FRAME_BYTES {
            let value = limits.send_queue_bytes_max.to_string();
            return wrong(
                "SEND_QUEUE_BYTES",
                value,
                "must be more than MAX_MESSAGE_BYTES, or nobody could be sent the largest message",
            );
        }
        if limits.memory_budget_bytes < limits.send_queue_bytes_max {
            let value = limits.memory_budget_bytes.to_string();
            return wrong("MEMORY_BUDGET_BYTES", value, "must be at least SEND_QUEUE_BYTES");
        }
        if limits.ping_timeout_seconds <= limits.ping_interval_seconds {
            let value = limits.ping_timeout_seconds.to_string();
            return wrong("PING_TIMEOUT_SECONDS", value, "must be more than PING_INTERVAL_SECONDS");
        }
        if let Some(admin) = &self.initial_admin {
            if admin.email.is_empty() {
                let problem = "must be set along with INITIAL_ADMIN_PASSWORD or _NICKNAME";
                return wrong("INITIAL_ADMIN_EMAIL", String::new(), problem);
            }
            if admin.password.expose().is_empty() {
                let problem = "must be set along with INITIAL_ADMIN_EMAIL";
                return wrong("INITIAL_ADMIN_PASSWORD", String::new(), problem);
            }
        }
        Ok(())
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)
    }
}

/// Puts a value in its place; false if there is none.
fn set<T>(place: &mut T, value: Option<T>) -> bool {
    value.map(|value| *place = value).is_some()
}

/// The administrator to be made, begun by whichever of its settings comes first.
fn admin(config: &mut Config) -> &mut InitialAdmin {
    config.initial_admin.get_or_insert_with(|| InitialAdmin {
        email: String::new(),
        password: Secret::new(""),
        nickname: None,
    })
}

fn number<T: FromStr + PartialOrd + Copy>(text: &str, min: T, max: T) -> Option<T> {
    // A sign is no digit.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let value = text.parse().ok().filter(|_| digits)?;
    (min <= value && value <= max).then_some(value)
}

/// Bytes, or with a unit: `4MiB`, `64 kib`, `1GB`.
fn size(text: &str, min: u64, max: u64) -> Option<usize> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    let bytes = digits.parse::<u64>().ok()?.checked_mul(factor)?;
    if bytes < min || bytes > max {
        return None;
    }
    usize::try_from(bytes).ok()
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn public_url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let valid = matches!(scheme, "http" | "https")
        && !rest.is_empty()
        && !rest.starts_with('/')
        && !rest.contains(['?', '#', ' ', '"', '<', '>', '\\', '@']);
    valid.then(|| text.trim_end_matches('/').to_owned())
}

/// A level; or, as in the old backend's `.env`, a list such as `backend=debug,warn`, of which the
/// bare level and that of this program count.
fn log_level(text: &str) -> Option<LevelFilter> {
    let mut level = LevelFilter::Info;
    for part in text.split(',').map(str::trim) {
        match part.split_once('=') {
            None => level = part.parse().ok()?,
            Some((target, value)) => {
                let value = value.parse().ok()?;
                if target == "sync_server" {
                    return Some(value);
                }
            }
        }
    }
    Some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, SettingError> {
        Config::from_variables(|name| {
            let pair = pairs.iter().find(|(key, _)| *key == name);
            pair.map(|(_, value)| (*value).to_owned())
        })
    }

    fn error(pairs: &[(&str, &str)]) -> String {
        read(pairs).expect_err("not allowed").to_string()
    }

    #[test]
    fn the_defaults_of_the_table_are_the_defaults() {
        let defaults: Vec<_> = SETTINGS.iter().map(|s| (s.name, s.default)).collect();
        let config = read(&defaults).unwrap();
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
        assert_eq!(format!("{:?}", read(&[]).unwrap()), format!("{:?}", Config::default()));
    }

    #[test]
    fn every_setting_refuses_nonsense_in_one_line() {
        // These take any text.
        let free = ["DATA_DIR", "JWT_SECRET", "INITIAL_SETUP_TOKEN", "INITIAL_ADMIN_NICKNAME"];
        for setting in SETTINGS.iter().filter(|s| !free.contains(&s.name)) {
            let line = error(&[(setting.name, "/?\n ")]);
            assert!(line.starts_with(setting.name), "{line}");
            assert!(line.contains(setting.allowed), "{line}");
            assert!(!line.contains('\n'));
            assert_eq!(line.contains("/?"), !setting.is_secret, "{line}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        for (name, bad) in [
            ("PORT", "65536"),
            ("PORT", "-1"),
            ("PORT", "+1"),
            ("WORKER_THREADS", "0"),
            ("WORKER_THREADS", "17"),
            ("ROOM_CODE_LENGTH", "3"),
            ("MAX_MESSAGE_BYTES", "1023"),
            ("MAX_MESSAGE_BYTES", "65MiB"),
            ("MEMORY_BUDGET_BYTES", "99999999999999999999GiB"),
            ("SEND_QUEUE_BYTES", "8 apples"),
        ] {
            assert!(error(&[(name, bad)]).starts_with(&format!("{name}={bad}")));
        }
        assert_eq!(error(&[("PORT", "http")]), "PORT=http: must be 0 to 65535");
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("2048", 2048),
            ("4MiB", 4 << 20),
            ("4 mib", 4 << 20),
            ("64K", 64 << 10),
            ("3MB", 3_000_000),
        ] {
            let config = read(&[("MAX_MESSAGE_BYTES", text)]).unwrap();
            assert_eq!(config.limits.message_bytes_max, bytes, "{text}");
        }
    }

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        assert!(error(&[("MAX_MESSAGE_BYTES", "8MiB")]).starts_with("SEND_QUEUE_BYTES=8388608"));
        assert!(error(&[("MEMORY_BUDGET_BYTES", "8000000"), ("PORT", "1")]).contains("8MiB"));
        let line = error(&[("SEND_QUEUE_BYTES", "65MiB")]);
        assert!(line.starts_with("MEMORY_BUDGET_BYTES=67108864"), "{line}");
        assert!(error(&[("PING_TIMEOUT_SECONDS", "25")]).contains("PING_INTERVAL_SECONDS"));
        let line = error(&[("INITIAL_ADMIN_EMAIL", "a@b.c")]);
        assert!(line.starts_with("INITIAL_ADMIN_PASSWORD=: must be set"), "{line}");
        let line = error(&[("INITIAL_ADMIN_PASSWORD", "longenough")]);
        assert!(line.starts_with("INITIAL_ADMIN_EMAIL=: must be set"), "{line}");
    }

    #[test]
    fn secrets_are_shown_neither_in_errors_nor_in_debug_output() {
        assert!(!error(&[("INITIAL_ADMIN_PASSWORD", "short")]).contains("short"));
        assert!(!error(&[("MONGODB_URI", "postgres://u:pw@h")]).contains("pw"));
        let config = read(&[("JWT_SECRET", "hunter2"), ("MONGODB_URI", "mongodb://u:hunter2@h")]);
        let config = config.unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.warnings().len(), 1);
    }

    #[test]
    fn log_levels_may_be_those_of_an_old_env_file() {
        for (text, level) in [
            ("debug", LevelFilter::Debug),
            ("OFF", LevelFilter::Off),
            ("backend=debug,tower_http=info,warn", LevelFilter::Warn),
            ("backend=debug", LevelFilter::Info),
            ("warn,sync_server=trace", LevelFilter::Trace),
        ] {
            assert_eq!(read(&[("RUST_LOG", text)]).unwrap().log_level, level, "{text}");
        }
        assert!(error(&[("RUST_LOG", "lod")]).contains("must be off"));
    }

    #[test]
    fn systemds_directory_is_the_default_data_directory() {
        let config = read(&[("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")]).unwrap();
        assert_eq!(config.data_dir, std::path::Path::new("/var/lib/a"));
        let both = read(&[("STATE_DIRECTORY", "/var/lib/a"), ("DATA_DIR", "/d")]).unwrap();
        assert_eq!(both.data_dir, std::path::Path::new("/d"));
    }

    #[test]
    fn urls_and_emails_are_checked() {
        let config = read(&[("PUBLIC_URL", "https://a.example/sync/")]).unwrap();
        assert_eq!(config.public_url.as_deref(), Some("https://a.example/sync"));
        for bad in ["a.example", "ftp://a", "https://", "https://a?b", "https:///x"] {
            assert!(error(&[("PUBLIC_URL", bad)]).starts_with("PUBLIC_URL"));
        }
        for bad in ["a", "@b", "a@", "a@b@c", "a b@c"] {
            let line =
                error(&[("INITIAL_ADMIN_EMAIL", bad), ("INITIAL_ADMIN_PASSWORD", "12345678")]);
            assert!(line.contains("an e-mail address"), "{line}");
        }
    }
}
