//! What an HTTP request is answered with: from its route to its handler, and the way to WebSocket.

use std::net::IpAddr;

use log::{debug, warn};

use super::answer::Answer;
use super::application::Engine;
use super::context::Context;
use super::job::Job;
use super::turns::Owner;
use super::waiting::{Waiting, WithLogin};
use crate::accounts::{AuthError, Identity};
use crate::api::{self, Health, Route, pages};
use crate::base::time::Timestamp;
use crate::config::{RemoteEnd, client_address};
use crate::http::{Request, Response, Status};

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    /// The other end of the connection.
    pub(super) peer: RemoteEnd,
    /// The client: what a trusted proxy says, else the other end.
    pub(super) address: IpAddr,
}

impl Engine {
    /// Answers `request`, now or later.
    pub(super) fn answer(&mut self, cx: &mut Context<'_>, request: &Request) {
        let Some(peer) = cx.sessions.peer(cx.conn) else { return };
        let asker = Asker { peer, address: self.client_address(peer, request) };
        debug!("{} {}: {} {}", cx.conn, asker.address, request.method(), request.path());
        let answer = self.route(cx, request, asker);
        self.respond(cx, answer);
    }

    fn route(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request,
        asker: Asker,
    ) -> Result<Answer, Response> {
        let route =
            api::route(request.method(), request.path()).map_err(|error| Response::from(&error))?;
        let response = match route {
            Route::Preflight => Response::no_content(),
            Route::Index => api::index(request, self.config.require_auth, self.config.sync_writers),
            Route::RoomPage { is_code } => {
                // The page itself says that there is no such room.
                let status = if is_code { Status::OK } else { Status::NOT_FOUND };
                pages::respond(request, pages::ROOM, status)
            }
            Route::Page => pages::respond(request, request.path(), Status::OK),
            Route::Health => self.health(cx, true),
            Route::Ready => self.health(cx, self.is_ready(cx)),
            Route::Whoami => {
                let public_url = self.config.public_url.as_deref();
                api::whoami(request, asker.address, public_url, self.trusts(asker))
            }
            Route::Metrics => return self.metrics(cx, request, asker),
            Route::WebSocket => return self.upgrade(cx, request, asker.address),
            Route::CreateRoom => return self.create_room(cx, request, asker),
            Route::Room { code } => {
                return self.view_room(cx, code.as_deref(), asker.address);
            }
            Route::Account(route) => return self.ask_account(cx, route, request, asker),
            Route::Admin(route) => return self.ask_admin(cx, route, request, asker),
        };
        Ok(response.into())
    }

    /// `/ws`.
    fn upgrade(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request,
        address: IpAddr,
    ) -> Result<Answer, Response> {
        let (upgrade, token) = api::check_upgrade(request, &self.config.allowed_origins)?;
        let upgrade = Box::new(upgrade);
        if self.shutdown.is_some() || self.budget.is_over() {
            return Err(api::busy());
        }
        if !self.config.require_auth {
            return Ok(Answer::Upgrade(upgrade, address, None));
        }
        if !cx.sessions.has_place_at(cx.conn, address, cx.now.at) {
            return Err(api::too_many_connections());
        }
        let job = Job::Authenticate { token, now: cx.now.unix };
        let waiting = Waiting::Login(cx.conn, WithLogin::Upgrade(upgrade, address));
        Ok(Answer::When(Owner::at(address), job, waiting))
    }

    /// A token was checked: what was asked for with it is done.
    pub(super) fn authenticated(
        &mut self,
        cx: &mut Context<'_>,
        result: Result<Identity, AuthError>,
        wish: WithLogin,
    ) -> Answer {
        match (result, wish) {
            // It would miss the Close.
            (Ok(_), WithLogin::Upgrade(..)) if self.shutdown.is_some() => api::busy().into(),
            (Ok(identity), WithLogin::Upgrade(upgrade, address)) => {
                Answer::Upgrade(upgrade, address, Some(Box::new(identity)))
            }
            (Ok(_), WithLogin::Create(creation)) => self.create(cx, creation),
            (Ok(identity), WithLogin::Administer(wish)) => self.administer(cx, &identity, wish),
            (Err(AuthError::Store(_)), _) => api::store_unavailable().into(),
            (Err(AuthError::NotLoggedIn), _) => api::not_logged_in().into(),
        }
    }

    /// Where the client of `request` is to open its WebSocket.
    pub(super) fn websocket_url(&self, request: &Request, asker: Asker) -> String {
        let public_url = self.config.public_url.as_deref();
        api::websocket_url(request, public_url, self.trusts(asker))
    }

    /// Whether what the other end says of the client counts.
    fn trusts(&self, asker: Asker) -> bool {
        self.config.trusted_proxies.trusts(asker.peer)
    }

    fn is_ready(&self, cx: &Context<'_>) -> bool {
        self.shutdown.is_none()
            && !self.budget.is_over()
            && cx.sessions.len() < cx.sessions.connections_max()
    }

    fn health(&self, cx: &Context<'_>, is_ready: bool) -> Response {
        let health = Health {
            status: if is_ready { "healthy" } else { "unavailable" }.into(),
            rooms: self.rooms.rooms(),
            connections: cx.sessions.len(),
            uptime_seconds: cx.now.at.since(Timestamp(0)).as_secs(),
            version: env!("CARGO_PKG_VERSION").into(),
            store: self.store.as_str().into(),
            timestamp: cx.now.unix.rfc3339(),
        };
        Response::from(&health)
    }

    /// The client's address: what a trusted proxy says, else the socket's.
    fn client_address(&mut self, peer: RemoteEnd, request: &Request) -> IpAddr {
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
}
