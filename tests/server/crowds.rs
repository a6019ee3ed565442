//! More connections than there is room for.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use crate::support::{DEADLINE, Deadline, HttpClient, Launch, Server};

/// Asks on fresh connections until one is answered with 200.
fn wait_until_served(server: &Server) {
    let deadline = Deadline::start();
    while status_line(server).is_none_or(|line| !line.contains(" 200 ")) {
        assert!(!deadline.left().is_zero(), "no place became free");
    }
}

/// The first line of the answer to a fresh client, if there is one: without a place even for a
/// refusal, the connection just ends.
fn status_line(server: &Server) -> Option<String> {
    let mut stream = TcpStream::connect(server.address()).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ok()?;
    BufReader::new(stream).lines().next()?.ok()
}

#[test]
fn one_connection_too_many_is_told_to_come_back_later() {
    let server = Server::start(&[("MAX_CONNECTIONS", "2")]);
    let mut first = server.connect();
    let _second = server.connect();
    let mut third = server.open();
    third.request("GET", "/health", &[], "");
    let response = third.response();
    assert_eq!(response.status, 503);
    assert!(response.header("retry-after").is_some());
    assert_eq!(third.read_to_end(), b"");
    first.expect_silence();
    drop(first);
    wait_until_served(&server);
}

#[test]
fn a_crowd_that_goes_makes_room_for_the_next() {
    const CROWD: usize = 200;
    let server = Server::start(&[("MAX_CONNECTIONS", "20")]);
    for _ in 0..3 {
        let crowd: Vec<TcpStream> =
            (0..CROWD).map(|_| TcpStream::connect(server.address()).expect("accepted")).collect();
        drop(crowd);
        wait_until_served(&server);
    }
    assert_eq!(server.get("/health").json()["connections"], 1, "only who asks");
}

#[test]
fn running_out_of_files_is_survived_without_spinning() {
    /// Enough to start, not enough for the crowd. It leaves room for one connection; the others
    /// are told so, as far as there are files for that.
    const FILES: &str = "ulimit -S -n 48; ulimit -H -n 48";
    const CROWD: usize = 60;
    /// In hundredths of a second. A server that spins needs hundreds in the seconds that this
    /// takes.
    const CPU_TICKS_MAX: u64 = 40;
    let server = Server::launch(&Launch { before: FILES, ..Launch::default() });
    let mut member = server.connect();
    let before = server.cpu_ticks();
    let mut crowd: Vec<HttpClient> = (0..CROWD).map(|_| server.open()).collect();
    server.wait_for_log("cannot accept connections for now");
    member.expect_silence();
    // Files become free when the server no longer waits for those to go whom it has answered.
    for client in &mut crowd {
        let answer = client.read_to_end();
        assert!(answer.starts_with(b"HTTP/1.1 503 "), "{}", answer.escape_ascii());
    }
    let used = server.cpu_ticks() - before;
    assert!(used < CPU_TICKS_MAX, "{used} ticks");
    let warnings = server.log().matches("cannot accept connections for now").count();
    assert!(warnings < 10, "the log is not flooded: {warnings}");

    drop(crowd);
    member.expect_silence();
    drop(member);
    wait_until_served(&server);
}
