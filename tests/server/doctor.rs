//! `sync-server doctor` on a machine where something is wrong, with no proxy in it.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use rustix::process::getuid;

use crate::support::{Directory, Exited, Server, finish, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sync-server");

/// The lines that begin with `severity` and then `subject`.
fn lines<'a>(looked: &'a Exited, severity: &str, subject: &str) -> Vec<&'a str> {
    let beginning = format!("{severity:8}{subject:10} ");
    looked.output.lines().filter(|line| line.starts_with(&beginning)).collect()
}

/// There is one such finding, with `part` in it, and the exit code goes with the findings.
#[track_caller]
fn check(looked: &Exited, severity: &str, subject: &str, part: &str) {
    let found = lines(looked, severity, subject);
    assert!(found.len() == 1 && found[0].contains(part), "{part:?}: {}", looked.output);
    let is_ill = looked.output.lines().any(|line| line.starts_with("problem "));
    assert_eq!(looked.code, Some(i32::from(is_ill)), "{}", looked.output);
    assert_eq!(looked.errors, "");
}

/// A port that somebody else has, who answers one client with `answer`.
fn stranger(answer: &'static str) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port().to_string();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the doctor comes");
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).expect("it asks") > 0);
        stream.write_all(answer.as_bytes()).expect("it reads");
    });
    (port, thread)
}

#[test]
fn a_server_that_runs_is_looked_at_and_left_as_it_is() {
    let server = Server::start(&[]);
    let _host = server.host("room", "host");
    let port = server.address().port().to_string();
    let data = server.directory().path().join("data");
    let names = || -> Vec<_> {
        let entries = fs::read_dir(&data).expect("it is there");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("readable").file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let url = format!("http://{}", server.address());
    let settings = [("PORT", port.as_str()), ("DATA_DIR", data.to_str().expect("text"))];
    let looked = run(&["doctor", &url], &settings);
    assert_eq!((looked.code, looked.errors.as_str()), (Some(0), ""), "{}", looked.output);
    for (subject, part) in [
        ("settings", "valid"),
        ("open files", "MAX_CONNECTIONS=10000"),
        ("data", "is writable"),
        ("store", "SQLite; sync.db is whole"),
        ("port", "a server is running on 127.0.0.1"),
        ("address", "leads to a sync server, version"),
        ("client", "there is no proxy; the server sees you as 127.0.0.1"),
        ("WebSocket", "it opens, and an action is answered"),
        ("clock", "in step with the public address"),
    ] {
        // What the machine of the test is short of is no fault of the doctor's.
        if lines(&looked, "ok", subject).is_empty() && subject == "open files" {
            continue;
        }
        check(&looked, "ok", subject, part);
    }
    assert!(!looked.output.contains('\u{1b}'), "no colours");
    assert_eq!(names(), before);
}

#[test]
fn settings_that_cannot_be_read_are_all_that_is_said() {
    let looked = run(&["doctor"], &[("PORT", "many")]);
    let line = "problem settings   PORT=many: must be 0 to 65535\n1 problem, 0 warnings\n";
    assert_eq!((looked.code, looked.output.as_str()), (Some(1), line));
    let looked = run(&["doctor"], &[("MESSAGE_RATE_LIMIT", "0"), ("PORT", "0")]);
    check(&looked, "warning", "settings", "MESSAGE_RATE_LIMIT is 0");
    check(&looked, "warning", "port", "set PORT");
    check(&looked, "warning", "address", "set PUBLIC_URL, or give it");
    let usage = run(&["doctor", "nowhere"], &[]);
    assert_eq!(usage.code, Some(2));
    assert!(usage.errors.contains("'nowhere' is not http(s)://host[:port][/path]"));
}

#[test]
fn a_low_limit_of_files_is_named() {
    let directory = Directory::new();
    let look = |limit: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" doctor"), PROGRAM]);
        shell.current_dir(directory.path()).env_clear().env("PORT", "0");
        finish(shell)
    };
    check(&look("64"), "problem", "open files", "only 1 connections fit instead of MAX");
    check(&look("1024"), "warning", "open files", "raise the limit to 10128 (LimitNOFILE=");
}

#[test]
fn a_data_directory_that_is_none_is_named() {
    let directory = Directory::new();
    let file = directory.path().join("file");
    fs::write(&file, "").expect("the directory is ours");
    let look = |data: &Path| run(&["doctor"], &[("DATA_DIR", data.to_str().expect("text"))]);
    check(&look(&file), "problem", "data", "it is no directory");
    check(&look(&file.join("below")), "problem", "data", "Not a directory");
    let missing = directory.path().join("a/b");
    check(&look(&missing), "ok", "data", "is not there; the first start makes it in");
    assert!(!missing.exists(), "the doctor makes nothing");
}

#[test]
fn a_data_directory_that_cannot_be_written_to_is_named() {
    let directory = Directory::new();
    let closed = directory.path().join("closed");
    fs::create_dir(&closed).expect("the directory is ours");
    fs::set_permissions(&closed, Permissions::from_mode(0o555)).expect("it is ours");
    let look = |data: &Path| {
        // Root may write everywhere, unless that is taken away.
        let mut command = if getuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set", "-dac_override,-dac_read_search", PROGRAM]);
            command
        } else {
            Command::new(PROGRAM)
        };
        command.arg("doctor").current_dir(directory.path());
        command.env("DATA_DIR", data).env("PORT", "0");
        finish(command)
    };
    check(&look(&closed), "problem", "data", "cannot be written to by user");
    check(&look(&closed.join("below")), "problem", "data", "may not make it in");
    fs::set_permissions(&closed, Permissions::from_mode(0o755)).expect("it is ours");
    check(&look(&closed), "ok", "data", "is writable");
}

#[test]
fn a_damaged_database_is_named() {
    let directory = Directory::new();
    fs::write(directory.path().join("sync.db"), "no database").expect("the directory is ours");
    let looked = run(&["doctor"], &[("DATA_DIR", directory.path().to_str().expect("text"))]);
    check(&looked, "problem", "store", "restore a backup");
}

#[test]
fn a_port_of_somebody_else_is_named() {
    let (port, thread) = stranger("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let looked = run(&["doctor"], &[("PORT", &port)]);
    check(&looked, "problem", "port", "is another program: its answer");
    thread.join().expect("it was asked");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port().to_string();
    drop(listener);
    check(&run(&["doctor"], &[("PORT", &port)]), "ok", "port", "is free; no server is running");
    let nowhere = run(&["doctor"], &[("PORT", &port), ("BIND_ADDR", "192.0.2.1")]);
    check(&nowhere, "problem", "port", "");
}

#[test]
fn a_database_that_does_not_answer_is_named_without_its_password() {
    if cfg!(not(feature = "mongodb")) {
        return;
    }
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let uri = format!("mongodb://ann:hunter2@{closed}/");
    let looked = run(&["doctor"], &[("MONGODB_URI", &uri), ("JWT_SECRET", &"x".repeat(32))]);
    let named = format!("MongoDB at {closed}: no MongoDB server answers: is it running");
    check(&looked, "problem", "store", &named);
    assert!(!looked.output.contains("hunter2"), "{}", looked.output);
    assert!(!looked.output.contains("data  "), "DATA_DIR is not used: {}", looked.output);
}
