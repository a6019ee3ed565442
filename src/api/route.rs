//! Methods and paths become routes.

use crate::accounts::AccountRoute;
use crate::base::room_code::{ROOM_CODE_BYTES_MAX, is_room_code};
use crate::http::{Response, Status, decode_segment};

/// Bytes of a user id in a path; ours have 36.
const USER_ID_BYTES_MAX: usize = 128;

/// A method and a path that it is for.
struct Row {
    method: &'static str,
    path: &'static str,
    /// What stands behind the path in the list; empty if nothing may.
    rest: &'static str,
    /// The route for what is behind the path; `None` if there is nothing of that name.
    make: fn(&str) -> Option<Route>,
}

/// Every route, those of one path in the order in which `Allow` names them.
const TABLE: [Row; 26] = [
    row("GET", "/", "", |_| Some(Route::Index)),
    row("GET", "/r/", "{code}", |rest| {
        Some(Route::RoomPage { is_code: room_code(segment(rest)?).is_some() })
    }),
    row("GET", "/setup-password", "", |_| Some(Route::Page)),
    row("GET", "/admin", "", |_| Some(Route::Page)),
    row("GET", "/client.js", "", |_| Some(Route::Page)),
    row("GET", "/page/", "{file}", |_| Some(Route::Page)),
    row("GET", "/health", "", |_| Some(Route::Health)),
    row("GET", "/health/ready", "", |_| Some(Route::Ready)),
    row("GET", "/metrics", "", |_| Some(Route::Metrics)),
    row("GET", "/ws", "", |_| Some(Route::WebSocket)),
    row("GET", "/api/whoami", "", |_| Some(Route::Whoami)),
    row("POST", "/api/rooms", "", |_| Some(Route::CreateRoom)),
    row("GET", "/api/rooms/", "{code}", |rest| {
        Some(Route::Room { code: room_code(segment(rest)?) })
    }),
    row("POST", "/api/auth/invite", "", |_| Some(Route::Account(AccountRoute::Invite))),
    row("GET", "/api/auth/setup-info", "", |_| Some(Route::Account(AccountRoute::SetupInfo))),
    row("POST", "/api/auth/setup-password", "", |_| {
        Some(Route::Account(AccountRoute::SetupPassword))
    }),
    row("POST", "/api/auth/login", "", |_| Some(Route::Account(AccountRoute::Login))),
    row("POST", "/api/auth/logout", "", |_| Some(Route::Account(AccountRoute::Logout))),
    row("GET", "/api/auth/me", "", |_| Some(Route::Account(AccountRoute::Me))),
    row("PUT", "/api/auth/me", "", |_| Some(Route::Account(AccountRoute::UpdateMe))),
    row("GET", "/api/auth/users", "", |_| Some(Route::Account(AccountRoute::Users))),
    row("PUT", "/api/auth/users/", "{id}", |rest| {
        let id = name(rest, USER_ID_BYTES_MAX)?;
        Some(Route::Account(AccountRoute::UpdateUser { id }))
    }),
    row("DELETE", "/api/auth/users/", "{id}", |rest| {
        let id = name(rest, USER_ID_BYTES_MAX)?;
        Some(Route::Account(AccountRoute::DeleteUser { id }))
    }),
    row("GET", "/api/admin/stats", "", |_| Some(Route::Admin(AdminRoute::Stats))),
    row("GET", "/api/admin/rooms", "", |_| Some(Route::Admin(AdminRoute::Rooms))),
    row("DELETE", "/api/admin/rooms/", "{code}", |rest| {
        let code = name(rest, ROOM_CODE_BYTES_MAX)?;
        Some(Route::Admin(AdminRoute::CloseRoom { code }))
    }),
];

/// What a request asks for. `HEAD` asks for what `GET` does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table says what each is for")]
pub enum Route {
    Index,
    RoomPage {
        /// Whether a room can be called that.
        is_code: bool,
    },
    /// The pages for invitations and for administrators, the client, or a part of a page: the
    /// path itself. Perhaps there is none.
    Page,
    Health,
    Ready,
    Metrics,
    WebSocket,
    Whoami,
    CreateRoom,
    Room {
        /// Decoded; `None` if no room can be called that.
        code: Option<String>,
    },
    Account(AccountRoute),
    Admin(AdminRoute),
    /// `OPTIONS` of whatever path.
    Preflight,
}

/// A route for administrators.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table says what each is for")]
pub enum AdminRoute {
    Stats,
    Rooms,
    CloseRoom {
        /// Decoded, 1–64 bytes: a room of an older server may be called whatever it likes.
        code: String,
    },
}

/// Why a request has no route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed {
        /// The methods that the path has, for the `Allow` field.
        allow: String,
    },
}

/// Every route, as `GET /` lists them.
pub fn routes() -> impl Iterator<Item = String> {
    TABLE.iter().map(|Row { method, path, rest, .. }| format!("{method} {path}{rest}"))
}

/// The route for `method` and `path`, which has not been decoded.
///
/// Paths are compared as they are: `/ws/` and `/%77s` are other paths than `/ws`.
///
/// # Errors
/// [`RouteError`], which becomes a [`Response`].
pub fn route(method: &str, path: &str) -> Result<Route, RouteError> {
    if method == "OPTIONS" {
        return Ok(Route::Preflight);
    }
    let mut allow = String::new();
    for row in &TABLE {
        let rest = path.strip_prefix(row.path);
        let rest = rest.filter(|rest| rest.is_empty() || !row.rest.is_empty());
        let Some(route) = rest.and_then(row.make) else { continue };
        if method == row.method || (method == "HEAD" && row.method == "GET") {
            return Ok(route);
        }
        allow.push_str(row.method);
        allow.push_str(if row.method == "GET" { ", HEAD, " } else { ", " });
    }
    if allow.is_empty() {
        return Err(RouteError::NotFound);
    }
    allow.push_str("OPTIONS");
    Err(RouteError::MethodNotAllowed { allow })
}

impl From<&RouteError> for Response {
    fn from(error: &RouteError) -> Self {
        match error {
            RouteError::NotFound => Self::error(Status::NOT_FOUND, "Not found"),
            RouteError::MethodNotAllowed { allow } => {
                let mut response = Self::error(Status::METHOD_NOT_ALLOWED, "Method not allowed");
                response.set_header("Allow", allow);
                response
            }
        }
    }
}

const fn row(
    method: &'static str,
    path: &'static str,
    rest: &'static str,
    make: fn(&str) -> Option<Route>,
) -> Row {
    Row { method, path, rest, make }
}

/// `rest`, if the path ends with it.
fn segment(rest: &str) -> Option<&str> {
    (!rest.contains('/')).then_some(rest)
}

/// The code that `segment` is, decoded, if a room can be called that.
fn room_code(segment: &str) -> Option<String> {
    decode_segment(segment).filter(|code| is_room_code(code))
}

/// `rest`, if the path ends with it, decoded: 1 to `bytes_max` bytes.
fn name(rest: &str, bytes_max: usize) -> Option<String> {
    decode_segment(segment(rest)?).filter(|name| (1..=bytes_max).contains(&name.len()))
}
