//! What all scenarios share: rooms are made, clients join, time is watched, and at the end comes
//! the report.

use std::io::Write;
use std::time::Duration;

use serde_json::json;

use super::clock::{Micros, SECOND};
use super::crowd::Crowd;
use super::ledger::{Ledger, Seating};
use super::process::{Process, Usage, raise_file_limit};
use super::report::{Joins, Latency, Presence, Report, Server, milliseconds, ratio};
use super::server::{Room, make_room};
use super::stamp::RUNS;
use super::tally::{Reasons, Tally};
use super::{LoadError, Options, Scenario};

/// Files that are no client's.
const FILES_RESERVED: u64 = 32;
/// Nobody has joined for so long: nobody will.
const JOIN_TIMEOUT: Micros = 30 * SECOND;
/// Nothing has come for so long: what is missing is lost.
const QUIET_TIMEOUT: Micros = 5 * SECOND;
/// What is waited for after the end, at most.
const DRAIN_TIMEOUT: Micros = 60 * SECOND;
/// The longest wait for events.
pub(super) const TURN: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct Stage<'a> {
    pub(super) options: &'a Options,
    pub(super) crowd: Crowd,
    pub(super) tally: Tally,
    rooms: Vec<Room>,
    /// Tells our rooms and messages from those of other runs.
    run: u32,
    progress: &'a mut dyn Write,
    progress_at: Micros,
    server: Option<(u32, Process)>,
    before: Usage,
}

/// A part of the run that is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) began: Micros,
    pub(super) ended: Micros,
    server_cpu: Option<Duration>,
    own_cpu: Duration,
}

/// The beginning of a [`Span`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) at: Micros,
    server: Option<Usage>,
    own: Usage,
}

impl Span {
    /// Processor time of the server, in microseconds.
    pub(super) fn server_cpu_us(&self) -> Option<u64> {
        self.server_cpu.map(|cpu| u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX))
    }

    /// How long it was.
    pub(super) fn micros(&self) -> Micros {
        self.ended - self.began
    }

    /// How many of `count` fall on a second.
    pub(super) fn per_second(&self, count: u64) -> f64 {
        ratio(count * SECOND, self.micros())
    }
}

impl<'a> Stage<'a> {
    /// Finds the server and makes the rooms.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(super) fn open(
        options: &'a Options,
        progress: &'a mut dyn Write,
    ) -> Result<Self, LoadError> {
        let addresses = options.url.resolve(options.owns_server)?;
        let address = options.url.reach(&addresses)?;
        let (needed, limit) =
            (u64::from(options.clients + options.concurrency) + FILES_RESERVED, raise_file_limit());
        if needed > limit {
            return Err(LoadError::Files { needed, limit });
        }
        let run = getrandom::u32().map_err(std::io::Error::from)? % RUNS;
        let seating = Seating {
            clients: options.clients,
            rooms: options.rooms,
            senders: options.senders,
            excused: options.stalled,
        };
        let is_closed_loop =
            matches!(options.scenario, Scenario::Flood | Scenario::BigRoom | Scenario::Document);
        let window = if is_closed_loop { options.window } else { 0 };
        let mut stage = Self {
            options,
            crowd: Crowd::new(options, address)?,
            tally: Tally::new(Ledger::new(seating, run), options.bytes, window),
            rooms: Vec::new(),
            run,
            progress,
            progress_at: 0,
            server: options.pid.map(|pid| (pid, Process::with_id(pid))),
            before: Usage::default(),
        };
        stage.before = stage.server_usage()?.unwrap_or_default();
        for number in 0..options.rooms as usize {
            let code = match options.room_codes.get(number) {
                Some(code) => code.clone(),
                None => format!("LOAD-{run:08}-{number}"),
            };
            let room = make_room(&options.url, address, &code, options.token.as_deref(), || {
                stage.tell(&format!(
                    "{number} of {} rooms made; the server makes only so many a second \
                         (ROOM_CREATE_RATE=0 lifts that)",
                    options.rooms
                ));
            })?;
            stage.rooms.push(room);
        }
        Ok(stage)
    }

    /// Who is where.
    pub(super) fn seating(&self) -> Seating {
        *self.tally.ledger.seating()
    }

    /// The message by which `client`, or one of those who come and go, joins. `name` is its own.
    pub(super) fn join_message(&self, client: u32, name: &str) -> String {
        let seating = self.seating();
        let room = &self.rooms[seating.room(client) as usize];
        let is_host = self.options.scenario == Scenario::Document && client < seating.rooms;
        let message = match &room.host_token {
            _ if !is_host => json!({
                "action": "join", "room_code": room.code, "peer_id": name,
            }),
            token => json!({
                "action": "join", "room_code": room.code, "peer_id": room.host_id,
                "is_host": true, "host_token": token,
            }),
        };
        message.to_string()
    }

    /// A name for somebody.
    pub(super) fn name(&self, number: impl std::fmt::Display) -> String {
        format!("load-{:08}-{number}", self.run)
    }

    /// Lets all clients join, a bounded number at once.
    ///
    /// # Errors
    /// [`LoadError`] if one of them can't.
    pub(super) fn gather(&mut self) -> Result<Span, LoadError> {
        let clients = self.options.clients;
        let mark = self.mark()?;
        self.tally.news_at = mark.at;
        let (mut begun, mut joined) = (0, 0);
        while joined < clients {
            while begun < clients && begun - joined < self.options.concurrency {
                let message = self.join_message(begun, &self.name(begun));
                self.crowd.connect(begun, message)?;
                begun += 1;
            }
            self.crowd.turn(TURN, &mut self.tally)?;
            joined += u32::try_from(self.tally.take_joined().len()).unwrap_or(u32::MAX);
            let (ended, why) = self.tally.take_ended();
            let ended = (!ended.is_empty()).then(|| why.to_owned());
            let refused = self.tally.refused.keys().next().cloned();
            let is_late = self.crowd.now() > self.tally.news_at + JOIN_TIMEOUT;
            let late = is_late.then(|| "no answer to a join".to_owned());
            if let Some(why) = refused.or(ended).or(late) {
                return Err(LoadError::NoJoin { joined: joined.into(), clients, why });
            }
            self.tick(|_| format!("{joined} of {clients} clients have joined"));
        }
        self.span(&mark)
    }

    /// After gathering, waits until all have heard of each other. `None` if others may be in the
    /// rooms, so that nobody knows how much there is to hear.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn hear_gathering(&mut self) -> Result<Option<Presence>, LoadError> {
        if !self.options.room_codes.is_empty() {
            return Ok(None);
        }
        let seating = self.seating();
        let pairs = |room| u64::from(seating.members(room)) * u64::from(seating.members(room) - 1);
        // Of each two members, the first hears of the second.
        let expected = (0..seating.rooms).map(pairs).sum::<u64>() / 2;
        self.drain(|tally| tally.presence() >= expected)?;
        Ok(Some(Presence { expected, heard: self.tally.presence() }))
    }

    /// Goes on until `is_done`, or until nothing has come for a while.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn drain(&mut self, is_done: impl Fn(&Tally) -> bool) -> Result<(), LoadError> {
        let began = self.crowd.now();
        self.tally.news_at = self.tally.news_at.max(began);
        while !is_done(&self.tally) {
            let now = self.crowd.now();
            if now > self.tally.news_at + QUIET_TIMEOUT || now > began + DRAIN_TIMEOUT {
                break;
            }
            self.crowd.turn(TURN, &mut self.tally)?;
            self.tick(|tally| format!("waiting for the last, {}", told(tally)));
        }
        Ok(())
    }

    /// Says how it stands, once a second.
    pub(super) fn tick(&mut self, text: impl FnOnce(&Tally) -> String) {
        let now = self.crowd.now();
        if now >= self.progress_at + SECOND {
            self.progress_at = now;
            let text = text(&self.tally);
            self.tell(&text);
        }
    }

    fn tell(&mut self, text: &str) {
        let seconds = self.crowd.now() / SECOND;
        // Whoever closes our standard error does not want to know.
        let _unread = writeln!(self.progress, "{seconds:4} s  {text}");
    }

    fn server_usage(&self) -> Result<Option<Usage>, LoadError> {
        let Some((pid, process)) = &self.server else { return Ok(None) };
        let usage = process.usage().map_err(|source| LoadError::Process { pid: *pid, source })?;
        Ok(Some(usage))
    }

    /// Begins to measure.
    ///
    /// # Errors
    /// [`LoadError`] if there is nothing to be known of the server's process.
    pub(super) fn mark(&self) -> Result<Mark, LoadError> {
        let (server, own) = (self.server_usage()?, Process::own().usage()?);
        Ok(Mark { at: self.crowd.now(), server, own })
    }

    /// What was used since `mark`.
    ///
    /// # Errors
    /// As [`Stage::mark`].
    pub(super) fn span(&self, mark: &Mark) -> Result<Span, LoadError> {
        let end = self.mark()?;
        let used = |(end, begin): (Usage, Usage)| end.cpu.saturating_sub(begin.cpu);
        Ok(Span {
            began: mark.at,
            ended: end.at.max(mark.at + 1),
            server_cpu: end.server.zip(mark.server).map(used),
            own_cpu: used((end.own, mark.own)),
        })
    }

    /// The report on what was done in `span`, after the clients joined in `gathering`. Traffic,
    /// presence, and what the server took for each of them are still to be filled in.
    ///
    /// # Errors
    /// As [`Stage::mark`].
    pub(super) fn report(&self, gathering: &Span, span: &Span) -> Result<Report, LoadError> {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let server = match (&self.server, self.server_usage()?, span.server_cpu) {
            (Some((pid, _)), Some(usage), Some(cpu)) => Some(Server {
                pid: *pid,
                cpu_seconds: cpu.as_secs_f64(),
                cpu_percent: 100.0 * ratio(micros(cpu), span.micros()),
                cpu_us_per_delivery: None,
                cpu_us_per_megabyte: None,
                cpu_us_per_join: None,
                resident_bytes_before: self.before.resident_bytes,
                resident_bytes: usage.resident_bytes,
                resident_bytes_peak: usage.resident_bytes_peak,
                resident_bytes_per_client: None,
            }),
            _ => None,
        };
        let joins = self.tally.join_latencies.len();
        Ok(Report {
            passed: false,
            scenario: self.options.scenario.name(),
            url: self.options.url.to_string(),
            clients: self.options.clients,
            rooms: self.options.rooms,
            seconds: ratio(span.micros(), SECOND),
            joins: Joins {
                count: joins,
                per_second: gathering.per_second(joins),
                latency: Latency::of(&self.tally.join_latencies),
            },
            traffic: None,
            presence: None,
            refused: self.tally.refused.clone(),
            ended: self.tally.ended.clone(),
            stalled_ended: Reasons::new(),
            server,
            generator_cpu_percent: 100.0 * ratio(micros(span.own_cpu), span.micros()),
        })
    }
}

/// How messages stand.
pub(super) fn told(tally: &Tally) -> String {
    let ledger = &tally.ledger;
    format!(
        "{} sent, {} of {} delivered, {} gaps, p99 {}",
        ledger.sent(),
        ledger.deliveries(),
        ledger.expected(),
        ledger.gaps(),
        milliseconds(tally.latencies.value_at_quantile(0.99))
    )
}
