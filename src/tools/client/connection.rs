//! A connection to a server. It blocks, but all its waiting together ends at one moment.

use std::fmt::Debug;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::base::time::Timestamp;
use crate::net::monotonic_us;

/// The moment at which a client that waits gives up.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Timestamp);

impl Deadline {
    /// The moment `limit` from now.
    pub fn after(limit: Duration) -> Self {
        Self(Timestamp(monotonic_us()) + limit)
    }

    /// The time until then; zero once it is over.
    pub fn left(self) -> Duration {
        self.0.since(Timestamp(monotonic_us()))
    }

    /// As [`left`](Self::left), or [`ErrorKind::TimedOut`].
    pub(super) fn time_left(self) -> io::Result<Duration> {
        Some(self.left()).filter(|left| !left.is_zero()).ok_or(ErrorKind::TimedOut.into())
    }
}

/// An open connection. Reading and writing fail with [`ErrorKind::TimedOut`] once the deadline is
/// over, and with nothing else for that reason.
#[derive(Debug)]
pub struct Connection {
    stream: Socket,
    /// The end of all further waiting.
    pub deadline: Deadline,
}

/// An open connection, encrypted or not.
pub trait Wire: Read + Write + Debug {
    /// The connection below the encryption.
    fn connection(&mut self) -> &mut Connection;
}

impl Wire for Connection {
    fn connection(&mut self) -> &mut Connection {
        self
    }
}

impl Connection {
    /// Connects to `address`.
    ///
    /// # Errors
    /// Those of connect(2), and [`ErrorKind::TimedOut`].
    pub fn open(address: SocketAddr, deadline: Deadline) -> io::Result<Self> {
        let stream = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        stream.connect_timeout(&address.into(), deadline.time_left()?)?;
        stream.set_tcp_nodelay(true)?;
        Ok(Self { stream, deadline })
    }

    /// Connects to the Unix socket at `path`.
    ///
    /// # Errors
    /// Those of connect(2), and [`ErrorKind::TimedOut`], at once, if too many wait there already.
    pub fn open_unix(path: &Path, deadline: Deadline) -> io::Result<Self> {
        let stream = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        deadline.time_left()?;
        // Connecting takes no time, unless one has to wait for a place in the backlog.
        stream.set_nonblocking(true)?;
        stream.connect(&SockAddr::unix(path)?).map_err(as_timeout)?;
        stream.set_nonblocking(false)?;
        Ok(Self { stream, deadline })
    }

    /// The address of this end.
    ///
    /// # Errors
    /// That of getsockname(2), and [`ErrorKind::Unsupported`] for a Unix socket.
    pub fn own_address(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()?.as_socket().ok_or(ErrorKind::Unsupported.into())
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.deadline.time_left()?))?;
        self.stream.read(buffer).map_err(as_timeout)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.deadline.time_left()?))?;
        self.stream.write(bytes).map_err(as_timeout)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A socket whose time is over says `WouldBlock` (socket(7), `SO_RCVTIMEO`).
fn as_timeout(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn nothing_waits_beyond_the_deadline() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = silent.local_addr().expect("it is bound");
        let deadline = Deadline::after(Duration::from_millis(30));
        let mut connection = Connection::open(address, deadline).expect("it listens");
        let error = connection.read(&mut [0; 16]).expect_err("nobody writes");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(deadline.left().is_zero());
        let late = [
            connection.read(&mut [0; 16]).expect_err("it is over"),
            connection.write(b"x").expect_err("it is over"),
            Connection::open(address, deadline).expect_err("it is over"),
        ];
        assert!(late.iter().all(|error| error.kind() == ErrorKind::TimedOut), "{late:?}");
    }

    #[test]
    fn a_unix_socket_is_no_different() {
        let name = format!("sync-server-connection-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let silent = UnixListener::bind(&path).expect("a fresh path");
        let open = || Connection::open_unix(&path, Deadline::after(Duration::from_millis(30)));
        let mut connection = open().expect("it listens");
        connection.write_all(b"x").expect("there is room for it");
        let late = connection.read(&mut [0; 16]).expect_err("nobody writes");
        let full = loop {
            // A connection that is let in waits in the backlog, also after this drops it.
            if let Err(error) = open() {
                break error;
            }
        };
        drop(silent);
        let refused = open().expect_err("nobody listens");
        std::fs::remove_file(&path).expect("it is there");
        let kinds = [late, full, refused].map(|error| error.kind());
        let late = ErrorKind::TimedOut;
        assert_eq!(kinds, [late, late, ErrorKind::ConnectionRefused]);
    }

    #[test]
    fn a_reader_that_takes_nothing_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = silent.local_addr().expect("it is bound");
        let deadline = Deadline::after(Duration::from_millis(100));
        let mut connection = Connection::open(address, deadline).expect("it listens");
        let chunk = vec![0; 1 << 20];
        let error = loop {
            if let Err(error) = connection.write_all(&chunk) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
