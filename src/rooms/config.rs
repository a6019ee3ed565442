//! What the rooms need to know of the settings.

use std::time::Duration;

use super::room_event::NodeId;
use crate::config::{Config, HostAuth, SyncWriters};

/// The rules of the rooms.
#[derive(Clone, Debug)]
pub struct RoomsConfig {
    /// This server among those that have members of the same rooms.
    pub node: NodeId,
    /// Rooms in memory.
    pub rooms_max: u32,
    /// Connections in one room; at least 1.
    pub peers_per_room_max: u32,
    /// How long an empty room stays in memory; at least a second. `None`: for ever.
    pub idle_timeout: Option<Duration>,
    /// Joining an unknown room makes it.
    pub auto_create: bool,
    /// Rooms are stored, so one that is not in memory may still exist.
    pub store: bool,
    /// Which members may replace a document.
    pub sync_writers: SyncWriters,
    /// The server-wide rule. [`HostAuth::Token`] holds for every room for which there is a token,
    /// whatever the room itself says.
    pub host_auth: HostAuth,
}

impl From<&Config> for RoomsConfig {
    fn from(config: &Config) -> Self {
        let idle = config.room_idle_timeout_seconds;
        Self {
            node: NodeId::default(),
            rooms_max: config.limits.rooms_max,
            peers_per_room_max: config.limits.peers_per_room_max,
            idle_timeout: (idle > 0).then(|| Duration::from_secs(idle)),
            auto_create: config.room_auto_create,
            store: config.room_store,
            sync_writers: config.sync_writers,
            host_auth: config.host_auth,
        }
    }
}
