//! Documents as a cache of the store: which leave memory when it is short, how long a client waits
//! for one to be read, and what no document may take from others.

use std::net::{IpAddr, Ipv4Addr};

use sync_server::base::memory::MemoryBudget;
use sync_server::base::time::UnixMillis;
use sync_server::config::{Config, HostAuth};
use sync_server::engine::{Job, Outcome};
use sync_server::protocol;
use sync_server::rooms::{Document, StoredDocument, StoredRoom};

use crate::world::{World, after, after_ms, frame, open_config};

const MIB: usize = 1 << 20;
/// How long a client waits for memory for a document.
const MEMORY_TIMEOUT_SECONDS: u64 = 30;

fn world_with(budget: usize, store: bool) -> World {
    let mut config = Config { room_store: store, ..open_config() };
    config.limits.memory_budget_bytes = budget;
    World::new(config)
}

fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

fn document(bytes: usize) -> Vec<u8> {
    let document = "d".repeat(bytes);
    let text = format!(r#"{{"action":"sync_document","document":"{document}","id":1}}"#);
    frame(0x81, text.as_bytes())
}

/// Ends the job that `wanted` picks, which must be there.
#[track_caller]
fn end(world: &mut World, wanted: impl Fn(&Job) -> bool, outcome: Outcome) {
    let index = world.network.jobs.iter().position(|(_, job)| wanted(job));
    world.end_job(index.expect("such a job was started"), outcome);
}

fn is_lookup(job: &Job) -> bool {
    matches!(job, Job::FindRoom { .. })
}

fn is_read(job: &Job) -> bool {
    matches!(job, Job::ReadDocument { .. })
}

fn reads(world: &World) -> usize {
    world.network.jobs.iter().filter(|(_, job)| is_read(job)).count()
}

/// A client that asks to join the room `code`. If that is not in memory the store has it with a
/// document of `bytes` bytes, or not at all if that is 0.
fn begin_to_join(world: &mut World, code: &str, bytes: usize) -> usize {
    begin_to_join_from(world, IpAddr::V4(Ipv4Addr::LOCALHOST), code, bytes)
}

/// The same from `address`.
fn begin_to_join_from(world: &mut World, address: IpAddr, code: &str, bytes: usize) -> usize {
    let client = world.upgrade_from(address);
    let join = format!(r#"{{"action":"join","room_code":"{code}","peer_id":"p","id":7}}"#);
    world.say(client, &join);
    let found = (bytes > 0).then(|| StoredRoom {
        room_code: code.to_owned(),
        room_id: Some(format!("id of {code}")),
        host_id: Some("host".to_owned()),
        host_auth: HostAuth::PeerId,
        host_token: None,
        document: StoredDocument::Unread { bytes },
        created_at: UnixMillis(0),
    });
    if world.network.jobs.iter().any(|(_, job)| is_lookup(job)) {
        end(world, is_lookup, Outcome::FoundRoom(Ok(found)));
    }
    client
}

/// Lets all writes succeed.
fn store_all(world: &mut World) {
    let rooms = |job: &Job| if let Job::SaveRooms { rooms, .. } = job { rooms.len() } else { 0 };
    while let Some(count) =
        world.network.jobs.iter().map(|(_, job)| rooms(job)).find(|count| *count > 0)
    {
        end(world, |job| rooms(job) > 0, Outcome::SavedRooms(vec![Ok(()); count]));
    }
}

/// What a worker makes of `text`.
fn frame_of(world: &World, text: &str) -> Document {
    let document = protocol::document_from_text(text, usize::MAX, &world.network.budget);
    document.expect("any size will do")
}

/// What a worker has read.
fn found(text: &str) -> Outcome {
    let document: Document =
        protocol::document_from_text(text, usize::MAX, &MemoryBudget::new(MIB))
            .expect("any size will do");
    Outcome::ReadDocument(Ok(Some(document)))
}

#[test]
fn stored_documents_leave_memory_before_a_new_one_is_refused_or_a_client_is_closed() {
    const ROOMS: usize = 20;
    let mut world = world_with(16 * MIB, true);
    let clients: Vec<usize> =
        (0..ROOMS).map(|number| begin_to_join(&mut world, &format!("R{number}"), 0)).collect();
    store_all(&mut world);
    // A second write of the same room waits for a second.
    world.pass_until(after(2));
    for client in &clients {
        world.take(*client);
        world.send(*client, document(2 * MIB));
        store_all(&mut world);
        assert!(world.take_text(*client).contains(r#""type":"ack""#));
        assert!(world.used_bytes() <= 12 * MIB, "a quarter is spare: {}", world.used_bytes());
    }
    assert!(clients.iter().all(|client| world.is_open(*client)));

    // The oldest is in the store only.
    world.say(clients[0], r#"{"action":"request_sync","id":2}"#);
    world.say(clients[0], r#"{"action":"ping"}"#);
    assert_eq!(world.take_text(clients[0]), "", "what follows waits");
    end(&mut world, is_read, found("from the store"));
    let answer = world.take_text(clients[0]);
    let at = |part: &str| answer.find(part).unwrap_or_else(|| panic!("{part} in {answer}"));
    assert!(at("from the store") < at(r#""ack","id":2"#) && at(r#""id":2"#) < at("pong"));
    // The newest is not.
    world.say(clients[ROOMS - 1], r#"{"action":"request_sync"}"#);
    assert!(world.take(clients[ROOMS - 1]).len() > 2 * MIB);
}

#[test]
fn while_nothing_is_stored_nothing_leaves_memory() {
    let mut world = world_with(16 * MIB, true);
    let clients: Vec<usize> =
        (0..8).map(|number| begin_to_join(&mut world, &format!("R{number}"), 0)).collect();
    store_all(&mut world);
    for client in &clients {
        world.take(*client);
        world.send(*client, document(2 * MIB));
    }
    let refused = |world: &mut World, client| world.take_text(client).contains("short of memory");
    assert!(!refused(&mut world, clients[0]));
    assert!(refused(&mut world, clients[7]));
    world.say(clients[0], r#"{"action":"request_sync"}"#);
    assert!(world.take(clients[0]).len() > 2 * MIB);
}

#[test]
fn a_join_waits_until_there_is_memory_for_the_document() {
    let mut world = world_with(16 * MIB, true);
    let half = frame(0x81, &vec![b' '; 4_000_000]);
    let greedy: Vec<usize> = (0..4)
        .map(|_| {
            let client = begin_to_join(&mut world, "GREEDY", 0);
            world.send(client, &half[..3 * MIB]);
            client
        })
        .collect();
    store_all(&mut world);
    let first = begin_to_join(&mut world, "FIRST", 2 * MIB);
    let second = begin_to_join(&mut world, "SECOND", 2 * MIB);
    let small = begin_to_join(&mut world, "SMALL", 1_000);
    assert_eq!(reads(&world), 1, "only that of the small one");
    end(&mut world, is_read, found("small"));
    assert!(world.take_text(small).contains("small"));
    assert_eq!(world.take_text(first), "");

    // What is freed is used at once.
    world.lose(greedy[0]);
    world.pass_until(after_ms(20));
    assert_eq!(reads(&world), 1);
    end(&mut world, is_read, found("large"));
    let answer = world.take_text(first);
    let parts = ["connected", "room_info", "large", r#""ack","id":7"#];
    let places = parts.map(|part| answer.find(part).unwrap_or_else(|| panic!("{answer}")));
    assert!(places.is_sorted(), "{answer}");

    world.pass_until(after_ms(40));
    end(&mut world, is_read, found("the other"));
    assert!(world.take_text(second).contains("the other"));

    // In the end there is none.
    let joined = begin_to_join(&mut world, "GREEDY", 0);
    world.send(joined, &half[..3 * MIB]);
    let late = begin_to_join(&mut world, "LATE", 4 * MIB);
    world.pass_until(after(MEMORY_TIMEOUT_SECONDS - 1));
    assert!(!world.take_text(late).contains("error"));
    world.pass_until(after(MEMORY_TIMEOUT_SECONDS + 1));
    let answer = world.take_text(late);
    assert!(answer.contains("store_unavailable") && answer.contains(r#""id":7"#), "{answer}");
    assert!(world.is_open(late) && world.is_open(second));
}

#[test]
fn an_address_that_reads_nothing_keeps_no_other_from_its_document() {
    let mut world = world_with(16 * MIB, true);
    let text = "d".repeat(2 * MIB);
    let idle: Vec<usize> = (0..6)
        .map(|number| {
            let code = format!("IDLE{number}");
            let client = begin_to_join_from(&mut world, address(1), &code, 2 * MIB);
            world.network.clients[client].is_stalled = true;
            if world.network.jobs.iter().any(|(_, job)| is_read(job)) {
                let document = frame_of(&world, &text);
                end(&mut world, is_read, Outcome::ReadDocument(Ok(Some(document))));
            }
            client
        })
        .collect();
    let open = |world: &World| idle.iter().filter(|client| world.is_open(**client)).count();
    let reader = begin_to_join_from(&mut world, address(2), "HONEST", 2 * MIB);
    world.pass_until(after_ms(900));
    assert_eq!((open(&world), world.take_text(reader).as_str()), (6, ""), "it waits");
    world.pass_until(after_ms(2_500));
    assert!(open(&world) < 6, "some are closed, to be fair");
    while world.take_text(reader).is_empty() {
        let document = frame_of(&world, "honest");
        end(&mut world, is_read, Outcome::ReadDocument(Ok(Some(document))));
    }
    assert!(world.is_open(reader) && open(&world) >= 2, "they keep their share");
}

#[test]
fn a_document_that_takes_more_than_its_text_is_read_again_once_there_is_memory_for_it() {
    let mut world = world_with(16 * MIB, true);
    let client = begin_to_join(&mut world, "ROOM", MIB);
    let before = world.used_bytes();
    end(&mut world, is_read, Outcome::DocumentNeeds { bytes: 2 * MIB });
    assert_eq!((reads(&world), world.take_text(client).as_str()), (1, ""), "it waits on");
    assert!(world.used_bytes() >= before + 2 * MIB, "so much is set aside");
    end(&mut world, is_read, found("with escapes"));
    assert!(world.take_text(client).contains("with escapes"));
}

#[test]
fn a_hash_makes_documents_go_and_no_client() {
    let mut world = world_with(24 * MIB, true);
    let clients: Vec<usize> =
        (0..6).map(|number| begin_to_join(&mut world, &format!("R{number}"), 0)).collect();
    store_all(&mut world);
    world.pass_until(after(2));
    for client in &clients {
        world.take(*client);
        world.send(*client, document(2 * MIB));
        store_all(&mut world);
        world.take(*client);
    }
    let holding = begin_to_join(&mut world, "HOLDING", 0);
    store_all(&mut world);
    world.send(holding, &frame(0x81, &vec![b' '; 4_000_000])[..3 * MIB]);
    let login = world.connect();
    let body = r#"{"email":"a@b.c","password":"wrong"}"#;
    let head = "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: ";
    world.send(login, format!("{head}{}\r\n\r\n{body}", body.len()));
    assert!(world.network.jobs.iter().any(|(_, job)| matches!(job, Job::Account { .. })));
    world.pass_until(after_ms(2_100));
    assert!(world.used_bytes() <= 24 * MIB, "documents went: {}", world.used_bytes());
    assert!(clients.iter().chain([&holding]).all(|client| world.is_open(*client)));
}

#[test]
fn those_that_wait_for_one_document_share_one_read() {
    let mut world = world_with(16 * MIB, true);
    let first = begin_to_join(&mut world, "ROOM", MIB);
    let others: Vec<usize> = (0..3)
        .map(|_| {
            let client = world.upgrade();
            world.say(client, r#"{"action":"join","room_code":"ROOM","peer_id":"q"}"#);
            client
        })
        .collect();
    world.lose(others[0]);
    assert_eq!(reads(&world), 1);
    end(&mut world, is_read, found("shared"));
    for client in [first, others[1], others[2]] {
        assert!(world.take_text(client).contains("shared"));
    }
    assert_eq!(reads(&world), 0);
}

#[test]
fn a_read_that_takes_too_long_is_given_up_and_the_next_is_another_one() {
    let mut world = world_with(16 * MIB, true);
    let client = begin_to_join(&mut world, "ROOM", MIB);
    world.pass_until(after(6));
    assert!(world.take_text(client).contains("store_unavailable"));
    world.say(client, r#"{"action":"join","room_code":"ROOM","peer_id":"p"}"#);
    end(&mut world, is_read, found("too late"));
    assert_eq!(world.take_text(client), "");
    end(&mut world, is_read, found("in time"));
    assert!(world.take_text(client).contains("in time"));
}

#[test]
fn a_reserve_is_left_to_what_is_small() {
    let mut world = world_with(16 * MIB, false);
    let writers: Vec<usize> = (0..8).map(|number| world.join(&format!("ROOM{number}"))).collect();
    for writer in &writers {
        world.send(*writer, document(2 * MIB));
    }
    let refused = world.take_text(writers[7]);
    assert!(refused.contains("short of memory"), "{refused}");
    assert!(world.used_bytes() <= 14 * MIB, "{}", world.used_bytes());
    let (host, guest) = (world.join("SMALL"), world.join("SMALL"));
    world.send(host, document(1_000));
    assert!(world.take_text(host).contains(r#""type":"ack""#));
    assert!(world.take_text(guest).contains("ddd"));
    let page = world.connect();
    world.send(page, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(world.take_text(page).starts_with("HTTP/1.1 200 "));
}

#[test]
fn under_pressure_an_address_keeps_no_more_than_its_share() {
    let mut world = world_with(32 * MIB, false);
    let mut write = |last: u8, code: String| {
        let client = world.upgrade_from(address(last));
        let join = format!(r#"{{"action":"join","room_code":"{code}","peer_id":"p"}}"#);
        world.say(client, &join);
        world.take(client);
        world.send(client, document(MIB));
        let answer = world.take_text(client);
        assert!(world.is_open(client));
        answer.contains(r#""type":"ack""#)
    };
    let kept = (0..40).filter(|number| write(1, format!("MANY{number}"))).count();
    // Three quarters of the 28 MiB that documents may take.
    assert_eq!(kept, 20, "alone it has more than half of the memory");
    assert!(write(1, "MANY0".to_owned()), "one in the place of another");
    let kept = (0..10).filter(|number| write(2, format!("OTHER{number}"))).count();
    assert!(kept >= 5, "{kept}: the rest is for others");
}
