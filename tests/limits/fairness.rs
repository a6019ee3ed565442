//! What one client can take from another: nothing that anybody would notice.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::{Deadline, Frame, Server, WebSocketClient};

/// Round trips of which the quantiles are taken.
const TRIPS: usize = 2_000;

/// How long messages took from one member of a room to another, in order.
struct Trips(Vec<Duration>);

impl Trips {
    /// Measures a room of two.
    fn measure(from: &mut WebSocketClient, to: &mut WebSocketClient) -> Self {
        let mut trips: Vec<Duration> = (0..TRIPS)
            .map(|number| {
                let trip = Deadline::start();
                from.broadcast(number);
                assert_eq!(to.expect_type("data")["data"], number);
                trip.passed()
            })
            .collect();
        trips.sort_unstable();
        Self(trips)
    }

    fn quantile(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a share of a small number"
        )]
        let index = (self.0.len() as f64 * share) as usize;
        self.0[index.min(self.0.len() - 1)]
    }

    fn text(&self) -> String {
        let [median, p99] = [0.5, 0.99].map(|share| self.quantile(share));
        format!("median {median:?}, p99 {p99:?}, slowest {:?}", self.quantile(1.0))
    }
}

/// Runs `act` while somebody else sends `message` as fast as it can to one who reads, in `room`.
/// How many bytes that one has read is the second result.
fn beside_a_flood<T>(
    server: &Server,
    room: &str,
    message: &[u8],
    act: impl FnOnce() -> T,
) -> (T, u64) {
    let flooder = server.host(room, "flooder").into_stream();
    let reader = server.join(room, "reader").into_stream();
    let (stop, bytes_read) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| flood(&flooder, message, &stop));
        scope.spawn(|| drain(&reader, &bytes_read));
        while bytes_read.load(Ordering::Relaxed) < 10_000_000 {
            thread::yield_now();
        }
        let result = act();
        stop.store(true, Ordering::Relaxed);
        for stream in [&flooder, &reader] {
            stream.shutdown(Shutdown::Both).expect("it is connected");
        }
        (result, bytes_read.load(Ordering::Relaxed))
    })
}

fn flood(mut stream: &TcpStream, message: &[u8], stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) && stream.write_all(message).is_ok() {}
}

fn drain(mut stream: &TcpStream, bytes_read: &AtomicU64) {
    let mut scratch = vec![0; 256 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut scratch) {
        bytes_read.fetch_add(count as u64, Ordering::Relaxed);
    }
}

fn broadcast(bytes: usize) -> Vec<u8> {
    let text = json!({ "action": "broadcast", "data": "x".repeat(bytes) }).to_string();
    Frame::new(0x81, text.as_bytes()).encode()
}

#[test]
fn whoever_shouts_is_not_heard_next_door() {
    /// The promise is 20 ms; code that is not optimised, on a machine that others use as well, gets
    /// ten times that.
    const P99_MAX: Duration = Duration::from_millis(200);
    let server = Server::start(&[("MESSAGE_RATE_LIMIT", "0")]);
    let mut alice = server.host("QUIET", "alice");
    let mut bob = server.join("QUIET", "bob");
    alice.expect_type("peer_joined");
    println!("alone: {}", Trips::measure(&mut alice, &mut bob).text());
    // Many messages in one read, and one that takes as long to parse and to encode as any may.
    let floods = [
        ("SMALL", "messages of 200 bytes", broadcast(200).repeat(100)),
        ("BIG", "messages of 4 MiB", broadcast((4 << 20) - 100)),
    ];
    for (room, what, message) in floods {
        let measure = || Trips::measure(&mut alice, &mut bob);
        let (trips, bytes) = beside_a_flood(&server, room, &message, measure);
        println!("beside {} MB in {what}: {}", bytes / 1_000_000, trips.text());
        assert!(trips.quantile(0.99) < P99_MAX, "{what}: {}", trips.text());
    }
}
