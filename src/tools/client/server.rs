//! Where a server is, and the way there.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::connection::{Connection, Deadline, Wire};
use super::request::{AskError, RequestHead, ask};
#[cfg(feature = "tls")]
use super::tls::{authorities, start_tls};
use crate::config::{BindAddress, UrlParts};
use crate::http::ServerAnswer;

/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 8;

/// Where a server is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server<'a> {
    /// On this machine, over TCP.
    Tcp(SocketAddr),
    /// On this machine, on the Unix socket with this path.
    Unix(PathBuf),
    /// At an http or https address.
    Url(UrlParts<'a>),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("{0}")]
    Name(io::Error),
    /// No address takes the connection.
    #[error("{last}")]
    Address {
        /// The addresses, and why each of them failed.
        each: String,
        /// Why the last of them failed.
        last: io::Error,
    },
    /// The other end speaks no TLS, or its certificate is not to be trusted.
    #[error("{0}")]
    Tls(io::Error),
    /// https, and this build has no TLS.
    #[error("this build speaks no TLS: give an http address")]
    NoTls,
}

impl Server<'static> {
    /// Where a server that listens on `bind_addr` is asked from the same machine: an address that
    /// stands for all of them is no destination. `None`: the system chose the port.
    pub fn local(bind_addr: &BindAddress, port: u16) -> Option<Self> {
        let address = match bind_addr {
            BindAddress::Unix(path) => return Some(Self::Unix(path.clone())),
            BindAddress::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.into(),
            BindAddress::Ip(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => Ipv6Addr::LOCALHOST.into(),
            BindAddress::Ip(specific) => *specific,
        };
        (port != 0).then(|| Self::Tcp(SocketAddr::new(address, port)))
    }
}

impl Server<'_> {
    /// Connects to the first of its addresses that takes the connection. Waits for each of them
    /// for `address_limit` at most: one that swallows everything must not use up the time of the
    /// next one.
    ///
    /// # Errors
    /// [`ConnectError`]
    pub fn connect(
        &self,
        deadline: Deadline,
        address_limit: Duration,
    ) -> Result<Box<dyn Wire>, ConnectError> {
        let mut connection = match self {
            Self::Tcp(address) => open_first(&[*address], deadline, address_limit)?,
            Self::Unix(path) => Connection::open_unix(path, deadline)
                .map_err(|last| ConnectError::Address { each: format!("{self}: {last}"), last })?,
            Self::Url(url) if url.is_secure && !cfg!(feature = "tls") => {
                return Err(ConnectError::NoTls);
            }
            Self::Url(url) => {
                let found = resolve(url.host, url.port, deadline).map_err(ConnectError::Name)?;
                open_first(&found, deadline, address_limit)?
            }
        };
        connection.deadline = deadline;
        match self {
            Self::Url(url) if url.is_secure => secured(connection, url.host),
            _ => Ok(Box::new(connection)),
        }
    }

    /// Sends `request` over a new connection and reads its answer, both within `limit`.
    ///
    /// # Errors
    /// [`AskError`]
    pub fn ask(&self, request: &str, limit: Duration) -> Result<ServerAnswer, AskError> {
        let mut wire = self.connect(Deadline::after(limit), limit).map_err(io::Error::from)?;
        ask(&mut wire, request).map(|(answer, _)| answer)
    }

    /// The head of a request for `path` of this server.
    pub fn request(&self, method: &str, path: &str) -> RequestHead {
        match self {
            Self::Tcp(address) => RequestHead::new(method, path, &address.to_string()),
            Self::Unix(_) => RequestHead::new(method, path, "localhost"),
            Self::Url(url) => {
                RequestHead::new(method, &format!("{}{path}", url.path), url.authority)
            }
        }
    }
}

/// As people know it; without scheme and path.
impl fmt::Display for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Url(url) => f.write_str(url.authority),
        }
    }
}

fn open_first(
    addresses: &[SocketAddr],
    deadline: Deadline,
    address_limit: Duration,
) -> Result<Connection, ConnectError> {
    let mut failures = Vec::new();
    let mut last = io::Error::from(ErrorKind::NotFound);
    for &address in addresses {
        let limit = address_limit.min(deadline.left());
        match Connection::open(address, Deadline::after(limit)) {
            Ok(connection) => return Ok(connection),
            Err(error) => {
                failures.push(format!("{address}: {error}"));
                last = error;
            }
        }
    }
    Err(ConnectError::Address { each: failures.join("; "), last })
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Name(error)
            | ConnectError::Tls(error)
            | ConnectError::Address { last: error, .. } => error,
            ConnectError::NoTls => Self::new(ErrorKind::Unsupported, error),
        }
    }
}

/// Speaks TLS over `connection` with `host`, whose certificate must come from an authority that
/// browsers know, or from one that `SSL_CERT_FILE` names.
#[cfg(feature = "tls")]
fn secured(connection: Connection, host: &str) -> Result<Box<dyn Wire>, ConnectError> {
    let secured = authorities().and_then(|pem| start_tls(connection, host, pem.as_deref()));
    Ok(Box::new(secured.map_err(ConnectError::Tls)?))
}

#[cfg(not(feature = "tls"))]
fn secured(_: Connection, _: &str) -> Result<Box<dyn Wire>, ConnectError> {
    Err(ConnectError::NoTls)
}

/// The addresses of `host`, a name or an address, with `port`; at least one, at most eight.
///
/// The system's resolver cannot be interrupted. If the deadline is over, its thread is left
/// behind and ends when the resolver does.
///
/// # Errors
/// That of the resolver, or [`ErrorKind::TimedOut`].
fn resolve(host: &str, port: u16, deadline: Deadline) -> io::Result<Vec<SocketAddr>> {
    deadline.time_left()?;
    // URLs have IPv6 addresses in brackets, the resolver wants them without.
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let name = bare.to_owned();
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs();
        let _unawaited = sender.send(found.map(|all| all.take(ADDRESSES_MAX).collect()));
    })?;
    let timed_out = |_| io::Error::from(ErrorKind::TimedOut);
    let found: Vec<SocketAddr> = receiver.recv_timeout(deadline.left()).map_err(timed_out)??;
    if found.is_empty() { Err(ErrorKind::NotFound.into()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::config::url_parts;

    #[test]
    fn all_addresses_are_asked_at_loopback() {
        for (bind_addr, expected) in [
            ("0.0.0.0", "127.0.0.1:3001"),
            ("::", "[::1]:3001"),
            ("127.0.0.2", "127.0.0.2:3001"),
            ("192.168.1.7", "192.168.1.7:3001"),
            ("fd00::1", "[fd00::1]:3001"),
        ] {
            let bind_addr = BindAddress::Ip(bind_addr.parse().expect("an address"));
            let server = Server::local(&bind_addr, 3001).expect("it has a port");
            assert_eq!(server.to_string(), expected);
            assert_eq!(Server::local(&bind_addr, 0), None);
        }
        let on_a_file = Server::local(&BindAddress::Unix("/run/sync.sock".into()), 0);
        assert_eq!(on_a_file.expect("it needs no port").to_string(), "unix:/run/sync.sock");
    }

    #[test]
    fn a_name_is_looked_up_and_each_of_its_addresses_tried() {
        // On no other address: not on the IPv6 one that the name may have as well.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let connect = |host: &str| {
            let url = UrlParts { host, port, ..url_parts("http://name").expect("a URL") };
            let limit = Duration::from_secs(10);
            Server::Url(url).connect(Deadline::after(limit), limit)
        };
        connect("localhost").expect("it listens");
        drop(listener);
        connect("localhost").expect_err("nothing listens");
        connect("no host").expect_err("no name");
    }

    #[test]
    fn addresses_and_names_are_found() {
        let find = |host| resolve(host, 80, Deadline::after(Duration::from_secs(20)));
        let check = |host, expected: &str| {
            let expected = expected.parse().expect("an address");
            assert_eq!(find(host).expect("it is an address"), [expected]);
        };
        check("127.0.0.1", "127.0.0.1:80");
        check("[::1]", "[::1]:80");
        assert!(
            find("localhost").expect("it is everywhere").iter().all(|at| at.ip().is_loopback())
        );
        assert!(find("no host").is_err());
    }

    #[test]
    fn a_deadline_that_is_over_ends_the_search() {
        let error = resolve("localhost", 80, Deadline::after(Duration::ZERO));
        assert_eq!(error.map_err(|error| error.kind()), Err(ErrorKind::TimedOut));
    }
}
