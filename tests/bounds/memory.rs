//! What counts against the memory budget, that it is counted no longer than it is kept, and what
//! happens when it is too much.

use sync_server::accounts::AccountReply;
use sync_server::config::Config;
use sync_server::engine::{Job, Outcome};

use crate::world::{World, after, close_code, frame, open_config};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// What a connection counts as without holding anything, at most.
const PLACE_BYTES_MAX: usize = 5 * KIB;

fn world_with(change: impl FnOnce(&mut Config)) -> World {
    let mut config = open_config();
    change(&mut config);
    World::new(config)
}

/// Makes the server keep at least so many bytes for a client; the client's number.
type Hold = fn(&mut World) -> usize;

/// What is held, how many bytes that is at least, and how to get there.
const HOLDS: [(&str, usize, Hold); 9] = [
    ("half a head", 10 * KIB, |world| {
        let client = world.connect();
        world.send(client, format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(6 * KIB)));
        world.send(client, "x".repeat(4 * KIB));
        client
    }),
    ("half a body", 32 * KIB, |world| {
        let client = world.connect();
        let head = "POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";
        world.send(client, format!("{head}{}", " ".repeat(32 * KIB)));
        client
    }),
    ("half a message", 2 * MIB, |world| {
        let client = world.join("ROOM");
        let message = frame(0x81, &vec![b' '; 4_000_000]);
        world.send(client, &message[..2 * MIB]);
        client
    }),
    // In the message, and in the buffer that had to hold the longest fragment.
    ("half of the fragments", 3 * MIB, |world| {
        let client = world.join("ROOM");
        let fragments = [frame(0x01, &vec![b' '; MIB]), frame(0x00, &vec![b' '; MIB])].concat();
        world.send(client, &fragments);
        client
    }),
    ("input behind a request", 32 * KIB, |world| {
        let client = world.connect();
        world.send(client, look_up() + &" ".repeat(32 * KIB));
        client
    }),
    ("answers that are not read", 60 * KIB, |world| {
        let client = world.connect();
        world.network.clients[client].is_stalled = true;
        world.send(client, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000));
        client
    }),
    ("messages that are not read", 4 * MIB, |world| {
        let (client, other) = (world.join("ROOM"), world.join("ROOM"));
        world.network.clients[client].is_stalled = true;
        for size in [KIB, 64 * KIB] {
            let message = broadcast(size);
            for _ in 0..2 * MIB / size {
                world.send(other, &message);
            }
        }
        world.finish(other);
        client
    }),
    ("what a member says of itself", 4 * KIB, |world| {
        let client = world.upgrade();
        let metadata = format!("\"{}\"", "m".repeat(4 * KIB - 2));
        let join = format!(
            r#"{{"action":"join","room_code":"ROOM","peer_id":"p","metadata":{metadata}}}"#
        );
        world.send(client, frame(0x81, join.as_bytes()));
        client
    }),
    ("a request that waits for a worker", 40 * KIB, |world| {
        let client = world.connect();
        world.send(client, login(40 * KIB));
        client
    }),
];

#[test]
fn everything_that_a_client_can_make_the_server_keep_is_counted() {
    for (what, bytes, hold) in HOLDS {
        let mut world = world_with(|_| {});
        // One login is with a worker at once; only those behind it wait.
        let first = world.connect();
        world.send(first, login(0));
        let before = world.used_bytes();
        let client = hold(&mut world);
        let held = world.used_bytes() - before;
        assert!(held >= bytes, "{what}: {held} bytes counted, {bytes} kept");
        assert!(held <= 2 * bytes + PLACE_BYTES_MAX, "{what}: {held} bytes counted, {bytes} kept");
        world.lose(client);
        world.lose(first);
        world.pass_until(after(10));
        world.answer_probes();
        // The probes go on between them.
        while !world.network.jobs.is_empty() {
            let reply = AccountReply { status: 401, body: Vec::new(), cookie: None, effect: None };
            world.end_job(0, Outcome::Account(reply));
            world.answer_probes();
        }
        assert_eq!(world.used_bytes(), 0, "{what}");
    }
}

fn look_up() -> String {
    "POST /api/auth/logout HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".to_owned()
}

fn login(bytes: usize) -> String {
    let body = " ".repeat(bytes);
    format!("POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n{body}")
}

fn broadcast(bytes: usize) -> Vec<u8> {
    let text = format!(r#"{{"action":"broadcast","data":"{}"}}"#, "x".repeat(bytes));
    frame(0x81, text.as_bytes())
}

fn document(bytes: usize, id: &str) -> Vec<u8> {
    let document = "d".repeat(bytes);
    let text = format!(r#"{{"action":"sync_document","document":"{document}","id":{id}}}"#);
    frame(0x81, text.as_bytes())
}

#[test]
fn a_document_counts_once_as_long_as_its_room_is_there() {
    let mut world = world_with(|config| config.room_idle_timeout_seconds = 30);
    let clients: Vec<usize> = (0..20).map(|_| world.join("ROOM")).collect();
    for client in &clients[1..] {
        world.network.clients[*client].is_stalled = true;
    }
    world.pass_until(after(1));
    let before = world.used_bytes();
    world.send(clients[0], document(MIB, "1"));
    let held = world.used_bytes() - before;
    assert!((MIB..MIB + 64 * KIB).contains(&held), "{held}");
    for client in clients {
        world.lose(client);
    }
    assert!(world.used_bytes() >= MIB, "the next member is sent it");
    world.pass_until(after(31));
    assert_eq!(world.used_bytes(), 0);
}

#[test]
fn joins_and_acknowledgements_that_wait_for_the_store_are_counted() {
    let mut world = world_with(|config| config.room_store = true);
    let client = world.upgrade();
    let place = world.used_bytes();
    let metadata = format!("\"{}\"", "m".repeat(4 * KIB - 2));
    let join =
        format!(r#"{{"action":"join","room_code":"ROOM","peer_id":"p","metadata":{metadata}}}"#);
    let join = frame(0x81, join.as_bytes());
    let other = world.upgrade();
    world.send(other, &join);
    assert!(world.used_bytes() >= 4 * KIB, "it waits");
    world.lose(other);
    // What comes later is not read meanwhile.
    world.send(client, [join, broadcast(8 * KIB)].concat());
    assert!(world.used_bytes() >= 12 * KIB, "what is behind it waits too");
    let index = world.network.jobs.iter().position(|(_, job)| matches!(job, Job::FindRoom { .. }));
    world.end_job(index.expect("the room is looked for"), Outcome::FoundRoom(Ok(None)));
    let joined = world.used_bytes() - place;
    assert!((4 * KIB..5 * KIB).contains(&joined), "{joined}: it is a member");
    // The first write is under way; what follows waits for the next one.
    let id = format!("\"{}\"", "i".repeat(100));
    for _ in 0..1_000 {
        world.send(client, document(1, &id));
    }
    let waiting = world.used_bytes() - place - joined;
    assert!(waiting >= 100_000, "{waiting}");
    while let Some(index) =
        world.network.jobs.iter().position(|(_, job)| matches!(job, Job::SaveRooms { .. }))
    {
        world.end_job(index, Outcome::SavedRooms(vec![Ok(())]));
        world.pass_until(after(2));
    }
    assert!(world.take_text(client).contains(r#""type":"ack""#));
    let left = world.used_bytes() - place - joined;
    assert!(left < KIB, "{left}: the document");
}

#[test]
fn only_so_many_acknowledgements_wait_for_one_room() {
    const ACKS_MAX: usize = 4096;
    let mut world = world_with(|config| config.room_store = true);
    let client = world.upgrade();
    let join = r#"{"action":"join","room_code":"ROOM","peer_id":"p"}"#;
    world.say(client, join);
    let index = world.network.jobs.iter().position(|(_, job)| matches!(job, Job::FindRoom { .. }));
    world.end_job(index.expect("the room is looked for"), Outcome::FoundRoom(Ok(None)));
    world.take(client);
    // The store does not come to an end with the first of them.
    let sync = document(1, "7");
    for _ in 0..ACKS_MAX / 1024 {
        world.send(client, sync.repeat(1024));
    }
    assert_eq!(world.take(client), b"");
    world.send(client, &sync);
    let answer = world.take_text(client);
    assert!(answer.contains("store_unavailable") && answer.contains(r#""id":7"#), "{answer}");
}

#[test]
fn over_the_budget_whoever_holds_most_goes_and_the_others_stay() {
    let mut world = world_with(|config| {
        config.limits.memory_budget_bytes = 16 * MIB;
        config.limits.send_queue_bytes_max = 64 * MIB;
    });
    let (small, large, writer) = (world.join("ROOM"), world.join("ROOM"), world.join("ROOM"));
    let (probing, late) = (world.connect(), world.connect());
    world.network.clients[large].is_stalled = true;
    for _ in 0..15 {
        world.send(writer, broadcast(MIB));
        assert!(world.take(small).len() >= MIB);
    }
    assert!(world.is_open(large), "all of it fits");
    world.send(writer, broadcast(MIB));
    assert!(!world.is_open(large), "the largest is closed");
    assert!(world.is_open(small) && world.is_open(writer));
    assert!(world.used_bytes() < 2 * MIB, "only what is on its way is left");
    world.read_again(large);
    assert_eq!(close_code(&world.take(large)), Some(1013), "come back later");
    world.send(probing, "GET /health/ready HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(world.take_text(probing).starts_with("HTTP/1.1 200 "));
    world.send(late, look_up());
    assert!(world.is_open(small));
}

#[test]
fn while_documents_take_all_memory_new_ones_are_refused() {
    let mut world = world_with(|config| config.limits.memory_budget_bytes = 11 * MIB);
    let clients: Vec<usize> = (0..5).map(|number| world.join(&format!("ROOM{number}"))).collect();
    // What is being read counts too, until it is a document.
    for client in &clients[..2] {
        world.send(*client, document(3 * MIB, "1"));
        let answer = world.take_text(*client);
        assert!(answer.contains(r#""type":"ack""#), "{answer}");
    }
    world.send(clients[2], document(3 * MIB, "1"));
    let answer = world.take_text(clients[2]);
    assert!(answer.contains("short of memory"), "{answer}");
    // Two halves of messages do not fit beside the documents.
    let half = frame(0x81, &vec![b' '; 4_000_000]);
    world.send(clients[3], &half[..2 * MIB]);
    world.send(clients[4], &half[..3 * MIB + 512 * KIB]);
    assert_eq!(close_code(&world.take(clients[4])), Some(1013), "it holds more");
    assert!(clients[..4].iter().all(|client| world.is_open(*client)));
}

#[test]
fn one_turn_takes_in_no_more_than_can_leave_with_it() {
    const MEMBERS: usize = 200;
    let mut world = world_with(|_| {});
    let members: Vec<usize> = (0..MEMBERS).map(|_| world.join("ROOM")).collect();
    for member in &members {
        world.take(*member);
    }
    // Everybody says 16 kB at once: for the others that makes 640 MB.
    let message = broadcast(KIB).repeat(16);
    let peak = world.send_at_once(&members, &message);
    assert!(peak < 16 * MIB, "{peak} bytes in the queues");
    world.pass_until(after(1));
    for member in &members {
        let heard = world.take(*member).len();
        assert!(heard > (MEMBERS - 1) * 16 * KIB, "{heard}");
    }
}

#[test]
fn a_crowd_that_goes_in_one_instant_is_taken_leave_of_bit_by_bit() {
    const MEMBERS: usize = 900;
    let mut world = world_with(|_| {});
    let members: Vec<usize> = (0..MEMBERS).map(|_| world.join("ROOM")).collect();
    let peak = world.lose_at_once(&members[..MEMBERS / 2]);
    assert!(peak < 16 * MIB, "{peak} bytes in the queues");
    world.pass_until(after(1));
    let left = world.take_text(members[MEMBERS - 1]).matches("peer_left").count();
    assert_eq!(left, MEMBERS / 2);
}
