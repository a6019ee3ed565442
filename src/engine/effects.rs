//! Where the rooms' effects go: into frames, queues and jobs.

use std::net::Ipv4Addr;

use log::{debug, info, warn};

use super::acks::Acks;
use super::context::Context;
use super::draw::Draw;
use super::job::Job;
use super::jobs::Jobs;
use super::reads::DocumentReads;
use super::replies::Replies;
use super::turns::Owner;
use super::waiting::{Save, Waiting};
use crate::base::ids::{ConnId, RoomKey};
use crate::base::time::Now;
use crate::config::AddressKey;
use crate::protocol::{ErrorCode, Reply};
use crate::rooms::{Event, Output, RoomChange, RoomView, StoreUnavailable, StoredRoom};
use crate::session::Sessions;
use crate::ws::{CloseReason, Frame};

/// The sink for one call of the rooms.
#[derive(Debug)]
pub(super) struct Effects<'a> {
    pub(super) sessions: &'a mut Sessions,
    pub(super) now: Now,
    /// On whose side lookups are counted.
    pub(super) owner: Owner,
    pub(super) jobs: &'a mut Jobs,
    pub(super) reads: &'a mut DocumentReads,
    pub(super) acks: &'a mut Acks,
    pub(super) replies: &'a mut Replies,
    pub(super) draw: &'a mut Draw,
}

impl Effects<'_> {
    /// Encodes `event` once and queues it for each of `to` but `except`.
    fn fan_out(&mut self, to: &[ConnId], except: Option<ConnId>, event: &Event<'_>) {
        let frame = match event {
            Event::DocumentSync { document: Some(document) } => Frame::latest(document.0.clone()),
            Event::PeerJoined { .. } | Event::PeerLeft { .. } => {
                self.replies.encode_event(event, self.sessions.budget()).patient()
            }
            _ => self.replies.encode_event(event, self.sessions.budget()),
        };
        for conn in to.iter().copied().filter(|conn| Some(*conn) != except) {
            self.sessions.send(conn, &frame, self.now);
        }
    }

    /// Refuses what waits for `room` to be stored, which it never will be.
    fn refuse_acks(&mut self, room: RoomKey) {
        for ack in self.acks.give_up(room) {
            let mut cx = Context { sessions: &mut *self.sessions, conn: ack.conn, now: self.now };
            self.replies.refuse(&mut cx, ErrorCode::StoreUnavailable, Some(&ack.id));
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

    fn lookup(&mut self, room_code: &str) -> Result<(), StoreUnavailable> {
        let job = Job::FindRoom { room_code: room_code.to_owned() };
        let waiting = Waiting::Lookup(room_code.to_owned());
        let started = self.jobs.start(self.owner, job, waiting, self.now.at);
        started.map(|_| ()).map_err(|_| StoreUnavailable)
    }

    fn read_document(&mut self, asker: ConnId, room: RoomKey, stored: RoomView<'_>) {
        let address = self.sessions.address(asker).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let address = AddressKey::of(address);
        let (names, bytes) = ((stored.code(), stored.room_id()), stored.document_bytes());
        self.reads.add(room, names, bytes, address, self.now.at);
    }

    fn dismissed(&mut self, room: RoomKey, members: &[ConnId]) {
        self.refuse_acks(room);
        for &conn in members {
            self.sessions.close(conn, CloseReason::RoomClosed, self.now);
        }
    }

    fn delete(&mut self, room: RoomKey, room_code: &str, room_id: &str) {
        let (room_code, room_id) = (room_code.to_owned(), room_id.to_owned());
        let job = Job::DeleteRoom { room_code, room_id };
        let started = self.jobs.start(Owner::Server, job, Waiting::Delete(room), self.now.at);
        debug_assert!(started.is_ok(), "deletions are never refused");
    }

    fn persist(&mut self, key: RoomKey, revision: u64, room: StoredRoom) {
        self.jobs.save(Save { room: key, revision, since: self.now.at }, room);
    }

    fn durable(&mut self, room: RoomKey, revision: u64) {
        for ack in self.acks.stored(room, revision) {
            let mut cx = Context { sessions: &mut *self.sessions, conn: ack.conn, now: self.now };
            self.replies.send(&mut cx, &Reply::Ack { id: &ack.id });
        }
    }

    fn not_durable(&mut self, room: RoomKey) {
        self.refuse_acks(room);
    }

    fn fresh_room_id(&mut self) -> String {
        self.draw.uuid()
    }

    fn room_changed(&mut self, room_code: &str, change: RoomChange) {
        match change {
            RoomChange::Created => info!("room {room_code}: created"),
            RoomChange::Restored => info!("room {room_code}: restored"),
            RoomChange::Expired => info!("room {room_code}: left memory"),
            RoomChange::Evicted => info!("room {room_code}: left memory early, to make room"),
            RoomChange::Unloaded => debug!("room {room_code}: its document left memory"),
            RoomChange::Dropped => {
                warn!("room {room_code}: left memory early, which was short; nothing stores it");
            }
            RoomChange::DocumentLost => {
                warn!("room {room_code}: its document is not in the store any more");
            }
            RoomChange::Closed => info!("room {room_code}: closed by an administrator"),
            RoomChange::Conflicted => {
                warn!("room {room_code}: not stored, another room has this code in the store");
            }
        }
    }
}
