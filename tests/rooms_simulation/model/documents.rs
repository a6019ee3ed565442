//! Documents of the model that only the store has.

use sync_server::base::ids::ConnId;

use super::{Model, Place, Room, Wish};
use crate::effect::Effect;

/// How long a room that nothing stores is empty before it may go.
const ABANDONED_MS: u64 = 120_000;

/// What the store says about a document.
pub(crate) type FoundDocument = Result<Option<String>, ()>;

/// A document that is being read, and the requests that wait for it.
pub(crate) struct Reading {
    code: String,
    /// Tells the room from later ones with its code.
    number: u64,
    waiting: Vec<(ConnId, Wish)>,
}

impl Model {
    /// Whether a request of `conn` waits for a document.
    pub(super) fn waits_for_document(&self, conn: ConnId) -> bool {
        self.readings.iter().any(|one| one.waiting.iter().any(|(waiter, _)| *waiter == conn))
    }

    pub(super) fn stop_waiting(&mut self, conn: ConnId) {
        for reading in &mut self.readings {
            reading.waiting.retain(|(waiter, _)| *waiter != conn);
        }
    }

    /// `wish` of `conn` waits for the document of the room `code`.
    pub(super) fn wait_for_document(&mut self, code: &str, conn: ConnId, wish: Wish) {
        let room = self.rooms.get_mut(code).expect("the model knows it");
        let number = room.number;
        if !room.cache.is_being_read {
            room.cache.is_being_read = true;
            self.expected.push(Effect::Read(code.to_owned()));
            let code = code.to_owned();
            self.readings.push(Reading { code, number, waiting: Vec::new() });
        }
        let reading = self.readings.iter_mut().find(|reading| reading.number == number);
        reading.expect("it has begun").waiting.push((conn, wish));
    }

    /// The store has answered the read at `index`.
    pub(crate) fn document_read(&mut self, index: usize, found: &FoundDocument, now: u64) {
        let Reading { code, number, waiting } = self.readings.remove(index);
        let is_same = |room: &&mut Room| room.number == number && !room.is_closing;
        let room = self.rooms.get_mut(&code).filter(is_same);
        let is_there = room.is_some();
        if let Some(room) = room {
            room.cache.is_being_read = false;
            if room.cache.is_unread && found.is_ok() {
                assert_eq!(found.as_ref(), Ok(&room.image.document), "the newest is stored");
                room.cache.is_unread = false;
                room.cache.used_at = now;
            }
            self.settle(&code, now);
        }
        for (conn, wish) in waiting {
            match (found, wish) {
                (Err(()), _) => self.end(conn, "StoreUnavailable"),
                (Ok(_), Wish::Sync) => self.ask(conn, now),
                (Ok(_), wish) => {
                    let place = if is_there { Place::Memory(code.clone()) } else { Place::Unknown };
                    self.fulfil(place, conn, &code, wish, now);
                }
            }
        }
    }

    /// The document of a room has left memory.
    pub(crate) fn unloaded(&mut self, code: &str) {
        let rank = |code: &str| {
            let room = &self.rooms[code];
            (!room.members.is_empty(), room.cache.used_at)
        };
        assert!(self.unloadable().any(|candidate| candidate == code), "{code} may not");
        assert!(self.unloadable().all(|other| rank(other) >= rank(code)), "{code} is not first");
        self.rooms.get_mut(code).expect("the model knows it").cache.is_unread = true;
    }

    /// A room that nothing stores has left memory.
    pub(crate) fn dropped(&mut self, code: &str, now: u64) {
        assert!(self.droppable(now).any(|candidate| candidate == code), "{code} may not");
        self.rooms.remove(code);
    }

    /// Rooms whose documents may leave memory.
    pub(crate) fn unloadable(&self) -> impl Iterator<Item = &str> {
        let rooms = self.rooms.iter().filter(|(_, room)| {
            let is_stored = room.stored_version == room.version && !room.is_conflicted;
            let is_free = room.version_under_way.is_none() && !room.cache.is_being_read;
            let is_held = room.image.document.is_some() && !room.cache.is_unread;
            self.config.store && is_stored && is_free && is_held && !room.is_closing
        });
        rooms.map(|(code, _)| code.as_str())
    }

    /// Rooms that may go with their documents.
    pub(crate) fn droppable(&self, now: u64) -> impl Iterator<Item = &str> {
        let rooms = self.rooms.iter().filter(move |(code, room)| {
            let is_lost = !self.config.store || room.is_conflicted;
            let is_held = room.image.document.is_some() && !room.cache.is_unread;
            let is_old = room.empty_since + ABANDONED_MS <= now;
            let is_empty = room.members.is_empty() && !room.is_closing;
            is_lost && is_held && is_old && is_empty && !self.is_asked_for(code)
        });
        rooms.map(|(code, _)| code.as_str())
    }
}
