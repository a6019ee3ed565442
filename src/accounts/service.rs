//! Every account route, from a request to a reply.
//!
//! Blocking: it asks the store and hashes passwords, so it runs on workers. Time comes in,
//! randomness from what it is given. Whether a user may be created, demoted or deleted is decided
//! in the store, in one step with doing it: other processes may work on the same database.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use log::warn;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::api::{
    AccountError, AccountReply, AccountRequest, AccountRoute, AuthError, CookieChange, Effect,
    Identity,
};
use super::input::{Invite, Login, SetupPassword, UpdateMe, user_change};
use super::password::{self, Verdict};
use super::secret_file::{SecretFileError, load_or_create_secret};
use super::token::Tokens;
use super::views::{Invited, UserView};
use crate::base::entropy::Entropy;
use crate::base::login::EMAIL_BYTES_MAX;
use crate::base::secret::Secret;
use crate::base::time::UnixMillis;
use crate::config::{Config, InitialAdmin};
use crate::store::{Profile, Role, SETUP_LINK_MS, Store, StoreError, User, UserChange};

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

type AccountAnswer = Result<AccountReply, AccountError>;

impl Service {
    /// Accounts kept in `store`. Salts, ids and links come from `entropy`. Unless `config` sets a
    /// key for the tokens, that is in the data directory; the first time a new one.
    ///
    /// # Errors
    /// [`SecretFileError`]
    pub fn new(
        store: Arc<dyn Store>,
        config: &Config,
        entropy: Entropy,
    ) -> Result<Self, SecretFileError> {
        let jwt_secret = match &config.jwt_secret {
            Some(secret) => secret.clone(),
            None => load_or_create_secret(&config.data_dir, &entropy)?,
        };
        Ok(Self {
            store,
            initial_admin: config.initial_admin.clone(),
            setup_token: config.initial_setup_token.clone(),
            tokens: Tokens::new(&jwt_secret, config.jwt_ttl_seconds),
            entropy,
        })
    }

    /// Answers a request. Blocks as long as the store and a password hash take.
    pub fn handle(&self, request: &AccountRequest, now: UnixMillis) -> AccountReply {
        let answer = match &request.route {
            AccountRoute::Invite => self.invite(request, now),
            AccountRoute::SetupInfo => self.setup_info(request, now),
            AccountRoute::SetupPassword => self.setup_password(request, now),
            AccountRoute::Login => self.login(request, now),
            AccountRoute::Logout => Ok(logout()),
            AccountRoute::Me => self.me(request, now),
            AccountRoute::UpdateMe => self.update_me(request, now),
            AccountRoute::Users => self.users(request, now),
            AccountRoute::UpdateUser { id } => self.update_user(request, id, now),
            AccountRoute::DeleteUser { id } => self.delete_user(request, id, now),
        };
        answer.unwrap_or_else(refusal)
    }

    /// Whose token `credentials` is.
    ///
    /// # Errors
    /// [`AuthError::NotLoggedIn`] for no token, one that is not ours, expired or ended, and for a
    /// user that is gone or inactive; [`AuthError::Store`] when the store does not tell.
    pub fn authenticate(
        &self,
        credentials: Option<&Secret>,
        now: UnixMillis,
    ) -> Result<Identity, AuthError> {
        let user = self.user_of(credentials, now)?;
        Ok(Identity { user_id: user.user_id, role: user.role, version: user.version })
    }

    /// Those of `identities` whose tokens have ended since: asked from time to time for users that
    /// stay connected, because another process may have ended them.
    ///
    /// # Errors
    /// The store's.
    pub fn ended(&self, identities: Vec<Identity>) -> Result<Vec<Identity>, StoreError> {
        let mut user_ids: Vec<_> =
            identities.iter().map(|identity| identity.user_id.clone()).collect();
        user_ids.sort_unstable();
        user_ids.dedup();
        let states = self.store.account_states(&user_ids)?;
        debug_assert_eq!(states.len(), user_ids.len(), "one state for each user");
        let states: HashMap<_, _> = user_ids.into_iter().zip(states).collect();
        let has_ended = |identity: &Identity| {
            let state = states.get(&identity.user_id).copied().flatten();
            !state.is_some_and(|state| state.is_active && state.version == identity.version)
        };
        Ok(identities.into_iter().filter(has_ended).collect())
    }

    fn invite(&self, request: &AccountRequest, now: UnixMillis) -> AccountAnswer {
        let is_first = match self.require_admin(request, now) {
            Ok(()) => false,
            Err(AccountError::NotLoggedIn) if !self.store.has_users()? => true,
            Err(error) => return Err(error),
        };
        if is_first && !self.is_setup_token(request.setup_token.as_ref()) {
            return Err(AccountError::SetupToken);
        }
        let mut invite = Invite::parse(&request.body)?;
        if is_first {
            invite.role = Role::Admin;
        }
        let user = self.new_user(invite, now)?;
        if !is_first {
            self.store.create_user(&user)?;
        } else if !self.store.create_first_user(&user)? {
            return Err(AccountError::NotLoggedIn);
        }
        Ok(AccountReply::success(&Invited::new(&user)))
    }

    fn setup_info(&self, request: &AccountRequest, now: UnixMillis) -> AccountAnswer {
        let token = request.setup_token.as_ref().ok_or(AccountError::Link)?;
        Ok(link_answer(&self.link_holder(token, now)?))
    }

    fn setup_password(&self, request: &AccountRequest, now: UnixMillis) -> AccountAnswer {
        let setup = SetupPassword::parse(&request.body)?;
        // Looked up first, so that no client without a link makes us hash; the store decides again.
        self.link_holder(&setup.token, now)?;
        let hash = self.hash(&setup.password)?;
        let user = match self.store.consume_setup_token(&setup.token, &hash, now) {
            Err(StoreError::NotFound) => return Err(AccountError::Link),
            result => result?,
        };
        Ok(link_answer(&user).with(tokens_ended(&user)))
    }

    fn login(&self, request: &AccountRequest, now: UnixMillis) -> AccountAnswer {
        let login = Login::parse(&request.body)?;
        let user = match login.email.len() {
            0..=EMAIL_BYTES_MAX => self.store.user_by_email(&login.email)?,
            _ => None,
        };
        // A user that may not log in counts as none: same answer, same time.
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
        let reply = AccountReply::success(&UserView::logged_in(&user, shown));
        Ok(AccountReply { cookie: login.cookie.then_some(CookieChange::Set(token)), ..reply })
    }

    fn me(&self, request: &AccountRequest, now: UnixMillis) -> AccountAnswer {
        Ok(AccountReply::success(&UserView::own(&self.user_of(request.credentials.as_ref(), now)?)))
    }

    /// A new password ends all tokens of the user, that of this request included.
    fn update_me(&self, request: &AccountRequest, now: UnixMillis) -> AccountAnswer {
        let user = self.user_of(request.credentials.as_ref(), now)?;
        let update = UpdateMe::parse(&request.body)?;
        let password_hash = update.password.map(|new| self.hash(&new)).transpose()?;
        let change =
            UserChange { end_tokens: password_hash.is_some(), password_hash, ..update.change };
        self.change(&user.user_id, &change)
    }

    fn users(&self, request: &AccountRequest, now: UnixMillis) -> AccountAnswer {
        self.require_admin(request, now)?;
        let users = self.store.users()?;
        let views: Vec<_> = users.iter().map(UserView::whole).collect();
        Ok(AccountReply::success(&BTreeMap::from([("users", views)])))
    }

    fn update_user(&self, request: &AccountRequest, id: &str, now: UnixMillis) -> AccountAnswer {
        self.require_admin(request, now)?;
        let mut change = user_change(&request.body)?;
        let user = self.store.user_by_id(id)?.ok_or(StoreError::NotFound)?;
        // Clients send back every field of a form: only a change ends tokens.
        let demoted = user.role == Role::Admin && change.role == Some(Role::User);
        let deactivated = user.is_active && change.is_active == Some(false);
        change.end_tokens = demoted || deactivated;
        self.change(&user.user_id, &change)
    }

    fn delete_user(&self, request: &AccountRequest, id: &str, now: UnixMillis) -> AccountAnswer {
        self.require_admin(request, now)?;
        let user_id = self.store.delete_user(id)?.user_id;
        Ok(done().with(Effect::Revoked { user_id, below_version: u64::MAX }))
    }

    fn change(&self, user_id: &str, change: &UserChange) -> AccountAnswer {
        let user = self.store.update_user(user_id, change)?;
        Ok(if change.end_tokens { done().with(tokens_ended(&user)) } else { done() })
    }

    fn user_of(&self, credentials: Option<&Secret>, now: UnixMillis) -> Result<User, AuthError> {
        let token = credentials.ok_or(AuthError::NotLoggedIn)?;
        let claims = self.tokens.check(token.expose(), now).map_err(|_| AuthError::NotLoggedIn)?;
        self.store
            .user_by_id(&claims.sub)?
            .filter(|user| user.is_active && user.version == claims.ver)
            .ok_or(AuthError::NotLoggedIn)
    }

    fn require_admin(&self, request: &AccountRequest, now: UnixMillis) -> Result<(), AccountError> {
        let user = self.user_of(request.credentials.as_ref(), now)?;
        if user.role == Role::Admin { Ok(()) } else { Err(AccountError::NotAdmin) }
    }

    /// The active user whose link `token` is, while it counts.
    fn link_holder(&self, token: &Secret, now: UnixMillis) -> Result<User, AccountError> {
        if !(1..=LINK_TOKEN_BYTES_MAX).contains(&token.expose().len()) {
            return Err(AccountError::Link);
        }
        self.store
            .user_by_setup_token(token)?
            .filter(|user| user.is_active && user.has_link_at(now))
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
        let setup_token = password_hash.is_none().then(|| self.entropy.token());
        let link_end = UnixMillis(now.0.saturating_add(SETUP_LINK_MS));
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
            discord_id: invite.discord_id,
            version: 0,
            profile: Profile { id: self.fresh_id(now), ..invite.profile },
        })
    }

    pub(super) fn hash(&self, password: &Secret) -> Result<Secret, AccountError> {
        Ok(Secret::new(password::hash(password.expose().as_bytes(), self.entropy.bytes())?))
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

    /// A UUID of version 7 (RFC 9562, section 5.7).
    fn fresh_id(&self, now: UnixMillis) -> String {
        let unix_ms = u64::try_from(now.0).unwrap_or(0);
        let random = self.entropy.bytes();
        uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid().to_string()
    }
}

/// `{"success":true}`
fn done() -> AccountReply {
    AccountReply::success(&())
}

fn link_answer(holder: &User) -> AccountReply {
    AccountReply::success(&BTreeMap::from([("email", &holder.email)]))
}

/// Says why not. That something is wrong with the store is for the caller to log: it knows since
/// when.
fn refusal(error: AccountError) -> AccountReply {
    let reply = AccountReply::error(&error);
    match error {
        AccountError::Store(StoreError::Unavailable(why) | StoreError::Damaged(why)) => {
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
    AccountReply { cookie: Some(CookieChange::Clear), ..done() }
}

fn tokens_ended(user: &User) -> Effect {
    Effect::Revoked { user_id: user.user_id.clone(), below_version: user.version }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests;
