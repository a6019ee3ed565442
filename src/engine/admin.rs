//! What administrators see of the running server, and do to its rooms: `/api/admin/…`.
//!
//! Whether the asker is one is for the store to say, so each request waits for that first.

use std::collections::VecDeque;

use log::{info, warn};

use super::Engine;
use super::desk::{Desk, Waiting};
use super::jobs::{JOB_TIMEOUT, Job, Purpose};
use crate::accounts::Identity;
use crate::api::admin::{self, AdminRequest, Stats};
use crate::api::{self, AdminRoute};
use crate::base::ids::{ConnId, RoomKey};
use crate::base::time::{Now, Timestamp};
use crate::http::{Request, Response};
use crate::rooms::{CloseDone, RoomError};
use crate::session::Sessions;
use crate::store::{Role, StoreError};

/// Closed rooms of which somebody waits to hear that they are deleted.
#[derive(Debug, Default)]
pub(super) struct Closings {
    /// In order of time; at most one for each connection.
    waiting: VecDeque<Closing>,
}

#[derive(Clone, Copy, Debug)]
struct Closing {
    /// When the asker is told that the store does not answer.
    deadline: Timestamp,
    conn: ConnId,
    room: RoomKey,
}

impl Engine {
    /// Finds out who asks, then answers.
    pub(super) fn ask_admin(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        route: AdminRoute,
        request: &Request,
        now: Now,
    ) {
        let wish = match AdminRequest::parse(route, request) {
            Ok(wish) => wish,
            Err(response) => {
                sessions.respond(conn, &response, now);
                return;
            }
        };
        // What is wanted is kept until the store has answered.
        sessions.keep(conn, request.held_bytes());
        let token = api::credentials(request, &self.desk.config.allowed_origins);
        let job = Job::Authenticate { token, now: now.unix };
        let waiting = Waiting::Admin(Box::new(wish));
        self.wait_for(sessions, conn, job, Purpose::Authentication(conn), waiting, now);
    }

    /// Answers somebody who is logged in, and who may be an administrator.
    pub(super) fn administer(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        identity: &Identity,
        wish: AdminRequest,
        now: Now,
    ) {
        if identity.role != Role::Admin {
            sessions.respond(conn, &admin::forbidden(), now);
            return;
        }
        match wish {
            AdminRequest::Stats => {
                let stats = self.stats(sessions, now);
                sessions.respond(conn, &Response::from(&stats), now);
            }
            AdminRequest::Rooms { after, limit } => {
                let (rooms, total) = (self.rooms.list(after.as_deref()), self.rooms.live_rooms());
                let response = admin::rooms(rooms, limit, total, now);
                sessions.respond(conn, &response, now);
            }
            AdminRequest::CloseRoom { code } => {
                info!("user {} closes a room", identity.user_id);
                self.with_rooms(sessions, now, |rooms, effects| {
                    let result = rooms.close(conn, &code, now, effects);
                    effects.desk.room_closed(effects.sessions, conn, result, now);
                });
            }
        }
    }

    fn stats(&self, sessions: &Sessions, now: Now) -> Stats {
        let budget = sessions.budget();
        Stats {
            uptime: now.at.since(Timestamp(0)),
            connections: sessions.len(),
            connections_max: sessions.connections_max(),
            rooms: self.rooms.rooms(),
            rooms_max: self.desk.config.limits.rooms_max,
            members: self.rooms.connections(),
            document_bytes: self.rooms.document_bytes(),
            memory_used_bytes: budget.used(),
            memory_budget_bytes: budget.limit(),
            store: self.desk.store_state(),
            jobs_waiting: self.desk.jobs.waiting(),
            jobs_running: self.desk.jobs.running(),
        }
    }

    /// The store has deleted a closed room, or has not.
    pub(super) fn room_deleted(
        &mut self,
        sessions: &mut Sessions,
        room: RoomKey,
        result: &Result<(), StoreError>,
        now: Now,
    ) {
        self.rooms.deleted(room);
        if let Err(error) = result
            && !error.is_passing()
        {
            warn!("cannot delete a room: {error}");
        }
        while let Some(conn) = self.desk.closings.take(room) {
            if self.desk.waiting.remove(&conn).is_none() {
                continue;
            }
            match result {
                Ok(()) => sessions.respond(conn, &admin::closed(), now),
                Err(_) => sessions.respond(conn, &admin::not_deleted(), now),
            }
        }
    }

    /// Tells those who have waited too long for a room to be deleted.
    pub(super) fn give_up_closings(&mut self, sessions: &mut Sessions, now: Now) {
        while let Some(conn) = self.desk.closings.expired(now.at) {
            if self.desk.waiting.remove(&conn).is_some() {
                self.desk.store_failed("it did not delete a room in time", now);
                sessions.respond(conn, &admin::not_deleted(), now);
            }
        }
    }
}

impl Desk {
    /// A close has gone as far as it can without the store.
    pub(super) fn room_closed(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        result: Result<CloseDone, RoomError>,
        now: Now,
    ) {
        match result {
            Ok(CloseDone::Closed) => sessions.respond(conn, &admin::closed(), now),
            Ok(CloseDone::WhenDeleted(room)) => {
                self.waiting.insert(conn, Waiting::Close);
                let deadline = now.at + JOB_TIMEOUT;
                self.closings.waiting.push_back(Closing { deadline, conn, room });
            }
            Ok(CloseDone::WaitingForStore) => {
                self.waiting.insert(conn, Waiting::Close);
            }
            Err(RoomError::RoomNotFound) => sessions.respond(conn, &admin::not_found(), now),
            Err(_) => Self::store_unavailable(sessions, conn, now),
        }
    }
}

impl Closings {
    /// Somebody who waits for `room` no longer does.
    fn take(&mut self, room: RoomKey) -> Option<ConnId> {
        let position = self.waiting.iter().position(|closing| closing.room == room)?;
        self.waiting.remove(position).map(|closing| closing.conn)
    }

    /// Nobody waits on behalf of `conn` any more.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.waiting.retain(|closing| closing.conn != conn);
    }

    /// Somebody who has waited too long no longer does.
    fn expired(&mut self, now: Timestamp) -> Option<ConnId> {
        let first = self.waiting.front().filter(|closing| closing.deadline <= now)?.conn;
        self.waiting.pop_front();
        Some(first)
    }

    /// When the next one has waited too long.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.waiting.front().map(|closing| closing.deadline)
    }
}
