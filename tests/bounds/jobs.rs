//! How long anybody waits for the store.

use sync_server::config::Config;
use sync_server::engine::{Job, Outcome};
use sync_server::store::StoreError;

use crate::world::{World, after};

const LOOK: &str = "GET /api/rooms/ROOM HTTP/1.1\r\nHost: a\r\n\r\n";

fn is_lookup((_, job): &(sync_server::base::ids::JobId, Job)) -> bool {
    matches!(job, Job::FindRoom { .. })
}

#[test]
fn after_five_seconds_everybody_who_waits_for_the_store_is_told() {
    let mut world = World::new(Config::default());
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
    let mut world = World::new(Config::default());
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
