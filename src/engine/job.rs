//! Work for the pool, and what it ends with.

use crate::accounts::{AccountReply, AccountRequest, AuthError, Identity};
use crate::base::memory::Reservation;
use crate::base::metrics::ProcessFacts;
use crate::base::secret::Secret;
use crate::base::time::UnixMillis;
use crate::rooms::{Document, StoredRoom};
use crate::store::StoreError;

/// Something that may block.
#[derive(Debug)]
pub enum Job {
    /// Look for a room: the code as it is, then upper-cased.
    FindRoom {
        /// As asked for.
        room_code: String,
    },
    /// Read the document of a stored room.
    ReadDocument {
        /// The room's code.
        room_code: String,
        /// Its permanent id; a room with another one is left alone.
        room_id: String,
        /// So many it is thought to have as it is sent.
        bytes: usize,
        /// Set aside for it.
        memory: Reservation,
    },
    /// Store these rooms, each with another code, durably and together.
    SaveRooms {
        /// As they are to be stored; one at least.
        rooms: Vec<StoredRoom>,
        /// When that is.
        now: UnixMillis,
    },
    /// Delete what is stored of a room.
    DeleteRoom {
        /// The room's code.
        room_code: String,
        /// Its permanent id; a room with another one is left alone.
        room_id: String,
    },
    /// An account route.
    Account {
        /// The route with its input.
        request: Box<AccountRequest>,
        /// When it came.
        now: UnixMillis,
    },
    /// Whose token is this?
    Authenticate {
        /// The token, if one was sent.
        token: Option<Secret>,
        /// When it came.
        now: UnixMillis,
    },
    /// Which of these users' tokens have ended?
    CheckAccounts(Vec<Identity>),
    /// Does the store take a write? If so, it is made ready, with the administrator of the
    /// settings.
    Probe {
        /// When that administrator was made, if it is now.
        now: UnixMillis,
    },
    /// Is something wrong with the store, although nothing has failed?
    InspectStore,
    /// What does the operating system say of this process?
    InspectProcess,
}

/// What a job ends with; the names are those of [`Job`].
#[derive(Debug)]
pub enum Outcome {
    /// The document, if there is one.
    ReadDocument(Result<Option<Document>, StoreError>),
    /// The document has so many bytes as it is sent, more than was thought; it is to be read once
    /// there is memory for that.
    DocumentNeeds {
        /// Exactly so many.
        bytes: usize,
    },
    /// The room, without its document, if there is one.
    FoundRoom(Result<Option<StoredRoom>, StoreError>),
    /// Of each room, in order, whether it is durable now.
    SavedRooms(Vec<Result<(), StoreError>>),
    /// What there is to say, if the operating system says it.
    InspectedProcess(Option<ProcessFacts>),
    /// Whether it is deleted now.
    DeletedRoom(Result<(), StoreError>),
    /// What to answer.
    Account(AccountReply),
    /// Who it is.
    Authenticated(Result<Identity, AuthError>),
    /// Those whose tokens have ended.
    CheckedAccounts(Result<Vec<Identity>, StoreError>),
    /// Whether the store has taken a write.
    Probed(Result<(), StoreError>),
    /// Whether nothing is wrong with it, as far as can be told without a write.
    InspectedStore(Result<(), StoreError>),
}

impl Job {
    /// Bytes of memory behind it that nobody else counts: a document counts for itself.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::FindRoom { room_code } => room_code.capacity(),
            Self::SaveRooms { rooms, .. } => rooms.iter().map(room_bytes).sum(),
            Self::DeleteRoom { room_code, room_id }
            | Self::ReadDocument { room_code, room_id, .. } => {
                room_code.capacity() + room_id.capacity()
            }
            Self::Account { request, .. } => request.held_bytes(),
            Self::Authenticate { token, .. } => token.as_ref().map_or(0, |t| t.expose().len()),
            Self::CheckAccounts(identities) => identities.capacity() * size_of::<Identity>(),
            Self::Probe { .. } | Self::InspectStore | Self::InspectProcess => 0,
        }
    }

    /// Whether it computes a password hash: 19 MiB and a tenth of a second.
    pub(super) fn needs_hash(&self) -> bool {
        matches!(self, Self::Account { request, .. } if request.needs_hash())
    }
}

/// Bytes of memory behind a room that waits to be stored. Its document counts for itself.
pub(super) fn room_bytes(room: &StoredRoom) -> usize {
    let StoredRoom { room_code, room_id, host_id, .. } = room;
    let ids = [room_id, host_id].into_iter().flatten();
    size_of::<StoredRoom>() + room_code.len() + ids.map(String::len).sum::<usize>()
}
