//! What the server counts of itself, and how it is written down for Prometheus.
//!
//! The counters are plain numbers of those who do what is counted: an addition, no atomic, no
//! allocation. [`Report`] is what they stand at; [`exposition`](Report::exposition) is the only
//! user of the crate `prometheus_client`. Nothing here knows who counts, or how a report is asked
//! for.

mod exposition;
mod histogram;

pub use exposition::CONTENT_TYPE;
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

/// Everything that can be asked for, at one moment.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of the program.
    pub version: &'static str,
    /// When it began to serve, in seconds since 1970.
    pub start_time_seconds: f64,
    /// Connections that are there, by what they speak.
    pub connections: [(&'static str, usize); 2],
    /// How many there may be.
    pub connections_max: usize,
    /// What went in and out.
    pub traffic: Traffic,
    /// Bytes queued for all clients together; shared ones count for each.
    pub send_queue_bytes: usize,
    /// Bytes queued for the client with the longest queue.
    pub send_queue_bytes_longest: usize,
    /// Rooms in memory.
    pub rooms: usize,
    /// How many there may be.
    pub rooms_max: usize,
    /// Of these, those whose newest state is not stored.
    pub rooms_unsaved: usize,
    /// Connections in rooms.
    pub members: usize,
    /// Bytes of all documents in memory.
    pub document_bytes: usize,
    /// Bytes that count against the budget.
    pub memory_used_bytes: usize,
    /// The budget.
    pub memory_budget_bytes: usize,
    /// Errors that clients were told, by their code; each code that there is.
    pub errors: Vec<(&'static str, u64)>,
    /// Jobs that wait to be started.
    pub jobs_waiting: usize,
    /// Jobs that were started.
    pub jobs_running: usize,
    /// From the wish to the outcome, by kind.
    pub job_durations: Vec<(&'static str, Histogram)>,
    /// Outcomes that came after everybody had given up.
    pub jobs_late: u64,
    /// Whether the store answered the last time.
    pub store_ok: bool,
    /// Turns of the event loop, without what they waited.
    pub turns: Histogram,
    /// The process, if the operating system says.
    pub process: Option<ProcessFacts>,
}
