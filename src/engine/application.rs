//! The engine's parts, and how they are split while the rooms decide.

use std::sync::Arc;

use super::acks::Acks;
use super::clients::Clients;
use super::closings::Closings;
use super::draw::Draw;
use super::effects::Effects;
use super::gauges::Gauges;
use super::jobs::Jobs;
use super::limits::Limits;
use super::replies::Replies;
use super::revocations::Revocations;
use super::shutdown::Shutdown;
use super::store_health::StoreHealth;
use super::waiting::RoomRequest;
use crate::accounts::password::HASH_MEMORY_BYTES;
use crate::base::entropy::Entropy;
use crate::base::memory::MemoryBudget;
use crate::base::time::Now;
use crate::config::Config;
use crate::rooms::{Rooms, RoomsConfig};
use crate::session::Sessions;

/// The application: see the [module](super).
#[derive(Debug)]
pub struct Engine {
    pub(super) config: Arc<Config>,
    pub(super) budget: MemoryBudget,
    pub(super) rooms: Rooms<RoomRequest>,
    pub(super) clients: Clients,
    pub(super) jobs: Jobs,
    pub(super) acks: Acks,
    pub(super) closings: Closings,
    pub(super) replies: Replies,
    pub(super) draw: Draw,
    pub(super) limits: Limits,
    pub(super) store: StoreHealth,
    pub(super) revocations: Revocations,
    pub(super) gauges: Gauges,
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
            jobs: Jobs::new(budget.clone()),
            acks: Acks::new(budget.clone()),
            closings: Closings::default(),
            replies: Replies::default(),
            draw: Draw::new(entropy),
            limits: Limits::new(config.limits.room_create_rate_max),
            store: StoreHealth::new(store_ok),
            revocations: Revocations::default(),
            gauges: Gauges::default(),
            forwarded_ignored: false,
            shutdown: None,
            budget,
            config,
        }
    }

    /// The rooms, and a place for the effects of one call of theirs.
    pub(super) fn split<'a>(
        &'a mut self,
        sessions: &'a mut Sessions,
        now: Now,
    ) -> (&'a mut Rooms<RoomRequest>, Effects<'a>) {
        let Self { rooms, jobs, acks, replies, draw, .. } = self;
        (rooms, Effects { sessions, now, jobs, acks, replies, draw })
    }

    /// Bytes that messages may still make the server keep.
    pub(super) fn free_bytes(&self) -> usize {
        let used = self.budget.used() + self.jobs.hash_bytes();
        self.budget.limit().saturating_sub(used)
    }

    /// How many password hashes may run at once: never all workers, and only what fits the
    /// budget; but one always.
    pub(super) fn hashes_max(&self) -> usize {
        let free = self.budget.limit().saturating_sub(self.budget.used());
        let spare_workers = self.config.limits.worker_threads.saturating_sub(1);
        (free / HASH_MEMORY_BYTES).min(spare_workers).max(1)
    }
}
