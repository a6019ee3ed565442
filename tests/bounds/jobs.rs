//! How long anybody waits for the store.

use std::net::{IpAddr, Ipv4Addr};

use sync_server::accounts::Identity;
use sync_server::config::Config;
use sync_server::engine::{Job, Outcome};
use sync_server::store::{Role, StoreError};

use crate::world::{World, after, after_ms};

const LOOK: &str = "GET /api/rooms/ROOM HTTP/1.1\r\nHost: a\r\n\r\n";

/// A server on which several jobs of one kind run at once.
fn world_of_workers() -> World {
    let mut config = Config::default();
    config.limits.worker_threads = 4;
    World::new(config)
}

fn is_lookup((_, job): &(sync_server::base::ids::JobId, Job)) -> bool {
    matches!(job, Job::FindRoom { .. })
}

#[test]
fn after_five_seconds_everybody_who_waits_for_the_store_is_told() {
    let mut world = world_of_workers();
    let (asking, joining, late) = (world.connect(), world.upgrade(), world.connect());
    world.send(asking, LOOK);
    world.pass_until(after(2));
    world.say(joining, r#"{"action":"join","room_code":"ROOM","peer_id":"p","id":7}"#);
    // It waits behind the join.
    world.say(joining, r#"{"action":"ping"}"#);
    world.send(late, "GET /api/rooms/OTHER HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(world.network.jobs.iter().filter(|job| is_lookup(job)).count(), 2);
    world.pass_until(after(4));
    let nothing = [asking, joining, late].map(|client| world.take(client));
    assert!(nothing.iter().all(Vec::is_empty), "{nothing:?}");
    world.pass_until(after(5));
    assert!(world.take_text(asking).starts_with("HTTP/1.1 503 "));
    let told = world.take_text(joining);
    assert!(told.contains("store_unavailable") && told.contains(r#""id":7"#), "{told}");
    assert!(told.contains("pong"), "what waited goes on: {told}");
    assert_eq!(world.take(late), b"", "its five seconds are not over");
    world.pass_until(after(7));
    assert!(world.take_text(late).starts_with("HTTP/1.1 503 "));
}

#[test]
fn an_answer_that_comes_after_that_finds_nobody() {
    let mut world = world_of_workers();
    let client = world.connect();
    world.send(client, LOOK);
    world.pass_until(after(6));
    assert!(world.take_text(client).starts_with("HTTP/1.1 503 "));
    let index = world.network.jobs.iter().position(is_lookup).expect("it still runs");
    world.end_job(index, Outcome::FoundRoom(Ok(None)));
    assert_eq!(world.take(client), b"");
    world.send(client, LOOK);
    let index = world.network.jobs.iter().position(is_lookup).expect("it is asked again");
    world.end_job(index, Outcome::FoundRoom(Ok(None)));
    assert!(world.take_text(client).starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_store_that_does_not_answer_is_asked_every_two_seconds() {
    let mut world = World::new(Config::default());
    let client = world.connect();
    world.send(client, LOOK);
    let away = || StoreError::Unavailable("simulated".into());
    let index = world.network.jobs.iter().position(is_lookup).expect("it is asked");
    world.end_job(index, Outcome::FoundRoom(Err(away())));
    assert!(world.take_text(client).starts_with("HTTP/1.1 503 "));
    for seconds in [2, 4, 6] {
        world.pass_until(after(seconds));
        let index = world.network.jobs.iter().position(|(_, job)| matches!(job, Job::Probe { .. }));
        let index = index.unwrap_or_else(|| panic!("asked after {seconds} s"));
        world.end_job(index, Outcome::Probed(Err(away())));
        assert!(world.network.jobs.is_empty(), "once");
    }
}

#[test]
fn a_sound_store_is_looked_at_every_ten_seconds() {
    let mut world = World::new(Config::default());
    for seconds in [10, 20, 30] {
        world.pass_until(after(seconds));
        let looks = world.network.jobs.iter().filter(|(_, job)| matches!(job, Job::InspectStore));
        assert_eq!((looks.count(), world.network.jobs.len()), (1, 1), "after {seconds} s");
        world.end_job(0, Outcome::InspectedStore(Ok(())));
    }
}

/// A server with so many rooms, all of whose first writes fail at once.
fn with_failed_saves(rooms: usize) -> World {
    let mut config = Config { room_auto_create: true, ..Config::default() };
    config.limits.room_create_rate_max = 0;
    let mut world = World::new(config);
    for number in 0..rooms {
        let client = world.upgrade();
        let join = format!(r#"{{"action":"join","room_code":"ROOM{number}","peer_id":"p"}}"#);
        world.say(client, &join);
        let index = world.network.jobs.iter().position(is_lookup).expect("it is looked for");
        world.end_job(index, Outcome::FoundRoom(Ok(None)));
    }
    assert_eq!(fail_saves(&mut world), rooms);
    world
}

/// The place of a write that is under way.
fn a_save(world: &World) -> Option<usize> {
    world.network.jobs.iter().position(|(_, job)| matches!(job, Job::SaveRooms { .. }))
}

/// How many rooms are being written.
fn count_saves(world: &World) -> usize {
    let rooms = world.network.jobs.iter().map(|(_, job)| match job {
        Job::SaveRooms { rooms, .. } => rooms.len(),
        _ => 0,
    });
    rooms.sum()
}

/// Ends the write that is under way, for each of its rooms with that result. How many they are.
fn end_save(world: &mut World, result: &Result<(), StoreError>) -> usize {
    let Some(index) = a_save(world) else { return 0 };
    let rooms = count_saves(world);
    world.end_job(index, Outcome::SavedRooms(vec![result.clone(); rooms]));
    rooms
}

/// All writes that are under way, or wait for that, fail. How many rooms that were.
fn fail_saves(world: &mut World) -> usize {
    let away = Err(StoreError::Unavailable("simulated".into()));
    std::iter::from_fn(|| Some(end_save(world, &away)).filter(|rooms| *rooms > 0)).sum()
}

fn store_state(world: &mut World) -> bool {
    let asking = world.connect();
    world.send(asking, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = world.take_text(asking);
    assert!(answer.contains(r#""store":"#), "{answer}");
    answer.contains(r#""store":"ok""#)
}

#[test]
fn a_probe_that_works_has_what_failed_tried_at_once_and_each_success_has_more() {
    const ROOMS: usize = 200;
    let mut world = with_failed_saves(ROOMS);
    assert!(!store_state(&mut world));
    // No room is tried again by itself yet: the first waits a second.
    world.answer_probes();
    world.pass_until(after_ms(2_000));
    fail_saves(&mut world);
    // The next attempt by itself is due two seconds later.
    world.pass_until(after_ms(2_900));
    assert_eq!(count_saves(&world), 0);
    world.pass_until(after_ms(4_000));
    fail_saves(&mut world);
    world.pass_until(after_ms(6_000));
    assert_eq!(count_saves(&world), 0, "four seconds are not over");
    world.answer_probes();
    let mut stored = 0;
    let mut most_at_once = 0;
    while count_saves(&world) > 0 {
        assert!(!store_state(&mut world), "{stored} of {ROOMS} are stored");
        most_at_once = most_at_once.max(count_saves(&world));
        stored += end_save(&mut world, &Ok(()));
    }
    assert_eq!(stored, ROOMS, "all of them, without time that passes");
    assert!(most_at_once > 4, "and not one after the other");
    assert!(store_state(&mut world));
}

#[test]
fn what_can_be_read_does_not_mend_what_could_not_be_written() {
    let mut world = with_failed_saves(1);
    let client = world.connect();
    world.send(client, LOOK.replace("ROOM", "OTHER"));
    let index = world.network.jobs.iter().position(is_lookup).expect("it is asked");
    world.end_job(index, Outcome::FoundRoom(Ok(None)));
    assert!(!store_state(&mut world));
    // A small write that works does not mend it either.
    world.answer_probes();
    assert!(!store_state(&mut world));
    world.pass_until(after_ms(2_500));
    world.answer_probes();
    assert!(!store_state(&mut world));
    while end_save(&mut world, &Ok(())) > 0 {}
    assert!(store_state(&mut world));
}

#[test]
fn damage_counts_wherever_it_is_met() {
    let damaged = || StoreError::Damaged("simulated".into());
    let mut world = World::new(Config::default());
    world.pass_until(after(10));
    world.end_job(0, Outcome::InspectedStore(Err(damaged())));
    assert!(!store_state(&mut world));
    let mut world = World::new(Config::default());
    let client = world.connect();
    world.send(client, LOOK);
    let index = world.network.jobs.iter().position(is_lookup).expect("it is asked");
    world.end_job(index, Outcome::FoundRoom(Err(damaged())));
    assert!(!store_state(&mut world));
    world.pass_until(after(2));
    let index = world.network.jobs.iter().position(|(_, job)| matches!(job, Job::Probe { .. }));
    world.end_job(index.expect("it is asked to write"), Outcome::Probed(Err(damaged())));
    assert!(!store_state(&mut world));
    world.pass_until(after(4));
    world.answer_probes();
    assert!(store_state(&mut world));
}

/// As many jobs as may wait for a worker, and one that runs.
fn fill_the_queue(world: &mut World) {
    const READ: &str = "GET /api/admin/stats HTTP/1.1\r\nHost: a\r\n\r\n";
    for _ in 0..=1024 {
        let client = world.connect();
        world.send(client, READ);
        assert_eq!(world.take(client), b"", "it waits");
    }
}

#[test]
fn what_has_to_ask_the_store_while_the_queue_is_full_is_refused_at_once() {
    let mut world = World::new(Config::default());
    let (joining, viewing, creating) = (world.upgrade(), world.connect(), world.connect());
    fill_the_queue(&mut world);
    world.say(joining, r#"{"action":"join","room_code":"ROOM","peer_id":"p","id":7}"#);
    world.say(joining, r#"{"action":"ping"}"#);
    let told = world.take_text(joining);
    assert!(told.contains("store_unavailable") && told.contains(r#""id":7"#), "{told}");
    assert!(told.contains("pong"), "what came behind it goes on: {told}");
    world.send(viewing, LOOK);
    let body = r#"{"desired_room_code":"ROOM"}"#;
    let length = body.len();
    let create =
        format!("POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
    world.send(creating, create);
    for client in [viewing, creating] {
        let answer = world.take_text(client);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
}

#[test]
fn an_address_that_fills_the_queue_makes_place_for_another_and_goes_after_it() {
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const LOGIN: &str = "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    let mut world = World::new(Config::default());
    let crowd: Vec<usize> = (0..1024).map(|_| world.connect()).collect();
    for client in &crowd {
        world.send(*client, format!("GET /api/rooms/ROOM{client} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(world.take(*client), b"", "lookups are bounded by the queue alone");
    }
    let last = world.connect();
    world.send(last, LOOK);
    assert_eq!(world.take(last), b"", "one is with a worker");
    let other = world.connect_from(OTHER);
    world.send(other, "GET /api/rooms/OTHER HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(world.take(other), b"", "it waits");
    assert!(world.take_text(last).starts_with("HTTP/1.1 503 "), "the newest made place");
    let health = world.connect();
    world.send(health, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(world.take_text(health).contains(r#""store":"ok""#), "the store is not to blame");
    for _ in 0..2 {
        let index = world.network.jobs.iter().position(is_lookup).expect("one at a time");
        world.end_job(index, Outcome::FoundRoom(Ok(None)));
    }
    assert_eq!(world.take(other), b"", "one of the crowd had waited for its turn");
    let index = world.network.jobs.iter().position(is_lookup).expect("one at a time");
    world.end_job(index, Outcome::FoundRoom(Ok(None)));
    assert!(world.take_text(other).starts_with("HTTP/1.1 404 "));
    // A login has a worker of its own.
    world.send(other, LOGIN);
    assert!(world.network.jobs.iter().any(|(_, job)| matches!(job, Job::Account { .. })));
}

#[test]
fn a_room_with_a_drawn_code_is_made_while_the_queue_is_full() {
    let mut world = World::new(Config::default());
    let creating = world.connect();
    fill_the_queue(&mut world);
    world.send(creating, "POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    let answer = world.take_text(creating);
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

#[test]
fn a_token_that_is_checked_too_late_makes_no_client_and_no_room() {
    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const HEAD: &str = "Host: a\r\nAuthorization: Bearer t\r\n";
    let mut config = Config { require_auth: true, ..Config::default() };
    config.limits.connections_per_ip_max = 1;
    let mut world = World::new(config);
    let upgrade = format!(
        "GET /ws HTTP/1.1\r\n{HEAD}Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let create = format!("POST /api/rooms HTTP/1.1\r\n{HEAD}Content-Length: 0\r\n\r\n");
    let identity = || Identity { user_id: "u".into(), role: Role::User, version: 1 };
    let is_login = |job: &(_, Job)| matches!(job.1, Job::Authenticate { .. });
    for request in [&create, &upgrade, &upgrade] {
        let client = world.connect_from(ADDRESS);
        world.send(client, request);
        assert_eq!(world.take(client), b"", "the place of the address is free, and it waits");
        world.lose(client);
        let index = world.network.jobs.iter().position(is_login).expect("the token is checked");
        world.end_job(index, Outcome::Authenticated(Ok(identity())));
    }
    assert!(!world.network.jobs.iter().any(is_lookup), "no room is made");
    let client = world.connect_from(ADDRESS);
    world.send(client, &upgrade);
    let index = world.network.jobs.iter().position(is_login).expect("the token is checked");
    world.end_job(index, Outcome::Authenticated(Ok(identity())));
    assert!(world.take_text(client).starts_with("HTTP/1.1 101 "));
}
