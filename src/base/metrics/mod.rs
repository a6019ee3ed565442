//! What the server counts of itself.
//!
//! The counters are plain numbers of the part that does what is counted: an addition, no atomic,
//! no allocation. Nothing here knows which part that is, or how the numbers are asked for.

mod histogram;

pub use histogram::Histogram;

use std::collections::BTreeMap;

/// What went in and out since the start.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Connections that were taken.
    pub connections_accepted: u64,
    /// Of these, those that were told to come back later.
    pub connections_refused: u64,
    /// Bytes read from clients.
    pub bytes_received: u64,
    /// Bytes that sockets took.
    pub bytes_sent: u64,
    /// HTTP requests, with those that became a WebSocket.
    pub requests: u64,
    /// WebSocket messages of clients.
    pub messages_received: u64,
    /// Frames queued for clients: a message to twenty members is twenty.
    pub messages_delivered: u64,
    /// Connections that the server closed, by the reason's name. Bounded by the number of reasons.
    pub closes: BTreeMap<&'static str, u64>,
}

/// What the operating system says of the process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProcessFacts {
    /// Memory that is in use and not swapped out.
    pub resident_bytes: u64,
    /// Addresses that are in use, with or without memory behind them.
    pub virtual_bytes: u64,
    /// Processor time of all threads, in user and kernel mode.
    pub processor_seconds: f64,
    /// Open file descriptors.
    pub open_files: u64,
    /// How many there may be.
    pub open_files_max: u64,
}
