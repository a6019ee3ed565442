//! What our own code costs on the path of a message, without a kernel: parsing, the rooms, and a
//! whole message from its bytes to the queues of all who hear it.
//!
//! `cargo bench --bench hot_paths`

use std::convert::Infallible;
use std::hint::black_box;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sync_server::base::entropy::Entropy;
use sync_server::base::ids::{ConnId, JobId, RoomKey};
use sync_server::base::memory::MemoryBudget;
use sync_server::base::time::{Now, Timestamp, UnixMillis};
use sync_server::config::Config;
use sync_server::engine::{Engine, Job, Outcome};
use sync_server::http::RequestParser;
use sync_server::protocol;
use sync_server::rooms::{
    Action, Event, Join, Output, RawJson, RoomChange, RoomView, Rooms, RoomsConfig,
    StoreUnavailable, StoredRoom,
};
use sync_server::session::{Driver, Sessions, Transport};

/// As a browser asks for the upgrade.
const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: sync.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: */*\r\nAccept-Language: th,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n\
    Sec-WebSocket-Version: 13\r\nOrigin: https://sync.example.com\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\n\r\n";
/// Members of a room.
const CROWDS: [u32; 3] = [1, 20, 1_000];

fn parsing(criterion: &mut Criterion) {
    let text = "x".repeat(200);
    let document = "ก \\\"quoted\\\" line\\n".repeat(64 * 1024 / 22);
    let mut group = criterion.benchmark_group("parse");
    for (name, message) in [
        ("ping", r#"{"action":"ping"}"#.to_owned()),
        ("join", join(7)),
        ("broadcast_200_bytes", format!(r#"{{"action":"broadcast","data":"{text}"}}"#)),
        (
            "sync_document_64_kib",
            format!(r#"{{"action":"sync_document","document":"{document}","id":1}}"#),
        ),
    ] {
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| protocol::parse(black_box(&message)).expect("an action"));
        });
    }
    group.throughput(Throughput::Bytes(UPGRADE.len() as u64));
    group.bench_function("http_upgrade", |bencher| {
        bencher.iter(|| {
            let mut input = black_box(UPGRADE.as_bytes());
            RequestParser::default().feed(&mut input).expect("a request").expect("all of it")
        });
    });
    group.finish();
}

fn rooms(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rooms_broadcast");
    for members in CROWDS {
        let mut rooms = Rooms::new(RoomsConfig::from(&config()));
        let mut heard = Heard::default();
        for index in 0..members {
            let peer_id = format!("peer-{index}");
            let join = Join {
                room_code: "BENCH".into(),
                peer_id: peer_id.into(),
                is_host: false,
                metadata: "null".into(),
                host_token: None,
            };
            let Poll::Ready(located) = rooms.locate("BENCH", conn(index), || (), &mut heard) else {
                panic!("there is no store to be asked");
            };
            let joined = rooms.join(located, conn(index), &join, now(), &mut heard);
            joined.expect("there is room");
        }
        group.bench_with_input(BenchmarkId::from_parameter(members), &members, |bencher, _| {
            bencher.iter(|| {
                let data = RawJson(black_box(r#""a short message""#));
                rooms.handle(conn(0), Action::Broadcast { data }, now(), &mut heard)
            });
        });
        black_box(heard.events);
    }
    group.finish();
}

fn messages(criterion: &mut Criterion) {
    let frame = frame(&format!(r#"{{"action":"broadcast","data":"{}"}}"#, "x".repeat(200)));
    let mut group = criterion.benchmark_group("message");
    for members in CROWDS {
        let mut server = Server::with_members(members);
        group.throughput(Throughput::Elements(u64::from(members)));
        group.bench_with_input(
            BenchmarkId::new("receive_and_flush", members),
            &members,
            |bencher, _| bencher.iter(|| server.turn(0, black_box(&frame))),
        );
    }
    group.finish();
}

fn joins(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("join");
    for members in CROWDS {
        let mut server = Server::with_members(members);
        let (join, leave) = (frame(&join(members)), frame(r#"{"action":"leave"}"#));
        let joiner = server.upgrade();
        group.bench_with_input(
            BenchmarkId::new("join_and_leave", members),
            &members,
            |bencher, _| {
                bencher.iter(|| {
                    server.turn(joiner, black_box(&join));
                    server.turn(joiner, black_box(&leave));
                });
            },
        );
    }
    group.finish();
}

criterion_group!(benches, parsing, rooms, messages, joins);
criterion_main!(benches);

/// A server without a kernel.
struct Server {
    driver: Driver<Engine>,
    pipes: Pipes,
    clients: Vec<ConnId>,
}

/// What stands for the kernel: it brings bytes of one client at a time, and throws away what is
/// sent.
struct Pipes {
    now: Now,
    inbound: Vec<u8>,
    /// Whose bytes those are; `None` if it is still to be accepted.
    from: Option<ConnId>,
}

impl Server {
    fn with_members(members: u32) -> Self {
        let config = Arc::new(config());
        let budget = MemoryBudget::new(config.limits.memory_budget_bytes);
        let entropy = Entropy::new(|bytes| bytes.fill(7));
        let sessions = Sessions::new(&config, budget.clone());
        let mut server = Self {
            driver: Driver::new(sessions, Engine::new(config, budget, entropy, true)),
            pipes: Pipes { now: now(), inbound: Vec::new(), from: None },
            clients: Vec::new(),
        };
        for number in 0..members {
            let client = server.upgrade();
            server.turn(client, &frame(&join(number)));
        }
        server
    }

    /// A new WebSocket connection; its number.
    fn upgrade(&mut self) -> usize {
        self.pipes.from = None;
        let Ok(_) = self.driver.turn(&mut self.pipes);
        self.clients.push(self.pipes.from.expect("it was accepted"));
        self.turn(self.clients.len() - 1, UPGRADE.as_bytes());
        self.clients.len() - 1
    }

    /// A turn of the loop in which bytes have come.
    fn turn(&mut self, client: usize, bytes: &[u8]) {
        // Patient frames leave in each turn, as they do when little happens.
        self.pipes.now.at.0 += 25_000;
        self.pipes.from = Some(self.clients[client]);
        self.pipes.inbound.extend_from_slice(bytes);
        let Ok(_) = self.driver.turn(&mut self.pipes);
    }
}

impl Transport<Engine> for Pipes {
    type Error = Infallible;

    fn now(&mut self) -> Now {
        self.now
    }
    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), Infallible> {
        black_box(timeout);
        Ok(())
    }
    fn note_events(&mut self, driver: &mut Driver<Engine>, _: Now) {
        if let Some(conn) = self.from {
            driver.readable(conn);
        }
    }
    fn read(&mut self, _: ConnId, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inbound.len();
        into[..count].copy_from_slice(&self.inbound);
        self.inbound.clear();
        Ok(count)
    }
    fn write(&mut self, _: ConnId, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(black_box(slices).iter().map(|slice| slice.len()).sum())
    }
    fn shut(&mut self, _: ConnId) {}
    fn close(&mut self, _: ConnId) {}
    fn accept(&mut self, driver: &mut Driver<Engine>, now: Now) {
        if self.from.is_none() {
            self.from = driver.accept(IpAddr::V4(Ipv4Addr::LOCALHOST).into(), now).ok();
        }
    }
    fn take_outcomes(&mut self, _: &mut Vec<(JobId, Outcome)>) {}
    fn takes_jobs(&self) -> bool {
        true
    }
    fn start_job(&mut self, _: JobId, _: Job) -> Result<(), Job> {
        Ok(())
    }
}

/// Counts what the rooms say.
#[derive(Default)]
struct Heard {
    events: usize,
}

impl Output for Heard {
    fn send(&mut self, _: ConnId, _: &Event<'_>) {
        self.events += 1;
    }
    fn broadcast(&mut self, to: &[ConnId], except: Option<ConnId>, _: &Event<'_>) {
        self.events += to.iter().filter(|conn| Some(**conn) != except).count();
    }
    fn lookup(&mut self, _: &str) -> Result<(), StoreUnavailable> {
        Err(StoreUnavailable)
    }
    fn read_document(&mut self, _: ConnId, _: RoomKey, _: RoomView<'_>) {}
    fn dismissed(&mut self, _: RoomKey, _: &[ConnId]) {}
    fn delete(&mut self, _: RoomKey, _: &str, _: &str) {}
    fn persist(&mut self, _: RoomKey, _: u64, _: StoredRoom) {}
    fn durable(&mut self, _: RoomKey, _: u64) {}
    fn not_durable(&mut self, _: RoomKey) {}
    fn fresh_room_id(&mut self) -> String {
        "id".to_owned()
    }
    fn room_changed(&mut self, _: &str, _: RoomChange) {}
}

/// No limit of rate, rooms that come and go without a store, and no pings: none would be
/// answered, and the members would soon be gone.
fn config() -> Config {
    let mut config = Config { room_auto_create: true, room_store: false, ..Config::default() };
    config.limits.message_rate_max = 0;
    config.limits.peers_per_room_max = 2_000;
    config.limits.ping_interval_seconds = 1_000_000_000;
    config.limits.ping_timeout_seconds = 2_000_000_000;
    config
}

fn now() -> Now {
    Now { at: Timestamp::from_secs(10), unix: UnixMillis(1_800_000_000_000) }
}

fn conn(index: u32) -> ConnId {
    ConnId { index, generation: 1 }
}

fn join(number: u32) -> String {
    let peer_id = format!("peer-{number}");
    format!(
        r#"{{"action":"join","room_code":"BENCH","peer_id":"{peer_id}","metadata":{{"name":"N"}}}}"#
    )
}

/// A client's text frame (RFC 6455, 5.2).
fn frame(text: &str) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(short) if short < 126 => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 0x7e);
            let length = u16::try_from(text.len()).expect("no long messages here");
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
