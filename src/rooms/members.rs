//! The members of one room: its presence, which is all of them on whichever server, in the order
//! of their joins, with the peers that they belong to; and its audience, those connected to this
//! one.

use std::mem;

use super::data::{Metadata, Peer};
use super::room_event::{Joiner, Member};
use crate::base::ids::ConnId;

/// Tables with more slots than this give unused ones back.
const SPARE_SLOTS_MAX: usize = 16;

/// The seats of a room that has members.
#[derive(Clone, Debug, Default)]
pub(super) struct Presence {
    /// In the order of their joins; by themselves, because every event of a member is looked up.
    members: Vec<Member>,
    /// Invariant: `seats[i]` belongs to `members[i]`.
    seats: Vec<Seat>,
    /// In the order of their first joins. Invariant: ids are unique.
    peers: Vec<Peer>,
    /// What is shown again when a newer member of the same peer goes; of one peer the newest
    /// comes last. Invariant: one entry for each seat that is not shown.
    hidden: Vec<Hidden>,
}

/// What one member is in the room.
#[derive(Clone, Copy, Debug)]
struct Seat {
    /// The peer that the member belongs to; an index into `peers`.
    peer: u32,
    /// This member joined as host. Another one of the same peer need not have.
    is_host: bool,
    /// It is the peer's newest member. Invariant: true for one member of each peer.
    is_shown: bool,
}

/// What a member's coming in is for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// It is the peer's first member.
    FirstOfPeer,
    /// The peer is there already, by another member.
    FurtherOfPeer,
    /// The member is there already.
    Renewed,
}

#[derive(Clone, Debug)]
struct Hidden {
    member: Member,
    /// An index into `peers`.
    peer: u32,
    metadata: Metadata,
}

impl Presence {
    /// All members, in the order of their joins.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// All peers, in the order of their first joins.
    pub(super) fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The peer that `member` belongs to.
    pub(super) fn peer_of(&self, member: Member) -> Option<&Peer> {
        let position = self.position(member)?;
        Some(&self.peers[self.seats[position].peer as usize])
    }

    /// Whether this very member joined as host.
    pub(super) fn is_host(&self, member: Member) -> bool {
        self.position(member).is_some_and(|position| self.seats[position].is_host)
    }

    /// Seats a member, or renews the seat that it has as the same peer.
    pub(super) fn enter(&mut self, member: Member, joiner: &Joiner<'_>) -> Entry {
        let known = self.peers.iter().position(|peer| *peer.id == *joiner.peer_id);
        let peer = known.unwrap_or(self.peers.len());
        let metadata = Metadata::from(&*joiner.metadata);
        let seats = self.seats.len();
        let position = if known.is_some() {
            let position = self.position(member).unwrap_or_else(|| self.seat(member, peer, false));
            self.show(position, metadata);
            position
        } else {
            let (id, joined_at) = ((*joiner.peer_id).into(), joiner.joined_at);
            self.peers.push(Peer { id, joined_at, is_host: false, metadata });
            self.seat(member, peer, true)
        };
        debug_assert_eq!(self.seats[position].peer as usize, peer, "a member is one peer");
        self.seats[position].is_host = joiner.is_host;
        self.refresh_host(peer);
        match known {
            None => Entry::FirstOfPeer,
            Some(_) if self.seats.len() > seats => Entry::FurtherOfPeer,
            Some(_) => Entry::Renewed,
        }
    }

    /// Takes a member out. Returns the peer if this was its last one.
    pub(super) fn leave(&mut self, member: Member) -> Option<Peer> {
        let position = self.position(member)?;
        self.members.remove(position);
        let seat = self.seats.remove(position);
        let left = if seat.is_shown {
            self.show_next(seat.peer)
        } else {
            self.hidden.retain(|hidden| hidden.member != member);
            None
        };
        if left.is_none() {
            self.refresh_host(seat.peer as usize);
        }
        give_back(&mut self.members);
        give_back(&mut self.seats);
        give_back(&mut self.peers);
        give_back(&mut self.hidden);
        left
    }

    /// Panics if an invariant does not hold.
    pub(super) fn check_invariants(&self) {
        assert!(!self.members.is_empty(), "a room without members keeps no seats");
        assert_eq!(self.members.len(), self.seats.len());
        assert_eq!(self.seats.len(), self.peers.len() + self.hidden.len());
        let mut shown = vec![0; self.peers.len()];
        let mut hosts = vec![false; self.peers.len()];
        for seat in &self.seats {
            shown[seat.peer as usize] += u32::from(seat.is_shown);
            hosts[seat.peer as usize] |= seat.is_host;
        }
        assert!(shown.iter().all(|&count| count == 1), "one shown member for each peer");
        assert!(self.peers.iter().zip(&hosts).all(|(peer, &host)| peer.is_host == host));
        let seats = self.members.iter().zip(&self.seats);
        let unshown = seats.filter(|(_, seat)| !seat.is_shown);
        let mut unshown: Vec<_> = unshown.map(|(&member, seat)| (member, seat.peer)).collect();
        let mut hidden: Vec<_> = self.hidden.iter().map(|one| (one.member, one.peer)).collect();
        unshown.sort_unstable();
        hidden.sort_unstable();
        assert_eq!(unshown, hidden);
    }

    fn position(&self, member: Member) -> Option<usize> {
        self.members.iter().position(|&seated| seated == member)
    }

    /// Gives a member a seat without host rights; returns where.
    fn seat(&mut self, member: Member, peer: usize, is_shown: bool) -> usize {
        let peer = u32::try_from(peer).expect("peers_per_room_max is a u32");
        self.members.push(member);
        self.seats.push(Seat { peer, is_host: false, is_shown });
        self.seats.len() - 1
    }

    /// Makes the member at `position` the newest one of its peer.
    fn show(&mut self, position: usize, metadata: Metadata) {
        let Seat { peer, is_shown, .. } = self.seats[position];
        let previous = mem::replace(&mut self.peers[peer as usize].metadata, metadata);
        if is_shown {
            return;
        }
        let member = self.members[position];
        self.hidden.retain(|hidden| hidden.member != member);
        let newest = self.seats.iter().position(|seat| seat.peer == peer && seat.is_shown);
        let newest = newest.expect("each peer has one shown member");
        self.seats[newest].is_shown = false;
        self.seats[position].is_shown = true;
        self.hidden.push(Hidden { member: self.members[newest], peer, metadata: previous });
    }

    /// The shown member of `peer` has gone: shows its newest other one, or returns the peer
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
        let position = self.position(next.member).expect("a hidden member has a seat");
        self.seats[position].is_shown = true;
        self.peers[peer as usize].metadata = next.metadata;
        None
    }

    fn refresh_host(&mut self, peer: usize) {
        let mut seats = self.seats.iter();
        self.peers[peer].is_host = seats.any(|seat| seat.peer as usize == peer && seat.is_host);
    }
}

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

    /// Adds a connection, which is not there.
    pub(super) fn enter(&mut self, conn: ConnId) {
        self.connections.push(conn);
    }

    /// Takes a connection out.
    pub(super) fn leave(&mut self, conn: ConnId) {
        if let Some(position) = self.connections.iter().position(|&member| member == conn) {
            self.connections.remove(position);
            give_back(&mut self.connections);
        }
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
    use crate::base::time::UnixMillis;
    use crate::rooms::room_event::NodeId;

    #[test]
    fn what_a_crowd_needed_is_given_back() {
        let mut presence = Presence::default();
        let member = |index| Member { node: NodeId(0), conn: ConnId { index, generation: 0 } };
        for index in 0..1_000 {
            // Every second member is a further one of the peer before.
            let joiner = Joiner {
                peer_id: (index / 2).to_string().into(),
                is_host: false,
                metadata: "1".into(),
                joined_at: UnixMillis(0),
            };
            let is_first = presence.enter(member(index), &joiner) == Entry::FirstOfPeer;
            assert_eq!(is_first, index % 2 == 0);
        }
        for index in 0..990 {
            assert_eq!(presence.leave(member(index)).is_some(), index % 2 == 1);
        }
        presence.check_invariants();
        assert_eq!((presence.members.len(), presence.peers.len()), (10, 5));
        assert!(presence.members.capacity() <= 4 * 10 + SPARE_SLOTS_MAX);
        assert!(presence.seats.capacity() <= 4 * 10 + SPARE_SLOTS_MAX);
        assert!(presence.peers.capacity() <= 4 * 5 + SPARE_SLOTS_MAX);
        assert!(presence.hidden.capacity() <= 4 * 5 + SPARE_SLOTS_MAX);
    }
}
