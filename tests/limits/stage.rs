//! A server in a control group, and two who go on talking in a room of their own whatever others
//! do.

use std::io::{self, Write};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::cgroup::MemoryGroup;
use crate::support::{Directory, Launch, Server, WebSocketClient};

/// What the whole process may have, the kernel's share in a control group included, in bytes.
pub(crate) const LIMIT_BYTES: u64 = 100_000_000;

/// The server under test, with those two.
pub(crate) struct Stage {
    /// Before the group, which can be removed only without it.
    pub(crate) server: Server,
    alice: WebSocketClient,
    bob: WebSocketClient,
    pub(crate) group: Option<MemoryGroup>,
    trips: u64,
}

impl Stage {
    pub(crate) fn open(settings: &[(&str, &str)]) -> Self {
        let (server, group) = launch_within(LIMIT_BYTES, None, settings);
        let mut alice = server.host("WITNESS", "alice");
        let bob = server.join("WITNESS", "bob");
        alice.expect_type("peer_joined");
        Self { server, alice, bob, group, trips: 0 }
    }

    /// Those two go on talking: so many messages.
    pub(crate) fn talk(&mut self, messages: usize) {
        for _ in 0..messages {
            self.trips += 1;
            self.alice.broadcast(self.trips);
            assert_eq!(self.bob.expect_type("data")["data"], self.trips);
        }
    }
}

/// A server in a control group of so many bytes, where one can be made.
pub(crate) fn launch_within(
    limit_bytes: u64,
    directory: Option<Arc<Directory>>,
    settings: &[(&str, &str)],
) -> (Server, Option<MemoryGroup>) {
    let group = MemoryGroup::with_limit(limit_bytes);
    if let Err(error) = &group {
        say(&format!("no control group ({error}): looking at the peak of the process instead"));
    }
    let group = group.ok();
    let before = group.as_ref().map(MemoryGroup::enter).unwrap_or_default();
    let server = Server::launch(&Launch { settings, directory, before: &before, sockets: &[] });
    (server, group)
}

/// Shows a line where `cargo test` cannot hide it.
pub(crate) fn say(line: &str) {
    writeln!(io::stderr(), "{line}").expect("standard error is open");
}

/// Lets some time pass before something is looked at, or done, again.
pub(crate) fn pause(time: Duration) {
    // Nothing is ever sent: waiting for it is the pace.
    let (_silent, pace) = mpsc::channel::<()>();
    let _timed_out = pace.recv_timeout(time);
}
