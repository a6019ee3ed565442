//! Stopping: in which order, and how long it takes.

use sync_server::accounts::Identity;
use sync_server::config::{Config, SyncWriters};
use sync_server::engine::{Job, Outcome};
use sync_server::session::Ended;
use sync_server::store::{Role, StoreError};

use crate::world::{World, after, after_ms, close_code};

const READY: &str = "GET /health/ready HTTP/1.1\r\nHost: a\r\n";
const SYNC: &str = r#"{"action":"sync_document","document":"newest","id":1}"#;

/// A server that keeps its rooms in a store, if `stores`, and has a room.
fn world(stores: bool) -> World {
    World::new(Config {
        room_auto_create: true,
        room_store: stores,
        sync_writers: SyncWriters::Any,
        ..Config::default()
    })
}

/// Joins a room that the store does not have.
fn join_stored(world: &mut World) -> usize {
    let client = world.upgrade();
    world.say(client, r#"{"action":"join","room_code":"ROOM","peer_id":"p"}"#);
    let index = world.network.jobs.iter().position(|(_, job)| matches!(job, Job::FindRoom { .. }));
    world.end_job(index.expect("the room is looked for"), Outcome::FoundRoom(Ok(None)));
    save(world).expect("the room is stored at once");
    assert!(world.take_text(client).contains("connected"));
    client
}

/// The store answers the save that is under way, if there is one.
fn save(world: &mut World) -> Option<()> {
    let index =
        world.network.jobs.iter().position(|(_, job)| matches!(job, Job::SaveRooms { .. }))?;
    world.end_job(index, Outcome::SavedRooms(vec![Ok(())]));
    Some(())
}

#[test]
fn a_crowd_is_sent_away_evenly_over_two_seconds() {
    const CROWD: u64 = 200;
    const SPREAD_MS: u64 = 2_000;
    let mut world = world(false);
    let clients: Vec<usize> = (0..CROWD).map(|_| world.join("ROOM")).collect();
    world.stop();
    let mut closed = 0;
    for ms in (0..SPREAD_MS).step_by(10) {
        world.pass_until(after_ms(ms));
        for client in &clients {
            closed += u64::from(close_code(&world.take(*client)) == Some(1001));
        }
        // One at once, then one every hundredth of a second.
        assert_eq!(closed, 1 + ms * CROWD / SPREAD_MS, "after {ms} ms");
    }
    assert_eq!(closed, CROWD);
}

#[test]
fn fifty_are_sent_away_at_once() {
    let mut world = world(false);
    let clients: Vec<usize> = (0..50).map(|_| world.join("ROOM")).collect();
    world.stop();
    assert!(clients.iter().all(|client| close_code(&world.take(*client)) == Some(1001)));
}

#[test]
fn a_short_grace_shortens_the_goodbye() {
    let mut config = Config { room_auto_create: true, room_store: false, ..Config::default() };
    config.limits.shutdown_grace_seconds = 1;
    let mut world = World::new(config);
    let clients: Vec<usize> = (0..100).map(|_| world.join("ROOM")).collect();
    world.stop();
    world.pass_until(after_ms(500));
    assert!(clients.iter().all(|client| close_code(&world.take(*client)) == Some(1001)));
}

#[test]
fn it_is_not_ready_before_the_first_client_is_sent_away() {
    let mut world = world(true);
    let member = join_stored(&mut world);
    let (probing, idle) = (world.connect(), world.connect());
    world.send(probing, READY);
    world.pass_until(after(1));
    world.say(member, SYNC);
    world.stop();
    assert_eq!(world.network.clients[idle].gone_at, Some(after(1)), "nothing of it was lost");
    world.send(probing, "\r\n");
    assert!(world.take_text(probing).starts_with("HTTP/1.1 503 "));
    assert!(world.network.clients[probing].shut_at.is_some(), "its last answer");
    assert_eq!(world.take(member), b"", "still a member");
}

#[test]
fn documents_are_stored_and_acknowledged_before_anybody_is_sent_away() {
    let mut world = world(true);
    let member = join_stored(&mut world);
    world.pass_until(after(5));
    world.say(member, SYNC);
    // Within a second of the one before: it would wait for its turn.
    save(&mut world).expect("the first change is stored at once");
    assert!(world.take_text(member).contains("ack"));
    world.say(member, SYNC);
    assert!(save(&mut world).is_none(), "it waits");
    world.stop();
    world.pass_until(after(6));
    assert_eq!(world.take(member), b"", "the store has not answered");
    assert!(!world.is_finished());
    save(&mut world).expect("all is stored at once");
    let last = world.take(member);
    assert!(String::from_utf8_lossy(&last).contains(r#""type":"ack","id":1"#), "{last:?}");
    assert_eq!(close_code(&last), Some(1001));
    assert!(world.is_finished());
}

#[test]
fn a_store_that_does_not_answer_delays_the_goodbye_by_two_seconds() {
    let mut world = world(true);
    let member = join_stored(&mut world);
    world.pass_until(after(5));
    world.say(member, SYNC);
    world.stop();
    world.pass_until(after_ms(6_999));
    assert_eq!(world.take(member), b"");
    world.pass_until(after(7));
    assert_eq!(close_code(&world.take(member)), Some(1001));
    assert!(!world.is_finished(), "it is still worth waiting, within the grace");
    // A write that failed is tried again meanwhile.
    let index = world.network.jobs.iter().position(|(_, job)| matches!(job, Job::SaveRooms { .. }));
    let away = StoreError::Unavailable("simulated".into());
    world.end_job(index.expect("it is under way"), Outcome::SavedRooms(vec![Err(away)]));
    assert!(!world.is_finished());
    world.pass_until(after(9));
    save(&mut world).expect("it is tried again");
    world.answer_probes();
    assert!(world.is_finished());
}

#[test]
fn who_is_let_in_too_late_is_turned_away() {
    let mut world = World::new(Config { require_auth: true, ..Config::default() });
    let client = world.connect();
    world.send(
        client,
        "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: Bearer token\r\n\r\n",
    );
    world.stop();
    let index =
        world.network.jobs.iter().position(|(_, job)| matches!(job, Job::Authenticate { .. }));
    let identity = Identity { user_id: "u".to_owned(), role: Role::User, version: 0 };
    world.end_job(index.expect("its token is checked"), Outcome::Authenticated(Ok(identity)));
    assert!(world.take_text(client).starts_with("HTTP/1.1 503 "));
}

#[test]
fn who_was_just_let_in_is_still_answered() {
    const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut world = World::new(Config::default());
    let (silent, served) = (world.connect(), world.connect());
    world.send(served, HEALTH);
    world.pass_until(after_ms(4_500));
    let (slow, late) = (world.connect(), world.connect());
    world.pass_until(after_ms(5_000));
    world.take(served);

    world.stop();
    world.pass_until(after_ms(5_499));
    for client in [silent, served] {
        let gone_at = world.network.clients[client].gone_at;
        assert_eq!(gone_at, Some(after_ms(5_000)), "it had time enough");
    }
    world.send(late, HEALTH);
    let answer = world.take_text(late);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Connection: close"), "{answer}");
    assert_eq!(world.network.clients[slow].gone_at, None);
    world.pass_until(after_ms(5_500));
    assert_eq!(
        world.network.clients[slow].gone_at,
        Some(after_ms(5_500)),
        "a second since it came"
    );
}

#[test]
fn it_ends_with_the_last_connection_or_with_the_grace() {
    let mut world = world(true);
    let member = join_stored(&mut world);
    world.stop();
    assert_eq!(close_code(&world.take(member)), Some(1001));
    assert_eq!(world.ended, None, "its answer is awaited");
    world.lose(member);
    assert_eq!(world.ended, Some(Ended::Cleanly));

    let mut world = self::world(true);
    let member = join_stored(&mut world);
    world.pass_until(after(5));
    world.say(member, SYNC);
    world.stop();
    world.lose(member);
    let grace = Config::default().limits.shutdown_grace_seconds;
    world.pass_until(after_ms((5 + grace) * 1_000 - 1));
    assert_eq!(world.ended, None, "the document is not stored");
    world.pass_until(after(5 + grace));
    assert_eq!(world.ended, Some(Ended::GraceOver));
}
