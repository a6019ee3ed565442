//! As many connections as there may be, in a control group of 100 MB in which the kernel's memory
//! for their sockets counts: idle, not reading, and with half a message each.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::cgroup::MemoryGroup;
use crate::stage::{LIMIT_BYTES, Stage, pause, say};
use crate::support::{Deadline, Frame, Server, WebSocketClient};

const SETTINGS: [(&str, &str); 3] =
    [("MESSAGE_RATE_LIMIT", "0"), ("ROOM_CREATE_RATE", "0"), ("ROOM_AUTO_CREATE", "true")];
/// Messages that the two who talk exchange at a time.
const MESSAGES: usize = 20;
/// `MAX_CONNECTIONS` unless it is set.
const CONNECTIONS: usize = 10_000;
/// What so many that lie idle may make it have. A program that is not optimised is larger.
const IDLE_PEAK_BYTES: u64 = if cfg!(debug_assertions) { 72_000_000 } else { 62_000_000 };
/// Two who talk, and speakers, beside the crowd.
const WITNESSES: usize = 20;
/// Connections that are set up at the same time.
const BATCH: usize = 250;
/// Rooms of those who lie idle: few in each, or setting them up takes long.
const IDLE_ROOMS: usize = 1_000;
/// Rooms, and those in each of them who read nothing.
const ROOMS: usize = 10;
const STALLED_PER_ROOM: usize = 100;
/// A receive buffer that little is sent ahead to.
const STALLED_RECEIVE_BYTES: usize = 4096;

/// One of the crowd: a socket, and nothing that would have to be counted beside it.
struct Person(TcpStream);

impl Person {
    /// Connects and says `first` without waiting for the answer.
    fn come(server: &Server, receive_bytes: Option<usize>, first: &[u8]) -> Self {
        let address = server.address();
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("one");
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes).expect("any size is taken");
        }
        socket.connect(&address.into()).expect("the server accepts connections");
        let mut stream = TcpStream::from(socket);
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let upgrade = format!(
            "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        );
        stream.write_all(&[upgrade.as_bytes(), first].concat()).expect("the server reads");
        Self(stream)
    }

    /// Reads until `part` has come.
    fn hear(&mut self, part: &str) {
        let (mut heard, mut scratch) = (Vec::new(), [0; 4096]);
        self.0.set_read_timeout(Some(crate::support::DEADLINE)).expect("not zero");
        while !heard.windows(part.len()).any(|window| window == part.as_bytes()) {
            let count = self.0.read(&mut scratch).expect("an answer comes");
            assert!(count > 0, "the connection ends: {}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&scratch[..count]);
        }
    }

    /// Whether the server has left the connection open.
    fn is_connected(&self) -> bool {
        let mut scratch = [0; 4096];
        self.0.set_nonblocking(true).expect("it can be asked");
        loop {
            match (&self.0).read(&mut scratch) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }
}

impl Stage {
    /// `count` people, in batches; each says `first(number)`, and hears `part`.
    fn crowd(
        &self,
        count: usize,
        receive_bytes: Option<usize>,
        first: impl Fn(usize) -> Vec<u8>,
        part: &str,
    ) -> Vec<Person> {
        let mut people = Vec::with_capacity(count);
        while people.len() < count {
            let from = people.len();
            let to = count.min(from + BATCH);
            people.extend(
                (from..to).map(|number| Person::come(&self.server, receive_bytes, &first(number))),
            );
            people[from..].iter_mut().for_each(|person| person.hear(part));
        }
        people
    }

    /// A password is still looked at.
    fn log_in(&self) {
        let body = r#"{"email":"a@example.org","password":"a wrong password"}"#;
        let headers = [("Content-Type", "application/json")];
        let clock = Deadline::start();
        let answer = self.server.http("POST", "/api/auth/login", &headers, body);
        say(&format!("a login took {:.1?}", clock.passed()));
        assert_eq!(answer.status, 401, "{}", answer.text());
    }

    /// The most that the server had so far, in bytes.
    fn peak_bytes(&self) -> u64 {
        let peak = self.group.as_ref().and_then(MemoryGroup::peak_bytes);
        peak.unwrap_or_else(|| self.server.peak_memory_bytes())
    }

    fn check_peak(&self, what: &str, bytes_max: u64) {
        let peak = self.peak_bytes();
        let resident = self.server.memory_bytes();
        say(&format!("{what}: peak {} kB, resident {} kB", peak / 1000, resident / 1000));
        assert!(peak <= bytes_max, "{what}: {peak} bytes");
        if let Some(group) = &self.group {
            group.reset_peak();
        }
    }

    /// Waits until the server has noticed that all but `count` are gone.
    fn wait_until_left(&mut self, count: usize) {
        let clock = Deadline::start();
        while self.server.get("/health").json()["connections"].as_u64() > Some(count as u64) {
            assert!(!clock.left().is_zero(), "the crowd does not go");
            self.talk(MESSAGES);
            pause(Duration::from_millis(20));
        }
    }
}

fn join(room: &str, peer: &str) -> Vec<u8> {
    let text = json!({ "action": "join", "room_code": room, "peer_id": peer }).to_string();
    Frame::new(0x81, text.as_bytes()).encode()
}

/// As many connections as may be opened here, of those that the server takes.
fn connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("up to the hard limit");
    let files = usize::try_from(limit.maximum.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    CONNECTIONS.min(files.saturating_sub(200))
}

/// A thousand read nothing while more is said in their rooms than the budget can hold.
fn flood(stage: &mut Stage) {
    const BYTES: usize = 20_000;
    const MESSAGES: usize = 400;
    const BATCH: usize = 20;
    let text = json!({ "action": "broadcast", "data": "x".repeat(BYTES) }).to_string();
    let batch = Frame::new(0x81, text.as_bytes()).encode().repeat(BATCH);
    let mut speakers: Vec<WebSocketClient> =
        (0..ROOMS).map(|room| stage.server.join(&format!("CROWD{room}"), "speaker")).collect();
    for _ in 0..MESSAGES / BATCH {
        for speaker in &mut speakers {
            speaker.send_bytes(&batch);
            speaker.send_text(r#"{"action":"ping"}"#);
            speaker.wait_for(|message| message["type"] == "pong");
        }
        stage.talk(MESSAGES);
    }
}

#[test]
fn a_crowd_fits_beside_a_full_budget() {
    let mut stage = Stage::open(&SETTINGS);
    let count = connections() - WITNESSES;
    let clock = Deadline::start();
    let stalled = stage.crowd(
        ROOMS * STALLED_PER_ROOM,
        Some(STALLED_RECEIVE_BYTES),
        |number| join(&format!("CROWD{}", number % ROOMS), &format!("p{number}")),
        "connected",
    );
    let idle = stage.crowd(
        count - stalled.len(),
        None,
        |number| join(&format!("IDLE{}", number % IDLE_ROOMS), &format!("p{number}")),
        "connected",
    );
    stage.talk(MESSAGES);
    say(&format!("{count} connections after {:.1?}", clock.passed()));
    stage.check_peak("idle", IDLE_PEAK_BYTES);

    flood(&mut stage);
    stage.log_in();
    stage.talk(MESSAGES);
    say(&format!("a thousand did not read, {:.1?}", clock.passed()));
    stage.check_peak("a thousand who do not read", LIMIT_BYTES);
    let evicted = stage.server.log().matches("while memory was short").count();
    say(&format!("{evicted} were closed"));
    assert!(evicted > 0, "80 MB fit into no budget");
    let lost = idle.iter().filter(|person| !person.is_connected()).count();
    assert_eq!(lost, 0, "bystanders were closed");

    drop((stalled, idle));
    stage.wait_until_left(WITNESSES);
    stage.check_peak("all of them gone", LIMIT_BYTES);
    half_messages(&mut stage);
    say(&format!("half messages, {:.1?}", clock.passed()));
    stage.check_peak("half messages", LIMIT_BYTES);
    assert_eq!(stage.server.stop(), Some(0));
}

/// 7,500 who never join, each with half of the longest first message.
fn half_messages(stage: &mut Stage) {
    const STRANGERS: usize = 7_500;
    const MESSAGE_BYTES: usize = 16_000;
    const TALK_AFTER: usize = 1_000;
    let message = Frame::new(0x81, &[b' '; MESSAGE_BYTES]).encode();
    let half = message[..MESSAGE_BYTES / 2].to_vec();
    let mut strangers = Vec::with_capacity(STRANGERS);
    for number in 0..STRANGERS {
        strangers.push(Person::come(&stage.server, None, &half));
        if number % TALK_AFTER == 0 {
            stage.talk(MESSAGES);
        }
    }
    stage.log_in();
    stage.talk(MESSAGES);
}
