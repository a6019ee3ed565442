//! The room routes: what `POST /api/rooms` asks for, and what is answered there and to
//! `GET /api/rooms/{code}`.

use serde::{Deserialize, Serialize};

use crate::base::room_code::is_room_code;
use crate::base::secret::Secret;
use crate::base::throttle::RetryAfter;
use crate::config::HostAuth;
use crate::http::{Request, Response, Status, parse_json};
use crate::protocol::{PEER_ID_CHARS_MAX, encode_room_view};
use crate::rooms::RoomView;

/// Characters of a desired host id: the host joins as the peer of that id.
const HOST_ID_CHARS_MAX: usize = PEER_ID_CHARS_MAX;
/// When to ask again if no room can be made.
const ROOM_RETRY_AFTER_SECONDS: u64 = 60;

/// What `POST /api/rooms` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRequest {
    /// The code that the client wants.
    pub room_code: Option<String>,
    /// The `host_id` that the client wants.
    pub host_id: Option<String>,
    /// What it will take to be host.
    pub host_auth: HostAuth,
}

/// The body of such a request. `null` is absent.
#[derive(Debug, Default, Deserialize)]
struct CreateBody {
    desired_room_code: Option<String>,
    desired_host_id: Option<String>,
    host_auth: Option<String>,
}

/// The answer to it.
#[derive(Serialize)]
struct CreateAnswer<'a> {
    success: bool,
    room_code: &'a str,
    room_id: &'a str,
    host_id: Option<&'a str>,
    websocket_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restored: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_document: Option<bool>,
}

impl CreateRequest {
    /// Reads the body of `request`; `host_auth` is that of the settings.
    ///
    /// # Errors
    /// The answer to a malformed one.
    pub fn parse(request: &Request, host_auth: HostAuth) -> Result<Self, Response> {
        let bad = |message: &str| Err(room_error(Status::BAD_REQUEST, message));
        let body: CreateBody = match parse_json(request) {
            Ok(body) => body,
            Err(error) => return bad(&error),
        };
        if let Some(code) = &body.desired_room_code
            && !is_room_code(code)
        {
            return bad("desired_room_code must be 1 to 64 of A-Z, a-z, 0-9, _ and -");
        }
        if let Some(host_id) = &body.desired_host_id {
            let chars = host_id.chars().count();
            if !(1..=HOST_ID_CHARS_MAX).contains(&chars) || host_id.chars().any(char::is_control) {
                return bad("desired_host_id must be 1 to 128 printable characters");
            }
        }
        let host_auth = match body.host_auth.as_deref() {
            Some("token") => HostAuth::Token,
            // A server that asks for tokens everywhere is not talked out of it.
            None | Some("peer_id") => host_auth,
            Some(_) => return bad("host_auth must be \"token\" or \"peer_id\""),
        };
        Ok(Self { room_code: body.desired_room_code, host_id: body.desired_host_id, host_auth })
    }
}

/// A room was made.
pub fn created(room: &RoomView<'_>, websocket_url: &str, host_token: &Secret) -> Response {
    let host_token = Some(host_token.expose());
    Response::json(Status::CREATED, &CreateAnswer { host_token, ..answer(room, websocket_url) })
}

/// The desired room was there already. Its `host_id` is told to the client that has asked for just
/// this `host_id`, and to others only if there is none yet.
pub fn restored(room: &RoomView<'_>, websocket_url: &str, host_id: &str) -> Response {
    let (restored, has_document) = (Some(true), Some(room.has_document()));
    let host_id = Some(room.host_id()).filter(|known| known.is_empty() || *known == host_id);
    let answer = CreateAnswer { host_id, restored, has_document, ..answer(room, websocket_url) };
    Response::json(Status::OK, &answer)
}

/// The server has as many rooms as it may have.
pub fn too_many_rooms() -> Response {
    room_error(Status::SERVICE_UNAVAILABLE, "Too many rooms, try again later")
        .after(ROOM_RETRY_AFTER_SECONDS)
}

/// All codes that were drawn are in use.
pub fn no_free_code() -> Response {
    room_error(Status::SERVICE_UNAVAILABLE, "No free room code was found")
}

/// The client's address makes rooms too often.
pub fn too_many_created(wait: RetryAfter) -> Response {
    let message = "Too many rooms created; try again later";
    room_error(Status::TOO_MANY_REQUESTS, message).after(wait.seconds())
}

/// A room, as every client may see it that knows its code.
pub fn shown(room: &RoomView<'_>) -> Response {
    let mut body = Vec::new();
    encode_room_view(room, &mut body);
    Response::json_text(Status::OK, body)
}

/// There is no room of that code.
pub fn not_found() -> Response {
    room_error(Status::NOT_FOUND, "Room not found")
}

/// What is said of a room in any case.
fn answer<'a>(room: &'a RoomView<'_>, websocket_url: &'a str) -> CreateAnswer<'a> {
    CreateAnswer {
        success: true,
        room_code: room.code(),
        room_id: room.room_id(),
        host_id: Some(room.host_id()),
        websocket_url,
        host_token: None,
        restored: None,
        has_document: None,
    }
}

/// An error of the room routes.
fn room_error(status: Status, message: &str) -> Response {
    #[derive(Serialize)]
    struct RoomFailure<'a> {
        success: bool,
        error: &'a str,
    }
    Response::json(status, &RoomFailure { success: false, error: message })
}
