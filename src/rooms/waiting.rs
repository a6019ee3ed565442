//! Requests that wait, by what they wait for. Any number of connections wait for one thing; each
//! connection waits for at most one.
//!
//! What a request is, and how it goes on, is the caller's: a `W` is kept and given back.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use crate::base::ids::ConnId;

/// The requests that wait for each `K`.
#[derive(Debug)]
pub(super) struct Waiting<K, W> {
    /// In the order of asking.
    by_key: BTreeMap<K, Vec<(ConnId, W)>>,
    /// What a connection waits for. Invariant: one entry for each request that waits.
    key_of: BTreeMap<ConnId, K>,
}

impl<K, W> Default for Waiting<K, W> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), key_of: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, W> Waiting<K, W> {
    /// Whether `key` is on its way.
    pub(super) fn is_under_way<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.by_key.contains_key(key)
    }

    /// Whether a request waits for `key`.
    pub(super) fn is_awaited<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.by_key.get(key).is_some_and(|waiting| !waiting.is_empty())
    }

    /// How many are on their way. One whose askers have all gone still counts until it has come.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// What is on its way.
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.by_key.keys()
    }

    /// `key` is on its way from here on, or is already, and the request of `conn` waits for it.
    pub(super) fn wait(&mut self, key: K, conn: ConnId, request: W) {
        debug_assert!(!self.is_waiting(conn), "{conn} waits already");
        let known = self.by_key.get_key_value(&key).map(|(key, _)| key.clone());
        let key = known.unwrap_or(key);
        self.key_of.insert(conn, key.clone());
        self.by_key.entry(key).or_default().push((conn, request));
    }

    /// Whether a request of `conn` waits.
    pub(super) fn is_waiting(&self, conn: ConnId) -> bool {
        self.key_of.contains_key(&conn)
    }

    /// Forgets the request of `conn`, if there is one. What it waited for is still on its way.
    pub(super) fn cancel(&mut self, conn: ConnId) {
        let Some(key) = self.key_of.remove(&conn) else { return };
        if let Some(waiting) = self.by_key.get_mut(&key) {
            waiting.retain(|(waiter, _)| *waiter != conn);
        }
    }

    /// `key` has come: the requests that waited for it, in the order of asking.
    pub(super) fn finish<Q: Ord + ?Sized>(&mut self, key: &Q) -> Vec<(ConnId, W)>
    where
        K: Borrow<Q>,
    {
        let waiting = self.by_key.remove(key).unwrap_or_default();
        for (conn, _) in &waiting {
            self.key_of.remove(conn);
        }
        waiting
    }

    /// Panics if an invariant does not hold.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.by_key.values().map(Vec::len).sum::<usize>(), self.key_of.len());
        for (key, waiting) in &self.by_key {
            assert!(waiting.iter().all(|(conn, _)| self.key_of.get(conn) == Some(key)));
        }
    }
}
