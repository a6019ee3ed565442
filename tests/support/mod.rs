//! What the integration tests share: a real server process, and small clients that speak to it.
//!
//! Nothing here sleeps. Every wait is a blocking read with a deadline: a test takes as long as the
//! server does, and a hang fails with a message and the server's log.

#![allow(dead_code, reason = "each test crate uses its own part of this")]
#![allow(unused_imports, reason = "each test crate uses its own part of this")]

mod http;
mod process;
mod web_socket;

use std::env;
use std::io::Write;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) use http::{HttpClient, Response};
pub(crate) use process::{
    Directory, Exited, Launch, Log, Server, address_in, finish, finish_step_by_step, program, run,
};
pub(crate) use web_socket::{Ended, Frame, WebSocketClient};

/// How long anything may take before a test gives up. Far more than is ever needed, so that a
/// busy machine fails no test.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Says that a test is skipped for want of something, where `cargo test` cannot hide it. If the
/// environment's `required` is 1, that is a failure instead.
#[track_caller]
pub(crate) fn skip(reason: &str, required: &str) {
    let is_required = env::var_os(required).is_some_and(|value| value == "1");
    assert!(!is_required, "{required}=1, but: {reason}");
    // Unlike println!, this is not captured.
    writeln!(std::io::stderr(), "skipped: {reason}").expect("standard error is open");
}

/// The folder of something that `scripts/test` installs, which the environment's `variable` names.
/// Without it the test says that it is skipped; with `REQUIRE_CLIENTS=1` that is a failure.
#[track_caller]
pub(crate) fn installed(variable: &str) -> Option<PathBuf> {
    let folder = env::var_os(variable).map(PathBuf::from);
    if folder.is_none() {
        skip(&format!("{variable} is not set; scripts/test sets it"), "REQUIRE_CLIENTS");
    }
    folder
}

/// A connection to the Unix socket at `path`. What clients here do with a stream works the same
/// for any socket, so theirs is the type of most.
#[track_caller]
pub(crate) fn connect_unix(path: &Path) -> TcpStream {
    let stream = UnixStream::connect(path).expect("the server listens there");
    TcpStream::from(OwnedFd::from(stream))
}

/// The moment at which a test gives up, [`DEADLINE`] after its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    start: Instant,
}

impl Deadline {
    #[expect(clippy::disallowed_methods, reason = "tests run in real time")]
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn passed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Zero once it is over.
    pub(crate) fn left(&self) -> Duration {
        DEADLINE.saturating_sub(self.passed())
    }
}
