//! Stopping: all is stored and acknowledged first, then connections are closed, spread out so that
//! thousands of clients don't come back in the same instant.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::ids::ConnId;
use crate::base::time::{Now, Timestamp};
use crate::session::Sessions;
use crate::ws::CloseReason;

/// More connections than this are closed one after the other instead of all at once.
const AT_ONCE_MAX: usize = 50;
/// How long closing many connections takes; at most half of the grace.
const SPREAD: Duration = Duration::from_secs(2);
/// How long the closes wait for documents to be stored; at most a quarter of the grace. A store
/// that does not answer must not keep clients from hearing that the server goes.
const STORE_FIRST: Duration = Duration::from_secs(2);

/// A shutdown under way.
#[derive(Debug)]
pub(super) struct Shutdown {
    /// The first close, at the latest.
    close_by: Timestamp,
    /// When the closes began.
    closing_since: Option<Timestamp>,
    /// Between two closes.
    interval: Duration,
    closed: u32,
    left: VecDeque<ConnId>,
}

impl Shutdown {
    /// Closes idle connections; the others are to be closed by [`Shutdown::close_next`].
    pub(super) fn begin(sessions: &mut Sessions, grace: Duration, now: Timestamp) -> Self {
        sessions.stop_keeping_alive();
        let mut left = VecDeque::new();
        for conn in sessions.ids() {
            if sessions.is_open_websocket(conn) {
                left.push_back(conn);
            } else {
                sessions.end_if_idle(conn);
            }
        }
        let interval = match u32::try_from(left.len()) {
            Ok(count) if left.len() > AT_ONCE_MAX => SPREAD.min(grace / 2) / count,
            _ => Duration::ZERO,
        };
        let close_by = now + STORE_FIRST.min(grace / 4);
        Self { close_by, closing_since: None, interval, closed: 0, left }
    }

    /// How many connections are still to be closed.
    pub(super) fn left(&self) -> usize {
        self.left.len()
    }

    /// Closes the connections that are due: none before everything `is_stored` and acknowledged.
    pub(super) fn close_next(&mut self, sessions: &mut Sessions, is_stored: bool, now: Now) {
        if self.closing_since.is_none() && (is_stored || self.close_by <= now.at) {
            self.closing_since = Some(now.at);
        }
        while self.next_at() <= now.at
            && let Some(conn) = self.left.pop_front()
        {
            self.closed += 1;
            sessions.close(conn, CloseReason::GoingAway, now);
        }
    }

    /// When the next connection is to be closed.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        (!self.left.is_empty()).then(|| self.next_at())
    }

    /// When the next connection is to be closed, if nothing allows an earlier time.
    fn next_at(&self) -> Timestamp {
        self.closing_since.map_or(self.close_by, |since| since + self.interval * self.closed)
    }
}
