//! Requests that wait for the store to say whether a room exists. Any number of connections wait
//! for one lookup; each connection waits for at most one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::action::{Create, Join, RawJson, TokenHash};
use super::peer::Metadata;
use crate::base::ids::ConnId;
use crate::config::HostAuth;

/// Lookups under way at once; over it the store counts as unavailable. A lookup whose askers have
/// all gone still counts until it is answered.
pub(super) const LOOKUPS_MAX: usize = 1_024;

/// The lookups under way.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    /// Who waits for which code, in the order of asking. Bounded by [`LOOKUPS_MAX`].
    by_code: BTreeMap<Arc<str>, Vec<Waiter>>,
    /// Which code a connection waits for. Invariant: one entry for each waiter.
    code_of: BTreeMap<ConnId, Arc<str>>,
}

/// One request that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub conn: ConnId,
    pub wish: Wish,
}

/// What to do when the answer is there.
#[derive(Debug)]
pub(super) enum Wish {
    Join(WaitingJoin),
    Create(WaitingCreate),
    View,
    Close,
}

/// A join without its code, which the lookup has.
#[derive(Debug)]
pub(super) struct WaitingJoin {
    peer_id: Box<str>,
    is_host: bool,
    metadata: Metadata,
    host_token: Option<TokenHash>,
}

/// A create without its code, which the lookup has.
#[derive(Debug)]
pub(super) struct WaitingCreate {
    desired: bool,
    room_id: Box<str>,
    host_id: Box<str>,
    host_auth: HostAuth,
    host_token: TokenHash,
}

/// What became of a request to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It waits; the store has to be asked.
    First,
    /// It waits for a lookup that is already under way.
    Shared,
    /// Too many lookups are under way.
    Refused,
}

impl Lookups {
    /// Lets `waiter` wait for `code`.
    pub(super) fn ask(&mut self, code: &str, waiter: Waiter) -> Asked {
        debug_assert!(!self.is_waiting(waiter.conn), "{} waits already", waiter.conn);
        let known = self.by_code.get_key_value(code).map(|(code, _)| Arc::clone(code));
        if known.is_none() && self.by_code.len() >= LOOKUPS_MAX {
            return Asked::Refused;
        }
        let asked = if known.is_some() { Asked::Shared } else { Asked::First };
        let code = known.unwrap_or_else(|| code.into());
        self.code_of.insert(waiter.conn, Arc::clone(&code));
        self.by_code.entry(code).or_default().push(waiter);
        asked
    }

    /// Whether a request of `conn` waits.
    pub(super) fn is_waiting(&self, conn: ConnId) -> bool {
        self.code_of.contains_key(&conn)
    }

    /// Forgets the request of `conn`, if there is one. The lookup goes on.
    pub(super) fn cancel(&mut self, conn: ConnId) {
        let Some(code) = self.code_of.remove(&conn) else { return };
        if let Some(waiters) = self.by_code.get_mut(&code) {
            waiters.retain(|waiter| waiter.conn != conn);
        }
    }

    /// Ends a lookup: who waited for it, in the order of asking.
    pub(super) fn finish(&mut self, code: &str) -> Vec<Waiter> {
        let waiters = self.by_code.remove(code).unwrap_or_default();
        for waiter in &waiters {
            self.code_of.remove(&waiter.conn);
        }
        waiters
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
        for (code, waiters) in &self.by_code {
            assert!(waiters.iter().all(|waiter| self.code_of.get(&waiter.conn) == Some(code)));
        }
    }
}

impl Wish {
    /// The join to do.
    pub(super) fn join(join: &Join<'_>) -> Self {
        Self::Join(WaitingJoin {
            peer_id: join.peer_id.into(),
            is_host: join.is_host,
            metadata: join.metadata.0.into(),
            host_token: join.host_token,
        })
    }

    /// The create to do.
    pub(super) fn create(create: &Create<'_>) -> Self {
        Self::Create(WaitingCreate {
            desired: create.desired,
            room_id: create.room_id.into(),
            host_id: create.host_id.into(),
            host_auth: create.host_auth,
            host_token: create.host_token,
        })
    }
}

impl WaitingJoin {
    /// The join as it was asked for.
    pub(super) fn with_code<'a>(&'a self, room_code: &'a str) -> Join<'a> {
        Join {
            room_code,
            peer_id: &self.peer_id,
            is_host: self.is_host,
            metadata: RawJson(&self.metadata),
            host_token: self.host_token,
        }
    }
}

impl WaitingCreate {
    /// The create as it was asked for.
    pub(super) fn with_code<'a>(&'a self, room_code: &'a str) -> Create<'a> {
        Create {
            room_code,
            desired: self.desired,
            room_id: &self.room_id,
            host_id: &self.host_id,
            host_auth: self.host_auth,
            host_token: self.host_token,
        }
    }
}
