//! Where the rooms' effects go: into frames, queues and jobs.

use log::{info, warn};

use super::desk::{Desk, Waiting};
use super::jobs::{Job, Purpose, RoomToSave};
use crate::base::ids::{ConnId, RoomKey};
use crate::base::time::Now;
use crate::protocol;
use crate::rooms::{
    CloseDone, CreateDone, Done, Event, Output, RoomChange, RoomError, RoomView, Snapshot,
};
use crate::session::Sessions;
use crate::ws::{CloseReason, Frame};

/// The sink for one call of the rooms.
#[derive(Debug)]
pub(super) struct Effects<'a> {
    pub(super) desk: &'a mut Desk,
    pub(super) sessions: &'a mut Sessions,
    pub(super) now: Now,
}

impl Effects<'_> {
    /// Encodes `event` once and queues it for each of `to` but `except`.
    fn fan_out(&mut self, to: &[ConnId], except: Option<ConnId>, event: &Event<'_>) {
        let frame = match event {
            Event::DocumentSync { document: Some(document) } => Frame::latest(document.0.clone()),
            _ => Frame::text(&mut self.desk.scratch, self.sessions.budget(), |out| {
                protocol::encode_event(event, out);
            }),
        };
        let can_wait = matches!(event, Event::PeerJoined { .. } | Event::PeerLeft { .. });
        let frame = if can_wait { frame.patient() } else { frame };
        for conn in to.iter().copied().filter(|conn| Some(*conn) != except) {
            self.sessions.send(conn, &frame, self.now);
        }
    }
}

impl Output for Effects<'_> {
    fn send(&mut self, to: ConnId, event: &Event<'_>) {
        self.fan_out(&[to], None, event);
    }

    fn broadcast(&mut self, to: &[ConnId], except: Option<ConnId>, event: &Event<'_>) {
        self.fan_out(to, except, event);
    }

    fn lookup(&mut self, room_code: &str) {
        let job = Job::FindRoom { room_code: room_code.to_owned() };
        let purpose = Purpose::Lookup(room_code.to_owned());
        // The rooms are borrowed, so a full queue can only be told them a little later.
        if self.desk.jobs.start(job, purpose, self.now.at).is_err() {
            self.desk.lookups_refused.push(room_code.to_owned());
        }
    }

    fn resolved(&mut self, conn: ConnId, result: Result<Done, RoomError>) {
        let Some(Waiting::Join { id }) = self.desk.waiting.remove(&conn) else { return };
        self.desk.join_ended(self.sessions, conn, &result, self.now);
        self.desk.finish(self.sessions, conn, result, id.as_ref(), self.now);
        self.sessions.resume(conn);
    }

    fn created(&mut self, conn: ConnId, result: Result<CreateDone<'_>, RoomError>) {
        if matches!(result, Ok(CreateDone::Taken)) {
            self.desk.code_taken.push(conn);
            return;
        }
        let Some(Waiting::Create(creation)) = self.desk.waiting.remove(&conn) else { return };
        Desk::answer_create(self.sessions, conn, &creation, result, self.now);
    }

    fn viewed(&mut self, conn: ConnId, result: Result<RoomView<'_>, RoomError>) {
        if let Some(Waiting::View { address }) = self.desk.waiting.remove(&conn) {
            self.desk.answer_view(self.sessions, conn, address, result, self.now);
        }
    }

    fn closed(&mut self, conn: ConnId, result: Result<CloseDone, RoomError>) {
        if let Some(Waiting::Close) = self.desk.waiting.remove(&conn) {
            self.desk.room_closed(self.sessions, conn, result, self.now);
        }
    }

    fn dismissed(&mut self, room: RoomKey, members: &[ConnId]) {
        self.desk.refuse_acks(self.sessions, room, self.now);
        for &conn in members {
            self.sessions.close(conn, CloseReason::RoomClosed, self.now);
        }
    }

    fn delete(&mut self, room: RoomKey, room_code: &str, room_id: &str) {
        let (room_code, room_id) = (room_code.to_owned(), room_id.to_owned());
        let job = Job::DeleteRoom { room_code, room_id };
        let started = self.desk.jobs.start(job, Purpose::Delete(room), self.now.at);
        debug_assert!(started.is_ok(), "deletions are never refused");
    }

    fn persist(&mut self, snapshot: Snapshot<'_>) {
        let purpose = Purpose::Save(snapshot.key, snapshot.revision);
        let room = RoomToSave::of(&snapshot, self.now.unix);
        let job = Job::SaveRoom(Box::new(room));
        let started = self.desk.jobs.start(job, purpose, self.now.at);
        debug_assert!(started.is_ok(), "saves are never refused");
    }

    fn durable(&mut self, room: RoomKey, revision: u64) {
        self.desk.acknowledge(self.sessions, room, revision, self.now);
    }

    fn not_durable(&mut self, room: RoomKey) {
        self.desk.refuse_acks(self.sessions, room, self.now);
    }

    fn fresh_room_id(&mut self) -> String {
        self.desk.fresh_uuid()
    }

    fn room_changed(&mut self, room_code: &str, change: RoomChange) {
        match change {
            RoomChange::Created => info!("room {room_code}: created"),
            RoomChange::Restored => info!("room {room_code}: restored"),
            RoomChange::Expired => info!("room {room_code}: left memory"),
            RoomChange::Evicted => info!("room {room_code}: left memory early, to make room"),
            RoomChange::Closed => info!("room {room_code}: closed by an administrator"),
            RoomChange::Conflicted => {
                warn!("room {room_code}: not stored, another room has this code in the store");
            }
        }
    }
}
