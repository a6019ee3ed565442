//! Events that another server delivers than the one that has accepted them.

use super::*;

/// The server on which everything happens, `here`, and another one that delivers its events.
struct Servers {
    here: Player,
    there: Player,
}

/// How the members of the other server, `n…`, appear in a trace.
const FOREIGN: [&str; 2] = ["nan", "ned"];

impl Servers {
    /// Two servers that have the room R, each with members of its own.
    fn new() -> Self {
        let server =
            |node| Player::new(RoomsConfig { node, sync_writers: SyncWriters::Any, ..memory() });
        let mut servers = Self { here: server(NodeId(0)), there: server(NodeId(1)) };
        servers.here.play("0 http: create R by ann");
        servers.there.play("0 http: create R by ann");
        servers
    }

    /// Plays a line where its client is connected, and lets the other server deliver what was
    /// accepted. Returns what the members hear: those of both servers.
    fn play(&mut self, line: &str) -> Vec<String> {
        let is_foreign = FOREIGN.iter().any(|name| line.contains(&format!(" {name}: ")));
        let (one, other) = if is_foreign {
            (&mut self.there, &mut self.here)
        } else {
            (&mut self.here, &mut self.there)
        };
        let mut heard = one.play(line);
        let ms: u64 = line.split_once(' ').expect("a time").0.parse().expect("milliseconds");
        // The clock of the other server is wrong, which changes nothing.
        let now = Now { at: Timestamp::from_millis(ms), unix: UnixMillis(7_777) };
        for (room_code, event) in std::mem::take(&mut one.out.accepted) {
            other.rooms.deliver_event(&room_code, &event, now, &mut other.out);
            other.rooms.check_invariants();
        }
        heard.append(&mut other.out.lines);
        other.out.accepted.clear();
        heard
    }

    /// Who is in R, as each server shows it.
    fn peers(&mut self) -> [Vec<String>; 2] {
        [self.here.play("900 http: view R"), self.there.play("900 http: view R")]
    }
}

/// Each message with its recipients one by one, in the order of their names: one fan-out of a
/// room on one server is one on each server here.
fn by_member(lines: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut heard: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        let Some((names, message)) = line.split_once(" < ") else { continue };
        for name in names.split(' ') {
            heard.entry(name.to_owned()).or_default().push(message.to_owned());
        }
    }
    heard
}

#[test]
fn members_of_two_servers_hear_what_those_of_one_hear() {
    let story = [
        "1 ann: join R as ann host metadata=1",
        "2 nan: join R as nan metadata=2",
        "3 bob: join R as bob",
        "4 ned: join R as ned",
        r#"5 nan: say "from there""#,
        r#"6 bob: say "from here""#,
        "7 ann: sync one",
        "8 nan: sync two",
        "9 bob: ask",
        "10 ned: join R as ann metadata=3",
        "11 ann: say 1",
        "12 nan: join R as nan metadata=4",
        "13 ann: gone",
        "14 bob: leave",
        "15 ned: say 2",
        "16 bob: join R as bob",
        "17 ned: gone",
        "18 nan: leave",
        "19 bob: say 3",
        "20 bob: gone",
    ];
    let mut one = Player::new(RoomsConfig { sync_writers: SyncWriters::Any, ..memory() });
    one.play("0 http: create R by ann");
    let mut servers = Servers::new();
    for line in story {
        let expected = one.play(line);
        let heard = servers.play(line);
        assert_eq!(by_member(&heard), by_member(&expected), "{line}");
        let expected = one.play("900 http: view R");
        assert_eq!(servers.peers(), [expected.clone(), expected], "{line}");
    }
}

#[test]
fn a_broadcast_comes_from_its_peer_though_no_member_of_it_is_here() {
    let mut servers = Servers::new();
    servers.play("1 ann: join R as ann");
    let conn = ConnId { index: 9, generation: 9 };
    let kind = RoomEventKind::Data { peer_id: "zoe".into(), data: "7".into() };
    let event = RoomEvent { from: Member { node: NodeId(5), conn }, kind };
    let Player { rooms, out } = &mut servers.here;
    rooms.deliver_event("R", &event, Now::default(), out);
    assert_eq!(out.lines, ["ann < data zoe 7"]);
    assert_eq!(rooms.connections(), 1);
}

#[test]
fn what_does_not_fit_has_no_effect() {
    let mut servers = Servers::new();
    servers.play("1 ann: join R as ann");
    let conn = ConnId { index: 9, generation: 9 };
    let joined = |peer_id: &'static str| {
        let (metadata, joined_at) = ("null".into(), UnixMillis(5));
        Joiner { peer_id: peer_id.into(), is_host: false, metadata, joined_at }
    };
    let Player { rooms, out } = &mut servers.here;
    for (room_code, kind, heard) in [
        ("NOWHERE", RoomEventKind::Joined(joined("zoe")), &[][..]),
        ("R", RoomEventKind::Left, &[]),
        ("R", RoomEventKind::Joined(joined("zoe")), &["ann < joined zoe at 5"]),
        ("R", RoomEventKind::Joined(joined("yan")), &[]),
        ("R", RoomEventKind::Left, &["ann < left zoe"]),
        ("R", RoomEventKind::Left, &[]),
    ] {
        let event = RoomEvent { from: Member { node: NodeId(5), conn }, kind };
        rooms.deliver_event(room_code, &event, Now::default(), out);
        rooms.check_invariants();
        assert_eq!(out.lines, heard, "{event:?}");
        out.lines.clear();
    }
}

/// A room with members elsewhere only is not idle, and none of them hears it here.
#[test]
fn a_room_stays_in_memory_while_it_has_members_anywhere() {
    let mut servers = Servers::new();
    servers.play("1 nan: join R as nan");
    assert_eq!(servers.here.play("90000 clock: tick"), Vec::<String>::new());
    assert_eq!(servers.here.play("90000 clock: next"), ["at never, 0 unsaved"]);
    servers.play("90001 nan: gone");
    assert_eq!(servers.here.play("150001 clock: tick"), ["+ R expired"]);
}
