//! What the kernel keeps of a connection's output: how much it may, and how much counts.
//!
//! A send buffer is earned. Each begins small and is doubled when its client, with much left to
//! read, has shown by reading that it goes on; so a client that reads nothing makes the kernel keep
//! little. One that takes nothing more counts whole against the memory budget. Of one that
//! does, nobody says how much of what was written has left it; that is noted here, and the
//! transport is asked when memory may be short.

/// What a send buffer begins with, in bytes, as it is asked for; the kernel takes twice as much.
pub const SEND_BUFFER_BYTES_MIN: usize = 8 * 1024;
/// What it is doubled to at most. The kernel gives no more than `net.core.wmem_max`.
const SEND_BUFFER_BYTES_MAX: usize = 256 * 1024;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SendBuffer {
    /// How often it was doubled.
    doublings: u8,
    /// The client has earned a larger one.
    is_earned: bool,
    /// It takes nothing at present.
    is_full: bool,
    /// Bytes of memory for what was written since it was last known to be empty.
    unconfirmed: u32,
}

impl SendBuffer {
    /// Bytes of memory that it is known to take.
    pub(super) fn held_bytes(self) -> usize {
        if self.is_full { self.memory_bytes() } else { 0 }
    }

    /// Bytes that it may hold although nothing says so.
    pub(super) fn unconfirmed_bytes(self) -> usize {
        if self.is_full { 0 } else { self.unconfirmed as usize }
    }

    /// It took `bytes` bytes.
    pub(super) fn wrote(&mut self, bytes: usize) {
        let held = (self.unconfirmed as usize).saturating_add(bytes).min(self.memory_bytes());
        self.unconfirmed = u32::try_from(held).unwrap_or(u32::MAX);
    }

    /// It takes nothing more.
    pub(super) fn filled(&mut self) {
        self.is_full = true;
    }

    /// The client has read: there is room again, for `unsent` bytes that wait.
    pub(super) fn emptied(&mut self, unsent: usize) {
        self.is_earned |= self.is_full
            && unsent > self.memory_bytes()
            && self.asked_bytes() < SEND_BUFFER_BYTES_MAX;
        self.is_full = false;
        // A larger one may be half full when there is room again, the first is nearly empty.
        let left = if self.doublings > 0 { self.asked_bytes() / 2 } else { 0 };
        self.unconfirmed = u32::try_from(left).unwrap_or(u32::MAX);
    }

    /// The transport is asked: it holds nothing, or it is [full](Self::filled).
    pub(super) fn confirm(&mut self) {
        self.unconfirmed = 0;
    }

    /// What a larger one that was earned takes more, in bytes of memory.
    pub(super) fn earned_bytes(self) -> Option<usize> {
        self.is_earned.then(|| self.memory_bytes())
    }

    /// Doubles it; the bytes to ask the kernel for.
    pub(super) fn double(&mut self) -> usize {
        self.is_earned = false;
        self.doublings += 1;
        self.asked_bytes()
    }

    fn asked_bytes(self) -> usize {
        SEND_BUFFER_BYTES_MIN << self.doublings
    }

    /// The kernel doubles what it is asked for (socket(7), `SO_SNDBUF`).
    fn memory_bytes(self) -> usize {
        2 * self.asked_bytes()
    }
}

const _: () = assert!(2 * SEND_BUFFER_BYTES_MAX < u32::MAX as usize);
// Every idle connection has one.
const _: () = assert!(size_of::<SendBuffer>() <= 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_reads_earns_more_and_one_that_does_not_keeps_little() {
        let mut buffer = SendBuffer::default();
        buffer.wrote(1_000);
        assert_eq!((buffer.held_bytes(), buffer.unconfirmed_bytes()), (0, 1_000));
        buffer.wrote(1 << 20);
        assert_eq!(buffer.unconfirmed_bytes(), 2 * SEND_BUFFER_BYTES_MIN, "it holds no more");
        buffer.filled();
        assert_eq!(buffer.held_bytes(), 2 * SEND_BUFFER_BYTES_MIN);
        assert_eq!((buffer.unconfirmed_bytes(), buffer.earned_bytes()), (0, None));

        buffer.emptied(2 * SEND_BUFFER_BYTES_MIN);
        assert_eq!(buffer.earned_bytes(), None, "what is left fits");
        buffer.emptied(1 << 20);
        assert_eq!(buffer.earned_bytes(), None, "it was not full");
        let mut asked = SEND_BUFFER_BYTES_MIN;
        while asked < SEND_BUFFER_BYTES_MAX {
            buffer.filled();
            buffer.emptied(1 << 20);
            assert_eq!(buffer.earned_bytes(), Some(2 * asked));
            asked *= 2;
            assert_eq!(buffer.double(), asked);
        }
        buffer.filled();
        assert_eq!(buffer.held_bytes(), 2 * SEND_BUFFER_BYTES_MAX);
        buffer.emptied(1 << 20);
        assert_eq!(buffer.earned_bytes(), None);
        let left = SEND_BUFFER_BYTES_MAX / 2;
        assert_eq!((buffer.held_bytes(), buffer.unconfirmed_bytes()), (0, left));
    }
}
