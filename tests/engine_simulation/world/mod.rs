//! One run: a server, a network and a store that do what is drawn, and what must hold of them.

mod client;
mod documents;
mod network;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sync_server::base::entropy::Entropy;
use sync_server::base::memory::MemoryBudget;
use sync_server::config::{Config, SyncWriters};
use sync_server::engine::Engine;
use sync_server::session::{Dispatch, Driver, Ended, Sessions};

use self::client::Client;
use self::network::{Event, Network};
use crate::draw::Draw;

const STEPS: usize = 1_500;
/// How long the server lets frames wait for others.
const PATIENCE: Duration = Duration::from_millis(20);
/// What may be in use for a moment beyond a small budget: the server closes the sessions that hold
/// most, but one that goes frees nothing before its turn is over.
const EXCESS_BYTES_MAX: usize = 2 * SMALL.message_bytes_max;
/// Turns in a row that a budget may be exceeded.
const TURNS_OVER_MAX: u32 = 5;
/// What a room takes beside its document at most, in bytes: its frame's head, and pages in part.
const ROOM_BYTES_MAX: usize = 16 * 1024;
/// How long a client waits for the answer to its joins at most, once the network does no harm.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(100);
/// Jobs for clients that run at the same time.
const READS_MAX: usize = 2;

/// How often what was seen, over all runs.
pub(crate) type Seen = BTreeMap<&'static str, u64>;

fn count(seen: &mut Seen, word: &'static str) {
    *seen.entry(word).or_default() += 1;
}

/// How much there is of everything.
struct Scale {
    budget_bytes: usize,
    message_bytes_max: usize,
    send_queue_bytes_max: usize,
    /// Lengths of documents, each as likely as the others.
    document_bytes: [usize; 4],
    rooms: &'static [&'static str],
}

/// There is memory for all.
const AMPLE: Scale = Scale {
    budget_bytes: 64 << 20,
    message_bytes_max: 32 << 10,
    send_queue_bytes_max: 64 << 10,
    document_bytes: [10, 300, 5_000, 5_000],
    rooms: &["ALPHA", "BRAVO", "CHARLIE"],
};

/// A few documents fill it.
const SMALL: Scale = Scale {
    budget_bytes: 768 << 10,
    message_bytes_max: 512 << 10,
    send_queue_bytes_max: 768 << 10,
    document_bytes: [1_000, 100_000, 200_000, 300_000],
    rooms: &["ALPHA", "BRAVO", "CHARLIE", "DELTA", "ECHO"],
};

/// The state of a run.
pub(crate) struct World<'a, D: Draw> {
    name: &'a str,
    scale: &'static Scale,
    driver: Driver<Engine>,
    budget: MemoryBudget,
    network: Network<'a, D>,
    turns_over: u32,
}

impl<'a, D: Draw> World<'a, D> {
    /// Runs a world called `name` until nothing more is drawn, and to its end; gives its trace.
    pub(crate) fn run(name: &'a str, mut draw: D, seen: &'a mut Seen) -> Vec<String> {
        let scale = if draw.below(2) == 0 { &SMALL } else { &AMPLE };
        let mut world = Self::new(name, scale, draw, seen);
        for step in 0..STEPS {
            if world.network.draw.is_spent() {
                break;
            }
            world.network.step();
            world.turn();
            world.check_limits(step);
        }
        world.answer_all();
        world.end();
        world.check_one_order();
        documents::check(&world.network.logs, name);
        let Self { driver, budget, network, .. } = world;
        drop(driver);
        assert_eq!(budget.used(), 0, "{name}: something counts that is gone");
        network.trace
    }

    fn new(name: &'a str, scale: &'static Scale, draw: D, seen: &'a mut Seen) -> Self {
        let mut config = Config {
            room_auto_create: true,
            room_idle_timeout_seconds: 30,
            sync_writers: SyncWriters::Any,
            ..Config::default()
        };
        config.limits.message_rate_max = 0;
        config.limits.send_queue_bytes_max = scale.send_queue_bytes_max;
        config.limits.message_bytes_max = scale.message_bytes_max;
        config.limits.shutdown_grace_seconds = 600;
        // One of them is left to what computes passwords.
        config.limits.worker_threads = READS_MAX + 1;
        let config = Arc::new(config);
        let budget = MemoryBudget::new(scale.budget_bytes);
        let entropy = Mutex::new(0_u8);
        let entropy = Entropy::new(move |bytes| {
            let mut last = entropy.lock().expect("not poisoned");
            for byte in bytes {
                *last = last.wrapping_mul(5).wrapping_add(113);
                *byte = *last;
            }
        });
        let engine = Engine::new(Arc::clone(&config), budget.clone(), entropy, true);
        Self {
            name,
            scale,
            driver: Driver::new(Sessions::new(&config, budget.clone()), engine),
            budget: budget.clone(),
            network: Network::new(draw, scale, budget, seen),
            turns_over: 0,
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
        assert!(!is_due || waited <= PATIENCE, "{}: it sleeps over its work", self.name);
        let Network { clients, seen, turns, .. } = &mut self.network;
        for client in clients {
            client.decode(*turns, seen);
        }
        *turns += 1;
        ended
    }

    fn check_limits(&mut self, step: usize) {
        let name = self.name;
        for conn in self.network.clients.iter().filter_map(|client| client.conn) {
            let queued = self.driver.sessions().unsent_bytes(conn);
            // A Close frame may stand behind a full queue.
            let queued_max = self.scale.send_queue_bytes_max + 200;
            assert!(queued <= queued_max, "{name}, step {step}: {queued}");
        }
        let (used, limit) = (self.budget.used(), self.budget.limit());
        if used <= limit {
            self.turns_over = 0;
            return;
        }
        self.turns_over += 1;
        assert!(self.turns_over <= TURNS_OVER_MAX, "{name}, step {step}: {used} bytes for long");
        assert!(used <= limit + EXCESS_BYTES_MAX, "{name}, step {step}: {used} bytes");
        assert!(self.scale.budget_bytes < AMPLE.budget_bytes, "{name}, step {step}: {used} bytes");
    }

    /// Each client that has asked for a room is let in, refused or closed before long.
    fn answer_all(&mut self) {
        let until = self.network.now.at + ANSWER_TIME_MAX;
        let waits = |client: &Client| client.is_open() && client.joins_unanswered > 0;
        while self.network.clients.iter().any(waits) {
            assert!(self.network.now.at <= until, "{}: a join has no answer", self.name);
            self.let_go();
            self.turn();
        }
    }

    /// All that is on its way arrives, a job ends with a store that is there, and a moment passes.
    fn let_go(&mut self) {
        for index in 0..self.network.clients.len() {
            self.network.clients[index].stalled = false;
            let on_their_way = self.network.clients[index].outbound.len();
            self.network.carry(index, on_their_way);
        }
        self.network.is_store_away = false;
        self.network.finish_a_job();
        self.network.now.at = self.network.now.at + Duration::from_millis(20);
    }

    /// All are told to go, and do; the store answers.
    fn end(&mut self) {
        let name = self.name;
        self.network.events.push(Event::Stop);
        let mut ended = None;
        for _ in 0..20_000 {
            if ended.is_some() {
                break;
            }
            self.let_go();
            ended = self.turn();
        }
        assert_eq!(ended, Some(Ended::Cleanly), "{name}");
        assert!(self.network.clients.is_empty(), "{name}: sessions left");
        let engine = self.driver.application();
        assert!(engine.is_finished(), "{name}: {engine:?}");
        assert_eq!(self.network.logs.len() as u64, self.network.connected, "{name}");
        assert!(self.driver.sessions().is_empty());
        // Every session is gone, and every room is stored: what counts is what rooms keep.
        let kept = self.network.stored_bytes() + self.scale.rooms.len() * ROOM_BYTES_MAX;
        assert!(self.budget.used() <= kept, "{name}: {} bytes in use", self.budget.used());
    }

    /// The orders that all clients saw must be parts of one order for each room: the relation
    /// "was seen directly before" has no cycle.
    fn check_one_order(&self) {
        for room in self.scale.rooms {
            let mut after: BTreeMap<(u64, u64), BTreeSet<(u64, u64)>> = BTreeMap::new();
            for messages in self.network.logs.values().filter_map(|log| log.messages.get(*room)) {
                for pair in messages.windows(2) {
                    after.entry(pair[0]).or_default().insert(pair[1]);
                }
            }
            assert!(documents::has_one_order(&after), "{}: {room} has no one order", self.name);
        }
    }
}
