//! What may happen to a room: an action is checked against the room, which it does not change; the
//! result is the room's next event.

use std::borrow::Cow;

use subtle::ConstantTimeEq;

use super::action::{Document, Join, RawJson};
use super::answer::RoomError;
use super::config::RoomsConfig;
use super::room::Room;
use super::room_event::{Joiner, Member, RoomEvent, RoomEventKind};
use crate::base::time::UnixMillis;
use crate::config::{HostAuth, SyncWriters};

impl Room {
    /// Checks a join. A member that is in the room already always finds a place.
    pub(super) fn accept_join<'a>(
        &self,
        from: Member,
        join: &'a Join<'_>,
        joined_at: UnixMillis,
        config: &RoomsConfig,
    ) -> Result<RoomEvent<'a>, RoomError> {
        let members = self.presence().map_or(0, |presence| presence.members().len());
        if members >= config.peers_per_room_max as usize && self.peer_of(from).is_none() {
            return Err(RoomError::RoomFull);
        }
        let joiner = Joiner {
            peer_id: Cow::Borrowed(&join.peer_id),
            is_host: self.grants_host(join, config.host_auth),
            metadata: Cow::Borrowed(&join.metadata),
            joined_at,
        };
        Ok(RoomEvent { from, kind: RoomEventKind::Joined(joiner) })
    }

    /// Checks a broadcast.
    pub(super) fn accept_data<'a>(
        &'a self,
        from: Member,
        data: RawJson<'a>,
    ) -> Result<RoomEvent<'a>, RoomError> {
        let peer = self.peer_of(from).ok_or(RoomError::NotInRoom)?;
        let (peer_id, data) = (Cow::Borrowed(&*peer.id), Cow::Borrowed(data.0));
        Ok(RoomEvent { from, kind: RoomEventKind::Data { peer_id, data } })
    }

    /// Checks a new document of a member.
    pub(super) fn accept_document(
        &self,
        from: Member,
        document: Document,
        config: &RoomsConfig,
    ) -> Result<RoomEvent<'static>, RoomError> {
        let is_host = self.presence().is_some_and(|presence| presence.is_host(from));
        if config.sync_writers == SyncWriters::Host && !is_host {
            return Err(RoomError::HostOnly);
        }
        Ok(RoomEvent { from, kind: RoomEventKind::Document(document) })
    }

    /// A member can always go.
    pub(super) fn accept_leave(&self, from: Member) -> RoomEvent<'static> {
        debug_assert!(self.peer_of(from).is_some(), "only a member goes");
        RoomEvent { from, kind: RoomEventKind::Left }
    }

    /// Whether a joiner gets the host rights that it asks for. An unclaimed room is there to be
    /// claimed.
    fn grants_host(&self, join: &Join<'_>, server: HostAuth) -> bool {
        let room = self.identity();
        let has_token = match (join.host_token, room.host_token) {
            (Some(given), Some(expected)) => bool::from(given.0.ct_eq(&expected.0)),
            _ => false,
        };
        // Where no token was ever given out, the server-wide rule would lock every host out.
        let needs_token = room.host_auth == HostAuth::Token
            || (server == HostAuth::Token && room.host_token.is_some());
        let is_named = room.host_id.is_empty() || *room.host_id == *join.peer_id;
        join.is_host && is_named && (has_token || !needs_token)
    }
}
