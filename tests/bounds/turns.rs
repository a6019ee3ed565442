//! What one turn does, when each piece of work takes its time: not too much, in turns by address,
//! and nothing is held against a client that waits for the server.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use sync_server::config::Config;

use crate::world::{World, after, after_ms, close_code, text_frame};

/// What a turn takes in, in time.
const INTAKE: Duration = Duration::from_millis(2);
/// Messages that come at once from one connection.
const MESSAGES: usize = 500;

const LOUD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const QUIET: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

fn world(rate_max: u32) -> World {
    let mut config = Config { room_auto_create: true, room_store: false, ..Config::default() };
    config.limits.message_rate_max = rate_max;
    World::new(config)
}

/// Messages with the ids `0..MESSAGES`, each of which is acknowledged.
fn pings() -> Vec<u8> {
    let ping = |id| text_frame(&format!(r#"{{"action":"ping","id":{id}}}"#));
    (0..MESSAGES).flat_map(ping).collect()
}

/// How many of them are acknowledged in `text`; they must be in order, from `first` on.
fn acknowledged(text: &str, first: usize) -> usize {
    let mut rest = text;
    let mut expected = String::new();
    for id in first.. {
        expected.clear();
        write!(expected, "\"ack\",\"id\":{id}}}").expect("strings take all");
        let Some(at) = rest.find(&expected) else {
            assert_eq!(rest.matches("\"ack\"").count(), 0, "after {id}: {rest}");
            return id - first;
        };
        assert_eq!(rest[..at].matches("\"ack\"").count(), 0, "before {id}: {rest}");
        rest = &rest[at + expected.len()..];
    }
    unreachable!("ids do not end")
}

#[test]
fn a_turn_takes_in_for_some_milliseconds_and_the_rest_in_its_order() {
    let mut world = world(0);
    let client = world.upgrade();
    world.network.work = Duration::from_micros(50);
    world.network.send(client, &pings());
    let (mut done, mut turns) = (0, 0);
    while done < MESSAGES {
        let began = world.network.now.at;
        world.turn_once();
        // Beside the intake: what reads the clock without doing anything.
        let took = world.network.now.at.since(began);
        assert!(took < INTAKE + Duration::from_millis(2), "{took:?}");
        let text = world.take_text(client);
        done += acknowledged(&text, done);
        turns += 1;
        assert!(done > 0, "each turn goes on");
    }
    assert!((10..40).contains(&turns), "{turns}");
}

#[test]
fn a_quiet_address_is_heard_in_the_next_turn() {
    let mut world = world(0);
    let loud: Vec<usize> = (0..50).map(|_| world.upgrade_from(LOUD)).collect();
    let quiet = world.upgrade_from(QUIET);
    world.network.work = Duration::from_micros(50);
    for client in &loud {
        world.network.send(*client, &pings());
    }
    world.turn_once();
    for _ in 0..20 {
        world.network.send(quiet, &text_frame(r#"{"action":"ping","id":0}"#));
        world.turn_once();
        assert_eq!(acknowledged(&world.take_text(quiet), 0), 1);
    }
    // Those of the loud address share what it has.
    let heard: Vec<usize> =
        loud.iter().map(|client| acknowledged(&world.take_text(*client), 0)).collect();
    let (least, most) = (heard.iter().min(), heard.iter().max());
    assert!(least > Some(&0) && most < Some(&MESSAGES), "{heard:?}");
    world.network.work = Duration::ZERO;
    world.pass_until(after(30));
    for (client, heard) in loud.into_iter().zip(heard) {
        assert_eq!(acknowledged(&world.take_text(client), heard), MESSAGES - heard);
    }
}

#[test]
fn a_client_whose_words_wait_is_not_silent() {
    let mut world = world(0);
    let clients: Vec<usize> = (0..50).map(|_| world.join("ROOM")).collect();
    let host = Config::default().limits;
    let timeout_ms = host.ping_timeout_seconds * 1_000;
    world.pass_until(after_ms(timeout_ms - 1));
    // All have been pinged. Each answers, and the server gets round to one in each turn.
    for client in &clients {
        world.network.send(*client, &[0x8a, 0x80, 0, 0, 0, 0]);
    }
    world.network.work = INTAKE;
    for _ in 0..60 {
        world.turn_once();
    }
    assert!(world.network.now.at > after_ms(timeout_ms));
    world.network.work = Duration::ZERO;
    for client in clients {
        assert!(world.is_open(client), "{client}");
    }
}

#[test]
fn what_came_while_the_server_did_not_run_is_measured_when_it_came() {
    let mut world = world(100);
    let (talker, flooder) = (world.upgrade(), world.upgrade());
    // A minute is left out, and there is what came meanwhile: sixty a second.
    world.network.left_out = Duration::from_secs(60);
    for _ in 0..60 {
        world.network.send(talker, &text_frame(r#"{"action":"ping"}"#).repeat(60));
        world.network.send(flooder, &text_frame(r#"{"action":"ping"}"#).repeat(120));
    }
    world.pass_until(after(0));
    let pongs = |world: &mut World, client| world.take_text(client).matches("pong").count();
    let heard = world.take_text(talker);
    assert_eq!((heard.matches("pong").count(), heard.matches("rate_limited").count()), (3_600, 0));
    // A minute's worth and the burst; the rest was too much, and so is what comes now.
    assert_eq!(pongs(&mut world, flooder), 6_000 + 200);
    let bytes = text_frame(r#"{"action":"ping"}"#).repeat(250);
    world.send(talker, &bytes);
    let heard = world.take(talker);
    assert_eq!(close_code(&heard), None);
    let heard = String::from_utf8_lossy(&heard).into_owned();
    assert_eq!((heard.matches("pong").count(), heard.matches("rate_limited").count()), (200, 50));
}
