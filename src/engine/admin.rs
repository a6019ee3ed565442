//! What administrators see of the running server, and do to its rooms: `/api/admin/…`.
//!
//! Whether the asker is one is for the store to say, so each request waits for that first.

use std::collections::VecDeque;

use log::{info, warn};
use serde::{Deserialize, Serialize};

use super::Engine;
use super::desk::{Desk, Waiting};
use super::jobs::{JOB_TIMEOUT, Job, Purpose};
use crate::accounts::Identity;
use crate::base::ids::{ConnId, RoomKey};
use crate::base::time::{Now, Timestamp, UnixMillis};
use crate::http::{self, AdminRoute, Request, Response, Status};
use crate::rooms::{CloseDone, Peer, RoomError, RoomView};
use crate::session::Sessions;
use crate::store::{Role, StoreError};

/// Rooms in one answer.
const ROOMS_LISTED_MAX: usize = 50;
/// Members of one room in an answer; how many there are in all is said.
const MEMBERS_LISTED_MAX: usize = 20;
/// Characters of a member's name in an answer.
const NAME_CHARS_MAX: usize = 100;

/// What an administrator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AdminRequest {
    /// How the server is.
    Stats,
    /// The rooms in memory with a code greater than `after`.
    Rooms { after: Option<String>, limit: usize },
    /// The end of a room.
    CloseRoom { code: String },
}

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

/// `GET /api/admin/stats`.
#[derive(Serialize)]
struct Stats {
    success: bool,
    version: &'static str,
    uptime_seconds: u64,
    /// All of them, with those that speak HTTP.
    connections: usize,
    connections_max: usize,
    rooms: usize,
    rooms_max: u32,
    /// Connections that are in a room.
    members: usize,
    /// Of all documents in memory, as they are sent.
    document_bytes: usize,
    memory: Memory,
    store: &'static str,
    jobs: JobCounts,
}

/// What clients make the server keep.
#[derive(Serialize)]
struct Memory {
    used_bytes: usize,
    budget_bytes: usize,
}

/// Work for the store and for passwords.
#[derive(Serialize)]
struct JobCounts {
    waiting: usize,
    running: usize,
}

/// `GET /api/admin/rooms`.
#[derive(Serialize)]
struct RoomList<'a> {
    success: bool,
    total: usize,
    rooms: Vec<RoomEntry<'a>>,
    /// What to ask for the rest with; `null` if there is none.
    next: Option<&'a str>,
}

/// A room as administrators see it.
#[derive(Serialize)]
struct RoomEntry<'a> {
    room_code: &'a str,
    host_id: &'a str,
    created_at: String,
    /// When the last member left.
    empty_since: Option<String>,
    peer_count: usize,
    connection_count: usize,
    members: Vec<MemberEntry<'a>>,
    document_bytes: usize,
    revision: u64,
    stored: bool,
}

#[derive(Serialize)]
struct MemberEntry<'a> {
    id: &'a str,
    name: Option<String>,
    is_host: bool,
    joined_at: String,
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
        let wish = match AdminRequest::of(route, request) {
            Ok(wish) => wish,
            Err(response) => {
                sessions.respond(conn, &response, now);
                return;
            }
        };
        // What is wanted is kept until the store has answered.
        sessions.keep(conn, request.held_bytes());
        let token = http::credentials(request, &self.desk.config.allowed_origins);
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
            sessions.respond(conn, &Response::error(Status::FORBIDDEN, "Admin only"), now);
            return;
        }
        match wish {
            AdminRequest::Stats => {
                let response = self.stats(sessions, now);
                sessions.respond(conn, &response, now);
            }
            AdminRequest::Rooms { after, limit } => {
                let response = self.list_rooms(after.as_deref(), limit, now);
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

    fn stats(&self, sessions: &Sessions, now: Now) -> Response {
        let budget = sessions.budget();
        let stats = Stats {
            success: true,
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: now.at.since(Timestamp(0)).as_secs(),
            connections: sessions.len(),
            connections_max: sessions.connections_max(),
            rooms: self.rooms.rooms(),
            rooms_max: self.desk.config.limits.rooms_max,
            members: self.rooms.connections(),
            document_bytes: self.rooms.document_bytes(),
            memory: Memory { used_bytes: budget.used(), budget_bytes: budget.limit() },
            store: self.desk.store_state(),
            jobs: JobCounts {
                waiting: self.desk.jobs.waiting(),
                running: self.desk.jobs.running(),
            },
        };
        Response::json(Status::OK, &stats)
    }

    fn list_rooms(&self, after: Option<&str>, limit: usize, now: Now) -> Response {
        let mut rooms = self.rooms.list(after);
        let listed: Vec<_> = rooms.by_ref().take(limit).collect();
        let next = listed.last().filter(|_| rooms.next().is_some()).map(|room| room.code());
        let rooms = listed.iter().map(|room| RoomEntry::of(*room, now)).collect();
        let total = self.rooms.live_rooms();
        Response::json(Status::OK, &RoomList { success: true, total, rooms, next })
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
                Ok(()) => sessions.respond(conn, &closed(), now),
                Err(_) => sessions.respond(conn, &not_deleted(), now),
            }
        }
    }

    /// Tells those who have waited too long for a room to be deleted.
    pub(super) fn give_up_closings(&mut self, sessions: &mut Sessions, now: Now) {
        while let Some(conn) = self.desk.closings.expired(now.at) {
            if self.desk.waiting.remove(&conn).is_some() {
                self.desk.store_failed("it did not delete a room in time", now);
                sessions.respond(conn, &not_deleted(), now);
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
            Ok(CloseDone::Closed) => sessions.respond(conn, &closed(), now),
            Ok(CloseDone::WhenDeleted(room)) => {
                self.waiting.insert(conn, Waiting::Close);
                let deadline = now.at + JOB_TIMEOUT;
                self.closings.waiting.push_back(Closing { deadline, conn, room });
            }
            Ok(CloseDone::WaitingForStore) => {
                self.waiting.insert(conn, Waiting::Close);
            }
            Err(RoomError::RoomNotFound) => {
                let response = Response::error(Status::NOT_FOUND, "Room not found");
                sessions.respond(conn, &response, now);
            }
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

impl AdminRequest {
    fn of(route: AdminRoute, request: &Request) -> Result<Self, Response> {
        match route {
            AdminRoute::Stats => Ok(Self::Stats),
            AdminRoute::Rooms => {
                let limit = request.query_value("limit");
                let limit = limit.map_or(Ok(ROOMS_LISTED_MAX), |text| text.parse());
                let Ok(limit @ 1..=ROOMS_LISTED_MAX) = limit else {
                    let message = format!("limit must be 1 to {ROOMS_LISTED_MAX}");
                    return Err(Response::error(Status::BAD_REQUEST, &message));
                };
                Ok(Self::Rooms { after: request.query_value("after"), limit })
            }
            AdminRoute::CloseRoom { code } => Ok(Self::CloseRoom { code }),
        }
    }
}

impl<'a> RoomEntry<'a> {
    fn of(room: RoomView<'a>, now: Now) -> Self {
        let members = room.peers().take(MEMBERS_LISTED_MAX).map(MemberEntry::of).collect();
        Self {
            room_code: room.code(),
            host_id: room.host_id(),
            created_at: room.created_at().rfc3339(),
            empty_since: room.empty_since().map(|since| clock_time(since, now).rfc3339()),
            peer_count: room.peer_count(),
            connection_count: room.connection_count(),
            members,
            document_bytes: room.document_bytes(),
            revision: room.revision(),
            stored: room.is_stored(),
        }
    }
}

impl<'a> MemberEntry<'a> {
    fn of(peer: &'a Peer) -> Self {
        Self {
            id: &peer.id,
            name: shown_name(&peer.metadata),
            is_host: peer.is_host,
            joined_at: peer.joined_at.rfc3339(),
        }
    }
}

/// The name in what a member says of itself, if it has the form that our own page gives it.
fn shown_name(metadata: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Shown {
        name: String,
    }
    // A list would be taken for the fields in their order.
    let object = metadata.trim_start().starts_with('{').then_some(metadata)?;
    let shown: Shown = serde_json::from_str(object).ok()?;
    Some(shown.name.chars().take(NAME_CHARS_MAX).collect())
}

/// What a clock on the wall showed at `at`, if nobody has set it since.
fn clock_time(at: Timestamp, now: Now) -> UnixMillis {
    let ago = i64::try_from(now.at.since(at).as_millis()).unwrap_or(i64::MAX);
    UnixMillis(now.unix.0.saturating_sub(ago))
}

/// A room is closed, and nothing is stored of it.
fn closed() -> Response {
    #[derive(Serialize)]
    struct Closed {
        success: bool,
    }
    Response::json(Status::OK, &Closed { success: true })
}

/// A room is closed, but may still be stored.
fn not_deleted() -> Response {
    let message = "The room is closed, but the store has not deleted it; try again";
    Response::unavailable(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_the_page_calls_so() {
        let long = format!(r#"{{"name":"{}"}}"#, "é".repeat(101));
        for (metadata, name) in [
            (r#"{"name":"Ann"}"#, Some("Ann".to_owned())),
            (r#" {"a":[1],"name":"บ๊อบ"}"#, Some("บ๊อบ".to_owned())),
            (&long, Some("é".repeat(NAME_CHARS_MAX))),
            (r#"["Ann"]"#, None),
            (r#"{"name":7}"#, None),
            ("{}", None),
            ("null", None),
        ] {
            assert_eq!(shown_name(metadata), name, "{metadata}");
        }
    }

    #[test]
    fn time_is_told_by_the_clock_on_the_wall() {
        let now = Now { at: Timestamp::from_secs(10), unix: UnixMillis(1_000_000) };
        assert_eq!(clock_time(Timestamp::from_secs(7), now), UnixMillis(997_000));
    }
}
