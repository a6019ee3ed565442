//! Account routes: throttled here, answered by a worker; tokens that end take their sockets along.

use std::net::IpAddr;
use std::time::Duration;

use log::info;

use super::Engine;
use super::desk::Waiting;
use super::jobs::{Job, Purpose};
use crate::accounts::{AccountReply, Effect, Identity, LoginKey, login_email};
use crate::api::{self, AccountRoute};
use crate::base::ids::ConnId;
use crate::base::throttle::{RetryAfter, Throttle};
use crate::base::time::{Now, Timestamp};
use crate::config::{AddressKey, Peer};
use crate::http::Request;
use crate::session::Sessions;
use crate::ws::CloseReason;

/// Failed logins in a minute for one e-mail from one address before it has to wait.
const FAILURES_PER_EMAIL: u32 = 10;
/// Failed logins in a minute from one address before it has to wait.
const FAILURES_PER_ADDRESS: u32 = 30;

/// What the answer to an account request has to be remembered for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// A login attempt: under these keys it was counted as failed beforehand, so that a hundred
    /// attempts at once are not all let through before the first has failed.
    login: Option<LoginKey>,
    /// The client speaks TLS, perhaps with a proxy before us.
    is_secure: bool,
}

/// Counts failed logins.
#[derive(Debug)]
pub(super) struct LoginThrottles {
    by_email: Throttle<LoginKey>,
    by_address: Throttle<AddressKey>,
}

impl LoginThrottles {
    pub(super) fn new(capacity: usize) -> Self {
        let minute = Duration::from_secs(60);
        let throttle = |failures| Throttle::new(failures, minute, failures, capacity);
        let by_address =
            Throttle::new(FAILURES_PER_ADDRESS, minute, FAILURES_PER_ADDRESS, capacity);
        Self { by_email: throttle(FAILURES_PER_EMAIL), by_address }
    }

    /// Counts an attempt as failed until it turns out otherwise.
    fn reserve(&mut self, key: LoginKey, now: Timestamp) -> Result<(), RetryAfter> {
        self.by_address.check(key.address, now)?;
        self.by_email.take(key, now)?;
        self.by_address.take(key.address, now)
    }

    /// What was asked turned out to be no failed login.
    pub(super) fn not_failed(&mut self, asked: Asked) {
        if let Some(key) = asked.login {
            self.by_email.give_back(key);
            self.by_address.give_back(key.address);
        }
    }
}

impl Engine {
    /// Hands an account request to a worker.
    pub(super) fn ask_accounts(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        route: AccountRoute,
        request: &Request,
        (peer, address): (Peer, IpAddr),
        now: Now,
    ) {
        let login = (route == AccountRoute::Login)
            .then(|| login_email(request.body()))
            .flatten()
            .map(|email| LoginKey::new(&email, AddressKey::of(address)));
        if let Some(key) = login
            && let Err(wait) = self.desk.logins.reserve(key, now.at)
        {
            info!("{address}: too many failed logins");
            sessions.respond(conn, &api::too_many_failed_logins(wait), now);
            return;
        }
        let is_secure = self.desk.websocket_url(request, peer).starts_with("wss:");
        let request = api::account_request(route, request, &self.desk.config.allowed_origins);
        let job = Job::Account { request: Box::new(request), now: now.unix };
        let waiting = Waiting::Account(Asked { login, is_secure });
        self.wait_for(sessions, conn, job, Purpose::Request(conn), waiting, now);
    }

    /// A worker has answered an account request.
    pub(super) fn account_answered(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        reply: AccountReply,
        now: Now,
    ) {
        let asked = match self.desk.waiting.remove(&conn) {
            Some(Waiting::Account(asked)) => Some(asked),
            _ => None,
        };
        for effect in &reply.effects {
            match effect {
                Effect::LoginFailed => info!("a login failed"),
                Effect::LoginSucceeded => {}
                Effect::StoreUnavailable(why) => self.desk.store_failed(why, now),
                Effect::Revoked { user_id, below_version } => {
                    self.close_clients(sessions, now, |client| {
                        client.user_id == *user_id && client.version < *below_version
                    });
                }
            }
        }
        let failed = reply.effects.iter().any(|effect| matches!(effect, Effect::LoginFailed));
        if let Some(asked) = asked
            && !failed
        {
            self.desk.logins.not_failed(asked);
        }
        if let Some(Asked { is_secure, .. }) = asked {
            let response = api::account_response(reply, is_secure);
            sessions.respond(conn, &response, now);
        }
    }

    /// Closes the sockets of those whose tokens have ended.
    pub(super) fn revoke(&mut self, sessions: &mut Sessions, ended: &[Identity], now: Now) {
        for identity in ended {
            self.close_clients(sessions, now, |client| client == identity);
        }
    }

    fn close_clients(&self, sessions: &mut Sessions, now: Now, ended: impl Fn(&Identity) -> bool) {
        for (conn, client) in self.desk.clients.identities() {
            if ended(client) {
                sessions.close(conn, CloseReason::Policy("the account's tokens have ended"), now);
            }
        }
    }
}
