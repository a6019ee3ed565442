//! Why a session's input waits, and the input that does.

use crate::base::memory::allocated_bytes;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// The application has asked to hear nothing more for the time being.
    is_paused: bool,
    /// What waits, maybe nothing; `None` unless input was withheld since the last
    /// [`release`](Self::release).
    parked: Option<Parked>,
}

/// Input that waits: for the application, or for the next turn of its connection. It is used up
/// from the front without being moved.
#[derive(Debug, Default)]
pub(super) struct Parked {
    bytes: Vec<u8>,
    /// So many bytes are used up.
    used_bytes: u32,
}

impl Hold {
    /// Whether input has to wait for the application.
    pub(super) fn is_on(&self) -> bool {
        self.is_paused
    }

    /// Whether input was withheld and not released since.
    pub(super) fn has_withheld(&self) -> bool {
        self.parked.is_some()
    }

    /// Whether there is input that waits.
    pub(super) fn has_parked(&self) -> bool {
        self.parked.as_ref().is_some_and(|parked| !parked.rest().is_empty())
    }

    /// Input waits until [`resume`](Self::resume).
    pub(super) fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Ends a [`pause`](Self::pause).
    pub(super) fn resume(&mut self) {
        self.is_paused = false;
    }

    /// Keeps `parked` for later. Nothing may be kept already: input that waits is taken up before
    /// more is read.
    pub(super) fn park(&mut self, parked: Parked) {
        debug_assert!(!self.has_parked(), "input would overtake other input");
        self.parked = Some(parked);
    }

    /// What was kept, if anything was withheld.
    pub(super) fn release(&mut self) -> Option<Parked> {
        self.parked.take()
    }

    /// The application will hear nothing more: no pause, and nothing is kept for it.
    pub(super) fn give_up(&mut self) {
        self.is_paused = false;
        if let Some(parked) = &mut self.parked {
            *parked = Parked::default();
        }
    }

    /// Bytes of heap.
    pub(super) fn held_bytes(&self) -> usize {
        self.parked.as_ref().map_or(0, |parked| allocated_bytes(parked.bytes.capacity()))
    }
}

impl Parked {
    /// Keeps a copy of `input`, which one read has brought.
    pub(super) fn copy(input: &[u8]) -> Self {
        Self { bytes: input.to_vec(), used_bytes: 0 }
    }

    /// What is left of it.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.used_bytes as usize..).unwrap_or_default()
    }

    /// Only the last `bytes` bytes are left. The buffer stays as it is until all are used up: to
    /// move them each time would be work in the square of their number.
    pub(super) fn keep_last(mut self, bytes: usize) -> Self {
        debug_assert!(bytes <= self.rest().len());
        if bytes == 0 {
            return Self::default();
        }
        let used = self.bytes.len().saturating_sub(bytes);
        self.used_bytes = u32::try_from(used).unwrap_or(u32::MAX);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_that_waits_is_used_up_from_the_front_without_being_moved() {
        let mut hold = Hold::default();
        hold.park(Parked::copy(b"abcdef"));
        let at = hold.parked.as_ref().map(|parked| parked.bytes.as_ptr());
        for (left, rest) in [(4, &b"cdef"[..]), (4, b"cdef"), (1, b"f")] {
            let parked = hold.release().expect("it was kept");
            assert!(!hold.has_withheld());
            hold.park(parked.keep_last(left));
            let parked = hold.parked.as_ref();
            assert_eq!(parked.map(Parked::rest), Some(rest));
            assert_eq!(parked.map(|parked| parked.bytes.as_ptr()), at);
        }
        let parked = hold.release().expect("it was kept");
        hold.park(parked.keep_last(0));
        assert!(hold.has_withheld() && !hold.has_parked());
        assert_eq!(hold.held_bytes(), 0);
    }
}
