//! Documents that are to be read from the store and wait for memory: whose turn it is, and until
//! when it may wait.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::job::Job;
use super::turns::{Owner, Turns};
use crate::base::ids::RoomKey;
use crate::base::memory::Reservation;
use crate::base::time::Timestamp;
use crate::base::timer_set::TimerSet;
use crate::config::AddressKey;

/// Bytes up to which a document is small: such ones come before the others, and may use part of
/// the reserve.
pub(super) const SMALL_BYTES_MAX: usize = 64 << 10;
/// How long a client waits for memory for a document before it is told that the store does not
/// answer: longer than for a job, so that an honest crowd that comes back at once gets in, and
/// shorter than the silence after which a connection is dropped.
pub(super) const MEMORY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long after an attempt that found no memory the next one is made at the latest.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);
/// Documents for which memory is looked for in one attempt.
const TRIED_MAX: usize = 16;
/// A document that is given up this soon is passed by no more by others that need less memory: it
/// has waited for 5 s then.
const HELD_FOR: Duration = Duration::from_secs(25);
/// Small documents that go before a larger one that waits.
const SMALL_IN_A_ROW_MAX: u8 = 8;
/// How long reads wait for memory before clients that do not read their documents are looked at.
const STUCK_TIME: Duration = Duration::from_secs(1);
/// Documents that are read at the same time, the wait for a worker included.
const READS_AT_ONCE_MAX: usize = 8;
/// While other jobs wait that a read would delay, one read is under way at most, and the next
/// begins no sooner than this after the last one began: a crowd that comes back is let into its
/// rooms before their documents take the workers.
const BUSY_INTERVAL: Duration = Duration::from_millis(50);

/// Documents that are to be read from the store: at most one read of each room, the rooms' own
/// bound.
#[derive(Debug, Default)]
pub(super) struct DocumentReads {
    waiting: BTreeMap<RoomKey, Wanted>,
    /// Rooms with small documents, and with larger ones, in turns by address.
    small: Turns<RoomKey>,
    large: Turns<RoomKey>,
    deadlines: TimerSet<RoomKey>,
    /// Reads that are jobs by now.
    running: BTreeMap<RoomKey, Wanted>,
    /// Small documents that were read one after the other while a larger one waited.
    small_in_a_row: u8,
    /// The last attempt found no memory; then so much was in use.
    blocked: Option<(Timestamp, usize)>,
    /// Since when none could begin for want of memory.
    stuck_since: Option<Timestamp>,
    /// Reads that were started, and when the last one was.
    started: u64,
    started_at: Timestamp,
}

/// A document that waits for memory.
#[derive(Debug)]
struct Wanted {
    room_code: String,
    room_id: String,
    /// About so many it has as it is sent.
    bytes: usize,
    /// Where the client is that asked first.
    address: AddressKey,
    deadline: Option<Timestamp>,
}

impl DocumentReads {
    /// The document of `room` is to be read, for a client at `address`. It has about `bytes` bytes.
    pub(super) fn add(
        &mut self,
        room: RoomKey,
        (room_code, room_id): (&str, &str),
        bytes: usize,
        address: AddressKey,
        now: Timestamp,
    ) {
        let (room_code, room_id) = (room_code.to_owned(), room_id.to_owned());
        let mut wanted = Wanted { room_code, room_id, bytes, address, deadline: None };
        self.deadlines.rearm(room, &mut wanted.deadline, Some(now + MEMORY_TIMEOUT));
        self.waiting.insert(room, wanted);
        let displaced = self.turns(bytes).push(Owner::Address(address), room);
        debug_assert!(matches!(displaced, Ok(None)), "the rooms bound them");
        // There may be memory for this one.
        self.blocked = None;
    }

    /// How many wait for memory.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many were started.
    pub(super) fn started(&self) -> u64 {
        self.started
    }

    /// When the next attempt is to be made, or the next wait given up.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let retry = match self.blocked {
            _ if self.waiting.is_empty() || self.running.len() >= READS_AT_ONCE_MAX => None,
            Some((at, _)) => Some(at + RETRY_INTERVAL),
            None => Some(Timestamp(0)),
        };
        [retry, self.deadlines.poll_timeout()].into_iter().flatten().min()
    }

    /// A read has ended, or was given up.
    pub(super) fn ended(&mut self, room: RoomKey) {
        self.running.remove(&room);
    }

    /// A read has ended, and found `bytes` bytes: it begins anew once there is memory for them, as
    /// soon as it would have if that had been known.
    pub(super) fn read_again(&mut self, room: RoomKey, bytes: usize) {
        let Some(mut wanted) = self.running.remove(&room) else { return };
        wanted.bytes = bytes;
        let (until, address) = (wanted.deadline.take(), wanted.address);
        self.deadlines.rearm(room, &mut wanted.deadline, until);
        self.waiting.insert(room, wanted);
        self.turns(bytes).put_back(Owner::Address(address), room);
        self.blocked = None;
    }

    /// Whether an attempt may find what the last one did not.
    pub(super) fn may_try(&self, used_bytes: usize, now: Timestamp) -> bool {
        self.blocked.is_none_or(|(at, used)| used_bytes < used || at + RETRY_INTERVAL <= now)
    }

    /// Whether a read may begin although `waiting` jobs wait for the same workers, reads included.
    pub(super) fn may_delay(&self, waiting: usize, now: Timestamp) -> bool {
        let is_rare = self.running.is_empty() && self.started_at + BUSY_INTERVAL <= now;
        waiting <= self.running.len() || is_rare
    }

    /// The rooms whose turn it is, one of each address, and the bytes of their documents. What
    /// there is no memory for is passed by those behind it, but only for a while.
    pub(super) fn next(&self, now: Timestamp) -> Vec<(RoomKey, usize)> {
        if self.running.len() >= READS_AT_ONCE_MAX {
            return Vec::new();
        }
        let is_large_due = self.small_in_a_row >= SMALL_IN_A_ROW_MAX;
        let (first, then) =
            if is_large_due { (&self.large, &self.small) } else { (&self.small, &self.large) };
        let rooms = first.heads().chain(then.heads()).take(TRIED_MAX);
        let known = rooms.filter_map(|room| Some((*room, self.waiting.get(room)?)));
        let mut next = Vec::new();
        for (room, wanted) in known {
            next.push((room, wanted.bytes));
            if wanted.deadline.is_some_and(|deadline| deadline <= now + HELD_FOR) {
                break;
            }
        }
        next
    }

    /// Takes a room out.
    fn take(&mut self, room: RoomKey) -> Option<Wanted> {
        let mut wanted = self.waiting.remove(&room)?;
        self.deadlines.rearm(room, &mut wanted.deadline, None);
        let owner = Owner::Address(wanted.address);
        let turns = self.turns(wanted.bytes);
        turns.pass_turn(owner);
        turns.remove(owner, |waiting| *waiting == room);
        Some(wanted)
    }

    fn turns(&mut self, bytes: usize) -> &mut Turns<RoomKey> {
        if bytes <= SMALL_BYTES_MAX { &mut self.small } else { &mut self.large }
    }

    /// Takes the room whose turn it is, for which there is `memory`.
    pub(super) fn start(
        &mut self,
        room: RoomKey,
        memory: Reservation,
        now: Timestamp,
    ) -> Option<Job> {
        let until = self.waiting.get(&room)?.deadline;
        let mut wanted = self.take(room)?;
        let is_small = wanted.bytes <= SMALL_BYTES_MAX && self.large.len() > 0;
        self.small_in_a_row = if is_small { self.small_in_a_row.saturating_add(1) } else { 0 };
        let (room_code, room_id) = (wanted.room_code.clone(), wanted.room_id.clone());
        let bytes = wanted.bytes;
        wanted.deadline = until;
        self.running.insert(room, wanted);
        self.started += 1;
        self.started_at = now;
        self.stuck_since = None;
        Some(Job::ReadDocument { room_code, room_id, bytes, memory })
    }

    /// The document of `room` is not to be read after all.
    pub(super) fn cancel(&mut self, room: RoomKey) {
        self.take(room);
    }

    /// Whether no read could begin for a while, for want of memory. Said once in each such while.
    pub(super) fn is_stuck(&mut self, now: Timestamp) -> bool {
        let since = *self.stuck_since.get_or_insert(now);
        let is_stuck = since + STUCK_TIME <= now;
        if is_stuck {
            self.stuck_since = Some(now);
        }
        is_stuck
    }

    /// The addresses whose reads wait.
    pub(super) fn addresses(&self) -> BTreeSet<AddressKey> {
        self.waiting.values().map(|wanted| wanted.address).collect()
    }

    /// An attempt begins.
    pub(super) fn begin(&mut self) {
        self.blocked = None;
    }

    /// The attempt has found no memory, of which `used_bytes` bytes are in use.
    pub(super) fn block(&mut self, used_bytes: usize, now: Timestamp) {
        self.blocked = Some((now, used_bytes));
    }

    /// Takes a room that has waited too long.
    pub(super) fn expired(&mut self, now: Timestamp) -> Option<RoomKey> {
        let (_, room) = self.deadlines.first().filter(|(at, _)| *at <= now)?;
        self.take(room)?;
        Some(room)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::base::memory::MemoryBudget;

    fn room(index: u32) -> RoomKey {
        RoomKey { index, generation: 1 }
    }

    fn address(last: u8) -> AddressKey {
        AddressKey::of(Ipv4Addr::new(192, 0, 2, last).into())
    }

    fn start(reads: &mut DocumentReads, room: RoomKey, now: Timestamp) {
        let memory = MemoryBudget::new(1).try_reserve(0, 1).expect("it is nothing");
        assert!(reads.start(room, memory, now).is_some());
        reads.ended(room);
    }

    #[test]
    fn small_documents_do_not_keep_a_large_one_waiting() {
        let mut reads = DocumentReads::default();
        let now = Timestamp::from_secs(1);
        reads.add(room(0), ("LARGE", ""), 1 << 20, address(1), now);
        let mut before = 0;
        for index in 1..100 {
            reads.add(room(index), ("SMALL", ""), 1_000, address(2), now);
            let (first, _) = reads.next(now)[0];
            if first == room(0) {
                break;
            }
            start(&mut reads, first, now);
            before += 1;
        }
        assert_eq!(before, SMALL_IN_A_ROW_MAX);
    }

    #[test]
    fn what_there_is_no_memory_for_is_passed_by_for_a_while_only() {
        let mut reads = DocumentReads::default();
        let began = Timestamp::from_secs(1);
        reads.add(room(0), ("LARGE", ""), 4 << 20, address(1), began);
        for index in 1..30 {
            let last = u8::try_from(index).expect("it is small");
            reads.add(room(index), ("OTHER", ""), 1 << 20, address(1 + last), began);
        }
        assert_eq!(reads.next(began).len(), TRIED_MAX);
        let later = began + Duration::from_secs(5);
        assert_eq!(reads.next(later), [(room(0), 4 << 20)]);
    }

    #[test]
    fn a_document_that_is_larger_than_was_thought_is_read_again_in_its_place() {
        let mut reads = DocumentReads::default();
        let now = Timestamp::from_secs(1);
        reads.add(room(0), ("ESCAPES", ""), 100_000, address(1), now);
        reads.add(room(1), ("OTHER", ""), 100_000, address(1), now);
        let memory = MemoryBudget::new(1).try_reserve(0, 1).expect("it is nothing");
        assert!(reads.start(room(0), memory, now).is_some());
        reads.read_again(room(0), 600_000);
        assert_eq!(reads.next(now)[0], (room(0), 600_000));
        assert_eq!(reads.expired(now + MEMORY_TIMEOUT), Some(room(0)), "it waits no longer");
    }
}
