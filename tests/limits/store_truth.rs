//! What the server says of its store while something is wrong with it, and what it promises then:
//! nothing. And what a stop, and a second server, leave of the data.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::json;

use crate::support::{Deadline, Ended, Launch, Server, WebSocketClient, finish, program};

/// For how long the state is sampled: longer than two probes of the server take.
const SAMPLED_MS: u128 = 5_000;
/// Between two samples.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(25);
/// A mended store has what waited within it. Without its probe the server would take up to 30 s.
const MENDED_MS: u128 = 15_000;
/// A second write of a file beyond its limit is an error, not the end.
const SURVIVE_FILE_LIMIT: &str = "trap '' XFSZ";
/// How a page of the file that is damaged looks.
const GARBAGE: [u8; 4_096] = [0xa5; 4_096];

/// Waits a moment, as nothing comes of its own accord.
fn pause() {
    let (_silent, pace) = mpsc::channel::<()>();
    let _timed_out = pace.recv_timeout(SAMPLE_INTERVAL);
}

fn file(server: &Server, name: &str) -> PathBuf {
    server.directory().path().join("data").join(name)
}

/// A server with a room, in which one document is stored, and the room's host.
fn stored(launch: &Launch<'_>) -> (Server, WebSocketClient) {
    let server = Server::launch(launch);
    let mut host = server.host("ROOM", "host");
    sync(&mut host, "first", 1);
    host.expect(&json!({ "type": "ack", "id": 1 }));
    assert_eq!(server.get("/health").json()["store"], "ok");
    (server, host)
}

fn sync(host: &mut WebSocketClient, document: &str, id: u32) {
    host.send_json(&json!({ "action": "sync_document", "document": document, "id": id }));
}

/// What the server says of its store in all samples, once it has noticed what `noticed` says.
fn check_degraded(server: &Server, noticed: &str) {
    server.wait_for_log(noticed);
    let clock = Deadline::start();
    let mut states = BTreeSet::new();
    while clock.passed().as_millis() < SAMPLED_MS {
        states.insert(server.get("/health").json()["store"].to_string());
        let metrics = server.get("/metrics").text();
        let up = metrics.lines().find(|line| line.starts_with("sync_server_store_up "));
        states.insert(up.expect("it is told").to_owned());
        pause();
    }
    let expected = [r#""degraded""#.to_owned(), "sync_server_store_up 0".to_owned()];
    assert_eq!(states, BTreeSet::from(expected));
    assert_eq!(server.log().matches(noticed).count(), 1, "once a minute: {}", server.log());
    assert!(!server.log().contains("answers again"), "{}", server.log());
}

/// The store is mended: what waited for it is stored soon, and the state is good again.
fn check_mended(server: &Server, host: &mut WebSocketClient, id: u32) {
    let clock = Deadline::start();
    host.expect(&json!({ "type": "ack", "id": id }));
    while server.get("/health").json()["store"] != "ok" {
        pause();
    }
    assert!(clock.passed().as_millis() < MENDED_MS, "{:?}", clock.passed());
    server.wait_for_log("the store answers again");
}

#[test]
fn a_full_disk_is_degraded_until_what_did_not_fit_is_stored() {
    let launch = Launch { before: SURVIVE_FILE_LIMIT, ..Launch::default() };
    let (server, mut host) = stored(&launch);
    let pid = Pid::from_raw(i32::try_from(server.process_id()).expect("small"));
    let limit = |bytes| {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(pid, Resource::Fsize, limit).expect("the process is ours");
    };
    // Small writes, such as that of a probe, still fit.
    limit(Some(256 << 10));
    sync(&mut host, &"x".repeat(1 << 20), 2);
    check_degraded(&server, "the store does not answer");
    // The room goes on, and nothing was acknowledged.
    host.expect_silence();
    limit(None);
    check_mended(&server, &mut host, 2);
}

#[test]
fn a_lock_held_elsewhere_is_degraded_until_it_is_given_back() {
    let (server, mut host) = stored(&Launch::default());
    let other = Connection::open(file(&server, "sync.db")).expect("it is SQLite's");
    other.execute_batch("BEGIN IMMEDIATE").expect("the server does not write");
    sync(&mut host, "second", 2);
    check_degraded(&server, "the store does not answer");
    other.execute_batch("COMMIT").expect("nothing was written");
    check_mended(&server, &mut host, 2);
}

#[test]
fn a_damaged_file_is_degraded_and_nothing_is_acknowledged() {
    let (mut server, mut host) =
        stored(&Launch { settings: &[("SHUTDOWN_GRACE_SECONDS", "1")], ..Launch::default() });
    let path = file(&server, "sync.db");
    let pages = fs::metadata(&path).expect("it is there").len() / 4_096;
    let mut database = File::options().write(true).open(&path).expect("it is ours");
    database.seek(SeekFrom::Start(4_096)).expect("it has more pages");
    for _ in 1..pages {
        database.write_all(&GARBAGE).expect("there is space");
    }
    sync(&mut host, "second", 2);
    check_degraded(&server, "sync.db is damaged");
    // The room goes on, and nothing was acknowledged.
    host.expect_silence();
    let directory = Arc::clone(server.directory());
    server.kill();
    let refused = Launch { directory: Some(directory), ..Launch::default() }.finish();
    assert_eq!(refused.code, Some(2), "{}", refused.errors);
    assert!(refused.errors.contains("sync.db is damaged"), "{}", refused.errors);
}

/// What can happen to the files, and which one is named then.
const LOSSES: [(&str, &str); 5] = [
    ("rm sync.db sync.db-wal sync.db-shm", "sync.db was removed"),
    ("mv sync.db elsewhere", "sync.db was removed"),
    ("cp sync.db backup && mv backup sync.db", "sync.db was removed"),
    ("rm sync.db-wal", "sync.db-wal was removed"),
    ("rm sync.db-shm", "sync.db-shm was removed"),
];

#[test]
fn a_file_that_is_gone_or_replaced_ends_the_acks() {
    let losses = LOSSES.map(|(what, named)| thread::spawn(move || lose(what, named)));
    for loss in losses {
        loss.join().expect("no panic");
    }
}

fn lose(what: &str, named: &str) {
    let (server, mut host) = stored(&Launch::default());
    let done = finish({
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", what]).current_dir(file(&server, ""));
        shell
    });
    assert_eq!(done.code, Some(0), "{what}: {}", done.errors);
    // It is noticed without a write as well.
    server.wait_for_log(named);
    sync(&mut host, "second", 2);
    check_degraded(&server, named);
    // The room goes on, and nothing was acknowledged.
    host.expect_silence();
    if what.starts_with("rm sync.db ") {
        assert!(!file(&server, "sync.db").exists(), "no new one is made");
    }
}

#[test]
fn a_clean_stop_leaves_one_file_each_time() {
    const STOPS: usize = 20;
    let (mut server, mut host) = stored(&Launch::default());
    for stop in 1..=STOPS {
        let document = format!("document {stop}");
        host.send_json(&json!({ "action": "sync_document", "document": document }));
        // It has been read; whether it is stored yet is as it happens.
        host.expect_silence();
        server.signal(Signal::TERM);
        assert!(matches!(host.read_to_end(), Ended::Closed(1001, _)));
        drop(host);
        assert_eq!(server.wait(), Some(0));
        for log in ["sync.db-wal", "sync.db-shm"] {
            assert!(!file(&server, log).exists(), "stop {stop}: {log}; {}", server.log());
        }
        let alone = Connection::open(file(&server, "sync.db")).expect("it is SQLite's");
        let newest: String = alone
            .query_row("SELECT document FROM rooms", [], |row| row.get(0))
            .expect("it is stored");
        assert!(newest.contains(&document), "{newest}");
        drop(alone);
        server = Server::start_in(&Arc::clone(server.directory()), &[]);
        host = server.connect();
        host.join_as_host("ROOM", "host");
        host.expect_type("document_sync");
    }
}

#[test]
fn a_second_server_for_the_same_data_is_told_which_is_the_first() {
    let (mut first, _host) = stored(&Launch::default());
    let directory = Arc::clone(first.directory());
    let second = Launch { directory: Some(Arc::clone(&directory)), ..Launch::default() };
    let refused = second.finish();
    assert_eq!(refused.code, Some(2), "{}", refused.errors);
    let named = format!("process {}, listening on http://{}", first.process_id(), first.address());
    assert!(refused.errors.contains(&named), "{}", refused.errors);
    // The operator's commands are welcome beside it.
    for arguments in [&["user", "list"][..], &["backup", "copy.db"]] {
        let mut command = std::process::Command::new(program());
        command
            .args(arguments)
            .current_dir(directory.path())
            .env_clear()
            .env("DATA_DIR", directory.path().join("data"));
        let done = finish(command);
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.errors);
    }
    // However the first one ends.
    first.kill();
    let second = Server::launch(&second);
    assert_eq!(second.get("/health").json()["store"], "ok");
}
