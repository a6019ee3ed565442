//! All settings of a server with their defaults, and what an operator should know of them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::address::{AllowedOrigins, TrustedProxies};
use crate::base::secret::Secret;

/// What it takes to be host of a room (protocol, *Who is host*).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostAuth {
    /// The `host_id` is enough.
    #[default]
    PeerId,
    /// The `host_token` that the creator was given is needed as well.
    Token,
}

impl HostAuth {
    /// Its name in the settings and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PeerId => "peer_id",
            Self::Token => "token",
        }
    }

    /// What has `name`, in lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::PeerId, Self::Token].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Which members may replace a room's document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncWriters {
    /// Connections that joined as host.
    #[default]
    Host,
    /// Every member.
    Any,
}

/// Where to listen, unless systemd passes sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindAddress {
    /// At an address of this machine, for TCP.
    Ip(IpAddr),
    /// On a Unix socket with this absolute path, for programs on this machine.
    Unix(PathBuf),
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One human-readable line.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The administrator that is made at the first start (`INITIAL_ADMIN_*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialAdmin {
    /// Login name, trimmed and lower-cased.
    pub email: String,
    /// 8–1024 bytes.
    pub password: Secret,
    /// Shown name.
    pub nickname: Option<String>,
}

/// Everything that can be set (protocol, section 5).
#[expect(missing_docs, reason = "each is called as its variable, and `SETTINGS` says what it is")]
#[derive(Clone, Debug)]
pub struct Config {
    pub bind_addr: BindAddress,
    /// `PORT`; 0 lets the OS choose. A Unix socket has none.
    pub port: u16,
    /// `PUBLIC_URL` without a trailing slash, `http(s)://…`.
    pub public_url: Option<String>,
    pub log_level: log::LevelFilter,
    pub log_format: LogFormat,
    pub data_dir: PathBuf,
    /// `MONGODB_URI`, with `MONGODB_USERNAME` and `MONGODB_PASSWORD` in it; set: MongoDB is the
    /// store.
    pub mongodb_uri: Option<Secret>,
    pub db_name: String,
    /// `JWT_SECRET`; unset: generated once and kept in `data_dir`.
    pub jwt_secret: Option<Secret>,
    pub jwt_ttl_seconds: u64,
    pub initial_setup_token: Option<Secret>,
    pub initial_admin: Option<InitialAdmin>,
    pub require_auth: bool,
    pub host_auth: HostAuth,
    pub sync_writers: SyncWriters,
    /// `ROOM_IDLE_TIMEOUT_SECONDS`; 0 = rooms stay for ever.
    pub room_idle_timeout_seconds: u64,
    pub room_auto_create: bool,
    pub room_store: bool,
    pub allowed_origins: AllowedOrigins,
    pub trusted_proxies: TrustedProxies,
    /// `METRICS_TOKEN`; unset: `/metrics` is for the machine itself only.
    pub metrics_token: Option<Secret>,
    /// Every number that bounds something.
    pub limits: Limits,
}

/// The bounds that an operator can set (protocol, section 5). Those that need no setting are named
/// constants beside the code that holds them.
#[expect(missing_docs, reason = "each is called as its variable, and `SETTINGS` says what it is")]
#[derive(Clone, Debug)]
pub struct Limits {
    pub connections_max: u32,
    pub connections_per_ip_max: u32,
    pub rooms_max: u32,
    pub peers_per_room_max: u32,
    pub message_bytes_max: usize,
    pub send_queue_bytes_max: usize,
    pub memory_budget_bytes: usize,
    pub message_rate_max: u32,
    pub room_create_rate_max: u32,
    pub room_code_length: usize,
    pub ping_interval_seconds: u64,
    pub ping_timeout_seconds: u64,
    pub header_timeout_seconds: u64,
    pub keep_alive_seconds: u64,
    pub shutdown_grace_seconds: u64,
    /// `WORKER_THREADS`; saves have one more: see [`Limits::threads`].
    pub worker_threads: usize,
}

/// Workers beside `WORKER_THREADS`: the one that stores rooms. More would gain nothing, as
/// databases write one after the other, and all that wait are stored together.
const SAVE_WORKERS: usize = 1;

impl Limits {
    /// How many threads do what blocks.
    pub fn threads(&self) -> usize {
        self.worker_threads.saturating_add(SAVE_WORKERS)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_ip_max: 500,
            rooms_max: 10_000,
            peers_per_room_max: 1_000,
            message_bytes_max: 4 << 20,
            send_queue_bytes_max: 8 << 20,
            memory_budget_bytes: 64 << 20,
            message_rate_max: 100,
            room_create_rate_max: 2,
            room_code_length: 6,
            ping_interval_seconds: 25,
            ping_timeout_seconds: 60,
            header_timeout_seconds: 10,
            keep_alive_seconds: 75,
            shutdown_grace_seconds: 10,
            worker_threads: 2,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind_addr: BindAddress::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            port: 3001,
            public_url: None,
            log_level: log::LevelFilter::Info,
            log_format: LogFormat::default(),
            data_dir: PathBuf::from("./data"),
            mongodb_uri: None,
            db_name: "tracker-db".to_owned(),
            jwt_secret: None,
            jwt_ttl_seconds: 604_800,
            initial_setup_token: None,
            initial_admin: None,
            require_auth: false,
            host_auth: HostAuth::default(),
            sync_writers: SyncWriters::default(),
            room_idle_timeout_seconds: 3_600,
            room_auto_create: false,
            room_store: true,
            allowed_origins: AllowedOrigins::default(),
            trusted_proxies: TrustedProxies::default(),
            metrics_token: None,
            limits: Limits::default(),
        }
    }
}

/// `JWT_SECRET` shorter than this can be guessed by trying (RFC 7518, section 3.2).
const JWT_SECRET_BYTES_ADVISED: usize = 32;
/// A token shorter than this can be guessed by trying, over the network.
const TOKEN_BYTES_ADVISED: usize = 16;
/// `ROOM_CODE_LENGTH` below this has less than 30 bits. Existing front-ends take exactly so many
/// characters; SECURITY.md has the odds.
const ROOM_CODE_LENGTH_ADVISED: usize = 6;

impl Config {
    /// What an operator should know about these settings although they are valid, a line each. A
    /// server with all defaults has none. No line holds a secret.
    pub fn warnings(&self) -> Vec<String> {
        let shorter = |secret: &Option<Secret>, bytes: usize| {
            secret.as_ref().is_some_and(|secret| secret.expose().len() < bytes)
        };
        let conditions = [
            (
                shorter(&self.jwt_secret, JWT_SECRET_BYTES_ADVISED),
                "JWT_SECRET is shorter than 32 bytes: login tokens can be forged by guessing it",
            ),
            (
                shorter(&self.initial_setup_token, TOKEN_BYTES_ADVISED),
                "INITIAL_SETUP_TOKEN is shorter than 16 bytes: who guesses it is administrator",
            ),
            (
                shorter(&self.metrics_token, TOKEN_BYTES_ADVISED),
                "METRICS_TOKEN is shorter than 16 bytes: who guesses it sees what the server does",
            ),
            (
                self.limits.room_code_length < ROOM_CODE_LENGTH_ADVISED,
                "ROOM_CODE_LENGTH is less than 6: room codes can be found by trying",
            ),
            (
                self.trusted_proxies.has_whole_internet(),
                "TRUSTED_PROXIES has a network of all addresses: anybody may claim to be anybody",
            ),
            (
                self.allowed_origins.has_null(),
                "ALLOWED_ORIGINS lists null: every sandboxed frame, of any site, has that origin",
            ),
            (
                self.limits.message_rate_max == 0,
                "MESSAGE_RATE_LIMIT is 0: one client may keep the server busy",
            ),
            (
                self.limits.room_create_rate_max == 0,
                "ROOM_CREATE_RATE is 0: one client may make MAX_ROOMS rooms",
            ),
            (
                self.room_idle_timeout_seconds == 0,
                "ROOM_IDLE_TIMEOUT_SECONDS is 0: rooms never leave memory, and there are at most \
                 MAX_ROOMS",
            ),
        ];
        conditions.iter().filter(|(holds, _)| *holds).map(|(_, line)| (*line).to_owned()).collect()
    }
}
