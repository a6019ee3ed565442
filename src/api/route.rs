//! Methods and paths become routes.

use crate::accounts::AccountRoute;
use crate::base::room_code::{ROOM_CODE_BYTES_MAX, is_room_code};
use crate::http::{Response, Status, decode_segment};

/// Every route, as `GET /` lists them.
pub const ROUTES: &[&str] = &[
    "GET /",
    "GET /r/{code}",
    "GET /setup-password",
    "GET /admin",
    "GET /client.js",
    "GET /page/{file}",
    "GET /health",
    "GET /health/ready",
    "GET /metrics",
    "GET /ws",
    "GET /api/whoami",
    "POST /api/rooms",
    "GET /api/rooms/{code}",
    "POST /api/auth/invite",
    "GET /api/auth/setup-info",
    "POST /api/auth/setup-password",
    "POST /api/auth/login",
    "POST /api/auth/logout",
    "GET /api/auth/me",
    "PUT /api/auth/me",
    "GET /api/auth/users",
    "PUT /api/auth/users/{id}",
    "DELETE /api/auth/users/{id}",
    "GET /api/admin/stats",
    "GET /api/admin/rooms",
    "DELETE /api/admin/rooms/{code}",
];

/// Bytes of a user id in a path; ours have 36.
const USER_ID_BYTES_MAX: usize = 128;

const GET: &str = "GET, HEAD, OPTIONS";
const POST: &str = "POST, OPTIONS";
const GET_PUT: &str = "GET, HEAD, PUT, OPTIONS";
const PUT_DELETE: &str = "PUT, DELETE, OPTIONS";
const DELETE: &str = "DELETE, OPTIONS";

/// What a request asks for. `HEAD` asks for what `GET` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `GET /`
    Index,
    /// `GET /r/{code}`
    RoomPage {
        /// Whether a room can be called that.
        is_code: bool,
    },
    /// `GET` of the pages for invitations and for administrators, of the client, or of a part of a
    /// page: the path itself. Perhaps there is none.
    Page,
    /// `GET /health`
    Health,
    /// `GET /health/ready`
    Ready,
    /// `GET /metrics`
    Metrics,
    /// `GET /ws`
    WebSocket,
    /// `GET /api/whoami`
    Whoami,
    /// `POST /api/rooms`
    CreateRoom,
    /// `GET /api/rooms/{code}`
    Room {
        /// Decoded; `None` if no room can be called that.
        code: Option<String>,
    },
    /// `/api/auth/…`
    Account(AccountRoute),
    /// `/api/admin/…`
    Admin(AdminRoute),
    /// `OPTIONS` of whatever path.
    Preflight,
}

/// A route for administrators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminRoute {
    /// `GET /api/admin/stats`
    Stats,
    /// `GET /api/admin/rooms`
    Rooms,
    /// `DELETE /api/admin/rooms/{code}`
    CloseRoom {
        /// Decoded, 1–64 bytes: a room of an older server may be called whatever it likes.
        code: String,
    },
}

/// Why a request has no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed {
        /// The methods that the path has, for the `Allow` field.
        allow: &'static str,
    },
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
    let (allow, route) = match path {
        "/" => (GET, on_get(method, Route::Index)),
        "/setup-password" | "/admin" | "/client.js" => (GET, on_get(method, Route::Page)),
        "/health" => (GET, on_get(method, Route::Health)),
        "/health/ready" => (GET, on_get(method, Route::Ready)),
        "/metrics" => (GET, on_get(method, Route::Metrics)),
        "/ws" => (GET, on_get(method, Route::WebSocket)),
        "/api/whoami" => (GET, on_get(method, Route::Whoami)),
        "/api/rooms" => (POST, on_post(method, Route::CreateRoom)),
        _ if path.starts_with("/page/") => (GET, on_get(method, Route::Page)),
        _ => match (segment_below("/r/", path), segment_below("/api/rooms/", path)) {
            (Some(segment), _) => (GET, on_get(method, room_page(segment))),
            (_, Some(segment)) => (GET, on_get(method, room(segment))),
            _ => match (path.strip_prefix("/api/auth/"), path.strip_prefix("/api/admin/")) {
                (Some(path), _) => {
                    let (allow, route) = account_route(method, path)?;
                    (allow, route.map(Route::Account))
                }
                (_, Some(path)) => {
                    let (allow, route) = admin_route(method, path)?;
                    (allow, route.map(Route::Admin))
                }
                _ => return Err(RouteError::NotFound),
            },
        },
    };
    route.ok_or(RouteError::MethodNotAllowed { allow })
}

impl From<&RouteError> for Response {
    fn from(error: &RouteError) -> Self {
        match *error {
            RouteError::NotFound => Self::error(Status::NOT_FOUND, "Not found"),
            RouteError::MethodNotAllowed { allow } => {
                Self::error(Status::METHOD_NOT_ALLOWED, "Method not allowed")
                    .with_header("Allow", allow)
            }
        }
    }
}

/// The methods of the account path `/api/auth/` + `path`, and the route if `method` is one.
fn account_route(
    method: &str,
    path: &str,
) -> Result<(&'static str, Option<AccountRoute>), RouteError> {
    Ok(match path {
        "invite" => (POST, on_post(method, AccountRoute::Invite)),
        "setup-info" => (GET, on_get(method, AccountRoute::SetupInfo)),
        "setup-password" => (POST, on_post(method, AccountRoute::SetupPassword)),
        "login" => (POST, on_post(method, AccountRoute::Login)),
        "logout" => (POST, on_post(method, AccountRoute::Logout)),
        "users" => (GET, on_get(method, AccountRoute::Users)),
        "me" if method == "PUT" => (GET_PUT, Some(AccountRoute::UpdateMe)),
        "me" => (GET_PUT, on_get(method, AccountRoute::Me)),
        _ => {
            let id = path.strip_prefix("users/").and_then(user_id).ok_or(RouteError::NotFound)?;
            let route = match method {
                "PUT" => Some(AccountRoute::UpdateUser { id }),
                "DELETE" => Some(AccountRoute::DeleteUser { id }),
                _ => None,
            };
            (PUT_DELETE, route)
        }
    })
}

/// The methods of the path `/api/admin/` + `path`, and the route if `method` is one.
fn admin_route(method: &str, path: &str) -> Result<(&'static str, Option<AdminRoute>), RouteError> {
    Ok(match path {
        "stats" => (GET, on_get(method, AdminRoute::Stats)),
        "rooms" => (GET, on_get(method, AdminRoute::Rooms)),
        _ => {
            let code = segment_below("rooms/", path)
                .and_then(decode_segment)
                .filter(|code| (1..=ROOM_CODE_BYTES_MAX).contains(&code.len()))
                .ok_or(RouteError::NotFound)?;
            (DELETE, (method == "DELETE").then_some(AdminRoute::CloseRoom { code }))
        }
    })
}

/// What is behind `folder`, if it is no folder itself.
fn segment_below<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(folder).filter(|segment| !segment.contains('/'))
}

fn room(segment: &str) -> Route {
    Route::Room { code: decode_segment(segment).filter(|code| is_room_code(code)) }
}

fn room_page(segment: &str) -> Route {
    Route::RoomPage { is_code: decode_segment(segment).is_some_and(|code| is_room_code(&code)) }
}

fn user_id(segment: &str) -> Option<String> {
    let id = decode_segment(segment).filter(|_| !segment.contains('/'))?;
    (1..=USER_ID_BYTES_MAX).contains(&id.len()).then_some(id)
}

fn on_get<R>(method: &str, route: R) -> Option<R> {
    matches!(method, "GET" | "HEAD").then_some(route)
}

fn on_post<R>(method: &str, route: R) -> Option<R> {
    (method == "POST").then_some(route)
}
