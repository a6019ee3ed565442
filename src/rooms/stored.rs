//! What of a room outlasts the process.

use super::action::{Document, TokenHash};
use crate::base::time::UnixMillis;
use crate::config::HostAuth;

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
    /// The document, if there is one.
    pub document: Option<Document>,
    /// When the room was made.
    pub created_at: UnixMillis,
}
