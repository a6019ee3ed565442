//! Accounts without a request: the first admin from the settings, and what the person at the
//! console may do. No token is asked for: an operator that may read the database may do all this.

use super::api::AccountError;
use super::input::{self, Invite};
use super::service::Service;
use crate::base::secret::Secret;
use crate::base::time::UnixMillis;
use crate::store::{Profile, Role, StoreError, User, UserChange};

impl Service {
    /// Creates the admin of `INITIAL_ADMIN_*` if one is set and there is no user at all; says
    /// whether it did. Called again until it succeeds: the store may be away at the start.
    ///
    /// # Errors
    /// The store's, or [`AccountError::Input`] when the settings make no user.
    pub fn ensure_initial_admin(&self, now: UnixMillis) -> Result<bool, AccountError> {
        let Some(admin) = &self.initial_admin else { return Ok(false) };
        if self.store.has_users()? {
            return Ok(false);
        }
        let (email, password) = (&admin.email, &admin.password);
        let user = self.active_user(email, password, Role::Admin, admin.nickname.clone(), now)?;
        Ok(self.store.create_first_user(&user)?)
    }

    /// Adds a user that can log in at once. The very first is an admin, whatever `role` says.
    ///
    /// # Errors
    /// [`AccountError::Input`], [`StoreError::EmailTaken`], or the store's.
    pub fn add_user(
        &self,
        email: &str,
        password: &Secret,
        role: Role,
        now: UnixMillis,
    ) -> Result<User, AccountError> {
        let user = self.active_user(email, password, role, None, now)?;
        if !self.store.has_users()? {
            let first = User { role: Role::Admin, ..user.clone() };
            if self.store.create_first_user(&first)? {
                return Ok(first);
            }
        }
        self.store.create_user(&user)?;
        Ok(user)
    }

    /// Every user, the oldest first.
    ///
    /// # Errors
    /// The store's.
    pub fn list_users(&self) -> Result<Vec<User>, StoreError> {
        self.store.users()
    }

    /// Sets a password. The user's tokens end.
    ///
    /// # Errors
    /// [`AccountError::Input`], [`StoreError::NotFound`], or the store's.
    pub fn set_password(&self, email: &str, password: &Secret) -> Result<User, AccountError> {
        let password = input::new_password(password.expose())?;
        self.change_by_email(email, &UserChange::password(self.hash(&password)?))
    }

    /// Deactivates a user. The user's tokens end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::LastAdmin`], or the store's.
    pub fn disable_user(&self, email: &str) -> Result<User, AccountError> {
        let change =
            UserChange { is_active: Some(false), end_tokens: true, ..UserChange::default() };
        self.change_by_email(email, &change)
    }

    fn active_user(
        &self,
        email: &str,
        password: &Secret,
        role: Role,
        nickname: Option<String>,
        now: UnixMillis,
    ) -> Result<User, AccountError> {
        let email = input::email(email)?;
        let password = Some(input::new_password(password.expose())?);
        let profile = Profile { nickname, ..Profile::default() };
        self.new_user(Invite { email, password, role, profile, discord_id: None }, now)
    }

    fn change_by_email(&self, email: &str, change: &UserChange) -> Result<User, AccountError> {
        let email = input::normalized(email);
        let user = self.store.user_by_email(&email)?.ok_or(StoreError::NotFound)?;
        Ok(self.store.update_user(&user.user_id, change)?)
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests;
