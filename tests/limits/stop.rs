//! The end, whatever the store does.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use crate::support::{Deadline, Ended, Server};

#[test]
fn a_store_that_hangs_does_not_keep_the_process_alive() {
    const GRACE: Duration = Duration::from_secs(2);
    let mut server = Server::start(&[("SHUTDOWN_GRACE_SECONDS", "2")]);
    let mut host = server.host("ROOM", "host");
    host.send_json(&json!({ "action": "sync_document", "document": "first", "id": 1 }));
    host.expect(&json!({ "type": "ack", "id": 1 }));
    // Somebody else writes, and does not come to an end: SQLite waits for its turn.
    let file = server.directory().path().join("data/sync.db");
    let other = Connection::open(file).expect("it is SQLite's");
    other.execute_batch("BEGIN EXCLUSIVE").expect("nobody else writes at present");
    host.send_json(&json!({ "action": "sync_document", "document": "second" }));
    host.expect_silence();
    let clock = Deadline::start();
    assert_eq!(server.stop(), Some(0));
    assert!(clock.passed() >= GRACE, "it was worth waiting for: {:?}", clock.passed());
    assert!(server.log().contains("the grace period is over"), "{}", server.log());
    assert!(matches!(host.read_to_end(), Ended::Closed(1001, _)), "it was told in time");
}
