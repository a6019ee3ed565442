//! The whole server without a socket, driven by a seed.
//!
//! Goal: whatever the network does — any split of reads and writes, stalls, resets, half-closes,
//! a store that answers late or not at all — every member of a room sees one order, nobody who
//! stays misses a message, limits hold, and every session ends. Method: a transport that draws
//! its misdeeds from a seed; the clients are tungstenite contexts, so that a foreign decoder
//! checks every byte we send; the order of a turn is the real one. `ENGINE_SEED=n` replays one
//! seed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use sync_server::base::entropy::Entropy;
use sync_server::base::ids::{ConnId, JobId};
use sync_server::base::memory::MemoryBudget;
use sync_server::base::time::{Now, Timestamp, UnixMillis};
use sync_server::config::Config;
use sync_server::engine::{Engine, Job, Outcome};
use sync_server::rooms::{Document, StoredDocument, StoredRoom};
use sync_server::session::{Dispatch, Driver, Ended, Sessions, Transport};
use sync_server::store::StoreError;
use tungstenite::Message;
use tungstenite::protocol::{Role, WebSocketContext};

const SEEDS: u64 = 32;
const STEPS: usize = 1_500;
const CLIENTS_MAX: usize = 14;
/// How long the server lets frames wait for others.
const PATIENCE: Duration = Duration::from_millis(20);
const ROOMS: [&str; 3] = ["ALPHA", "BRAVO", "CHARLIE"];
const SEND_QUEUE_BYTES: usize = 64 * 1024;
const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn any_seed_keeps_every_promise() {
    if let Ok(seed) = std::env::var("ENGINE_SEED") {
        let seed = seed.parse().expect("ENGINE_SEED is a number");
        println!("{}", World::run(seed).join("\n"));
        return;
    }
    for seed in 0..SEEDS {
        World::run(seed);
    }
}

#[test]
fn one_seed_gives_one_trace() {
    assert_eq!(World::run(7), World::run(7));
    assert_ne!(World::run(7), World::run(8));
}

/// One simulated browser.
struct Client {
    /// Once it was accepted.
    conn: Option<ConnId>,
    number: u64,
    upgraded: bool,
    context: WebSocketContext,
    /// Bytes on their way to the server.
    outbound: Vec<u8>,
    /// Bytes that the server may read.
    arrived: Vec<u8>,
    /// Bytes that came from the server and are not decoded yet.
    inbound: Vec<u8>,
    /// It reads nothing.
    stalled: bool,
    /// A write was cut: the server waits to hear that there is room again.
    full: bool,
    line: Line,
    room: Option<String>,
    sent: u64,
    /// For the current membership: the last number seen of each sender.
    seen: HashMap<u64, u64>,
    /// What it saw, by room, in order.
    log: BTreeMap<String, Vec<(u64, u64)>>,
    closed_with: Option<u16>,
}

/// What is left of a client's connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Open,
    /// The client has shut its half, or its kernel has in answer to the server.
    HalfClosed,
    Reset,
}

/// The stream that a client context reads from and writes to.
struct Pipe<'a> {
    inbound: &'a mut Vec<u8>,
    outbound: &'a mut Vec<u8>,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.inbound.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = buffer.len().min(self.inbound.len());
        buffer[..count].copy_from_slice(&self.inbound[..count]);
        self.inbound.drain(..count);
        Ok(count)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outbound.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is wrong with a connection, or ends it.
enum Event {
    Readable(ConnId),
    Ending(ConnId),
    Stop,
}

struct World {
    seed: u64,
    driver: Driver<Engine>,
    budget: MemoryBudget,
    network: Network,
}

/// Everything outside of the server, which is drawn.
struct Network {
    rng: StdRng,
    now: Now,
    /// How long the loop would have waited in the last turn.
    waited: Duration,
    clients: Vec<Client>,
    events: Vec<Event>,
    connected: u64,
    jobs: Vec<(JobId, Job)>,
    outcomes: Vec<(JobId, Outcome)>,
    store: HashMap<String, StoredRoom>,
    budget: MemoryBudget,
    /// All logs of clients that are gone.
    logs: Vec<BTreeMap<String, Vec<(u64, u64)>>>,
    trace: Vec<String>,
}

impl World {
    fn run(seed: u64) -> Vec<String> {
        let mut world = Self::new(seed);
        for step in 0..STEPS {
            world.network.step();
            world.turn();
            world.check_limits(step);
        }
        world.end();
        world.check_one_order();
        world.network.trace
    }

    fn new(seed: u64) -> Self {
        let mut config = Config::default();
        config.room_auto_create = true;
        config.room_idle_timeout_seconds = 30;
        config.sync_writers = sync_server::config::SyncWriters::Any;
        config.limits.message_rate_max = 0;
        config.limits.send_queue_bytes_max = SEND_QUEUE_BYTES;
        config.limits.message_bytes_max = 32 * 1024;
        config.limits.shutdown_grace_seconds = 600;
        let config = Arc::new(config);
        let budget = MemoryBudget::new(config.limits.memory_budget_bytes);
        let entropy = Mutex::new(StdRng::seed_from_u64(seed ^ 0xe17));
        let engine = Engine::new(
            Arc::clone(&config),
            budget.clone(),
            Entropy::new(move |bytes| entropy.lock().expect("not poisoned").fill(bytes)),
            true,
        );
        Self {
            seed,
            driver: Driver::new(Sessions::new(&config, budget.clone()), engine),
            budget: budget.clone(),
            network: Network {
                rng: StdRng::seed_from_u64(seed),
                now: Now { at: Timestamp::from_secs(1), unix: UnixMillis(1_700_000_000_000) },
                waited: Duration::ZERO,
                clients: Vec::new(),
                events: Vec::new(),
                connected: 0,
                jobs: Vec::new(),
                outcomes: Vec::new(),
                store: HashMap::new(),
                budget,
                logs: Vec::new(),
                trace: Vec::new(),
            },
        }
    }

    /// A turn of the loop; then each client reads what has arrived.
    fn turn(&mut self) -> Option<Ended> {
        let sessions = self.driver.sessions();
        let mut writable = self.network.clients.iter().filter(|client| client.is_writable());
        let is_due =
            writable.any(|client| client.conn.is_some_and(|conn| sessions.unsent_bytes(conn) > 0));
        let Ok(ended) = self.driver.turn(&mut self.network);
        let waited = self.network.waited;
        assert!(!is_due || waited <= PATIENCE, "seed {}: it sleeps over its work", self.seed);
        self.network.clients.iter_mut().for_each(Client::decode);
        ended
    }

    fn check_limits(&self, step: usize) {
        let seed = self.seed;
        for conn in self.network.clients.iter().filter_map(|client| client.conn) {
            let queued = self.driver.sessions().unsent_bytes(conn);
            // A Close frame may stand behind a full queue.
            assert!(queued <= SEND_QUEUE_BYTES + 200, "seed {seed} step {step}: {queued}");
        }
        assert!(self.budget.used() <= self.budget.limit(), "seed {seed} step {step}");
    }

    /// Everybody is told to go, and does; the store answers.
    fn end(&mut self) {
        for client in &mut self.network.clients {
            client.stalled = false;
        }
        self.network.events.push(Event::Stop);
        let mut ended = None;
        for _ in 0..20_000 {
            if ended.is_some() {
                break;
            }
            for index in 0..self.network.clients.len() {
                let on_their_way = self.network.clients[index].outbound.len();
                self.network.carry(index, on_their_way);
            }
            self.network.finish_a_job();
            self.network.now.at = self.network.now.at + Duration::from_millis(20);
            ended = self.turn();
        }
        assert_eq!(ended, Some(Ended::Cleanly), "seed {}", self.seed);
        assert!(self.network.clients.is_empty(), "seed {}: sessions left", self.seed);
        let engine = self.driver.application();
        assert!(engine.is_finished(), "seed {}: {engine:?}", self.seed);
        assert_eq!(self.network.logs.len() as u64, self.network.connected, "seed {}", self.seed);
        assert!(self.driver.sessions().is_empty());
    }

    /// The orders that all clients saw must be parts of one order for each room: the relation
    /// "was seen directly before" has no cycle.
    fn check_one_order(&self) {
        for room in ROOMS {
            let mut after: BTreeMap<(u64, u64), BTreeSet<(u64, u64)>> = BTreeMap::new();
            let mut before: BTreeMap<(u64, u64), usize> = BTreeMap::new();
            for log in self.network.logs.iter().filter_map(|log| log.get(room)) {
                for pair in log.windows(2) {
                    before.entry(pair[0]).or_default();
                    before.entry(pair[1]).or_default();
                    if after.entry(pair[0]).or_default().insert(pair[1]) {
                        *before.entry(pair[1]).or_default() += 1;
                    }
                }
            }
            let mut free: Vec<_> =
                before.iter().filter(|(_, n)| **n == 0).map(|(m, _)| *m).collect();
            let mut ordered = 0;
            while let Some(message) = free.pop() {
                ordered += 1;
                for next in after.get(&message).into_iter().flatten() {
                    let left = before.get_mut(next).expect("counted");
                    *left -= 1;
                    if *left == 0 {
                        free.push(*next);
                    }
                }
            }
            assert_eq!(ordered, before.len(), "seed {}: {room} has no one order", self.seed);
        }
    }
}

impl Network {
    fn note(&mut self, text: &str) {
        self.trace.push(format!("{} {text}", self.now.at.0));
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..6 => self.connect(),
            6..20 => self.say(0),
            20..45 => self.say(1),
            45..70 => self.carry_up(),
            70..74 => self.misbehave(),
            74..82 => self.finish_a_job(),
            82..88 => self.pass_time(),
            _ => {}
        }
    }

    fn connect(&mut self) {
        if self.clients.len() >= CLIENTS_MAX {
            return;
        }
        self.connected += 1;
        let number = self.connected;
        self.note(&format!("connect {number}"));
        self.clients.push(Client {
            conn: None,
            number,
            upgraded: false,
            context: WebSocketContext::new(Role::Client, None),
            outbound: UPGRADE.as_bytes().to_vec(),
            arrived: Vec::new(),
            inbound: Vec::new(),
            stalled: false,
            full: false,
            line: Line::Open,
            room: None,
            sent: 0,
            seen: HashMap::new(),
            log: BTreeMap::new(),
            closed_with: None,
        });
    }

    /// A client says something: joins and leaves (`kind` 0), or messages (1).
    fn say(&mut self, kind: u8) {
        let Some(index) = self.any_client() else { return };
        let pick = self.rng.random_range(0..20);
        let room = ROOMS[self.rng.random_range(0..ROOMS.len())];
        let size = [10, 300, 5_000][self.rng.random_range(0..3)];
        let client = &mut self.clients[index];
        if !client.upgraded || client.line != Line::Open || client.closed_with.is_some() {
            return;
        }
        let number = client.number;
        let message = if kind == 0 && pick < 14 {
            json!({"action": "join", "room_code": room, "peer_id": format!("p{}", number / 2)})
        } else if kind == 0 {
            json!({"action": "leave"})
        } else if pick < 15 {
            client.sent += 1;
            let data = format!("{number}:{}:{}", client.sent, "x".repeat(size));
            json!({"action": "broadcast", "data": data})
        } else if pick < 18 {
            json!({"action": "sync_document", "document": "d".repeat(size), "id": pick})
        } else {
            json!({"action": "request_sync"})
        };
        let client = &mut self.clients[index];
        let Client { context, inbound: _, outbound, .. } = client;
        let mut nothing = Vec::new();
        let mut pipe = Pipe { inbound: &mut nothing, outbound };
        context.write(&mut pipe, Message::text(message.to_string())).expect("open");
        context.flush(&mut pipe).expect("a pipe takes everything");
    }

    /// Some of a client's bytes arrive.
    fn carry_up(&mut self) {
        let Some(index) = self.any_client() else { return };
        let most = self.clients[index].outbound.len().min(64 * 1024);
        if most == 0 {
            return;
        }
        let count = match self.rng.random_range(0..3) {
            0 => 1,
            1 => self.rng.random_range(1..=most),
            _ => most,
        };
        self.carry(index, count);
    }

    /// The next `count` bytes of a client arrive.
    fn carry(&mut self, index: usize, count: usize) {
        let client = &mut self.clients[index];
        if let Some(conn) = client.conn.filter(|_| client.line == Line::Open) {
            client.arrived.extend(client.outbound.drain(..count));
            self.events.push(Event::Readable(conn));
        }
    }

    fn misbehave(&mut self) {
        let Some(index) = self.any_client() else { return };
        let client = &mut self.clients[index];
        let Some(conn) = client.conn.filter(|_| client.line == Line::Open) else { return };
        let number = client.number;
        match self.rng.random_range(0..10) {
            0 => {
                client.line = Line::Reset;
                self.events.push(Event::Ending(conn));
                self.note(&format!("reset {number}"));
            }
            1 => {
                let on_their_way = client.outbound.len();
                self.carry(index, on_their_way);
                self.clients[index].line = Line::HalfClosed;
                self.events.push(Event::Ending(conn));
                self.note(&format!("half-close {number}"));
            }
            2..4 => client.stalled = true,
            _ => client.stalled = false,
        }
    }

    /// One job ends: done, refused by a store that is away, or only later.
    fn finish_a_job(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        let index = self.rng.random_range(0..self.jobs.len());
        let (id, job) = self.jobs.swap_remove(index);
        let away = self.rng.random_range(0..5) == 0;
        let unavailable = || StoreError::Unavailable("simulated".into());
        let outcome = match job {
            Job::FindRoom { .. } if away => Outcome::FoundRoom(Err(unavailable())),
            Job::FindRoom { room_code } => Outcome::FoundRoom(Ok(self.find(&room_code))),
            Job::ReadDocument { .. } if away => Outcome::ReadDocument(Err(unavailable())),
            Job::ReadDocument { room_code, memory, .. } => {
                let document = self.store.get(&room_code).map(|room| room.document.clone());
                drop(memory);
                Outcome::ReadDocument(Ok(match document {
                    Some(StoredDocument::Whole(document)) => Some(self.copy(&document)),
                    _ => None,
                }))
            }
            Job::SaveRooms { rooms, .. } => {
                let outcome = if away { Err(unavailable()) } else { Ok(()) };
                let outcomes = vec![outcome; rooms.len()];
                if !away {
                    for room in rooms {
                        self.save(room);
                    }
                }
                Outcome::SavedRooms(outcomes)
            }
            Job::Probe { .. } => Outcome::Probed(Ok(())),
            Job::InspectStore => Outcome::InspectedStore(Ok(())),
            other => panic!("nobody asked for {other:?}"),
        };
        self.outcomes.push((id, outcome));
    }

    fn find(&self, code: &str) -> Option<StoredRoom> {
        let stored = self.store.get(code).or_else(|| self.store.get(&code.to_uppercase()));
        let mut head = stored?.clone();
        if let StoredDocument::Whole(document) = &head.document {
            head.document = StoredDocument::Unread { bytes: document.0.len() };
        }
        Some(head)
    }

    /// A room that comes without a document leaves the stored one as it is. What is stored counts
    /// against no budget.
    fn save(&mut self, mut room: StoredRoom) {
        if let StoredDocument::Whole(document) = &room.document {
            let copy = Bytes::copy_from_slice(&document.0);
            room.document = StoredDocument::Whole(Document(copy));
        } else if let Some(stored) = self.store.get(&room.room_code) {
            room.document = stored.document.clone();
        }
        self.store.insert(room.room_code.clone(), room);
    }

    /// What a worker makes of a stored document.
    fn copy(&self, document: &Document) -> Document {
        Document(self.budget.counted_bytes(document.0.to_vec()))
    }

    fn pass_time(&mut self) {
        let ms = [1, 50, 1_000, 6_000][self.rng.random_range(0..4)];
        self.now.at = self.now.at + Duration::from_millis(ms);
        self.now.unix.0 += i64::try_from(ms).expect("small");
    }

    fn any_client(&mut self) -> Option<usize> {
        (!self.clients.is_empty()).then(|| self.rng.random_range(0..self.clients.len()))
    }

    fn client(&mut self, conn: ConnId) -> &mut Client {
        let client = self.clients.iter_mut().find(|client| client.conn == Some(conn));
        client.expect("it was accepted here and is not closed")
    }
}

impl Transport<Engine> for Network {
    type Error = Infallible;

    fn now(&mut self) -> Now {
        self.now
    }

    /// Something happens all the time.
    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), Infallible> {
        self.waited = timeout.unwrap_or(Duration::MAX);
        Ok(())
    }

    fn note_events(&mut self, driver: &mut Driver<Engine>, now: Now) {
        for event in self.events.drain(..) {
            match event {
                Event::Readable(conn) => driver.readable(conn),
                Event::Ending(conn) => driver.ending(conn),
                Event::Stop => driver.stop(now),
            }
        }
        for client in self.clients.iter_mut().filter(|client| client.full && !client.stalled) {
            client.full = false;
            driver.writable(client.conn.expect("it was written to"));
        }
    }

    fn read(&mut self, conn: ConnId, into: &mut [u8]) -> io::Result<usize> {
        let client = self.client(conn);
        let count = client.arrived.len().min(into.len());
        if client.line == Line::Reset {
            return Err(ErrorKind::ConnectionReset.into());
        } else if count == 0 && client.line == Line::Open {
            return Err(ErrorKind::WouldBlock.into());
        }
        into[..count].copy_from_slice(&client.arrived[..count]);
        client.arrived.drain(..count);
        Ok(count)
    }

    /// A write may be cut anywhere.
    fn write(&mut self, conn: ConnId, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let offered: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let taken = match self.rng.random_range(0..3) {
            0 => self.rng.random_range(1..=offered.len()),
            _ => offered.len(),
        };
        let client = self.client(conn);
        if client.line == Line::Reset {
            return Err(ErrorKind::BrokenPipe.into());
        } else if client.stalled {
            client.full = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        client.full = taken < offered.len();
        client.inbound.extend_from_slice(&offered[..taken]);
        Ok(taken)
    }

    /// The client's kernel answers our FIN with its own.
    fn shut(&mut self, conn: ConnId) {
        let client = self.client(conn);
        if client.line == Line::Open {
            client.line = Line::HalfClosed;
        }
        self.events.push(Event::Ending(conn));
    }

    fn close(&mut self, conn: ConnId) {
        let index = self.clients.iter().position(|client| client.conn == Some(conn));
        let mut client = self.clients.remove(index.expect("it was accepted here"));
        client.decode();
        self.trace.push(format!("gone {} {:?}", client.number, client.closed_with));
        self.logs.push(client.log);
    }

    fn accept(&mut self, driver: &mut Driver<Engine>, now: Now) {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        for client in self.clients.iter_mut().filter(|client| client.conn.is_none()) {
            client.conn = Some(driver.accept(address.into(), now).expect("there is room"));
        }
    }

    fn take_outcomes(&mut self, into: &mut Vec<(JobId, Outcome)>) {
        into.append(&mut self.outcomes);
    }

    fn takes_jobs(&self) -> bool {
        true
    }

    fn start_job(&mut self, id: JobId, job: Job) -> Result<(), Job> {
        // The pool may be full after all; the next turn asks again.
        if self.rng.random_range(0..8) == 0 {
            return Err(job);
        }
        let reads = |job: &Job| matches!(job, Job::FindRoom { .. });
        let running = self.jobs.iter().filter(|(_, other)| reads(other) == reads(&job));
        assert_eq!(running.count(), 0, "one job at a time in each lane");
        self.jobs.push((id, job));
        Ok(())
    }
}

impl Client {
    fn is_writable(&self) -> bool {
        !self.stalled && !self.full
    }

    /// The client reads what has arrived.
    fn decode(&mut self) {
        if !self.upgraded {
            let end = self.inbound.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else { return };
            let refusals: [(&[u8], u16); 2] = [(b"HTTP/1.1 408", 408), (b"HTTP/1.1 503", 503)];
            for (status_line, code) in refusals {
                // It dawdled over its request, or the server is going.
                if self.inbound.starts_with(status_line) {
                    self.closed_with = Some(code);
                    self.inbound.clear();
                    return;
                }
            }
            assert!(self.inbound.starts_with(b"HTTP/1.1 101"), "upgraded");
            self.inbound.drain(..end + 4);
            self.upgraded = true;
        }
        while self.closed_with.is_none() {
            let Self { context, inbound, outbound, .. } = self;
            match context.read(&mut Pipe { inbound, outbound }) {
                Ok(Message::Text(text)) => {
                    let value: Value = serde_json::from_str(&text).expect("JSON");
                    self.hear(&value);
                }
                Ok(Message::Close(frame)) => {
                    self.closed_with = Some(frame.map_or(1005, |frame| frame.code.into()));
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(_)) => break,
                Err(error) => panic!("client {}: {error}", self.number),
            }
        }
    }

    fn hear(&mut self, message: &Value) {
        match message["type"].as_str().expect("every message has a type") {
            "connected" => {
                self.room = message["room_code"].as_str().map(str::to_owned);
                self.seen.clear();
            }
            "data" => {
                let data = message["data"].as_str().expect("a string was sent");
                let mut parts = data.split(':');
                let mut number = || parts.next().and_then(|p| p.parse::<u64>().ok());
                let (sender, sequence) = (number().expect("who"), number().expect("which"));
                assert_ne!(sender, self.number, "nobody hears himself");
                let last = self.seen.insert(sender, sequence);
                assert!(last.is_none_or(|last| last < sequence), "a repeat or a step back");
                let room = self.room.clone().expect("data comes to members only");
                self.log.entry(room).or_default().push((sender, sequence));
            }
            "room_info" | "document_sync" | "peer_joined" | "peer_left" | "ack" | "error" => {}
            other => panic!("unexpected {other}"),
        }
    }
}
