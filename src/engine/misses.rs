//! Codes that no room has: they are counted, and beyond an allowance the answer comes late.
//!
//! A code that a room has is answered at once, whatever its asker's address has done: so a guess
//! is never paid for by those beside the guesser. Meanwhile a client that waits is not read.

use std::collections::BTreeMap;

use super::waiting::Creation;
use crate::base::ids::ConnId;
use crate::base::time::Timestamp;
use crate::base::timer_set::TimerSet;
use crate::protocol::MessageId;

/// A request for a room that is nowhere.
#[derive(Debug)]
pub(super) enum Missed {
    /// A join, and what its client calls it.
    Join(Option<MessageId<'static>>),
    /// `GET /api/rooms/{code}`.
    View,
    /// `POST /api/rooms` of a desired code: the room is made late.
    Create(Box<Creation>),
}

/// The requests that wait for their answer: one of a connection, since it is not read meanwhile.
#[derive(Debug, Default)]
pub(super) struct Misses {
    /// Bounded by the number of connections.
    waiting: BTreeMap<ConnId, (Timestamp, Missed)>,
    /// The same, by time.
    timers: TimerSet<ConnId>,
}

impl Misses {
    /// `missed`, of `conn`, is answered at `until`.
    pub(super) fn wait(&mut self, conn: ConnId, until: Timestamp, missed: Missed) {
        self.cancel(conn);
        self.timers.rearm(conn, &mut None, Some(until));
        self.waiting.insert(conn, (until, missed));
    }

    /// The connection is gone: nothing is answered.
    pub(super) fn cancel(&mut self, conn: ConnId) {
        if let Some((until, _)) = self.waiting.remove(&conn) {
            self.timers.rearm(conn, &mut Some(until), None);
        }
    }

    /// Takes a request that is to be answered by now.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<(ConnId, Missed)> {
        let (_, conn) = self.timers.pop_due(now)?;
        self.waiting.remove(&conn).map(|(_, missed)| (conn, missed))
    }

    /// When the next request is to be answered.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.poll_timeout()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 1 }
    }

    #[test]
    fn a_connection_has_one_request_that_waits_and_none_once_it_is_gone() {
        let mut misses = Misses::default();
        for round in 1..=3 {
            for index in 0..100 {
                misses.wait(conn(index), Timestamp::from_secs(round), Missed::View);
            }
            assert_eq!((misses.waiting.len(), misses.timers.len()), (100, 100));
        }
        misses.cancel(conn(0));
        misses.cancel(conn(0));
        assert_eq!(misses.waiting.len(), 99);
        assert!(misses.take_due(Timestamp::from_secs(2)).is_none());
        for index in 1..100 {
            let (due, _) = misses.take_due(Timestamp::from_secs(3)).expect("it is due");
            assert_eq!(due, conn(index));
        }
        assert_eq!((misses.poll_timeout(), misses.waiting.len()), (None, 0));
    }
}
