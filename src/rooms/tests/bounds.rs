//! Every limit, reached.

use std::task::Poll;
use std::time::Duration;

use super::request::{Answer, Desire, Request, ask};
use super::{Recorder, auth, check, config, document, memory};
use crate::base::ids::{ConnId, RoomKey};
use crate::base::time::{Now, Timestamp};
use crate::rooms::lookups::LOOKUPS_MAX;
use crate::rooms::upkeep::TIMEOUTS_PER_CALL;
use crate::rooms::*;

fn conn(index: usize) -> ConnId {
    ConnId { index: u32::try_from(index).unwrap(), generation: 1 }
}

fn join(room_code: &str, peer_id: &str) -> Request {
    let (is_host, metadata, host_token) = (false, "null".into(), None);
    let (room_code, peer_id) = (room_code.to_owned().into(), peer_id.to_owned().into());
    Request::Join(Join { room_code, peer_id, is_host, metadata, host_token })
}

fn create(desired: bool) -> Request {
    let (host_id, host_token) = ("host".to_owned(), TokenHash([0; 32]));
    Request::Create(Desire { desired, host_id, host_auth: auth(&[]), host_token })
}

/// Lets a connection into a room.
fn enter(
    rooms: &mut Rooms<Request>,
    who: ConnId,
    place: [&str; 2],
    out: &mut Counter,
) -> Poll<Answer> {
    ask(rooms, (who, place[0]), &join(place[0], place[1]), at(0), out)
}

/// What a join is answered with that succeeds.
fn entered() -> Poll<Answer> {
    Poll::Ready(Ok("now".to_owned()))
}

fn at(ms: u64) -> Now {
    Now { at: Timestamp::from_millis(ms), ..Now::default() }
}

/// Counts what bounds are about.
#[derive(Default)]
struct Counter {
    sent: usize,
    recipients: usize,
    lookups: usize,
    changes: usize,
}

impl Output for Counter {
    fn send(&mut self, _: ConnId, _: &Event<'_>) {
        self.sent += 1;
    }
    fn broadcast(&mut self, to: &[ConnId], except: Option<ConnId>, _: &Event<'_>) {
        self.recipients += to.iter().filter(|&&conn| Some(conn) != except).count();
    }
    fn lookup(&mut self, _: &str) -> Result<(), StoreUnavailable> {
        self.lookups += 1;
        Ok(())
    }
    fn read_document(&mut self, _: ConnId, _: RoomKey, _: RoomView<'_>) {}
    fn dismissed(&mut self, _: RoomKey, _: &[ConnId]) {}
    fn delete(&mut self, _: RoomKey, _: &str, _: &str) {}
    fn persist(&mut self, _: RoomKey, _: u64, _: StoredRoom) {}
    fn durable(&mut self, _: RoomKey, _: u64) {}
    fn not_durable(&mut self, _: RoomKey) {}
    fn fresh_room_id(&mut self) -> String {
        "fresh".to_owned()
    }
    fn room_changed(&mut self, _: &str, _: RoomChange) {
        self.changes += 1;
    }
}

#[test]
fn an_empty_room_leaves_memory_after_its_idle_time() {
    check(
        config(),
        r"
        5 given: R host=ann
        60_005 clock: tick
        60_100 store: failed R#1
        61_100 clock: tick
            > R#1 id=id-1 host=ann
        61_200 store: saved R#1
            durable R#1
        61_200 clock: next
            at 60005, 0 unsaved
        61_200 clock: tick
            + R expired
        61_300 store: saved R#1
        61_300 clock: next
            at never, 0 unsaved
        ",
    );
}

#[test]
fn the_idle_time_starts_when_the_last_one_leaves() {
    check(
        memory(),
        r"
        50_000 given: R host=ann ann
        60_000 clock: next
            at never, 0 unsaved
        70_000 ann: leave
            ann = now
        129_999 clock: tick
        129_999 clock: next
            at 130000, 0 unsaved
        129_999 http: create R by bob
            http = restored R id=id-1 host=ann
        130_000 clock: tick
        189_999 clock: tick
            + R expired
        ",
    );
}

#[test]
fn rooms_can_stay_for_ever() {
    check(
        RoomsConfig { idle_timeout: None, ..memory() },
        r"
        0 given: R host=ann
        1 clock: next
            at never, 0 unsaved
        9_000_000 clock: tick
        ",
    );
}

#[test]
fn without_a_store_a_full_memory_takes_no_more_rooms() {
    check(
        RoomsConfig { rooms_max: 1, auto_create: true, ..memory() },
        r"
        0 given: R host=ann
        1 http: create S by ann
            http = Too many rooms, try again later
        2 ann: join S as ann
            ann = Too many rooms, try again later
        60_000 clock: tick
            + R expired
        60_001 http: create S by ann
            + S created
            http = created S id=id-1 host=ann
        ",
    );
}

#[test]
fn a_full_memory_lets_the_longest_empty_stored_room_go() {
    check(
        RoomsConfig { rooms_max: 3, idle_timeout: None, ..config() },
        r"
        0 given: A id=a host=h a
        1 given: B id=b host=h
        2 given: C host=h
        3 b: join D as b
            ? D
            b = waits
        3 http: view b
            ? b
            http = waits
        4 store: D has D id=d host=h
            b = Too many rooms, try again later
        5 store: b missing
            http = B host=h []
        6 b: join D as b
            ? D
            b = waits
        7 store: D has D id=d host=h
            + B evicted
            + D restored
            b < connected b D
            b < room D host=h [b]
            b = now
        8 http: create E by h
            ? E
            http = waits
        9 store: E missing
            http = Too many rooms, try again later
        10 store: saved C#1
            durable C#1
        11 clock: evict
            + C evicted
            evicted true
        12 clock: evict
            evicted false
        ",
    );
}

#[test]
fn a_room_is_full_for_the_next_connection_and_never_for_its_own() {
    let mut rooms = Rooms::new(RoomsConfig { auto_create: true, ..memory() });
    let mut out = Counter::default();
    for index in 0..4 {
        assert_eq!(enter(&mut rooms, conn(index), ["R", "one"], &mut out), entered());
    }
    let refused = enter(&mut rooms, conn(4), ["R", "one"], &mut out);
    assert_eq!(refused, Poll::Ready(Err(RoomError::RoomFull)));
    assert!(!rooms.has_joined(conn(4)));
    assert_eq!(enter(&mut rooms, conn(3), ["R", "two"], &mut out), entered());
    assert_eq!((rooms.connections(), rooms.rooms()), (4, 1));
    rooms.disconnect(conn(0), at(0), &mut out);
    assert_eq!(enter(&mut rooms, conn(4), ["R", "one"], &mut out), entered());
}

#[test]
fn over_the_bound_of_lookups_the_store_counts_as_unavailable() {
    let mut rooms = Rooms::new(RoomsConfig { rooms_max: 10, ..config() });
    let mut out = Counter::default();
    for index in 0..LOOKUPS_MAX {
        let asked = enter(&mut rooms, conn(index), [&format!("R{index}"), "p"], &mut out);
        assert_eq!(asked, Poll::Pending);
    }
    // Waiting with others needs no lookup, so it is still possible.
    let shared = enter(&mut rooms, conn(LOOKUPS_MAX), ["R0", "p"], &mut out);
    assert_eq!(shared, Poll::Pending);
    let late = conn(LOOKUPS_MAX + 1);
    let unavailable = Poll::Ready(Err(RoomError::StoreUnavailable));
    let refused = enter(&mut rooms, late, ["LATE", "p"], &mut out);
    assert_eq!(refused, unavailable);
    let desired = ask(&mut rooms, (late, "LATE"), &create(true), at(0), &mut out);
    assert_eq!(desired, unavailable);
    let drawn = ask(&mut rooms, (late, "LATE"), &create(false), at(0), &mut out);
    assert_eq!(drawn, Poll::Ready(Ok("created LATE id=id-1 host=host".to_owned())));
    let typed = enter(&mut rooms, late, ["late", "p"], &mut out);
    assert_eq!(typed, entered(), "a room in memory is found by its other spelling");
    // A connection that goes does not free the lookup; its answer does.
    rooms.disconnect(conn(0), at(0), &mut out);
    rooms.disconnect(conn(LOOKUPS_MAX), at(0), &mut out);
    let another = conn(LOOKUPS_MAX + 2);
    let refused = enter(&mut rooms, another, ["MORE", "p"], &mut out);
    assert_eq!(refused, unavailable);
    assert!(rooms.lookup_done("R0", &mut out).is_empty(), "both are gone");
    let asked = enter(&mut rooms, another, ["MORE", "p"], &mut out);
    assert_eq!(asked, Poll::Pending);
    assert_eq!(out.lookups, LOOKUPS_MAX + 1);
    rooms.check_invariants();
}

#[test]
fn one_timeout_looks_after_a_bounded_number_of_rooms() {
    let count = TIMEOUTS_PER_CALL + 40;
    let rooms_max = u32::try_from(count).unwrap();
    let mut rooms = Rooms::new(RoomsConfig { rooms_max, ..memory() });
    let mut out = Counter::default();
    for index in 0..count {
        let code = format!("R{index}");
        let made = ask(&mut rooms, (conn(0), &code), &create(true), at(0), &mut out);
        assert!(matches!(made, Poll::Ready(Ok(_))), "{made:?}");
    }
    rooms.handle_timeout(at(60_000), &mut out);
    assert_eq!(rooms.rooms(), 40);
    assert_eq!(rooms.poll_timeout(), Some(Timestamp::from_millis(60_000)), "call again");
    rooms.handle_timeout(at(60_000), &mut out);
    assert_eq!((rooms.rooms(), rooms.poll_timeout()), (0, None));
    assert_eq!(out.changes, 2 * count);
}

#[test]
fn a_crowd_comes_and_goes() {
    let crowd = 1_000;
    let peers_per_room_max = u32::try_from(crowd).unwrap();
    let config = RoomsConfig { peers_per_room_max, auto_create: true, ..memory() };
    let mut rooms = Rooms::new(config);
    let mut out = Counter::default();
    for index in 0..crowd {
        let peer = format!("p{}", index / 2);
        assert_eq!(enter(&mut rooms, conn(index), ["R", &peer], &mut out), entered());
    }
    // The second tab of each pair is not announced.
    assert_eq!((out.sent, out.recipients), (2 * crowd, (0..crowd).step_by(2).sum()));
    let data = Action::Broadcast { data: RawJson("1") };
    let mut out = Counter::default();
    rooms.handle(conn(7), data, at(0), &mut out).unwrap();
    assert_eq!(out.recipients, crowd - 1);
    assert_eq!(rooms.room_of(conn(7)).unwrap().peer_count(), crowd / 2);
    for index in 0..crowd {
        rooms.disconnect(conn((index * 7) % crowd), at(0), &mut out);
    }
    assert_eq!((rooms.connections(), rooms.rooms()), (0, 1));
    rooms.check_invariants();
}

#[test]
fn documents_are_counted_while_they_are_in_memory() {
    let mut rooms = Rooms::new(RoomsConfig { auto_create: true, ..memory() });
    let mut out = Recorder::default();
    let host = out.conn("host");
    for (code, text) in [("A", "12345"), ("B", "123")] {
        let Request::Join(join) = join(code, "h") else { unreachable!("it is one") };
        let join = Request::Join(Join { is_host: true, ..join });
        assert_eq!(ask(&mut rooms, (host, code), &join, at(0), &mut out), entered());
        for text in ["first", text] {
            let action = Action::SyncDocument { document: document(text) };
            rooms.handle(host, action, at(0), &mut out).unwrap();
        }
    }
    assert_eq!(rooms.document_bytes(), 8);
    rooms.handle_timeout(Now { at: Timestamp(0) + Duration::from_secs(60), ..at(0) }, &mut out);
    assert_eq!(rooms.document_bytes(), 3, "A was empty, B is not");
}

#[test]
fn a_stale_connection_id_finds_nothing() {
    let mut rooms = Rooms::new(RoomsConfig { auto_create: true, ..memory() });
    let mut out = Counter::default();
    assert_eq!(enter(&mut rooms, conn(0), ["R", "p"], &mut out), entered());
    let stale = ConnId { generation: 0, ..conn(0) };
    assert!(rooms.room_of(stale).is_none() && !rooms.has_joined(conn(9)));
    rooms.disconnect(stale, at(0), &mut out);
    assert!(rooms.has_joined(conn(0)));
    let data = Action::Broadcast { data: RawJson("1") };
    assert_eq!(rooms.handle(stale, data, at(0), &mut out), Err(RoomError::NotInRoom));
}

#[test]
fn a_key_of_a_room_that_came_back_is_another_one() {
    check(
        config(),
        r"
        0 given: R host=ann
        1 store: saved R#1
            durable R#1
        2 clock: evict
            + R evicted
            evicted true
        3 http: create R by ann
            ? R
            http = waits
        3 store: R has R host=ann
            + R restored
            > R#2 id=fresh-1 host=ann
            http = restored R id=fresh-1 host=ann
        4 store: saved R#2
            durable R#2
        4 store: saved R#2
        ",
    );
}
