//! What administrators see of the running server, and do to its rooms: `/api/admin/…`.
//!
//! Whether the asker is one is for the store to say, so each request waits for that first.

use std::task::Poll;

use log::{info, warn};

use super::answer::Answer;
use super::application::Engine;
use super::context::Context;
use super::job::Job;
use super::jobs::LANES;
use super::requests::Asker;
use super::turns::Owner;
use super::waiting::{RoomRequest, Waiting, WithLogin};
use crate::accounts::Identity;
use crate::api::admin::{self, AdminRequest, JobStats, MemoryStats, Stats};
use crate::api::{self, AdminRoute};
use crate::base::ids::RoomKey;
use crate::base::time::{Now, Timestamp};
use crate::http::{Request, Response, Status};
use crate::rooms::{CloseDone, Located, RoomError};
use crate::session::Sessions;
use crate::store::{Role, StoreError};

impl Engine {
    /// Finds out who asks, then answers.
    pub(super) fn ask_admin(
        &self,
        cx: &Context<'_>,
        route: AdminRoute,
        request: &Request,
        asker: Asker,
    ) -> Result<Answer, Response> {
        let wish = AdminRequest::parse(route, request)?;
        let token = api::credentials(request, &self.config.allowed_origins);
        let job = Job::Authenticate { token, now: cx.now.unix };
        let waiting = Waiting::Login(cx.conn, WithLogin::Administer(wish));
        Ok(Answer::When(Owner::at(asker.address), job, waiting))
    }

    /// Answers a client that is logged in, and that may be an administrator.
    pub(super) fn administer(
        &mut self,
        cx: &mut Context<'_>,
        identity: &Identity,
        wish: AdminRequest,
    ) -> Answer {
        if identity.role != Role::Admin {
            return admin::forbidden().into();
        }
        match wish {
            AdminRequest::Stats => Response::json(Status::OK, &self.stats(cx)).into(),
            AdminRequest::Rooms { after, limit } => {
                let (rooms, total) = (self.rooms.list(after.as_deref()), self.rooms.live_rooms());
                admin::rooms(rooms, limit, total, cx.now).into()
            }
            AdminRequest::CloseRoom { code } => {
                info!("user {} closes a room", identity.user_id);
                let owner = cx.owner();
                let (rooms, mut effects) = self.split_for(owner, cx.sessions, cx.now);
                match rooms.locate(&code, cx.conn, || RoomRequest::Close, &mut effects) {
                    Poll::Ready(located) => self.close_located(cx, located),
                    Poll::Pending => Answer::Waits,
                }
            }
        }
    }

    /// Closes a room, now that it is known where it is.
    pub(super) fn close_located(&mut self, cx: &mut Context<'_>, located: Located<'_>) -> Answer {
        let (rooms, mut effects) = self.split(cx.sessions, cx.now);
        match rooms.close(located, cx.now, &mut effects) {
            Ok(CloseDone::Closed) => admin::closed().into(),
            Ok(CloseDone::WhenDeleted(room)) => {
                self.closings.wait(cx.conn, room, cx.now.at);
                Answer::Waits
            }
            Err(RoomError::RoomNotFound) => admin::not_found().into(),
            Err(_) => api::store_unavailable().into(),
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
        while let Some(conn) = self.closings.take(room) {
            let response = if result.is_ok() { admin::closed() } else { admin::not_deleted() };
            self.respond(&mut Context { sessions, conn, now }, response);
        }
    }

    /// Tells those who have waited too long for a room to be deleted.
    pub(super) fn give_up_closings(&mut self, sessions: &mut Sessions, now: Now) {
        while let Some(conn) = self.closings.expired(now.at) {
            self.store.failed("it did not delete a room in time", now.at);
            self.respond(&mut Context { sessions, conn, now }, admin::not_deleted());
        }
    }

    fn stats(&self, cx: &Context<'_>) -> Stats {
        let total = |by_lane: [(_, usize); LANES.len()]| by_lane.iter().map(|lane| lane.1).sum();
        let (waiting, running) = (total(self.jobs.queued()), total(self.jobs.running()));
        Stats {
            success: true,
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: cx.now.at.since(Timestamp(0)).as_secs(),
            connections: cx.sessions.len(),
            connections_max: cx.sessions.connections_max(),
            rooms: self.rooms.rooms(),
            rooms_max: self.config.limits.rooms_max,
            members: self.rooms.connections(),
            document_bytes: self.rooms.document_bytes(),
            memory: MemoryStats {
                used_bytes: self.budget.used(),
                budget_bytes: self.budget.limit(),
            },
            store: self.store.as_str(),
            jobs: JobStats { waiting, running },
        }
    }
}
