//! The way from HTTP to WebSocket.

use std::net::IpAddr;

use super::answer::Answer;
use super::application::Engine;
use super::context::Context;
use super::job::Job;
use super::waiting::{Waiting, WithLogin};
use crate::accounts::{AuthError, Identity};
use crate::api;
use crate::http::{Request, Response};

impl Engine {
    /// `/ws`.
    pub(super) fn upgrade(
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
        if !cx.sessions.has_place_at(cx.conn, address) {
            return Err(api::too_many_connections());
        }
        let job = Job::Authenticate { token, now: cx.now.unix };
        Ok(Answer::When(job, Waiting::Login(cx.conn, WithLogin::Upgrade(upgrade, address))))
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
}
