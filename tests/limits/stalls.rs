//! A server that did not run for a while: whatever its clients said meanwhile was in time, and
//! none of them was silent.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Deadline, Frame, HttpClient, Server, WebSocketClient};

/// More than a ping and its answer may take.
const STALL: Duration = Duration::from_secs(5);

/// Stops the server for [`STALL`], while `act` goes on ten times a second.
fn stall(server: &Server, mut act: impl FnMut()) {
    // Nobody ever sends: waiting for it is the pace.
    let (_silent, pace) = mpsc::channel::<()>();
    server.signal(Signal::STOP);
    let clock = Deadline::start();
    while clock.passed() < STALL {
        act();
        let _timed_out = pace.recv_timeout(Duration::from_millis(100));
    }
    server.signal(Signal::CONT);
}

#[test]
fn a_server_that_was_stopped_loses_no_client() {
    const MEMBERS: usize = 50;
    let server = Server::start(&[
        ("PING_INTERVAL_SECONDS", "1"),
        ("PING_TIMEOUT_SECONDS", "3"),
        ("HEADER_TIMEOUT_SECONDS", "3"),
        ("KEEP_ALIVE_SECONDS", "3"),
    ]);
    let mut host = server.host("ROOM", "host");
    let mut members: Vec<WebSocketClient> =
        (0..MEMBERS).map(|number| server.join("ROOM", &format!("p{number}"))).collect();
    // A request that takes its time, too.
    let mut slow = TcpStream::connect(server.address()).expect("it accepts connections");
    slow.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n").expect("it is there");
    for round in 0..2 {
        stall(&server, || {});
        // Reading answers the pings that have come.
        host.broadcast(round);
        for member in &mut members {
            member.wait_for(|message| message["type"] == "data" && message["data"] == round);
            member.expect_silence();
        }
    }
    slow.write_all(b"\r\n").expect("it is there");
    assert_eq!(HttpClient::over(slow).response().status, 200);
}

#[test]
fn what_was_said_to_a_server_that_was_stopped_was_not_too_fast() {
    /// Of each second: three fifths of what may be said.
    const RATE: usize = 60;
    let server = Server::start(&[("MESSAGE_RATE_LIMIT", "100")]);
    let mut talker = server.host("ROOM", "talker");
    let mut listener = server.join("ROOM", "listener");
    talker.expect_type("peer_joined");
    let text = json!({ "action": "broadcast", "data": 1 }).to_string();
    let message = Frame::new(0x81, text.as_bytes()).encode();
    let mut said = 0;
    stall(&server, || {
        talker.send_bytes(&message.repeat(RATE / 10));
        said += RATE / 10;
    });
    // More than a burst.
    assert!(said > 250, "{said}");
    for _ in 0..said {
        listener.expect_type("data");
    }
    talker.expect_silence();
}
