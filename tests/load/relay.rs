//! A relay between clients and a server that makes one mistake. It knows no more of WebSocket than
//! where a frame of a server ends.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

/// The mistake, which happens to one of the clients, somewhere in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A message does not come.
    Drop,
    /// A message comes after the one that follows it.
    Swap,
    /// The same, to a client that only listens in a room with two senders.
    SwapAtListener,
    /// A message comes twice.
    Repeat,
    /// A message seems to come from another room.
    Misroute,
    /// The end of a message is missing.
    Shorten,
    /// The connection ends.
    Cut,
    /// That somebody came is not told.
    DropPresence,
}

/// A running relay; it ends with the value.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    fault: Option<Fault>,
    /// WebSocket clients so far.
    clients: AtomicU32,
    stopped: AtomicBool,
}

/// One frame of the server.
#[derive(Clone, Debug)]
struct Frame {
    first: u8,
    payload: Vec<u8>,
}

impl Fault {
    /// Which client it happens to, in the order of connecting.
    fn client(self) -> u32 {
        match self {
            // The last of the four: two senders come first.
            Self::SwapAtListener => 3,
            // The first of those that sit in their room and hear of everybody.
            Self::DropPresence => 0,
            _ => 4,
        }
    }

    /// What it happens to, and how many of these come before unharmed.
    fn target(self) -> (&'static [u8], u32) {
        if self == Self::DropPresence { (b"peer_joined", 2) } else { (b"~load:", 20) }
    }
}

impl Relay {
    /// A relay to `server`.
    pub(crate) fn start(server: SocketAddr, fault: Option<Fault>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (clients, stopped) = (AtomicU32::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { server, fault, clients, stopped });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                thread::spawn(move || client.and_then(|client| shared.relay(client)));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn relay(&self, mut client: TcpStream) -> io::Result<()> {
        let mut server = TcpStream::connect(self.server)?;
        server.set_nodelay(true)?;
        client.set_nodelay(true)?;
        let mut begin = [0; 7];
        client.read_exact(&mut begin)?;
        server.write_all(&begin)?;
        let (mut upstream, mut from_client) = (server.try_clone()?, client.try_clone()?);
        thread::spawn(move || {
            let result = io::copy(&mut from_client, &mut upstream);
            upstream.shutdown(Shutdown::Write).and(result)
        });
        let result = if &begin == b"GET /ws" {
            let number = self.clients.fetch_add(1, Ordering::SeqCst);
            let fault = self.fault.filter(|fault| fault.client() == number);
            relay_frames(BufReader::new(&server), &client, fault)
        } else {
            io::copy(&mut server, &mut client).map(drop)
        };
        // Both ends hear that it is over.
        let _closed_already = (server.shutdown(Shutdown::Both), client.shutdown(Shutdown::Both));
        result
    }
}

fn relay_frames(mut from: impl Read, mut to: impl Write, fault: Option<Fault>) -> io::Result<()> {
    relay_head(&mut from, &mut to)?;
    let (mut seen, mut held) = (0, None::<Frame>);
    loop {
        let frame = Frame::read(&mut from)?;
        let hit = fault.filter(|fault| {
            let (target, before) = fault.target();
            let is_target = frame.payload.windows(target.len()).any(|part| part == target);
            seen += u32::from(is_target);
            is_target && seen == before + 1
        });
        match hit {
            None => match held.take() {
                // Among the messages of one sender this would be another fault.
                Some(late) if fault == Some(Fault::SwapAtListener) && late.is_like(&frame) => {
                    late.write(&mut to)?;
                    held = Some(frame);
                }
                Some(late) => {
                    frame.write(&mut to)?;
                    late.write(&mut to)?;
                }
                None => frame.write(&mut to)?,
            },
            Some(Fault::Drop | Fault::DropPresence) => {}
            Some(Fault::Swap | Fault::SwapAtListener) => held = Some(frame),
            Some(Fault::Repeat) => {
                frame.write(&mut to)?;
                frame.write(&mut to)?;
            }
            Some(Fault::Misroute) => frame.with_another_sender().write(&mut to)?,
            Some(Fault::Shorten) => frame.shortened().write(&mut to)?,
            Some(Fault::Cut) => return Ok(()),
        }
    }
}

/// Relays the answer to the upgrade, which ends with an empty line.
fn relay_head(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        head.extend(byte);
    }
    to.write_all(&head)
}

impl Frame {
    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut header = [0; 2];
        from.read_exact(&mut header)?;
        let length = match header[1] {
            126 => {
                let mut length = [0; 2];
                from.read_exact(&mut length)?;
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                from.read_exact(&mut length)?;
                u64::from_be_bytes(length)
            }
            length => u64::from(length),
        };
        let mut payload = Vec::new();
        from.take(length).read_to_end(&mut payload)?;
        Ok(Self { first: header[0], payload })
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut bytes = vec![self.first];
        match u16::try_from(self.payload.len()) {
            Ok(length @ 0..126) => bytes.extend([length.to_be_bytes()[1]]),
            Ok(length) => {
                bytes.push(126);
                bytes.extend(length.to_be_bytes());
            }
            Err(_) => {
                bytes.push(127);
                bytes.extend((self.payload.len() as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&self.payload);
        to.write_all(&bytes)
    }

    /// Where its sender's number is.
    fn sender(&self) -> Range<usize> {
        let stamp = self.payload.windows(6).position(|part| part == b"~load:");
        let begin = stamp.expect("only stamped messages are chosen") + "~load:00000000:".len();
        begin..begin + "000000".len()
    }

    /// Whether both are of the same sender.
    fn is_like(&self, other: &Self) -> bool {
        self.payload[self.sender()] == other.payload[other.sender()]
    }

    /// The same with another sender's number: that of the other room's.
    fn with_another_sender(mut self) -> Self {
        let last_digit = self.sender().end - 1;
        self.payload[last_digit] ^= 1;
        self
    }

    /// The same without the last bytes of its text.
    fn shortened(mut self) -> Self {
        // The end of the text, and of the message.
        let end = self.payload.len() - 2;
        self.payload.drain(end - 20..end);
        self
    }
}
