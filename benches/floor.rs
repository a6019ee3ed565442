//! What the kernel alone costs: the unit in which all other figures are given, because machines
//! differ by several times and this differs along with them.
//!
//! - `send`: processor time of one thread for one `send(2)` of 220 bytes, going round 1,000
//!   loopback sockets which another thread drains. `PERFORMANCE.md` calls it F.
//! - `document`: processor time for a megabyte, when a loop of bare writes sends documents of 1 MB,
//!   one after the other, to 50 loopback sockets which another thread drains.
//!
//! `cargo bench --bench floor`; with `-- --json` for programs. The first two processors that it may
//! use (taskset) are for the sender and the reader.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
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
const DOCUMENTS: u32 = 60;
const WARM_UP_DOCUMENTS: u32 = 5;

/// Loopback connections: we write, a thread reads until we are gone.
struct Pipes {
    poll: Poll,
    writers: Vec<TcpStream>,
    bytes_read: Arc<AtomicU64>,
}

impl Pipes {
    fn open(count: u32, processor: Option<CpuSet>) -> io::Result<Self> {
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
        thread::spawn(move || {
            let bound = processor.map_or(Ok(()), |only| Ok(sched_setaffinity(None, &only)?));
            bound.and_then(|()| drain(readers, &counter)).expect("loopback sockets can be read");
        });
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

    /// Processor time of a megabyte, in microseconds. Nobody waits between two documents: what the
    /// kernel sends on its own, later than it takes it, would go uncounted then.
    fn measure_document(&mut self) -> io::Result<f64> {
        let document = vec![b'x'; DOCUMENT_BYTES];
        self.write_to_all(&document, WARM_UP_DOCUMENTS)?;
        let before = thread_time();
        self.write_to_all(&document, DOCUMENTS)?;
        let spent = thread_time().saturating_sub(before);
        Ok(micros(spent) / f64::from(DOCUMENTS * DOCUMENT_SOCKETS))
    }

    /// Writes `document` to each socket `count` times, as fast as they take it.
    fn write_to_all(&mut self, document: &[u8], count: u32) -> io::Result<()> {
        let mut events = Events::with_capacity(self.writers.len());
        let mut left = vec![document.len() * count as usize; self.writers.len()];
        let mut ready: Vec<usize> = (0..self.writers.len()).collect();
        loop {
            for index in ready.drain(..) {
                while left[index] > 0 {
                    let at = document.len() - (left[index] - 1) % document.len() - 1;
                    match self.writers[index].write(&document[at..]) {
                        Ok(count) => left[index] -= count,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error),
                    }
                }
            }
            if left.iter().all(|left| *left == 0) {
                return Ok(());
            }
            self.poll.poll(&mut events, None)?;
            ready.extend(events.iter().map(|event| event.token().0));
        }
    }
}

fn main() -> io::Result<()> {
    let reader = share_processors()?;
    let send = Pipes::open(SEND_SOCKETS, reader)?.measure_send()?;
    let document = Pipes::open(DOCUMENT_SOCKETS, reader)?.measure_document()?;
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
        // It never sleeps: to wake it would cost the sender.
        poll.poll(&mut events, Some(Duration::ZERO))?;
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

/// Has the caller stay on the first processor that this process may use, if there is a second one;
/// that one is returned, for who reads.
fn share_processors() -> io::Result<Option<CpuSet>> {
    let allowed = sched_getaffinity(None)?;
    let mut each = (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor)).map(|one| {
        let mut only = CpuSet::new();
        only.set(one);
        only
    });
    let (Some(first), Some(second)) = (each.next(), each.next()) else { return Ok(None) };
    sched_setaffinity(None, &first)?;
    Ok(Some(second))
}

/// What this thread has used of a processor.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
