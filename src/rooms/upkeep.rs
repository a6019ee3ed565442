//! What every change of a room ends with, and what happens to rooms without being asked: they are
//! written, and leave memory.

use super::answer::{RoomError, SaveError};
use super::event::{Output, RoomChange};
use super::persistence::{RETRY_DELAY_MAX, RETRY_DELAY_MIN};
use super::registry::Rooms;
use super::room::Armed;
use crate::base::ids::RoomKey;
use crate::base::time::{Now, Timestamp};

/// Rooms that one [`Rooms::handle_timeout`] looks after, so that a thousand deadlines of one
/// moment do not keep the members of other rooms waiting.
pub(super) const TIMEOUTS_PER_CALL: usize = 256;

/// Failed writes that one successful write has tried again at once: together they are one
/// transaction, and thousands of rooms are stored soon without one that is too large for the store.
pub(super) const RETRIES_PER_SUCCESS: usize = 64;

impl<W> Rooms<W> {
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
            Err(SaveError::Unavailable) => room.saving.failed(now.at, delay_max, false),
            Err(SaveError::Refused) => room.saving.failed(now.at, delay_max, true),
            Err(SaveError::Conflict) => {
                room.saving.conflicted();
                out.not_durable(key);
                out.room_changed(room.code(), RoomChange::Conflicted);
            }
        }
        self.note_failing(index);
        self.settle(index, now, out);
        self.delete_closed(out);
    }

    /// The store has taken a write: what it did not take before is tried again without further
    /// delay, a bounded number of rooms. Each that succeeds has more tried.
    pub fn retry_saves(&mut self, now: Now, out: &mut impl Output) {
        for _ in 0..RETRIES_PER_SUCCESS {
            let Some(index) = self.retries.pop_first() else { break };
            self.table[index].saving.retry(now.at);
            self.settle(index, now, out);
        }
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

    /// Lets the stored room go that is empty longest, to make room for another one. Returns whether
    /// there was one.
    pub(super) fn evict_idle(&mut self, out: &mut impl Output) -> bool {
        let index = self.idle.keys().find(|&index| {
            let room = &self.table[index];
            room.saving.is_stored() && !self.is_asked_for(index)
        });
        if let Some(index) = index {
            self.forget(index, RoomChange::Evicted, out);
        }
        index.is_some()
    }

    /// Sees to it that one more room fits into memory.
    pub(super) fn ensure_space(&mut self, out: &mut impl Output) -> Result<(), RoomError> {
        let has_space = self.table.len() < self.config.rooms_max as usize;
        if has_space || self.evict_idle(out) { Ok(()) } else { Err(RoomError::TooManyRooms) }
    }

    /// What every change of a room ends with: a write that is due starts, and the timers learn
    /// what the room waits for now.
    pub(super) fn settle(&mut self, index: u32, now: Now, out: &mut impl Output) {
        let key = self.table.key(index);
        let room = &mut self.table[index];
        if self.is_draining {
            room.saving.hurry();
        }
        if room.save_due().is_some_and(|at| at <= now.at) {
            out.persist(key, room.saving.revision(), room.stored());
            room.saving.started(now.at);
            self.saves_under_way += 1;
            self.retries.remove(&index);
        }
        let (next, listing) = (room.deadline(), room.listing());
        // Most events leave both as they are.
        if room.armed != next {
            self.arm(index, next);
        }
        if self.table[index].listed() != listing {
            self.relist(index);
        }
        if cfg!(debug_assertions) {
            self.check_room(index);
        }
    }

    /// A write of a room has ended: whether the room counts among those that wait for the store.
    fn note_failing(&mut self, index: u32) {
        if self.table[index].saving.is_failing() {
            self.failing.insert(index);
            self.retries.insert(index);
        } else {
            self.forget_failing(index);
        }
    }

    /// A room does not wait for the store any more.
    pub(super) fn forget_failing(&mut self, index: u32) {
        self.failing.remove(&index);
        self.retries.remove(&index);
    }

    /// Replaces what a room waits for.
    pub(super) fn arm(&mut self, index: u32, next: Armed) {
        let armed = std::mem::replace(&mut self.table[index].armed, next);
        self.saves.rearm(index, &mut armed.save(), next.save());
        self.idle.rearm(index, &mut armed.idle(), next.idle());
    }

    /// When the room that is empty longest has been so for long enough, and its index.
    pub(super) fn next_expiry(&self) -> Option<(Timestamp, u32)> {
        let (since, index) = self.idle.first()?;
        Some((since + self.config.idle_timeout?, index))
    }

    /// Ends the idle time of a room.
    pub(super) fn expire(&mut self, index: u32, now: Now, out: &mut impl Output) {
        if self.is_asked_for(index) {
            // A request asks for it, so its idle time starts again.
            self.table[index].touch(now.at);
            self.settle(index, now, out);
        } else {
            self.forget(index, RoomChange::Expired, out);
        }
    }

    /// Whether a request waits for the store to tell of this room. Such a room must stay in memory.
    pub(super) fn is_asked_for(&self, index: u32) -> bool {
        let room = &self.table[index];
        room.is_being_read() || self.lookups.concern(room.code())
    }

    /// Drops a room from memory.
    pub(super) fn forget(&mut self, index: u32, change: RoomChange, out: &mut impl Output) {
        self.arm(index, Armed::Nothing);
        self.forget_failing(index);
        self.unlist(index);
        let room = self.table.remove(index);
        debug_assert!(room.presence().is_none() && room.saving.may_forget());
        out.room_changed(room.code(), change);
    }

    /// Panics if an invariant of one room does not hold.
    pub(super) fn check_room(&self, index: u32) {
        let room = &self.table[index];
        room.check_invariants(self.config.node);
        assert_eq!(self.table.find(room.code()), Some(index));
        assert_eq!(self.closing.contains(&index), room.is_closing());
        let mut seated = room.connections().iter().map(|&conn| self.membership.get(conn));
        assert!(seated.all(|place| place == Some(&index)), "members of {} are in it", room.code());
    }
}
