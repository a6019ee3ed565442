//! A standard error that is not read: the server goes on, ends as ever, and says afterwards what
//! was lost.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Action, tcflow};
use serde_json::json;

use crate::support::{Deadline, Directory, HttpClient, Log, WebSocketClient, program};

/// Requests of one connection, in one piece.
const FLOOD: usize = 2_000;
/// Of a path, so that a few lines of the log are more than may wait.
const PATH_BYTES: usize = 4_000;

/// A server whose standard error is the test's.
struct Unheard {
    child: Child,
    address: SocketAddr,
    /// It ends when the process does.
    output: Arc<Log>,
    _directory: Arc<Directory>,
}

impl Unheard {
    /// Starts one that is passed its socket, so that its address need not be heard.
    fn start(errors: OwnedFd) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let directory = Directory::new();
        let passing = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\"";
        let mut child = Command::new("sh")
            .args(["-c", passing])
            .arg(program())
            .current_dir(directory.path())
            .env("DATA_DIR", directory.path().join("data"))
            .env("RUST_LOG", "debug")
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::piped())
            .stderr(Stdio::from(errors))
            .spawn()
            .expect("it can be started");
        let output = Log::collect(child.stdout.take().expect("standard output is piped"));
        Self { child, address, output, _directory: directory }
    }

    /// SIGTERM, and its exit code.
    fn stop(&mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it is there");
        assert!(self.output.wait_for_end(), "it does not end");
        self.child.wait().expect("it is our child").code()
    }

    /// Lines that the log has no place for, so far.
    fn dropped(&self) -> u64 {
        let mut client = HttpClient::connect(self.address);
        client.request("GET", "/metrics", &[], "");
        let text = client.response().text();
        let name = "sync_server_log_lines_dropped_total ";
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.expect("the sample is there").parse().expect("a number")
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}

/// `output`, once it takes nothing more.
fn full<F: AsFd + Write>(mut output: F) -> F {
    let flags = fcntl_getfl(&output).expect("it is open");
    fcntl_setfl(&output, flags | OFlags::NONBLOCK).expect("it is open");
    let problem = loop {
        if let Err(problem) = output.write(&[b'\n'; 1_024]) {
            break problem;
        }
    };
    assert_eq!(problem.kind(), ErrorKind::WouldBlock);
    fcntl_setfl(&output, flags).expect("it is open");
    output
}

/// A terminal that ^S has stopped: both of its ends.
fn stopped_terminal() -> (OwnedFd, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
    grantpt(&ours).expect("it is ours");
    unlockpt(&ours).expect("it is ours");
    let name = ptsname(&ours, Vec::new()).expect("it has a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let theirs = open(&*name, flags, Mode::empty()).expect("it is there");
    tcflow(&theirs, Action::OOff).expect("it is a terminal");
    (ours, theirs)
}

/// It serves a flood of requests and a room, and ends when it is told to.
#[track_caller]
fn check_that_it_serves(mut server: Unheard) {
    let mut flood = HttpClient::connect(server.address);
    flood.send("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n".repeat(FLOOD));
    let mut room = HttpClient::connect(server.address);
    let headers = [("Content-Type", "application/json")];
    room.request("POST", "/api/rooms", &headers, &json!({"desired_room_code": "A"}).to_string());
    assert_eq!(room.response_to("POST").status, 201);
    let mut member = WebSocketClient::connect(server.address, &[]).expect("it is upgraded");
    member.join("A", "ann");
    for _ in 0..FLOOD {
        assert_eq!(flood.response().status, 404);
    }
    drop((flood, room, member));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_pipe_that_is_full_from_the_start_stops_nothing() {
    let (_unread, errors) = io::pipe().expect("files are left");
    check_that_it_serves(Unheard::start(full(errors).into()));
}

#[test]
fn a_socket_that_is_full_from_the_start_stops_nothing() {
    let (_unread, errors) = UnixStream::pair().expect("files are left");
    check_that_it_serves(Unheard::start(full(errors).into()));
}

#[test]
fn a_terminal_that_is_stopped_stops_nothing() {
    let (_unread, errors) = stopped_terminal();
    check_that_it_serves(Unheard::start(errors));
}

/// An error that keeps the server from starting is not waited for either, and comes out as ever
/// when it is read.
#[test]
fn a_start_that_fails_ends_though_its_error_is_not_read() {
    let (_unread, errors) = io::pipe().expect("files are left");
    let directory = Directory::new();
    let mut child = Command::new(program())
        .current_dir(directory.path())
        .envs([("DATA_DIR", "data"), ("BIND_ADDR", "192.0.2.1")])
        .stdout(Stdio::piped())
        .stderr(full(errors))
        .spawn()
        .expect("it can be started");
    let output = Log::collect(child.stdout.take().expect("standard output is piped"));
    let has_ended = output.wait_for_end();
    let _ended_already = child.kill();
    assert!(has_ended, "it does not end");
    assert_eq!(child.wait().expect("it is our child").code(), Some(2));
}

#[test]
fn a_reader_that_comes_back_is_told_how_many_lines_it_missed() {
    let (reader, errors) = io::pipe().expect("files are left");
    let mut server = Unheard::start(full(errors).into());
    let mut client = HttpClient::connect(server.address);
    let path = "x".repeat(PATH_BYTES);
    let deadline = Deadline::start();
    let dropped = loop {
        client.request("GET", &format!("/{path}"), &[], "");
        assert_eq!(client.response().status, 404);
        match server.dropped() {
            0 => assert!(!deadline.left().is_zero(), "nothing was dropped"),
            dropped => break dropped,
        }
    };
    let log = Log::collect(reader);
    let notice = log.wait_for("lines of this log were dropped").expect("it says so");
    let (_, rest) = notice.split_once("WARN  ").expect("it is a warning");
    let count: u64 = rest.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    assert!(count >= dropped, "{notice}");
    drop(client);
    assert_eq!(server.stop(), Some(0));
    assert!(log.wait_for("stopped").is_some(), "it flows again");
    for line in log.text().lines().filter(|line| !line.is_empty()) {
        assert!(line.starts_with("20") && line.contains('Z'), "it is whole: {line}");
    }
}

/// What one client does over and over is one line a second, and the sum stands before the line that
/// says how the server ended.
#[test]
fn lines_that_are_alike_are_summed_up() {
    let (reader, errors) = io::pipe().expect("files are left");
    let mut server = Unheard::start(errors.into());
    let mut client = HttpClient::connect(server.address);
    client.send("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n".repeat(FLOOD));
    for _ in 0..FLOOD {
        assert_eq!(client.response().status, 404);
    }
    drop(client);
    assert_eq!(server.stop(), Some(0));
    drop(server);
    let lines = BufReader::new(reader).lines().map(|line| line.expect("UTF-8"));
    let lines = lines.collect::<Vec<_>>();
    let last = lines.last().expect("there are lines");
    assert!(last.ends_with("stopped"), "the last line: {last}");
    let (mut written, mut summed_up) = (0, 0);
    for line in lines.iter().filter(|line| line.contains("GET /nowhere")) {
        let more = line.split_once("… and ").and_then(|(_, rest)| rest.split(' ').next());
        match more {
            Some(count) => summed_up += count.parse::<usize>().expect("a number"),
            None => written += 1,
        }
    }
    assert_eq!(written + summed_up, FLOOD, "each is accounted for");
    assert!(written < FLOOD / 10, "{written} were written");
}
