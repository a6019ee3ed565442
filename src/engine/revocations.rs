//! With `REQUIRE_AUTH`: when to ask whether the tokens of connected clients still hold, since
//! another process may have ended them.

use std::time::Duration;

use crate::accounts::Identity;
use crate::base::time::Timestamp;

/// How often to ask (protocol: within 10 s).
const INTERVAL: Duration = Duration::from_secs(5);

/// When to ask next, and whether it is being asked.
#[derive(Debug)]
pub(super) struct Revocations {
    pub(super) due_at: Timestamp,
    pub(super) is_running: bool,
}

impl Default for Revocations {
    fn default() -> Self {
        Self { due_at: Timestamp(0) + INTERVAL, is_running: false }
    }
}

impl Revocations {
    /// Whether to ask now: it is time, and the last question was answered or given up.
    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        let is_time = self.due_at <= now;
        if is_time {
            self.due_at = now + INTERVAL;
        }
        is_time && !self.is_running
    }
}

/// Each of `identities` once.
pub(super) fn distinct<'a>(identities: impl Iterator<Item = &'a Identity>) -> Vec<Identity> {
    let mut distinct: Vec<Identity> = identities.cloned().collect();
    distinct.sort_unstable_by(|a, b| (&a.user_id, a.version).cmp(&(&b.user_id, b.version)));
    distinct.dedup();
    distinct
}
