//! Where clients knock: sockets of our own, or those that systemd has opened for us.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::socket::Stream;
use super::socket_file::{self, SocketFile};
use crate::config::{BindAddress, RemoteEnd};
use crate::session::SEND_BUFFER_BYTES_MIN;

/// Connections that the kernel keeps for us until we accept them. A thousand clients that come
/// back at once after a restart must not be turned away.
const BACKLOG: i32 = 4096;
/// What the kernel keeps of a connection's input until it is read, in bytes; it takes twice as much
/// memory. Less would slow down uploads over long distances.
const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;
/// Bytes that the kernel takes from us although it can't send them yet, beside what is on its way:
/// as few as possible, since they are better kept where they are counted and shared. So a
/// connection that takes more has sent what it took.
const UNSENT_BYTES: u32 = 2 * 1024;
/// Sockets that systemd may pass: IPv4, IPv6 and a Unix socket for each of a few addresses.
pub(super) const LISTENERS_MAX: usize = 8;

/// Why the server can't listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {}", reason(.source))]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// There can be no Unix socket at this path.
    #[error("cannot listen on unix:{}: {}", .path.display(), unix_reason(.source))]
    Unix {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A socket that systemd passed cannot be used.
    #[error("cannot listen on socket {number} that systemd passed (LISTEN_FDS): {source}")]
    Inherited {
        /// Which, from 1.
        number: usize,
        /// Why not.
        source: io::Error,
    },
    /// systemd passed more sockets than anybody needs, or says so in a way that is no number.
    #[error("LISTEN_FDS={}: must be 1 to {LISTENERS_MAX}", .value.display())]
    Count {
        /// The variable's value.
        value: OsString,
    },
}

/// Bound sockets, not yet watched by an event loop. Displayed as what they listen on.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<Acceptor>,
    /// What the socket unit calls the sockets, if they are inherited.
    inherited_as: Option<String>,
}

/// A listening socket.
#[derive(Debug)]
pub(super) enum Acceptor {
    Tcp(TcpListener),
    Unix {
        /// Its file, if that is ours to remove: before the socket is closed.
        _file: Option<SocketFile>,
        listener: UnixListener,
    },
}

impl Listener {
    /// Listens on `address`, with TCP on `port` (0: the OS chooses a port).
    ///
    /// # Errors
    /// [`ListenError`], e.g. when the port is in use or needs privileges.
    pub fn bind(address: &BindAddress, port: u16) -> Result<Self, ListenError> {
        let socket = match address {
            BindAddress::Ip(address) => {
                let address = SocketAddr::new(*address, port);
                let socket = open(address);
                Acceptor::Tcp(socket.map_err(|source| ListenError::Address { address, source })?)
            }
            BindAddress::Unix(path) => open_unix(path)
                .map_err(|source| ListenError::Unix { path: path.clone(), source })?,
        };
        Ok(Self { sockets: vec![socket], inherited_as: None })
    }

    /// The sockets that systemd has opened and passed to this process, `process_id`
    /// (`sd_listen_fds(3)`); `None` if there are none. `lookup` gives a variable's value.
    ///
    /// Call it before there are threads, and once: it takes `LISTEN_PID` and `LISTEN_FDS` out of
    /// the environment.
    ///
    /// # Errors
    /// [`ListenError`] when there are too many, or one is no listening stream socket.
    pub fn inherited(
        lookup: impl Fn(&str) -> Option<OsString>,
        process_id: u32,
    ) -> Result<Option<Self>, ListenError> {
        // Those for another process, which started us, are not ours.
        let is_ours = lookup("LISTEN_PID").is_some_and(|pid| *pid == *process_id.to_string());
        let Some(value) = lookup("LISTEN_FDS").filter(|_| is_ours) else { return Ok(None) };
        let count: Option<usize> = value.to_str().and_then(|text| text.parse().ok());
        let Some(count) = count.filter(|count| *count <= LISTENERS_MAX) else {
            return Err(ListenError::Count { value });
        };
        let mut passed = ListenFd::from_env();
        let sockets = (0..count).map(|index| {
            take(&mut passed, index)
                .map_err(|source| ListenError::Inherited { number: index + 1, source })
        });
        let sockets: Vec<Acceptor> = sockets.collect::<Result<_, _>>()?;
        let names = lookup("LISTEN_FDNAMES").map(|names| names.to_string_lossy().into_owned());
        let inherited_as = Some(names.unwrap_or_default());
        Ok((!sockets.is_empty()).then_some(Self { sockets, inherited_as }))
    }

    pub(super) fn into_sockets(self) -> Vec<Acceptor> {
        self.sockets
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, socket) in self.sockets.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{socket}")?;
        }
        match self.inherited_as.as_deref() {
            None => Ok(()),
            Some("") => write!(f, " (passed by systemd)"),
            Some(names) => write!(f, " (passed by systemd: {})", names.replace(':', ", ")),
        }
    }
}

impl Acceptor {
    /// The next connection and who made it.
    ///
    /// # Errors
    /// Those of accept(2); `WouldBlock` if nobody waits.
    pub(super) fn accept(&self) -> io::Result<(Stream, RemoteEnd)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                Ok((Stream::Tcp(stream), RemoteEnd::Network(address.ip())))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                let stream = Stream::Unix(stream);
                // Not inherited, other than with TCP.
                stream.set_send_buffer(SEND_BUFFER_BYTES_MIN)?;
                Ok((stream, RemoteEnd::Local))
            }
        }
    }

    /// Has the kernel say under `token` when connections wait.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            Self::Unix { listener, .. } => registry.register(listener, token, Interest::READABLE),
        }
    }
}

impl fmt::Display for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "http://{address}"),
                Err(_) => write!(f, "a TCP socket"),
            },
            Self::Unix { listener, .. } => {
                let address = listener.local_addr().ok();
                match address.as_ref().and_then(|address| address.as_pathname()) {
                    Some(path) => write!(f, "unix:{}", path.display()),
                    None => write!(f, "a Unix socket"),
                }
            }
        }
    }
}

/// A TCP socket of our own.
fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    tcp(socket.into())
}

/// A Unix socket of our own.
fn open_unix(path: &Path) -> io::Result<Acceptor> {
    let (file, listener) = socket_file::listen(path, BACKLOG)?;
    unix(listener, Some(file))
}

fn tcp(listener: StdTcpListener) -> io::Result<TcpListener> {
    // All inherited by every accepted socket. One flush a turn makes Nagle's delay pointless.
    let socket = SockRef::from(&listener);
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES_MIN)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener))
}

fn unix(listener: StdUnixListener, file: Option<SocketFile>) -> io::Result<Acceptor> {
    listener.set_nonblocking(true)?;
    Ok(Acceptor::Unix { _file: file, listener: UnixListener::from_std(listener) })
}

/// The socket `index` of those that were passed.
fn take(passed: &mut ListenFd, index: usize) -> io::Result<Acceptor> {
    let refused = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    let listens = |socket: SockRef<'_>| socket.is_listener();
    if let Ok(Some(listener)) = passed.take_tcp_listener(index) {
        if !listens(SockRef::from(&listener))? {
            return refused("it does not listen (Accept=yes is not for this server)");
        }
        return Ok(Acceptor::Tcp(tcp(listener)?));
    }
    match passed.take_unix_listener(index) {
        Ok(Some(listener)) if listens(SockRef::from(&listener))? => unix(listener, None),
        Ok(Some(_)) => refused("it does not listen (Accept=yes is not for this server)"),
        Ok(None) | Err(_) => refused("it is no stream socket (ListenStream=)"),
    }
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

/// The same for the file of a Unix socket.
fn unix_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another server listens there".to_owned(),
        io::ErrorKind::AlreadyExists => "there is a file that is no socket".to_owned(),
        io::ErrorKind::NotFound => "its directory does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "not permitted (the server must be able to write to its directory)".to_owned()
        }
        _ => error.to_string(),
    }
}
