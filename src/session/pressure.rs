//! Which connections are closed when memory is short.
//!
//! Those whose going frees something that matters, and no others: a member that holds nothing but
//! its place is never closed for what others hold. First go those that are being closed
//! already, then those of addresses that hold more than their share, then those that hold most.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use log::warn;

use super::state::{PLACE_BYTES, Session};
use super::table::Sessions;
use crate::base::ids::ConnId;
use crate::base::time::Now;
use crate::config::{AddressKey, RemoteEnd};
use crate::ws::CloseReason;

/// Sessions that are closed in one turn because the memory budget is exceeded: together they hold
/// more than one turn takes in, also if each holds only a few kilobytes.
const EVICTIONS_PER_TURN_MAX: usize = 256;
/// What may be in use beyond the budget for a moment, before sessions are closed in the middle of a
/// turn.
const EXCESS_BYTES_MAX: usize = 8 << 20;
/// A session that holds less than this is never closed for it, however few there may be.
const MATTERS_BYTES_MIN: usize = 1024;
/// A session that holds more than this may be closed, however few there may be.
const MATTERS_BYTES_MAX: usize = 16 * 1024;
/// Once the budget is exceeded, sessions are closed until this share (1/n) of it is free, so that
/// small requests that come next are not all refused.
const SPARE_SHARE: usize = 16;
/// When no session could be closed, so much more has to come in before that is tried again.
const RETRY_BYTES: usize = 1 << 20;

/// A session whose going would free something.
#[derive(Clone, Copy, Debug)]
struct Holder {
    conn: ConnId,
    peer: RemoteEnd,
    bytes: usize,
    is_open: bool,
}

impl Sessions {
    /// Closes sessions until the budget is kept again, with something to spare: none if it would
    /// not be kept even without all of those that hold something.
    pub(super) fn enforce_budget(&mut self, now: Now) {
        if !self.budget.is_over() {
            self.vain_below = 0;
            return;
        }
        if self.budget.held() < self.vain_below {
            return;
        }
        let mut holders = self.holders();
        let held: usize = holders.iter().map(|holder| holder.bytes).sum();
        if held < self.budget.held().saturating_sub(self.budget.limit()) {
            self.vain_below = self.budget.held() + RETRY_BYTES;
            return;
        }
        let mut by_address = by_address(&holders);
        let share = self.budget.limit() / by_address.len().max(1);
        holders.sort_unstable_by_key(|holder| (holder.is_open, Reverse(holder.bytes), holder.conn));
        let enough = self.budget.limit() - self.budget.limit() / SPARE_SHARE;
        let mut evictions_left = EVICTIONS_PER_TURN_MAX;
        // First those that go before others, then, in the same order, whichever are left.
        for is_first in [true, false] {
            for holder in &mut holders {
                if self.budget.held() <= enough || evictions_left == 0 {
                    return;
                }
                let held = by_address.entry(holder.address()).or_default();
                if holder.bytes == 0 || (is_first && holder.is_open && *held <= share) {
                    continue;
                }
                let bytes = std::mem::take(&mut holder.bytes);
                *held -= bytes;
                evictions_left -= 1;
                self.evict(Holder { bytes, ..*holder }, now);
            }
        }
    }

    /// Clients at the addresses `waiting` wait for memory for documents, while the `limit` bytes
    /// that documents may fill are taken by what others have not read or not sent to its end:
    /// closes some of addresses that hold more than their share of them, if that is of use to one
    /// that holds less.
    pub fn shed_documents(&mut self, waiting: &BTreeSet<AddressKey>, limit: usize, now: Now) {
        let mut holders = self.document_holders();
        let mut by_address = by_address(&holders);
        let newcomers = waiting.iter().filter(|address| !by_address.contains_key(address));
        let share = limit / (by_address.len() + newcomers.count()).max(1);
        let is_below = |address| by_address.get(address).is_none_or(|held| *held < share);
        if !waiting.iter().any(is_below) {
            return;
        }
        holders.sort_unstable_by_key(|holder| (Reverse(holder.bytes), holder.conn));
        for holder in holders.into_iter().take(EVICTIONS_PER_TURN_MAX) {
            let held = by_address.entry(holder.address()).or_default();
            if *held > share {
                *held -= holder.bytes;
                self.forget_unstarted(holder.conn);
                let is_free = self.slots.get(holder.conn).is_none_or(|s| s.queue.is_empty());
                self.evict(Holder { is_open: is_free, ..holder }, now);
            }
        }
    }

    /// More is in use than a turn that ends soon could explain.
    pub(super) fn is_flooded(&self) -> bool {
        self.budget.held() > self.budget.limit() + EXCESS_BYTES_MAX
    }

    /// What is in use beside the places of connections, and what may still be, in bytes.
    pub(super) fn held_and_free_bytes(&self) -> (usize, usize) {
        let held = self.budget.used().saturating_sub(self.slots.len() * PLACE_BYTES);
        (held, self.budget.limit().saturating_sub(self.budget.used()))
    }

    /// Sessions that hold something that matters.
    fn holders(&self) -> Vec<Holder> {
        let matters = self.matters_bytes();
        let alive = self.slots.iter().filter(|(_, session)| !session.is_gone());
        let holders = alive.map(|(conn, session)| Holder::of(conn, session, freed_bytes(session)));
        holders.filter(|holder| holder.bytes >= matters).collect()
    }

    /// Sessions that hold much, with their part of the document that they keep alive.
    fn document_holders(&self) -> Vec<Holder> {
        let mut readers: HashMap<*const u8, usize> = HashMap::new();
        for frame in self.slots.iter().filter_map(|(_, session)| session.queue.latest()) {
            *readers.entry(frame.as_ptr()).or_default() += 1;
        }
        let part =
            |frame: &[u8]| frame.len() / readers.get(&frame.as_ptr()).map_or(1, |count| *count);
        let open = self.slots.iter().filter(|(_, session)| session.is_open_websocket());
        let holders = open.map(|(conn, session)| {
            let bytes = freed_bytes(session) + session.queue.latest().map_or(0, part);
            Holder::of(conn, session, bytes)
        });
        holders.filter(|holder| holder.bytes >= MATTERS_BYTES_MAX).collect()
    }

    /// What a session must hold to be closed for it. All that hold less hold half the budget
    /// together.
    fn matters_bytes(&self) -> usize {
        let bytes = self.budget.limit() / (2 * self.connections_max.max(1));
        bytes.clamp(MATTERS_BYTES_MIN, MATTERS_BYTES_MAX)
    }

    fn evict(&mut self, holder: Holder, now: Now) {
        let Holder { conn, peer, bytes, is_open } = holder;
        warn!("{peer}: closed, it held {bytes} bytes while memory was short");
        if is_open {
            self.forget_unstarted(conn);
            self.close(conn, CloseReason::TryAgainLater, now);
            return;
        }
        if let Some(session) = self.slots.get_mut(conn) {
            session.forsake();
        }
        self.abort(conn, "the memory budget is used up");
    }
}

impl Holder {
    fn of(conn: ConnId, session: &Session, bytes: usize) -> Self {
        Self { conn, peer: session.peer, bytes, is_open: session.is_open_websocket() }
    }

    fn address(&self) -> AddressKey {
        AddressKey::of(self.peer.address())
    }
}

/// What `holders` hold, by address.
fn by_address(holders: &[Holder]) -> HashMap<AddressKey, usize> {
    let mut held = HashMap::new();
    for holder in holders {
        *held.entry(holder.address()).or_default() += holder.bytes;
    }
    held
}

/// What the going of `session` would free beside its place: what it holds alone, and what it is one
/// of a few to keep alive.
fn freed_bytes(session: &Session) -> usize {
    session.held_bytes() + session.queue.pinned_bytes()
}
