//! Write-behind of one room: when its next snapshot is due. The first change after a quiet time
//! is written at once, later ones at most once per [`SAVE_SPACING`], the newest wins, and there is
//! never more than one under way.

use std::time::Duration;

use super::answer::Done;
use crate::base::ids::RoomKey;
use crate::base::time::Timestamp;

/// Least time between the starts of two writes of one room.
const SAVE_SPACING: Duration = Duration::from_secs(1);

/// Wait after the first failed write; doubles with each further one.
pub(super) const RETRY_DELAY_MIN: Duration = Duration::from_secs(1);

/// Longest wait after a failed write: a store that comes back is noticed within it.
pub(super) const RETRY_DELAY_MAX: Duration = Duration::from_secs(30);

/// How much of a room is stored, and when to store more.
#[derive(Clone, Debug)]
pub(super) struct Saving {
    /// The room's state; each change that is to be stored raises it.
    revision: u64,
    /// The newest state that is known to be stored. Invariant: at most `revision`.
    stored: u64,
    /// The next write does not start earlier.
    not_before: Timestamp,
    /// Failed writes in a row, as far as they still matter.
    failures: u8,
    /// The last write failed because of the store.
    is_failing: bool,
    writing: Writing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    /// There is no store.
    Off,
    /// Nothing is under way.
    Resting,
    /// A snapshot was handed out and not answered yet.
    UnderWay,
    /// Another room owns the code in the store; nothing is written any more.
    Conflicted,
}

impl Saving {
    /// Of a room that is not in the store yet, or never will be (`store` off).
    pub(super) fn created(store: bool) -> Self {
        let writing = if store { Writing::Resting } else { Writing::Off };
        Self {
            revision: 1,
            stored: 0,
            not_before: Timestamp(0),
            failures: 0,
            is_failing: false,
            writing,
        }
    }

    /// Of a room that is as the store has it.
    pub(super) fn restored() -> Self {
        Self { stored: 1, ..Self::created(true) }
    }

    /// The room has changed.
    pub(super) fn changed(&mut self) {
        self.revision += 1;
    }

    /// When the next write has to start, if there is something to write and nothing under way.
    pub(super) fn due(&self) -> Option<Timestamp> {
        (self.writing == Writing::Resting && self.stored < self.revision).then_some(self.not_before)
    }

    /// A snapshot was handed out and not answered yet.
    pub(super) fn is_under_way(&self) -> bool {
        self.writing == Writing::UnderWay
    }

    /// The last write failed because of the store.
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// The store has the room as it is.
    pub(super) fn is_stored(&self) -> bool {
        self.writing == Writing::Resting && self.stored == self.revision
    }

    /// The store has nothing of the room, and never will.
    pub(super) fn is_off(&self) -> bool {
        matches!(self.writing, Writing::Off | Writing::Conflicted)
    }

    /// The room can be forgotten without losing what the store could have had.
    pub(super) fn may_forget(&self) -> bool {
        self.is_stored() || self.is_off()
    }

    /// What a change that was just made can be promised.
    pub(super) fn promise(&self, room: RoomKey) -> Done {
        match self.writing {
            Writing::Off => Done::Now,
            Writing::Conflicted => Done::NotDurable,
            Writing::Resting | Writing::UnderWay => {
                Done::WhenDurable { room, revision: self.revision }
            }
        }
    }

    /// The room's state.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// Lets the next write start now, unless it waits to be tried again.
    pub(super) fn hurry(&mut self) {
        if self.failures == 0 {
            self.not_before = Timestamp(0);
        }
    }

    /// The next write counts as the first try.
    pub(super) fn forgive(&mut self) {
        self.failures = 0;
    }

    /// Ends the wait after a failed write. If the next one fails as well, the wait is longer still.
    pub(super) fn retry(&mut self, at: Timestamp) {
        self.not_before = self.not_before.min(at);
    }

    /// The current state was handed out.
    pub(super) fn started(&mut self, at: Timestamp) {
        debug_assert!(self.due().is_some(), "one write at a time, and only if there is a change");
        self.writing = Writing::UnderWay;
        self.not_before = at + SAVE_SPACING;
    }

    /// The store has everything up to `revision`.
    pub(super) fn succeeded(&mut self, revision: u64) {
        debug_assert!(self.is_under_way() && revision <= self.revision && self.stored < revision);
        self.writing = Writing::Resting;
        self.stored = revision;
        self.failures = 0;
        self.is_failing = false;
    }

    /// The write failed, because of the store or (`is_refused`) of the room; try again, later each
    /// time, but not later than `delay_max`.
    pub(super) fn failed(&mut self, at: Timestamp, delay_max: Duration, is_refused: bool) {
        debug_assert!(self.is_under_way());
        self.is_failing = !is_refused;
        self.writing = Writing::Resting;
        let delay = RETRY_DELAY_MIN.saturating_mul(1 << self.failures);
        self.not_before = at + delay.min(delay_max);
        if delay < RETRY_DELAY_MAX {
            self.failures += 1;
        }
    }

    /// Another room owns the code in the store.
    pub(super) fn conflicted(&mut self) {
        debug_assert!(self.is_under_way());
        self.is_failing = false;
        self.writing = Writing::Conflicted;
    }
}

// The doubling stops at the longest wait, so the shift stays far from its limit.
const _: () = assert!(RETRY_DELAY_MAX.as_secs() < RETRY_DELAY_MIN.as_secs() << 16);
