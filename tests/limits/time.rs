//! Clients that take their time. That each deadline is met to the moment is held by
//! `tests/bounds`; here the same happens to sockets.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use crate::support::{Deadline, HttpClient, Server};

#[test]
fn a_hundred_and_fifty_that_drip_are_cut_and_delay_nobody() {
    const DRIPPING: usize = 150;
    const HEADER_TIMEOUT: &str = "3";
    /// More than the server gives them.
    const DRIPS: usize = 6;
    /// A hundred times what it takes here.
    const HEALTH_MAX: Duration = Duration::from_millis(500);
    let server = Server::start(&[("HEADER_TIMEOUT_SECONDS", HEADER_TIMEOUT)]);
    let mut dripping: Vec<TcpStream> = (0..DRIPPING)
        .map(|_| TcpStream::connect(server.address()).expect("the server accepts connections"))
        .collect();
    // Nobody ever sends: waiting for it is the pace.
    let (_silent, pace) = mpsc::channel::<()>();
    let mut answers = Vec::new();
    for byte in "GET /h".bytes().take(DRIPS) {
        for stream in &mut dripping {
            // It may be cut already.
            let _cut = stream.write(&[byte]);
        }
        for _ in 0..20 {
            let trip = Deadline::start();
            assert_eq!(server.get("/health").status, 200);
            answers.push(trip.passed());
        }
        let _timed_out = pace.recv_timeout(Duration::from_secs(1));
    }
    answers.sort_unstable();
    println!("{} answers of /health, the slowest after {:?}", answers.len(), answers.last());
    assert!(answers.last() < Some(&HEALTH_MAX), "{answers:?}");
    for stream in dripping {
        let answer = HttpClient::over(stream).read_to_end();
        // What was dripped after the end may have made the kernel throw the answer away.
        let is_told = answer.starts_with(b"HTTP/1.1 408 ");
        assert!(is_told || answer.is_empty(), "{}", answer.escape_ascii());
    }
    let health = server.get("/health").json();
    assert_eq!(health["connections"], 1, "all of them are gone");
}
