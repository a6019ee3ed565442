//! What one connection has yet to send.
//!
//! Small frames are copied one behind the other into chunks, so that a burst of them leaves in
//! one slice of one write. Big frames are shared with other queues. A queue with nothing to send
//! holds no heap.
//!
//! How much may be queued, and what happens to a reader that is too slow, is for the session.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::{iter, mem};

use bytes::Bytes;

use crate::base::memory::allocated_bytes;
use crate::ws::{Frame, FrameBytes};

/// Slices that one write is given at most.
pub(super) const SLICES_MAX: usize = 64;

/// Bytes that one write is given at most, so that a big frame for one connection does not keep the
/// others waiting. But a write of 64 KiB is two packets on a loopback, one of them of 53 bytes,
/// so the fewer writes the better.
pub(super) const FLUSH_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Bytes of a chunk, unless a single frame is longer. The allocator has no more without giving it
/// pages of its own.
const CHUNK_BYTES_MAX: usize = 14 * 1024;

/// What a chunk begins with: a few small frames, and no step of its growth is wasted on less.
const CHUNK_BYTES_MIN: usize = 512;

/// Frames in the order in which they are to be sent.
///
/// The caller sends what [`slices`](Self::slices) gives and reports to
/// [`consume`](Self::consume) how much of it went, in whatever portions.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    /// What goes before `tail`; `None` if nothing does, which is the usual case.
    before: Option<Box<Before>>,
    /// The last chunk of copies, which takes the next one. May be empty only if `before` is not,
    /// or the queue is.
    tail: Vec<u8>,
    /// Bytes of the first segment that are sent already. Invariant: less than its length, or 0.
    front_sent: usize,
    /// Bytes not sent yet. Invariant: the sum of all segments, less `front_sent`.
    queued_bytes: usize,
}

/// Everything but the tail.
#[derive(Debug, Default)]
struct Before {
    /// Invariant: not empty, and no segment in it is.
    segments: VecDeque<Segment>,
    /// Where the newest frame is that replaces older ones. Until something of it is sent, a later
    /// one replaces it.
    latest: Option<usize>,
    /// Memory of all chunks in `segments`, in bytes.
    chunk_bytes: usize,
}

#[derive(Debug)]
enum Segment {
    /// Copies of whole frames.
    Chunk(Vec<u8>),
    /// A frame that other queues may share.
    Shared(Bytes),
}

impl SendQueue {
    /// Nothing is left to send.
    pub(super) fn is_empty(&self) -> bool {
        self.queued_bytes == 0
    }

    /// Bytes that are left to send, shared ones included.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Bytes of shared frames that queues keep alive, this one among them. The newest frame that
    /// replaces older ones is kept by its maker too, and so does not count while it has another
    /// owner.
    pub(super) fn pinned_bytes(&self) -> usize {
        let Some(before) = &self.before else { return 0 };
        let pinned = before.segments.iter().enumerate().map(|(index, segment)| match segment {
            Segment::Shared(frame) if before.latest != Some(index) || frame.is_unique() => {
                frame.len()
            }
            _ => 0,
        });
        pinned.sum()
    }

    /// The newest frame that replaces older ones, while something of it is left to send.
    pub(super) fn latest(&self) -> Option<&[u8]> {
        let before = self.before.as_ref()?;
        before.latest.map(|index| before.segments[index].bytes())
    }

    /// Bytes of heap that this queue holds alone. Shared bytes are not among them; they count for
    /// themselves ([`MemoryBudget`](crate::base::memory::MemoryBudget)).
    pub(super) fn own_bytes(&self) -> usize {
        let before = self.before.as_ref().map_or(0, |before| before.own_bytes());
        before + allocated_bytes(self.tail.capacity())
    }

    /// Appends `frame`.
    pub(super) fn push(&mut self, frame: &Frame<'_>) {
        match &frame.bytes {
            FrameBytes::Copied(bytes) => self.push_copy(bytes),
            FrameBytes::Shared(bytes) if frame.replaces_older => self.push_latest(bytes.clone()),
            FrameBytes::Shared(bytes) => self.push_shared(bytes.clone()),
        }
    }

    /// How much longer [`push`](Self::push) would make the queue, in bytes.
    pub(super) fn bytes_to_add(&self, frame: &Frame<'_>) -> usize {
        let replaced = if frame.replaces_older { self.replaceable_bytes() } else { 0 };
        frame.as_slice().len().saturating_sub(replaced)
    }

    /// Appends a copy of `frames`, one or more whole frames.
    pub(super) fn push_copy(&mut self, frames: &[u8]) {
        if frames.is_empty() {
            return;
        }
        if self.tail.len() + frames.len() > CHUNK_BYTES_MAX {
            self.close_tail();
        }
        let (length, capacity) = (self.tail.len() + frames.len(), self.tail.capacity());
        if length > capacity {
            let capacity = (2 * capacity).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX).max(length);
            self.tail.reserve_exact(capacity - self.tail.len());
        }
        self.tail.extend_from_slice(frames);
        self.queued_bytes += frames.len();
    }

    /// Appends `frame` without copying it.
    fn push_shared(&mut self, frame: Bytes) {
        if frame.is_empty() {
            return;
        }
        self.close_tail();
        self.queued_bytes += frame.len();
        self.before.get_or_insert_default().segments.push_back(Segment::Shared(frame));
    }

    /// Appends `frame` without copying it. An older one of its kind of which nothing is sent yet is
    /// taken out, and what was behind it moves up; one that is being sent is finished.
    fn push_latest(&mut self, frame: Bytes) {
        debug_assert!(!frame.is_empty(), "a frame has a header");
        self.remove_replaceable();
        self.push_shared(frame);
        if let Some(before) = &mut self.before {
            before.latest = before.segments.len().checked_sub(1);
        }
    }

    /// Bytes that [`push_latest`](Self::push_latest) would take out.
    fn replaceable_bytes(&self) -> usize {
        let Some(before) = &self.before else { return 0 };
        self.replaceable().map_or(0, |index| before.segments[index].bytes().len())
    }

    /// Where the frame is that a later one replaces: nothing of it is sent.
    fn replaceable(&self) -> Option<usize> {
        let latest = self.before.as_ref()?.latest;
        latest.filter(|index| *index > 0 || self.front_sent == 0)
    }

    /// Takes out everything of which nothing is sent yet, as far as that is known: copies that
    /// share a chunk with one that is being sent stay. What is pushed next then goes out next.
    pub(super) fn clear_unstarted(&mut self) {
        if self.front_sent == 0 {
            *self = Self::default();
        } else if let Some(before) = &mut self.before {
            before.segments.truncate(1);
            before.chunk_bytes = before.segments.iter().map(Segment::chunk_bytes).sum();
            before.latest = before.latest.filter(|index| *index == 0);
            self.tail = Vec::new();
            let kept: usize = before.segments.iter().map(|segment| segment.bytes().len()).sum();
            self.queued_bytes = kept - self.front_sent;
        }
    }

    /// Fills `slices` from its beginning with what is to be sent next, at most
    /// [`FLUSH_BYTES_MAX`] bytes of it, and returns how many it filled: 0 only if nothing is left
    /// to send.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let segments = self.before.iter().flat_map(|before| &before.segments).map(Segment::bytes);
        let tail = iter::once(self.tail.as_slice()).filter(|tail| !tail.is_empty());
        let mut sent = self.front_sent;
        let mut bytes_left = FLUSH_BYTES_MAX;
        let mut filled = 0;
        for (slice, bytes) in slices.iter_mut().zip(segments.chain(tail)) {
            let unsent = &bytes[mem::take(&mut sent)..];
            let part = &unsent[..unsent.len().min(bytes_left)];
            *slice = IoSlice::new(part);
            filled += 1;
            bytes_left -= part.len();
            if bytes_left == 0 {
                break;
            }
        }
        filled
    }

    /// The next `bytes` bytes were sent: no more than [`queued_bytes`](Self::queued_bytes).
    pub(super) fn consume(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.queued_bytes, "more was sent than there was");
        if bytes >= self.queued_bytes {
            *self = Self::default();
            return;
        }
        self.queued_bytes -= bytes;
        self.front_sent += bytes;
        let Some(before) = &mut self.before else { return };
        while let Some(length) = before.segments.front().map(|front| front.bytes().len())
            && self.front_sent >= length
        {
            self.front_sent -= length;
            before.pop_front();
        }
        if before.segments.is_empty() {
            self.before = None;
        }
    }

    /// Makes the tail an ordinary segment, so that something else can follow.
    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            let before = self.before.get_or_insert_default();
            before.chunk_bytes += allocated_bytes(self.tail.capacity());
            before.segments.push_back(Segment::Chunk(mem::take(&mut self.tail)));
        }
    }

    fn remove_replaceable(&mut self) {
        let Some(index) = self.replaceable() else { return };
        let Some(before) = &mut self.before else { return };
        before.latest = None;
        let Some(older) = before.segments.remove(index) else { return };
        self.queued_bytes -= older.bytes().len();
        // Frames that replace each other with a small frame in between would otherwise leave a
        // trail of chunks with one frame in each.
        if index == before.segments.len() {
            before.join_last_chunk(&mut self.tail);
        }
        if before.segments.is_empty() {
            self.before = None;
        }
    }
}

impl Before {
    /// Bytes of memory that the queue holds alone.
    fn own_bytes(&self) -> usize {
        let segments = self.segments.capacity() * size_of::<Segment>();
        self.chunk_bytes + allocated_bytes(segments) + allocated_bytes(size_of::<Self>())
    }

    fn pop_front(&mut self) {
        if let Some(segment) = self.segments.pop_front() {
            self.chunk_bytes -= segment.chunk_bytes();
        }
        // Position 0 was that frame itself.
        self.latest = self.latest.and_then(|index| index.checked_sub(1));
    }

    /// Puts the last segment in front of `tail`, if it is a chunk and one can hold both.
    fn join_last_chunk(&mut self, tail: &mut Vec<u8>) {
        if let Some(Segment::Chunk(last)) = self.segments.back_mut()
            && last.len() + tail.len() <= CHUNK_BYTES_MAX
        {
            self.chunk_bytes -= allocated_bytes(last.capacity());
            last.extend_from_slice(tail);
            *tail = mem::take(last);
            self.segments.pop_back();
        }
    }
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Chunk(chunk) => chunk,
            Self::Shared(frame) => frame,
        }
    }

    /// Bytes of memory that the queue holds alone.
    fn chunk_bytes(&self) -> usize {
        match self {
            Self::Chunk(chunk) => allocated_bytes(chunk.capacity()),
            Self::Shared(_) => 0,
        }
    }
}

// Every idle connection has one.
const _: () = assert!(size_of::<SendQueue>() <= 48);

#[cfg(test)]
mod tests;
