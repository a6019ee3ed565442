//! Who is in one room: connections in the order of their joins, and the peers they belong to.

use std::mem;

use super::event::{Metadata, Peer};
use crate::base::ids::ConnId;
use crate::base::time::UnixMillis;

/// Tables with more slots than this give unused ones back.
const SPARE_SLOTS_MAX: usize = 16;

/// The members of a room that has any.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    /// In the order of their joins; contiguous, because every event of the room goes through it.
    connections: Vec<ConnId>,
    /// Invariant: `seats[i]` belongs to `connections[i]`.
    seats: Vec<Seat>,
    /// In the order of their first joins. Invariant: ids are unique.
    peers: Vec<Peer>,
    /// What is shown again when a newer connection of the same peer goes; of one peer the newest
    /// comes last. Invariant: one entry for each seat that is not shown.
    hidden: Vec<Hidden>,
}

/// What one connection is in the room.
#[derive(Clone, Copy, Debug)]
struct Seat {
    /// Whose connection it is; an index into `peers`.
    peer: u32,
    /// This connection joined as host. Another one of the same peer need not have.
    is_host: bool,
    /// It is the peer's newest connection. Invariant: true for one connection of each peer.
    is_shown: bool,
}

#[derive(Clone, Debug)]
struct Hidden {
    conn: ConnId,
    /// An index into `peers`.
    peer: u32,
    metadata: Metadata,
}

/// What a connection joins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub conn: ConnId,
    pub peer_id: &'a str,
    pub is_host: bool,
    pub metadata: &'a str,
    pub at: UnixMillis,
}

impl Members {
    /// All connections, in the order of their joins.
    pub(super) fn connections(&self) -> &[ConnId] {
        &self.connections
    }

    /// All peers, in the order of their first joins.
    pub(super) fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The peer that `conn` belongs to.
    pub(super) fn peer_of(&self, conn: ConnId) -> Option<&Peer> {
        let position = self.position(conn)?;
        Some(&self.peers[self.seats[position].peer as usize])
    }

    /// Whether this very connection joined as host.
    pub(super) fn is_host(&self, conn: ConnId) -> bool {
        self.position(conn).is_some_and(|position| self.seats[position].is_host)
    }

    /// Seats a connection, or renews the seat that it has as the same peer. Returns the peer if
    /// this is its first connection.
    pub(super) fn enter(&mut self, entry: Entry<'_>) -> Option<&Peer> {
        let known = self.peers.iter().position(|peer| *peer.id == *entry.peer_id);
        let peer = known.unwrap_or(self.peers.len());
        let metadata = Metadata::from(entry.metadata);
        match self.position(entry.conn) {
            Some(position) => {
                debug_assert_eq!(known, Some(self.seats[position].peer as usize));
                self.seats[position].is_host = entry.is_host;
                self.show(position, metadata);
            }
            None if known.is_some() => {
                self.seat(entry, peer, false);
                self.show(self.seats.len() - 1, metadata);
            }
            None => {
                let (id, is_host) = (entry.peer_id.into(), entry.is_host);
                self.peers.push(Peer { id, joined_at: entry.at, is_host, metadata });
                self.seat(entry, peer, true);
            }
        }
        self.refresh_host(peer);
        if known.is_none() { self.peers.last() } else { None }
    }

    /// Takes a connection out. Returns the peer if this was its last one.
    pub(super) fn leave(&mut self, conn: ConnId) -> Option<Peer> {
        let position = self.position(conn)?;
        self.connections.remove(position);
        let seat = self.seats.remove(position);
        let left = if seat.is_shown {
            self.show_next(seat.peer)
        } else {
            self.hidden.retain(|hidden| hidden.conn != conn);
            None
        };
        if left.is_none() {
            self.refresh_host(seat.peer as usize);
        }
        give_back(&mut self.connections);
        give_back(&mut self.seats);
        give_back(&mut self.peers);
        give_back(&mut self.hidden);
        left
    }

    /// Panics if an invariant does not hold.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.connections.len(), self.seats.len());
        assert_eq!(self.seats.len(), self.peers.len() + self.hidden.len());
        let mut shown = vec![0; self.peers.len()];
        let mut hosts = vec![false; self.peers.len()];
        for seat in &self.seats {
            shown[seat.peer as usize] += u32::from(seat.is_shown);
            hosts[seat.peer as usize] |= seat.is_host;
        }
        assert!(shown.iter().all(|&count| count == 1), "one shown connection for each peer");
        assert!(self.peers.iter().zip(&hosts).all(|(peer, &host)| peer.is_host == host));
        let seats = self.connections.iter().zip(&self.seats);
        let unshown = seats.filter(|(_, seat)| !seat.is_shown);
        let mut unshown: Vec<_> = unshown.map(|(&conn, seat)| (conn, seat.peer)).collect();
        let mut hidden: Vec<_> = self.hidden.iter().map(|one| (one.conn, one.peer)).collect();
        unshown.sort_unstable();
        hidden.sort_unstable();
        assert_eq!(unshown, hidden);
    }

    fn position(&self, conn: ConnId) -> Option<usize> {
        self.connections.iter().position(|&member| member == conn)
    }

    fn seat(&mut self, entry: Entry<'_>, peer: usize, is_shown: bool) {
        let peer = u32::try_from(peer).expect("peers_per_room_max is a u32");
        self.connections.push(entry.conn);
        self.seats.push(Seat { peer, is_host: entry.is_host, is_shown });
    }

    /// Makes the connection at `position` the newest one of its peer.
    fn show(&mut self, position: usize, metadata: Metadata) {
        let Seat { peer, is_shown, .. } = self.seats[position];
        let previous = mem::replace(&mut self.peers[peer as usize].metadata, metadata);
        if is_shown {
            return;
        }
        let conn = self.connections[position];
        self.hidden.retain(|hidden| hidden.conn != conn);
        let newest = self.seats.iter().position(|seat| seat.peer == peer && seat.is_shown);
        let newest = newest.expect("each peer has one shown connection");
        self.seats[newest].is_shown = false;
        self.seats[position].is_shown = true;
        self.hidden.push(Hidden { conn: self.connections[newest], peer, metadata: previous });
    }

    /// The shown connection of `peer` has gone: shows its newest other one, or returns the peer
    /// if there is none.
    fn show_next(&mut self, peer: u32) -> Option<Peer> {
        let Some(next) = self.hidden.iter().rposition(|hidden| hidden.peer == peer) else {
            let gone = self.peers.remove(peer as usize);
            let seats = self.seats.iter_mut().map(|seat| &mut seat.peer);
            let hidden = self.hidden.iter_mut().map(|hidden| &mut hidden.peer);
            for later in seats.chain(hidden).filter(|index| **index > peer) {
                *later -= 1;
            }
            return Some(gone);
        };
        let next = self.hidden.remove(next);
        let position = self.position(next.conn).expect("a hidden connection has a seat");
        self.seats[position].is_shown = true;
        self.peers[peer as usize].metadata = next.metadata;
        None
    }

    fn refresh_host(&mut self, peer: usize) {
        let mut seats = self.seats.iter();
        self.peers[peer].is_host = seats.any(|seat| seat.peer as usize == peer && seat.is_host);
    }
}

/// A room that was crowded once must not keep the memory for ever.
fn give_back<T>(table: &mut Vec<T>) {
    if table.capacity() > SPARE_SLOTS_MAX && table.len() < table.capacity() / 4 {
        table.shrink_to(table.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crowd_needed_is_given_back() {
        let mut members = Members::default();
        let conn = |index| ConnId { index, generation: 0 };
        for index in 0..1_000 {
            // Every second connection is a further one of the peer before.
            let peer_id = (index / 2).to_string();
            let at = UnixMillis(0);
            let entry =
                Entry { conn: conn(index), peer_id: &peer_id, is_host: false, metadata: "1", at };
            assert_eq!(members.enter(entry).is_some(), index % 2 == 0);
        }
        for index in 0..990 {
            assert_eq!(members.leave(conn(index)).is_some(), index % 2 == 1);
        }
        members.check_invariants();
        assert_eq!((members.connections.len(), members.peers.len()), (10, 5));
        assert!(members.connections.capacity() <= 4 * 10 + SPARE_SLOTS_MAX);
        assert!(members.seats.capacity() <= 4 * 10 + SPARE_SLOTS_MAX);
        assert!(members.peers.capacity() <= 4 * 5 + SPARE_SLOTS_MAX);
        assert!(members.hidden.capacity() <= 4 * 5 + SPARE_SLOTS_MAX);
    }
}
