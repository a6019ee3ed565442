//! Scenarios as traces. A line with a time (milliseconds since the start) is something that
//! happens; the indented lines below it are all that the rooms do about it, in order.
//!
//! ```text
//! 20 bob: join ABC234 as bob        who: what
//!     bob < connected bob ABC234    an event to bob (`bob carol < …`: one broadcast to both)
//!     ? ABC234                      a lookup; the store answers `store: ABC234 missing`, or
//!                                   `has ABC234 host=… doc=…` or `down` instead of `missing`
//!     > ABC234#1 host=h doc=d       a snapshot to be saved; `store: saved ABC234#1`, or `failed`
//!                                   or `conflict` instead of `saved`
//!     durable ABC234#1              and what becomes of it
//!     + ABC234 created              a room comes or goes
//!     dismissed bob carol           they are sent away, as the room is closed
//!     - ABC234 id=i                 what is stored is to be deleted; `store: deleted ABC234`
//!     bob = now                     the answer, at once or later
//! ```
//!
//! `0 given: R id=i host=ann doc=d ann* tab/ann bob` is a room with members, whose coming is not
//! told: with an id it is a stored one, else it is made. A connection is called as its peer if
//! there is no other name before a slash.
//!
//! A peer that is host has a star. `clock:` lines are `tick` (the timeout is handled), `next`
//! (when does it want to be called), `flush`, `evict` and `free 5` (bytes of memory).
//!
//! `has R unread=5` is a room whose document only the store has; `< R id=i 5 bytes for bob` asks
//! for it, and the store answers `store: document R text`, or `gone` or `down` for the text.

mod bounds;
mod closing;
mod documents;
mod hosts;
mod joining;
mod request;
mod storing;
mod travel;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use self::request::{Answer, Desire, Request, ask};
use super::*;
use crate::base::ids::{ConnId, RoomKey};
use crate::base::time::{Now, Timestamp, UnixMillis};
use crate::config::{HostAuth, SyncWriters};

/// The defaults with an idle time of a minute, and small limits.
pub(super) fn config() -> RoomsConfig {
    RoomsConfig {
        node: NodeId(0),
        rooms_max: 3,
        peers_per_room_max: 4,
        idle_timeout: Some(Duration::from_secs(60)),
        auto_create: false,
        store: true,
        sync_writers: SyncWriters::Host,
        host_auth: HostAuth::PeerId,
    }
}

/// The same without a store, which most rules have nothing to do with.
pub(super) fn memory() -> RoomsConfig {
    RoomsConfig { store: false, ..config() }
}

/// Plays `trace` and compares what the rooms do with what it says.
#[track_caller]
pub(super) fn check(config: RoomsConfig, trace: &str) {
    let mut player = Player::new(config);
    let mut actual = String::new();
    for line in trace.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !line.starts_with(|first: char| first.is_ascii_digit()) {
            continue;
        }
        writeln!(actual, "{line}").unwrap();
        for effect in player.play(line) {
            writeln!(actual, "    {effect}").unwrap();
        }
    }
    let indent = |line: &str| {
        let line = line.trim();
        let is_input = line.starts_with(|first: char| first.is_ascii_digit());
        if is_input { format!("{line}\n") } else { format!("    {line}\n") }
    };
    let expected: String =
        trace.lines().filter(|line| !line.trim().is_empty()).map(indent).collect();
    assert!(actual == expected, "what happens is\n\n{actual}\nand not\n\n{expected}");
}

/// Drives the rooms with lines of a trace.
struct Player {
    rooms: Rooms<Request>,
    out: Recorder,
}

/// Writes the effects down.
#[derive(Default)]
struct Recorder {
    lines: Vec<String>,
    /// Names of connections, by index.
    names: Vec<String>,
    /// Codes of the rooms that were to be saved.
    codes: BTreeMap<RoomKey, String>,
    fresh_ids: u32,
    /// What was accepted, with the code of its room.
    accepted: Vec<(String, RoomEvent<'static>)>,
}

impl Player {
    fn new(config: RoomsConfig) -> Self {
        Self { rooms: Rooms::new(config), out: Recorder::default() }
    }

    fn play(&mut self, line: &str) -> Vec<String> {
        let (time, rest) = line.split_once(' ').expect("a time");
        let (who, what) = rest.split_once(": ").expect("who: what");
        let ms: u64 = time.replace('_', "").parse().expect("milliseconds");
        let unix = UnixMillis(i64::try_from(ms).unwrap());
        let now = Now { at: Timestamp::from_millis(ms), unix };
        let words: Vec<&str> = what.split(' ').collect();
        match who {
            "given" => self.given(time, &words),
            "store" => self.answer(&words, now),
            "clock" => self.tick(&words, now),
            _ => {
                let conn = self.out.conn(who);
                self.act(conn, who, &words, now);
            }
        }
        self.rooms.check_invariants();
        std::mem::take(&mut self.out.lines)
    }

    /// A room with members, without a word of how it came to be.
    fn given(&mut self, time: &str, words: &[&str]) {
        let (facts, members): (Vec<&str>, Vec<&str>) =
            words[1..].iter().partition(|word| word.contains('='));
        let code = words[0];
        let host = value(&facts, "host");
        let create = host.map(|host| format!("{time} http: create {code} by {host}"));
        let join = |member: &str| {
            let peer = member.trim_end_matches('*');
            let (conn, peer) = peer.split_once('/').unwrap_or((peer, peer));
            let host = if member.ends_with('*') { " host" } else { "" };
            format!("{time} {conn}: join {code} as {peer}{host}")
        };
        let mut requests = create.into_iter().chain(members.into_iter().map(join));
        self.play(&requests.next().expect("a host or a member"));
        if self.rooms.config.store {
            let is_stored = value(&facts, "id").is_some();
            let found = if is_stored {
                format!("has {code} {}", facts.join(" "))
            } else {
                "missing".into()
            };
            self.play(&format!("{time} store: {code} {found}"));
        }
        for request in requests {
            self.play(&request);
        }
    }

    fn act(&mut self, conn: ConnId, who: &str, words: &[&str], now: Now) {
        let (rooms, out) = (&mut self.rooms, &mut self.out);
        let text = words[1..].join(" ");
        if let Some(request) = request(words) {
            let answer = match ask(rooms, (conn, words[1]), &request, now, out) {
                Poll::Ready(answer) => answer,
                Poll::Pending => Ok("waits".into()),
            };
            return out.answer(who, answer);
        }
        let action = match words[0] {
            "gone" => return rooms.disconnect(conn, now, out),
            "say" => Action::Broadcast { data: RawJson(&text) },
            "sync" => Action::SyncDocument { document: document(&text) },
            "ask" => Action::RequestSync,
            "leave" => Action::Leave,
            other => panic!("what is {other}?"),
        };
        let result = match rooms.handle(conn, action, now, out) {
            Ok(Done::WhenRead(room)) => {
                rooms.wait_for_document(room, conn, Request::Sync, out);
                Ok("waits for the document".to_owned())
            }
            result => result.map(|done| out.done(done)),
        };
        out.answer(who, result);
    }

    fn answer(&mut self, words: &[&str], now: Now) {
        let (rooms, out) = (&mut self.rooms, &mut self.out);
        let result = match words[0] {
            "deleted" => return rooms.deleted(out.key(words[1])),
            "saved" => Ok(()),
            "failed" => Err(SaveError::Unavailable),
            "conflict" => Err(SaveError::Conflict),
            "document" => return self.read(words[1], words[2], now),
            asked => {
                let found = found(&words[1..]);
                let found = found.as_ref().map(Option::as_ref).map_err(|&error| error);
                for (conn, request) in rooms.lookup_done(asked, out) {
                    let located = rooms.located(asked, found);
                    let answer = request.go_on(rooms, (located, conn, asked), now, out);
                    out.answer_to(conn, answer);
                }
                return;
            }
        };
        let (code, revision) = words[1].split_once('#').expect("code#revision");
        let key = out.key(code);
        rooms.saved(key, revision.parse().unwrap(), result, now, out);
    }

    /// The store answers a read: `gone`, `down`, or with the document.
    fn read(&mut self, code: &str, answer: &str, now: Now) {
        let (rooms, out) = (&mut self.rooms, &mut self.out);
        let key = out.key(code);
        let found = match answer {
            "gone" => Ok(None),
            "down" => Err(StoreUnavailable),
            text => Ok(Some(document(text))),
        };
        let is_down = found.is_err();
        for (conn, request) in rooms.document_read(key, found, now, out) {
            let located = rooms.located_by_key(key);
            let answer = match request {
                _ if is_down => Err(RoomError::StoreUnavailable),
                Request::Sync => {
                    rooms.handle(conn, Action::RequestSync, now, out).map(|done| out.done(done))
                }
                request => request.go_on(rooms, (located, conn, code), now, out),
            };
            out.answer_to(conn, answer);
        }
    }

    fn tick(&mut self, words: &[&str], now: Now) {
        match words[0] {
            "tick" => self.rooms.handle_timeout(now, &mut self.out),
            "flush" => self.rooms.flush_all(now, &mut self.out),
            "evict" => {
                let evicted = self.rooms.evict_idle(&mut self.out);
                self.out.lines.push(format!("evicted {evicted}"));
            }
            "free" => {
                let wanted = words[1].parse().expect("bytes");
                let freed = self.rooms.free_memory(wanted, now, &mut self.out);
                self.out.lines.push(format!("freed {freed}"));
            }
            "next" => {
                let next = self.rooms.poll_timeout().map(|at| at.0 / 1_000);
                let next = next.map_or("never".to_owned(), |ms| ms.to_string());
                self.out.lines.push(format!("at {next}, {} unsaved", self.rooms.unsaved()));
            }
            other => panic!("what is {other}?"),
        }
    }
}

/// What `words` ask for, if it is a room by its code.
fn request(words: &[&str]) -> Option<Request> {
    Some(match words[0] {
        "create" => Request::Create(Desire {
            desired: !words.contains(&"drawn"),
            host_id: words[3].into(),
            host_auth: auth(words),
            host_token: token(words).unwrap_or(TokenHash([1; 32])),
        }),
        "view" => Request::View,
        "close" => Request::Close,
        "join" => Request::Join(Join {
            room_code: words[1].to_owned().into(),
            peer_id: words[3].to_owned().into(),
            is_host: words.contains(&"host"),
            metadata: value(words, "metadata").unwrap_or("null").to_owned().into(),
            host_token: token(words),
        }),
        _ => return None,
    })
}

fn value<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

fn token(words: &[&str]) -> Option<TokenHash> {
    value(words, "token").map(|token| TokenHash([token.parse().expect("0–255"); 32]))
}

fn auth(words: &[&str]) -> HostAuth {
    if words.contains(&"guarded") { HostAuth::Token } else { HostAuth::PeerId }
}

fn document(text: &str) -> Document {
    Document(Bytes::copy_from_slice(text.as_bytes()))
}

fn found(words: &[&str]) -> Result<Option<StoredRoom>, StoreUnavailable> {
    match words[0] {
        "missing" => Ok(None),
        "down" => Err(StoreUnavailable),
        "has" => Ok(Some(StoredRoom {
            room_code: words[1].into(),
            room_id: value(words, "id").map(Into::into),
            host_id: value(words, "host").map(Into::into),
            host_auth: auth(words),
            host_token: token(words),
            document: match (value(words, "doc"), value(words, "unread")) {
                (Some(text), _) => StoredDocument::Whole(document(text)),
                (None, Some(bytes)) => StoredDocument::Unread { bytes: bytes.parse().unwrap() },
                (None, None) => StoredDocument::None,
            },
            created_at: UnixMillis(-5),
        })),
        other => panic!("what is {other}?"),
    }
}

/// How an error is written in a trace.
fn words(error: RoomError) -> &'static str {
    match error {
        RoomError::RoomNotFound => "Room not found",
        RoomError::NotInRoom => "Join a room first",
        RoomError::HostOnly => "Only the host can sync the document",
        RoomError::RoomFull => "Room is full",
        RoomError::TooManyRooms => "Too many rooms, try again later",
        RoomError::StoreUnavailable => "The room store does not answer, try again later",
    }
}

impl Recorder {
    /// The connection of that name; the same name is the same connection.
    fn conn(&mut self, name: &str) -> ConnId {
        let known = self.names.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        let index = u32::try_from(index).unwrap();
        ConnId { index, generation: 100 + index }
    }

    /// The newest room of that code which the store was to do something about.
    fn key(&self, code: &str) -> RoomKey {
        let mut keys = self.codes.iter().rev();
        *keys.find(|(_, known)| *known == code).expect("a room that was saved").0
    }

    fn name(&self, conn: ConnId) -> &str {
        assert_eq!(conn.generation, 100 + conn.index);
        &self.names[conn.index as usize]
    }

    fn revision(&self, room: RoomKey, revision: u64) -> String {
        format!("{}#{revision}", self.codes[&room])
    }

    fn done(&self, done: Done) -> String {
        match done {
            Done::Now => "now".into(),
            Done::WhenDurable { room, revision } => {
                format!("when durable {}", self.revision(room, revision))
            }
            Done::NotDurable => "not durable".into(),
            Done::WhenRead(_) => panic!("it waits for the document"),
        }
    }

    fn answer(&mut self, who: &str, result: Answer) {
        let result = result.unwrap_or_else(|error| words(error).to_owned());
        self.lines.push(format!("{who} = {result}"));
    }

    fn answer_to(&mut self, conn: ConnId, result: Answer) {
        let who = self.name(conn).to_owned();
        self.answer(&who, result);
    }
}

impl Output for Recorder {
    fn send(&mut self, to: ConnId, event: &Event<'_>) {
        self.lines.push(format!("{} < {}", self.name(to), event.describe()));
    }

    fn broadcast(&mut self, to: &[ConnId], except: Option<ConnId>, event: &Event<'_>) {
        let to = to.iter().filter(|&&conn| Some(conn) != except);
        let names: Vec<&str> = to.map(|&conn| self.name(conn)).collect();
        self.lines.push(format!("{} < {}", names.join(" "), event.describe()));
    }

    fn accepted(&mut self, room_code: &str, event: &RoomEvent<'_>) {
        self.accepted.push((room_code.to_owned(), event.clone().into_owned()));
    }

    fn lookup(&mut self, room_code: &str) -> Result<(), StoreUnavailable> {
        self.lines.push(format!("? {room_code}"));
        Ok(())
    }

    fn read_document(&mut self, asker: ConnId, key: RoomKey, room: RoomView<'_>) {
        self.codes.insert(key, room.code().to_owned());
        let (who, bytes) = (self.name(asker), room.document_bytes());
        let line = format!("< {} id={} {bytes} bytes for {who}", room.code(), room.room_id());
        self.lines.push(line);
    }

    fn dismissed(&mut self, _: RoomKey, members: &[ConnId]) {
        let names: Vec<&str> = members.iter().map(|&conn| self.name(conn)).collect();
        self.lines.push(format!("dismissed {}", names.join(" ")).trim_end().to_owned());
    }

    fn delete(&mut self, room: RoomKey, room_code: &str, room_id: &str) {
        self.codes.insert(room, room_code.to_owned());
        self.lines.push(format!("- {room_code} id={room_id}").trim_end().to_owned());
    }

    fn persist(&mut self, key: RoomKey, revision: u64, room: StoredRoom) {
        let (room_id, host_id) = (room.room_id.unwrap_or_default(), room.host_id);
        let mut line = format!("> {}#{revision} id={room_id}", room.room_code);
        write!(line, " host={}", host_id.unwrap_or_default()).unwrap();
        match &room.document {
            StoredDocument::None => {}
            StoredDocument::Unread { bytes } => write!(line, " unread={bytes}").unwrap(),
            StoredDocument::Whole(document) => write!(line, " doc={}", text(document)).unwrap(),
        }
        self.codes.insert(key, room.room_code);
        self.lines.push(line);
    }

    fn durable(&mut self, room: RoomKey, revision: u64) {
        self.lines.push(format!("durable {}", self.revision(room, revision)));
    }

    fn not_durable(&mut self, room: RoomKey) {
        self.lines.push(format!("never durable {}", self.codes[&room]));
    }

    fn fresh_room_id(&mut self) -> String {
        self.fresh_ids += 1;
        format!("fresh-{}", self.fresh_ids)
    }

    fn room_changed(&mut self, room_code: &str, change: RoomChange) {
        self.lines.push(format!("+ {room_code} {}", format!("{change:?}").to_lowercase()));
    }
}

/// How a value is written in a trace.
trait Describe {
    fn describe(self) -> String;
}

impl Describe for RoomView<'_> {
    fn describe(self) -> String {
        let peers: Vec<String> = self.peers().map(Describe::describe).collect();
        assert_eq!(self.peer_count(), peers.len());
        format!("{} host={} [{}]", self.code(), self.host_id(), peers.join(" "))
    }
}

impl Describe for &Peer {
    fn describe(self) -> String {
        let star = if self.is_host { "*" } else { "" };
        let metadata = if *self.metadata == *"null" { "" } else { &self.metadata };
        format!("{}{star}{metadata}", self.id)
    }
}

impl Describe for &Event<'_> {
    fn describe(self) -> String {
        match *self {
            Event::Connected { peer_id, room_code } => format!("connected {peer_id} {room_code}"),
            Event::RoomInfo { room } => format!("room {}", room.describe()),
            Event::DocumentSync { document } => {
                format!("document {}", document.map_or("none", text))
            }
            Event::PeerJoined { peer } => {
                format!("joined {} at {}", peer.describe(), peer.joined_at.0)
            }
            Event::PeerLeft { peer_id } => format!("left {peer_id}"),
            Event::Data { from, data } => format!("data {from} {}", data.0),
        }
    }
}

fn text(document: &Document) -> &str {
    std::str::from_utf8(&document.0).expect("documents of traces are text")
}

impl std::fmt::Display for CreateDone<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (word, room) = match *self {
            CreateDone::Created(room) => ("created", room),
            CreateDone::Restored(room) => ("restored", room),
            CreateDone::Taken => return f.write_str("taken"),
        };
        let document = if room.has_document() { " with document" } else { "" };
        write!(f, "{word} {} id={} host={}{document}", room.code(), room.room_id(), room.host_id())
    }
}
