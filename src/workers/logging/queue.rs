//! Lines on their way to the writer: so many and no more, and a count of those that had no place.
//!
//! No lock is held while a line is written, so a reader that stalls delays the writer alone.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines that wait, the one that is being written included.
pub(super) const LINES_MAX: usize = 1_024;
/// Bytes of them all.
pub(super) const LINES_BYTES_MAX: usize = 64 * 1024;
/// Kept free for the line that says how many were dropped.
const NOTICE_BYTES_MAX: usize = 512;
/// How long the writer waits for a line before it tells what was summed up.
const SUMS_WAIT: Duration = Duration::from_secs(1);

/// One line, or several that belong together.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) bytes: Vec<u8>,
    /// How many lines are lost if this one is; the one that says how many were is none.
    pub(super) stands_for: u64,
}

/// What the writer is to do next.
#[derive(Debug)]
pub(super) enum Next {
    /// Write this, and say by [`Queue::written`] how it went.
    Write(Line),
    /// Tell what was summed up, or dropped: no line has come for a while.
    Settle,
}

/// How many lines were lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Since the log last said so.
    pub(super) unsaid: u64,
    /// Since the start.
    pub(super) total: u64,
}

/// Filled by every thread that logs, emptied by one writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Told when there is something for the writer.
    filled: Condvar,
    /// Told when the writer has nothing left to do.
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Line>,
    /// Of all lines, the one that is being written included.
    bytes: usize,
    is_writing: bool,
    /// The last line was written. While none can be, nothing is said of those that are lost.
    is_flowing: bool,
    /// Something was summed up.
    has_sums: bool,
    dropped: Dropped,
}

impl Queue {
    /// Queues `line`, or drops it and counts it.
    pub(super) fn push(&self, line: Line) {
        let mut state = self.lock();
        if state.has_place_for(line.bytes.len()) {
            state.bytes += line.bytes.len();
            state.lines.push_back(line);
            drop(state);
            self.filled.notify_one();
        } else {
            state.lose(&line);
        }
    }

    /// Has the writer ask for what is summed up in a while.
    pub(super) fn expect_sums(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.has_sums, true) {
            drop(state);
            self.filled.notify_one();
        }
    }

    /// How many lines were lost, if there is a place to say so before the next one; then they
    /// count as said.
    pub(super) fn take_unsaid(&self) -> Option<Dropped> {
        let mut state = self.lock();
        let has_place = state.lines.len() + 2 <= LINES_MAX
            && state.bytes + 2 * NOTICE_BYTES_MAX <= LINES_BYTES_MAX;
        let dropped = state.dropped;
        if dropped.unsaid == 0 || !has_place {
            return None;
        }
        state.dropped.unsaid = 0;
        Some(dropped)
    }

    /// Lines that were lost since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped.total
    }

    /// Waits for something to do.
    pub(super) fn next(&self) -> Next {
        let mut state = self.lock();
        loop {
            if let Some(line) = state.lines.pop_front() {
                state.is_writing = true;
                return Next::Write(line);
            }
            if state.is_flowing && state.dropped.unsaid > 0 {
                // Once: should this very notice be lost, the next line is what it waits for.
                state.is_flowing = false;
                return Next::Settle;
            }
            self.emptied.notify_all();
            if state.has_sums {
                let waited = self.filled.wait_timeout(state, SUMS_WAIT);
                let (waiting, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                state = waiting;
                if timeout.timed_out() && state.lines.is_empty() {
                    state.has_sums = false;
                    return Next::Settle;
                }
            } else {
                state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// `line`, which [`Self::next`] gave out, was written, or is lost.
    pub(super) fn written(&self, line: &Line, is_written: bool) {
        let mut state = self.lock();
        state.is_writing = false;
        state.is_flowing = is_written;
        state.bytes -= line.bytes.len();
        if !is_written {
            state.lose(line);
        }
    }

    /// Waits until all is written, but only for so long.
    pub(super) fn flush(&self, wait_max: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.lines.is_empty();
        let waited = self.emptied.wait_timeout_while(self.lock(), wait_max, is_busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether nothing waits to be written.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().lines.is_empty()
    }

    /// Nothing foreign runs under the lock, so a poisoned one guards sound data.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_place_for(&self, bytes: usize) -> bool {
        let lines = self.lines.len() + usize::from(self.is_writing);
        lines < LINES_MAX && self.bytes + bytes <= LINES_BYTES_MAX
    }

    fn lose(&mut self, line: &Line) {
        self.dropped.unsaid += line.stands_for;
        self.dropped.total += line.stands_for;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: usize) -> Line {
        Line { bytes: vec![b'x'; bytes], stands_for: 1 }
    }

    fn take(queue: &Queue) -> Line {
        match queue.next() {
            Next::Write(line) => line,
            Next::Settle => panic!("there are lines"),
        }
    }

    #[test]
    fn no_more_lines_wait_than_there_are_places_and_the_others_are_counted() {
        for (bytes, places) in [(1, LINES_MAX), (LINES_BYTES_MAX / 8, 8)] {
            let queue = Queue::default();
            for _ in 0..places + 5 {
                queue.push(line(bytes));
            }
            assert_eq!(queue.dropped(), 5, "lines of {bytes} bytes");
            let written = take(&queue);
            queue.push(line(bytes));
            assert_eq!(queue.dropped(), 6, "the one that is being written has its place still");
            assert_eq!(queue.take_unsaid(), None, "there is no place to say so");
            queue.written(&written, true);
            queue.push(line(bytes));
            assert_eq!(queue.dropped(), 6);
        }
    }

    #[test]
    fn what_was_dropped_is_said_once_when_there_is_a_place() {
        let queue = Queue::default();
        for _ in 0..LINES_MAX + 3 {
            queue.push(line(1));
        }
        for _ in 0..LINES_MAX {
            let line = take(&queue);
            queue.written(&line, true);
        }
        assert!(matches!(queue.next(), Next::Settle), "it flows, and all lines are out");
        assert_eq!(queue.take_unsaid(), Some(Dropped { unsaid: 3, total: 3 }));
        assert_eq!(queue.take_unsaid(), None);
        queue.push(Line { bytes: vec![b'x'], stands_for: 0 });
        let notice = take(&queue);
        queue.written(&notice, false);
        assert_eq!(queue.dropped(), 3, "a notice is no line of its own");
    }

    #[test]
    fn an_output_that_fails_is_not_told_of_it_again_and_again() {
        let queue = Queue::default();
        queue.push(line(1));
        let lost = take(&queue);
        queue.written(&lost, false);
        queue.push(line(1));
        assert!(matches!(queue.next(), Next::Write(_)), "only the next line wakes the writer");
        assert_eq!(queue.take_unsaid(), Some(Dropped { unsaid: 1, total: 1 }));
    }

    #[test]
    fn what_is_summed_up_is_told_when_no_line_comes() {
        let queue = Queue::default();
        queue.expect_sums();
        assert!(matches!(queue.next(), Next::Settle));
    }

    #[test]
    fn a_flush_waits_for_the_writer_but_not_for_ever() {
        let queue = Queue::default();
        queue.flush(Duration::from_secs(3_600));
        queue.push(line(1));
        queue.flush(Duration::from_millis(1));
        assert!(!queue.is_empty(), "nothing was written");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let line = take(&queue);
                queue.written(&line, true);
                queue.push(Line { bytes: Vec::new(), stands_for: 1 });
                let line = take(&queue);
                queue.written(&line, true);
                queue.push(Line { bytes: Vec::new(), stands_for: 1 });
                let line = take(&queue);
                queue.written(&line, true);
                queue.expect_sums();
                // Tells those that flush, before it waits.
                assert!(matches!(queue.next(), Next::Settle));
            });
            queue.flush(Duration::from_secs(3_600));
        });
    }
}
