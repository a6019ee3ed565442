//! Documents beyond the memory budget: the server in a control group of 100 MB, and more documents
//! than that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use sync_server::base::time::UnixMillis;
use sync_server::config::HostAuth;
use sync_server::store::sqlite::SqliteStore;
use sync_server::store::{RoomRecord, Store};

use crate::cgroup::MemoryGroup;
use crate::stage::{launch_within, pause};
use crate::support::{Deadline, Directory, Server, WebSocketClient};

/// What the whole process may have, the kernel's share in a control group included.
/// A program that is not optimised is 15 MB larger.
const LIMIT_BYTES: u64 = if cfg!(debug_assertions) { 115_000_000 } else { 100_000_000 };
/// What a page, a new room and two joins may take together. A program that is not optimised takes
/// half a second to read a large document, and they wait for several.
const SMALL_ANSWER_MAX: Duration =
    if cfg!(debug_assertions) { Duration::from_secs(20) } else { Duration::from_secs(2) };

/// The server under test. In the order of dropping: the group can be removed only without it.
struct Stage {
    server: Server,
    _group: Option<MemoryGroup>,
}

impl Stage {
    fn open(directory: Option<Arc<Directory>>, settings: &[(&str, &str)]) -> Self {
        let (server, group) = launch_within(LIMIT_BYTES, directory, settings);
        Self { server, _group: group }
    }

    /// Nothing was killed, and without a group nothing would have been.
    fn check_memory(&self) {
        let peak = self.server.peak_memory_bytes();
        assert!(peak < LIMIT_BYTES, "{peak} bytes");
        assert_eq!(self.server.get("/health/ready").status, 200);
    }

    /// What others do who need little: the page, a new room, a join.
    fn check_others(&self, number: usize) {
        let clock = Deadline::start();
        assert_eq!(self.server.get("/").status, 200);
        let code = format!("OTHER{number}");
        let mut host = self.server.host(&code, "host");
        host.send_json(&json!({ "action": "sync_document", "document": "small", "id": 1 }));
        host.expect(&json!({ "type": "ack", "id": 1 }));
        let mut guest = self.server.join(&code, "guest");
        assert_eq!(guest.expect_type("document_sync")["document"], "small");
        assert!(clock.passed() < SMALL_ANSWER_MAX, "{:?}", clock.passed());
    }
}

fn code(number: usize) -> String {
    format!("ROOM{number:04}")
}

/// The document of a room; each is another one.
fn document(number: usize, bytes: usize) -> String {
    format!("{number}:{}", "d".repeat(bytes))
}

/// A directory with so many stored rooms.
fn stored(rooms: usize, bytes: usize) -> Arc<Directory> {
    let directory = Directory::new();
    let store = SqliteStore::open(&directory.path().join("data")).expect("it is made");
    let at = UnixMillis(1_700_000_000_000);
    for number in 0..rooms {
        let room = RoomRecord {
            room_code: code(number),
            room_id: Some(format!("id-{number}")),
            host_id: Some("host".to_owned()),
            host_auth: HostAuth::PeerId,
            host_token_hash: None,
            document: Some(document(number, bytes)),
            created_at: at,
            updated_at: at,
        };
        assert_eq!(store.save_rooms(&[room]), [Ok(())]);
    }
    directory
}

/// Sends the join to a room and does not wait for an answer.
fn begin_to_join(server: &Server, number: usize) -> WebSocketClient {
    let mut client = server.connect();
    let code = code(number);
    client.send_json(&json!({ "action": "join", "room_code": code, "peer_id": "p", "id": 1 }));
    client
}

#[test]
fn a_crowd_that_comes_back_after_a_restart_gets_its_documents_and_stays() {
    const ROOMS: usize = 400;
    const BYTES: usize = 500_000;
    let stage = Stage::open(Some(stored(ROOMS, BYTES)), &[]);
    let clock = Deadline::start();
    let mut members: Vec<WebSocketClient> =
        (0..ROOMS).map(|number| begin_to_join(&stage.server, number)).collect();
    for (number, member) in members.iter_mut().enumerate() {
        member.expect_type("connected");
        member.expect_type("room_info");
        let sync = member.expect_type("document_sync");
        assert!(sync["document"] == document(number, BYTES).as_str(), "that of its room");
        member.expect(&json!({ "type": "ack", "id": 1 }));
    }
    assert!(clock.passed() < Duration::from_secs(30), "{:?}", clock.passed());
    stage.check_others(0);
    for member in &mut members {
        member.expect_silence();
    }
    // Whoever asks again is told the same.
    members[0].send_json(&json!({ "action": "request_sync", "id": 2 }));
    assert!(members[0].expect_type("document_sync")["document"] == document(0, BYTES).as_str());
    members[0].expect(&json!({ "type": "ack", "id": 2 }));
    stage.check_memory();
}

#[test]
fn a_few_small_joins_to_large_documents_kill_nothing() {
    const ROOMS: usize = 40;
    // A program that is not optimised takes long to read a document.
    const BYTES: usize = if cfg!(debug_assertions) { 1 << 20 } else { 4 << 20 };
    let stage = Stage::open(Some(stored(ROOMS, BYTES)), &[]);
    let members: Vec<WebSocketClient> =
        (0..ROOMS).map(|number| begin_to_join(&stage.server, number)).collect();
    thread::scope(|scope| {
        for (number, mut member) in members.into_iter().enumerate() {
            scope.spawn(move || {
                let sync = member.wait_for(|message| message["type"] == "document_sync");
                assert!(sync["document"] == document(number, BYTES).as_str(), "that of its room");
            });
        }
        stage.check_others(0);
        stage.check_others(1);
    });
    stage.check_memory();
}

#[test]
fn documents_from_one_address_leave_the_others_what_they_need() {
    // As above: so many are more than the budget, in a program that is not optimised less.
    const DOCUMENTS: usize = if cfg!(debug_assertions) { 20 } else { 67 };
    let budget = if cfg!(debug_assertions) { "16MiB" } else { "64MiB" };
    let settings = [("ROOM_CREATE_RATE", "0"), ("MEMORY_BUDGET_BYTES", budget)];
    let stage = Stage::open(None, &settings);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let attack = scope.spawn(|| {
            let hosts = (0..DOCUMENTS).map(|number| stage.server.host(&code(number), "host"));
            let hosts: Vec<WebSocketClient> = hosts.collect();
            for (number, mut host) in hosts.into_iter().enumerate() {
                let document = document(number, 1_000_000);
                host.send_json(&json!({
                    "action": "sync_document", "document": document, "id": 1
                }));
                host.expect(&json!({ "type": "ack", "id": 1 }));
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let mut number = 0;
        while !attack.is_finished() {
            stage.check_others(number);
            number += 1;
            pause(Duration::from_millis(100));
        }
    });
    assert!(is_over.load(Ordering::Relaxed), "each of its documents was stored");
    stage.check_others(1_000);
    // They are still there.
    for number in (0..DOCUMENTS).step_by(8) {
        let mut guest = stage.server.join(&code(number), "guest");
        let sync = guest.expect_type("document_sync");
        assert!(sync["document"] == document(number, 1_000_000).as_str());
    }
    stage.check_memory();
}
