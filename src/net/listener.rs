//! The listening socket and its gate: accept in bounded batches, stop when files run out.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use log::{debug, warn};
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};

use crate::time::Timestamp;

/// Connections that the kernel keeps for us until we accept them. A thousand clients that come
/// back at once after a restart must not be turned away.
const BACKLOG: i32 = 4096;
/// Accepts in one turn, so that a storm of connections does not hold up those that are there.
const ACCEPTS_PER_TURN_MAX: usize = 64;
/// After a failure to accept: how long to leave the listener alone, unless a file is closed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why the server can't listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(.source))]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

/// A bound socket, not yet watched by an event loop.
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
    address: SocketAddr,
}

/// The gate in front of `accept`.
#[derive(Debug)]
pub(super) struct Gate {
    listener: Option<TcpListener>,
    /// The kernel has said, or may have said, that connections wait.
    ready: bool,
    /// Do not try before then.
    closed_until: Option<Timestamp>,
}

impl Listener {
    /// Binds `address`:`port` (0: the OS chooses a port) and listens.
    ///
    /// # Errors
    /// [`ListenError`], e.g. when the port is in use or needs privileges.
    pub fn bind(address: IpAddr, port: u16) -> Result<Self, ListenError> {
        let address = SocketAddr::new(address, port);
        open(address).map_err(|source| ListenError { address, source })
    }

    /// Where it listens, with the port that the OS chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn into_inner(self) -> TcpListener {
        self.inner
    }
}

impl Gate {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener: Some(listener), ready: true, closed_until: None }
    }

    /// The kernel says that connections wait.
    pub(super) fn set_ready(&mut self) {
        self.ready = true;
    }

    /// A file was closed: what failed for want of one may work now.
    pub(super) fn reopen(&mut self) {
        self.closed_until = None;
    }

    /// Listens no more.
    pub(super) fn shut(&mut self) {
        self.listener = None;
        self.ready = false;
        self.closed_until = None;
    }

    /// Whether connections wait that can be accepted now.
    pub(super) fn is_pending(&self, now: Timestamp) -> bool {
        self.ready && self.closed_until.is_none_or(|until| until <= now)
    }

    /// When to try again after a failure.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        if self.ready { self.closed_until } else { None }
    }

    /// Accepts at most a batch and hands each connection to `take`.
    pub(super) fn accept(&mut self, now: Timestamp, mut take: impl FnMut(TcpStream, SocketAddr)) {
        if !self.is_pending(now) {
            return;
        }
        self.closed_until = None;
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok((stream, address)) => take(stream, address),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready = false;
                    return;
                }
                Err(error) if is_transient(&error) => debug!("accept: {error}"),
                Err(error) => {
                    // EMFILE, ENFILE, ENOBUFS, ENOMEM: trying again at once would spin.
                    warn!("cannot accept connections for now: {error}");
                    self.closed_until = Some(now + RETRY_AFTER);
                    return;
                }
            }
        }
    }
}

fn open(address: SocketAddr) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    // Inherited by every accepted socket: one flush a turn makes Nagle's delay pointless.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let inner = TcpListener::from_std(socket.into());
    let address = inner.local_addr()?;
    Ok(Listener { inner, address })
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

/// The usual reasons in the words of somebody who has to do something about them.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use (is another server running? PORT sets another one)".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "not permitted (ports below 1024 need privileges; PORT sets another one)".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address (BIND_ADDR sets it)".to_owned()
        }
        _ => error.to_string(),
    }
}
