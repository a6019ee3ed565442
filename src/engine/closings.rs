//! Closed rooms of which an administrator waits to hear that they are deleted.

use std::collections::VecDeque;

use super::jobs::JOB_TIMEOUT;
use crate::base::ids::{ConnId, RoomKey};
use crate::base::time::Timestamp;

/// The requests that wait for a deletion, in order of time.
#[derive(Debug, Default)]
pub(super) struct Closings {
    waiting: VecDeque<Closing>,
}

#[derive(Clone, Copy, Debug)]
struct Closing {
    /// When the asker is told that the store does not answer.
    deadline: Timestamp,
    conn: ConnId,
    room: RoomKey,
}

impl Closings {
    /// The request of `conn` waits until `room` is deleted.
    pub(super) fn wait(&mut self, conn: ConnId, room: RoomKey, now: Timestamp) {
        self.waiting.push_back(Closing { deadline: now + JOB_TIMEOUT, conn, room });
    }

    /// Takes a request that waits for `room`.
    pub(super) fn take(&mut self, room: RoomKey) -> Option<ConnId> {
        let position = self.waiting.iter().position(|closing| closing.room == room)?;
        self.waiting.remove(position).map(|closing| closing.conn)
    }

    /// The connection is gone: its request waits no more.
    pub(super) fn cancel(&mut self, conn: ConnId) {
        self.waiting.retain(|closing| closing.conn != conn);
    }

    /// Takes a request that has waited too long.
    pub(super) fn expired(&mut self, now: Timestamp) -> Option<ConnId> {
        let first = self.waiting.front().filter(|closing| closing.deadline <= now)?.conn;
        self.waiting.pop_front();
        Some(first)
    }

    /// When the next request has waited too long.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.waiting.front().map(|closing| closing.deadline)
    }
}
