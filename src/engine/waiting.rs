//! Requests that cannot be answered yet, as what is left to do once that for which they wait has
//! come. Each is owned by the one job or lookup that it waits for, and is given back with it.

use std::net::IpAddr;

use crate::accounts::LoginKey;
use crate::api::admin::AdminRequest;
use crate::base::ids::{ConnId, RoomKey};
use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::config::HostAuth;
use crate::http::Upgrade;
use crate::protocol::MessageId;
use crate::rooms::{Create, Join, TokenHash};

/// A request for a room by its code while that is looked up, or for the document of a room while
/// that is read; the rooms keep it.
#[derive(Debug)]
pub(super) enum RoomRequest {
    /// A message.
    Join {
        /// What it asks for.
        join: Join<'static>,
        /// What the client calls it.
        id: Option<MessageId<'static>>,
    },
    /// A message. It waits for a document only.
    RequestSync {
        /// What the client calls it.
        id: Option<MessageId<'static>>,
    },
    /// `POST /api/rooms`.
    Create(Box<Creation>),
    /// `GET /api/rooms/{code}`, of the client at this address.
    View(IpAddr),
    /// `DELETE /api/admin/rooms/{code}`.
    Close,
}

/// What goes on when a job has ended.
#[derive(Debug)]
pub(super) enum Waiting {
    /// The lookup of this code.
    Lookup(String),
    /// The read of the document of this room.
    Document(RoomKey),
    /// The write of these rooms. It never times out: a second write of the same room beside it
    /// might be overtaken by it.
    Saves(Vec<Save>),
    /// The deletion of a room. It never times out, as it would else delete a room that has come
    /// back meanwhile.
    Delete(RoomKey),
    /// An account request.
    Account(ConnId, AskedAccount),
    /// A request that needs a login.
    Login(ConnId, WithLogin),
    /// The question whether tokens have ended.
    Revocations,
    /// The question whether the store answers.
    Probe,
    /// A look at the process, for `/metrics`.
    Metrics(ConnId),
}

/// The write of a room in one state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Save {
    /// Which room.
    pub(super) room: RoomKey,
    /// The state.
    pub(super) revision: u64,
    /// When it was wished for.
    pub(super) since: Timestamp,
}

/// What is done for a client that is logged in.
#[derive(Debug)]
pub(super) enum WithLogin {
    /// A room is made.
    Create(Box<Creation>),
    /// The connection becomes a WebSocket of the client at this address.
    Upgrade(Box<Upgrade>, IpAddr),
    /// What an administrator asks for is done.
    Administer(AdminRequest),
}

/// What the answer to an account request has to be remembered for.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedAccount {
    /// A login attempt: under these keys it was counted as failed beforehand, so that a hundred
    /// attempts at once are not all let through before the first has failed.
    pub(super) login: Option<LoginKey>,
    /// The client speaks TLS, perhaps with a proxy before us.
    pub(super) is_secure: bool,
}

/// A room that is to be made.
#[derive(Debug)]
pub(super) struct Creation {
    /// The client's address.
    pub(super) address: IpAddr,
    /// Desired, or drawn.
    pub(super) room_code: String,
    /// The client asked for this very code.
    pub(super) is_desired: bool,
    /// The room's permanent id.
    pub(super) room_id: String,
    /// The room's host.
    pub(super) host_id: String,
    /// What it takes to be host.
    pub(super) host_auth: HostAuth,
    /// What the client is given to be host.
    pub(super) host_token: Secret,
    /// Where the client is to open its WebSocket.
    pub(super) websocket_url: String,
    /// Codes that were drawn and turned out to be in use.
    pub(super) draws: u8,
    /// The desired code was that of no room, which was counted.
    pub(super) is_counted: bool,
}

/// What jobs are called where their times are counted, in the order of [`Waiting::kind`].
pub(super) const KINDS: [&str; 9] = [
    "room_lookup",
    "room_save",
    "room_delete",
    "account",
    "authentication",
    "revocations",
    "probe",
    "metrics",
    "document_read",
];

impl Waiting {
    /// An index of [`KINDS`].
    pub(super) fn kind(&self) -> usize {
        match self {
            Self::Lookup(_) => 0,
            Self::Saves(_) => 1,
            Self::Delete(_) => 2,
            Self::Account(..) => 3,
            Self::Login(..) => 4,
            Self::Revocations => 5,
            Self::Probe => 6,
            Self::Metrics(_) => 7,
            Self::Document(_) => 8,
        }
    }

    /// Whether the job is given up after a while.
    pub(super) fn times_out(&self) -> bool {
        !matches!(self, Self::Saves(_) | Self::Delete(_))
    }

    /// Whether a client brings what is kept for the job, as much as it likes.
    pub(super) fn is_of_client(&self) -> bool {
        matches!(self, Self::Account(..) | Self::Login(..))
    }

    /// Bytes of memory behind it.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Login(_, WithLogin::Create(creation)) => creation.held_bytes(),
            Self::Login(_, WithLogin::Upgrade(upgrade, _)) => upgrade.held_bytes(),
            Self::Login(_, WithLogin::Administer(request)) => request.held_bytes(),
            Self::Lookup(_)
            | Self::Document(_)
            | Self::Saves(_)
            | Self::Delete(_)
            | Self::Account(..)
            | Self::Revocations
            | Self::Probe
            | Self::Metrics(_) => 0,
        }
    }
}

impl Creation {
    /// What the rooms are asked.
    pub(super) fn request(&self) -> Create<'_> {
        Create {
            room_code: &self.room_code,
            desired: self.is_desired,
            room_id: &self.room_id,
            host_id: &self.host_id,
            host_auth: self.host_auth,
            host_token: TokenHash::of(self.host_token.expose()),
        }
    }

    /// Bytes of memory that it takes.
    pub(super) fn held_bytes(&self) -> usize {
        let texts = [&self.room_code, &self.room_id, &self.host_id, &self.websocket_url];
        let texts = texts.into_iter().map(String::capacity).sum::<usize>();
        size_of::<Self>() + texts + self.host_token.expose().len()
    }
}
