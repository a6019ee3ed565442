//! All clients, on one thread: a poll loop that reads what comes and sends what waits.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use super::client::{Client, Heard, KEY};
use super::clock::{Clock, Micros};
use super::options::Options;

/// What one `recv` brings at most.
const SCRATCH_BYTES: usize = 256 * 1024;
/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 4096;
/// Reads of one client in a row; the others wait meanwhile.
const READS_MAX: usize = 16;

/// Is told what the clients hear.
pub(crate) trait Listener {
    /// Client `client` has heard something, at `now`.
    fn heard(&mut self, client: u32, heard: Heard<'_>, now: Micros);
}

/// See the module.
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    scratch: Vec<u8>,
    clock: Clock,
    address: SocketAddr,
    /// What asks for the upgrade.
    request: String,
    clients: Vec<Option<Client>>,
    /// Clients with something to send.
    dirty: Vec<u32>,
    /// Clients that may have more to read than was read.
    unread: Vec<u32>,
    /// It never sleeps.
    is_busy: bool,
}

impl Crowd {
    /// Nobody yet.
    ///
    /// # Errors
    /// The system's, if it has no poll to give.
    pub(crate) fn new(options: &Options, address: SocketAddr) -> io::Result<Self> {
        let request = format!(
            "{}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\n\r\n",
            options.url.request(("GET", "/ws", "HTTP/1.1"), options.token.as_deref())
        );
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_MAX),
            scratch: vec![0; SCRATCH_BYTES],
            clock: Clock::start(),
            address,
            request,
            clients: Vec::new(),
            dirty: Vec::new(),
            unread: Vec::new(),
            is_busy: options.is_busy,
        })
    }

    /// The time.
    pub(crate) fn now(&self) -> Micros {
        self.clock.now()
    }

    /// Lets `client` begin to connect; with `join` it will join. It must not be connected.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn connect(&mut self, client: u32, join: String) -> io::Result<()> {
        let index = client as usize;
        if self.clients.len() <= index {
            self.clients.resize_with(index + 1, || None);
        }
        debug_assert!(self.clients[index].is_none());
        let mut new = Client::connect(self.address, join, self.now())?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(new.stream(), Token(index), interest)?;
        self.clients[index] = Some(new);
        Ok(())
    }

    /// Cuts the connection of `client`.
    pub(crate) fn cut(&mut self, client: u32) {
        // Closing the socket also takes it off the poll.
        if let Some(slot) = self.clients.get_mut(client as usize) {
            *slot = None;
        }
    }

    /// Whether `client` has a connection.
    pub(crate) fn is_connected(&self, client: u32) -> bool {
        self.clients.get(client as usize).is_some_and(Option::is_some)
    }

    /// `client` reads no more.
    pub(crate) fn stall(&mut self, client: u32) {
        if let Some(client) = self.client_mut(client) {
            client.is_stalled = true;
        }
    }

    /// `client` reads again.
    pub(crate) fn wake(&mut self, client: u32) {
        if let Some(stalled) = self.client_mut(client) {
            stalled.is_stalled = false;
            self.unread.push(client);
        }
    }

    /// Queues a message of `client`, if it is connected; it leaves with the next flush.
    pub(crate) fn send(&mut self, client: u32, message: &[u8]) {
        let Some(sender) = self.client_mut(client) else { return };
        sender.send(message);
        if !std::mem::replace(&mut sender.is_dirty, true) {
            self.dirty.push(client);
        }
    }

    /// Waits, at most for `timeout`, then reads and sends. `listener` is told of all that came.
    ///
    /// # Errors
    /// The system's, if waiting fails.
    pub(crate) fn turn(
        &mut self,
        timeout: Duration,
        listener: &mut impl Listener,
    ) -> io::Result<()> {
        self.flush(listener);
        let has_time = self.unread.is_empty() && !self.is_busy;
        let timeout = if has_time { timeout } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let mut ready = std::mem::take(&mut self.unread);
        let mut writable = Vec::new();
        for event in &self.events {
            // Tokens are made from client numbers.
            let client = u32::try_from(event.token().0).unwrap_or(u32::MAX);
            if event.is_writable() {
                writable.push(client);
            }
            let is_ending = event.is_read_closed() || event.is_error();
            if event.is_readable() || is_ending {
                ready.push(client);
            }
            if is_ending && let Some(Some(ending)) = self.clients.get_mut(event.token().0) {
                ending.is_ending = true;
            }
        }
        for client in writable {
            let request = &self.request;
            if let Some(Some(writer)) = self.clients.get_mut(client as usize)
                && let Err(why) = writer.writable(request)
            {
                self.end(client, &why, listener);
            }
        }
        for client in ready {
            self.read(client, listener);
        }
        self.flush(listener);
        Ok(())
    }

    fn read(&mut self, client: u32, listener: &mut impl Listener) {
        for _ in 0..READS_MAX {
            let Some(Some(reader)) = self.clients.get_mut(client as usize) else { return };
            if reader.is_stalled {
                return;
            }
            let result = reader.read(&mut self.scratch).and_then(|count| {
                let Some(count) = count else { return Ok(true) };
                let now = self.clock.now();
                let was_dirty = reader.is_dirty;
                let bytes = &self.scratch[..count];
                reader.receive(bytes, |heard| listener.heard(client, heard, now))?;
                if reader.is_dirty && !was_dirty {
                    self.dirty.push(client);
                }
                // A short read has emptied the socket: the kernel tells when there is more.
                Ok(count < SCRATCH_BYTES && !reader.is_ending)
            });
            match result {
                Ok(false) => {}
                Ok(true) => return,
                Err(why) => return self.end(client, &why, listener),
            }
        }
        self.unread.push(client);
    }

    fn flush(&mut self, listener: &mut impl Listener) {
        for client in std::mem::take(&mut self.dirty) {
            let Some(sender) = self.client_mut(client) else { continue };
            sender.is_dirty = false;
            if let Err(why) = sender.flush() {
                self.end(client, &why, listener);
            }
        }
    }

    fn end(&mut self, client: u32, why: &str, listener: &mut impl Listener) {
        self.cut(client);
        listener.heard(client, Heard::Ended(why), self.now());
    }

    fn client_mut(&mut self, client: u32) -> Option<&mut Client> {
        self.clients.get_mut(client as usize).and_then(Option::as_mut)
    }
}
