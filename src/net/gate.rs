//! The gate in front of `accept`: bounded batches, and closed for a while when files run out.

use std::io;
use std::time::Duration;

use log::{debug, warn};
use mio::{Registry, Token};

use super::listener::Acceptor;
use super::socket::Stream;
use crate::base::time::Timestamp;
use crate::config::RemoteEnd;

/// Accepts in one turn, so that a storm of connections does not hold up those that are there.
const ACCEPTS_PER_TURN_MAX: usize = 64;
/// After a failure to accept: how long to leave the listeners alone, unless a file is closed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Gate {
    doors: Vec<Door>,
    /// Do not try before then.
    closed_until: Option<Timestamp>,
}

#[derive(Debug)]
struct Door {
    acceptor: Acceptor,
    /// The kernel has said, or may have said, that connections wait.
    ready: bool,
}

impl Gate {
    /// A gate with a door for each of `sockets`.
    pub(super) fn new(sockets: Vec<Acceptor>) -> Self {
        let doors = sockets.into_iter().map(|acceptor| Door { acceptor, ready: true });
        Self { doors: doors.collect(), closed_until: None }
    }

    /// Has the kernel say when connections wait: at the first door under `first`, and so on.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`.
    pub(super) fn register(&mut self, registry: &Registry, first: Token) -> io::Result<()> {
        for (index, door) in self.doors.iter_mut().enumerate() {
            door.acceptor.register(registry, Token(first.0 + index))?;
        }
        Ok(())
    }

    /// The kernel says that connections wait at the door `index`.
    pub(super) fn set_ready(&mut self, index: usize) {
        if let Some(door) = self.doors.get_mut(index) {
            door.ready = true;
        }
    }

    /// A file was closed: what failed for want of one may work now.
    pub(super) fn reopen(&mut self) {
        self.closed_until = None;
    }

    /// Listens no more. Connections that were not accepted yet are left to another process that has
    /// the socket.
    pub(super) fn shut(&mut self) {
        self.doors.clear();
        self.closed_until = None;
    }

    /// When connections that wait can be accepted: at once, or some time after a failure. `None`
    /// if none wait.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let is_ready = self.doors.iter().any(|door| door.ready);
        is_ready.then(|| self.closed_until.unwrap_or_default())
    }

    /// Accepts at most a batch, the same share at each door, and hands each connection to `take`.
    pub(super) fn accept(&mut self, now: Timestamp, mut take: impl FnMut(Stream, RemoteEnd)) {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        self.closed_until = None;
        let share = ACCEPTS_PER_TURN_MAX / self.doors.len().max(1);
        for door in &mut self.doors {
            if let Err(error) = door.accept(share, &mut take) {
                // EMFILE, ENFILE, ENOBUFS, ENOMEM: trying again at once would spin.
                warn!("cannot accept connections for now: {error}");
                self.closed_until = Some(now + RETRY_AFTER);
                return;
            }
        }
    }
}

impl Door {
    /// Accepts at most `count` connections.
    ///
    /// # Errors
    /// Those of the process or the system, not those of one connection.
    fn accept(&mut self, count: usize, take: &mut impl FnMut(Stream, RemoteEnd)) -> io::Result<()> {
        if !self.ready {
            return Ok(());
        }
        for _ in 0..count {
            match self.acceptor.accept() {
                Ok((stream, peer)) => take(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready = false;
                    return Ok(());
                }
                Err(error) if is_transient(&error) => debug!("accept: {error}"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Errors of one connection, not of the listener (accept(2), *Error handling*).
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::PermissionDenied
    )
}
