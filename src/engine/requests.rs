//! What an HTTP request is answered with: rooms, health, the way to a WebSocket.

use std::net::IpAddr;

use log::{debug, warn};
use serde::{Deserialize, Serialize};

use super::Engine;
use super::actions::hash_token;
use super::desk::{Desk, Waiting};
use super::jobs::{Job, Purpose};
use crate::accounts::{AuthError, Identity};
use crate::api::pages;
use crate::base::ids::ConnId;
use crate::base::secret::Secret;
use crate::base::time::{Now, Timestamp};
use crate::config::{AddressKey, HostAuth, Peer, SyncWriters, client_address};
use crate::http::{self, Request, Response, Route, RouteError, Status, Upgrade};
use crate::protocol;
use crate::rooms::{Create, CreateDone, RoomError, RoomView, ViewDone};
use crate::session::Sessions;

/// Drawn codes that may turn out to be in use before the server gives up: with 30 bits each,
/// even a full server never gets there by chance.
const CODE_DRAWS_MAX: u8 = 16;
/// Characters of a desired host id (protocol, section 2).
const HOST_ID_CHARS_MAX: usize = 128;

/// A room that somebody is making.
#[derive(Debug)]
pub(super) struct Creation {
    room_code: String,
    desired: bool,
    room_id: String,
    host_id: String,
    host_auth: HostAuth,
    host_token: Secret,
    websocket_url: String,
    draws: u8,
}

/// The body of `POST /api/rooms`. `null` is absent.
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
    host_id: &'a str,
    websocket_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restored: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_document: Option<bool>,
}

/// `GET /health`.
#[derive(Serialize)]
struct Health<'a> {
    status: &'a str,
    rooms: usize,
    connections: usize,
    uptime_seconds: u64,
    version: &'a str,
    store: &'a str,
    timestamp: String,
}

/// `GET /`.
#[derive(Serialize)]
struct Index<'a> {
    name: &'a str,
    version: &'a str,
    status: &'a str,
    routes: &'a [&'a str],
    require_auth: bool,
    sync_writers: &'a str,
}

impl Creation {
    /// What the rooms are asked.
    fn request(&self) -> Create<'_> {
        Create {
            room_code: &self.room_code,
            desired: self.desired,
            room_id: &self.room_id,
            host_id: &self.host_id,
            host_auth: self.host_auth,
            host_token: hash_token(self.host_token.expose()),
        }
    }
}

impl Engine {
    /// Answers `request`, now or once a job has ended.
    pub(super) fn answer(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        request: &Request,
        now: Now,
    ) {
        let Some(peer) = sessions.peer(conn) else { return };
        let address = self.desk.client_address(peer, request);
        debug!("{conn} {address}: {} {}", request.method(), request.path());
        let route = match http::route(request.method(), request.path()) {
            Ok(route) => route,
            Err(error) => {
                sessions.respond(conn, &Response::from(&error), now);
                return;
            }
        };
        match route {
            Route::Preflight => sessions.respond(conn, &Response::preflight(), now),
            Route::Index => sessions.respond(conn, &self.desk.index(request), now),
            Route::RoomPage { is_code } => {
                // The page itself says that there is no such room.
                let status = if is_code { Status::OK } else { Status::NOT_FOUND };
                sessions.respond(conn, &page(request, pages::ROOM, status), now);
            }
            Route::Page => {
                sessions.respond(conn, &page(request, request.path(), Status::OK), now);
            }
            Route::Health => {
                let health = self.health(sessions, now, true);
                sessions.respond(conn, &health, now);
            }
            Route::Ready => {
                let ready = self.health(sessions, now, self.is_ready(sessions));
                sessions.respond(conn, &ready, now);
            }
            Route::Whoami => {
                let whoami = self.desk.whoami(request, peer, address);
                sessions.respond(conn, &whoami, now);
            }
            Route::Metrics => self.ask_metrics(sessions, conn, request, peer, now),
            Route::WebSocket => self.upgrade(sessions, conn, request, address, now),
            Route::CreateRoom => {
                self.create_room(sessions, conn, request, (peer, address), now);
            }
            Route::Room { code } => {
                self.view_room(sessions, conn, code.as_deref(), address, now);
            }
            Route::Account(route) => {
                self.ask_accounts(sessions, conn, route, request, (peer, address), now);
            }
            Route::Admin(route) => self.ask_admin(sessions, conn, route, request, now),
        }
    }

    fn is_ready(&self, sessions: &Sessions) -> bool {
        self.desk.shutdown.is_none()
            && !sessions.budget().is_over()
            && sessions.len() < sessions.connections_max()
    }

    fn health(&mut self, sessions: &Sessions, now: Now, ready: bool) -> Response {
        let health = Health {
            status: if ready { "healthy" } else { "unavailable" },
            rooms: self.rooms.rooms(),
            connections: sessions.len(),
            uptime_seconds: now.at.since(Timestamp(0)).as_secs(),
            version: env!("CARGO_PKG_VERSION"),
            store: self.desk.store_state(),
            timestamp: now.unix.rfc3339(),
        };
        let status = if ready { Status::OK } else { Status::SERVICE_UNAVAILABLE };
        Response::json(status, &health)
    }

    // --- rooms ---

    fn create_room(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        request: &Request,
        (peer, address): (Peer, IpAddr),
        now: Now,
    ) {
        if let Err(wait) = self.desk.room_creations.take(AddressKey::of(address), now.at) {
            let mut response =
                room_error(Status::TOO_MANY_REQUESTS, "Too many rooms created; try again later");
            response.set_header("Retry-After", &wait.seconds().to_string());
            sessions.respond(conn, &response, now);
            return;
        }
        // What is wanted is kept until the store has answered.
        sessions.keep(conn, request.held_bytes());
        match self.desk.creation(request, peer) {
            Ok(creation) if self.desk.config.require_auth => {
                let token = http::credentials(request, &self.desk.config.allowed_origins);
                let job = Job::Authenticate { token, now: now.unix };
                let waiting = Waiting::CreateAfterLogin(Box::new(creation));
                self.wait_for(sessions, conn, job, Purpose::Authentication(conn), waiting, now);
            }
            Ok(creation) => self.create(sessions, conn, Box::new(creation), now),
            Err(response) => sessions.respond(conn, &response, now),
        }
    }

    /// Makes the room, or draws another code if that one is in use.
    pub(super) fn create(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        creation: Box<Creation>,
        now: Now,
    ) {
        self.with_rooms(sessions, now, |rooms, effects| {
            match rooms.create(conn, creation.request(), now, effects) {
                Ok(CreateDone::WaitingForStore) => {
                    effects.desk.waiting.insert(conn, Waiting::Create(creation));
                }
                Ok(CreateDone::Taken) => {
                    effects.desk.waiting.insert(conn, Waiting::Create(creation));
                    effects.desk.code_taken.push(conn);
                }
                result => Desk::answer_create(effects.sessions, conn, &creation, result, now),
            }
        });
    }

    /// The drawn code was in use.
    pub(super) fn create_again(&mut self, sessions: &mut Sessions, conn: ConnId, now: Now) {
        let Some(Waiting::Create(mut creation)) = self.desk.waiting.remove(&conn) else { return };
        creation.draws += 1;
        if creation.draws >= CODE_DRAWS_MAX {
            warn!("{CODE_DRAWS_MAX} drawn room codes in a row were in use");
            let response = room_error(Status::SERVICE_UNAVAILABLE, "No free room code was found");
            sessions.respond(conn, &response, now);
            return;
        }
        creation.room_code = self.desk.fresh_code();
        self.create(sessions, conn, creation, now);
    }

    fn view_room(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        code: Option<&str>,
        address: IpAddr,
        now: Now,
    ) {
        if let Err(wait) = self.desk.may_ask_for_rooms(address, now) {
            let mut response =
                room_error(Status::TOO_MANY_REQUESTS, "Too many unknown rooms asked for");
            response.set_header("Retry-After", &wait.seconds().to_string());
            sessions.respond(conn, &response, now);
            return;
        }
        let Some(code) = code else {
            let result = Err(RoomError::RoomNotFound);
            self.desk.answer_view(sessions, conn, address, result, now);
            return;
        };
        self.with_rooms(sessions, now, |rooms, effects| {
            let result = match rooms.view(conn, code, effects) {
                Ok(ViewDone::WaitingForStore) => {
                    effects.desk.waiting.insert(conn, Waiting::View { address });
                    return;
                }
                Ok(ViewDone::Room(view)) => Ok(view),
                Err(error) => Err(error),
            };
            effects.desk.answer_view(effects.sessions, conn, address, result, now);
        });
    }

    // --- WebSocket ---

    fn upgrade(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        request: &Request,
        address: IpAddr,
        now: Now,
    ) {
        let upgrade = match http::check_upgrade(request, &self.desk.config.allowed_origins) {
            Ok(upgrade) => upgrade,
            Err(response) => {
                sessions.respond(conn, &response, now);
                return;
            }
        };
        if self.desk.shutdown.is_some() || sessions.budget().is_over() {
            refuse_upgrade(sessions, conn, now);
            return;
        }
        if !self.desk.config.require_auth {
            self.finish_upgrade(sessions, conn, &upgrade, (address, None), now);
        } else if sessions.has_place_at(conn, address) {
            sessions.keep(conn, request.held_bytes());
            let job = Job::Authenticate { token: upgrade.bearer.clone(), now: now.unix };
            let waiting = Waiting::Upgrade(Box::new(upgrade), address);
            self.wait_for(sessions, conn, job, Purpose::Authentication(conn), waiting, now);
        } else {
            refuse_address(sessions, conn, now);
        }
    }

    /// Makes `conn` a WebSocket of the client at an address, with its identity if it has one.
    fn finish_upgrade(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        upgrade: &Upgrade,
        (address, identity): (IpAddr, Option<Box<Identity>>),
        now: Now,
    ) {
        // Only now: a proxy goes on with the connection of an upgrade that failed, for others.
        if !sessions.set_address(conn, address) {
            refuse_address(sessions, conn, now);
            return;
        }
        self.desk.clients.insert(conn, identity);
        sessions.upgrade(conn, upgrade, now);
    }
}

// What waits for a worker.
impl Engine {
    /// A token was checked.
    pub(super) fn authenticated(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        result: Result<Identity, AuthError>,
        now: Now,
    ) {
        let Some(waiting) = self.desk.waiting.remove(&conn) else { return };
        match (result, waiting) {
            // It would miss the goodbye.
            (Ok(_), Waiting::Upgrade(..)) if self.desk.shutdown.is_some() => {
                refuse_upgrade(sessions, conn, now);
            }
            (Ok(identity), Waiting::Upgrade(upgrade, address)) => {
                let client = (address, Some(Box::new(identity)));
                self.finish_upgrade(sessions, conn, &upgrade, client, now);
            }
            (Ok(_), Waiting::CreateAfterLogin(creation)) => {
                self.create(sessions, conn, creation, now);
            }
            (Ok(identity), Waiting::Admin(wish)) => {
                self.administer(sessions, conn, &identity, *wish, now);
            }
            (Ok(_), _) => {}
            (Err(AuthError::Store(_)), _) => Desk::store_unavailable(sessions, conn, now),
            (Err(AuthError::NotLoggedIn), _) => {
                let response = Response::error(Status::UNAUTHORIZED, "Not logged in");
                sessions.respond(conn, &response, now);
            }
        }
    }

    /// Starts a job for a request, or says that there is no place for it.
    pub(super) fn wait_for(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        job: Job,
        purpose: Purpose,
        waiting: Waiting,
        now: Now,
    ) {
        if self.desk.jobs.start(job, purpose, now.at).is_ok() {
            self.desk.waiting.insert(conn, waiting);
        } else {
            Desk::store_unavailable(sessions, conn, now);
        }
    }
}

impl Desk {
    /// The client's address: what a trusted proxy says, else the socket's.
    fn client_address(&mut self, peer: Peer, request: &Request) -> IpAddr {
        let Some(forwarded) = request.joined_header("x-forwarded-for") else {
            return peer.address();
        };
        if !self.config.trusted_proxies.trusts(peer) && !self.forwarded_ignored {
            self.forwarded_ignored = true;
            warn!(
                "{peer} sends X-Forwarded-For but is not in TRUSTED_PROXIES: ignored, and not \
                 mentioned again"
            );
        }
        client_address(peer, &forwarded, &self.config.trusted_proxies)
    }

    /// `GET /`: the page for browsers, and for programs what this server is.
    fn index(&self, request: &Request) -> Response {
        if request.accepts("text/html") {
            return page(request, "/", Status::OK);
        }
        let index = Index {
            name: "Khun Phaen Sync Server",
            version: env!("CARGO_PKG_VERSION"),
            status: "running",
            routes: http::ROUTES,
            require_auth: self.config.require_auth,
            sync_writers: match self.config.sync_writers {
                SyncWriters::Host => "host",
                SyncWriters::Any => "any",
            },
        };
        Response::json(Status::OK, &index).with_header("Vary", "Accept")
    }

    /// What `POST /api/rooms` asks for.
    fn creation(&mut self, request: &Request, peer: Peer) -> Result<Creation, Response> {
        let bad = |message: &str| Err(room_error(Status::BAD_REQUEST, message));
        let body: CreateBody = match http::parse_json(request) {
            Ok(body) => body,
            Err(error) => return bad(&error),
        };
        if let Some(code) = &body.desired_room_code
            && !http::is_room_code(code)
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
            None | Some("peer_id") => self.config.host_auth,
            Some(_) => return bad("host_auth must be \"token\" or \"peer_id\""),
        };
        let websocket_url = self.websocket_url(request, peer);
        Ok(Creation {
            desired: body.desired_room_code.is_some(),
            room_code: body.desired_room_code.unwrap_or_else(|| self.fresh_code()),
            room_id: self.fresh_uuid(),
            host_id: body.desired_host_id.unwrap_or_else(|| self.fresh_uuid()),
            host_auth,
            host_token: self.fresh_token(),
            websocket_url,
            draws: 0,
        })
    }

    /// Where the client of `request`, which came from `peer`, is to open its WebSocket.
    pub(super) fn websocket_url(&self, request: &Request, peer: Peer) -> String {
        let trusted = self.config.trusted_proxies.trusts(peer);
        let secure = trusted && http::is_secure(request);
        let forwarded_host = http::forwarded_host(request).filter(|_| trusted);
        let host = forwarded_host.or(request.host()).unwrap_or("localhost");
        http::websocket_url(self.config.public_url.as_deref(), host, secure)
    }

    pub(super) fn answer_create(
        sessions: &mut Sessions,
        conn: ConnId,
        creation: &Creation,
        result: Result<CreateDone<'_>, RoomError>,
        now: Now,
    ) {
        let (status, view, new) = match result {
            Ok(CreateDone::Created(view)) => (Status::CREATED, view, true),
            Ok(CreateDone::Restored(view)) => (Status::OK, view, false),
            Ok(CreateDone::Taken | CreateDone::WaitingForStore) => return,
            Err(RoomError::StoreUnavailable) => {
                Self::store_unavailable(sessions, conn, now);
                return;
            }
            Err(error) => {
                let mut response = room_error(Status::SERVICE_UNAVAILABLE, &error.to_string());
                response.set_header("Retry-After", "60");
                sessions.respond(conn, &response, now);
                return;
            }
        };
        let answer = CreateAnswer {
            success: true,
            room_code: view.code(),
            room_id: view.room_id(),
            host_id: view.host_id(),
            websocket_url: &creation.websocket_url,
            host_token: new.then_some(creation.host_token.expose()),
            restored: (!new).then_some(true),
            has_document: (!new).then_some(view.has_document()),
        };
        sessions.respond(conn, &Response::json(status, &answer), now);
    }

    pub(super) fn answer_view(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        address: IpAddr,
        result: Result<RoomView<'_>, RoomError>,
        now: Now,
    ) {
        match result {
            Ok(view) => {
                let mut body = Vec::new();
                protocol::encode_room_view(&view, &mut body);
                sessions.respond(conn, &Response::json_text(Status::OK, body), now);
            }
            Err(RoomError::RoomNotFound) => {
                self.count_unknown_room(address, now);
                let response = room_error(Status::NOT_FOUND, "Room not found");
                sessions.respond(conn, &response, now);
            }
            Err(_) => Self::store_unavailable(sessions, conn, now),
        }
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

/// Tells a client that its address has connections enough.
fn refuse_address(sessions: &mut Sessions, conn: ConnId, now: Now) {
    let response =
        Response::error(Status::SERVICE_UNAVAILABLE, "Too many connections from this address");
    sessions.respond(conn, &response, now);
}

/// There is no place for a further WebSocket at present.
fn refuse_upgrade(sessions: &mut Sessions, conn: ConnId, now: Now) {
    let response = Response::unavailable("The server is busy; try again later");
    sessions.respond(conn, &response, now);
}

/// A page or a part of one.
fn page(request: &Request, path: &str, status: Status) -> Response {
    pages::respond(request, path, status).unwrap_or_else(|| (&RouteError::NotFound).into())
}
