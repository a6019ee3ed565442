//! One client's socket, of whatever kind.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::SockRef;

/// An accepted connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Has the kernel say under `token` when it can be read or written.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => registry.register(stream, token, interest),
            Self::Unix(stream) => registry.register(stream, token, interest),
        }
    }

    /// One `recv`.
    ///
    /// # Errors
    /// Those of recv(2).
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(into),
            Self::Unix(stream) => stream.read(into),
        }
    }

    /// One vectored write.
    ///
    /// # Errors
    /// Those of sendmsg(2).
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Self::Tcp(stream), [one]) => stream.write(one),
            (Self::Tcp(stream), many) => stream.write_vectored(many),
            (Self::Unix(stream), [one]) => stream.write(one),
            (Self::Unix(stream), many) => stream.write_vectored(many),
        }
    }

    /// Has the kernel keep about `bytes` bytes of what is written at most.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub(super) fn set_send_buffer(&self, bytes: usize) -> io::Result<()> {
        let socket = SockRef::from(self);
        socket.set_send_buffer_size(bytes)?;
        match self {
            // What is larger is filled in larger pieces.
            Self::Tcp(_) => {
                socket.set_tcp_notsent_lowat(u32::try_from(bytes / 2).unwrap_or(u32::MAX))
            }
            Self::Unix(_) => Ok(()),
        }
    }

    /// Has the kernel forget what is not sent yet once the socket is closed, and reset the
    /// connection.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub(super) fn forsake(&self) -> io::Result<()> {
        SockRef::from(self).set_linger(Some(Duration::ZERO))
    }

    /// Shuts our half. That the peer has closed already is no news.
    pub(super) fn shut(&self) {
        let _already_closed = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
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
