//! What goes out: which sessions are to be flushed, and what became of it.

use std::io::IoSlice;

use super::state::AfterFlush;
use super::table::Sessions;
use crate::base::ids::ConnId;
use crate::base::time::Now;

/// While more than this share (1/n) of the memory budget is in use, news do not wait for others.
const PATIENT_SHARE: usize = 4;

impl Sessions {
    /// Moves the ids of sessions that are to be flushed now to `into`.
    pub(super) fn take_due(&mut self, into: &mut Vec<ConnId>, now: Now) {
        if self.is_sated() || self.budget.used() > self.budget.limit() / PATIENT_SHARE {
            self.to_flush.end_patience();
        }
        let slots = &mut self.slots;
        self.to_flush.take(into, now.at, |conn| {
            let session = slots.get_mut(conn);
            session.is_some_and(|session| session.flush.end_patience() && !session.queue.is_empty())
        });
    }

    /// Whether [`take_due`](Self::take_due) has something.
    pub(super) fn has_due(&self, now: Now) -> bool {
        self.to_flush.is_due(now.at)
    }

    /// What `conn` has to send, as far as it fits `slices`; returns how many are filled. The
    /// caller answers with [`Sessions::wrote`], [`Sessions::blocked`] or [`Sessions::abort`].
    pub(super) fn slices<'a>(&'a self, conn: ConnId, slices: &mut [IoSlice<'a>]) -> usize {
        self.slots.get(conn).map_or(0, |session| session.queue.slices(slices))
    }

    /// `conn` was flushed as far as its socket allows; says what to do if its queue is empty.
    pub(super) fn flushed(&mut self, conn: ConnId, now: Now) -> AfterFlush {
        let Some(session) = self.slots.get_mut(conn) else { return AfterFlush::Nothing };
        session.flush.flushed();
        if !session.queue.is_empty() {
            return AfterFlush::Nothing;
        }
        let next = session.flushed(now.at);
        if next == AfterFlush::Drop {
            self.abort(conn, "done");
        } else {
            self.arm(conn);
        }
        next
    }

    /// Bytes that `conn` has yet to send.
    pub fn unsent_bytes(&self, conn: ConnId) -> usize {
        self.slots.get(conn).map_or(0, |session| session.queue.queued_bytes())
    }

    /// Whether `conn` has unsent bytes.
    pub(super) fn has_unsent(&self, conn: ConnId) -> bool {
        self.unsent_bytes(conn) > 0
    }

    /// The socket took `bytes` bytes of what [`Sessions::slices`] gave.
    pub(super) fn wrote(&mut self, conn: ConnId, bytes: usize) {
        let Some(session) = self.slots.get_mut(conn) else { return };
        session.queue.consume(bytes);
        session.write_progressed();
        if session.can_go_on() {
            self.resumed.push(conn);
        }
        self.traffic.bytes_sent += bytes as u64;
        self.settle(conn);
    }

    /// The socket of `conn` may take bytes again. Its peer has read some, so it did not stall,
    /// however late that is noticed.
    pub(super) fn writable(&mut self, conn: ConnId) {
        if let Some(session) = self.slots.get_mut(conn) {
            session.write_progressed();
        }
        self.mark_due_if_unsent(conn);
    }

    /// The socket takes nothing at present.
    pub(super) fn blocked(&mut self, conn: ConnId, now: Now) {
        let Some(session) = self.slots.get_mut(conn) else { return };
        session.write_blocked(now.at);
        self.arm(conn);
    }

    /// Has `conn` flushed if it has something to send.
    pub(super) fn mark_due_if_unsent(&mut self, conn: ConnId) {
        if self.has_unsent(conn) {
            self.mark_due(conn);
        }
    }
}
