//! What of a room others see or keep: its peers, and what outlasts the process.

use std::ops::Deref;

use super::action::{Document, TokenHash};
use crate::base::time::UnixMillis;
use crate::config::HostAuth;

/// A member as the others see it; it may have several connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// 1–128 characters, chosen by the client or drawn by the server.
    pub id: Box<str>,
    /// When the peer's first connection joined.
    pub joined_at: UnixMillis,
    /// At least one of its connections joined as host.
    pub is_host: bool,
    /// What its newest connection said of itself.
    pub metadata: Metadata,
}

/// JSON text that a peer shows of itself; it reads as the text. `null`, what most connections
/// have, takes no memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(Option<Box<str>>);

/// A room as the store has it, or is to have it. Its document is shared, not copied.
#[derive(Clone, Debug)]
pub struct StoredRoom {
    /// The code under which it is stored.
    pub room_code: String,
    /// The permanent id. `None` in rooms written by the old backend; a fresh one is drawn.
    pub room_id: Option<String>,
    /// `None` while the room is unclaimed, as rooms written by the old backend are: the first
    /// member that joins as host becomes it.
    pub host_id: Option<String>,
    /// How a host proves itself.
    pub host_auth: HostAuth,
    /// Hash of the creator's token, if there is one.
    pub host_token: Option<TokenHash>,
    /// The document.
    pub document: StoredDocument,
    /// When the room was made.
    pub created_at: UnixMillis,
}

/// The document of a room as the store has it, or is to have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredDocument {
    /// There is none.
    None,
    /// The store has it, where it was not read and is not to be changed.
    Unread {
        /// About so many bytes it has as it is sent.
        bytes: usize,
    },
    /// This.
    Whole(Document),
}

impl StoredDocument {
    /// Bytes that it takes in memory.
    pub fn held_bytes(&self) -> usize {
        if let Self::Whole(document) = self { document.0.len() } else { 0 }
    }
}

impl From<&str> for Metadata {
    fn from(json: &str) -> Self {
        Self((json != "null").then(|| json.into()))
    }
}

impl Deref for Metadata {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.as_deref().unwrap_or("null")
    }
}
