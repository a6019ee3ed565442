//! The log: one line an event on standard error, as text or as JSON.
//!
//! Whichever thread logs makes the line, with its time, and queues it; a thread of its own writes.
//! So a standard error that is not read stops nothing: lines that find no place are counted, and
//! the log says so as soon as it flows again. Of lines of one kind a few a second are written, and
//! how many more there were.

mod queue;
mod render;
mod sums;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use std::{panic, thread};

use log::{Level, LevelFilter, Log, Metadata, Record};

use self::queue::{Dropped, Line, Next, Queue};
use self::render::{Renderer, cut};
use self::sums::{Kind, Sum, Sums};
use crate::config::LogFormat;

/// What the targets of our own modules begin with. Only they are heard: what libraries log may
/// hold messages, and what matters of it comes back as an error anyway.
const OWN_TARGET: &str = "sync_server";

/// How long the end of the process waits for a reader that stalls.
const FLUSH_WAIT_MAX: Duration = Duration::from_millis(500);
/// How long the writer leaves an output alone that must not block and has no place.
const WRITE_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// Stack of the writer, in bytes: it renders and writes short lines.
const STACK_BYTES: usize = 256 * 1024;

/// What makes the lines of this process, once it logs.
static LOGGER: OnceLock<Arc<Logger>> = OnceLock::new();

/// Starts logging to standard error, what is at least as important as `level`; `now_us` reads a
/// clock in microseconds. Only the first call in a process counts. A panic is logged too, before
/// it ends the process.
///
/// # Errors
/// The system's, when there is no thread to be had for the writer.
pub fn start(level: LevelFilter, format: LogFormat, now_us: fn() -> u64) -> io::Result<()> {
    let logger = Arc::new(Logger::new(format, now_us));
    if LOGGER.set(Arc::clone(&logger)).is_err() {
        return Ok(());
    }
    let mut writer = Writer::new(Arc::clone(&logger), io::stderr());
    thread::Builder::new().name("log".to_owned()).stack_size(STACK_BYTES).spawn(move || {
        loop {
            writer.go_on();
        }
    })?;
    panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let name = thread.name().unwrap_or("of no name");
        let backtrace = Backtrace::capture();
        let is_wanted = backtrace.status() == BacktraceStatus::Captured;
        let trace = if is_wanted { format!("{backtrace}\n") } else { String::new() };
        last_words(&format!("thread '{name}' {panic}\n{trace}"));
    }));
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        set_level(level);
    }
    Ok(())
}

/// From here on only what is at least as important as `level` is logged.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// Lines that the log had no place for, or that could not be written, since the start.
pub fn dropped() -> u64 {
    LOGGER.get().map_or(0, |logger| logger.queue.dropped())
}

/// Writes `text`, whole lines, to standard error as it is: behind what was logged so far, and
/// waiting for the reader only so long. The process may end right after it.
pub fn last_words(text: &str) {
    if let Some(logger) = LOGGER.get() {
        logger.queue.push(Line { bytes: text.as_bytes().to_vec(), stands_for: 1 });
        logger.queue.flush(FLUSH_WAIT_MAX);
    } else {
        eprint!("{text}");
    }
}

/// Says what was summed up now, without waiting for it to be written: what is logged next comes
/// behind it.
pub fn settle() {
    if let Some(logger) = LOGGER.get() {
        logger.settle();
    }
}

/// Has everything written that was logged, but waits for the reader only so long: for the end of
/// the process.
pub fn finish() {
    log::logger().flush();
}

/// Makes lines of events.
struct Logger {
    making: Mutex<Making>,
    queue: Arc<Queue>,
    now_us: fn() -> u64,
}

/// What makes lines, one at a time: so they are queued in the order of their times.
struct Making {
    renderer: Renderer,
    sums: Sums,
}

impl Logger {
    fn new(format: LogFormat, now_us: fn() -> u64) -> Self {
        let making = Making { renderer: Renderer::new(format), sums: Sums::default() };
        Self { making: Mutex::new(making), queue: Arc::default(), now_us }
    }

    /// Whether a line of this kind is to be written now; what there is to say of others before it
    /// is queued.
    fn admit(&self, kind: Kind, level: Level) -> bool {
        let now_us = (self.now_us)();
        let mut making = self.making();
        let sums = making.sums.settle(now_us);
        self.tell(&making.renderer, sums);
        let is_admitted = making.sums.admit(kind, level, now_us);
        if !is_admitted {
            self.queue.expect_sums();
        }
        is_admitted
    }

    /// Queues what was summed up, and how many lines were lost.
    fn settle(&self) {
        let mut making = self.making();
        let sums = making.sums.settle_at_once();
        self.tell(&making.renderer, sums);
    }

    fn tell(&self, renderer: &Renderer, sums: Vec<Sum>) {
        if let Some(Dropped { unsaid, total }) = self.queue.take_unsaid() {
            let message = format!("{unsaid} lines of this log were dropped, {total} in all");
            let bytes = renderer.line(Level::Warn, &message);
            self.queue.push(Line { bytes, stands_for: 0 });
        }
        for Sum { level, lines, message } in sums {
            let bytes = renderer.line(level, &message);
            self.queue.push(Line { bytes, stands_for: lines });
        }
    }

    /// No event is formatted under the lock, so none can log or panic there.
    fn making(&self) -> MutexGuard<'_, Making> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(OWN_TARGET)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = record.level();
        let place = record.file_static().zip(record.line());
        let kind = Kind { place: place.map(|(file, line)| (file, line, level)) };
        if !self.admit(kind, level) {
            return;
        }
        let message = cut(record.args().to_string());
        let mut making = self.making();
        making.sums.note(kind, &message);
        let bytes = making.renderer.line(level, &message);
        self.queue.push(Line { bytes, stands_for: 1 });
    }

    fn flush(&self) {
        self.settle();
        self.queue.flush(FLUSH_WAIT_MAX);
    }
}

/// Writes the lines of a logger, each in one piece if the system takes it.
struct Writer<W> {
    logger: Arc<Logger>,
    out: W,
    /// The last line was lost after a part of it had been written.
    is_torn: bool,
}

impl<W: Write> Writer<W> {
    fn new(logger: Arc<Logger>, out: W) -> Self {
        Self { logger, out, is_torn: false }
    }

    /// Waits for a line and writes it. One that cannot be written is lost, and nothing else
    /// happens.
    fn go_on(&mut self) {
        match self.logger.queue.next() {
            Next::Write(line) => {
                let is_written = (!self.is_torn || self.write(b"\n")) && self.write(&line.bytes);
                self.logger.queue.written(&line, is_written);
            }
            Next::Settle => self.logger.settle(),
        }
    }

    /// Whether all of `bytes` was written.
    fn write(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Err(problem) if problem.kind() == io::ErrorKind::Interrupted => {}
                Err(problem) if problem.kind() == io::ErrorKind::WouldBlock => {
                    thread::park_timeout(WRITE_AGAIN_AFTER);
                }
                Err(_) | Ok(0) => {
                    self.is_torn |= rest.len() < bytes.len();
                    return false;
                }
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            }
        }
        self.is_torn = false;
        true
    }
}

#[cfg(test)]
mod tests;
