//! The memory budget: the server in a control group of 100 MB, and one after another everything
//! that has ever made a server of this kind grow.

use std::io;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::cgroup::MemoryGroup;
use crate::stage::{LIMIT_BYTES, Stage, pause, say};
use crate::support::{Deadline, Frame, HttpClient, WebSocketClient};
use crate::tool::{self, Command};

const SETTINGS: [(&str, &str); 2] = [("MESSAGE_RATE_LIMIT", "0"), ("ROOM_CREATE_RATE", "0")];
/// Messages that the two who talk exchange at a time.
const MESSAGES: usize = 100;
/// What it may keep when everybody has gone. A program that is not optimised is 15 MB larger.
const AFTERWARDS_BYTES: u64 = if cfg!(debug_assertions) { 40_000_000 } else { 30_000_000 };

impl Stage {
    /// Does `act`, and waits until what it took is given back.
    fn phase(&mut self, what: &str, act: impl FnOnce(&mut Self)) {
        self.server.reset_peak_memory();
        let clock = Deadline::start();
        act(self);
        self.talk(MESSAGES);
        let took = clock.passed();
        let peak = self.server.peak_memory_bytes();
        assert!(peak < LIMIT_BYTES, "{what}: {peak} bytes");
        let at_once = self.server.memory_bytes();
        let clock = Deadline::start();
        while self.server.memory_bytes() > AFTERWARDS_BYTES && !clock.left().is_zero() {
            self.talk(MESSAGES);
            pause(Duration::from_millis(50));
        }
        let after = self.server.memory_bytes();
        let [peak, at_once, after] = [peak, at_once, after].map(|bytes| bytes / 1000);
        say(&format!(
            "{what}: {took:.1?}, peak {peak} kB, then {at_once} kB, {after} kB after {:.1?}",
            clock.passed()
        ));
        assert!(after * 1000 < AFTERWARDS_BYTES, "{what}: {after} kB are not given back");
    }

    /// A host and `count` members who do not read.
    fn room(&self, code: &str, count: usize) -> (WebSocketClient, Vec<WebSocketClient>) {
        let host = self.server.host(code, "host");
        let readers =
            (0..count).map(|number| self.server.join_slowly(code, &format!("p{number}"))).collect();
        (host, readers)
    }
}

/// Waits until the server has handled everything that was sent before.
fn wait_for_pong(client: &mut WebSocketClient) {
    client.send_text(r#"{"action":"ping"}"#);
    client.wait_for(|message| message["type"] == "pong");
}

/// 75 MB of messages of `bytes` bytes to thirty who read nothing.
fn flood_thirty(stage: &mut Stage, code: &str, bytes: usize) {
    const FLOOD_BYTES: usize = 75_000_000;
    const BATCH_BYTES: usize = 2_000_000;
    let (mut host, _readers) = stage.room(code, 30);
    let text = json!({ "action": "broadcast", "data": "x".repeat(bytes) }).to_string();
    let frame = Frame::new(0x81, text.as_bytes()).encode();
    let batch = frame.repeat((BATCH_BYTES / frame.len()).max(1));
    for _ in 0..FLOOD_BYTES / batch.len() {
        host.send_bytes(&batch);
        wait_for_pong(&mut host);
        stage.talk(MESSAGES);
    }
}

/// Sixty documents of 1 MB to twenty who begin to read only then.
fn sync_to_twenty(stage: &mut Stage) {
    const DOCUMENTS: usize = 60;
    let (mut host, readers) = stage.room("DOCUMENTS", 20);
    let filling = "d".repeat(1_000_000);
    for number in 0..DOCUMENTS {
        let document = format!("{number}:{filling}");
        host.send_json(&json!({ "action": "sync_document", "document": document }));
        wait_for_pong(&mut host);
    }
    for mut reader in readers {
        let newest = format!("{}:", DOCUMENTS - 1);
        reader.wait_for(|message| {
            message["document"].as_str().is_some_and(|text| text.starts_with(&newest))
        });
    }
}

/// Two hundred messages of 4 MB of which one half comes, whole or in fragments.
fn say_half(stage: &mut Stage) {
    const MESSAGE_BYTES: usize = 4_000_000;
    let _host = stage.server.host("HALF", "host");
    let mut clients: Vec<WebSocketClient> =
        (0..200).map(|number| stage.server.join("HALF", &format!("p{number}"))).collect();
    let payload = vec![b' '; MESSAGE_BYTES];
    let whole = Frame::new(0x81, &payload).encode();
    let fragment = Frame::new(0x01, &payload[..MESSAGE_BYTES / 4]).encode();
    let next = Frame::new(0x00, &payload[..MESSAGE_BYTES / 4]).encode();
    let fragments = [fragment, next].concat();
    for (number, client) in clients.iter_mut().enumerate() {
        let bytes = if number % 2 == 0 { &whole[..MESSAGE_BYTES / 2] } else { &fragments[..] };
        client.send_bytes(bytes);
    }
    stage.talk(MESSAGES);
    let evicted = stage.server.log().matches("while memory was short").count();
    say(&format!("half-sent messages: {evicted} clients were closed"));
    assert!(evicted > 0, "400 MB fit into no budget");
}

/// As many rooms as there may be.
fn make_rooms(stage: &mut Stage) {
    const ROOMS: usize = 10_000;
    const PIPELINED: usize = 100;
    let mut client = HttpClient::connect(stage.server.address());
    let request = "POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    for _ in 0..ROOMS / PIPELINED {
        client.send(request.repeat(PIPELINED));
        for _ in 0..PIPELINED {
            let response = client.response();
            assert_eq!(response.status, 201, "{}", response.text());
        }
    }
    assert_eq!(stage.server.get("/health").json()["rooms"], ROOMS);
}

/// Nine thousand who say nothing, in ten rooms, and then all vanish in one instant.
fn sit_idle(stage: &mut Stage) {
    let address = stage.server.address();
    let line = format!("idle --clients 9000 --rooms 10 --seconds 2 --url http://{address}");
    let Ok(Command::Run(options)) = tool::parse(line.split_whitespace().map(Into::into)) else {
        panic!("{line} is not among\n{}", tool::HELP);
    };
    thread::scope(|scope| {
        let crowd = scope.spawn(|| match tool::run(&options, &mut io::sink()) {
            Ok(report) => assert!(report.passed, "{}", report.text()),
            Err(problem) => panic!("{problem}"),
        });
        while !crowd.is_finished() {
            stage.talk(MESSAGES);
            pause(Duration::from_millis(50));
        }
    });
}

#[test]
fn whatever_clients_do_memory_stays_within_its_bound_and_is_given_back() {
    let mut stage = Stage::open(&SETTINGS);
    stage.phase("nothing", |_| {});
    stage.phase("thirty stalled readers, 75 MB of 1.5 kB", |stage| flood_thirty(stage, "A", 1500));
    stage.phase("thirty stalled readers, 75 MB of 1 MB", |stage| {
        flood_thirty(stage, "B", 1_000_000);
    });
    stage.phase("sixty documents to twenty stalled readers", sync_to_twenty);
    stage.phase("two hundred half-sent messages of 4 MB", say_half);
    stage.phase("ten thousand rooms", make_rooms);
    stage.phase("nine thousand idle connections", sit_idle);
    if let Some(peak) = stage.group.as_ref().and_then(MemoryGroup::peak_bytes) {
        say(&format!(
            "with the kernel's share: peak {} kB of {} kB",
            peak / 1000,
            LIMIT_BYTES / 1000
        ));
    }
    assert_eq!(stage.server.stop(), Some(0));
}
