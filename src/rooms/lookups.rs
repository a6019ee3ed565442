//! Lookups: requests that wait for the store to say whether a room exists.

use std::sync::Arc;

use super::waiting::Waiting;
use crate::base::ids::ConnId;

/// Lookups under way at once; over it the store counts as unavailable. A lookup whose askers have
/// all gone still counts until it is answered. More than the engine lets wait in all, which sees
/// to it that no address takes all places.
pub(super) const LOOKUPS_MAX: usize = 2_048;

/// The lookups under way, by code: at most [`LOOKUPS_MAX`].
#[derive(Debug)]
pub(super) struct Lookups<W>(Waiting<Arc<str>, W>);

impl<W> Default for Lookups<W> {
    fn default() -> Self {
        Self(Waiting::default())
    }
}

impl<W> Lookups<W> {
    /// Whether `code` is being looked up.
    pub(super) fn is_under_way(&self, code: &str) -> bool {
        self.0.is_under_way(code)
    }

    /// Whether no further lookup may begin.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= LOOKUPS_MAX
    }

    /// A lookup of `code` has begun, or is under way, and the request of `conn` waits for it.
    pub(super) fn wait(&mut self, code: &str, conn: ConnId, request: W) {
        self.0.wait(code.into(), conn, request);
    }

    /// Whether a request of `conn` waits.
    pub(super) fn is_waiting(&self, conn: ConnId) -> bool {
        self.0.is_waiting(conn)
    }

    /// Forgets the request of `conn`, if there is one. The lookup goes on.
    pub(super) fn cancel(&mut self, conn: ConnId) {
        self.0.cancel(conn);
    }

    /// Ends a lookup: the requests that waited for it, in the order of asking.
    pub(super) fn finish(&mut self, code: &str) -> Vec<(ConnId, W)> {
        self.0.finish(code)
    }

    /// Whether a lookup under way may come back with the room of this code. Such a room must stay
    /// in memory: what the store says may be older than what it has written since.
    pub(super) fn concern(&self, room_code: &str) -> bool {
        self.0.keys().any(|asked| {
            let upper_cased = asked.chars().flat_map(char::to_uppercase);
            **asked == *room_code || upper_cased.eq(room_code.chars())
        })
    }

    /// Panics if an invariant does not hold.
    pub(super) fn check_invariants(&self) {
        assert!(self.0.len() <= LOOKUPS_MAX);
        self.0.check_invariants();
    }
}
