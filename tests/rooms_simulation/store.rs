//! A store that answers late, twice in another order than it was asked, not at all, or that has
//! done what it says it could not do.

use std::collections::BTreeMap;

use sync_server::base::ids::RoomKey;
use sync_server::rooms::SaveError;

use crate::effect::{Image, Save};
use crate::model::FoundDocument;

/// What it says about a code.
pub(crate) type Found = Result<Option<Image>, ()>;

/// The rooms it has, and what it was asked and has not answered.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) images: BTreeMap<String, Image>,
    pub(crate) lookups: Vec<Lookup>,
    pub(crate) reads: Vec<PendingRead>,
    pub(crate) saves: Vec<PendingSave>,
    pub(crate) deletions: Vec<PendingDeletion>,
    pub(crate) is_down: bool,
}

/// A lookup; it is read at one time and answered at another.
pub(crate) struct Lookup {
    pub(crate) code: String,
    pub(crate) found: Option<Found>,
}

/// A read of a document; it takes place at one time and is answered at another.
pub(crate) struct PendingRead {
    pub(crate) key: RoomKey,
    pub(crate) code: String,
    pub(crate) room_id: String,
    pub(crate) found: Option<FoundDocument>,
}

/// A save; it takes place at one time and is answered at another.
pub(crate) struct PendingSave {
    pub(crate) save: Save,
    pub(crate) result: Option<Result<(), SaveError>>,
}

/// A deletion; it takes place at one time and is answered at another.
pub(crate) struct PendingDeletion {
    pub(crate) key: RoomKey,
    pub(crate) code: String,
    pub(crate) room_id: String,
    pub(crate) is_done: bool,
}

impl Store {
    /// Reads for the lookup at `index`: the code as it is, then in capitals.
    pub(crate) fn read(&mut self, index: usize) {
        let lookup = &mut self.lookups[index];
        let exact = self.images.get(&lookup.code);
        let image = exact.or_else(|| self.images.get(&lookup.code.to_uppercase()));
        lookup.found = Some(if self.is_down { Err(()) } else { Ok(image.cloned()) });
    }

    /// Reads the document for the read at `index`.
    pub(crate) fn read_document(&mut self, index: usize) {
        let read = &mut self.reads[index];
        let image = self.images.get(&read.code);
        let image =
            image.filter(|image| image.room_id.as_ref().is_none_or(|id| *id == read.room_id));
        let document = image.and_then(|image| image.document.clone());
        read.found = Some(if self.is_down { Err(()) } else { Ok(document) });
    }

    /// Does the deletion at `index`, unless the store is down: then it fails.
    pub(crate) fn delete(&mut self, index: usize) {
        let pending = &mut self.deletions[index];
        pending.is_done = true;
        let owner = self.images.get(&pending.code).map(|image| image.room_id.as_ref());
        let is_ours = owner.is_some_and(|id| id.is_none_or(|id| *id == pending.room_id));
        if is_ours && !self.is_down {
            self.images.remove(&pending.code);
        }
    }

    /// Does the save at `index`. One that fails may have been done nevertheless.
    pub(crate) fn write(&mut self, index: usize, done_though_failed: bool) {
        let pending = &mut self.saves[index];
        let image = &pending.save.image;
        let owner = self.images.get(&image.code).and_then(|owner| owner.room_id.clone());
        let is_ours = owner.is_none() || owner == image.room_id;
        if is_ours && (!self.is_down || done_though_failed) {
            let mut image = image.clone();
            if image.document.is_none() {
                let stored = self.images.get(&image.code);
                image.document = stored.and_then(|stored| stored.document.clone());
            }
            self.images.insert(image.code.clone(), image);
        }
        pending.result = Some(match (self.is_down, is_ours) {
            (true, _) => Err(SaveError::Unavailable),
            (false, false) => Err(SaveError::Conflict),
            (false, true) => Ok(()),
        });
    }
}
