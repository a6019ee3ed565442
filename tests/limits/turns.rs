//! What one address can take from another, with as many connections as an address may have: not
//! much time. The other address has a room of two, whose round trips are measured meanwhile; a
//! room of two at the attacker's own address may be slower, but stays.
//!
//! With `--nocapture` the table is shown; `TEST_SYNC_SERVER` names a server to be compared.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::support::{Deadline, Frame, Server, WebSocketClient};

/// `MAX_CONNECTIONS_PER_IP`, by default.
const CONNECTIONS: usize = 500;
/// Round trips of which the quantiles are taken.
const TRIPS: usize = 100;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(10);
/// The same for those at the attacker's address, who are slower.
const NEAR_TRIPS: usize = 3;
/// The promise is 50 ms; code that is not optimised, on a machine that others use as well, gets ten
/// times that.
const P99_MAX: Duration = Duration::from_millis(500);
/// The same for the slowest, where it is 250 ms.
const SLOWEST_MAX: Duration = Duration::from_millis(2_500);
/// The attack has come so far before anything is measured, in bytes sent.
const WARM_UP_BYTES: u64 = 200_000;
/// Where the bystanders are: another address than the attacker's, 127.0.0.1.
const QUIET: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// What an attacker does.
struct Attack {
    name: &'static str,
    connections: usize,
    /// What a connection says first; `None`: it speaks HTTP.
    join: Option<fn(usize) -> String>,
    /// What it says then, over and over.
    repeat: fn(usize) -> Vec<u8>,
    /// How often a second; 0: as often as it can.
    times_a_second: u32,
}

const ATTACKS: [Attack; 9] = [
    Attack {
        name: "HEAD /client.js, pipelined",
        connections: CONNECTIONS,
        join: None,
        repeat: |_| b"HEAD /client.js HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100),
        times_a_second: 0,
    },
    Attack {
        name: "GET of a room, pipelined",
        connections: CONNECTIONS,
        join: None,
        repeat: |_| b"GET /api/rooms/QUIET HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100),
        times_a_second: 0,
    },
    Attack {
        name: "GET /metrics, pipelined",
        connections: CONNECTIONS,
        join: None,
        repeat: |_| b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100),
        times_a_second: 0,
    },
    Attack {
        name: "bad JSON of 60 kB, pipelined",
        connections: CONNECTIONS,
        join: None,
        repeat: |_| {
            let body = format!("[{}", "[],".repeat(20_000));
            let head = "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: ";
            format!("{head}{}\r\n\r\n{body}", body.len()).into_bytes()
        },
        times_a_second: 0,
    },
    Attack {
        name: "pings",
        connections: 200,
        join: Some(|number| join("CROWD", number)),
        repeat: |_| Frame::new(0x89, b"").encode().repeat(1_000),
        times_a_second: 0,
    },
    Attack {
        name: "empty fragments",
        connections: CONNECTIONS,
        join: Some(|number| join("CROWD", number)),
        repeat: |_| {
            let begin = Frame::new(0x01, b"{}").encode();
            let end = Frame::new(0x80, b"").encode();
            [begin, Frame::new(0x00, b"").encode().repeat(1_000), end].concat()
        },
        times_a_second: 0,
    },
    Attack {
        name: "50 members at half the rate, 2 kB",
        connections: 50,
        join: Some(|number| join("CROWD", number)),
        repeat: |_| broadcast(2_000),
        times_a_second: 50,
    },
    Attack {
        name: "500 members of a room, 2 kB",
        connections: CONNECTIONS,
        join: Some(|number| join("CROWD", number)),
        repeat: |_| broadcast(2_000),
        times_a_second: 50,
    },
    Attack {
        name: "500 that join and leave",
        connections: CONNECTIONS,
        join: Some(|number| join("CROWD", number)),
        repeat: |number| {
            let leave = Frame::new(0x81, br#"{"action":"leave"}"#).encode();
            [leave, Frame::new(0x81, join("CROWD", number).as_bytes()).encode()].concat()
        },
        times_a_second: 25,
    },
];

fn join(room: &str, number: usize) -> String {
    json!({ "action": "join", "room_code": room, "peer_id": format!("p{number}") }).to_string()
}

fn broadcast(bytes: usize) -> Vec<u8> {
    let text = json!({ "action": "broadcast", "data": "x".repeat(bytes) }).to_string();
    Frame::new(0x81, text.as_bytes()).encode()
}

/// A connection of the attacker: what it says, how much of that is on its way.
struct Attacker {
    stream: TcpStream,
    says: Vec<u8>,
    sent: usize,
    /// Times that it has begun to say it.
    times: u64,
}

impl Attack {
    /// Connects all, and has them join.
    fn attackers(&self, server: &Server) -> Vec<Attacker> {
        let mut attackers: Vec<Attacker> = (0..self.connections)
            .map(|number| {
                let stream = self.join.map_or_else(
                    || TcpStream::connect(server.address()).expect("it accepts connections"),
                    |join| {
                        let mut client = server.connect();
                        client.send_text(&join(number));
                        client.into_stream()
                    },
                );
                stream.set_nonblocking(true).expect("any socket can");
                Attacker { stream, says: (self.repeat)(number), sent: 0, times: 0 }
            })
            .collect();
        for attacker in &mut attackers {
            attacker.times = 1;
        }
        attackers
    }

    /// Attacks until it is to stop. A connection that the server closes is left alone.
    fn run(&self, attackers: &mut [Attacker], stop: &AtomicBool, sent: &AtomicU64) {
        let clock = Deadline::start();
        let mut scratch = vec![0; 256 * 1024];
        while !stop.load(Ordering::Relaxed) {
            let passed = clock.passed().as_micros();
            let due = u64::try_from(passed * u128::from(self.times_a_second) / 1_000_000);
            let due = if self.times_a_second == 0 { u64::MAX } else { due.unwrap_or(u64::MAX) };
            let mut bytes = 0;
            for attacker in attackers.iter_mut() {
                bytes += attacker.go_on(due, &mut scratch);
            }
            sent.fetch_add(bytes, Ordering::Relaxed);
            if bytes == 0 {
                thread::yield_now();
            }
        }
    }
}

impl Attacker {
    /// Reads what there is, and says as much as is due and goes; how many bytes that was.
    fn go_on(&mut self, due: u64, scratch: &mut [u8]) -> u64 {
        // What the server says, and whether it has closed, matters to no attacker.
        let _nothing_there = self.stream.read(scratch);
        if self.sent == self.says.len() && self.times < due {
            self.times += 1;
            self.sent = 0;
        }
        match self.stream.write(&self.says[self.sent..]) {
            Ok(count) => {
                self.sent += count;
                count as u64
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.sent = self.says.len();
                self.times = u64::MAX;
                0
            }
        }
    }
}

/// Ends an attack when it is dropped.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A room of two.
struct Pair {
    one: WebSocketClient,
    other: WebSocketClient,
}

impl Pair {
    fn new(server: &Server, room: &str, from: IpAddr) -> Self {
        server.create_room(&json!({ "desired_room_code": room, "desired_host_id": "one" }));
        let mut one = connect_from(server.address(), from);
        let mut other = connect_from(server.address(), from);
        one.join_as_host(room, "one");
        other.join(room, "other");
        one.expect_type("peer_joined");
        Self { one, other }
    }

    /// How long messages take from one to the other, in order; not faster than they may come.
    fn trips(&mut self, count: usize) -> Vec<Duration> {
        // Nobody ever sends: waiting for it is the pace.
        let (_silent, pace) = mpsc::channel::<()>();
        let mut trips: Vec<Duration> = (0..count)
            .map(|number| {
                let _timed_out = pace.recv_timeout(PAUSE);
                self.trip(number)
            })
            .collect();
        trips.sort_unstable();
        trips
    }

    fn trip(&mut self, number: usize) -> Duration {
        let trip = Deadline::start();
        self.one.broadcast(number);
        assert_eq!(self.other.expect_type("data")["data"], number);
        trip.passed()
    }
}

fn connect_from(address: SocketAddr, from: IpAddr) -> WebSocketClient {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("one");
    socket.bind(&SocketAddr::new(from, 0).into()).expect("all of 127.0.0.0/8 is here");
    socket.connect(&address.into()).expect("the server accepts connections");
    let url = format!("ws://{address}/ws");
    WebSocketClient::over(TcpStream::from(socket), &url, &[]).expect("it is upgraded")
}

fn quantile(trips: &[Duration], percent: usize) -> Duration {
    trips[(trips.len() * percent / 100).min(trips.len() - 1)]
}

/// Runs `attack`: the round trips of an innocent room, at another address and at the attacker's.
fn beside(attack: &Attack) -> [Vec<Duration>; 2] {
    let server = Server::start(&[("ROOM_AUTO_CREATE", "true")]);
    let mut quiet = Pair::new(&server, "QUIET", QUIET);
    let mut neighbours = Pair::new(&server, "NEAR", IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mut attackers = attack.attackers(&server);
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| attack.run(&mut attackers, &stop, &sent));
        let _stopped_in_any_case = Stopping(&stop);
        let deadline = Deadline::start();
        while sent.load(Ordering::Relaxed) < WARM_UP_BYTES && !deadline.left().is_zero() {
            thread::yield_now();
        }
        let before = sent.load(Ordering::Relaxed);
        let quiet = quiet.trips(TRIPS);
        let near = neighbours.trips(NEAR_TRIPS);
        let after = sent.load(Ordering::Relaxed);
        assert!(after > before, "{}: it was no attack", attack.name);
        [quiet, near]
    })
}

#[test]
fn whatever_one_address_does_another_has_its_turn() {
    for attack in &ATTACKS {
        let [quiet, neighbours] = beside(attack);
        let [median, p99, slowest] = [50, 99, 100].map(|percent| quantile(&quiet, percent));
        let near = quantile(&neighbours, 100);
        println!("| {} | {median:.1?} | {p99:.1?} | {slowest:.1?} | {near:.1?} |", attack.name);
        assert!(p99 < P99_MAX, "{}: {p99:?}", attack.name);
        assert!(slowest < SLOWEST_MAX, "{}: {slowest:?}", attack.name);
    }
}
