//! Everything of the engine but the rooms: who waits for what, answers, limits, the store's state.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};

use super::Entropy;
use super::accounts::{Asked, LoginThrottles};
use super::admin::{AdminRequest, Closings};
use super::clients::Clients;
use super::gauges::Gauges;
use super::jobs::{HASH_BYTES, Job, Jobs, Outcome, Purpose};
use super::requests::Creation;
use super::shutdown::Shutdown;
use crate::accounts::{AuthError, Identity};
use crate::base::hex;
use crate::base::ids::{ConnId, RoomKey};
use crate::base::memory::MemoryBudget;
use crate::base::secret::Secret;
use crate::base::throttle::{RetryAfter, Throttle};
use crate::base::time::{Now, Timestamp};
use crate::config::{AddressKey, Config};
use crate::http::{Response, Upgrade};
use crate::protocol::{self, ErrorCode, MessageId, Reply};
use crate::rooms::{Done, RoomError, SaveError, StoreUnavailable};
use crate::session::Sessions;
use crate::store::StoreError;
use crate::ws::Frame;

/// Characters of a generated room code: none that look alike (protocol, section 2). There are 32,
/// so five bits of a random byte choose one without bias.
const CODE_ALPHABET: &[u8; 32] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789_";
/// Joins of unknown rooms by one address in a minute before it has to wait.
const UNKNOWN_JOINS_PER_MINUTE: u32 = 30;
/// Rooms that one address may create at once before `ROOM_CREATE_RATE` counts.
const ROOM_CREATE_BURST: u32 = 5;
/// Addresses that a limit per address keeps in mind.
const ADDRESSES_MAX: usize = 16 * 1024;
/// Acknowledgements that wait for one room to be stored; beyond that the store is too slow.
const ACKS_PER_ROOM_MAX: usize = 4096;
/// How often to ask a store that did not answer.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// How often to ask whether tokens of connected users have ended (protocol: within 10 s).
const REVOCATION_INTERVAL: Duration = Duration::from_secs(5);
/// How often the log repeats that the store does not answer.
const STORE_WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// What a connection waits for.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A join whose room is looked up.
    Join { id: Option<MessageId<'static>> },
    /// A room to be made.
    Create(Box<Creation>),
    /// A room to be made once the token is checked.
    CreateAfterLogin(Box<Creation>),
    /// An upgrade whose token is checked, for the client at this address.
    Upgrade(Box<Upgrade>, IpAddr),
    /// An account route.
    Account(Asked),
    /// A look at a room.
    View { address: IpAddr },
    /// What an administrator asks for, once the token is checked.
    Admin(Box<AdminRequest>),
    /// A room to be closed.
    Close,
    /// A look at the process, for `/metrics`.
    Metrics,
}

/// A document whose sender wants to hear when it is durable.
#[derive(Debug)]
struct PendingAck {
    conn: ConnId,
    revision: u64,
    id: MessageId<'static>,
}

impl PendingAck {
    /// Bytes that count against the memory budget while it waits.
    fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.id.as_json().len()
    }
}

/// See the [module](self).
pub(super) struct Desk {
    pub(super) config: Arc<Config>,
    budget: MemoryBudget,
    entropy: Entropy,
    pub(super) clients: Clients,
    pub(super) jobs: Jobs,
    pub(super) gauges: Gauges,
    pub(super) waiting: HashMap<ConnId, Waiting>,
    pub(super) closings: Closings,
    acks: HashMap<RoomKey, VecDeque<PendingAck>>,
    /// Drawn codes that turned out to be in use: draw again.
    pub(super) code_taken: Vec<ConnId>,
    /// Lookups for which there was no place in the queue.
    pub(super) lookups_refused: Vec<String>,
    /// Where frames are encoded.
    pub(super) scratch: Vec<u8>,
    pub(super) room_creations: Throttle<AddressKey>,
    unknown_joins: Throttle<AddressKey>,
    pub(super) logins: LoginThrottles,
    /// Whether the store answered the last time.
    pub(super) store_ok: bool,
    /// When to ask the store whether it answers.
    probe_at: Option<Timestamp>,
    /// When the log last said that it does not.
    store_warned_at: Option<Timestamp>,
    /// When to ask next whether tokens of connected users have ended.
    revocations_at: Timestamp,
    revocations_running: bool,
    pub(super) forwarded_ignored: bool,
    pub(super) shutdown: Option<Shutdown>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("store_ok", &self.store_ok)
            .field("waiting", &self.waiting.len())
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

impl Desk {
    pub(super) fn new(
        config: Arc<Config>,
        budget: MemoryBudget,
        entropy: Entropy,
        store_ok: bool,
    ) -> Self {
        let limits = &config.limits;
        let minute = Duration::from_secs(60);
        Self {
            entropy,
            clients: Clients::new(limits.message_rate_max),
            jobs: Jobs::new(budget.clone()),
            gauges: Gauges::default(),
            waiting: HashMap::new(),
            closings: Closings::default(),
            acks: HashMap::new(),
            code_taken: Vec::new(),
            lookups_refused: Vec::new(),
            scratch: Vec::new(),
            room_creations: room_creations(limits.room_create_rate_max),
            unknown_joins: Throttle::new(
                UNKNOWN_JOINS_PER_MINUTE,
                minute,
                UNKNOWN_JOINS_PER_MINUTE,
                ADDRESSES_MAX,
            ),
            logins: LoginThrottles::new(ADDRESSES_MAX),
            revocations_at: Timestamp(0) + REVOCATION_INTERVAL,
            revocations_running: false,
            store_ok,
            probe_at: Some(Timestamp(0)),
            store_warned_at: None,
            forwarded_ignored: false,
            shutdown: None,
            budget,
            config,
        }
    }

    /// From here on the settings are those of `config`.
    pub(super) fn reconfigure(&mut self, config: Arc<Config>) {
        let (limits, before) = (&config.limits, &self.config.limits);
        self.clients.set_rate(limits.message_rate_max);
        if limits.room_create_rate_max != before.room_create_rate_max {
            self.room_creations = room_creations(limits.room_create_rate_max);
        }
        // Whoever is not believed now is worth another line.
        self.forwarded_ignored &= config.trusted_proxies == self.config.trusted_proxies;
        self.config = config;
    }

    /// The client is gone: nobody waits any more.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.clients.remove(conn);
        if let Some(Waiting::Close) = self.waiting.remove(&conn) {
            self.closings.forget(conn);
        }
    }

    // --- frames ---

    pub(super) fn send_reply(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        reply: &Reply<'_>,
        now: Now,
    ) {
        let write = |out: &mut Vec<u8>| protocol::encode_reply(reply, out);
        sessions.send(conn, &Frame::text(&mut self.scratch, &self.budget, write), now);
    }

    pub(super) fn send_error(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        code: ErrorCode,
        message: &str,
        id: Option<&MessageId<'_>>,
        now: Now,
    ) {
        self.gauges.count_error(code);
        self.send_reply(sessions, conn, &Reply::Error { code, message, id }, now);
    }

    /// An error in its usual words.
    pub(super) fn refuse(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        code: ErrorCode,
        id: Option<&MessageId<'_>>,
        now: Now,
    ) {
        self.send_error(sessions, conn, code, code.message(), id, now);
    }

    /// Acknowledges an action that has taken effect, or says why it has not.
    pub(super) fn finish(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        result: Result<Done, RoomError>,
        id: Option<&MessageId<'_>>,
        now: Now,
    ) {
        match result {
            Ok(Done::Now) => {
                if let Some(id) = id {
                    self.send_reply(sessions, conn, &Reply::Ack { id }, now);
                }
            }
            Ok(Done::WhenDurable { room, revision }) => {
                let Some(id) = id else { return };
                let ack = PendingAck { conn, revision, id: id.to_owned() };
                let waiting = self.acks.get(&room).map_or(0, VecDeque::len);
                if waiting < ACKS_PER_ROOM_MAX && self.has_memory_for(ack.held_bytes()) {
                    self.budget.add(ack.held_bytes());
                    self.acks.entry(room).or_default().push_back(ack);
                } else {
                    self.refuse(sessions, conn, ErrorCode::StoreUnavailable, Some(id), now);
                }
            }
            Ok(Done::NotDurable) => {
                if id.is_some() {
                    self.refuse(sessions, conn, ErrorCode::StoreUnavailable, id, now);
                }
            }
            Ok(Done::WaitingForStore) => {}
            Err(error) => self.refuse(sessions, conn, error_code(error), id, now),
        }
    }

    /// A join has ended: the client may send larger messages now, or guessed a code in vain.
    pub(super) fn join_ended(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        result: &Result<Done, RoomError>,
        now: Now,
    ) {
        match result {
            Ok(_) => {
                sessions.set_message_bytes_max(conn, self.config.limits.message_bytes_max);
                sessions.expect_message_by(conn, None);
                if let Some(client) = self.clients.client_mut(conn) {
                    client.has_joined = true;
                }
            }
            Err(RoomError::RoomNotFound) => {
                if let Some(address) = sessions.address(conn) {
                    self.count_unknown_room(address, now);
                }
            }
            Err(_) => {}
        }
    }

    // --- durability ---

    pub(super) fn acknowledge(
        &mut self,
        sessions: &mut Sessions,
        room: RoomKey,
        revision: u64,
        now: Now,
    ) {
        let Some(mut acks) = self.acks.remove(&room) else { return };
        while acks.front().is_some_and(|ack| ack.revision <= revision)
            && let Some(ack) = acks.pop_front()
        {
            self.budget.sub(ack.held_bytes());
            self.send_reply(sessions, ack.conn, &Reply::Ack { id: &ack.id }, now);
        }
        if !acks.is_empty() {
            self.acks.insert(room, acks);
        }
    }

    /// This room will not be stored.
    pub(super) fn refuse_acks(&mut self, sessions: &mut Sessions, room: RoomKey, now: Now) {
        for ack in self.acks.remove(&room).into_iter().flatten() {
            self.budget.sub(ack.held_bytes());
            self.refuse(sessions, ack.conn, ErrorCode::StoreUnavailable, Some(&ack.id), now);
        }
    }

    // --- limits ---

    /// Whether `address` may ask for a room, or has asked for too many that do not exist.
    pub(super) fn may_ask_for_rooms(&self, address: IpAddr, now: Now) -> Result<(), RetryAfter> {
        self.unknown_joins.check(AddressKey::of(address), now.at)
    }

    pub(super) fn guesses_too_much(&self, sessions: &Sessions, conn: ConnId, now: Now) -> bool {
        sessions.address(conn).is_some_and(|address| self.may_ask_for_rooms(address, now).is_err())
    }

    /// The next attempt is what is refused. Many that waited for the store together are all let
    /// through, and all counted.
    pub(super) fn count_unknown_room(&mut self, address: IpAddr, now: Now) {
        self.unknown_joins.charge(AddressKey::of(address), now.at);
    }

    /// Whether a message that makes the server keep `bytes` more bytes can be taken.
    pub(super) fn has_memory_for(&self, bytes: usize) -> bool {
        self.budget.used() + self.jobs.hash_bytes() + bytes <= self.budget.limit()
    }

    /// How many password hashes may run at once: never all workers, and only what fits the
    /// budget; but one always.
    pub(super) fn hashes_max(&self) -> usize {
        let free = self.budget.limit().saturating_sub(self.budget.used());
        let spare_workers = self.config.limits.worker_threads.saturating_sub(1);
        (free / HASH_BYTES).min(spare_workers).max(1)
    }

    // --- randomness ---

    pub(super) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.entropy)(&mut bytes);
        bytes
    }

    /// A room code.
    pub(super) fn fresh_code(&mut self) -> String {
        let length = self.config.limits.room_code_length;
        let mut code = String::with_capacity(length);
        while code.len() < length {
            let [byte] = self.random::<1>();
            let letter = CODE_ALPHABET[usize::from(byte & 31)];
            // 31 letters are in use: the 32nd place means "draw again", so that none is likelier.
            if letter != b'_' {
                code.push(char::from(letter));
            }
        }
        code
    }

    pub(super) fn fresh_uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.random()).into_uuid().to_string()
    }

    pub(super) fn fresh_peer_id(&mut self) -> String {
        format!("peer_{}", hex::encode(&self.random::<4>()))
    }

    /// 256 bits as 64 hexadecimal digits.
    pub(super) fn fresh_token(&mut self) -> Secret {
        Secret::new(hex::encode(&self.random::<32>()))
    }

    // --- the store ---

    /// Answers a request that can't be answered without the store.
    pub(super) fn store_unavailable(sessions: &mut Sessions, conn: ConnId, now: Now) {
        let response = Response::unavailable("The store does not answer; try again");
        sessions.respond(conn, &response, now);
    }

    /// What is said of the store: `ok`, or `degraded` while it does not answer.
    pub(super) fn store_state(&self) -> &'static str {
        if self.store_ok { "ok" } else { "degraded" }
    }

    /// Learns from an outcome whether the store answers.
    pub(super) fn note_store(&mut self, outcome: &Outcome, now: Now) {
        match outcome {
            Outcome::FoundRoom(Err(error))
            | Outcome::SavedRoom(Err(error))
            | Outcome::DeletedRoom(Err(error))
            | Outcome::CheckedAccounts(Err(error))
            | Outcome::Authenticated(Err(AuthError::Store(error)))
            | Outcome::Probed(Err(error)) => {
                if error.is_passing() {
                    self.store_failed(&error.to_string(), now);
                } else if matches!(outcome, Outcome::Probed(_)) {
                    warn!("the store: {error}");
                    self.store_answers();
                }
            }
            Outcome::FoundRoom(Ok(_))
            | Outcome::SavedRoom(Ok(()))
            | Outcome::DeletedRoom(Ok(()))
            | Outcome::CheckedAccounts(Ok(_))
            | Outcome::Probed(Ok(())) => self.store_answers(),
            // These may end without having asked the store.
            Outcome::Account(_) | Outcome::Authenticated(_) | Outcome::InspectedProcess(_) => {}
        }
    }

    fn store_answers(&mut self) {
        if self.store_warned_at.take().is_some() {
            info!("the store answers again");
        }
        self.store_ok = true;
        self.probe_at = None;
    }

    pub(super) fn store_failed(&mut self, why: &str, now: Now) {
        let due = self.store_warned_at.is_none_or(|at| now.at.since(at) >= STORE_WARNING_INTERVAL);
        if due {
            warn!("the store does not answer: {why}");
            self.store_warned_at = Some(now.at);
        }
        self.store_ok = false;
        self.probe_at = Some(now.at + PROBE_INTERVAL);
    }

    pub(super) fn unavailable(what: &str, error: &StoreError) -> StoreUnavailable {
        if !error.is_passing() {
            warn!("cannot {what}: {error}");
        }
        StoreUnavailable
    }

    pub(super) fn save_error(error: &StoreError) -> SaveError {
        match error {
            StoreError::Conflict => SaveError::Conflict,
            other => {
                if !other.is_passing() {
                    warn!("cannot store a room: {other}");
                }
                SaveError::Unavailable
            }
        }
    }

    /// Asks a store that did not answer whether it does now.
    pub(super) fn probe_store(&mut self, now: Now) {
        if self.probe_at.is_none_or(|at| at > now.at) {
            return;
        }
        let started = self.jobs.start(Job::Probe { now: now.unix }, Purpose::Probe, now.at);
        self.probe_at = started.is_err().then(|| now.at + PROBE_INTERVAL);
    }

    /// With `REQUIRE_AUTH`: asks from time to time whether the tokens of connected users still
    /// hold, since another process may have ended them.
    pub(super) fn check_revocations(&mut self, now: Now) {
        if !self.config.require_auth || self.revocations_at > now.at {
            return;
        }
        self.revocations_at = now.at + REVOCATION_INTERVAL;
        if self.revocations_running || !self.store_ok {
            return;
        }
        let mut identities: Vec<Identity> =
            self.clients.identities().map(|(_, identity)| identity.clone()).collect();
        identities.sort_unstable_by(|a, b| (&a.user_id, a.version).cmp(&(&b.user_id, b.version)));
        identities.dedup();
        if !identities.is_empty() {
            let job = Job::CheckAccounts(identities);
            self.revocations_running = self.jobs.start(job, Purpose::Revocations, now.at).is_ok();
        }
    }

    /// The last such question was answered, or nobody waits for the answer any more.
    pub(super) fn revocations_checked(&mut self) {
        self.revocations_running = false;
    }

    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let shutdown = self.shutdown.as_ref().and_then(Shutdown::poll_timeout);
        let revocations = self.config.require_auth.then_some(self.revocations_at);
        let (closings, jobs) = (self.closings.poll_timeout(), self.jobs.poll_timeout());
        [self.probe_at, revocations, shutdown, closings, jobs].into_iter().flatten().min()
    }
}

/// `rate_max` rooms a second and address, and a burst.
fn room_creations(rate_max: u32) -> Throttle<AddressKey> {
    Throttle::new(rate_max, Duration::from_secs(1), ROOM_CREATE_BURST, ADDRESSES_MAX)
}

/// What a client is told for each error of the rooms.
fn error_code(error: RoomError) -> ErrorCode {
    match error {
        RoomError::RoomNotFound => ErrorCode::RoomNotFound,
        RoomError::NotInRoom => ErrorCode::NotInRoom,
        RoomError::HostOnly => ErrorCode::HostOnly,
        RoomError::RoomFull => ErrorCode::RoomFull,
        RoomError::TooManyRooms => ErrorCode::TooManyRooms,
        RoomError::StoreUnavailable => ErrorCode::StoreUnavailable,
    }
}
