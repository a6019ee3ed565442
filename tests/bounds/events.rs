//! What another server has accepted for a room that has members here too.

use sync_server::base::ids::ConnId;
use sync_server::base::time::UnixMillis;
use sync_server::config::Config;
use sync_server::engine::RemoteEvent;
use sync_server::rooms::{Joiner, Member, NodeId, RoomEvent, RoomEventKind};

use crate::world::{World, after_ms};

/// An event of a member that is connected to another server.
fn remote(room_code: &str, kind: RoomEventKind<'static>) -> RemoteEvent {
    let conn = ConnId { index: 0, generation: 1 };
    let event = RoomEvent { from: Member { node: NodeId(7), conn }, kind };
    RemoteEvent { room_code: room_code.to_owned(), event }
}

fn joined(peer_id: &'static str) -> RoomEventKind<'static> {
    RoomEventKind::Joined(Joiner {
        peer_id: peer_id.into(),
        is_host: false,
        metadata: r#"{"name":"Far"}"#.into(),
        joined_at: UnixMillis(1_700_000_000_000),
    })
}

#[test]
fn members_here_hear_what_another_server_has_accepted() {
    let config = Config { room_auto_create: true, room_store: false, ..Config::default() };
    let mut world = World::new(config);
    let here = world.join("ROOM");
    world.hear(remote("ROOM", joined("far")));
    let heard = world.take_text(here);
    assert!(heard.contains(r#""type":"peer_joined","peer":{"id":"far""#), "{heard}");
    assert!(heard.contains(r#""metadata":{"name":"Far"}"#), "{heard}");

    let data = RoomEventKind::Data { peer_id: "far".into(), data: "[1.0]".into() };
    world.hear(remote("ROOM", data.clone()));
    let heard = world.take_text(here);
    assert!(heard.contains(r#"{"type":"data","from":"far","data":[1.0]}"#), "{heard}");
    world.hear(remote("OTHER", data));
    assert_eq!(world.take(here), b"", "a room that is not here has no members here");

    let later = world.join("ROOM");
    world.take(later);
    world.take(here);
    world.hear(remote("ROOM", RoomEventKind::Left));
    // News of those who come and go may wait for others.
    world.pass_until(after_ms(100));
    for client in [here, later] {
        let heard = world.take_text(client);
        assert!(heard.contains(r#"{"type":"peer_left","peer_id":"far"}"#), "{heard}");
    }
    world.say(later, r#"{"action":"broadcast","data":"near"}"#);
    assert!(world.take_text(here).contains(r#""data":"near""#), "the room goes on");
}

#[test]
fn a_joiner_here_is_shown_the_members_of_another_server() {
    let config = Config { room_auto_create: true, room_store: false, ..Config::default() };
    let mut world = World::new(config);
    world.join("ROOM");
    world.hear(remote("ROOM", joined("far")));
    let later = world.upgrade();
    world.say(later, r#"{"action":"join","room_code":"ROOM","peer_id":"near"}"#);
    let told = world.take_text(later);
    let room_info = told.split(r#""type":"room_info""#).nth(1).expect("it is told");
    assert!(room_info.contains(r#"{"id":"far""#), "{told}");
}
