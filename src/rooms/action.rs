//! What a member can ask of the rooms. The protocol layer has checked syntax and sizes by then.

use std::borrow::Cow;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::config::HostAuth;

/// JSON text that is relayed as the bytes that came. The protocol layer has checked that it is
/// one JSON value; rooms never look inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawJson<'a>(pub &'a str);

/// A room's document in the form in which it is sent: the whole encoded frame, shared by every
/// queue it stands in. Rooms never look inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document(pub Bytes);

/// SHA-256 of a host token. The token itself is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

/// One request of a member about the room that it is in.
#[derive(Clone, Debug)]
pub enum Action<'a> {
    /// `data` to every other connection in the room.
    Broadcast {
        /// Relayed untouched.
        data: RawJson<'a>,
    },
    /// Replace the room's document.
    SyncDocument {
        /// The new one.
        document: Document,
    },
    /// Send me the document.
    RequestSync,
    /// Out of the room; the connection stays open.
    Leave,
}

/// The fields of a join. `P` is the peer id; as it comes from a client it may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join<'a, P = Cow<'a, str>> {
    /// As typed; matched as it is, then upper-cased. 1–64 bytes.
    pub room_code: Cow<'a, str>,
    /// 1–128 characters.
    pub peer_id: P,
    /// The client wants to be host.
    pub is_host: bool,
    /// JSON text that is shown to the other peers; at most 4 KiB.
    pub metadata: Cow<'a, str>,
    /// Hash of the host token it sent, if any.
    pub host_token: Option<TokenHash>,
}

/// A room to be made, or restored if its code exists (`POST /api/rooms`).
#[derive(Clone, Copy, Debug)]
pub struct Create<'a> {
    /// 1–64 of `A–Z a–z 0–9 _ -`. For a desired code, an existing room is restored; for a drawn
    /// one it is [`CreateDone::Taken`](super::CreateDone::Taken).
    pub room_code: &'a str,
    /// The user asked for this very code.
    pub desired: bool,
    /// Used if the room is new.
    pub room_id: &'a str,
    /// Used if the room is new; 1–128 characters.
    pub host_id: &'a str,
    /// Used if the room is new.
    pub host_auth: HostAuth,
    /// Used if the room is new: hash of the token that the creator is given.
    pub host_token: TokenHash,
}

impl TokenHash {
    /// The hash of `token`.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

impl<'a, P> Join<'a, P> {
    /// The same with a peer id that `name` makes of what there is.
    pub fn named<Q>(self, name: impl FnOnce(P) -> Q) -> Join<'a, Q> {
        let Self { room_code, peer_id, is_host, metadata, host_token } = self;
        Join { room_code, peer_id: name(peer_id), is_host, metadata, host_token }
    }
}

impl Join<'_> {
    /// The same, independent of the message's text.
    pub fn into_owned(self) -> Join<'static> {
        let Self { room_code, peer_id, is_host, metadata, host_token } = self;
        Join {
            room_code: room_code.into_owned().into(),
            peer_id: peer_id.into_owned().into(),
            is_host,
            metadata: metadata.into_owned().into(),
            host_token,
        }
    }
}
