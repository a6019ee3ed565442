//! A server in virtual time, and clients that are nothing but the bytes they were sent.
//!
//! Time moves from deadline to deadline, as the event loop would wake up: what a session or the
//! engine does too late, or without having asked to be called, is seen.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use sync_server::api::Cors;
use sync_server::base::ids::{ConnId, JobId};
use sync_server::base::memory::MemoryBudget;
use sync_server::base::time::{Now, Timestamp, UnixMillis};
use sync_server::config::Config;
use sync_server::engine::{Engine, Job, Outcome};
use sync_server::session::{AfterFlush, Dispatch, Sessions};

/// Wake-ups between two moments that a test names. A deadline that is never met would spin.
const WAKE_UPS_MAX: usize = 10_000;

/// What one read brings at most.
const READ_BYTES_MAX: usize = 64 * 1024;

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// One connection as its client sees it.
#[derive(Debug)]
pub(crate) struct Client {
    conn: ConnId,
    /// What has come and was not taken yet.
    inbound: Vec<u8>,
    /// It reads nothing.
    pub(crate) is_stalled: bool,
    /// When the server shut its half.
    pub(crate) shut_at: Option<Timestamp>,
    /// When its socket was closed.
    pub(crate) gone_at: Option<Timestamp>,
}

/// The server, its clients, and the time.
pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) sessions: Sessions,
    pub(crate) engine: Engine,
    pub(crate) clients: Vec<Client>,
    /// Jobs that were started and have not ended.
    pub(crate) jobs: Vec<(JobId, Job)>,
    /// The most that counted against the memory budget since this was set to 0, in bytes.
    peak: usize,
}

impl World {
    /// A server with the settings of `config`; time is [`start`].
    pub(crate) fn new(config: Config) -> Self {
        let config = Arc::new(config);
        let budget = MemoryBudget::new(config.limits.memory_budget_bytes);
        let mut drawn = 0_u8;
        let entropy = move |bytes: &mut [u8]| {
            for byte in bytes {
                drawn = drawn.wrapping_add(1);
                *byte = drawn;
            }
        };
        let engine = Engine::new(Arc::clone(&config), budget.clone(), Box::new(entropy), true);
        let mut sessions = Sessions::new(&config, budget);
        sessions.set_extra_fields(Cors::new(config.allowed_origins.clone()));
        let mut world = Self {
            now: Now { at: start(), unix: UnixMillis(1_700_000_000_000) },
            sessions,
            engine,
            clients: Vec::new(),
            jobs: Vec::new(),
            peak: 0,
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
        let conn = self.sessions.accept(address.into(), self.now).expect("there is room");
        let client =
            Client { conn, inbound: Vec::new(), is_stalled: false, shut_at: None, gone_at: None };
        self.clients.push(client);
        self.turn();
        self.clients.len() - 1
    }

    /// A new connection that speaks WebSocket; its number.
    pub(crate) fn upgrade(&mut self) -> usize {
        let client = self.connect();
        self.send(client, UPGRADE);
        let answer = self.take_text(client);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        client
    }

    /// A new connection in the room `code`, which exists; its number.
    pub(crate) fn join(&mut self, code: &str) -> usize {
        let client = self.upgrade();
        let join = format!(r#"{{"action":"join","room_code":"{code}","peer_id":"p{client}"}}"#);
        self.say(client, &join);
        let answer = self.take_text(client);
        assert!(answer.contains("connected"), "{answer}");
        client
    }

    /// The settings become those of `config`, as far as they can.
    pub(crate) fn reload(&mut self, config: Config) {
        self.engine.reconfigure(&mut self.sessions, config);
        self.turn();
    }

    /// Bytes come from a client.
    pub(crate) fn send(&mut self, client: usize, bytes: impl AsRef<[u8]>) {
        let conn = self.clients[client].conn;
        self.sessions.receive(conn, bytes.as_ref(), self.now, &mut self.engine);
        self.turn();
    }

    /// A short text message comes from a client.
    pub(crate) fn say(&mut self, client: usize, text: &str) {
        self.send(client, text_frame(text));
    }

    /// Bytes come from a client, as much at once as one read brings.
    pub(crate) fn send_in_pieces(&mut self, client: usize, bytes: &[u8]) {
        for piece in bytes.chunks(READ_BYTES_MAX) {
            self.send(client, piece);
        }
    }

    /// The same `bytes`, not more than one read brings, come from all of `clients` in one instant.
    /// What the most was that counted against the memory budget.
    pub(crate) fn send_at_once(&mut self, clients: &[usize], bytes: &[u8]) -> usize {
        assert!(bytes.len() <= READ_BYTES_MAX);
        self.peak = 0;
        let mut readable = clients.iter();
        while readable.len() > 0 {
            self.begin_turn();
            while !self.sessions.is_sated()
                && let Some(client) = readable.next()
            {
                let conn = self.clients[*client].conn;
                self.sessions.receive(conn, bytes, self.now, &mut self.engine);
            }
            self.go_on();
        }
        self.finish_turns()
    }

    /// The connections of all `clients` break in one instant. What the most was that counted
    /// against the memory budget.
    pub(crate) fn lose_at_once(&mut self, clients: &[usize]) -> usize {
        self.peak = 0;
        for client in clients {
            self.sessions.lost(self.clients[*client].conn, "simulated");
        }
        self.finish_turns()
    }

    /// The connection of a client breaks.
    pub(crate) fn lose(&mut self, client: usize) {
        self.lose_at_once(&[client]);
    }

    /// Whether a client's WebSocket is open.
    pub(crate) fn is_open(&self, client: usize) -> bool {
        self.sessions.is_open_websocket(self.clients[client].conn)
    }

    /// What a client has been sent since the last time.
    pub(crate) fn take(&mut self, client: usize) -> Vec<u8> {
        std::mem::take(&mut self.clients[client].inbound)
    }

    /// The same as text; bytes that are none stand there as U+FFFD.
    pub(crate) fn take_text(&mut self, client: usize) -> String {
        String::from_utf8_lossy(&self.take(client)).into_owned()
    }

    /// The client shuts its half.
    pub(crate) fn finish(&mut self, client: usize) {
        let conn = self.clients[client].conn;
        self.sessions.receive_end(conn);
        self.turn();
    }

    /// A client that read nothing reads again.
    pub(crate) fn read_again(&mut self, client: usize) {
        self.clients[client].is_stalled = false;
        self.sessions.unblocked(self.clients[client].conn);
        self.turn();
    }

    /// The socket of a client that reads nothing takes `bytes` bytes after all.
    pub(crate) fn take_in(&mut self, client: usize, bytes: usize) {
        self.sessions.wrote(self.clients[client].conn, bytes);
        self.sessions.blocked(self.clients[client].conn, self.now);
        self.turn();
    }

    /// Ends the job at `index` with `outcome`.
    pub(crate) fn end_job(&mut self, index: usize, outcome: Outcome) {
        let (id, _) = self.jobs.remove(index);
        self.engine.job_done(&mut self.sessions, id, outcome, self.now);
        self.turn();
    }

    /// The store answers that it is there, as often as it is asked.
    pub(crate) fn answer_probes(&mut self) {
        while let Some(index) =
            self.jobs.iter().position(|(_, job)| matches!(job, Job::Probe { .. }))
        {
            self.end_job(index, Outcome::Probed(Ok(())));
        }
    }

    /// Everything that is due until `at` happens, each at its time.
    pub(crate) fn pass_until(&mut self, at: Timestamp) {
        for _ in 0..WAKE_UPS_MAX {
            let due = [self.sessions.poll_timeout(), self.engine.poll_timeout()];
            let next = due.into_iter().flatten().min().map_or(at, |next| next.min(at));
            if next > self.now.at {
                let passed = next.since(self.now.at).as_millis();
                self.now.unix.0 += i64::try_from(passed).expect("tests take no ages");
                self.now.at = next;
            }
            self.turn();
            if next == at {
                return;
            }
        }
        panic!("a deadline at {:?} is never met", self.now.at);
    }

    /// Turns until nothing is left over; what the most was that counted against the budget.
    fn finish_turns(&mut self) -> usize {
        self.turn();
        for _ in 0..WAKE_UPS_MAX {
            if !self.sessions.has_leftovers() {
                return self.peak;
            }
            self.turn();
        }
        panic!("something is always left over");
    }

    fn turn(&mut self) {
        self.begin_turn();
        self.go_on();
    }

    fn begin_turn(&mut self) {
        self.sessions.begin_turn();
        while self.sessions.next_resumed(self.now, &mut self.engine).is_some() {}
    }

    /// What the event loop does in each turn when it has read.
    fn go_on(&mut self) {
        self.note_peak();
        self.sessions.handle_timeouts(self.now, &mut self.engine);
        self.engine.handle_timeout(&mut self.sessions, self.now);
        while self.sessions.next_resumed(self.now, &mut self.engine).is_some() {}
        while let Some(job) = self.engine.next_job(self.now) {
            self.jobs.push(job);
        }
        self.note_peak();
        self.flush();
        let mut finished = Vec::new();
        self.sessions.take_finished(&mut finished, self.now, &mut self.engine);
        for conn in finished {
            self.sessions.remove(conn);
            let gone = self.clients.iter_mut().find(|client| client.conn == conn);
            gone.expect("it was accepted here").gone_at = Some(self.now.at);
        }
        self.note_peak();
        self.flush();
    }

    fn note_peak(&mut self) {
        self.peak = self.peak.max(self.sessions.budget().used());
    }

    fn flush(&mut self) {
        let mut due = Vec::new();
        self.sessions.take_due(&mut due, self.now);
        for conn in due {
            let client = self.clients.iter().position(|client| client.conn == conn);
            self.flush_one(client.expect("it was accepted here"));
        }
    }

    fn flush_one(&mut self, client: usize) {
        let client = &mut self.clients[client];
        while self.sessions.has_unsent(client.conn) {
            if client.is_stalled {
                self.sessions.blocked(client.conn, self.now);
                break;
            }
            let mut slices = [IoSlice::new(&[]); 64];
            let count = self.sessions.slices(client.conn, &mut slices);
            let before = client.inbound.len();
            slices[..count].iter().for_each(|slice| client.inbound.extend_from_slice(slice));
            self.sessions.wrote(client.conn, client.inbound.len() - before);
        }
        if self.sessions.flushed(client.conn, self.now) == AfterFlush::ShutdownWrite {
            client.shut_at = Some(self.now.at);
        }
    }
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
