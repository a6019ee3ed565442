//! A peer: what the members of a room see of each other.

use std::ops::Deref;

use crate::base::time::UnixMillis;

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
