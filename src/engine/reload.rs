//! New settings while the server runs. Nobody is sent away for them.

use std::sync::Arc;

use log::{info, warn};

use super::application::Engine;
use crate::api::Cors;
use crate::config::Config;
use crate::rooms::RoomsConfig;
use crate::session::Sessions;

impl Engine {
    /// From here on the settings are `new`, but for those that take effect only at the start:
    /// these are named in the log if they differ. Limits hold for what comes later; who is
    /// connected, and what is in memory, stays.
    pub fn reconfigure(&mut self, sessions: &mut Sessions, new: &Config) {
        let (config, waiting) = self.config.reloaded(new);
        for name in waiting {
            warn!("{name} has changed: it takes effect at the next start");
        }
        for warning in config.warnings() {
            warn!("{warning}");
        }
        sessions.reconfigure(&config);
        sessions.set_extra_fields(Cors::new(config.allowed_origins.clone()));
        self.rooms.reconfigure(&RoomsConfig::from(&config));
        for conn in self.clients.joined() {
            sessions.set_message_bytes_max(conn, config.limits.message_bytes_max);
        }
        let (limits, before) = (&config.limits, &self.config.limits);
        self.clients.set_rate(limits.message_rate_max);
        if limits.room_create_rate_max != before.room_create_rate_max {
            self.limits.set_room_create_rate(limits.room_create_rate_max);
        }
        // A proxy that is not believed now is worth another line.
        self.forwarded_ignored &= config.trusted_proxies == self.config.trusted_proxies;
        self.config = Arc::new(config);
        info!("the new settings are in effect");
    }
}
