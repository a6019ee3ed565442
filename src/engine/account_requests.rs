//! Account routes: throttled here, answered by a worker; tokens that end take their sockets along.

use log::info;

use super::answer::Answer;
use super::application::Engine;
use super::context::Context;
use super::job::Job;
use super::requests::Asker;
use super::revocations::distinct;
use super::turns::Owner;
use super::waiting::{AskedAccount, Waiting};
use crate::accounts::{AccountReply, AccountRoute, Effect, Identity, LoginKey};
use crate::api;
use crate::base::time::Now;
use crate::config::AddressKey;
use crate::http::{Request, Response};
use crate::session::Sessions;
use crate::ws::CloseReason;

impl Engine {
    /// Hands an account request to a worker.
    pub(super) fn ask_account(
        &mut self,
        cx: &Context<'_>,
        route: AccountRoute,
        request: &Request,
        asker: Asker,
    ) -> Result<Answer, Response> {
        let address = AddressKey::of(asker.address);
        let is_login = route == AccountRoute::Login;
        let login = is_login.then(|| LoginKey::new(request.body(), address)).flatten();
        if let Some(key) = login {
            self.limits.take_login(key, cx.now.at).map_err(|wait| {
                info!("{}: too many failed logins", asker.address);
                api::too_many_failed_logins(wait)
            })?;
        }
        let is_secure = self.websocket_url(request, asker).starts_with("wss:");
        let request = api::account_request(route, request, &self.config.allowed_origins);
        let job = Job::Account { request: Box::new(request), now: cx.now.unix };
        let asked = AskedAccount { login, is_secure };
        Ok(Answer::When(Owner::Address(address), job, Waiting::Account(cx.conn, asked)))
    }

    /// A worker has answered an account request.
    pub(super) fn account_answered(
        &mut self,
        cx: &mut Context<'_>,
        reply: AccountReply,
        asked: AskedAccount,
    ) -> Answer {
        if reply.effect == Some(Effect::LoginFailed) {
            info!("a login failed");
        } else {
            self.no_failed_login(asked);
        }
        match &reply.effect {
            Some(Effect::StoreUnavailable(why)) => self.store.failed(why, cx.now.at),
            Some(Effect::Revoked { user_id, below_version }) => {
                self.close_clients(cx.sessions, cx.now, |client| {
                    client.user_id == *user_id && client.version < *below_version
                });
            }
            Some(Effect::LoginFailed) | None => {}
        }
        api::account_response(reply, asked.is_secure).into()
    }

    /// What was asked turned out to be no failed login.
    pub(super) fn no_failed_login(&mut self, asked: AskedAccount) {
        if let Some(key) = asked.login {
            self.limits.give_back_login(key);
        }
    }

    /// Asks from time to time whether the tokens of connected clients still hold.
    pub(super) fn check_revocations(&mut self, now: Now) {
        let is_due = self.config.require_auth && self.revocations.is_due(now.at);
        if !is_due || !self.store.is_readable(now.at) {
            return;
        }
        let identities = distinct(self.clients.identities().map(|(_, identity)| identity));
        if !identities.is_empty() {
            let job = Job::CheckAccounts(identities);
            let started = self.jobs.start(Owner::Server, job, Waiting::Revocations, now.at);
            self.revocations.is_running = started.is_ok();
        }
    }

    /// Closes the sockets of those whose tokens have ended.
    pub(super) fn revoke(&mut self, sessions: &mut Sessions, ended: &[Identity], now: Now) {
        self.revocations.is_running = false;
        for identity in ended {
            self.close_clients(sessions, now, |client| client == identity);
        }
    }

    fn close_clients(&self, sessions: &mut Sessions, now: Now, ended: impl Fn(&Identity) -> bool) {
        for (conn, client) in self.clients.identities() {
            if ended(client) {
                sessions.close(conn, CloseReason::Policy("the account's tokens have ended"), now);
            }
        }
    }
}
