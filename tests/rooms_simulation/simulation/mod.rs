//! One run: what is drawn, and done to the real rooms and to the model.

mod check;
mod documents;

use std::collections::BTreeMap;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use sync_server::base::ids::{ConnId, RoomKey};
use sync_server::base::time::{Now, Timestamp, UnixMillis};
use sync_server::config::{HostAuth, SyncWriters};
use sync_server::rooms::{
    Action, Create, Document, Done, Join, Located, NodeId, RawJson, Rooms, RoomsConfig, SaveError,
    StoreUnavailable, StoredDocument, StoredRoom, TokenHash,
};

use self::check::Belief;
use crate::draw::Draw;
use crate::effect::{Effect, Image, Recorder, close_text, create_text, view_text};
use crate::model::{CreateWish, JoinWish, Model, Wish};
use crate::store::{Found, Lookup, PendingDeletion, PendingSave, Store};

const STEPS: usize = 800;
const CONNECTIONS: usize = 8;
/// With the last two no room is made, but an older server may have stored it.
const CODES: [&str; 8] = ["ABC", "abc", "Abc", "XY", "xy", "Z-9", "né", "NÉ"];
const PEERS: [&str; 4] = ["ann", "bob", "cy", "dan"];
const METADATA: [&str; 3] = ["null", "{}", "7"];

/// How often what was seen, over all runs.
pub(crate) type Seen = BTreeMap<String, u64>;

/// A promise that a document will be called durable.
struct Promise {
    key: RoomKey,
    revision: u64,
    document: u64,
}

/// The state of a run.
pub(crate) struct Simulation<D: Draw> {
    name: String,
    is_loud: bool,
    source: D,
    rooms: Rooms<Wish>,
    out: Recorder,
    model: Model,
    store: Store,
    now_ms: u64,
    step: usize,
    connections: Vec<ConnId>,
    opened: u32,
    documents: u64,
    room_ids: u64,
    beliefs: BTreeMap<ConnId, Belief>,
    promises: Vec<Promise>,
    last_save: BTreeMap<RoomKey, (u64, u64)>,
    trace: Vec<String>,
}

/// Says where it went wrong, however it did.
impl<D: Draw> Drop for Simulation<D> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: failed in step {}", self.name, self.step);
            for line in self.trace.iter().rev().take(12).rev() {
                eprintln!("{line}");
            }
        }
    }
}

impl<D: Draw> Simulation<D> {
    /// What is drawn from `source`, which is called `name` should it fail.
    pub(crate) fn new(name: String, mut source: D, is_loud: bool) -> Self {
        let config = RoomsConfig {
            node: NodeId(0),
            rooms_max: source.pick(&[2, 3, 6]),
            peers_per_room_max: source.pick(&[1, 3, 5]),
            idle_timeout: source.pick(&[None, Some(2), Some(20)]).map(Duration::from_secs),
            auto_create: source.percent(40),
            store: source.percent(80),
            sync_writers: source.pick(&[SyncWriters::Host, SyncWriters::Any]),
            host_auth: source.pick(&[HostAuth::PeerId, HostAuth::PeerId, HostAuth::Token]),
        };
        let mut simulation = Self {
            name,
            is_loud,
            source,
            rooms: Rooms::new(config.clone()),
            out: Recorder::default(),
            model: Model::new(config, 0),
            store: Store::default(),
            now_ms: 0,
            step: 0,
            connections: Vec::new(),
            opened: 0,
            documents: 0,
            room_ids: 0,
            beliefs: BTreeMap::new(),
            promises: Vec::new(),
            last_save: BTreeMap::new(),
            trace: Vec::new(),
        };
        for index in 0..CONNECTIONS {
            let conn = simulation.open_connection(index);
            simulation.connections.push(conn);
        }
        simulation
    }

    /// Goes on until enough has happened or the source is spent. Returns the trace.
    pub(crate) fn run(mut self, seen: &mut Seen) -> Vec<String> {
        for step in 0..STEPS {
            if self.source.is_spent() {
                break;
            }
            self.step = step;
            self.now_ms += self.source.pick(&[0, 0, 1, 10, 100, 400, 1_500]);
            if self.source.percent(2) {
                self.now_ms += 30_000;
            }
            let due = self.rooms.poll_timeout().is_some_and(|at| at <= self.now().at);
            if due && self.source.percent(80) {
                self.tick(seen);
            }
            self.act(seen);
        }
        self.finish(seen);
        std::mem::take(&mut self.trace)
    }

    fn act(&mut self, seen: &mut Seen) {
        let slot = self.source.below(CONNECTIONS);
        let conn = self.connections[slot];
        let is_waiting = self.model.is_waiting(conn);
        match self.source.below(100) {
            0..6 => self.disconnect(slot, seen),
            6..28 if !is_waiting => self.join(conn, seen),
            28..38 if !is_waiting => self.say(conn, seen),
            38..52 if !is_waiting => self.sync(conn, seen),
            52..54 if !is_waiting => self.ask(conn, seen),
            54..58 if !is_waiting => self.leave(conn, seen),
            58..66 if !is_waiting => self.create(conn, seen),
            66..69 if !is_waiting => self.view(conn, seen),
            69..78 => self.answer_lookup(seen),
            78..83 => self.answer_read(seen),
            83..93 if !self.store.deletions.is_empty() && self.source.percent(50) => {
                self.answer_deletion(seen);
            }
            83..93 => self.answer_save(seen),
            93..95 => self.tick(seen),
            95 => self.free_memory(seen),
            96 => self.store.is_down = !self.store.is_down && self.source.percent(50),
            97 => self.somebody_else_stores(),
            98 if self.source.percent(20) => self.crash(seen),
            99 if !is_waiting => self.close(conn, seen),
            _ => {}
        }
    }

    fn join(&mut self, conn: ConnId, seen: &mut Seen) {
        let code = self.source.pick(&CODES);
        let wish = JoinWish {
            peer: self.source.pick(&PEERS).to_owned(),
            is_host: self.source.percent(50),
            metadata: self.source.pick(&METADATA).to_owned(),
            token: self.source.pick(&[None, Some(0), Some(1)]),
        };
        self.note(format!("{conn} joins {code}: {wish:?}"));
        self.request(conn, code, Wish::Join(wish), seen);
    }

    fn say(&mut self, conn: ConnId, seen: &mut Seen) {
        let data = self.step.to_string();
        self.note(format!("{conn} says {data}"));
        self.handle(conn, Action::Broadcast { data: RawJson(&data) });
        let now_ms = self.now_ms;
        self.expect(seen, |model| model.say(conn, &data, now_ms));
    }

    fn sync(&mut self, conn: ConnId, seen: &mut Seen) {
        let number = self.next_document();
        let text = format!("d{number}");
        self.note(format!("{conn} syncs {text}"));
        let document = Document(Bytes::from(text.clone().into_bytes()));
        let done = self.handle(conn, Action::SyncDocument { document });
        if let Some(Done::WhenDurable { room: key, revision }) = done {
            self.promises.push(Promise { key, revision, document: number });
        }
        if done.is_some() {
            self.beliefs.entry(conn).or_default().document = Some(text.clone());
        }
        let now_ms = self.now_ms;
        self.expect(seen, |model| model.sync(conn, &text, now_ms));
    }

    fn ask(&mut self, conn: ConnId, seen: &mut Seen) {
        self.note(format!("{conn} asks"));
        self.handle(conn, Action::RequestSync);
        let now_ms = self.now_ms;
        self.expect(seen, |model| model.ask(conn, now_ms));
    }

    fn leave(&mut self, conn: ConnId, seen: &mut Seen) {
        self.note(format!("{conn} leaves"));
        self.handle(conn, Action::Leave);
        self.beliefs.remove(&conn);
        let now_ms = self.now_ms;
        self.expect(seen, |model| model.leave(conn, now_ms));
    }

    fn disconnect(&mut self, slot: usize, seen: &mut Seen) {
        let conn = self.connections[slot];
        self.note(format!("{conn} is gone"));
        self.rooms.disconnect(conn, self.now(), &mut self.out);
        self.connections[slot] = self.open_connection(slot);
        self.beliefs.remove(&conn);
        let now_ms = self.now_ms;
        self.expect(seen, |model| model.disconnect(conn, now_ms));
    }

    fn create(&mut self, conn: ConnId, seen: &mut Seen) {
        let code = self.source.pick(&CODES);
        self.room_ids += 1;
        let wish = CreateWish {
            desired: self.source.percent(60),
            room_id: format!("id-{}", self.room_ids),
            host_id: self.source.pick(&PEERS).to_owned(),
            needs_token: self.source.percent(30),
            token: self.source.pick(&[0, 1]),
        };
        self.note(format!("{conn} creates {code}: {wish:?}"));
        self.request(conn, code, Wish::Create(wish), seen);
    }

    fn view(&mut self, conn: ConnId, seen: &mut Seen) {
        let code = self.source.pick(&CODES);
        self.note(format!("{conn} views {code}"));
        self.request(conn, code, Wish::View, seen);
    }

    fn close(&mut self, conn: ConnId, seen: &mut Seen) {
        let code = self.source.pick(&CODES);
        self.note(format!("{conn} closes {code}"));
        self.request(conn, code, Wish::Close, seen);
    }

    /// Asks for a room by its code.
    fn request(&mut self, conn: ConnId, code: &str, wish: Wish, seen: &mut Seen) {
        match self.rooms.locate(code, conn, || wish.clone(), &mut self.out) {
            Poll::Ready(located) => self.go_on(located, conn, code, &wish),
            Poll::Pending => {
                self.out.effects.push(Effect::Ended(conn, "WaitingForStore".to_owned()));
            }
        }
        let now_ms = self.now_ms;
        self.expect(seen, |model| model.wish(conn, code, wish, now_ms));
    }

    /// Does what was asked for, now that it is known where the room is.
    fn go_on(&mut self, located: Located<'_>, conn: ConnId, code: &str, wish: &Wish) {
        let now = self.now();
        let (rooms, out) = (&mut self.rooms, &mut self.out);
        let text = match wish {
            Wish::Join(wish) => {
                let join = Join {
                    room_code: code.into(),
                    peer_id: (&wish.peer).into(),
                    is_host: wish.is_host,
                    metadata: (&wish.metadata).into(),
                    host_token: wish.token.map(token_hash),
                };
                let result = rooms.join(located, conn, &join, now, out);
                if let Ok(Done::WhenRead(room)) = result {
                    rooms.wait_for_document(room, conn, Wish::Join(wish.clone()), out);
                }
                out.done_text(result)
            }
            Wish::Create(wish) => {
                let create = Create {
                    room_code: code,
                    desired: wish.desired,
                    room_id: &wish.room_id,
                    host_id: &wish.host_id,
                    host_auth: host_auth(wish.needs_token),
                    host_token: token_hash(wish.token),
                };
                create_text(rooms.create(located, &create, now, out))
            }
            Wish::View => {
                rooms.view(located, view_text).unwrap_or_else(|error| format!("{error:?}"))
            }
            Wish::Sync => unreachable!("a member knows its room"),
            Wish::Close => close_text(rooms.close(located, now, out)),
        };
        self.out.effects.push(Effect::Ended(conn, text));
    }

    /// Lets one deletion take place or, if it did, be answered.
    fn answer_deletion(&mut self, seen: &mut Seen) {
        let index = self.source.below(self.store.deletions.len());
        if !self.store.deletions[index].is_done {
            self.store.delete(index);
            if self.source.percent(40) {
                return;
            }
        }
        self.deliver_deletion(index, seen);
    }

    fn deliver_deletion(&mut self, index: usize, seen: &mut Seen) {
        let PendingDeletion { key, code, .. } = self.store.deletions.remove(index);
        self.note(format!("store answers the deletion of {code}"));
        self.rooms.deleted(key);
        self.expect(seen, |model| model.deleted(&code));
    }

    /// Lets one lookup be read or, if it was, be answered.
    fn answer_lookup(&mut self, seen: &mut Seen) {
        if self.store.lookups.is_empty() {
            return;
        }
        let index = self.source.below(self.store.lookups.len());
        if self.store.lookups[index].found.is_none() {
            self.store.read(index);
            if self.source.percent(40) {
                return;
            }
        }
        let Lookup { code, found } = self.store.lookups.remove(index);
        self.deliver_lookup(&code, &found.expect("it was read"), seen);
    }

    fn deliver_lookup(&mut self, code: &str, found: &Found, seen: &mut Seen) {
        self.note(format!("store answers {code}: {found:?}"));
        let mut is_current = true;
        if let Ok(Some(image)) = found {
            is_current = self.store.images.get(&image.code) == Some(image);
        }
        if !is_current {
            *seen.entry("old answer".to_owned()).or_default() += 1;
        }
        let stored = found.as_ref().map(|image| image.as_ref().map(stored_room));
        let stored = stored.as_ref().map(Option::as_ref).map_err(|()| StoreUnavailable);
        // First of all, because it makes a room of that code free to be evicted.
        assert!(self.model.asked.remove(code));
        for (conn, wish) in self.rooms.lookup_done(code, &mut self.out) {
            let located = self.rooms.located(code, stored);
            self.go_on(located, conn, code, &wish);
        }
        let is_restore =
            |effect: &Effect| matches!(effect, Effect::Changed(_, change) if change == "Restored");
        assert!(is_current || !self.out.effects.iter().any(is_restore), "an old state came back");
        let now_ms = self.now_ms;
        self.expect(seen, |model| model.lookup_done(code, found, now_ms));
    }

    /// Lets one save take place or, if it did, be answered.
    fn answer_save(&mut self, seen: &mut Seen) {
        if self.store.saves.is_empty() {
            return;
        }
        let index = self.source.below(self.store.saves.len());
        if self.store.saves[index].result.is_none() {
            let done_though_failed = self.source.percent(50);
            self.store.write(index, done_though_failed);
            if self.source.percent(40) {
                return;
            }
        }
        self.deliver_save(index, seen);
    }

    fn deliver_save(&mut self, index: usize, seen: &mut Seen) {
        let PendingSave { save, result } = self.store.saves.remove(index);
        let result = result.expect("it took place");
        self.note(format!("store answers save {}#{}: {result:?}", save.image.code, save.revision));
        let now = self.now();
        self.rooms.saved(save.key, save.revision, result, now, &mut self.out);
        if result.is_ok() {
            assert_eq!(self.out.durable, [(save.key, save.revision)]);
        }
        if result == Err(SaveError::Conflict) {
            assert_eq!(self.out.not_durable, [save.key]);
        }
        let now_ms = self.now_ms;
        self.expect(seen, |model| model.saved(&save.image.code, result, now_ms));
    }

    fn tick(&mut self, seen: &mut Seen) {
        self.note("tick".to_owned());
        let now = self.now();
        self.rooms.handle_timeout(now, &mut self.out);
        assert!(self.rooms.poll_timeout().is_none_or(|at| at > now.at), "something is still due");
        let now_ms = self.now_ms;
        self.expect_in_any_order(seen, |model| model.tick(now_ms));
    }

    /// Another server with the same database, or the old backend.
    fn somebody_else_stores(&mut self) {
        let code = self.source.pick(&CODES);
        self.room_ids += 1;
        let is_old = self.source.percent(50);
        let number = self.next_document();
        let image = Image {
            code: code.to_owned(),
            room_id: (!is_old).then(|| format!("foreign-{}", self.room_ids)),
            host_id: (!is_old).then(|| self.source.pick(&PEERS).to_owned()),
            needs_token: !is_old && self.source.percent(30),
            token: self.source.pick(&[None, Some(0), Some(1)]),
            document: self.source.percent(50).then(|| format!("d{number}")),
            created_at: -1,
        };
        self.note(format!("somebody else stores {image:?}"));
        self.store.images.entry(code.to_owned()).or_insert(image);
    }

    /// `kill -9` and a new start with the same store.
    fn crash(&mut self, seen: &mut Seen) {
        self.note("crash".to_owned());
        *seen.entry("crash".to_owned()).or_default() += 1;
        for index in 0..self.store.saves.len() {
            if self.store.saves[index].result.is_none() && self.source.percent(50) {
                self.store.write(index, false);
            }
        }
        for index in 0..self.store.deletions.len() {
            if !self.store.deletions[index].is_done && self.source.percent(50) {
                self.store.delete(index);
            }
        }
        self.store.deletions.clear();
        self.store.saves.clear();
        self.store.lookups.clear();
        self.store.reads.clear();
        let config = self.model.config.clone();
        self.rooms = Rooms::new(config.clone());
        self.model = Model::new(config, self.model.fresh_ids());
        self.out.codes.clear();
        self.last_save.clear();
        self.promises.clear();
        self.beliefs.clear();
        for index in 0..CONNECTIONS {
            self.connections[index] = self.open_connection(index);
        }
    }

    /// Shuts down with a store that is there: nothing may be left over.
    fn finish(&mut self, seen: &mut Seen) {
        self.note("flush".to_owned());
        self.store.is_down = false;
        let now = self.now();
        self.rooms.flush_all(now, &mut self.out);
        let now_ms = self.now_ms;
        self.expect_in_any_order(seen, |model| model.flush(now_ms));
        for _ in 0..50 {
            while let Some(lookup) = self.store.lookups.pop() {
                self.store.lookups.push(lookup);
                let last = self.store.lookups.len() - 1;
                self.store.read(last);
                let Lookup { code, found } = self.store.lookups.remove(last);
                self.deliver_lookup(&code, &found.expect("it was read"), seen);
            }
            while !self.store.reads.is_empty() {
                self.store.read_document(0);
                self.deliver_read(0, seen);
            }
            while !self.store.saves.is_empty() {
                self.store.write(0, false);
                self.deliver_save(0, seen);
            }
            while let Some(last) = self.store.deletions.len().checked_sub(1) {
                self.store.delete(last);
                self.deliver_deletion(last, seen);
            }
            self.now_ms += 1_000;
            self.tick(seen);
        }
        assert_eq!(self.rooms.unsaved(), 0);
        assert!(self.promises.is_empty() && self.model.waiting.is_empty());
        for image in self.model.images().filter(|_| self.model.config.store) {
            let mut stored = self.store.images[&image.code].clone();
            if image.document.is_none() {
                // A room without a document leaves that of the room which it has adopted.
                stored.document = None;
            }
            assert_eq!(stored, *image);
        }
    }

    /// Does one action; the answer is noted as the last effect.
    fn handle(&mut self, conn: ConnId, action: Action<'_>) -> Option<Done> {
        let result = self.rooms.handle(conn, action, self.now(), &mut self.out);
        if let Ok(Done::WhenRead(room)) = result {
            self.rooms.wait_for_document(room, conn, Wish::Sync, &mut self.out);
        }
        let text = self.out.done_text(result);
        self.out.effects.push(Effect::Ended(conn, text));
        result.ok()
    }

    fn now(&self) -> Now {
        let unix = UnixMillis(i64::try_from(self.now_ms).expect("small"));
        Now { at: Timestamp::from_millis(self.now_ms), unix }
    }

    fn next_document(&mut self) -> u64 {
        self.documents += 1;
        self.documents
    }

    fn open_connection(&mut self, index: usize) -> ConnId {
        self.opened += 1;
        ConnId { index: u32::try_from(index).expect("small"), generation: self.opened }
    }

    fn note(&mut self, line: String) {
        let line = if line.starts_with(' ') {
            line
        } else {
            format!("{} at {} ms: {line}", self.step, self.now_ms)
        };
        if self.is_loud {
            println!("{line}");
        }
        self.trace.push(line);
    }
}

fn token_hash(token: u8) -> TokenHash {
    // Only the last byte differs, so a comparison that stops early is found out.
    let mut hash = [9; 32];
    hash[31] = token;
    TokenHash(hash)
}

fn host_auth(needs_token: bool) -> HostAuth {
    if needs_token { HostAuth::Token } else { HostAuth::PeerId }
}

fn stored_room(image: &Image) -> StoredRoom {
    let document = image.document.as_ref();
    StoredRoom {
        room_code: image.code.clone(),
        room_id: image.room_id.clone(),
        host_id: image.host_id.clone(),
        host_auth: host_auth(image.needs_token),
        host_token: image.token.map(token_hash),
        document: document
            .map_or(StoredDocument::None, |text| StoredDocument::Unread { bytes: text.len() }),
        created_at: UnixMillis(image.created_at),
    }
}
