//! A network without sockets, in virtual time: what the driver waits for, reads and writes.
//!
//! Waiting is what moves the time: to the moment that the driver asked for, but no further than
//! the test has come. What a session or the engine does too late, or without having asked to be
//! called, is seen.

use std::convert::Infallible;
use std::io::{self, ErrorKind, IoSlice};
use std::time::Duration;

use sync_server::base::conn_map::ConnMap;
use sync_server::base::ids::{ConnId, JobId};
use sync_server::base::memory::MemoryBudget;
use sync_server::base::time::{Now, Timestamp};
use sync_server::config::RemoteEnd;
use sync_server::engine::{Engine, Job, Outcome};
use sync_server::session::{Driver, Transport};

/// One connection as its client sees it.
#[derive(Debug)]
pub(crate) struct Client {
    /// Where it comes from.
    peer: RemoteEnd,
    /// Once it was accepted.
    pub(crate) conn: Option<ConnId>,
    /// On its way to the server, of which the first `read` bytes were read.
    outbound: Vec<u8>,
    read: usize,
    has_finished: bool,
    /// What has come and was not taken yet.
    pub(crate) inbound: Vec<u8>,
    /// It reads nothing.
    pub(crate) is_stalled: bool,
    /// So many bytes are taken all the same.
    pub(crate) room: usize,
    /// The send buffers that the server asked for, in bytes.
    pub(crate) send_buffers: Vec<usize>,
    /// What it has not read is lost with its connection.
    pub(crate) is_forsaken: bool,
    /// When the server shut its half.
    pub(crate) shut_at: Option<Timestamp>,
    /// When its socket was closed.
    pub(crate) gone_at: Option<Timestamp>,
}

/// What happens next, to the client of this number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// It connects.
    Connects(usize),
    /// Bytes have come from it.
    Sends(usize),
    /// It has shut its half.
    Finishes(usize),
    /// It has room for more.
    Reads(usize),
    /// Its connection breaks.
    Breaks(usize),
    /// The server is to stop.
    Stop,
}

/// Clients, workers and the time.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) now: Now,
    /// So far the test has come.
    pub(crate) until: Timestamp,
    /// Each piece of work takes so long: whenever the clock is read, so much has passed.
    pub(crate) work: Duration,
    /// What the clock has left out so far.
    pub(crate) left_out: Duration,
    /// How long the driver wants to wait, if that is longer than the test has come.
    pub(crate) idle: Option<Duration>,
    pub(crate) clients: Vec<Client>,
    numbers: ConnMap<usize>,
    events: Vec<Event>,
    to_accept: Vec<usize>,
    /// Jobs that were started and have not ended.
    pub(crate) jobs: Vec<(JobId, Job)>,
    outcomes: Vec<(JobId, Outcome)>,
    pub(crate) budget: MemoryBudget,
    /// The most that counted against the memory budget since this was set to 0, in bytes.
    pub(crate) peak: usize,
}

impl Network {
    pub(crate) fn new(now: Now, budget: MemoryBudget) -> Self {
        Self {
            now,
            until: now.at,
            work: Duration::ZERO,
            left_out: Duration::ZERO,
            idle: None,
            clients: Vec::new(),
            numbers: ConnMap::default(),
            events: Vec::new(),
            to_accept: Vec::new(),
            jobs: Vec::new(),
            outcomes: Vec::new(),
            budget,
            peak: 0,
        }
    }

    /// A new client, which connects from `peer`; its number.
    pub(crate) fn connect(&mut self, peer: RemoteEnd) -> usize {
        let number = self.clients.len();
        self.clients.push(Client {
            peer,
            conn: None,
            outbound: Vec::new(),
            read: 0,
            has_finished: false,
            inbound: Vec::new(),
            is_stalled: false,
            room: 0,
            send_buffers: Vec::new(),
            is_forsaken: false,
            shut_at: None,
            gone_at: None,
        });
        self.happen(Event::Connects(number));
        number
    }

    /// A client sends `bytes`.
    pub(crate) fn send(&mut self, client: usize, bytes: &[u8]) {
        self.clients[client].outbound.extend_from_slice(bytes);
        self.happen(Event::Sends(client));
    }

    /// Ends the job at `index` with `outcome`.
    pub(crate) fn end_job(&mut self, index: usize, outcome: Outcome) {
        let (id, _) = self.jobs.remove(index);
        self.outcomes.push((id, outcome));
    }

    pub(crate) fn happen(&mut self, event: Event) {
        self.events.push(event);
    }

    fn note_peak(&mut self) {
        self.peak = self.peak.max(self.budget.used());
    }

    fn client(&mut self, conn: ConnId) -> &mut Client {
        let number = self.numbers.get(conn).expect("it was accepted here and is not closed");
        &mut self.clients[*number]
    }
}

impl Transport<Engine> for Network {
    type Error = Infallible;

    fn now(&mut self) -> Now {
        self.now.at = self.now.at + self.work;
        self.now
    }

    fn left_out(&self) -> Duration {
        self.left_out
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), Infallible> {
        self.idle = None;
        if !self.events.is_empty() || !self.to_accept.is_empty() || !self.outcomes.is_empty() {
            return Ok(());
        }
        let wake_up = timeout.map(|timeout| self.now.at + timeout);
        if wake_up.is_none_or(|wake_up| wake_up > self.until) {
            self.idle = Some(timeout.unwrap_or(Duration::MAX));
        }
        let next = wake_up.map_or(self.until, |wake_up| wake_up.min(self.until)).max(self.now.at);
        let passed = next.since(self.now.at).as_millis();
        self.now.unix.0 += i64::try_from(passed).expect("tests take no ages");
        self.now.at = next;
        Ok(())
    }

    fn note_events(&mut self, driver: &mut Driver<Engine>, now: Now) {
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Connects(number) => self.to_accept.push(number),
                Event::Stop => driver.stop(now),
                Event::Sends(number)
                | Event::Finishes(number)
                | Event::Reads(number)
                | Event::Breaks(number) => {
                    let client = &mut self.clients[number];
                    let conn = client.conn.expect("it was accepted before anything else");
                    match event {
                        Event::Sends(_) => driver.readable(conn),
                        Event::Reads(_) => driver.writable(conn),
                        Event::Finishes(_) => {
                            client.has_finished = true;
                            driver.ending(conn);
                        }
                        _ => driver.abort(conn, "simulated"),
                    }
                }
            }
        }
    }

    fn read(&mut self, conn: ConnId, into: &mut [u8]) -> io::Result<usize> {
        self.note_peak();
        let client = self.client(conn);
        let unread = &client.outbound[client.read..];
        let count = unread.len().min(into.len());
        if count == 0 && !client.has_finished {
            return Err(ErrorKind::WouldBlock.into());
        }
        into[..count].copy_from_slice(&unread[..count]);
        client.read += count;
        if client.read == client.outbound.len() {
            client.outbound.clear();
            client.read = 0;
        }
        Ok(count)
    }

    fn write(&mut self, conn: ConnId, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.note_peak();
        let client = self.client(conn);
        let room = if client.is_stalled { client.room } else { usize::MAX };
        if room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let before = client.inbound.len();
        for slice in slices {
            client.inbound.extend_from_slice(slice);
        }
        client.inbound.truncate(before.saturating_add(room));
        let written = client.inbound.len() - before;
        client.room = client.room.saturating_sub(written);
        Ok(written)
    }

    fn set_send_buffer(&mut self, conn: ConnId, bytes: usize) {
        self.client(conn).send_buffers.push(bytes);
    }

    fn retain_full(&mut self, conns: &mut Vec<ConnId>) {
        conns.retain(|conn| self.client(*conn).is_stalled);
    }

    fn forsake(&mut self, conn: ConnId) {
        self.client(conn).is_forsaken = true;
    }

    fn shut(&mut self, conn: ConnId) {
        let now = self.now.at;
        self.client(conn).shut_at = Some(now);
    }

    fn close(&mut self, conn: ConnId) {
        self.note_peak();
        let now = self.now.at;
        self.client(conn).gone_at = Some(now);
        self.numbers.remove(conn);
    }

    fn accept(&mut self, driver: &mut Driver<Engine>, now: Now) {
        self.note_peak();
        for number in std::mem::take(&mut self.to_accept) {
            let client = &mut self.clients[number];
            let conn = driver.accept(client.peer, now).expect("there is room");
            client.conn = Some(conn);
            self.numbers.insert(conn, number);
        }
    }

    fn take_outcomes(&mut self, into: &mut Vec<(JobId, Outcome)>) {
        into.append(&mut self.outcomes);
    }

    fn takes_jobs(&self) -> bool {
        true
    }

    fn start_job(&mut self, id: JobId, job: Job) -> Result<(), Job> {
        self.jobs.push((id, job));
        Ok(())
    }
}
