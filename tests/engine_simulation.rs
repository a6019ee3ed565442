//! The whole server without a socket, driven by a seed.
//!
//! Goal: whatever the network does — any split of reads and writes, stalls, resets, half-closes,
//! a store that answers late or not at all — every member of a room sees one order, nobody who
//! stays misses a message, limits hold, and every session ends. Method: a transport that draws
//! its misdeeds from a seed; the clients are tungstenite contexts, so that a foreign decoder
//! checks every byte we send. `ENGINE_SEED=n` replays one seed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use sync_server::base::ids::{ConnId, JobId};
use sync_server::base::memory::MemoryBudget;
use sync_server::base::time::{Now, Timestamp, UnixMillis};
use sync_server::config::Config;
use sync_server::engine::{Engine, Job, Outcome};
use sync_server::rooms::StoredRoom;
use sync_server::session::{AfterFlush, Dispatch, Sessions};
use sync_server::store::StoreError;
use tungstenite::Message;
use tungstenite::protocol::{Role, WebSocketContext};

const SEEDS: u64 = 32;
const STEPS: usize = 1_500;
const CLIENTS_MAX: usize = 14;
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
    conn: ConnId,
    number: usize,
    upgraded: bool,
    context: WebSocketContext,
    /// Bytes on their way to the server.
    outbound: Vec<u8>,
    /// Bytes that came from the server and are not decoded yet.
    inbound: Vec<u8>,
    /// It reads nothing.
    stalled: bool,
    finished_sending: bool,
    room: Option<String>,
    sent: u64,
    /// For the current membership: the last number seen of each sender.
    seen: HashMap<u64, u64>,
    /// What it saw, by room, in order.
    log: BTreeMap<String, Vec<(u64, u64)>>,
    closed_with: Option<u16>,
}

/// The stream that a client context reads from and writes to.
struct Pipe<'a> {
    inbound: &'a mut Vec<u8>,
    outbound: &'a mut Vec<u8>,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.inbound.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
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

struct World {
    seed: u64,
    rng: StdRng,
    now: Now,
    sessions: Sessions,
    engine: Engine,
    budget: MemoryBudget,
    clients: Vec<Client>,
    accepted: usize,
    jobs: Vec<(JobId, Job)>,
    store: HashMap<String, StoredRoom>,
    /// All logs of clients that are gone.
    logs: Vec<BTreeMap<String, Vec<(u64, u64)>>>,
    removed: usize,
    trace: Vec<String>,
}

impl World {
    fn run(seed: u64) -> Vec<String> {
        let mut world = Self::new(seed);
        for step in 0..STEPS {
            world.step();
            world.check_limits(step);
        }
        world.end();
        world.check_one_order();
        world.trace
    }

    fn new(seed: u64) -> Self {
        let mut config = Config::default();
        config.room_auto_create = true;
        config.room_idle_timeout_seconds = 30;
        config.sync_writers = sync_server::config::SyncWriters::Any;
        config.limits.message_rate_max = 0;
        config.limits.send_queue_bytes_max = SEND_QUEUE_BYTES;
        config.limits.message_bytes_max = 32 * 1024;
        let config = Arc::new(config);
        let budget = MemoryBudget::new(config.limits.memory_budget_bytes);
        let mut entropy = StdRng::seed_from_u64(seed ^ 0xe17);
        let engine = Engine::new(
            Arc::clone(&config),
            budget.clone(),
            Box::new(move |bytes| entropy.fill(bytes)),
            true,
        );
        Self {
            seed,
            rng: StdRng::seed_from_u64(seed),
            now: Now { at: Timestamp::from_secs(1), unix: UnixMillis(1_700_000_000_000) },
            sessions: Sessions::new(&config, budget.clone()),
            engine,
            budget,
            clients: Vec::new(),
            accepted: 0,
            jobs: Vec::new(),
            store: HashMap::new(),
            logs: Vec::new(),
            removed: 0,
            trace: Vec::new(),
        }
    }

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
        self.turn();
    }

    fn connect(&mut self) {
        if self.clients.len() >= CLIENTS_MAX {
            return;
        }
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let conn = self.sessions.accept(address.into(), self.now).expect("there is room");
        self.accepted += 1;
        let number = self.accepted;
        self.note(&format!("connect {number}"));
        self.clients.push(Client {
            conn,
            number,
            upgraded: false,
            context: WebSocketContext::new(Role::Client, None),
            outbound: UPGRADE.as_bytes().to_vec(),
            inbound: Vec::new(),
            stalled: false,
            finished_sending: false,
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
        if !client.upgraded || client.finished_sending || client.closed_with.is_some() {
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
        let client = &mut self.clients[index];
        if client.outbound.is_empty() || !self.sessions.wants_read(client.conn) {
            return;
        }
        let most = client.outbound.len().min(64 * 1024);
        let count = match self.rng.random_range(0..3) {
            0 => 1,
            1 => self.rng.random_range(1..=most),
            _ => most,
        };
        let bytes: Vec<u8> = client.outbound.drain(..count).collect();
        let conn = client.conn;
        self.sessions.receive(conn, &bytes, self.now, &mut self.engine);
    }

    fn misbehave(&mut self) {
        let Some(index) = self.any_client() else { return };
        let (conn, number) = (self.clients[index].conn, self.clients[index].number);
        match self.rng.random_range(0..10) {
            0 => {
                self.note(&format!("reset {number}"));
                self.sessions.lost(conn, "reset");
            }
            1 => {
                self.note(&format!("half-close {number}"));
                self.clients[index].finished_sending = true;
                self.sessions.receive_end(conn);
            }
            2..4 => self.clients[index].stalled = true,
            _ => self.clients[index].stalled = false,
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
            Job::SaveRoom { .. } if away => Outcome::SavedRoom(Err(unavailable())),
            Job::SaveRoom { room, .. } => {
                self.store.insert(room.room_code.clone(), *room);
                Outcome::SavedRoom(Ok(()))
            }
            Job::Probe { .. } => Outcome::Probed(Ok(())),
            other => panic!("nobody asked for {other:?}"),
        };
        self.engine.job_done(&mut self.sessions, id, outcome, self.now);
    }

    fn find(&self, code: &str) -> Option<StoredRoom> {
        self.store.get(code).or_else(|| self.store.get(&code.to_uppercase())).cloned()
    }

    fn pass_time(&mut self) {
        let ms = [1, 50, 1_000, 6_000][self.rng.random_range(0..4)];
        self.now.at = self.now.at + Duration::from_millis(ms);
        self.now.unix.0 += i64::try_from(ms).expect("small");
    }

    /// What the event loop does each turn, with writes that may be cut anywhere.
    fn turn(&mut self) {
        self.sessions.begin_turn();
        self.sessions.handle_timeouts(self.now, &mut self.engine);
        self.engine.handle_timeout(&mut self.sessions, self.now);
        while self.sessions.next_resumed(self.now, &mut self.engine).is_some() {}
        while let Some(job) = self.engine.next_job(self.now) {
            self.jobs.push(job);
        }
        for index in 0..self.clients.len() {
            self.flush(index);
        }
        for index in 0..self.clients.len() {
            self.decode(index);
        }
        self.reap();
    }

    fn flush(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let mut slices = [IoSlice::new(&[]); 64];
        let count = self.sessions.slices(client.conn, &mut slices);
        let offered: Vec<u8> = slices[..count].iter().flat_map(|s| s.iter().copied()).collect();
        if client.stalled && !offered.is_empty() {
            self.sessions.blocked(client.conn, self.now);
            return;
        }
        let taken = match self.rng.random_range(0..3) {
            0 if !offered.is_empty() => self.rng.random_range(1..=offered.len()),
            _ => offered.len(),
        };
        client.inbound.extend_from_slice(&offered[..taken]);
        if taken > 0 {
            self.sessions.wrote(client.conn, taken);
        }
        if !self.sessions.has_unsent(client.conn)
            && self.sessions.flushed(client.conn, self.now) == AfterFlush::ShutdownWrite
        {
            // The client's kernel answers our FIN with its own.
            let conn = client.conn;
            self.sessions.receive_end(conn);
        }
    }

    /// The client reads what has arrived.
    fn decode(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if !client.upgraded {
            let end = client.inbound.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else { return };
            let refusals: [(&[u8], u16); 2] = [(b"HTTP/1.1 408", 408), (b"HTTP/1.1 503", 503)];
            for (status_line, code) in refusals {
                // It dawdled over its request, or the server is going.
                if client.inbound.starts_with(status_line) {
                    client.closed_with = Some(code);
                    client.inbound.clear();
                    return;
                }
            }
            assert!(client.inbound.starts_with(b"HTTP/1.1 101"), "upgraded");
            client.inbound.drain(..end + 4);
            client.upgraded = true;
        }
        while client.closed_with.is_none() {
            let Client { context, inbound, outbound, .. } = client;
            match context.read(&mut Pipe { inbound, outbound }) {
                Ok(Message::Text(text)) => {
                    let value: Value = serde_json::from_str(&text).expect("JSON");
                    client.hear(&value);
                }
                Ok(Message::Close(frame)) => {
                    client.closed_with = Some(frame.map_or(1005, |frame| frame.code.into()));
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(_)) => break,
                Err(error) => panic!("client {}: {error}", client.number),
            }
        }
    }

    fn reap(&mut self) {
        let mut finished = Vec::new();
        self.sessions.take_finished(&mut finished, self.now, &mut self.engine);
        for conn in finished {
            self.sessions.remove(conn);
            self.removed += 1;
            let index = self.clients.iter().position(|c| c.conn == conn).expect("known");
            let client = self.clients.remove(index);
            self.trace.push(format!("gone {} {:?}", client.number, client.closed_with));
            self.logs.push(client.log);
        }
    }

    fn check_limits(&self, step: usize) {
        let seed = self.seed;
        for client in &self.clients {
            let mut slices = [IoSlice::new(&[]); 64];
            let count = self.sessions.slices(client.conn, &mut slices);
            let queued: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            // A Close frame may stand behind a full queue.
            assert!(queued <= SEND_QUEUE_BYTES + 200, "seed {seed} step {step}: {queued}");
        }
        assert!(self.budget.used() <= self.budget.limit(), "seed {seed} step {step}");
    }

    /// Everybody is told to go, and does; the store answers.
    fn end(&mut self) {
        for client in &mut self.clients {
            client.stalled = false;
        }
        self.engine.shut_down(&mut self.sessions, self.now);
        for _ in 0..20_000 {
            if self.clients.is_empty() && self.engine.is_finished() {
                break;
            }
            for index in 0..self.clients.len() {
                let client = &mut self.clients[index];
                let bytes = std::mem::take(&mut client.outbound);
                if !bytes.is_empty() && self.sessions.wants_read(client.conn) {
                    let conn = client.conn;
                    self.sessions.receive(conn, &bytes, self.now, &mut self.engine);
                }
            }
            self.finish_a_job();
            self.now.at = self.now.at + Duration::from_millis(20);
            self.turn();
        }
        assert!(self.clients.is_empty(), "seed {}: sessions left", self.seed);
        assert!(self.engine.is_finished(), "seed {}: {:?}", self.seed, self.engine);
        assert_eq!(self.removed, self.accepted, "seed {}", self.seed);
        assert!(self.sessions.is_empty());
    }

    fn any_client(&mut self) -> Option<usize> {
        (!self.clients.is_empty()).then(|| self.rng.random_range(0..self.clients.len()))
    }

    /// The orders that all clients saw must be parts of one order for each room: the relation
    /// "was seen directly before" has no cycle.
    fn check_one_order(&self) {
        for room in ROOMS {
            let mut after: BTreeMap<(u64, u64), BTreeSet<(u64, u64)>> = BTreeMap::new();
            let mut before: BTreeMap<(u64, u64), usize> = BTreeMap::new();
            for log in self.logs.iter().filter_map(|log| log.get(room)) {
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

impl Client {
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
                assert_ne!(sender, self.number as u64, "nobody hears himself");
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
