//! Big documents, and readers that do not keep up with them.

use serde_json::{Value, json};

use crate::support::{Ended, Server};

/// A document that fits no socket buffer.
const BIG_BYTES: usize = 3 << 20;

/// Text of `bytes` bytes that is not the same everywhere.
fn text(bytes: usize) -> String {
    let words = (0..).flat_map(|number: u32| format!("{number} ").into_bytes());
    String::from_utf8(words.take(bytes).collect()).expect("digits and spaces")
}

#[test]
fn a_big_document_reaches_all_readers_and_later_joiners() {
    let server = Server::start(&[]);
    let mut host = server.host("room", "host");
    let mut readers = ["a", "b", "c"].map(|peer| server.join("room", peer));
    let document = text(BIG_BYTES);
    host.send_json(&json!({ "action": "sync_document", "document": document }));
    let expected = json!({ "type": "document_sync", "document": document });
    for reader in &mut readers {
        let got = reader.wait_for(|message| message["type"] == "document_sync");
        assert!(got == expected, "the document came through whole");
    }
    let mut late = server.join("room", "late");
    assert!(late.next_json() == expected, "a joiner gets it as well");
}

#[test]
fn a_slow_reader_is_closed_with_1013_and_delays_nobody() {
    /// More than the kernel's buffers between two sockets ever hold, in messages.
    const MESSAGES_MAX: usize = 1000;
    let server = Server::start(&[
        ("MAX_MESSAGE_BYTES", "512KiB"),
        ("SEND_QUEUE_BYTES", "1MiB"),
        ("MESSAGE_RATE_LIMIT", "0"),
    ]);
    let mut writer = server.host("room", "writer");
    let mut reader = server.join("room", "reader");
    let mut slow = server.join_slowly("room", "slow");
    reader.expect_type("peer_joined");

    let data = text(64 * 1024);
    let mut sent = 0;
    let is_gone = (0..MESSAGES_MAX).any(|number| {
        writer.broadcast(json!([number, data]));
        sent = number + 1;
        let message = reader.next_json();
        if message["type"] == "peer_left" {
            assert_eq!(message["peer_id"], "slow");
            return true;
        }
        assert_eq!(message["data"][0], number, "nothing is lost or out of order");
        false
    });
    assert!(is_gone, "the slow reader was never closed");
    let last = reader.wait_for(|message| message["type"] == "data");
    assert_eq!(last["data"][0], sent - 1, "the others go on");

    match slow.read_to_end() {
        Ended::Closed(code, reason) => assert_eq!(code, 1013, "{reason}"),
        Ended::Cut => panic!("a slow reader that reads again is told why it was closed"),
    }
}

#[test]
fn a_slow_reader_gets_the_newest_document_and_is_not_closed() {
    const REVISIONS: usize = 100;
    let server = Server::start(&[
        ("MAX_MESSAGE_BYTES", "1MiB"),
        ("SEND_QUEUE_BYTES", "2MiB"),
        ("MESSAGE_RATE_LIMIT", "0"),
    ]);
    let mut host = server.host("room", "host");
    let mut slow = server.join_slowly("room", "slow");
    host.expect_type("peer_joined");
    let filling = text(512 * 1024);
    for revision in 0..REVISIONS {
        let document = format!("{revision}:{filling}");
        host.send_json(&json!({ "action": "sync_document", "document": document }));
        host.expect_silence();
    }
    let mut revisions = Vec::new();
    while revisions.last() != Some(&(REVISIONS - 1)) {
        let message = slow.expect_type("document_sync");
        revisions.push(revision_of(&message));
    }
    assert!(revisions.is_sorted(), "in order: {revisions:?}");
    assert!(revisions.len() < REVISIONS / 2, "old ones were replaced: {revisions:?}");
    slow.expect_silence();
}

fn revision_of(message: &Value) -> usize {
    let document = message["document"].as_str().expect("a string");
    let (revision, _) = document.split_once(':').expect("as it was sent");
    revision.parse().expect("a number")
}
