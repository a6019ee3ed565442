//! The memory budget: one count of the bytes that clients make the server keep.
//!
//! Memory with one owner is reported by that owner ([`MemoryBudget::add`], [`MemoryBudget::sub`],
//! [`MemoryBudget::replace`]). Bytes that many queues share report themselves: they are counted
//! when they are made and taken off when their last clone goes, on whatever thread that happens.
//! A buffer counts as what the allocator takes for it ([`allocated_bytes`]), not as what is in it.
//!
//! This module only counts. Which connection goes when it is used up is decided elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// The longest allocation, in bytes, that shares its pages with others of its size class.
const SMALL_BYTES_MAX: usize = 14 * 1024;
/// Size classes between a power of two and the next one (jemalloc's `SC_NGROUP`).
const CLASSES_PER_DOUBLING: usize = 4;
/// What sizes are a multiple of, up to the first doubling that has all its classes.
const SIZE_STEP_BYTES: usize = 16;
/// What the system gives memory in.
const PAGE_BYTES: usize = 4096;

/// Bytes of memory behind a buffer of `capacity` bytes, all of which may be in use.
pub const fn allocated_bytes(capacity: usize) -> usize {
    resident_bytes(capacity, capacity)
}

/// Bytes of memory behind a buffer of `capacity` bytes of which `used` were ever written.
///
/// A small one takes its whole size class, of which there are four in each doubling. A large one
/// has pages of its own; they become memory when they are written to, and as it begins anywhere in
/// its first page, they may be one more than the bytes fill.
pub const fn resident_bytes(capacity: usize, used: usize) -> usize {
    if capacity == 0 {
        0
    } else if capacity <= SIZE_STEP_BYTES * 2 * CLASSES_PER_DOUBLING {
        capacity.next_multiple_of(SIZE_STEP_BYTES)
    } else if capacity <= SMALL_BYTES_MAX {
        let step = capacity.next_power_of_two() / (2 * CLASSES_PER_DOUBLING);
        capacity.next_multiple_of(step)
    } else {
        let used = if used < capacity { used } else { capacity };
        used.next_multiple_of(PAGE_BYTES) + PAGE_BYTES
    }
}

/// A count of bytes and its limit. A clone is another handle on the same count.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    used: Arc<AtomicUsize>,
    /// Of these, what the server's own work takes for a moment.
    passing: Arc<AtomicUsize>,
    limit: Arc<AtomicUsize>,
}

/// Bytes that count as used for something that is to come; free again when the value is dropped.
#[derive(Debug)]
pub struct Reservation {
    bytes: usize,
    used: Arc<AtomicUsize>,
}

/// The owner of shared bytes.
///
/// Invariant: `buffer` is never resized, so what is taken off is what was added.
struct CountedBuffer {
    buffer: Vec<u8>,
    used: Arc<AtomicUsize>,
}

impl MemoryBudget {
    /// A budget of `limit` bytes of which nothing is used.
    pub fn new(limit: usize) -> Self {
        let limit = Arc::new(AtomicUsize::new(limit));
        Self { used: Arc::default(), passing: Arc::default(), limit }
    }

    /// Bytes in use, those of passing work included: what can be read again makes room for it.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes in use without those of passing work, for which no client is closed or refused.
    pub fn held(&self) -> usize {
        self.used().saturating_sub(self.passing.load(Ordering::Relaxed))
    }

    /// Bytes that may be in use.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// From here on `limit` bytes may be in use, for all handles.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// More is held than may be. Nothing prevents that: the count is for deciding afterwards which
    /// connection goes.
    pub fn is_over(&self) -> bool {
        self.held() > self.limit()
    }

    /// Work has begun that takes `bytes` bytes until it ends.
    pub fn begin_work(&self, bytes: usize) {
        self.passing.fetch_add(bytes, Ordering::Relaxed);
        self.add(bytes);
    }

    /// That work has ended.
    pub fn end_work(&self, bytes: usize) {
        self.sub(bytes);
        self.passing.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// `bytes` more are in use.
    pub fn add(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// `bytes` that were added are free again.
    pub fn sub(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "{bytes} bytes freed, {before} were in use");
    }

    /// Sets `bytes` aside, unless more than `limit` bytes were in use then. The count is read and
    /// raised in one step, so any number of reservations at once stay within their limit.
    pub fn try_reserve(&self, bytes: usize, limit: usize) -> Option<Reservation> {
        let fits = |used: usize| used.checked_add(bytes).filter(|after| *after <= limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Reservation { bytes, used: Arc::clone(&self.used) })
    }

    /// Something that counted as `before` bytes counts as `after` bytes from now on.
    pub fn replace(&self, before: usize, after: usize) {
        // Most calls change nothing; they should not touch a shared cache line.
        match after.checked_sub(before) {
            Some(0) => {}
            Some(more) => self.add(more),
            None => self.sub(before - after),
        }
    }

    /// Makes `buffer` shareable without copying it. Its whole capacity counts, once, until the
    /// last clone of the result is dropped; a slice of the result keeps all of it alive.
    pub fn counted_bytes(&self, buffer: Vec<u8>) -> Bytes {
        self.add(allocated_bytes(buffer.capacity()));
        Bytes::from_owner(CountedBuffer { buffer, used: Arc::clone(&self.used) })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for CountedBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for CountedBuffer {
    fn drop(&mut self) {
        self.used.fetch_sub(allocated_bytes(self.buffer.capacity()), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_buffer_takes_its_size_class_and_a_large_one_the_pages_that_it_uses() {
        // The classes of jemalloc(3).
        let classes = [
            (0, 0),
            (1, 16),
            (16, 16),
            (17, 32),
            (128, 128),
            (129, 160),
            (161, 192),
            (257, 320),
            (512, 512),
            (513, 640),
            (1_500, 1_536),
            (5_121, 6_144),
            (14_336, 14_336),
        ];
        for (capacity, bytes) in classes {
            assert_eq!(allocated_bytes(capacity), bytes, "{capacity}");
            assert_eq!(resident_bytes(capacity, 0), bytes, "{capacity}");
        }
        assert_eq!(allocated_bytes(14_337), 16_384 + 4_096);
        assert_eq!(allocated_bytes(1 << 20), (1 << 20) + 4_096);
        assert_eq!(resident_bytes(1 << 20, 5_000), 8_192 + 4_096);
        assert_eq!(resident_bytes(20_000, 30_000), 20_480 + 4_096, "never more than there is");
    }

    #[test]
    fn plain_accounting_adds_up_across_clones() {
        let budget = MemoryBudget::new(100);
        let other = budget.clone();
        budget.add(70);
        other.add(30);
        assert_eq!((budget.used(), budget.limit(), budget.is_over()), (100, 100, false));
        other.replace(30, 31);
        assert!(budget.is_over());
        other.replace(31, 31);
        other.replace(31, 5);
        budget.sub(70);
        assert_eq!((budget.used(), other.used()), (5, 5));
    }

    #[test]
    fn shared_bytes_count_once_until_the_last_clone_is_gone() {
        let budget = MemoryBudget::new(1_000);
        let mut buffer = Vec::with_capacity(300);
        buffer.extend_from_slice(b"frame");
        let bytes = budget.counted_bytes(buffer);
        assert_eq!(&bytes[..], b"frame");
        assert_eq!(budget.used(), 320, "the capacity counts, not the length");

        let clones = vec![bytes.clone(); 1_000];
        let slice = bytes.slice(1..2);
        drop(bytes);
        drop(clones);
        assert_eq!(budget.used(), 320, "a slice keeps the whole buffer");
        drop(slice);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_set_aside_counts_until_it_is_dropped_and_stays_within_its_limit() {
        let budget = MemoryBudget::new(1_000);
        budget.add(100);
        let reserved = budget.try_reserve(700, 800).expect("it fits just so");
        assert_eq!(budget.used(), 800);
        assert!(budget.try_reserve(1, 800).is_none());
        assert!(budget.try_reserve(usize::MAX, usize::MAX).is_none());
        drop(reserved);
        assert_eq!(budget.used(), 100);
    }

    #[test]
    fn the_last_clone_may_go_on_another_thread() {
        let budget = MemoryBudget::new(1_000);
        let bytes = budget.counted_bytes(vec![0; 64]);
        let clone = bytes.clone();
        drop(bytes);
        std::thread::spawn(move || drop(clone)).join().expect("the thread only drops");
        assert_eq!(budget.used(), 0);
    }
}
