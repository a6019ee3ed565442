//! `sync-server watch`: somebody looks at a room.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};

use crate::support::{DEADLINE, Server, program, run};

/// A process that watches, and what it prints.
struct Watcher {
    process: Child,
    lines: Receiver<String>,
}

impl Watcher {
    fn start(server: &Server, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut process = Command::new(program())
            .args(["watch", "ROOM", &format!("http://{}", server.address())])
            .args(arguments)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = process.stdout.take().expect("it is piped");
        Self { process, lines: lines_of(output) }
    }

    /// The next line.
    #[track_caller]
    fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line")
    }

    /// The next line, without the time of day.
    #[track_caller]
    fn event(&self) -> String {
        let line = self.line();
        let (clock, event) = line.split_once(' ').expect("time and event");
        assert!(clock.len() == 8 && clock.split(':').all(|part| part.len() == 2), "{line}");
        event.to_owned()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.process.kill();
        self.process.wait().expect("it is our child");
    }
}

fn lines_of(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

#[test]
fn whoever_watches_sees_everything_and_is_a_guest() {
    let mut server = Server::start(&[]);
    let mut ann = server.host("ROOM", "ann");
    let watcher = Watcher::start(&server, &[], &[]);
    let joined = ann.expect_type("peer_joined");
    let own = joined["peer"]["id"].as_str().expect("an id").to_owned();
    assert!(own.starts_with("watch-"), "{own}");
    assert_eq!(joined["peer"]["is_host"], false);
    assert_eq!(watcher.event(), format!("in ROOM as {own}"));
    assert_eq!(watcher.event(), format!("2 here, host ann: ann (host), {own}"));

    ann.broadcast(json!({ "text": "สวัสดี" }));
    assert_eq!(watcher.event(), "ann: {\"text\":\"สวัสดี\"} (65 bytes)");
    ann.send_json(&json!({ "action": "sync_document", "document": "กขค" }));
    assert_eq!(watcher.event(), "document: 3 characters (47 bytes)");
    let bob = server.join("ROOM", "bob");
    assert_eq!(watcher.event(), "+ bob null");
    drop(bob);
    assert_eq!(watcher.event(), "- bob");
    assert_eq!(server.stop(), Some(0));
    let mut watcher = watcher;
    let status = watcher.process.wait().expect("it ends with the server");
    assert_eq!(status.code(), Some(2));
}

#[test]
fn as_json_messages_are_what_came() {
    let server = Server::start(&[]);
    let mut ann = server.host("ROOM", "ann");
    let watcher = Watcher::start(&server, &["--json"], &[]);
    ann.expect_type("peer_joined");
    ann.send_text("{\"action\":\"broadcast\",\"data\":{\n\"a\" :\t1.50 }}");
    let mut kinds = Vec::new();
    loop {
        let line = watcher.line();
        let message: Value = serde_json::from_str(&line).expect("JSON on one line");
        kinds.push(message["type"].as_str().expect("a type").to_owned());
        if message["type"] == "data" {
            assert!(line.ends_with("\"data\":{ \"a\" : 1.50 }}"), "{line}");
            break;
        }
    }
    assert_eq!(kinds, ["connected", "room_info", "data"]);
}

#[test]
fn what_cannot_be_watched_is_one_line() {
    let server = Server::start(&[]);
    let url = format!("http://{}", server.address());
    let exited = run(&["watch", "NOROOM", &url], &[]);
    assert_eq!(exited.code, Some(2));
    let expected = format!("sync-server: {} refuses: Room not found\n", server.address());
    assert_eq!(exited.errors, expected);

    let exited = run(&["watch", "ROOM"], &[("PORT", "0")]);
    assert_eq!(exited.code, Some(2));
    assert!(exited.errors.starts_with("sync-server: PORT=0 lets the system"), "{}", exited.errors);

    let exited = run(&["watch", "ROOM", "http://127.0.0.1:1"], &[]);
    assert_eq!((exited.code, exited.errors.lines().count()), (Some(2), 1), "{}", exited.errors);

    let locked = Server::start(&[("REQUIRE_AUTH", "true")]);
    let exited = run(&["watch", "ROOM", &format!("http://{}", locked.address())], &[]);
    assert!(exited.errors.contains(" refuses: 401 "), "{}", exited.errors);
}
