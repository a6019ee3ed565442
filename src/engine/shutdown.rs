//! Stopping: store everything, acknowledge it, then close everybody, spread out so that thousands
//! of clients don't come back in the same instant.

use std::collections::VecDeque;
use std::time::Duration;

use log::info;

use super::application::Engine;
use crate::base::ids::ConnId;
use crate::base::time::{Now, Timestamp};
use crate::session::{Dispatch, Sessions};
use crate::ws::CloseReason;

/// More connections than this are closed one after the other instead of all at once.
const AT_ONCE_MAX: usize = 50;
/// How long closing many connections takes; at most half of the grace.
const SPREAD: Duration = Duration::from_secs(2);
/// How long the closes wait for documents to be stored; at most a quarter of the grace. A store
/// that does not answer must not keep anybody from hearing that the server goes.
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
    /// When the next connection is to be closed, if nothing allows an earlier time.
    fn next_at(&self) -> Timestamp {
        self.closing_since.map_or(self.close_by, |since| since + self.interval * self.closed)
    }

    /// When the next connection is to be closed.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        (!self.left.is_empty()).then(|| self.next_at())
    }
}

impl Engine {
    /// Stores every room; closes the idle, and begins to close the others.
    pub(super) fn begin_shutdown(&mut self, sessions: &mut Sessions, now: Now) {
        let (rooms, mut effects) = self.split(sessions, now);
        rooms.flush_all(now, &mut effects);
        sessions.stop_keeping_alive();
        let mut left = VecDeque::new();
        for conn in sessions.ids() {
            if sessions.is_open_websocket(conn) {
                left.push_back(conn);
            } else {
                sessions.end_if_idle(conn);
            }
        }
        info!("closing {} connections, {} rooms to store", left.len(), self.rooms.unsaved());
        let grace = self.shutdown_grace();
        let interval = match u32::try_from(left.len()) {
            Ok(count) if left.len() > AT_ONCE_MAX => SPREAD.min(grace / 2) / count,
            _ => Duration::ZERO,
        };
        let close_by = now.at + STORE_FIRST.min(grace / 4);
        let shutdown = Shutdown { close_by, closing_since: None, interval, closed: 0, left };
        self.shutdown = Some(shutdown);
        self.close_next(sessions, now);
    }

    /// Closes whoever is due: nobody before everything is stored and acknowledged.
    pub(super) fn close_next(&mut self, sessions: &mut Sessions, now: Now) {
        let is_stored = self.rooms.unsaved() == 0;
        while let Some(shutdown) = &mut self.shutdown {
            if shutdown.closing_since.is_none() && (is_stored || shutdown.close_by <= now.at) {
                shutdown.closing_since = Some(now.at);
            }
            if shutdown.next_at() > now.at {
                return;
            }
            let Some(conn) = shutdown.left.pop_front() else { return };
            shutdown.closed += 1;
            sessions.close(conn, CloseReason::GoingAway, now);
        }
    }
}
