//! Guesses that are not waited for: what a guess costs is a place of its address, until its answer
//! would have been due.

use std::net::IpAddr;

use sync_server::config::{Config, TrustedProxies};

use crate::world::{World, after};

/// Connections of one address.
const PLACES: usize = 20;
/// Addresses' worth of places that one site may owe.
const SITE_ADDRESSES: usize = 4;
/// How late an answer comes at most, in seconds, and codes that are answered at once before.
const DELAY_MAX_S: u64 = 20;
const MISSES: usize = 30;

const FOUND: &str = "HTTP/1.1 200 ";
const NOT_FOUND: &str = "HTTP/1.1 404 ";
const REFUSED: &str = "HTTP/1.1 503 ";

/// A server with a room, whose codes of no room are all late at `address`, as late as can be.
fn world(address: IpAddr) -> World {
    let mut config = Config {
        room_store: false,
        trusted_proxies: TrustedProxies::parse("10.0.0.1").expect("it is one"),
        ..Config::default()
    };
    config.limits.connections_per_ip_max = u32::try_from(PLACES).expect("a small number");
    config.limits.room_create_rate_max = 0;
    let mut world = World::new(config);
    make(&mut world, address, "ROOM");
    // Without a limit of rooms these are counted, and never late.
    for number in 0..2 * MISSES {
        make(&mut world, address, &format!("MADE{number}"));
    }
    world
}

/// Makes the room `code`.
fn make(world: &mut World, address: IpAddr, code: &str) {
    let maker = world.connect_from(address);
    let body = format!(r#"{{"desired_room_code":"{code}"}}"#);
    let length = body.len();
    let head = format!("POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    world.send(maker, head + &body);
    world.lose(maker);
}

/// Asks for the room `code`; what the client is told at once.
fn ask(world: &mut World, client: usize, fields: &str, code: &str) -> String {
    world.send(client, format!("GET /api/rooms/{code} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    world.take_text(client)
}

/// A guess on a connection of its own, which is dropped. Whether there was a place for it.
fn churn(world: &mut World, address: IpAddr) -> bool {
    let client = world.connect_from(address);
    let refused = world.take_text(client);
    if refused.is_empty() {
        assert_eq!(ask(world, client, "", "NOWHERE"), "", "it is late");
    } else {
        assert!(refused.starts_with(REFUSED), "{refused}");
    }
    world.lose(client);
    refused.is_empty()
}

/// Goal: however fast connections are dropped, an address has as many guesses as places in the
/// time that an answer takes; a right code costs nothing, as long as there is a place.
#[test]
fn guesses_that_are_not_waited_for_take_a_place_until_they_would_be_answered() {
    let address = IpAddr::from([192, 0, 2, 1]);
    let mut world = world(address);
    let member = world.connect_from(address);
    for round in 0..3 {
        let guesses = (0..100).filter(|_| churn(&mut world, address)).count();
        assert_eq!(guesses, PLACES - 1, "round {round}");
        assert!(ask(&mut world, member, "", "ROOM").starts_with(FOUND), "it has its place");
        let other = world.connect_from(IpAddr::from([192, 0, 2, 2]));
        assert!(ask(&mut world, other, "", "ROOM").starts_with(FOUND), "its address owes nothing");
        world.lose(other);
        world.pass_until(after((round + 1) * DELAY_MAX_S - 1));
        assert!(!churn(&mut world, address), "round {round}: it is too early");
        world.pass_until(after((round + 1) * DELAY_MAX_S));
        let back = world.connect_from(address);
        assert!(ask(&mut world, back, "", "ROOM").starts_with(FOUND), "round {round}");
        world.lose(back);
    }
}

/// Goal: who waits for its answer takes one place, and owes none after it.
#[test]
fn an_answer_that_was_given_is_owed_no_more() {
    let address = IpAddr::from([192, 0, 2, 1]);
    let mut world = world(address);
    let waiting: Vec<usize> = (0..PLACES).map(|_| world.connect_from(address)).collect();
    for client in &waiting {
        assert_eq!(ask(&mut world, *client, "", "NOWHERE"), "");
    }
    assert!(!churn(&mut world, address));
    world.pass_until(after(DELAY_MAX_S));
    for client in waiting {
        assert!(world.take_text(client).starts_with(NOT_FOUND));
        world.lose(client);
    }
    assert_eq!((0..100).filter(|_| churn(&mut world, address)).count(), PLACES);
}

/// Goal: the 65,536 networks of one /48 are not worth more than a few addresses.
#[test]
fn a_site_owes_no_more_than_a_few_addresses() {
    let v6 = |site: u16, net: u16| IpAddr::from([0x2001, 0xdb8, site, net, 0, 0, 0, 1]);
    let mut world = world(v6(0, 0));
    let nets = 1..=u16::try_from(2 * SITE_ADDRESSES * PLACES).expect("a small number");
    let member = world.connect_from(v6(1, 0));
    assert!(ask(&mut world, member, "", "ROOM").starts_with(FOUND));
    // Then those of the site are late, of whichever address.
    for net in nets.clone().cycle().take(1_000) {
        let client = world.connect_from(v6(1, net));
        ask(&mut world, client, "", "NOWHERE");
    }
    world.pass_until(after(DELAY_MAX_S));
    let guesses = nets.filter(|net| churn(&mut world, v6(1, *net))).count();
    assert_eq!(guesses, SITE_ADDRESSES * PLACES);
    let other = world.connect_from(v6(2, 1));
    assert!(ask(&mut world, other, "", "ROOM").starts_with(FOUND), "another site owes nothing");
    assert!(ask(&mut world, member, "", "ROOM").starts_with(FOUND), "it has its place");
    world.pass_until(after(2 * DELAY_MAX_S));
    let back = world.connect_from(v6(1, 1));
    assert!(ask(&mut world, back, "", "ROOM").starts_with(FOUND));
}

/// Goal: a client behind a proxy takes places of the address that the proxy names, over HTTP and
/// as a WebSocket.
#[test]
fn guesses_through_a_proxy_take_places_of_the_client() {
    let proxy = IpAddr::from([10, 0, 0, 1]);
    let address = IpAddr::from([192, 0, 2, 1]);
    let named = "X-Forwarded-For: 192.0.2.1\r\n";
    for is_web_socket in [false, true] {
        let mut world = world(address);
        let mut guesses = 0;
        for _ in 0..100 {
            let client = world.connect_from(proxy);
            let answer = if is_web_socket {
                upgrade_and_join(&mut world, client, named)
            } else {
                ask(&mut world, client, named, "NOWHERE")
            };
            assert!(answer.is_empty() || answer.starts_with(REFUSED), "{answer}");
            guesses += usize::from(answer.is_empty());
            world.lose(client);
        }
        assert_eq!(guesses, PLACES, "WebSocket: {is_web_socket}");
        let client = world.connect_from(proxy);
        assert!(ask(&mut world, client, named, "ROOM").starts_with(REFUSED));
        let other = ask(&mut world, client, "X-Forwarded-For: 192.0.2.2\r\n", "ROOM");
        assert!(other.starts_with(FOUND), "the proxy's connection is not to blame: {other}");
        world.pass_until(after(DELAY_MAX_S));
        assert!(ask(&mut world, client, named, "ROOM").starts_with(FOUND));
    }
}

/// Asks for a room that is nowhere over a WebSocket; what the client is told at once.
fn upgrade_and_join(world: &mut World, client: usize, fields: &str) -> String {
    let upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    world.send(client, format!("{upgrade}{fields}\r\n"));
    let answer = world.take_text(client);
    if answer.starts_with("HTTP/1.1 101 ") {
        world.say(client, r#"{"action":"join","room_code":"NOWHERE","id":7}"#);
        return world.take_text(client);
    }
    answer
}
