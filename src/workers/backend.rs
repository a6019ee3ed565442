//! What the workers do: the engine's jobs, carried out against the store. Everything here may
//! block; nothing here is called by the event loop.

use std::fmt;
use std::sync::Arc;

use log::{info, warn};

use crate::accounts::{AccountError, Service};
use crate::base::memory::{MemoryBudget, Reservation};
use crate::base::time::UnixMillis;
use crate::engine::{Job, Outcome};
use crate::protocol::{self, LargerDocument};
use crate::rooms::{StoredDocument, StoredRoom, TokenHash};
use crate::store::{RoomHead, RoomRecord, Store, StoreError};
use crate::workers::process;

/// The store and the accounts in it, shared by all workers.
pub struct Backend {
    store: Arc<dyn Store>,
    accounts: Service,
    budget: MemoryBudget,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("store", &self.store.name()).finish_non_exhaustive()
    }
}

impl Backend {
    /// `budget` is what the documents read from the store count against.
    pub fn new(store: Arc<dyn Store>, accounts: Service, budget: MemoryBudget) -> Self {
        Self { store, accounts, budget }
    }

    /// Carries out `job`.
    pub fn run(&self, job: Job) -> Outcome {
        match job {
            Job::FindRoom { room_code } => Outcome::FoundRoom(self.find_room(&room_code)),
            Job::ReadDocument { room_code, room_id, bytes, memory } => {
                self.read_document(&room_code, &room_id, bytes, memory)
            }
            Job::SaveRooms { rooms, now } => Outcome::SavedRooms(self.save_rooms(rooms, now)),
            Job::DeleteRoom { room_code, room_id } => {
                Outcome::DeletedRoom(self.store.delete_room(&room_code, &room_id))
            }
            Job::Account { request, now } => Outcome::Account(self.accounts.handle(&request, now)),
            Job::Authenticate { token, now } => {
                Outcome::Authenticated(self.accounts.authenticate(token.as_ref(), now))
            }
            Job::CheckAccounts(identities) => {
                Outcome::CheckedAccounts(self.accounts.ended(identities))
            }
            Job::InspectProcess => Outcome::InspectedProcess(process::facts()),
            Job::InspectStore => Outcome::InspectedStore(self.store.look()),
            Job::Probe { now } => Outcome::Probed(self.probe(now)),
        }
    }

    /// The room stored under `code` as it is, or else upper-cased.
    fn find_room(&self, code: &str) -> Result<Option<StoredRoom>, StoreError> {
        let upper = code.to_uppercase();
        let found = match self.store.room_head(code)? {
            None if upper != code => self.store.room_head(&upper)?,
            found => found,
        };
        Ok(found.map(stored_room))
    }

    /// The document of a stored room, if its frame has `bytes` bytes at most. What is set aside for
    /// it counts until the frame does.
    fn read_document(
        &self,
        room_code: &str,
        room_id: &str,
        bytes: usize,
        memory: Reservation,
    ) -> Outcome {
        let text = match self.store.document(room_code, room_id) {
            Ok(Some(text)) => text,
            Ok(None) => return Outcome::ReadDocument(Ok(None)),
            Err(error) => return Outcome::ReadDocument(Err(error)),
        };
        let document = protocol::document_from_text(&text, bytes, &self.budget);
        drop(memory);
        match document {
            Ok(document) => Outcome::ReadDocument(Ok(Some(document))),
            Err(LargerDocument { bytes }) => Outcome::DocumentNeeds { bytes },
        }
    }

    /// Stores those that have a document which can be read; of each room the outcome.
    fn save_rooms(&self, rooms: Vec<StoredRoom>, now: UnixMillis) -> Vec<Result<(), StoreError>> {
        let mut records = Vec::with_capacity(rooms.len());
        let converted: Vec<Result<(), StoreError>> = rooms
            .into_iter()
            .map(|room| room_record(room, now).map(|record| records.push(record)))
            .collect();
        let mut saved = self.store.save_rooms(&records).into_iter();
        debug_assert_eq!(saved.len(), records.len(), "each room has its outcome");
        let unanswered = || Err(StoreError::Damaged("the store said nothing of it".to_owned()));
        let mut outcome = || saved.next().unwrap_or_else(unanswered);
        converted.into_iter().map(|converted| converted.and_then(|()| outcome())).collect()
    }

    fn probe(&self, now: UnixMillis) -> Result<(), StoreError> {
        self.store.ping()?;
        match self.accounts.ensure_initial_admin(now) {
            Ok(true) => info!("the administrator of the settings was made"),
            Ok(false) => {}
            Err(AccountError::Store(error)) => return Err(error),
            Err(error) => warn!("the administrator of the settings was not made: {error}"),
        }
        Ok(())
    }
}

/// A room as the store has it, without its document.
fn stored_room(head: RoomHead) -> StoredRoom {
    let RoomHead { room, document_bytes } = head;
    StoredRoom {
        room_code: room.room_code,
        room_id: room.room_id,
        host_id: room.host_id,
        host_auth: room.host_auth,
        host_token: room.host_token_hash.map(TokenHash),
        document: document_bytes.map_or(StoredDocument::None, |text_bytes| {
            StoredDocument::Unread { bytes: protocol::document_frame_bytes(text_bytes) }
        }),
        created_at: room.created_at,
    }
}

/// `room` as it is stored at `now`.
fn room_record(room: StoredRoom, now: UnixMillis) -> Result<RoomRecord, StoreError> {
    let document = match &room.document {
        StoredDocument::None | StoredDocument::Unread { .. } => Ok(None),
        StoredDocument::Whole(document) => protocol::document_text(document).map(Some),
    };
    Ok(RoomRecord {
        room_code: room.room_code,
        room_id: room.room_id,
        host_id: room.host_id,
        host_auth: room.host_auth,
        host_token_hash: room.host_token.map(|hash| hash.0),
        document: document.map_err(|error| StoreError::Damaged(error.to_string()))?,
        created_at: room.created_at,
        updated_at: now,
    })
}
