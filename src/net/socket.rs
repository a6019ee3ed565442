//! One client's socket and what the kernel last said of it. mio is edge-triggered: what it said
//! once holds until the socket itself says `WouldBlock`.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

/// An accepted connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A client's socket.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not states of one thing")]
pub(super) struct Socket {
    stream: Stream,
    /// There may be something to read.
    pub(super) readable: bool,
    /// It may take something.
    pub(super) writable: bool,
    /// The peer has shut its half: a short read is not the last one, the end is still to be read,
    /// and the kernel will not say so again.
    pub(super) ending: bool,
    /// It stands in the list of sockets to read.
    pub(super) pending: bool,
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadOutcome {
    /// So many bytes; whether the socket may have more.
    Bytes { count: usize, more: bool },
    /// Nothing now.
    Nothing,
    /// The peer has shut its half.
    End,
}

impl Socket {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, readable: false, writable: true, ending: false, pending: false }
    }

    /// Has the kernel say under `token` when it can be read or written.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match &mut self.stream {
            Stream::Tcp(stream) => registry.register(stream, token, interest),
            Stream::Unix(stream) => registry.register(stream, token, interest),
        }
    }

    /// One `recv` into `scratch`.
    ///
    /// # Errors
    /// Those of the connection; it is lost then.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> io::Result<ReadOutcome> {
        let result = match &mut self.stream {
            Stream::Tcp(stream) => stream.read(scratch),
            Stream::Unix(stream) => stream.read(scratch),
        };
        match result {
            Ok(0) => {
                self.readable = false;
                Ok(ReadOutcome::End)
            }
            Ok(count) => {
                // A short read has emptied the socket; asking again would only cost a call. The
                // kernel will say so when more comes.
                self.readable = self.ending || count == scratch.len();
                Ok(ReadOutcome::Bytes { count, more: self.readable })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(ReadOutcome::Nothing)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Ok(ReadOutcome::Bytes { count: 0, more: true })
            }
            Err(error) => Err(error),
        }
    }

    /// One vectored write. `Ok(0)`: the socket takes nothing at present.
    ///
    /// # Errors
    /// Those of the connection; it is lost then.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = match (&mut self.stream, slices) {
            (Stream::Tcp(stream), [one]) => stream.write(one),
            (Stream::Tcp(stream), many) => stream.write_vectored(many),
            (Stream::Unix(stream), [one]) => stream.write(one),
            (Stream::Unix(stream), many) => stream.write_vectored(many),
        };
        match result {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.writable = false;
                Ok(0)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Shuts our half. That the peer has closed already is no news.
    pub(super) fn shutdown_write(&mut self) {
        let _already_closed = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_kind_of_socket_costs_little() {
        // Ten thousand of them lie idle.
        assert!(size_of::<Stream>() <= size_of::<TcpStream>() + 8);
    }
}
