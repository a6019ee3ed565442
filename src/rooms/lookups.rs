//! Requests that wait for the store to say whether a room exists. Any number of connections wait
//! for one lookup; each connection waits for at most one.
//!
//! What a request is, and how it goes on, is the caller's: a `W` is kept and given back.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::ids::ConnId;

/// Lookups under way at once; over it the store counts as unavailable. A lookup whose askers have
/// all gone still counts until it is answered. More than the engine lets wait in all, which sees
/// to it that no address takes all places.
pub(super) const LOOKUPS_MAX: usize = 2_048;

/// The lookups under way.
#[derive(Debug)]
pub(super) struct Lookups<W> {
    /// The requests that wait for each code, in the order of asking. Bounded by [`LOOKUPS_MAX`].
    by_code: BTreeMap<Arc<str>, Vec<(ConnId, W)>>,
    /// Which code a connection waits for. Invariant: one entry for each request that waits.
    code_of: BTreeMap<ConnId, Arc<str>>,
}

impl<W> Default for Lookups<W> {
    fn default() -> Self {
        Self { by_code: BTreeMap::new(), code_of: BTreeMap::new() }
    }
}

impl<W> Lookups<W> {
    /// Whether `code` is being looked up.
    pub(super) fn is_under_way(&self, code: &str) -> bool {
        self.by_code.contains_key(code)
    }

    /// Whether no further lookup may begin.
    pub(super) fn is_full(&self) -> bool {
        self.by_code.len() >= LOOKUPS_MAX
    }

    /// A lookup of `code` has begun, or is under way, and the request of `conn` waits for it.
    pub(super) fn wait(&mut self, code: &str, conn: ConnId, request: W) {
        debug_assert!(!self.is_waiting(conn), "{conn} waits already");
        let known = self.by_code.get_key_value(code).map(|(code, _)| Arc::clone(code));
        let code = known.unwrap_or_else(|| code.into());
        self.code_of.insert(conn, Arc::clone(&code));
        self.by_code.entry(code).or_default().push((conn, request));
    }

    /// Whether a request of `conn` waits.
    pub(super) fn is_waiting(&self, conn: ConnId) -> bool {
        self.code_of.contains_key(&conn)
    }

    /// Forgets the request of `conn`, if there is one. The lookup goes on.
    pub(super) fn cancel(&mut self, conn: ConnId) {
        let Some(code) = self.code_of.remove(&conn) else { return };
        if let Some(waiting) = self.by_code.get_mut(&code) {
            waiting.retain(|(waiter, _)| *waiter != conn);
        }
    }

    /// Ends a lookup: the requests that waited for it, in the order of asking.
    pub(super) fn finish(&mut self, code: &str) -> Vec<(ConnId, W)> {
        let waiting = self.by_code.remove(code).unwrap_or_default();
        for (conn, _) in &waiting {
            self.code_of.remove(conn);
        }
        waiting
    }

    /// Whether a lookup under way may come back with the room of this code. Such a room must stay
    /// in memory: what the store says may be older than what it has written since.
    pub(super) fn concern(&self, room_code: &str) -> bool {
        self.by_code.keys().any(|asked| {
            let upper_cased = asked.chars().flat_map(char::to_uppercase);
            **asked == *room_code || upper_cased.eq(room_code.chars())
        })
    }

    /// Panics if an invariant does not hold.
    pub(super) fn check_invariants(&self) {
        assert!(self.by_code.len() <= LOOKUPS_MAX);
        assert_eq!(self.by_code.values().map(Vec::len).sum::<usize>(), self.code_of.len());
        for (code, waiting) in &self.by_code {
            assert!(waiting.iter().all(|(conn, _)| self.code_of.get(conn) == Some(code)));
        }
    }
}
