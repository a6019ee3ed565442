//! The load generator: from options to a report.
//!
//! One thread does everything, so that on a machine with two cores the other one is the server's.
//! `crowd` owns all sockets; what `client`s hear goes to the `tally`, which has the `ledger` of all
//! messages; `traffic` and `presence` are the scenarios, on the `stage` that they share. Frames are
//! skipped through rather than decoded (`frame`), messages are known by their `stamp`.

mod client;
mod clock;
mod crowd;
mod frame;
mod ledger;
mod options;
mod presence;
mod process;
mod report;
mod server;
mod stage;
mod stamp;
mod tally;
mod traffic;

use std::io::{self, Write};

pub(crate) use options::{Command, HELP, Options, Scenario, parse};
pub(crate) use report::Report;
use server::ServerError;
use stage::Stage;

/// The load could not be put on the server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The server can't be used.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Clients do not get into their rooms.
    #[error("{joined} of {clients} clients have joined, then: {why}")]
    NoJoin {
        /// How many did.
        joined: u64,
        /// How many should.
        clients: u32,
        /// What stopped them.
        why: String,
    },
    /// Too few files may be open.
    #[error("{needed} files are needed, but only {limit} may be open (ulimit -n)")]
    Files {
        /// How many must be.
        needed: u64,
        /// How many may be.
        limit: u64,
    },
    /// The process given by `--pid` can't be looked at.
    #[error("nothing is known of process {pid}: {source}")]
    Process {
        /// Its id.
        pid: u32,
        /// Why not.
        source: io::Error,
    },
    /// The system refused something.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Puts the load on the server. Says on `progress` how far it is, a line a second.
///
/// # Errors
/// [`LoadError`] if there is nothing to report.
pub(crate) fn run(options: &Options, progress: &mut dyn Write) -> Result<Report, LoadError> {
    let mut stage = Stage::open(options, progress)?;
    match options.scenario {
        Scenario::Idle => presence::idle(&mut stage),
        Scenario::Join => presence::join(&mut stage),
        Scenario::Churn => presence::churn(&mut stage),
        Scenario::Paced | Scenario::Stalled => traffic::paced(&mut stage),
        Scenario::Flood | Scenario::BigRoom | Scenario::Document => traffic::flood(&mut stage),
    }
}
