//! How the model closes a room.

use super::{Image, Model, Place};
use crate::effect::Effect;

impl Model {
    /// Closes the room at `place`; how that is answered.
    pub(super) fn close(&mut self, place: Place, now: u64) -> &'static str {
        let code = match place {
            Place::Memory(code) => code,
            Place::Store(image) => match self.ensure_space() {
                Ok(()) => self.keep(image, now),
                Err(error) => return error,
            },
            Place::Nowhere => return "RoomNotFound",
            Place::Unknown | Place::Closing | Place::Ask => return "StoreUnavailable",
        };
        let room = self.rooms.get_mut(&code).expect("the model knows it");
        let members = std::mem::take(&mut room.members);
        room.peers.clear();
        room.is_closing = true;
        let is_stored = self.config.store && !room.is_conflicted;
        let members = members.iter().map(|member| member.conn).collect();
        self.expected.push(Effect::Dismissed(members));
        self.expected.push(Effect::Changed(code.clone(), "Closed".to_owned()));
        if is_stored {
            return "when deleted";
        }
        self.rooms.remove(&code);
        "Closed"
    }

    /// Closed rooms that nothing of is under way are deleted.
    pub(super) fn delete_closed(&mut self) {
        let codes: Vec<String> = self.rooms.keys().cloned().collect();
        for code in codes {
            let is_looked_up = self.is_looked_up(&code);
            let room = self.rooms.get_mut(&code).expect("the model knows it");
            let is_free = room.version_under_way.is_none() && !is_looked_up;
            if room.is_closing && !room.is_deleting && is_free {
                room.is_deleting = true;
                let id = room.image.room_id.clone().unwrap_or_default();
                self.expected.push(Effect::Delete(code, id));
            }
        }
    }

    /// The store has answered.
    pub(crate) fn deleted(&mut self, code: &str) {
        let room = self.rooms.remove(code).expect("it stays until then");
        assert!(room.is_deleting);
    }

    /// Whether a room is being closed.
    pub(crate) fn is_closing(&self, code: &str) -> bool {
        self.rooms.get(code).is_some_and(|room| room.is_closing)
    }

    pub(super) fn in_memory(&self, code: &str) -> Place {
        if self.is_closing(code) { Place::Closing } else { Place::Memory(code.to_owned()) }
    }

    /// Takes a stored room as it is, for as long as it takes to delete it.
    fn keep(&mut self, image: Image, now: u64) -> String {
        let code = self.open(image, 1, "", now);
        // It was not restored for anybody.
        self.expected.pop();
        code
    }
}
