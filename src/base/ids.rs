//! Names for things that live in tables: a connection, a job, a room.
//!
//! An index alone would be reused as soon as its slot is free, and a late event would then reach
//! a stranger; each id therefore carries a generation, and a stale id simply finds nothing.
//! This module knows no table, no socket and no `mio::Token`.

use std::fmt;

/// One connection, from `accept` to the reaping of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    /// The slot in the table of sessions; also the token its socket is registered with.
    pub index: u32,
    /// How many connections this process had accepted when this one came (modulo 2³²).
    pub generation: u32,
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.generation)
    }
}

/// One job handed to the worker pool. Never reused within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// One room in memory. A room that leaves memory and comes back has another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomKey {
    /// The slot in the table of rooms.
    pub index: u32,
    /// How many rooms this process had opened when this one was (modulo 2³²).
    pub generation: u32,
}
