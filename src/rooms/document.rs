//! Where a room's document is, and which documents leave memory first.
//!
//! What a room has in memory of its document is a cache of what the store has. It may go from any
//! room whose newest state is stored, with or without members, and is read again when a client
//! asks for it: that costs time and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::action::Document;
use super::data::StoredDocument;
use crate::base::time::Timestamp;
use crate::config::AddressKey;

/// Where the document of a room in memory is.
#[derive(Clone, Debug, Default)]
pub(super) enum Place {
    /// There is none.
    #[default]
    Nowhere,
    /// Only the store has it. As it is sent it has about so many bytes.
    Store { bytes: usize },
    /// In memory. Boxed: a room without a document costs little.
    Memory(Box<Held>),
}

/// A document in memory.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) document: Document,
    /// When it was last written, read or sent to a joiner, or when its room emptied.
    pub(super) used_at: Timestamp,
    /// The address of the client that wrote it; `None` if it came from the store or another server.
    pub(super) writer: Option<AddressKey>,
    /// What it was counted as last; also if that was the document before it.
    pub(super) listed: Listing,
    /// Shared with what was lent and is not sent yet.
    lent: Arc<()>,
}

/// The frame of a document on its way to members.
struct Lent {
    frame: Bytes,
    /// Tells the room that this is still there, which [`Bytes`] does not.
    _mark: Arc<()>,
}

/// What a room's document counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Listing {
    /// It is not in memory.
    #[default]
    Absent,
    /// It may go: the store has it.
    Evictable { bytes: usize, has_members: bool, used_at: Timestamp },
    /// It stays with its room, and is charged to its writer.
    Pinned { bytes: usize, writer: Option<AddressKey> },
    /// The same, but the room is empty since then, and nothing of it is ever stored.
    Abandoned { bytes: usize, writer: Option<AddressKey>, since: Timestamp },
}

/// All documents in memory, in the order in which they go.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shelf {
    /// Bytes of all of them.
    bytes: usize,
    /// How many they are.
    held: usize,
    /// Bytes of those that may go.
    evictable_bytes: usize,
    /// Those of empty rooms that may go, the longest empty first.
    of_empty: BTreeSet<(Timestamp, u32)>,
    /// Those of rooms with members that may go, the least lately used first.
    of_live: BTreeSet<(Timestamp, u32)>,
    /// Those that can only go with their rooms, the longest empty first.
    abandoned: BTreeSet<(Timestamp, u32)>,
    /// Bytes of those that stay, by writer. Invariant: none of them is 0.
    charges: BTreeMap<AddressKey, usize>,
}

impl Place {
    /// The place of what the store gave, or a test.
    pub(super) fn of(stored: &StoredDocument, at: Timestamp) -> Self {
        match stored {
            StoredDocument::None => Self::Nowhere,
            StoredDocument::Unread { bytes } => Self::Store { bytes: *bytes },
            StoredDocument::Whole(document) => {
                let mut place = Self::Nowhere;
                place.replace(document.clone(), at);
                place
            }
        }
    }

    /// From `at` on it is `document`, in memory.
    pub(super) fn replace(&mut self, document: Document, at: Timestamp) {
        let listed = if let Self::Memory(held) = self { held.listed } else { Listing::Absent };
        let (writer, lent) = (None, Arc::default());
        *self = Self::Memory(Box::new(Held { document, used_at: at, writer, listed, lent }));
    }

    /// The document as it is to be stored. One that only the store has stays there as it is.
    pub(super) fn stored(&self) -> StoredDocument {
        match self {
            Self::Nowhere => StoredDocument::None,
            Self::Store { bytes } => StoredDocument::Unread { bytes: *bytes },
            Self::Memory(held) => StoredDocument::Whole(held.document.clone()),
        }
    }

    /// Bytes of the document as it is sent, as far as they are known; 0 if there is none.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Nowhere => 0,
            Self::Store { bytes } => *bytes,
            Self::Memory(held) => held.document.0.len(),
        }
    }

    /// The document is used at `at`.
    pub(super) fn touch(&mut self, at: Timestamp) {
        if let Self::Memory(held) = self {
            held.used_at = at;
        }
    }
}

impl Held {
    /// The document, to be sent to members.
    pub(super) fn lend(&self) -> Document {
        let (frame, mark) = (self.document.0.clone(), Arc::clone(&self.lent));
        Document(Bytes::from_owner(Lent { frame, _mark: mark }))
    }

    /// Whether something that was lent is still there: until it is sent, memory that the document
    /// takes would not be free if the room let it go.
    pub(super) fn is_lent(&self) -> bool {
        Arc::strong_count(&self.lent) > 1
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Listing {
    fn bytes(self) -> usize {
        match self {
            Self::Absent => 0,
            Self::Evictable { bytes, .. }
            | Self::Pinned { bytes, .. }
            | Self::Abandoned { bytes, .. } => bytes,
        }
    }

    /// What is charged, and to which address.
    pub(super) fn charge(self) -> Option<(AddressKey, usize)> {
        match self {
            Self::Absent | Self::Evictable { .. } => None,
            Self::Pinned { bytes, writer } | Self::Abandoned { bytes, writer, .. } => {
                Some((writer?, bytes)).filter(|_| bytes > 0)
            }
        }
    }
}

impl Shelf {
    /// The document of the room at `index`, which counted as `before`, counts as `after`.
    pub(super) fn relist(&mut self, index: u32, before: Listing, after: Listing) {
        self.bytes = self.bytes - before.bytes() + after.bytes();
        self.held -= usize::from(before != Listing::Absent);
        self.held += usize::from(after != Listing::Absent);
        if let Some((order, at)) = self.order(before) {
            let was_there = order.remove(&(at, index));
            debug_assert!(was_there, "a room knows what it is counted as");
        }
        if let Some((order, at)) = self.order(after) {
            order.insert((at, index));
        }
        if let Listing::Evictable { bytes, .. } = before {
            self.evictable_bytes -= bytes;
        }
        if let Listing::Evictable { bytes, .. } = after {
            self.evictable_bytes += bytes;
        }
        if let Some((writer, bytes)) = before.charge()
            && let Some(charged) = self.charges.get_mut(&writer)
        {
            *charged -= bytes;
            if *charged == 0 {
                self.charges.remove(&writer);
            }
        }
        if let Some((writer, bytes)) = after.charge() {
            *self.charges.entry(writer).or_default() += bytes;
        }
    }

    /// Bytes of all documents.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many documents there are.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Bytes of the documents that may go.
    pub(super) fn evictable_bytes(&self) -> usize {
        self.evictable_bytes
    }

    /// The room whose document goes first.
    pub(super) fn first_evictable(&self) -> Option<u32> {
        self.of_empty.first().or_else(|| self.of_live.first()).map(|&(_, index)| index)
    }

    /// The room with a document that nothing stores which is empty longest, and since when.
    pub(super) fn first_abandoned(&self) -> Option<(Timestamp, u32)> {
        self.abandoned.first().copied()
    }

    /// Bytes that stay and were written from `writer`.
    pub(super) fn charged(&self, writer: AddressKey) -> usize {
        self.charges.get(&writer).copied().unwrap_or(0)
    }

    /// Addresses from which something was written that stays.
    pub(super) fn writers(&self) -> usize {
        self.charges.len()
    }

    fn order(&mut self, listing: Listing) -> Option<(&mut BTreeSet<(Timestamp, u32)>, Timestamp)> {
        match listing {
            Listing::Evictable { has_members: false, used_at, .. } => {
                Some((&mut self.of_empty, used_at))
            }
            Listing::Evictable { has_members: true, used_at, .. } => {
                Some((&mut self.of_live, used_at))
            }
            Listing::Abandoned { since, .. } => Some((&mut self.abandoned, since)),
            Listing::Absent | Listing::Pinned { .. } => None,
        }
    }
}
