//! Why a session's input waits, and the input that does.

use crate::base::memory::allocated_bytes;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// The application has asked to hear nothing more for the time being.
    is_paused: bool,
    /// More came in this turn than is good; what is left waits for the next one.
    is_postponed: bool,
    /// What waits, maybe nothing; `None` unless input was withheld since the last
    /// [`release`](Self::release).
    parked: Option<Vec<u8>>,
}

impl Hold {
    /// Whether input has to wait for the application or the next turn.
    pub(super) fn is_on(&self) -> bool {
        self.is_paused || self.is_postponed
    }

    /// Whether input was withheld and not released since.
    pub(super) fn has_withheld(&self) -> bool {
        self.parked.is_some()
    }

    /// Input waits until [`resume`](Self::resume).
    pub(super) fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Ends a [`pause`](Self::pause).
    pub(super) fn resume(&mut self) {
        self.is_paused = false;
    }

    /// Input waits for the next turn; false if it does already.
    pub(super) fn postpone(&mut self) -> bool {
        !std::mem::replace(&mut self.is_postponed, true)
    }

    /// The next turn has begun.
    pub(super) fn take_up(&mut self) {
        self.is_postponed = false;
    }

    /// Keeps `input` for later.
    pub(super) fn park(&mut self, input: &[u8]) {
        self.parked.get_or_insert_default().extend_from_slice(input);
    }

    /// What was kept.
    pub(super) fn release(&mut self) -> Vec<u8> {
        self.parked.take().unwrap_or_default()
    }

    /// The application will hear nothing more: no pause, and nothing is kept for it.
    pub(super) fn give_up(&mut self) {
        self.is_paused = false;
        if let Some(parked) = &mut self.parked {
            *parked = Vec::new();
        }
    }

    /// Bytes of heap.
    pub(super) fn held_bytes(&self) -> usize {
        self.parked.as_ref().map_or(0, |parked| allocated_bytes(parked.capacity()))
    }
}
