//! How many files, and so sockets, this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are no client's: standard streams, the poll, the waker, signals, the listener, the
/// store with its journals or its sockets to a database, and some for refusing connections.
pub const FILES_RESERVED: u64 = 128;

/// The limit of open files (getrlimit(2), `RLIMIT_NOFILE`); `u64::MAX`: there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimit {
    /// What counts, until the process raises it.
    pub soft: u64,
    /// How far it can.
    pub hard: u64,
}

/// The limit of this process.
pub fn file_limit() -> FileLimit {
    let limit = getrlimit(Resource::Nofile);
    let known = |value: Option<u64>| value.unwrap_or(u64::MAX);
    FileLimit { soft: known(limit.current), hard: known(limit.maximum) }
}

/// Raises the soft limit of open files to the hard one, and returns how many connections fit.
/// That the limit can't be raised is no error: the lower one then counts.
pub fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.unwrap_or(u64::MAX).saturating_sub(FILES_RESERVED).max(1)
}
