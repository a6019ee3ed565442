//! Documents that are to be read from the store and wait for memory: whose turn it is, and until
//! when it may wait.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::job::Job;
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
    small: Turns,
    large: Turns,
    deadlines: TimerSet<RoomKey>,
    /// Reads that are jobs by now.
    running: usize,
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

/// Rooms whose turn it is one after the other, the addresses that ask for them in turn.
#[derive(Debug, Default)]
struct Turns {
    by_address: BTreeMap<AddressKey, VecDeque<RoomKey>>,
    /// Each address once, the next one first.
    addresses: VecDeque<AddressKey>,
}

impl Turns {
    fn add(&mut self, address: AddressKey, room: RoomKey) {
        let rooms = self.by_address.entry(address).or_default();
        if rooms.is_empty() {
            self.addresses.push_back(address);
        }
        rooms.push_back(room);
    }

    fn first(&self) -> Option<RoomKey> {
        self.by_address.get(self.addresses.front()?)?.front().copied()
    }

    /// Takes out a room of `address`, which comes last from here on.
    fn remove(&mut self, address: AddressKey, room: RoomKey) {
        let Some(rooms) = self.by_address.get_mut(&address) else { return };
        if let Some(at) = rooms.iter().position(|waiting| *waiting == room) {
            rooms.remove(at);
        }
        if self.addresses.front() == Some(&address) {
            self.addresses.pop_front();
        } else {
            self.addresses.retain(|other| *other != address);
        }
        if rooms.is_empty() {
            self.by_address.remove(&address);
        } else {
            self.addresses.push_back(address);
        }
    }
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
        self.turns(bytes).add(address, room);
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
            _ if self.waiting.is_empty() || self.running >= READS_AT_ONCE_MAX => None,
            Some((at, _)) => Some(at + RETRY_INTERVAL),
            None => Some(Timestamp(0)),
        };
        [retry, self.deadlines.poll_timeout()].into_iter().flatten().min()
    }

    /// A read has ended, or was given up.
    pub(super) fn ended(&mut self) {
        self.running -= 1;
    }

    /// Whether an attempt may find what the last one did not.
    pub(super) fn may_try(&self, used_bytes: usize, now: Timestamp) -> bool {
        self.blocked.is_none_or(|(at, used)| used_bytes < used || at + RETRY_INTERVAL <= now)
    }

    /// Whether a read may begin although `waiting` jobs wait for the same workers, reads included.
    pub(super) fn may_delay(&self, waiting: usize, now: Timestamp) -> bool {
        let is_rare = self.running == 0 && self.started_at + BUSY_INTERVAL <= now;
        waiting <= self.running || is_rare
    }

    /// The room whose turn it is, and the bytes of its document.
    pub(super) fn next(&self) -> Option<(RoomKey, usize)> {
        let room = self.small.first().or_else(|| self.large.first())?;
        let wanted = self.waiting.get(&room).filter(|_| self.running < READS_AT_ONCE_MAX)?;
        Some((room, wanted.bytes))
    }

    /// Takes a room out.
    fn take(&mut self, room: RoomKey) -> Option<Wanted> {
        let mut wanted = self.waiting.remove(&room)?;
        self.deadlines.rearm(room, &mut wanted.deadline, None);
        self.turns(wanted.bytes).remove(wanted.address, room);
        Some(wanted)
    }

    fn turns(&mut self, bytes: usize) -> &mut Turns {
        if bytes <= SMALL_BYTES_MAX { &mut self.small } else { &mut self.large }
    }

    /// Takes the room whose turn it is, for which there is `memory`.
    pub(super) fn start(
        &mut self,
        room: RoomKey,
        memory: Reservation,
        now: Timestamp,
    ) -> Option<Job> {
        let Wanted { room_code, room_id, .. } = self.take(room)?;
        self.running += 1;
        self.started += 1;
        self.started_at = now;
        self.stuck_since = None;
        Some(Job::ReadDocument { room_code, room_id, memory })
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
