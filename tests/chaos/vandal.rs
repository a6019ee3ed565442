//! Connections that are up to no good and belong to no room.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use socket2::SockRef;

use crate::support::Server;

/// What a vandal begins with.
const BEGINNINGS: [&[u8]; 7] = [
    b"",
    b"GET /health HTTP/1.1\r\nHost: a\r\n",
    b"POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n{",
    b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
      \x81\xfe\x3f\xff\x00\x00\x00\x00{\"action\":\"jo",
];

/// One of them.
#[derive(Debug)]
pub(crate) struct Vandal {
    stream: TcpStream,
}

impl Vandal {
    /// Connects and says something that the server has to wait behind, or to refuse.
    pub(crate) fn come(server: &Server, random: &mut StdRng) -> Self {
        let stream = TcpStream::connect(server.address()).expect("the server accepts connections");
        stream.set_nonblocking(true).expect("a socket need not block");
        let beginning = BEGINNINGS[random.random_range(0..BEGINNINGS.len())];
        let _refused = (&stream).write(beginning);
        Self { stream }
    }

    /// One byte more.
    pub(crate) fn drip(&mut self) {
        let _cut = self.stream.write(b"x");
    }

    /// Goes, with or without a goodbye of the kernel.
    pub(crate) fn go(self, random: &mut StdRng) {
        if random.random() {
            let _closed = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}
