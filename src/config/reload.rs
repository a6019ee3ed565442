//! New settings for a server that is running: which of them it can take at once.

use super::server::{Config, Limits};
use super::settings::SETTINGS;

impl Config {
    /// The settings that a server with these ones runs with after it was given `new` ones, and
    /// the names of those in `new` that differ but take effect only when it starts.
    ///
    /// What is not listed here stays as it is. What was bound, opened or signed by a setting
    /// cannot follow it, and a rule of who may come in should not hold for some only.
    pub fn reloaded(&self, new: Self) -> (Self, Vec<&'static str>) {
        let waiting = SETTINGS.iter().filter(|setting| setting.has_to_wait(self, &new));
        let waiting = waiting.map(|setting| setting.name).collect();
        let limits = Limits { worker_threads: self.limits.worker_threads, ..new.limits };
        let config = Self {
            public_url: new.public_url,
            log_level: new.log_level,
            sync_writers: new.sync_writers,
            room_idle_timeout_seconds: new.room_idle_timeout_seconds,
            room_auto_create: new.room_auto_create,
            allowed_origins: new.allowed_origins,
            trusted_proxies: new.trusted_proxies,
            metrics_token: new.metrics_token,
            limits,
            ..self.clone()
        };
        (config, waiting)
    }
}
