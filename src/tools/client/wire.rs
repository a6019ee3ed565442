//! A connection to a server, encrypted or not.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use super::connection::Connection;
use super::deadline::Deadline;
#[cfg(feature = "tls")]
use super::tls::{TlsConnection, authorities, start_tls};

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

/// An open connection, as [`Connection`] or over TLS.
#[derive(Debug)]
pub enum Wire {
    /// Not encrypted.
    Plain(Connection),
    /// Encrypted, with an end that was verified.
    #[cfg(feature = "tls")]
    Tls(Box<TlsConnection>),
}

/// Whatever reads and writes.
trait Duplex: Read + Write {}

impl<T: Read + Write> Duplex for T {}

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

impl Wire {
    /// Speaks TLS over `connection` with `host`, whose certificate must come from an authority
    /// that browsers know, or from one that `SSL_CERT_FILE` names.
    #[cfg(feature = "tls")]
    pub(super) fn secured(connection: Connection, host: &str) -> Result<Self, ConnectError> {
        authorities()
            .and_then(|pem| start_tls(connection, host, pem.as_deref()))
            .map(|tls| Self::Tls(Box::new(tls)))
            .map_err(ConnectError::Tls)
    }

    /// As with TLS, in a build without.
    #[cfg(not(feature = "tls"))]
    pub(super) fn secured(_: Connection, _: &str) -> Result<Self, ConnectError> {
        Err(ConnectError::NoTls)
    }

    /// Sets another end for all further waiting.
    pub fn set_deadline(&mut self, deadline: Deadline) {
        match self {
            Self::Plain(connection) => connection.set_deadline(deadline),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.sock.set_deadline(deadline),
        }
    }

    /// The address of this end.
    ///
    /// # Errors
    /// Those of [`Connection::own_address`].
    pub fn own_address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Plain(connection) => connection.own_address(),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.sock.own_address(),
        }
    }

    fn stream(&mut self) -> &mut dyn Duplex {
        match self {
            Self::Plain(connection) => connection,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream().read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream().flush()
    }
}
