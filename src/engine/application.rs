//! The engine's parts, how they are split while the rooms decide, and what new settings change.

use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};

use super::acks::Acks;
use super::clients::Clients;
use super::closings::Closings;
use super::draw::Draw;
use super::effects::Effects;
use super::jobs::Jobs;
use super::limits::AddressLimits;
use super::misses::Misses;
use super::reads::DocumentReads;
use super::replies::Replies;
use super::revocations::Revocations;
use super::shutdown::Shutdown;
use super::store_health::StoreHealth;
use super::turns::Owner;
use super::waiting::RoomRequest;
use crate::api::Cors;
use crate::base::entropy::Entropy;
use crate::base::memory::MemoryBudget;
use crate::base::metrics::Histogram;
use crate::base::time::Now;
use crate::config::Config;
use crate::rooms::{Rooms, RoomsConfig};
use crate::session::Sessions;

/// Bounds of how long turns took.
const TURNS: [Duration; 12] = [
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_secs(1),
];

/// The application: see the [module](super).
#[derive(Debug)]
pub struct Engine {
    pub(super) config: Arc<Config>,
    pub(super) budget: MemoryBudget,
    pub(super) rooms: Rooms<RoomRequest>,
    pub(super) clients: Clients,
    pub(super) jobs: Jobs,
    pub(super) reads: DocumentReads,
    pub(super) acks: Acks,
    pub(super) closings: Closings,
    pub(super) misses: Misses,
    pub(super) replies: Replies,
    pub(super) draw: Draw,
    pub(super) limits: AddressLimits,
    pub(super) store: StoreHealth,
    pub(super) revocations: Revocations,
    /// How long the event loop's turns took, without what they waited.
    pub(super) turns: Histogram,
    /// It was said in the log that a proxy is not trusted.
    pub(super) forwarded_ignored: bool,
    pub(super) shutdown: Option<Shutdown>,
}

impl Engine {
    /// A server without clients. Randomness for codes, ids and tokens comes from `entropy`,
    /// which must be unpredictable outside of tests. `store_ok` says that the store is known to
    /// answer; otherwise it counts as away until it has.
    pub fn new(
        config: Arc<Config>,
        budget: MemoryBudget,
        entropy: Entropy,
        store_ok: bool,
    ) -> Self {
        Self {
            rooms: Rooms::new(RoomsConfig::from(config.as_ref())),
            clients: Clients::new(config.limits.message_rate_max),
            jobs: Jobs::new(budget.clone(), config.limits.worker_threads),
            reads: DocumentReads::default(),
            acks: Acks::new(budget.clone()),
            closings: Closings::default(),
            misses: Misses::default(),
            replies: Replies::default(),
            draw: Draw::new(entropy),
            limits: AddressLimits::new(config.limits.room_create_rate_max),
            store: StoreHealth::new(store_ok),
            revocations: Revocations::default(),
            turns: Histogram::new(&TURNS),
            forwarded_ignored: false,
            shutdown: None,
            budget,
            config,
        }
    }

    /// From here on the settings are `new`, but for those that take effect only at the start:
    /// these are named in the log if they differ. Limits hold for what comes later; connections,
    /// and what is in memory, stay.
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

    /// The rooms, and a place for the effects of one call of theirs.
    pub(super) fn split<'a>(
        &'a mut self,
        sessions: &'a mut Sessions,
        now: Now,
    ) -> (&'a mut Rooms<RoomRequest>, Effects<'a>) {
        self.split_for(Owner::Server, sessions, now)
    }

    /// The same for a call that may start a lookup, on the side of `owner`.
    pub(super) fn split_for<'a>(
        &'a mut self,
        owner: Owner,
        sessions: &'a mut Sessions,
        now: Now,
    ) -> (&'a mut Rooms<RoomRequest>, Effects<'a>) {
        let Self { rooms, jobs, reads, acks, replies, draw, .. } = self;
        (rooms, Effects { sessions, now, owner, jobs, reads, acks, replies, draw })
    }

    /// Bytes that messages may still make the server keep.
    pub(super) fn free_bytes(&self) -> usize {
        self.budget.limit().saturating_sub(self.budget.used())
    }
}
