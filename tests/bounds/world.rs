//! A server in virtual time, and clients that are nothing but the bytes they were sent.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use sync_server::api::Cors;
use sync_server::base::entropy::Entropy;
use sync_server::base::memory::MemoryBudget;
use sync_server::base::time::{Now, Timestamp, UnixMillis};
use sync_server::config::{Config, SyncWriters};
use sync_server::engine::{Engine, Job, Outcome, RemoteEvent};
use sync_server::session::{Dispatch, Driver, Ended, Sessions};

use crate::network::{Event, Network};

/// Turns between two moments that a test names. A deadline that is never met would spin.
const TURNS_MAX: usize = 10_000;

/// What one read brings at most.
const READ_BYTES_MAX: usize = 64 * 1024;

/// How long the server lets frames wait for others.
const PATIENCE: Duration = Duration::from_millis(20);

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The server, its clients, and the time.
pub(crate) struct World {
    driver: Driver<Engine>,
    pub(crate) network: Network,
    /// How the server has ended, if it has.
    pub(crate) ended: Option<Ended>,
}

impl World {
    /// A server with the settings of `config`; time is [`start`].
    pub(crate) fn new(config: Config) -> Self {
        let config = Arc::new(config);
        let budget = MemoryBudget::new(config.limits.memory_budget_bytes);
        let drawn = AtomicU8::new(1);
        let entropy = Entropy::new(move |bytes| {
            bytes.fill_with(|| drawn.fetch_add(1, Ordering::Relaxed));
        });
        let engine = Engine::new(Arc::clone(&config), budget.clone(), entropy, true);
        let now = Now { at: start(), unix: UnixMillis(1_700_000_000_000) };
        let mut sessions = Sessions::new(&config, budget.clone());
        sessions.set_extra_fields(Cors::new(config.allowed_origins.clone()));
        let mut world = Self {
            driver: Driver::new(sessions, engine),
            network: Network::new(now, budget),
            ended: None,
        };
        world.turn();
        world.answer_probes();
        world
    }

    /// A new connection; its number.
    pub(crate) fn connect(&mut self) -> usize {
        self.connect_from(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// A new connection from `address`; its number.
    pub(crate) fn connect_from(&mut self, address: IpAddr) -> usize {
        let client = self.network.connect(address.into());
        self.turn();
        client
    }

    /// A new connection that speaks WebSocket; its number.
    pub(crate) fn upgrade(&mut self) -> usize {
        self.upgrade_from(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// The same from `address`.
    pub(crate) fn upgrade_from(&mut self, address: IpAddr) -> usize {
        let client = self.connect_from(address);
        self.send(client, UPGRADE);
        let answer = self.take_text(client);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        client
    }

    /// A new connection in the room `code`, which exists; its number.
    pub(crate) fn join(&mut self, code: &str) -> usize {
        self.join_from(IpAddr::V4(Ipv4Addr::LOCALHOST), code)
    }

    /// The same from `address`.
    pub(crate) fn join_from(&mut self, address: IpAddr, code: &str) -> usize {
        let client = self.upgrade_from(address);
        let join = format!(r#"{{"action":"join","room_code":"{code}","peer_id":"p{client}"}}"#);
        self.say(client, &join);
        let answer = self.take_text(client);
        assert!(answer.contains("connected"), "{answer}");
        client
    }

    /// The settings become those of `config`, as far as they can.
    pub(crate) fn reload(&mut self, config: &Config) {
        let (engine, sessions) = self.driver.parts_mut();
        engine.reconfigure(sessions, config);
        self.turn();
    }

    /// The server is asked to stop.
    pub(crate) fn stop(&mut self) {
        self.happen(Event::Stop);
    }

    /// Another server tells what has happened in a room.
    pub(crate) fn hear(&mut self, remote: RemoteEvent) {
        let now = self.network.now;
        self.driver.deliver(remote, now);
        self.turn();
    }

    /// Bytes come from a client.
    pub(crate) fn send(&mut self, client: usize, bytes: impl AsRef<[u8]>) {
        self.network.send(client, bytes.as_ref());
        self.turn();
    }

    /// A short text message comes from a client.
    pub(crate) fn say(&mut self, client: usize, text: &str) {
        self.send(client, text_frame(text));
    }

    /// The same `bytes`, not more than one read brings, come from all of `clients` in one instant.
    /// How much more counted against the memory budget at most.
    pub(crate) fn send_at_once(&mut self, clients: &[usize], bytes: &[u8]) -> usize {
        assert!(bytes.len() <= READ_BYTES_MAX);
        self.network.peak = 0;
        let before = self.used_bytes();
        for client in clients {
            self.network.send(*client, bytes);
        }
        self.turn();
        self.network.peak.saturating_sub(before)
    }

    /// The connections of all `clients` break in one instant. How much more
    /// counted against the memory budget at most.
    pub(crate) fn lose_at_once(&mut self, clients: &[usize]) -> usize {
        self.network.peak = 0;
        let before = self.used_bytes();
        for client in clients {
            self.network.happen(Event::Breaks(*client));
        }
        self.turn();
        self.network.peak.saturating_sub(before)
    }

    /// The connection of a client breaks.
    pub(crate) fn lose(&mut self, client: usize) {
        self.lose_at_once(&[client]);
    }

    /// Whether a client's WebSocket is open.
    pub(crate) fn is_open(&self, client: usize) -> bool {
        let conn = self.network.clients[client].conn;
        conn.is_some_and(|conn| self.driver.sessions().is_open_websocket(conn))
    }

    /// What counts against the memory budget, in bytes.
    pub(crate) fn used_bytes(&self) -> usize {
        self.driver.sessions().budget().used()
    }

    /// Whether all that a stop began has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.driver.application().is_finished()
    }

    /// What a client has been sent since the last time.
    pub(crate) fn take(&mut self, client: usize) -> Vec<u8> {
        std::mem::take(&mut self.network.clients[client].inbound)
    }

    /// The same as text; bytes that are none stand there as U+FFFD.
    pub(crate) fn take_text(&mut self, client: usize) -> String {
        String::from_utf8_lossy(&self.take(client)).into_owned()
    }

    /// The client shuts its half.
    pub(crate) fn finish(&mut self, client: usize) {
        self.happen(Event::Finishes(client));
    }

    /// A client that read nothing reads again.
    pub(crate) fn read_again(&mut self, client: usize) {
        self.network.clients[client].is_stalled = false;
        self.happen(Event::Reads(client));
    }

    /// The socket of a client that reads nothing takes `bytes` bytes after all.
    pub(crate) fn take_in(&mut self, client: usize, bytes: usize) {
        self.network.clients[client].room = bytes;
        self.happen(Event::Reads(client));
    }

    /// Ends the job at `index` with `outcome`.
    pub(crate) fn end_job(&mut self, index: usize, outcome: Outcome) {
        self.network.end_job(index, outcome);
        self.turn();
    }

    /// The store answers that it is there, as often as it is asked.
    pub(crate) fn answer_probes(&mut self) {
        let answer = |(_, job): &(_, Job)| match job {
            Job::Probe { .. } => Some(Outcome::Probed(Ok(()))),
            Job::InspectStore => Some(Outcome::InspectedStore(Ok(()))),
            _ => None,
        };
        while let Some((index, outcome)) = self
            .network
            .jobs
            .iter()
            .enumerate()
            .find_map(|(index, job)| Some((index, answer(job)?)))
        {
            self.end_job(index, outcome);
        }
    }

    /// Everything that is due until `at` happens, each at its time.
    pub(crate) fn pass_until(&mut self, at: Timestamp) {
        self.network.until = at;
        self.turn();
    }

    fn happen(&mut self, event: Event) {
        self.network.happen(event);
        self.turn();
    }

    /// One turn, whatever is left to do.
    pub(crate) fn turn_once(&mut self) {
        let Ok(ended) = self.driver.turn(&mut self.network);
        self.ended = ended;
    }

    /// Turns until nothing is left to do at this time.
    fn turn(&mut self) {
        for _ in 0..TURNS_MAX {
            if self.ended.is_some() {
                return;
            }
            let Ok(ended) = self.driver.turn(&mut self.network);
            self.ended = ended;
            if let Some(timeout) = self.network.idle {
                if timeout > PATIENCE {
                    self.check_sent();
                }
                return;
            }
        }
        panic!("a deadline at {:?} is never met", self.network.now.at);
    }

    /// A server that waits longer than frames may wait for others has sent all that there is to
    /// send.
    fn check_sent(&self) {
        for client in self.network.clients.iter().filter(|client| !client.is_stalled) {
            let unsent = client.conn.map_or(0, |conn| self.driver.sessions().unsent_bytes(conn));
            assert_eq!(unsent, 0, "nobody waits to send it: {client:?}");
        }
    }
}

/// A server that makes every room that is joined, lets everybody write, stores nothing, and counts
/// no messages.
pub(crate) fn open_config() -> Config {
    let mut config = Config {
        room_auto_create: true,
        room_store: false,
        sync_writers: SyncWriters::Any,
        ..Config::default()
    };
    config.limits.message_rate_max = 0;
    config
}

/// When every test begins.
pub(crate) fn start() -> Timestamp {
    Timestamp::from_secs(1_000)
}

/// So many seconds later.
pub(crate) fn after(seconds: u64) -> Timestamp {
    start() + Duration::from_secs(seconds)
}

/// So many milliseconds later.
pub(crate) fn after_ms(ms: u64) -> Timestamp {
    start() + Duration::from_millis(ms)
}

/// A client's text frame.
pub(crate) fn text_frame(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// A client's frame that begins with the byte `first`. The mask is four zeros, which leave the
/// payload as it is.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    if let Ok(length @ 0..126) = u8::try_from(payload.len()) {
        frame.push(0x80 + length);
    } else if let Ok(length) = u16::try_from(payload.len()) {
        frame.push(0x80 + 126);
        frame.extend(length.to_be_bytes());
    } else {
        frame.push(0x80 + 127);
        frame.extend((payload.len() as u64).to_be_bytes());
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// The code of the Close frame that `bytes` end with.
pub(crate) fn close_code(bytes: &[u8]) -> Option<u16> {
    let at = bytes.iter().rposition(|byte| *byte == 0x88)?;
    let code = bytes.get(at + 2..at + 4)?;
    Some(u16::from_be_bytes([code[0], code[1]]))
}
