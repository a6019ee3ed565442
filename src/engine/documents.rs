//! The memory that documents may take, and those that wait for it to be read from the store.
//!
//! Documents of rooms are a cache of the store: when memory is short they leave it, before any
//! connection is closed and before any document is refused, and one that is asked for again waits
//! here until there is memory for it. A part of the budget is never theirs, so that logins, pages,
//! upgrades and joins go on.

use super::application::Engine;
use super::context::Context;
use super::reads::SMALL_BYTES_MAX;
use super::turns::Owner;
use super::waiting::{RoomRequest, Waiting};
use crate::base::ids::RoomKey;
use crate::base::time::Now;
use crate::config::AddressKey;
use crate::rooms::{Action, Document, RoomError, StoreUnavailable};
use crate::session::Sessions;

/// The part (1/n) of the memory budget that no document takes.
const RESERVE_SHARE: usize = 8;
/// Of that reserve the part (1/n) that small documents may take after all.
const SMALL_RESERVE_SHARE: usize = 2;
/// The part (1/n) of the memory budget above which less than all is in use: beyond it, documents
/// leave memory that the store has.
const SPARE_SHARE: usize = 4;
/// While more than this part (1/n) of what documents may take is in use by what cannot be evicted,
/// each address has a share.
const PRESSURE_SHARE: usize = 2;
/// The part (1/n) of what documents may take that is left to further addresses when the others
/// share the rest.
const NEWCOMERS_SHARE: usize = 4;
/// What an address may keep in any case, in bytes, as long as there is memory.
const ADDRESS_BYTES_MIN: usize = 256 << 10;

impl Engine {
    /// Whether a document of `bytes` bytes, which the client of `cx` has written, may be kept.
    pub(super) fn has_memory_for(&mut self, cx: &mut Context<'_>, bytes: usize) -> bool {
        let limit = self.document_limit(bytes);
        self.free_memory(cx.sessions, (self.budget.used() + bytes).saturating_sub(limit), cx.now);
        if self.budget.used() + bytes > limit {
            return false;
        }
        let evictable = self.rooms.document_census().evictable_bytes;
        let kept = self.budget.used().saturating_sub(evictable) + bytes;
        if kept <= limit / PRESSURE_SHARE {
            return true;
        }
        let Some(address) = cx.sessions.address(cx.conn).map(AddressKey::of) else { return false };
        let charged = self.rooms.charged_bytes(address, cx.conn);
        let others = self.rooms.charged_writers() - usize::from(charged > 0);
        let share = (limit - limit / NEWCOMERS_SHARE) / (others + 1);
        charged + bytes <= share.max(ADDRESS_BYTES_MIN)
    }

    /// While memory is short, documents leave it that the store has.
    pub(super) fn evict(&mut self, sessions: &mut Sessions, now: Now) {
        let mark = self.budget.limit() - self.budget.limit() / SPARE_SHARE;
        self.free_memory(sessions, self.budget.used().saturating_sub(mark), now);
    }

    /// `request` of the client of `cx` waits for the document of `room`.
    pub(super) fn wait_for_document(
        &mut self,
        cx: &mut Context<'_>,
        room: RoomKey,
        request: RoomRequest,
    ) {
        let (rooms, mut effects) = self.split(cx.sessions, cx.now);
        rooms.wait_for_document(room, cx.conn, request, &mut effects);
        cx.sessions.pause(cx.conn);
    }

    /// Has documents read from the store for which there is memory; those that have waited for it
    /// too long are given up.
    pub(super) fn read_documents(&mut self, sessions: &mut Sessions, now: Now) {
        while let Some(room) = self.reads.expired(now.at) {
            self.document_known(sessions, room, Err(StoreUnavailable), now);
        }
        if !self.reads.may_try(self.budget.used(), now.at) {
            return;
        }
        self.reads.begin();
        while self.start_read(sessions, now) {}
    }

    /// Starts a read for which there is memory, or gives one up that is not awaited any more.
    /// False: there is none.
    fn start_read(&mut self, sessions: &mut Sessions, now: Now) -> bool {
        let next = self.reads.next(now.at);
        let [(_, jobs_waiting), ..] = self.jobs.queued();
        let may_delay = self.reads.may_delay(jobs_waiting, now.at);
        for &(room, bytes) in &next {
            if !self.rooms.is_awaited(room) {
                // Its askers have gone.
                self.reads.cancel(room);
                self.document_known(sessions, room, Err(StoreUnavailable), now);
                return true;
            }
            if !may_delay {
                self.reads.block(self.budget.used(), now.at);
                return false;
            }
            let limit = self.document_limit(bytes);
            // Its text and its frame. One that the budget is too small for gets half of it.
            let needed = (2 * bytes).min(limit / 2);
            let excess = (self.budget.used() + needed).saturating_sub(limit);
            self.free_memory(sessions, excess, now);
            let Some(memory) = self.budget.try_reserve(needed, limit) else { continue };
            let Some(job) = self.reads.start(room, memory, now.at) else { continue };
            if self.jobs.start(Owner::Server, job, Waiting::Document(room), now.at).is_err() {
                self.reads.ended(room);
                self.document_known(sessions, room, Err(StoreUnavailable), now);
            }
            return true;
        }
        if !next.is_empty() {
            if self.reads.is_stuck(now.at) {
                let limit = self.document_limit(usize::MAX);
                sessions.shed_documents(&self.reads.addresses(), limit, now);
            }
            self.reads.block(self.budget.used(), now.at);
        }
        false
    }

    /// The document of `room` was read, or will not be: what waited for it goes on.
    pub(super) fn document_known(
        &mut self,
        sessions: &mut Sessions,
        room: RoomKey,
        found: Result<Option<Document>, StoreUnavailable>,
        now: Now,
    ) {
        let is_known = found.is_ok();
        let (rooms, mut effects) = self.split(sessions, now);
        for (conn, request) in rooms.document_read(room, found, now, &mut effects) {
            let cx = &mut Context { sessions: &mut *sessions, conn, now };
            cx.sessions.resume(conn);
            match request {
                RoomRequest::Join { join, id } if is_known => {
                    let located = self.rooms.located_by_key(room);
                    self.enter(cx, located, &join, id.as_ref());
                }
                RoomRequest::RequestSync { id } if is_known => {
                    self.handle(cx, Action::RequestSync, id.as_ref());
                }
                RoomRequest::Join { id, .. } | RoomRequest::RequestSync { id } => {
                    self.finish(cx, Err(RoomError::StoreUnavailable), id.as_ref());
                }
                RoomRequest::Create(_) | RoomRequest::View(_) | RoomRequest::Close => {
                    debug_assert!(false, "{request:?} needs no document");
                }
            }
        }
        self.evict(sessions, now);
    }

    /// Bytes of the memory budget up to which a document of `bytes` bytes may be kept.
    fn document_limit(&self, bytes: usize) -> usize {
        let limit = self.budget.limit();
        let is_small = bytes <= SMALL_BYTES_MAX;
        let reserve = limit / RESERVE_SHARE / if is_small { SMALL_RESERVE_SHARE } else { 1 };
        limit.saturating_sub(reserve)
    }

    fn free_memory(&mut self, sessions: &mut Sessions, bytes_wanted: usize, now: Now) {
        if bytes_wanted > 0 {
            let (rooms, mut effects) = self.split(sessions, now);
            rooms.free_memory(bytes_wanted, now, &mut effects);
        }
    }
}
