//! What the kernel alone costs: the unit in which all other figures are given, because machines
//! differ by several times and this differs along with them.
//!
//! - `send`: processor time of one thread for one `send(2)` of 220 bytes, going round 1,000
//!   loopback sockets which another thread drains. `PERFORMANCE.md` calls it F.
//! - `document`: processor time for a megabyte, when a loop of bare writes sends 1 MB to each of
//!   50 loopback sockets which another thread drains.
//!
//! `cargo bench --bench floor`; with `-- --json` for programs. Bind it to two cores, if there are
//! more, so that sender and reader disturb each other as server and load do.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::time::{ClockId, clock_gettime};

/// Sockets that the small messages go round.
const SEND_SOCKETS: u32 = 1_000;
/// A broadcast of 200 bytes with what JSON and frame add.
const SEND_BYTES: usize = 220;
/// Rounds that are measured; the first few are not.
const SEND_ROUNDS: u32 = 150;
const WARM_UP_ROUNDS: u32 = 20;
/// Readers of a document.
const DOCUMENT_SOCKETS: u32 = 50;
const DOCUMENT_BYTES: usize = 1_000_000;
const DOCUMENTS: u32 = 20;

/// Loopback connections: we write, a thread reads until we are gone.
struct Pipes {
    poll: Poll,
    writers: Vec<TcpStream>,
    bytes_read: Arc<AtomicU64>,
}

impl Pipes {
    fn open(count: u32) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = listener.local_addr()?;
        let (mut writers, mut readers) = (Vec::new(), Vec::new());
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(1);
        let mut listener = listener;
        poll.registry().register(&mut listener, Token(0), Interest::READABLE)?;
        for _ in 0..count {
            let reader = std::net::TcpStream::connect(address)?;
            reader.set_nonblocking(true)?;
            readers.push(TcpStream::from_std(reader));
            let writer = loop {
                match listener.accept() {
                    Ok((stream, _)) => break stream,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        poll.poll(&mut events, Some(Duration::from_secs(1)))?;
                    }
                    Err(error) => return Err(error),
                }
            };
            writer.set_nodelay(true)?;
            writers.push(writer);
        }
        poll.registry().deregister(&mut listener)?;
        for (index, writer) in writers.iter_mut().enumerate() {
            poll.registry().register(writer, Token(index), Interest::WRITABLE)?;
        }
        let bytes_read = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&bytes_read);
        thread::spawn(move || drain(readers, &counter).expect("loopback sockets can be read"));
        Ok(Self { poll, writers, bytes_read })
    }

    /// Waits until everything that was sent is read.
    fn wait_for(&self, bytes_sent: u64) {
        while self.bytes_read.load(Ordering::Acquire) < bytes_sent {
            thread::yield_now();
        }
    }

    /// Processor time of one send, in microseconds.
    fn measure_send(&mut self) -> io::Result<f64> {
        let message = [b'x'; SEND_BYTES];
        let mut sent = 0;
        let mut spent = Duration::ZERO;
        for round in 0..WARM_UP_ROUNDS + SEND_ROUNDS {
            let before = thread_time();
            for writer in &mut self.writers {
                // What was sent before is read, so it always fits.
                writer.write_all(&message)?;
            }
            if round >= WARM_UP_ROUNDS {
                spent += thread_time().saturating_sub(before);
            }
            sent += u64::from(SEND_SOCKETS) * SEND_BYTES as u64;
            self.wait_for(sent);
        }
        Ok(micros(spent) / f64::from(SEND_ROUNDS * SEND_SOCKETS))
    }

    /// Processor time of a megabyte, in microseconds.
    fn measure_document(&mut self) -> io::Result<f64> {
        let document = vec![b'x'; DOCUMENT_BYTES];
        let mut events = Events::with_capacity(self.writers.len());
        let mut spent = Duration::ZERO;
        for count in 1..=DOCUMENTS + 1 {
            let before = thread_time();
            self.write_to_all(&document, &mut events)?;
            if count > 1 {
                spent += thread_time().saturating_sub(before);
            }
            self.wait_for(u64::from(count * DOCUMENT_SOCKETS) * DOCUMENT_BYTES as u64);
        }
        Ok(micros(spent) / f64::from(DOCUMENTS * DOCUMENT_SOCKETS))
    }

    fn write_to_all(&mut self, document: &[u8], events: &mut Events) -> io::Result<()> {
        let mut rest = vec![document; self.writers.len()];
        let mut ready: Vec<usize> = (0..self.writers.len()).collect();
        while rest.iter().any(|rest| !rest.is_empty()) {
            for index in ready.drain(..) {
                while !rest[index].is_empty() {
                    match self.writers[index].write(rest[index]) {
                        Ok(count) => rest[index] = &rest[index][count..],
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error),
                    }
                }
            }
            if rest.iter().any(|rest| !rest.is_empty()) {
                self.poll.poll(events, None)?;
                ready.extend(events.iter().map(|event| event.token().0));
            }
        }
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let send = Pipes::open(SEND_SOCKETS)?.measure_send()?;
    let document = Pipes::open(DOCUMENT_SOCKETS)?.measure_document()?;
    let mut out = io::stdout();
    if std::env::args().any(|argument| argument == "--json") {
        writeln!(out, r#"{{"send_us":{send:.3},"document_us_per_mb":{document:.1}}}"#)
    } else {
        writeln!(out, "send      {send:.2} µs for {SEND_BYTES} bytes (F)")?;
        writeln!(out, "document  {document:.0} µs for a megabyte")
    }
}

/// Reads everything until the other ends are closed, and counts it.
fn drain(mut readers: Vec<TcpStream>, bytes_read: &AtomicU64) -> io::Result<()> {
    let mut poll = Poll::new()?;
    for (index, reader) in readers.iter_mut().enumerate() {
        poll.registry().register(reader, Token(index), Interest::READABLE)?;
    }
    let mut events = Events::with_capacity(readers.len());
    let mut scratch = vec![0; 256 * 1024];
    let mut open = readers.len();
    while open > 0 {
        poll.poll(&mut events, None)?;
        for event in &events {
            loop {
                match readers[event.token().0].read(&mut scratch) {
                    Ok(0) => {
                        open -= 1;
                        break;
                    }
                    Ok(count) => {
                        bytes_read.fetch_add(count as u64, Ordering::Release);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                        open -= 1;
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(())
}

/// What this thread has used of a processor.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
