//! New settings while the server runs: they hold from that moment on, and nobody is sent away.

use std::net::{IpAddr, Ipv4Addr};

use sync_server::config::{AllowedOrigins, Config, HostAuth, Limits, TrustedProxies};

use crate::world::{World, after, close_code};

const PING: [u8; 2] = [0x89, 0];

/// Rooms in memory only, made by whoever joins first.
fn config() -> Config {
    Config { room_auto_create: true, room_store: false, ..Config::default() }
}

/// A server with these settings, which then become `change`d ones, and a member who was there
/// before.
fn reloaded(before: Config, change: impl FnOnce(&mut Config)) -> (World, usize) {
    let mut after = before.clone();
    change(&mut after);
    let mut world = World::new(before);
    let member = world.join("ROOM");
    world.reload(&after);
    assert_eq!(world.network.clients[member].gone_at, None);
    assert_eq!(world.take(member), [0_u8; 0], "it hears nothing of it");
    (world, member)
}

fn post(world: &mut World, headers: &str) -> String {
    let client = world.connect();
    let head = "POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n";
    world.send(client, format!("{head}{headers}\r\n"));
    world.take_text(client)
}

/// The answer to a message of exactly 120 bytes, as text, and the code of a Close frame in it.
fn say_120_bytes(world: &mut World, member: usize) -> (String, Option<u16>) {
    let message = format!(r#"{{"action":"ping","id":"{}"}}"#, "x".repeat(95));
    assert_eq!(message.len(), 120);
    world.say(member, &message);
    let answer = world.take(member);
    (String::from_utf8_lossy(&answer).into_owned(), close_code(&answer))
}

#[test]
fn shorter_times_hold_for_who_waits_already() {
    let mut world = World::new(config());
    let (member, silent) = (world.join("ROOM"), world.connect());
    let mut new = config();
    new.limits.ping_interval_seconds = 2;
    new.limits.ping_timeout_seconds = 4;
    new.limits.header_timeout_seconds = 3;
    world.reload(&new);
    assert_eq!(world.take(member), [0_u8; 0]);
    world.pass_until(after(2));
    assert_eq!(world.take(member), PING);
    world.pass_until(after(3));
    assert_eq!(world.network.clients[silent].gone_at, Some(after(3)));
    world.pass_until(after(4));
    assert_eq!(world.network.clients[member].gone_at, Some(after(4)));
}

#[test]
fn longer_times_hold_for_who_waits_already() {
    let mut before = config();
    before.limits.ping_interval_seconds = 2;
    before.limits.ping_timeout_seconds = 4;
    let (mut world, member) = reloaded(before, |config| config.limits = Limits::default());
    world.pass_until(after(14));
    assert_eq!(world.take(member), [0_u8; 0]);
    world.pass_until(after(25));
    assert_eq!(world.take(member), PING);
}

#[test]
fn the_size_of_messages_changes_for_members() {
    let mut small = config();
    small.limits.message_bytes_max = 119;
    let (mut world, member) = reloaded(config(), |config| config.limits = small.limits.clone());
    assert_eq!(say_120_bytes(&mut world, member).1, Some(1009));
    let (mut world, member) = reloaded(small, |config| config.limits = Limits::default());
    let (answer, code) = say_120_bytes(&mut world, member);
    assert!(answer.contains("pong") && code.is_none(), "{answer}");
}

#[test]
fn the_rates_change() {
    let (mut world, member) = reloaded(config(), |config| {
        config.limits.message_rate_max = 1;
        config.limits.room_create_rate_max = 0;
    });
    world.pass_until(after(10));
    let answers = [(); 3].map(|()| {
        world.say(member, r#"{"action":"ping"}"#);
        world.take_text(member)
    });
    let refused = answers.map(|answer| answer.contains("rate_limited"));
    assert_eq!(refused, [false, false, true], "two seconds' worth at once");
    for _ in 0..10 {
        assert!(post(&mut world, "").starts_with("HTTP/1.1 201"), "beyond the burst of five");
    }
}

#[test]
fn lower_limits_keep_out_who_comes_later() {
    let mut world = World::new(config());
    let (first, second) = (world.join("ROOM"), world.join("ROOM"));
    let address = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
    let from_elsewhere = [world.connect_from(address), world.connect_from(address)];
    let mut new = config();
    new.limits.peers_per_room_max = 1;
    new.limits.rooms_max = 1;
    new.limits.connections_per_ip_max = 1;
    world.reload(&new);
    world.take(first);
    let third = world.upgrade();
    for (code, expected) in [("ROOM", "room_full"), ("OTHER", "too_many_rooms")] {
        world.say(third, &format!(r#"{{"action":"join","room_code":"{code}","peer_id":"x"}}"#));
        let answer = world.take_text(third);
        assert!(answer.contains(expected), "{answer}");
    }
    world.say(second, r#"{"action":"broadcast","data":1}"#);
    assert!(world.take_text(first).contains(r#""type":"data""#), "both are still there");
    let late = world.connect_from(address);
    assert!(world.take_text(late).starts_with("HTTP/1.1 503"));
    assert!(from_elsewhere.iter().all(|client| world.network.clients[*client].gone_at.is_none()));
}

#[test]
fn memory_may_become_less() {
    let (mut world, member) = reloaded(config(), |_| {});
    let (answer, _) = say_120_bytes(&mut world, member);
    assert!(answer.contains("pong"), "{answer}");
    // The places of two connections and a KiB.
    let mut less = config();
    less.limits.memory_budget_bytes = 2 * world.used_bytes() + (1 << 10);
    world.reload(&less);
    // A request of 2 KiB that does not come to its end.
    let large = world.connect();
    world.send(large, format!("GET / HTTP/1.1\r\nHost: {}", "a".repeat(2 << 10)));
    world.pass_until(after(1));
    assert!(world.network.clients[large].gone_at.is_some(), "who holds most has to go");
    assert_eq!(world.network.clients[member].gone_at, None);
}

#[test]
fn origins_and_proxies_change() {
    let (mut world, _) = reloaded(config(), |config| {
        config.allowed_origins = AllowedOrigins::parse("https://b.example").expect("an origin");
        config.trusted_proxies = TrustedProxies::parse("127.0.0.1").expect("an address");
    });
    for (origin, expected) in [("a", "HTTP/1.1 403"), ("b", "HTTP/1.1 101")] {
        let client = world.connect();
        world.send(
            client,
            format!(
                "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Origin: https://{origin}.example\r\n\r\n"
            ),
        );
        let answer = world.take_text(client);
        assert!(answer.starts_with(expected), "{answer}");
    }
    let answer = post(&mut world, "Origin: https://b.example\r\nX-Forwarded-Proto: https\r\n");
    assert!(answer.contains("Access-Control-Allow-Origin: https://b.example"), "{answer}");
    assert!(answer.contains("wss://a/ws"), "the proxy is believed: {answer}");
    assert!(!post(&mut world, "Origin: https://a.example\r\n").contains("https://a.example"));
}

#[test]
fn what_has_to_wait_for_the_next_start_stays() {
    let (mut world, _) = reloaded(config(), |config| {
        config.require_auth = true;
        config.host_auth = HostAuth::Token;
        config.room_store = true;
        config.limits.worker_threads = 16;
    });
    let answer = post(&mut world, "");
    assert!(answer.starts_with("HTTP/1.1 201"), "without a login: {answer}");
    world.join("OTHER");
    assert!(world.network.jobs.is_empty(), "the store is asked for no room");
}
