//! What an HTTP request is answered with: rooms, health, the way to a WebSocket.

use std::net::IpAddr;

use log::{debug, warn};

use super::Engine;
use super::actions::hash_token;
use super::desk::{Desk, Waiting};
use super::jobs::{Job, Purpose};
use crate::accounts::{AuthError, Identity};
use crate::api::rooms::CreateRequest;
use crate::api::{self, Health, Route, pages};
use crate::base::ids::ConnId;
use crate::base::secret::Secret;
use crate::base::time::{Now, Timestamp};
use crate::config::{AddressKey, HostAuth, Peer, client_address};
use crate::http::{Request, Response, Status, Upgrade};
use crate::rooms::{Create, CreateDone, RoomError, RoomView, ViewDone};
use crate::session::Sessions;

/// Drawn codes that may turn out to be in use before the server gives up: with 30 bits each,
/// even a full server never gets there by chance.
const CODE_DRAWS_MAX: u8 = 16;
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
        let route = match api::route(request.method(), request.path()) {
            Ok(route) => route,
            Err(error) => {
                sessions.respond(conn, &Response::from(&error), now);
                return;
            }
        };
        match route {
            Route::Preflight => sessions.respond(conn, &Response::no_content(), now),
            Route::Index => {
                let config = &self.desk.config;
                let index = api::index(request, config.require_auth, config.sync_writers);
                sessions.respond(conn, &index, now);
            }
            Route::RoomPage { is_code } => {
                // The page itself says that there is no such room.
                let status = if is_code { Status::OK } else { Status::NOT_FOUND };
                sessions.respond(conn, &pages::respond(request, pages::ROOM, status), now);
            }
            Route::Page => {
                let page = pages::respond(request, request.path(), Status::OK);
                sessions.respond(conn, &page, now);
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
                let config = &self.desk.config;
                let trusted = config.trusted_proxies.trusts(peer);
                let public_url = config.public_url.as_deref();
                let whoami = api::whoami(request, address, public_url, trusted);
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

    fn health(&self, sessions: &Sessions, now: Now, is_ready: bool) -> Response {
        let health = Health {
            is_ready,
            rooms: self.rooms.rooms(),
            connections: sessions.len(),
            uptime: now.at.since(Timestamp(0)),
            store: self.desk.store_state(),
            at: now.unix,
        };
        Response::from(&health)
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
            sessions.respond(conn, &api::rooms::too_many_created(wait), now);
            return;
        }
        // What is wanted is kept until the store has answered.
        sessions.keep(conn, request.held_bytes());
        match self.desk.creation(request, peer) {
            Ok(creation) if self.desk.config.require_auth => {
                let token = api::credentials(request, &self.desk.config.allowed_origins);
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
            sessions.respond(conn, &api::rooms::no_free_code(), now);
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
            sessions.respond(conn, &api::rooms::too_many_unknown(wait), now);
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
        let checked = api::check_upgrade(request, &self.desk.config.allowed_origins);
        let (upgrade, token) = match checked {
            Ok(checked) => checked,
            Err(response) => {
                sessions.respond(conn, &response, now);
                return;
            }
        };
        if self.desk.shutdown.is_some() || sessions.budget().is_over() {
            sessions.respond(conn, &api::busy(), now);
            return;
        }
        if !self.desk.config.require_auth {
            self.finish_upgrade(sessions, conn, &upgrade, (address, None), now);
        } else if sessions.has_place_at(conn, address) {
            sessions.keep(conn, request.held_bytes());
            let job = Job::Authenticate { token, now: now.unix };
            let waiting = Waiting::Upgrade(Box::new(upgrade), address);
            self.wait_for(sessions, conn, job, Purpose::Authentication(conn), waiting, now);
        } else {
            sessions.respond(conn, &api::too_many_connections(), now);
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
            sessions.respond(conn, &api::too_many_connections(), now);
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
                sessions.respond(conn, &api::busy(), now);
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
                sessions.respond(conn, &api::not_logged_in(), now);
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

    /// The room that `request`, which came from `peer`, asks for.
    fn creation(&mut self, request: &Request, peer: Peer) -> Result<Creation, Response> {
        let wish = CreateRequest::parse(request, self.config.host_auth)?;
        let websocket_url = self.websocket_url(request, peer);
        Ok(Creation {
            desired: wish.room_code.is_some(),
            room_code: wish.room_code.unwrap_or_else(|| self.fresh_code()),
            room_id: self.fresh_uuid(),
            host_id: wish.host_id.unwrap_or_else(|| self.fresh_uuid()),
            host_auth: wish.host_auth,
            host_token: self.fresh_token(),
            websocket_url,
            draws: 0,
        })
    }

    /// Where the client of `request`, which came from `peer`, is to open its WebSocket.
    pub(super) fn websocket_url(&self, request: &Request, peer: Peer) -> String {
        let trusted = self.config.trusted_proxies.trusts(peer);
        api::websocket_url(request, self.config.public_url.as_deref(), trusted)
    }

    pub(super) fn answer_create(
        sessions: &mut Sessions,
        conn: ConnId,
        creation: &Creation,
        result: Result<CreateDone<'_>, RoomError>,
        now: Now,
    ) {
        let url = &creation.websocket_url;
        let response = match result {
            Ok(CreateDone::Created(room)) => api::rooms::created(&room, url, &creation.host_token),
            Ok(CreateDone::Restored(room)) => api::rooms::restored(&room, url),
            Ok(CreateDone::Taken | CreateDone::WaitingForStore) => return,
            Err(RoomError::StoreUnavailable) => api::store_unavailable(),
            Err(error) => api::rooms::not_created(error),
        };
        sessions.respond(conn, &response, now);
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
            Ok(view) => sessions.respond(conn, &api::rooms::shown(&view), now),
            Err(RoomError::RoomNotFound) => {
                self.count_unknown_room(address, now);
                sessions.respond(conn, &api::rooms::not_found(), now);
            }
            Err(_) => Self::store_unavailable(sessions, conn, now),
        }
    }
}
