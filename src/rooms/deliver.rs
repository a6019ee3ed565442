//! What the members of a room are told of an event that has changed it. All members hear the events
//! in the order of delivery.

use super::action::RawJson;
use super::event::{Event, Output};
use super::room::{PeerChange, Room};
use super::room_event::{Joiner, NodeId, RoomEvent, RoomEventKind};
use crate::base::ids::ConnId;

impl Room {
    /// Tells the audience of `event` and of what it changed; `here` is the server that does.
    #[inline] // A broadcast, which changes nothing, then costs no more than its fan-out.
    pub(super) fn tell(
        &self,
        event: &RoomEvent<'_>,
        change: &PeerChange,
        here: NodeId,
        out: &mut impl Output,
    ) {
        let conn = event.from.connected_to(here);
        match &event.kind {
            RoomEventKind::Joined(joiner) => {
                if let Some(conn) = conn {
                    self.welcome(conn, joiner, out);
                }
            }
            RoomEventKind::Left => {}
            RoomEventKind::Data { peer_id, data } => {
                self.tell_others(conn, &Event::Data { from: peer_id, data: RawJson(data) }, out);
            }
            RoomEventKind::Document(_) => {
                let document = self.lend_document();
                self.tell_others(conn, &Event::DocumentSync { document: document.as_ref() }, out);
            }
        }
        match change {
            PeerChange::None => {}
            PeerChange::Came => {
                if let Some(peer) = self.peer_of(event.from) {
                    self.tell_others(conn, &Event::PeerJoined { peer }, out);
                }
            }
            PeerChange::Went(peer) => {
                self.tell_others(conn, &Event::PeerLeft { peer_id: &peer.id }, out);
            }
        }
    }

    /// Sends the document to a member that asked for it.
    pub(super) fn send_document(&self, to: ConnId, out: &mut impl Output) {
        out.send(to, &Event::DocumentSync { document: self.lend_document().as_ref() });
    }

    /// The joiner gets the room as it is, itself included; the others hear of it afterwards.
    fn welcome(&self, conn: ConnId, joiner: &Joiner<'_>, out: &mut impl Output) {
        let peer_id = &joiner.peer_id;
        out.send(conn, &Event::Connected { peer_id, room_code: self.code() });
        out.send(conn, &Event::RoomInfo { room: self.view() });
        debug_assert!(!self.needs_document(), "a join waits for it");
        if self.view().has_document() {
            self.send_document(conn, out);
        }
    }

    /// To the audience without `from`; if there is no other, at no cost.
    fn tell_others(&self, from: Option<ConnId>, event: &Event<'_>, out: &mut impl Output) {
        match self.connections() {
            [] => {}
            [only] if Some(*only) == from => {}
            audience => out.broadcast(audience, from, event),
        }
    }
}
