//! Which members of one room are connected to this server: those that its events are sent to.

use super::spare::give_back;
use crate::base::ids::ConnId;

/// The connections to this server that hear one room.
#[derive(Clone, Debug, Default)]
pub(super) struct Audience {
    /// In the order of their joins; contiguous, because every event of the room goes through it.
    connections: Vec<ConnId>,
}

impl Audience {
    /// All of them, in the order of their joins.
    pub(super) fn connections(&self) -> &[ConnId] {
        &self.connections
    }

    /// Adds a connection, unless it is there.
    pub(super) fn enter(&mut self, conn: ConnId) {
        if !self.connections.contains(&conn) {
            self.connections.push(conn);
        }
    }

    /// Takes a connection out.
    pub(super) fn leave(&mut self, conn: ConnId) {
        if let Some(position) = self.connections.iter().position(|&member| member == conn) {
            self.connections.remove(position);
            give_back(&mut self.connections);
        }
    }
}
