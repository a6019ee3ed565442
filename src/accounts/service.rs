//! Every account route, from a request to a reply.
//!
//! Blocking: it asks the store and hashes passwords, so it runs on workers. Time comes in,
//! randomness from a function it is given. Who may be created, demoted or deleted is decided in
//! the store, in one step with doing it: other processes may work on the same database.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use log::warn;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Entropy;
use super::api::{
    AccountError, AccountReply, AccountRequest, AuthError, CLEAR_TOKEN_COOKIE, Effect, Identity,
    token_cookie,
};
use super::input::{EMAIL_BYTES_MAX, Invite, Login, SetupPassword, UpdateMe, UpdateUser};
use super::password::{self, SALT_BYTES, Verdict};
use super::settings::Settings;
use super::token::Tokens;
use super::views::{Invited, LinkHolder, LoggedIn, Me, Success, UserList};
use crate::base::hex;
use crate::base::secret::Secret;
use crate::base::time::UnixMillis;
use crate::config::InitialAdmin;
use crate::store::{FirstUser, Role, Store, StoreError, User, UserChange};

/// How long a set-up link counts, in milliseconds.
pub const LINK_TTL_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// Bytes of randomness in a set-up link; its token has twice as many hex digits.
const LINK_BYTES: usize = 32;

/// Longest link token that is looked up, in bytes: ours have 64, older ones may differ.
const LINK_TOKEN_BYTES_MAX: usize = 128;

/// The accounts: it answers every route of them.
pub struct Service {
    pub(super) store: Arc<dyn Store>,
    pub(super) initial_admin: Option<InitialAdmin>,
    setup_token: Option<Secret>,
    tokens: Tokens,
    entropy: Entropy,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("store", &self.store.name()).finish_non_exhaustive()
    }
}

type Answer = Result<AccountReply, AccountError>;

impl Service {
    /// Accounts kept in `store`. Salts, ids and links come from `entropy`.
    pub fn new(store: Arc<dyn Store>, settings: Settings, entropy: Entropy) -> Self {
        Self {
            store,
            initial_admin: settings.initial_admin,
            setup_token: settings.setup_token,
            tokens: Tokens::new(&settings.jwt_secret, settings.jwt_ttl_seconds),
            entropy,
        }
    }

    /// Answers a request. Blocks as long as the store and a password hash take.
    pub fn handle(&self, request: AccountRequest, now: UnixMillis) -> AccountReply {
        use AccountRequest as R;
        let answer = match request {
            R::Invite { credentials, setup_token, body } => {
                self.invite(credentials.as_ref(), setup_token.as_ref(), &body, now)
            }
            R::SetupInfo { token } => self.setup_info(&token, now),
            R::SetupPassword { body } => self.setup_password(&body, now),
            R::Login { body } => self.login(&body, now),
            R::Logout => Ok(logout()),
            R::Me { credentials } => self.me(credentials.as_ref(), now),
            R::UpdateMe { credentials, body } => self.update_me(credentials.as_ref(), &body, now),
            R::Users { credentials } => self.users(credentials.as_ref(), now),
            R::UpdateUser { credentials, id, body } => {
                self.update_user(credentials.as_ref(), &id, &body, now)
            }
            R::DeleteUser { credentials, id } => self.delete_user(credentials.as_ref(), &id, now),
        };
        answer.unwrap_or_else(refusal)
    }

    /// Whose token `credentials` is.
    ///
    /// # Errors
    /// [`AuthError::NotLoggedIn`] for no token, one that is not ours, expired or ended, and for a
    /// user who is gone or inactive; [`AuthError::Store`] when nobody knows.
    pub fn authenticate(
        &self,
        credentials: Option<&Secret>,
        now: UnixMillis,
    ) -> Result<Identity, AuthError> {
        let user = self.user_of(credentials, now)?;
        Ok(Identity { user_id: user.user_id, role: user.role, version: user.version })
    }

    /// Those of `identities` whose tokens have ended since: asked from time to time for users who
    /// stay connected, because another process may have ended them.
    ///
    /// # Errors
    /// The store's.
    pub fn ended(&self, identities: Vec<Identity>) -> Result<Vec<Identity>, StoreError> {
        let mut user_ids: Vec<_> = identities.iter().map(|who| who.user_id.clone()).collect();
        user_ids.sort_unstable();
        user_ids.dedup();
        let states = self.store.account_states(&user_ids)?;
        debug_assert_eq!(states.len(), user_ids.len(), "one state for each user");
        let states: HashMap<_, _> = user_ids.into_iter().zip(states).collect();
        let has_ended = |who: &Identity| {
            let state = states.get(&who.user_id).copied().flatten();
            !state.is_some_and(|state| state.is_active && state.version == who.version)
        };
        Ok(identities.into_iter().filter(has_ended).collect())
    }

    fn invite(
        &self,
        credentials: Option<&Secret>,
        setup_token: Option<&Secret>,
        body: &[u8],
        now: UnixMillis,
    ) -> Answer {
        let is_first = match self.admin_of(credentials, now) {
            Ok(_) => false,
            Err(AccountError::NotLoggedIn) if !self.store.has_users()? => true,
            Err(error) => return Err(error),
        };
        if is_first && !self.is_setup_token(setup_token) {
            return Err(AccountError::SetupToken);
        }
        let mut invite = Invite::parse(body)?;
        if is_first {
            invite.role = Role::Admin;
        }
        let user = self.new_user(invite, now)?;
        if !is_first {
            self.store.create_user(&user)?;
        } else if self.store.create_first_user(&user)? == FirstUser::AlreadyThere {
            return Err(AccountError::NotLoggedIn);
        }
        let invited = match &user.setup_token {
            Some(token) => Invited::with_link(token.expose()),
            None => Invited::activated(),
        };
        Ok(success(&invited))
    }

    fn setup_info(&self, token: &Secret, now: UnixMillis) -> Answer {
        let user = self.link_holder(token, now)?;
        Ok(success(&LinkHolder::new(&user.email)))
    }

    fn setup_password(&self, body: &[u8], now: UnixMillis) -> Answer {
        let setup = SetupPassword::parse(body)?;
        // Looked up first, so that nobody without a link makes us hash; the store decides again.
        self.link_holder(&setup.token, now)?;
        let hash = self.hash(&setup.password)?;
        let user = match self.store.consume_setup_token(&setup.token, &hash, now) {
            Err(StoreError::NotFound) => return Err(AccountError::Link),
            result => result?,
        };
        Ok(success(&LinkHolder::new(&user.email)).with(tokens_ended(&user)))
    }

    fn login(&self, body: &[u8], now: UnixMillis) -> Answer {
        let login = Login::parse(body)?;
        let user = match login.email.len() {
            0..=EMAIL_BYTES_MAX => self.store.user_by_email(&login.email)?,
            _ => None,
        };
        // Whoever may not log in is compared with nobody's hash: same answer, same time.
        let user = user.filter(|user| user.is_active);
        let stored = user.as_ref().and_then(|user| user.password_hash.as_ref());
        let password = login.password.expose().as_bytes();
        let verdict = password::verify(password, stored.map(Secret::expose))?;
        if let (Some(user), Verdict::Unusable) = (&user, verdict) {
            warn!("the stored password hash of user {} cannot be used", user.user_id);
        }
        let user = match (user, verdict) {
            (Some(user), Verdict::Match) => user,
            (Some(user), Verdict::MatchNeedsRehash) => {
                self.upgrade_hash(&user, &login.password);
                user
            }
            _ => return Ok(refusal(AccountError::Login).with(Effect::LoginFailed)),
        };
        let token = self.tokens.issue(&user.user_id, user.role.as_str(), user.version, now);
        let shown = (!login.cookie).then_some(token.expose());
        let reply = success(&LoggedIn::new(&user, shown)).with(Effect::LoginSucceeded);
        let set_cookie = login.cookie.then(|| token_cookie(&token));
        Ok(AccountReply { set_cookie, ..reply })
    }

    fn me(&self, credentials: Option<&Secret>, now: UnixMillis) -> Answer {
        let user = self.user_of(credentials, now)?;
        Ok(success(&Me::new(&user)))
    }

    /// A new password ends all tokens of the user, that of this request included.
    fn update_me(&self, credentials: Option<&Secret>, body: &[u8], now: UnixMillis) -> Answer {
        let user = self.user_of(credentials, now)?;
        let update = UpdateMe::parse(body)?;
        let password_hash = update.password.map(|new| self.hash(&new)).transpose()?;
        let change = UserChange {
            end_tokens: password_hash.is_some(),
            password_hash,
            ..update.profile.into_change()
        };
        self.change(&user.user_id, &change)
    }

    fn users(&self, credentials: Option<&Secret>, now: UnixMillis) -> Answer {
        self.admin_of(credentials, now)?;
        Ok(success(&UserList::new(&self.store.users()?)))
    }

    fn update_user(
        &self,
        credentials: Option<&Secret>,
        id: &str,
        body: &[u8],
        now: UnixMillis,
    ) -> Answer {
        self.admin_of(credentials, now)?;
        let update = UpdateUser::parse(body)?;
        let user = self.store.user_by_id(id)?.ok_or(StoreError::NotFound)?;
        // Clients send back every field of a form: only a change ends tokens.
        let demoted = user.role == Role::Admin && update.role == Some(Role::User);
        let deactivated = user.is_active && update.is_active == Some(false);
        let change = UserChange {
            email: update.email,
            role: update.role,
            is_active: update.is_active,
            end_tokens: demoted || deactivated,
            ..update.profile.into_change()
        };
        self.change(&user.user_id, &change)
    }

    fn delete_user(&self, credentials: Option<&Secret>, id: &str, now: UnixMillis) -> Answer {
        self.admin_of(credentials, now)?;
        let user_id = self.store.delete_user(id)?.user_id;
        Ok(success(&Success::new()).with(Effect::Revoked { user_id, below_version: u64::MAX }))
    }

    fn change(&self, user_id: &str, change: &UserChange) -> Answer {
        let user = self.store.update_user(user_id, change)?;
        let reply = success(&Success::new());
        Ok(if change.end_tokens { reply.with(tokens_ended(&user)) } else { reply })
    }

    fn user_of(&self, credentials: Option<&Secret>, now: UnixMillis) -> Result<User, AuthError> {
        let token = credentials.ok_or(AuthError::NotLoggedIn)?;
        let claims = self.tokens.check(token.expose(), now).map_err(|_| AuthError::NotLoggedIn)?;
        self.store
            .user_by_id(&claims.sub)?
            .filter(|user| user.is_active && user.version == claims.ver)
            .ok_or(AuthError::NotLoggedIn)
    }

    fn admin_of(
        &self,
        credentials: Option<&Secret>,
        now: UnixMillis,
    ) -> Result<User, AccountError> {
        let user = self.user_of(credentials, now)?;
        if user.role == Role::Admin { Ok(user) } else { Err(AccountError::NotAdmin) }
    }

    /// The active user whose link `token` is, while it counts.
    fn link_holder(&self, token: &Secret, now: UnixMillis) -> Result<User, AccountError> {
        if !(1..=LINK_TOKEN_BYTES_MAX).contains(&token.expose().len()) {
            return Err(AccountError::Link);
        }
        self.store
            .user_by_setup_token(token)?
            .filter(|user| user.is_active && user.setup_expires_at.is_some_and(|at| now < at))
            .ok_or(AccountError::Link)
    }

    /// Compares in constant time, and digests, so that not even the length shows.
    fn is_setup_token(&self, token: Option<&Secret>) -> bool {
        let (Some(expected), Some(token)) = (&self.setup_token, token) else { return false };
        let digest = |secret: &Secret| Sha256::digest(secret.expose().as_bytes());
        digest(expected).ct_eq(&digest(token)).into()
    }

    /// A user to be created: with the password, or with a link to set one.
    pub(super) fn new_user(&self, invite: Invite, now: UnixMillis) -> Result<User, AccountError> {
        let password_hash = invite.password.map(|new| self.hash(&new)).transpose()?;
        let setup_token = password_hash.is_none().then(|| self.fresh_link());
        let link_end = UnixMillis(now.0.saturating_add(LINK_TTL_MS));
        let (profile, discord_id) = invite.profile.into_profile(self.fresh_id(now));
        Ok(User {
            id: String::new(),
            user_id: self.fresh_id(now),
            email: invite.email,
            role: invite.role,
            password_hash,
            created_at: now,
            setup_expires_at: setup_token.is_some().then_some(link_end),
            setup_token,
            is_active: true,
            discord_id,
            version: 0,
            profile,
        })
    }

    pub(super) fn hash(&self, password: &Secret) -> Result<Secret, AccountError> {
        let mut salt = [0; SALT_BYTES];
        (self.entropy)(&mut salt);
        Ok(Secret::new(password::hash(password.expose().as_bytes(), salt)?))
    }

    /// Stores today's hash of a password that has just been right. A login does not fail with it.
    fn upgrade_hash(&self, user: &User, password: &Secret) {
        let Some(old) = &user.password_hash else { return };
        let upgraded = self
            .hash(password)
            .and_then(|new| Ok(self.store.upgrade_password_hash(&user.user_id, old, &new)?));
        if let Err(error) = upgraded {
            warn!("the password hash of user {} stays as it is: {error}", user.user_id);
        }
    }

    fn fresh_link(&self) -> Secret {
        let mut bytes = [0; LINK_BYTES];
        (self.entropy)(&mut bytes);
        Secret::new(hex::encode(&bytes))
    }

    /// A UUID of version 7 (RFC 9562, section 5.7).
    fn fresh_id(&self, now: UnixMillis) -> String {
        let mut bytes = [0; 10];
        (self.entropy)(&mut bytes);
        let unix_ms = u64::try_from(now.0).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(unix_ms, &bytes).into_uuid().to_string()
    }
}

fn success(value: &impl serde::Serialize) -> AccountReply {
    AccountReply::success(200, value)
}

/// Says why not. That the store does not answer is for the caller to log: it knows since when.
fn refusal(error: AccountError) -> AccountReply {
    let reply = AccountReply::error(&error);
    match error {
        AccountError::Store(StoreError::Unavailable(why)) => {
            return reply.with(Effect::StoreUnavailable(why));
        }
        AccountError::Store(inside) if reply.status == 503 => warn!("accounts: {inside}"),
        AccountError::Hash(inside) => warn!("accounts: {inside}"),
        _ => {}
    }
    reply
}

/// Nothing of a token is kept here, so nothing ends but the browser's copy.
fn logout() -> AccountReply {
    let set_cookie = Some(Secret::new(CLEAR_TOKEN_COOKIE));
    AccountReply { set_cookie, ..success(&Success::new()) }
}

fn tokens_ended(user: &User) -> Effect {
    Effect::Revoked { user_id: user.user_id.clone(), below_version: user.version }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests;
