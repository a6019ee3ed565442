//! A disk that takes 20 ms to make anything durable: all that wait are stored together, and
//! neither logins nor lookups wait for that, or for what another address asks for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::{Deadline, Directory, HttpClient, Server, WebSocketClient};

/// Code that is not optimised, on a machine that others use as well.
const FACTOR: u32 = if cfg!(debug_assertions) { 3 } else { 1 };
/// The promise for acknowledgements, at the 99th percentile.
const ACKS_P99_MAX: Duration = Duration::from_millis(1_500 * FACTOR as u64);
/// The promise for logins.
const LOGIN_MAX: Duration = Duration::from_secs(FACTOR as u64);
/// The promise for a room that has to be looked up.
const LOOKUP_MAX: Duration = Duration::from_secs(FACTOR as u64);

const ROOMS: usize = 200;
/// Changes of each room, one a second.
const CHANGES: usize = 4;
const DOCUMENT_BYTES: usize = 20_000;

const EMAIL: &str = "root@example.com";
const PASSWORD: &str = "a good password";

/// The server on that disk.
struct SlowDisk {
    server: Server,
    calls: PathBuf,
}

impl SlowDisk {
    fn start(directory: &Arc<Directory>) -> Self {
        let library = build(directory.path());
        let calls = directory.path().join("calls");
        let text = |path: &Path| path.to_str().expect("cargo's paths are text").to_owned();
        let (library, calls_name) = (text(&library), text(&calls));
        let settings = [
            ("LD_PRELOAD", &*library),
            ("SLOW_DISK_CALLS", &*calls_name),
            ("ROOM_CREATE_RATE", "0"),
            ("TRUSTED_PROXIES", "127.0.0.1"),
            ("INITIAL_ADMIN_EMAIL", EMAIL),
            ("INITIAL_ADMIN_PASSWORD", PASSWORD),
        ];
        Self { server: Server::start_in(directory, &settings), calls }
    }

    /// How often the server has waited for the disk so far.
    fn calls(&self) -> u64 {
        fs::metadata(&self.calls).map_or(0, |file| file.len())
    }

    /// How long a login from `address` takes.
    fn login(&self, address: &str) -> Duration {
        let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
        let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", address)];
        let clock = Deadline::start();
        let response = self.server.http("POST", "/api/auth/login", &headers, &body);
        assert_eq!(response.status, 200, "{}", response.text());
        clock.passed()
    }

    /// How long it takes a client at `address` to make a room that has to be looked up first.
    fn look_up(&self, address: &str, code: &str) -> Duration {
        let body = json!({ "desired_room_code": code }).to_string();
        let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", address)];
        let clock = Deadline::start();
        let response = self.server.http("POST", "/api/rooms", &headers, &body);
        assert_eq!(response.status, 201, "{}", response.text());
        clock.passed()
    }
}

/// Sets it at the end, also of a test that fails.
struct StopWhenDropped<'a>(&'a AtomicBool);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Compiles the disk into `directory`.
fn build(directory: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/limits/slow_disk.c");
    let library = directory.join("slow_disk.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .args([&library, &source])
        .status()
        .expect("SQLite was built with it");
    assert!(built.success(), "{} does not compile", source.display());
    library
}

/// Waits until `clock` shows `time`.
fn wait_until(clock: &Deadline, time: Duration) {
    // Nobody ever sends: waiting for it is the pace.
    let (_silent, pace) = mpsc::channel::<()>();
    let _timed_out = pace.recv_timeout(time.saturating_sub(clock.passed()));
}

/// Changes the document of a room once a second; how long each acknowledgement took.
fn change(host: &mut WebSocketClient, number: usize) -> Vec<Duration> {
    let clock = Deadline::start();
    let offset = Duration::from_millis(5) * u32::try_from(number).expect("few");
    let document = "d".repeat(DOCUMENT_BYTES);
    (0..CHANGES)
        .map(|change| {
            wait_until(&clock, offset + Duration::from_secs(change as u64));
            let trip = Deadline::start();
            host.send_json(&json!({
                "action": "sync_document", "document": format!("{change}{document}"), "id": change
            }));
            host.wait_for(|message| message["type"] == "ack" && message["id"] == change);
            trip.passed()
        })
        .collect()
}

/// Asks for rooms that are in the store only, one after the other, until `stop`.
fn look_at_rooms(disk: &SlowDisk, number: usize, stop: &AtomicBool) {
    let mut client: HttpClient = disk.server.open();
    while !stop.load(Ordering::Relaxed) {
        let path = format!("/api/rooms/BIG{number}");
        client.request("GET", &path, &[("X-Forwarded-For", "198.51.100.1")], "");
        assert_eq!(client.response().status, 200);
    }
}

fn quantile(times: &mut [Duration], share: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * share / 100).min(times.len() - 1)]
}

#[test]
fn a_disk_of_twenty_milliseconds_stores_two_hundred_rooms_a_second_and_delays_nobody() {
    const READERS: usize = 20;
    let begun = Deadline::start();
    let directory = Directory::new();
    let mut disk = SlowDisk::start(&directory);
    let big = "b".repeat(500_000);
    let mut hosts: Vec<WebSocketClient> =
        (0..READERS).map(|number| disk.server.host(&format!("BIG{number}"), "host")).collect();
    for host in &mut hosts {
        host.send_json(&json!({ "action": "sync_document", "document": big, "id": 1 }));
    }
    for host in &mut hosts {
        host.wait_for(|message| message["type"] == "ack");
    }
    assert!(disk.calls() > 0, "the disk is not in use");
    assert_eq!(disk.server.stop(), Some(0));

    let disk = SlowDisk::start(&directory);
    let mut hosts: Vec<WebSocketClient> =
        (0..ROOMS).map(|number| disk.server.host(&format!("ROOM{number}"), "host")).collect();
    let (before, acks, stop) = (disk.calls(), Mutex::new(Vec::new()), AtomicBool::new(false));
    println!("after {:.1?} {before} waits for the disk", begun.passed());
    let clock = Deadline::start();
    let (mut logins, mut lookups) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let changing: Vec<_> = hosts
            .iter_mut()
            .enumerate()
            .map(|(number, host)| {
                let acks = &acks;
                scope.spawn(move || {
                    let times = change(host, number);
                    acks.lock().expect("nobody panics with it").extend(times);
                })
            })
            .collect();
        for number in 0..READERS {
            let (disk, stop) = (&disk, &stop);
            scope.spawn(move || look_at_rooms(disk, number, stop));
        }
        let _stopping = StopWhenDropped(&stop);
        while !changing.iter().all(thread::ScopedJoinHandle::is_finished) {
            let number = logins.len();
            wait_until(&clock, Duration::from_millis(500) * u32::try_from(number).expect("few"));
            logins.push(disk.login("203.0.113.1"));
            lookups.push(disk.look_up("203.0.113.2", &format!("NEW{number}")));
        }
    });
    let took = clock.passed();
    let calls = disk.calls() - before;
    let mut acks = acks.into_inner().expect("all threads have ended");
    let [median, p99] = [50, 99].map(|share| quantile(&mut acks, share));
    let [login, lookup] = [&mut logins, &mut lookups].map(|times| quantile(times, 100));
    println!(
        "{} documents in {took:.1?} with {calls} waits for the disk: acknowledged after \
         {median:?}, p99 {p99:?}; the slowest of {} logins {login:?}, of as many lookups \
         {lookup:?}",
        acks.len(),
        logins.len(),
    );
    assert_eq!(acks.len(), ROOMS * CHANGES);
    assert!(calls < acks.len() as u64 / 2, "{calls} waits for the disk");
    assert!(p99 < ACKS_P99_MAX, "acknowledged after {p99:?}");
    assert!(login < LOGIN_MAX, "a login took {login:?}");
    assert!(lookup < LOOKUP_MAX, "a lookup took {lookup:?}");
}
