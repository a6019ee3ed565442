//! `/api/admin/…`: what administrators ask for, and what they are answered.

use serde::{Deserialize, Serialize};

use super::route::AdminRoute;
use crate::base::time::{Now, Timestamp, UnixMillis};
use crate::http::{Request, Response, Status};
use crate::rooms::{Peer, RoomView};

/// Rooms in one answer.
const ROOMS_LISTED_MAX: usize = 50;
/// Members of one room in an answer; how many there are in all is said.
const MEMBERS_LISTED_MAX: usize = 20;
/// Characters of a member's name in an answer.
const NAME_CHARS_MAX: usize = 100;

/// What an administrator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminRequest {
    /// How the server is.
    Stats,
    /// The rooms in memory with a code greater than `after`.
    Rooms {
        /// `None`: from the first one on.
        after: Option<String>,
        /// How many at most.
        limit: usize,
    },
    /// The end of a room.
    CloseRoom {
        /// Of the room.
        code: String,
    },
}

/// The answer to `GET /api/admin/stats`: what the server does at present.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stats {
    /// It could be told.
    pub success: bool,
    /// Of the program.
    pub version: &'static str,
    /// Since it began to serve.
    pub uptime_seconds: u64,
    /// All connections, those that speak HTTP too.
    pub connections: usize,
    /// How many there may be.
    pub connections_max: usize,
    /// Rooms in memory.
    pub rooms: usize,
    /// How many there may be.
    pub rooms_max: u32,
    /// Connections that are in a room.
    pub members: usize,
    /// Of all documents in memory, as they are sent.
    pub document_bytes: usize,
    /// What clients make the server keep.
    pub memory: MemoryStats,
    /// What is said of the store.
    pub store: &'static str,
    /// Jobs for the store and for passwords.
    pub jobs: JobStats,
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MemoryStats {
    pub used_bytes: usize,
    pub budget_bytes: usize,
}

/// Jobs by how far they are.
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct JobStats {
    pub waiting: usize,
    pub running: usize,
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

impl AdminRequest {
    /// What a request to `route` asks for.
    ///
    /// # Errors
    /// The answer to a malformed one.
    pub fn parse(route: AdminRoute, request: &Request) -> Result<Self, Response> {
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

    /// Bytes of memory behind it.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Stats | Self::Rooms { after: None, .. } => 0,
            Self::Rooms { after: Some(code), .. } | Self::CloseRoom { code } => code.capacity(),
        }
    }
}

/// At most `limit` of `rooms`; there are `total` in all.
pub fn rooms<'a>(
    mut rooms: impl Iterator<Item = RoomView<'a>>,
    limit: usize,
    total: usize,
    now: Now,
) -> Response {
    let listed: Vec<_> = rooms.by_ref().take(limit).collect();
    let next = listed.last().filter(|_| rooms.next().is_some()).map(|room| room.code());
    let rooms = listed.iter().map(|room| RoomEntry::of(*room, now)).collect();
    Response::json(Status::OK, &RoomList { success: true, total, rooms, next })
}

/// A room is closed, and nothing is stored of it.
pub fn closed() -> Response {
    #[derive(Serialize)]
    struct Closed {
        success: bool,
    }
    Response::json(Status::OK, &Closed { success: true })
}

/// A room is closed, but may still be stored.
pub fn not_deleted() -> Response {
    let message = "The room is closed, but the store has not deleted it; try again";
    Response::unavailable(message)
}

/// There is no room of that code.
pub fn not_found() -> Response {
    Response::error(Status::NOT_FOUND, "Room not found")
}

/// The asker is no administrator.
pub fn forbidden() -> Response {
    Response::error(Status::FORBIDDEN, "Admin only")
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

/// What a clock on the wall showed at `at`, unless it was set since.
fn clock_time(at: Timestamp, now: Now) -> UnixMillis {
    let ago = i64::try_from(now.at.since(at).as_millis()).unwrap_or(i64::MAX);
    UnixMillis(now.unix.0.saturating_sub(ago))
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
