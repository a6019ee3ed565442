//! Guesses of room codes: a code of no room costs time, however it was asked for, and a code of a
//! room costs none, whatever those beside its asker do.

use std::net::IpAddr;
use std::time::Duration;

use sync_server::base::time::Timestamp;
use sync_server::config::Config;
use sync_server::engine::{Job, Outcome};

use crate::world::{World, after, after_ms};

/// Codes of no room that one address may ask for at once.
const MISSES: usize = 30;
/// The same for a /56, a /48 and for all.
const MISSES_NEAR: usize = 120;
const MISSES_FAR: usize = 480;
const MISSES_OF_ALL: usize = 600;
/// How late the answer to such a code comes at most.
const DELAY_MAX: Duration = Duration::from_secs(20);

/// The address of a number.
type Numbered = fn(u16) -> IpAddr;

/// Asks for a room in some way.
type Door = fn(&mut World, IpAddr, &str) -> usize;

const CREATED: &str = "HTTP/1.1 201 ";
const NOT_FOUND: &str = "HTTP/1.1 404 ";
const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A server that keeps its rooms in memory, so that each question is answered at once or late.
fn world() -> World {
    let mut config = Config { room_store: false, ..Config::default() };
    config.limits.connections_per_ip_max = 10_000;
    config.limits.room_create_rate_max = 0;
    World::new(config)
}

/// An address of IPv6.
fn v6(network: [u16; 4]) -> IpAddr {
    let [a, b, c, d] = network;
    IpAddr::from([a, b, c, d, 0, 0, 0, 7])
}

/// Asks for the room `code` from `address`; the client.
fn ask(world: &mut World, address: IpAddr, code: &str) -> usize {
    let client = world.connect_from(address);
    world.send(client, format!("GET /api/rooms/{code} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client
}

/// Makes the room `code`, or finds it.
fn post(world: &mut World, address: IpAddr, code: &str) -> usize {
    let client = world.connect_from(address);
    let body = format!(r#"{{"desired_room_code":"{code}","desired_host_id":"h"}}"#);
    let length = body.len();
    let head = format!("POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    world.send(client, head + &body);
    client
}

/// A WebSocket of `address` that asks to join `code`.
fn join(world: &mut World, address: IpAddr, code: &str) -> usize {
    let client = world.connect_from(address);
    world.send(client, UPGRADE);
    assert!(world.take_text(client).starts_with("HTTP/1.1 101 "));
    world.say(client, &format!(r#"{{"action":"join","room_code":"{code}","id":7}}"#));
    client
}

/// Asks for rooms that are nowhere until answers come late.
fn use_up(world: &mut World, address: IpAddr, count: usize) {
    for number in 0..count {
        let client = ask(world, address, &format!("GUESS{number}"));
        let answer = world.take_text(client);
        assert!(answer.starts_with(NOT_FOUND), "guess {number}: {answer}");
    }
}

/// The client is answered at `at` and not before, with something that has `part`.
#[track_caller]
fn check_late(world: &mut World, client: usize, at: Timestamp, part: &str) {
    assert_eq!(world.take_text(client), "", "it is too early");
    world.pass_until(Timestamp(at.0 - 1));
    assert_eq!(world.take_text(client), "", "it is too early still");
    world.pass_until(at);
    let answer = world.take_text(client);
    assert!(answer.contains(part), "{answer}");
}

/// Goal: each door is charged alike, and tells what it always told, later.
#[test]
fn every_door_is_late_beyond_the_allowance() {
    let address = IpAddr::from([192, 0, 2, 1]);
    let charged: [Door; 3] = [ask, join, post];
    let late: [(Door, &str); 2] = [(ask, NOT_FOUND), (join, "room_not_found")];
    for charged in charged {
        for (door, answer) in late {
            let mut world = world();
            for number in 0..MISSES {
                let client = charged(&mut world, address, &format!("GUESS{number}"));
                assert_ne!(world.take_text(client), "", "guess {number}");
            }
            let first = door(&mut world, address, "NOWHERE");
            let second = door(&mut world, address, "NOWHERE2");
            check_late(&mut world, first, after(2), answer);
            check_late(&mut world, second, after(4), answer);
        }
    }
}

/// Goal: a room under a code of the client's choice is made at once as long as its address keeps
/// to the rate of rooms; beyond it, a guess by `POST` is as late as any other.
#[test]
fn a_room_over_the_rate_is_made_or_refused_late() {
    let mut config = Config::default();
    config.limits.connections_per_ip_max = 10_000;
    config.room_store = false;
    let mut world = World::new(config);
    let address = IpAddr::from([192, 0, 2, 1]);
    use_up(&mut world, address, MISSES);
    for number in 0..5 {
        let made = post(&mut world, address, &format!("MADE{number}"));
        assert!(world.take_text(made).starts_with(CREATED), "room {number}");
    }
    let gone = post(&mut world, address, "GONE");
    world.lose(gone);
    let late: Vec<usize> =
        (0..20).map(|number| post(&mut world, address, &format!("LATE{number}"))).collect();
    let there = post(&mut world, address, "MADE0");
    assert!(world.take_text(there).starts_with("HTTP/1.1 200 "), "a right code costs nothing");
    check_late(&mut world, late[0], after(14), CREATED);
    world.pass_until(after(20));
    let answers: Vec<String> = late[1..].iter().map(|late| world.take_text(*late)).collect();
    let count = |status| answers.iter().filter(|answer| answer.starts_with(status)).count();
    assert_eq!((count(CREATED), count("HTTP/1.1 429 ")), (7, 12), "{answers:?}");
    let there = ask(&mut world, address, "GONE");
    check_late(&mut world, there, after(40), NOT_FOUND);
}

/// Goal: nor are many addresses of one network worth more than one for guesses by `POST`.
#[test]
fn rooms_of_a_network_are_made_late_beyond_its_allowance() {
    let mut config = Config { room_store: false, ..Config::default() };
    config.limits.rooms_max = 1_000;
    let mut world = World::new(config);
    let address = |number: usize| {
        let number = u8::try_from(number).expect("a byte");
        IpAddr::from([192, 0, 2, number])
    };
    for number in 0..MISSES_NEAR {
        let made = post(&mut world, address(number), &format!("MADE{number}"));
        assert!(world.take_text(made).starts_with(CREATED), "room {number}");
    }
    let late = post(&mut world, address(200), "LATE");
    check_late(&mut world, late, after_ms(500), CREATED);
}

/// Goal: whatever its address has done, a client with the right code notices nothing.
#[test]
fn a_right_code_is_answered_at_once_however_many_guesses_its_address_has_made() {
    let mut world = world();
    let address = IpAddr::from([192, 0, 2, 1]);
    let host = post(&mut world, address, "ROOM");
    assert!(world.take_text(host).starts_with("HTTP/1.1 201 "));
    for number in 0..2_000 {
        let client = ask(&mut world, address, &format!("GUESS{number}"));
        if number % 2 == 0 {
            world.lose(client);
        }
    }
    let doors: [(Door, &str); 3] =
        [(ask, "HTTP/1.1 200 "), (post, r#""restored":true"#), (join, "room_info")];
    for (door, part) in doors {
        let client = door(&mut world, address, "room");
        let answer = world.take_text(client);
        assert!(answer.contains(part), "{answer}");
    }
    let late = ask(&mut world, address, "NOWHERE");
    check_late(&mut world, late, after(20), NOT_FOUND);
}

/// Goal: one stale client that asks for a gone room every 2 s disturbs none beside it.
#[test]
fn a_stale_client_delays_no_host_that_comes_back() {
    let mut world = world();
    let address = IpAddr::from([192, 0, 2, 1]);
    post(&mut world, address, "ROOM");
    let stale = join(&mut world, address, "GONE");
    for round in 0..300 {
        world.say(stale, r#"{"action":"join","room_code":"GONE"}"#);
        world.pass_until(after(2 * round));
        assert!(world.is_open(stale), "a wrong code is no reason to close");
        if round % 10 == 0 {
            let host = post(&mut world, address, "ROOM");
            assert!(world.take_text(host).starts_with("HTTP/1.1 200 "), "round {round}");
            let member = join(&mut world, address, "ROOM");
            assert!(world.take_text(member).contains("room_info"), "round {round}");
            world.lose(member);
            world.lose(host);
        }
    }
    world.pass_until(after(700));
    let told = world.take_text(stale).matches("room_not_found").count();
    assert_eq!(told, 301, "each is answered");
}

/// Goal: neither many networks of one site nor many sites are worth more than their allowance.
#[test]
fn misses_are_counted_for_wider_networks_and_for_all() {
    let networks: [(usize, u16, Numbered); 6] = [
        // One /64, …
        (MISSES, 1, |_| v6([0x2001, 0xdb8, 0, 0])),
        // … a new /64 of the same /56, a new /56 of the same /48, and a new /48 each time.
        (MISSES_NEAR, 1, |number| v6([0x2001, 0xdb8, 0, number % 256])),
        (MISSES_FAR, 256, |number| v6([0x2001, 0xdb8, 0, number])),
        (MISSES_OF_ALL, 1, |number| v6([0x2001, 0xdb8, number, 0])),
        (MISSES_NEAR, 1, |number| IpAddr::from([10, 0, 0, number.to_be_bytes()[1]])),
        (MISSES_FAR, 256, |number| {
            let [high, low] = number.to_be_bytes();
            IpAddr::from([10, 0, high, low])
        }),
    ];
    for (count, step, address) in networks {
        let mut world = world();
        let numbers = || (0..=u16::MAX).map(|number| number.wrapping_mul(step));
        let mut askers = numbers().map(address);
        for number in 0..count {
            let asker = askers.next().expect("there are enough");
            let client = ask(&mut world, asker, "NOWHERE");
            let answer = world.take_text(client);
            assert!(answer.starts_with(NOT_FOUND), "{asker}, guess {number} of {count}: {answer}");
        }
        let late = ask(&mut world, askers.next().expect("one more"), "NOWHERE");
        assert_eq!(world.take_text(late), "", "{count} are enough");
        world.pass_until(after(2));
        assert!(world.take_text(late).starts_with(NOT_FOUND));
    }
}

/// Goal: a client that asks for many unknown rooms in the same instant, before the store has
/// answered for the first of them, gains nothing by it.
#[test]
fn guesses_that_wait_for_the_store_together_are_all_counted() {
    const GUESSES: usize = 100;
    let mut config = Config::default();
    config.limits.connections_per_ip_max = 10_000;
    let mut world = World::new(config);
    let address = IpAddr::from([192, 0, 2, 1]);
    let clients: Vec<usize> =
        (0..GUESSES).map(|number| ask(&mut world, address, &format!("GUESS{number}"))).collect();
    while let Some(index) =
        world.network.jobs.iter().position(|(_, job)| matches!(job, Job::FindRoom { .. }))
    {
        world.end_job(index, Outcome::FoundRoom(Ok(None)));
    }
    let answered = |world: &mut World| {
        let texts = clients.iter().map(|client| world.take_text(*client));
        texts.filter(|text| text.starts_with(NOT_FOUND)).count()
    };
    assert_eq!(answered(&mut world), MISSES);
    world.pass_until(after(2));
    assert_eq!(answered(&mut world), 1);
    world.pass_until(after(4));
    assert_eq!(answered(&mut world), 1);
    world.pass_until(after(4) + DELAY_MAX);
    assert_eq!(answered(&mut world), GUESSES - MISSES - 2);
}

/// Goal: one answer waits for a connection, which is not read meanwhile; none for one that is gone.
#[test]
fn as_many_answers_wait_as_there_are_connections() {
    let mut world = world();
    let address = IpAddr::from([192, 0, 2, 1]);
    use_up(&mut world, address, MISSES);
    let client = world.connect_from(address);
    let request = "GET /api/rooms/NOWHERE HTTP/1.1\r\nHost: a\r\n\r\n";
    world.send(client, request.repeat(100));
    let member = join(&mut world, address, "NOWHERE");
    for _ in 0..100 {
        world.say(member, r#"{"action":"join","room_code":"NOWHERE"}"#);
    }
    for seconds in [2, 4] {
        world.pass_until(after(seconds));
    }
    let answers = world.take_text(client).matches(NOT_FOUND).count();
    let errors = world.take_text(member).matches("room_not_found").count();
    assert_eq!((answers, errors), (1, 1));
    world.lose(client);
    world.pass_until(after(30));
}

/// Goal: a server that stops tells those that wait at once.
#[test]
fn a_stop_waits_for_no_late_answer() {
    let mut world = world();
    let address = IpAddr::from([192, 0, 2, 1]);
    use_up(&mut world, address, MISSES);
    let late = ask(&mut world, address, "NOWHERE");
    let member = join(&mut world, address, "NOWHERE");
    world.stop();
    assert!(world.take_text(late).starts_with(NOT_FOUND));
    assert!(world.take_text(member).contains("room_not_found"));
}
