//! The rooms once more, as simple as can be: everything is a list that is gone through, nothing is
//! remembered that can be worked out. It says what the real rooms have to do in each step.

mod closing;
mod documents;

use std::collections::{BTreeMap, BTreeSet};

use sync_server::base::ids::ConnId;
use sync_server::config::{HostAuth, SyncWriters};
use sync_server::rooms::{RoomsConfig, SaveError};

pub(crate) use self::documents::FoundDocument;
use self::documents::Reading;
use crate::effect::{Effect, Image, peer_text, room_text};
use crate::store::Found;

const SAVE_SPACING_MS: u64 = 1_000;
const RETRY_DELAY_MS_MAX: u64 = 30_000;

pub(crate) struct Model {
    pub(crate) config: RoomsConfig,
    pub(crate) rooms: BTreeMap<String, Room>,
    /// Codes that the store was asked for and has not answered.
    pub(crate) asked: BTreeSet<String>,
    /// Who waits for which code, in the order of asking.
    pub(crate) waiting: Vec<(ConnId, String, Wish)>,
    /// Documents that are being read, in the order of asking.
    readings: Vec<Reading>,
    /// What has to happen in this step.
    pub(crate) expected: Vec<Effect>,
    pub(crate) is_draining: bool,
    joins: u64,
    fresh_ids: u64,
    opened: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Room {
    image: Image,
    /// In the order of their joins.
    pub(crate) members: Vec<Member>,
    /// Who is there since when, in the order of coming.
    peers: Vec<(String, i64)>,
    pub(crate) empty_since: u64,
    version: u64,
    stored_version: u64,
    version_under_way: Option<u64>,
    not_before: u64,
    failures: u32,
    is_conflicted: bool,
    /// It is being closed.
    is_closing: bool,
    /// The store was asked to delete it.
    is_deleting: bool,
    /// Counts all rooms.
    number: u64,
    cache: Cache,
}

/// What is known of a room's document.
#[derive(Clone, Debug)]
struct Cache {
    /// Only the store has it.
    is_unread: bool,
    is_being_read: bool,
    /// When it was of use.
    used_at: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) conn: ConnId,
    pub(crate) peer: String,
    is_host: bool,
    metadata: String,
    /// Counts all joins; the largest of a peer is its newest connection.
    joined: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Join(JoinWish),
    Create(CreateWish),
    View,
    Close,
    /// For the document.
    Sync,
}

#[derive(Clone, Debug)]
pub(crate) struct JoinWish {
    pub(crate) peer: String,
    pub(crate) is_host: bool,
    pub(crate) metadata: String,
    pub(crate) token: Option<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct CreateWish {
    pub(crate) desired: bool,
    pub(crate) room_id: String,
    pub(crate) host_id: String,
    pub(crate) needs_token: bool,
    pub(crate) token: u8,
}

enum Place {
    Memory(String),
    Store(Image),
    Nowhere,
    Unknown,
    Closing,
    Ask,
}

impl Model {
    pub(crate) fn new(config: RoomsConfig, fresh_ids: u64) -> Self {
        Self {
            config,
            rooms: BTreeMap::new(),
            asked: BTreeSet::new(),
            waiting: Vec::new(),
            readings: Vec::new(),
            expected: Vec::new(),
            is_draining: false,
            joins: 0,
            fresh_ids,
            opened: 0,
        }
    }

    pub(crate) fn fresh_ids(&self) -> u64 {
        self.fresh_ids
    }

    pub(crate) fn is_waiting(&self, conn: ConnId) -> bool {
        self.waiting.iter().any(|(waiter, ..)| *waiter == conn) || self.waits_for_document(conn)
    }

    pub(crate) fn room_of(&self, conn: ConnId) -> Option<&str> {
        let mut rooms = self.rooms.iter();
        let (code, _) = rooms.find(|(_, room)| room.members.iter().any(|m| m.conn == conn))?;
        Some(code)
    }

    pub(crate) fn wish(&mut self, conn: ConnId, code: &str, wish: Wish, now: u64) {
        match self.place(code, None) {
            Place::Ask => {
                if self.asked.insert(code.to_owned()) {
                    self.expected.push(Effect::Lookup(code.to_owned()));
                }
                self.waiting.push((conn, code.to_owned(), wish));
                self.end(conn, "WaitingForStore");
            }
            place => self.fulfil(place, conn, code, wish, now),
        }
    }

    /// The requests that waited for `code`, which is not asked for any more.
    pub(crate) fn lookup_done(&mut self, code: &str, found: &Found, now: u64) {
        let waiting = std::mem::take(&mut self.waiting);
        let (mine, others) = waiting.into_iter().partition(|(_, asked, _)| asked == code);
        self.waiting = others;
        let mine: Vec<(ConnId, String, Wish)> = mine;
        self.delete_closed();
        for (conn, _, wish) in mine {
            let place = self.place(code, Some(found));
            self.fulfil(place, conn, code, wish, now);
        }
    }

    pub(crate) fn say(&mut self, conn: ConnId, data: &str, now: u64) {
        let Some(code) = self.seat(conn) else { return };
        let peer = self.member(&code, conn).peer.clone();
        self.tell_others(&code, conn, format!("data {peer} {data}"));
        self.settle(&code, now);
        self.end(conn, "Now");
    }

    pub(crate) fn sync(&mut self, conn: ConnId, document: &str, now: u64) {
        let Some(code) = self.seat(conn) else { return };
        if self.config.sync_writers == SyncWriters::Host && !self.member(&code, conn).is_host {
            return self.end(conn, "HostOnly");
        }
        let room = self.rooms.get_mut(&code).expect("the model knows it");
        room.image.document = Some(document.to_owned());
        room.cache.is_unread = false;
        room.cache.used_at = now;
        room.version += 1;
        let is_conflicted = room.is_conflicted;
        self.tell_others(&code, conn, format!("document {document}"));
        self.settle(&code, now);
        if !self.config.store {
            self.end(conn, "Now");
        } else if is_conflicted {
            self.end(conn, "NotDurable");
        } else {
            self.end(conn, &format!("when durable {code}"));
        }
    }

    pub(crate) fn ask(&mut self, conn: ConnId, now: u64) {
        let Some(code) = self.seat(conn) else { return };
        if self.rooms[&code].cache.is_unread {
            self.wait_for_document(&code, conn, Wish::Sync);
            return self.end(conn, "WaitingForDocument");
        }
        let room = self.rooms.get_mut(&code).expect("the model knows it");
        room.cache.used_at = now;
        let document = &room.image.document;
        let text =
            document.as_ref().map_or("no document".into(), |text| format!("document {text}"));
        self.expected.push(Effect::Send(conn, text));
        self.end(conn, "Now");
    }

    /// Takes `conn` out of its room because it wants so.
    pub(crate) fn leave(&mut self, conn: ConnId, now: u64) {
        if self.seat(conn).is_some() {
            self.go(conn, now);
            self.end(conn, "Now");
        }
    }

    /// Takes `conn` out of its room, if it is in one.
    fn go(&mut self, conn: ConnId, now: u64) {
        let Some(code) = self.room_of(conn).map(str::to_owned) else { return };
        let room = self.rooms.get_mut(&code).expect("the model knows it");
        let at =
            room.members.iter().position(|member| member.conn == conn).expect("the model knows it");
        let gone = room.members.remove(at);
        if room.members.is_empty() {
            room.empty_since = now;
            room.cache.used_at = now;
        }
        if room.members.iter().all(|member| member.peer != gone.peer) {
            room.peers.retain(|(peer, _)| *peer != gone.peer);
            self.tell_others(&code, conn, format!("left {}", gone.peer));
        }
        self.settle(&code, now);
    }

    pub(crate) fn disconnect(&mut self, conn: ConnId, now: u64) {
        self.waiting.retain(|(waiter, ..)| *waiter != conn);
        self.stop_waiting(conn);
        self.go(conn, now);
    }

    pub(crate) fn saved(&mut self, code: &str, result: Result<(), SaveError>, now: u64) {
        let is_draining = self.is_draining;
        let room = self.rooms.get_mut(code).expect("a room stays while it is saved");
        let version = room.version_under_way.take().expect("it was under way");
        match result {
            Ok(()) => {
                room.stored_version = version;
                room.failures = 0;
                self.expected.push(Effect::Durable(code.to_owned()));
            }
            Err(SaveError::Unavailable | SaveError::Refused) => {
                let delay = (1_000 << room.failures.min(5)).min(RETRY_DELAY_MS_MAX);
                room.not_before = now + if is_draining { 1_000 } else { delay };
                room.failures += 1;
            }
            Err(SaveError::Conflict) => {
                room.is_conflicted = true;
                self.expected.push(Effect::NotDurable(code.to_owned()));
                self.expected.push(Effect::Changed(code.to_owned(), "Conflicted".to_owned()));
            }
        }
        self.settle(code, now);
        self.delete_closed();
    }

    /// What a timeout does, in the order of codes.
    pub(crate) fn tick(&mut self, now: u64) {
        let codes: Vec<String> = self.rooms.keys().cloned().collect();
        for code in codes {
            self.settle(&code, now);
            if !self.is_overdue(&code, now) {
                continue;
            }
            if self.is_asked_for(&code) {
                let room = self.rooms.get_mut(&code).expect("the model knows it");
                (room.empty_since, room.cache.used_at) = (now, now);
            } else {
                self.rooms.remove(&code);
                self.expected.push(Effect::Changed(code, "Expired".to_owned()));
            }
        }
    }

    pub(crate) fn flush(&mut self, now: u64) {
        self.is_draining = true;
        let codes: Vec<String> = self.rooms.keys().cloned().collect();
        for code in codes {
            let room = self.rooms.get_mut(&code).expect("the model knows it");
            if room.version_under_way.is_none() {
                room.failures = 0;
            }
            self.settle(&code, now);
        }
    }

    /// The real rooms have evicted this one.
    pub(crate) fn evicted(&mut self, code: &str) {
        assert!(self.evictable().any(|candidate| candidate == code), "{code} may not be evicted");
        let since = self.rooms[code].empty_since;
        assert!(self.evictable().all(|other| self.rooms[other].empty_since >= since));
        self.rooms.remove(code);
    }

    /// Rooms that may leave memory early.
    pub(crate) fn evictable(&self) -> impl Iterator<Item = &str> {
        let rooms = self.rooms.iter().filter(|(code, room)| {
            let is_stored = room.stored_version == room.version && !room.is_conflicted;
            self.config.store
                && is_stored
                && !room.is_closing
                && room.members.is_empty()
                && room.version_under_way.is_none()
                && !self.is_asked_for(code)
        });
        rooms.map(|(code, _)| code.as_str())
    }

    /// Rooms whose newest state the store has to get.
    pub(crate) fn unsaved(&self) -> usize {
        let unsaved = |room: &&Room| {
            let is_newer = room.stored_version < room.version && !room.is_conflicted;
            is_newer && (!room.is_closing || room.version_under_way.is_some())
        };
        if self.config.store { self.rooms.values().filter(unsaved).count() } else { 0 }
    }

    /// The rooms that the store must have as they are, once all are saved.
    pub(crate) fn images(&self) -> impl Iterator<Item = &Image> {
        let rooms = self.rooms.values().filter(|room| !room.is_conflicted && !room.is_closing);
        rooms.map(|room| &room.image)
    }

    /// The ids of the peers in a room, in order.
    pub(crate) fn peer_ids(&self, code: &str) -> Vec<String> {
        self.rooms[code].peers.iter().map(|(peer, _)| peer.clone()).collect()
    }

    /// The document of a room.
    pub(crate) fn document(&self, code: &str) -> Option<&str> {
        self.rooms[code].image.document.as_deref()
    }

    fn place(&self, code: &str, found: Option<&Found>) -> Place {
        let upper = code.to_uppercase();
        if self.rooms.contains_key(code) {
            return self.in_memory(code);
        }
        match found {
            None if self.config.store && self.is_closing(&upper) => Place::Closing,
            None if self.config.store => Place::Ask,
            Some(Ok(Some(image))) if self.rooms.contains_key(&image.code) => {
                self.in_memory(&image.code)
            }
            Some(Ok(Some(image))) => Place::Store(image.clone()),
            None | Some(_) if self.rooms.contains_key(&upper) => self.in_memory(&upper),
            None | Some(Ok(None)) => Place::Nowhere,
            Some(Err(())) => Place::Unknown,
        }
    }

    fn fulfil(&mut self, place: Place, conn: ConnId, code: &str, wish: Wish, now: u64) {
        let result = match wish {
            Wish::Join(wish) => self.join(place, conn, code, &wish, now),
            Wish::Create(wish) => self.create(place, code, &wish, now),
            Wish::View => match place {
                Place::Memory(code) => Ok(self.room_text(&code)),
                Place::Store(image) => Ok(room_text(
                    &image.code,
                    image.room_id.as_deref().unwrap_or_default(),
                    image.host_id.as_deref().unwrap_or_default(),
                    &[],
                )),
                Place::Nowhere => Err("RoomNotFound"),
                Place::Unknown | Place::Closing | Place::Ask => Err("StoreUnavailable"),
            },
            Wish::Sync => unreachable!("a member knows its room"),
            Wish::Close => {
                let result = self.close(place, now);
                self.delete_closed();
                Ok(result.to_owned())
            }
        };
        let text = result.unwrap_or_else(str::to_owned);
        self.end(conn, &text);
    }

    fn join(
        &mut self,
        place: Place,
        conn: ConnId,
        asked: &str,
        wish: &JoinWish,
        now: u64,
    ) -> Result<String, &'static str> {
        let code = match place {
            Place::Memory(code) => code,
            Place::Store(image) => self.restore(image, now)?,
            Place::Nowhere if self.config.auto_create && asked.is_ascii() => {
                self.ensure_space()?;
                let host_id = if wish.is_host { wish.peer.clone() } else { String::new() };
                let room_id = self.fresh_id();
                let image = new_image(asked, room_id, host_id, false, None, now);
                self.open(image, 0, "Created", now)
            }
            Place::Nowhere => return Err("RoomNotFound"),
            Place::Unknown | Place::Closing | Place::Ask => return Err("StoreUnavailable"),
        };
        let members = &self.rooms[&code].members;
        let is_in = members.iter().any(|member| member.conn == conn);
        if !is_in && members.len() >= self.config.peers_per_room_max as usize {
            self.settle(&code, now);
            return Err("RoomFull");
        }
        if self.rooms[&code].cache.is_unread {
            self.settle(&code, now);
            self.wait_for_document(&code, conn, Wish::Join(wish.clone()));
            return Ok("WaitingForDocument".to_owned());
        }
        if !(is_in && self.member(&code, conn).peer == wish.peer) {
            self.go(conn, now);
        }
        self.enter(&code, conn, wish, now);
        self.settle(&code, now);
        Ok("Now".to_owned())
    }

    fn create(
        &mut self,
        place: Place,
        asked: &str,
        wish: &CreateWish,
        now: u64,
    ) -> Result<String, &'static str> {
        let (code, word) = match place {
            Place::Memory(_) | Place::Store(_) | Place::Closing if !wish.desired => {
                return Ok("Taken".to_owned());
            }
            Place::Memory(code) => (code, "restored"),
            Place::Store(image) => (self.restore(image, now)?, "restored"),
            Place::Closing => return Err("StoreUnavailable"),
            Place::Unknown if wish.desired => return Err("StoreUnavailable"),
            Place::Nowhere | Place::Unknown | Place::Ask => {
                self.ensure_space()?;
                let (room_id, host_id) = (wish.room_id.clone(), wish.host_id.clone());
                let token = Some(wish.token);
                let image = new_image(asked, room_id, host_id, wish.needs_token, token, now);
                (self.open(image, 0, "Created", now), "created")
            }
        };
        let room = self.rooms.get_mut(&code).expect("the model knows it");
        if room.members.is_empty() {
            (room.empty_since, room.cache.used_at) = (now, now);
        }
        self.settle(&code, now);
        Ok(format!("{word} {}", self.room_text(&code)))
    }

    fn enter(&mut self, code: &str, conn: ConnId, wish: &JoinWish, now: u64) {
        let server_asks = self.config.host_auth == HostAuth::Token;
        self.joins += 1;
        let room = self.rooms.get_mut(code).expect("the model knows it");
        room.cache.used_at = now;
        let host_id = room.image.host_id.clone().unwrap_or_default();
        let token = room.image.token;
        let needs_token = room.image.needs_token || (server_asks && token.is_some());
        let has_token = token.is_some() && token == wish.token;
        let is_named = host_id.is_empty() || host_id == wish.peer;
        let is_host = wish.is_host && is_named && (has_token || !needs_token);
        if is_host && host_id.is_empty() {
            room.image.host_id = Some(wish.peer.clone());
            room.version += 1;
        }
        let is_first = room.members.iter().all(|member| member.peer != wish.peer);
        if is_first {
            room.peers.push((wish.peer.clone(), i64::try_from(now).expect("the model knows it")));
        }
        let member = Member {
            conn,
            peer: wish.peer.clone(),
            is_host,
            metadata: wish.metadata.clone(),
            joined: self.joins,
        };
        match room.members.iter_mut().find(|member| member.conn == conn) {
            Some(seat) => *seat = member,
            None => room.members.push(member),
        }
        self.expected.push(Effect::Send(conn, format!("connected {} {code}", wish.peer)));
        self.expected.push(Effect::Send(conn, format!("room {}", self.room_text(code))));
        if let Some(document) = self.document(code) {
            self.expected.push(Effect::Send(conn, format!("document {document}")));
        }
        if is_first {
            let peer = self.peer_texts(code).pop().expect("the model knows it");
            self.tell_others(code, conn, format!("joined {peer}"));
        }
    }

    fn restore(&mut self, mut image: Image, now: u64) -> Result<String, &'static str> {
        self.ensure_space()?;
        let is_whole = image.room_id.is_some();
        if !is_whole {
            image.room_id = Some(self.fresh_id());
        }
        image.host_id.get_or_insert_default();
        Ok(self.open(image, u64::from(is_whole), "Restored", now))
    }

    fn open(&mut self, image: Image, stored_version: u64, change: &str, now: u64) -> String {
        let code = image.code.clone();
        self.expected.push(Effect::Changed(code.clone(), change.to_owned()));
        self.opened += 1;
        let room = Room {
            number: self.opened,
            cache: Cache {
                is_unread: image.document.is_some(),
                is_being_read: false,
                used_at: now,
            },
            image,
            members: Vec::new(),
            peers: Vec::new(),
            empty_since: now,
            version: 1,
            stored_version,
            version_under_way: None,
            not_before: 0,
            failures: 0,
            is_conflicted: false,
            is_closing: false,
            is_deleting: false,
        };
        assert!(self.rooms.insert(code.clone(), room).is_none());
        code
    }

    /// Evictions were applied before, so a memory that is still full stays so.
    fn ensure_space(&self) -> Result<(), &'static str> {
        if self.rooms.len() < self.config.rooms_max as usize {
            return Ok(());
        }
        assert_eq!(self.evictable().next(), None, "a room could have been evicted");
        Err("TooManyRooms")
    }

    fn settle(&mut self, code: &str, now: u64) {
        let room = self.rooms.get_mut(code).expect("the model knows it");
        if self.is_draining && room.failures == 0 {
            room.not_before = 0;
        }
        let is_dirty = room.stored_version < room.version && !room.is_conflicted;
        let is_free = room.version_under_way.is_none() && !room.is_closing;
        let may_write = self.config.store && is_free;
        if is_dirty && may_write && room.not_before <= now {
            room.version_under_way = Some(room.version);
            room.not_before = now + SAVE_SPACING_MS;
            let mut image = room.image.clone();
            if room.cache.is_unread {
                image.document = None;
            }
            self.expected.push(Effect::Persist(image));
        }
    }

    fn is_overdue(&self, code: &str, now: u64) -> bool {
        let room = &self.rooms[code];
        let Some(idle) = self.config.idle_timeout else { return false };
        let may_forget =
            !self.config.store || room.is_conflicted || room.stored_version == room.version;
        let idle_ms = u64::try_from(idle.as_millis()).expect("the model knows it");
        room.members.is_empty()
            && !room.is_closing
            && may_forget
            && room.version_under_way.is_none()
            && room.empty_since + idle_ms <= now
    }

    /// Whether a lookup under way may be answered with this room.
    pub(crate) fn is_asked_for(&self, code: &str) -> bool {
        self.is_looked_up(code) || self.rooms.get(code).is_some_and(|room| room.cache.is_being_read)
    }

    fn is_looked_up(&self, code: &str) -> bool {
        self.asked.iter().any(|asked| asked == code || asked.to_uppercase() == code)
    }

    fn seat(&mut self, conn: ConnId) -> Option<String> {
        let code = self.room_of(conn).map(str::to_owned);
        if code.is_none() {
            self.end(conn, "NotInRoom");
        }
        code
    }

    fn member(&self, code: &str, conn: ConnId) -> &Member {
        self.rooms[code]
            .members
            .iter()
            .find(|member| member.conn == conn)
            .expect("the model knows it")
    }

    fn tell_others(&mut self, code: &str, from: ConnId, text: String) {
        let members = self.rooms[code].members.iter().map(|member| member.conn);
        let to: Vec<ConnId> = members.filter(|&conn| conn != from).collect();
        if !to.is_empty() {
            self.expected.push(Effect::Broadcast(to, text));
        }
    }

    fn peer_texts(&self, code: &str) -> Vec<String> {
        let room = &self.rooms[code];
        let describe = |(peer, joined_at): &(String, i64)| {
            let mine = || room.members.iter().filter(|member| member.peer == *peer);
            let newest = mine().max_by_key(|member| member.joined).expect("a peer has members");
            let is_host = mine().any(|member| member.is_host);
            peer_text(peer, is_host, &newest.metadata, *joined_at)
        };
        room.peers.iter().map(describe).collect()
    }

    fn room_text(&self, code: &str) -> String {
        let image = &self.rooms[code].image;
        let room_id = image.room_id.as_deref().unwrap_or_default();
        let host_id = image.host_id.as_deref().unwrap_or_default();
        room_text(code, room_id, host_id, &self.peer_texts(code))
    }

    fn fresh_id(&mut self) -> String {
        self.fresh_ids += 1;
        format!("fresh-{}", self.fresh_ids)
    }

    /// `conn` is answered.
    pub(crate) fn end(&mut self, conn: ConnId, text: &str) {
        self.expected.push(Effect::Ended(conn, text.to_owned()));
    }
}

fn new_image(
    code: &str,
    room_id: String,
    host_id: String,
    needs_token: bool,
    token: Option<u8>,
    now: u64,
) -> Image {
    Image {
        code: code.to_owned(),
        room_id: Some(room_id),
        host_id: Some(host_id),
        needs_token,
        token,
        document: None,
        created_at: i64::try_from(now).expect("the model knows it"),
    }
}
