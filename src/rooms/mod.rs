//! Rooms: who is in them, who is host, what they share.
//!
//! A pure state machine: an action and the time go in, effects are pushed, borrowed, into an
//! [`Output`]. It touches no socket, clock, thread, randomness, JSON or store.
//!
//! # The contract of [`Rooms`]
//!
//! - *Requests* for a room by its code are [`Rooms::join`], [`Rooms::create`], [`Rooms::view`] and
//!   [`Rooms::close`]. First comes [`Rooms::locate`]. If that is pending, the store is being asked,
//!   and [`Rooms::lookup_done`] gives the request back, unless its connection is disconnected
//!   before. Until then the caller sends no other request of that connection.
//! - *Actions* of a member are [`Rooms::handle`]; they never wait.
//! - *Answers of the store* are [`Rooms::lookup_done`], [`Rooms::saved`] and [`Rooms::deleted`],
//!   one for each [`Output::lookup`], [`Output::persist`] and [`Output::delete`], also if the
//!   store does not answer. One that nothing waits for is ignored.
//! - *Time* passes only in arguments, and never backwards. [`Rooms::poll_timeout`] tells when
//!   [`Rooms::handle_timeout`] has something to do; calling that at any other time is harmless.
//! - A connection id names one connection for ever; [`Rooms::disconnect`] comes before its slot
//!   is used again.
//! - Effects of one call are pushed in the order in which they have to take place. The rooms are
//!   borrowed meanwhile, so nobody joins or leaves under a fan-out.
//!
//! # Where things are
//!
//! [`action`] and [`event`] are the vocabulary, `answer` the results. `room` is one room: what is
//! accepted, and what is delivered to whom. `members` knows peers and their connections,
//! `persistence` when a room is written, `deadlines` which room is next, `lookups` which
//! requests wait for the store, `membership` which connection is where, `table` which room has
//! which code. `locate` finds a room, `flow` leads a request through it, `closing` a room out.

pub mod action;
pub mod event;

mod accept;
mod answer;
mod audience;
mod closing;
mod deliver;
mod flow;
mod locate;
mod lookups;
mod peer;
mod persistence;
mod presence;
mod room;
mod room_event;
mod spare;
mod stored;
mod table;

#[cfg(test)]
mod tests;

pub use action::{Action, Create, Document, Join, RawJson, TokenHash};
pub use answer::{CloseDone, Done, RoomError, SaveError, StoreUnavailable};
pub use event::{Event, Output, RoomChange};
pub use flow::CreateDone;
pub use locate::Located;
pub use peer::{Metadata, Peer};
pub use room::RoomView;
pub use room_event::{Joiner, Member, NodeId, RoomEvent, RoomEventKind};
pub use stored::StoredRoom;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::conn_map::ConnMap;
use crate::base::ids::{ConnId, RoomKey};
use crate::base::time::{Now, Timestamp};
use crate::base::timer_set::TimerSet;
use crate::config::{Config, HostAuth, SyncWriters};
use lookups::Lookups;
use persistence::{RETRY_DELAY_MAX, RETRY_DELAY_MIN};
use table::Table;

/// Rooms that one [`Rooms::handle_timeout`] looks after, so that a thousand deadlines of one
/// moment do not keep the members of other rooms waiting.
const TIMEOUTS_PER_CALL: usize = 256;

/// What the rooms need to know of the settings.
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
    /// Who may replace a document.
    pub sync_writers: SyncWriters,
    /// The server-wide rule. [`HostAuth::Token`] holds for every room for which there is a token,
    /// whatever the room itself says.
    pub host_auth: HostAuth,
}

/// All rooms and all that are in them, or wait to be. The module's documentation has the contract.
/// `W` is a request that waits for the store.
#[derive(Debug)]
pub struct Rooms<W> {
    config: RoomsConfig,
    table: Table,
    /// In which room each connection is.
    membership: ConnMap<u32>,
    lookups: Lookups<W>,
    /// Rooms with something to write and nothing under way, the most urgent first.
    saves: TimerSet<u32>,
    /// Empty rooms with nothing to write, the longest empty first.
    idle: TimerSet<u32>,
    /// Rooms that are being closed.
    closing: BTreeSet<u32>,
    /// Snapshots that were handed out and not answered yet.
    saves_under_way: usize,
    /// Bytes of all documents.
    document_bytes: usize,
    /// The server is shutting down: write as soon as possible.
    is_draining: bool,
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

impl<W> Rooms<W> {
    /// No rooms yet.
    pub fn new(config: RoomsConfig) -> Self {
        Self {
            config,
            table: Table::default(),
            membership: ConnMap::default(),
            lookups: Lookups::default(),
            saves: TimerSet::default(),
            idle: TimerSet::default(),
            closing: BTreeSet::new(),
            saves_under_way: 0,
            document_bytes: 0,
            is_draining: false,
        }
    }

    /// From here on the rules are those of `config`, but which server this is, whether rooms are
    /// stored, and what makes a host, stay. Rooms and members beyond a lower limit stay as well.
    pub fn reconfigure(&mut self, config: &RoomsConfig) {
        let RoomsConfig { node, store, host_auth, .. } = self.config;
        self.config = RoomsConfig { node, store, host_auth, ..*config };
    }

    /// How many rooms are in memory.
    pub fn rooms(&self) -> usize {
        self.table.len()
    }

    /// How many rooms are in memory without those that are being closed.
    pub fn live_rooms(&self) -> usize {
        self.table.len() - self.closing.len()
    }

    /// The rooms with a code greater than `after`, in the order of their codes, without those
    /// that are being closed.
    pub fn list(&self, after: Option<&str>) -> impl Iterator<Item = RoomView<'_>> {
        let rooms = self.table.beyond(after).map(|index| &self.table[index]);
        rooms.filter(|room| !room.is_closing()).map(room::Room::view)
    }

    /// How many connections are in a room.
    pub fn connections(&self) -> usize {
        self.membership.len()
    }

    /// Bytes of all documents in memory, as they are sent.
    pub fn document_bytes(&self) -> usize {
        self.document_bytes
    }

    /// Rooms whose newest state is not stored, as far as the store is there for it.
    pub fn unsaved(&self) -> usize {
        self.saves.len() + self.saves_under_way
    }

    /// Whether `conn` is in a room.
    pub fn has_joined(&self, conn: ConnId) -> bool {
        self.membership.get(conn).is_some()
    }

    /// The room that `conn` is in.
    pub fn room_of(&self, conn: ConnId) -> Option<RoomView<'_>> {
        Some(self.table[*self.membership.get(conn)?].view())
    }

    /// Does what a member asks for.
    ///
    /// # Errors
    ///
    /// As the variants of [`RoomError`] say; nothing has changed then.
    pub fn handle(
        &mut self,
        from: ConnId,
        action: Action<'_>,
        now: Now,
        out: &mut impl Output,
    ) -> Result<Done, RoomError> {
        debug_assert!(!self.lookups.is_waiting(from), "{from} has a request that waits");
        match action {
            Action::Broadcast { data } => self.broadcast(from, data, now, out),
            Action::SyncDocument { document } => self.sync_document(from, document, now, out),
            Action::RequestSync => self.request_sync(from, out),
            Action::Leave => {
                self.leave(from, now, out).then_some(Done::Now).ok_or(RoomError::NotInRoom)
            }
        }
    }

    /// Lets an event happen that another server has accepted for its room `room_code`. It has no
    /// effect on a room that is not in memory or is being closed, nor where it does not fit: a
    /// member comes in as one peer, and goes before it comes in as another one.
    pub fn deliver_event(
        &mut self,
        room_code: &str,
        event: &RoomEvent<'_>,
        now: Now,
        out: &mut impl Output,
    ) {
        debug_assert!(
            event.from.node != self.config.node,
            "what happens here is delivered at once"
        );
        let Some(index) = self.table.find(room_code) else { return };
        let room = &self.table[index];
        let fits = match &event.kind {
            RoomEventKind::Joined(joiner) => {
                room.peer_of(event.from).is_none_or(|peer| *peer.id == *joiner.peer_id)
            }
            _ => true,
        };
        if fits && !room.is_closing() {
            self.deliver(index, event, now, out);
        }
    }

    /// The connection is gone: out of its room, and its request waits no more.
    pub fn disconnect(&mut self, conn: ConnId, now: Now, out: &mut impl Output) {
        self.lookups.cancel(conn);
        self.leave(conn, now, out);
    }

    /// The store's answer to [`Output::persist`].
    pub fn saved(
        &mut self,
        key: RoomKey,
        revision: u64,
        result: Result<(), SaveError>,
        now: Now,
        out: &mut impl Output,
    ) {
        let Some(index) = self.table.find_key(key) else { return };
        let delay_max = if self.is_draining { RETRY_DELAY_MIN } else { RETRY_DELAY_MAX };
        let room = &mut self.table[index];
        if !room.saving.is_under_way() {
            return;
        }
        self.saves_under_way -= 1;
        match result {
            Ok(()) => {
                room.saving.succeeded(revision);
                out.durable(key, revision);
            }
            Err(SaveError::Unavailable) => room.saving.failed(now.at, delay_max),
            Err(SaveError::Conflict) => {
                room.saving.conflicted();
                out.not_durable(key);
                out.room_changed(room.code(), RoomChange::Conflicted);
            }
        }
        self.settle(index, now, out);
        self.delete_closed(out);
    }

    /// When [`Rooms::handle_timeout`] has to be called next. It changes with every call that takes
    /// the time. It may lie in the past: after a call that left work for another one.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let save = self.saves.poll_timeout();
        let expiry = self.next_expiry().map(|(at, _)| at);
        [save, expiry].into_iter().flatten().min()
    }

    /// Writes rooms whose time has come and lets those go that were empty too long, a bounded
    /// number of them.
    pub fn handle_timeout(&mut self, now: Now, out: &mut impl Output) {
        for _ in 0..TIMEOUTS_PER_CALL {
            if let Some((at, index)) = self.saves.first()
                && at <= now.at
            {
                self.settle(index, now, out);
            } else if let Some((at, index)) = self.next_expiry()
                && at <= now.at
            {
                self.expire(index, now, out);
            } else {
                break;
            }
        }
    }

    /// Writes at once whatever is not stored, and from now on writes every change as soon as the
    /// write before it has ended: the server is shutting down. [`Rooms::unsaved`] tells how many
    /// rooms are left. May be called again.
    pub fn flush_all(&mut self, now: Now, out: &mut impl Output) {
        self.is_draining = true;
        let unsaved: Vec<u32> = self.saves.keys().collect();
        for index in unsaved {
            self.table[index].saving.forgive();
            self.settle(index, now, out);
        }
    }

    /// Lets the stored room go that is empty longest, to free the memory of its document. Returns
    /// whether there was one.
    pub fn evict_idle(&mut self, out: &mut impl Output) -> bool {
        let index = self.idle.keys().find(|&index| {
            let room = &self.table[index];
            room.saving.is_stored() && !self.lookups.concern(room.code())
        });
        if let Some(index) = index {
            self.forget(index, RoomChange::Evicted, out);
        }
        index.is_some()
    }

    /// For tests: looks at everything.
    ///
    /// # Panics
    ///
    /// If an invariant of a room or a table does not hold.
    pub fn check_invariants(&self) {
        let mut connections = 0;
        let mut document_bytes = 0;
        let mut under_way = 0;
        for index in self.table.indexes() {
            self.check_room(index);
            let room = &self.table[index];
            connections += room.connections().len();
            document_bytes += room.document_bytes();
            under_way += usize::from(room.saving.is_under_way());
        }
        assert_eq!(connections, self.membership.len());
        assert_eq!(document_bytes, self.document_bytes);
        assert_eq!(under_way, self.saves_under_way);
        assert!(self.closing.iter().all(|&index| self.table[index].is_closing()));
        assert!(self.saves.len() + self.idle.len() <= self.table.len());
        self.lookups.check_invariants();
    }
}
