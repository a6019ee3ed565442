//! Everything outside of the server, which is drawn: what clients say, how it arrives, and what
//! workers do with jobs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use sync_server::base::ids::{ConnId, JobId};
use sync_server::base::memory::MemoryBudget;
use sync_server::base::time::{Now, Timestamp, UnixMillis};
use sync_server::engine::{Engine, Job, Outcome};
use sync_server::rooms::StoredRoom;
use sync_server::session::{Driver, Transport};

use super::client::{Client, Line, Log};
use super::{READS_MAX, Scale, Seen};
use crate::draw::Draw;

const CLIENTS_MAX: usize = 14;
/// Addresses that the clients share.
const ADDRESSES: u64 = 5;

/// What is wrong with a connection, or ends it.
pub(super) enum Event {
    Readable(ConnId),
    Ending(ConnId),
    Stop,
}

/// Everything outside of the server. A source of choices that is spent does no harm any more.
pub(super) struct Network<'a, D: Draw> {
    pub(super) draw: D,
    scale: &'static Scale,
    pub(super) now: Now,
    /// How many turns there were.
    pub(super) turns: u64,
    /// How long the loop would have waited in the last turn.
    pub(super) waited: Duration,
    pub(super) clients: Vec<Client>,
    pub(super) events: Vec<Event>,
    pub(super) connected: u64,
    pub(super) jobs: Vec<(JobId, Job)>,
    /// Jobs that are done, which their workers have not said yet.
    pub(super) done: Vec<(JobId, Outcome)>,
    /// Rooms whose documents were read by such jobs, or by one that has just been done.
    pub(super) reads_done: BTreeSet<String>,
    pub(super) outcomes: Vec<(JobId, Outcome)>,
    pub(super) store: HashMap<String, StoredRoom>,
    /// The store refuses every job.
    pub(super) is_store_away: bool,
    /// Rooms whose documents are in memory, if none was evicted.
    pub(super) in_memory: BTreeSet<String>,
    pub(super) budget: MemoryBudget,
    /// What clients that are gone have seen, by their numbers.
    pub(super) logs: BTreeMap<u64, Log>,
    pub(super) trace: Vec<String>,
    pub(super) seen: &'a mut Seen,
}

impl<'a, D: Draw> Network<'a, D> {
    pub(super) fn new(
        draw: D,
        scale: &'static Scale,
        budget: MemoryBudget,
        seen: &'a mut Seen,
    ) -> Self {
        Self {
            draw,
            scale,
            now: Now { at: Timestamp::from_secs(1), unix: UnixMillis(1_700_000_000_000) },
            turns: 0,
            waited: Duration::ZERO,
            clients: Vec::new(),
            events: Vec::new(),
            connected: 0,
            jobs: Vec::new(),
            done: Vec::new(),
            reads_done: BTreeSet::new(),
            outcomes: Vec::new(),
            store: HashMap::new(),
            is_store_away: false,
            in_memory: BTreeSet::new(),
            budget,
            logs: BTreeMap::new(),
            trace: Vec::new(),
            seen,
        }
    }

    pub(super) fn note(&mut self, text: &str) {
        self.trace.push(format!("{} {text}", self.now.at.0));
    }

    pub(super) fn step(&mut self) {
        match self.draw.below(100) {
            0..6 => self.connect(),
            6..20 => self.move_about(),
            20..45 => self.talk(),
            45..70 => self.carry_up(),
            70..74 => self.misbehave(),
            74..82 => self.finish_a_job(),
            82..88 => self.pass_time(),
            88 => self.is_store_away = !self.draw.percent(50),
            _ => {}
        }
    }

    fn connect(&mut self) {
        if self.clients.len() >= CLIENTS_MAX {
            return;
        }
        self.connected += 1;
        self.note(&format!("connect {}", self.connected));
        self.clients.push(Client::new(self.connected));
    }

    /// A client joins a room, or leaves it.
    fn move_about(&mut self) {
        let Some(index) = self.any_client() else { return };
        let is_join = self.draw.below(20) < 14;
        let room = self.draw.pick(self.scale.rooms);
        let client = &mut self.clients[index];
        if client.is_open() && is_join {
            client.join(room, self.turns);
        } else if client.is_open() {
            client.leave();
        }
    }

    /// A client says something in its room.
    fn talk(&mut self) {
        let Some(index) = self.any_client() else { return };
        let kind = self.draw.below(20);
        let message_bytes = self.draw.pick(&[10, 300, 5_000]);
        let document_bytes = self.draw.pick(&self.scale.document_bytes);
        let client = &mut self.clients[index];
        match kind {
            _ if !client.is_open() => {}
            0..11 => client.broadcast(message_bytes),
            11..15 => client.write_document(document_bytes),
            15..17 => self.quarrel(index),
            _ => client.request_sync(),
        }
    }

    /// A client asks for the document of its room while another member writes a short one.
    fn quarrel(&mut self, index: usize) {
        self.clients[index].request_sync();
        let on_their_way = self.clients[index].outbound.len();
        self.carry(index, on_their_way);
        let room = self.clients[index].room();
        let is_other = |(at, client): &(usize, &Client)| {
            *at != index && client.is_open() && room.is_some() && client.room() == room
        };
        let other = self.clients.iter().enumerate().find(is_other).map(|(at, _)| at);
        if let Some(other) = other {
            let client = &mut self.clients[other];
            client.write_document(100);
            let on_their_way = client.outbound.len();
            self.carry(other, on_their_way);
        }
    }

    /// Some of a client's bytes arrive.
    fn carry_up(&mut self) {
        let Some(index) = self.any_client() else { return };
        let most = self.clients[index].outbound.len().min(self.scale.message_bytes_max);
        if most == 0 {
            return;
        }
        let count = match self.draw.below(3) {
            0 => most,
            1 => 1,
            _ => self.part(most),
        };
        self.carry(index, count);
    }

    /// Between 1 and `most`, however coarse the choices are.
    fn part(&mut self, most: usize) -> usize {
        let (coarse, fine) = (self.draw.below(256), self.draw.below(256));
        (most * coarse / 256 + fine).clamp(1, most)
    }

    /// The next `count` bytes of a client arrive.
    pub(super) fn carry(&mut self, index: usize, count: usize) {
        let client = &mut self.clients[index];
        if let Some(conn) = client.conn.filter(|_| client.line == Line::Open) {
            client.arrived.extend(client.outbound.drain(..count));
            self.events.push(Event::Readable(conn));
        }
    }

    fn misbehave(&mut self) {
        let Some(index) = self.any_client() else { return };
        let client = &mut self.clients[index];
        let Some(conn) = client.conn.filter(|_| client.line == Line::Open) else { return };
        let number = client.number;
        match self.draw.below(10) {
            0 => {
                client.line = Line::Reset;
                self.events.push(Event::Ending(conn));
                self.note(&format!("reset {number}"));
            }
            1 => {
                let on_their_way = client.outbound.len();
                self.carry(index, on_their_way);
                self.clients[index].line = Line::HalfClosed;
                self.events.push(Event::Ending(conn));
                self.note(&format!("half-close {number}"));
            }
            2..4 => client.stalled = true,
            _ => client.stalled = false,
        }
    }

    fn pass_time(&mut self) {
        let ms = self.draw.pick(&[1, 50, 1_000, 6_000]);
        self.now.at = self.now.at + Duration::from_millis(ms);
        self.now.unix.0 += i64::try_from(ms).expect("small");
    }

    fn any_client(&mut self) -> Option<usize> {
        (!self.clients.is_empty()).then(|| self.draw.below(self.clients.len()))
    }

    fn client(&mut self, conn: ConnId) -> &mut Client {
        let client = self.clients.iter_mut().find(|client| client.conn == Some(conn));
        client.expect("it was accepted here and is not closed")
    }
}

impl<D: Draw> Transport<Engine> for Network<'_, D> {
    type Error = Infallible;

    fn now(&mut self) -> Now {
        self.now
    }

    /// Something happens all the time.
    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), Infallible> {
        self.waited = timeout.unwrap_or(Duration::MAX);
        Ok(())
    }

    fn note_events(&mut self, driver: &mut Driver<Engine>, now: Now) {
        for event in self.events.drain(..) {
            match event {
                Event::Readable(conn) => driver.readable(conn),
                Event::Ending(conn) => driver.ending(conn),
                Event::Stop => driver.stop(now),
            }
        }
        for client in self.clients.iter_mut().filter(|client| client.full && !client.stalled) {
            client.full = false;
            driver.writable(client.conn.expect("it was written to"));
        }
    }

    fn read(&mut self, conn: ConnId, into: &mut [u8]) -> io::Result<usize> {
        let client = self.client(conn);
        let count = client.arrived.len().min(into.len());
        if client.line == Line::Reset {
            return Err(ErrorKind::ConnectionReset.into());
        } else if count == 0 && client.line == Line::Open {
            return Err(ErrorKind::WouldBlock.into());
        }
        into[..count].copy_from_slice(&client.arrived[..count]);
        client.arrived.drain(..count);
        Ok(count)
    }

    /// A write may be cut anywhere.
    fn write(&mut self, conn: ConnId, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let taken = if self.draw.below(3) == 2 { self.part(offered) } else { offered };
        let client = self.client(conn);
        if client.line == Line::Reset {
            return Err(ErrorKind::BrokenPipe.into());
        } else if client.stalled {
            client.full = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        client.full = taken < offered;
        let mut left = taken;
        for slice in slices {
            let count = slice.len().min(left);
            client.inbound.extend_from_slice(&slice[..count]);
            left -= count;
        }
        Ok(taken)
    }

    /// The client's kernel answers our FIN with its own.
    fn shut(&mut self, conn: ConnId) {
        let client = self.client(conn);
        if client.line == Line::Open {
            client.line = Line::HalfClosed;
        }
        self.events.push(Event::Ending(conn));
    }

    fn close(&mut self, conn: ConnId) {
        let index = self.clients.iter().position(|client| client.conn == Some(conn));
        let mut client = self.clients.remove(index.expect("it was accepted here"));
        client.decode(self.turns, self.seen);
        self.trace.push(format!("gone {} {:?}", client.number, client.closed_with));
        self.logs.insert(client.number, client.log);
    }

    fn accept(&mut self, driver: &mut Driver<Engine>, now: Now) {
        for client in self.clients.iter_mut().filter(|client| client.conn.is_none()) {
            let host = u8::try_from(client.number % ADDRESSES).expect("few");
            let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, host));
            client.conn = Some(driver.accept(address.into(), now).expect("there is room"));
        }
    }

    fn take_outcomes(&mut self, into: &mut Vec<(JobId, Outcome)>) {
        into.append(&mut self.outcomes);
    }

    fn takes_jobs(&self) -> bool {
        true
    }

    fn start_job(&mut self, id: JobId, job: Job) -> Result<(), Job> {
        // The pool may be full after all; the next turn asks again.
        if !self.draw.percent(87) {
            return Err(job);
        }
        self.begin_job(id, job, READS_MAX);
        Ok(())
    }
}
