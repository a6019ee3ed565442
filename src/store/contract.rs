//! What a store is: its records, its errors, and the trait of both implementations.

use serde::Serialize;

use crate::base::secret::Secret;
use crate::base::time::UnixMillis;
use crate::config::HostAuth;

/// Users that [`Store::users`] returns at most, the oldest first.
pub const USERS_MAX: usize = 10_000;

/// How long a setup link counts, in milliseconds; also that of a user of the old backend, which
/// kept no end for it.
pub const SETUP_LINK_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// Why the store did not do what it was asked. Each is one line for a person, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It does not answer; trying again later may help.
    #[error("{0}")]
    Unavailable(String),
    /// The store has another room under this code.
    #[error("another room has this code")]
    Conflict,
    /// Another user has this e-mail address.
    #[error("A user with this email already exists")]
    EmailTaken,
    /// There is no such user.
    #[error("User not found")]
    NotFound,
    /// It would leave no user that [can administer](User::can_administer).
    #[error("The last active admin cannot be deleted, demoted or deactivated")]
    LastAdmin,
    /// The database takes no record of that size.
    #[error("the document is too large for the database")]
    TooLarge,
    /// What is stored, or where it is stored, is not as it should be; the operator has to look.
    #[error("{0}")]
    Damaged(String),
    /// This build, or the store of these settings, cannot do it.
    #[error("{0}")]
    Unsupported(&'static str),
    /// A newer version of this server has written the data.
    #[error(
        "the data was written by a newer version of this server (schema {found}, known {known})"
    )]
    TooNew {
        /// The schema found.
        found: i64,
        /// The newest schema that this version knows.
        known: i64,
    },
}

impl StoreError {
    /// Whether trying again later may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// A room as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRecord {
    /// Unique.
    pub room_code: String,
    /// `None` in rooms of the old backend.
    pub room_id: Option<String>,
    /// `None` while the room is unclaimed, and in rooms of the old backend.
    pub host_id: Option<String>,
    /// How a host proves itself.
    pub host_auth: HostAuth,
    /// SHA-256 of the creator's token.
    pub host_token_hash: Option<[u8; 32]>,
    /// The shared document.
    pub document: Option<String>,
    /// When the room was made; for a room of the old backend, when it was last changed.
    pub created_at: UnixMillis,
    /// When it was last stored (`last_sync`).
    pub updated_at: UnixMillis,
}

/// A stored room without its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomHead {
    /// All else of it; `document` is `None`.
    pub room: RoomRecord,
    /// Bytes of the document, if there is one.
    pub document_bytes: Option<usize>,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Uses the rooms.
    #[default]
    User,
    /// Manages the users as well.
    Admin,
}

impl Role {
    /// Its name in the store, in JSON, in tokens and on the console.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// The role that has `name`, in lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::User, Self::Admin].into_iter().find(|role| role.as_str() == name)
    }
}

/// What others see of a user. All free text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Permanent id of the profile; not shown.
    #[serde(skip)]
    pub id: String,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Shown name.
    pub nickname: Option<String>,
    /// Position.
    pub position: Option<String>,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The database's own id: the `_id` in MongoDB as 24 hexadecimal digits, equal to `user_id`
    /// in SQLite. Ignored when a user is created.
    pub id: String,
    /// Permanent id, UUID version 7.
    pub user_id: String,
    /// Unique; trimmed and lower-cased.
    pub email: String,
    /// What the user may do.
    pub role: Role,
    /// PHC string (argon2id) or bcrypt hash; `None` until the user has set a password.
    pub password_hash: Option<Secret>,
    /// When the user was made.
    pub created_at: UnixMillis,
    /// The secret of the setup link, while it has not been used.
    pub setup_token: Option<Secret>,
    /// When the setup link ends. For a user of the old backend: [`SETUP_LINK_MS`] after
    /// `created_at`.
    pub setup_expires_at: Option<UnixMillis>,
    /// Whether the user may log in.
    pub is_active: bool,
    /// Discord account.
    pub discord_id: Option<String>,
    /// Counts up when the user's tokens end (claim `ver`).
    pub version: u64,
    /// What others see.
    pub profile: Profile,
}

impl User {
    /// Whether it is an active admin with a password.
    pub fn can_administer(&self) -> bool {
        self.is_active && self.role == Role::Admin && self.password_hash.is_some()
    }

    /// Whether the setup link has not ended at `now`.
    pub fn has_link_at(&self, now: UnixMillis) -> bool {
        self.setup_expires_at.is_some_and(|at| now < at)
    }
}

/// What to change of a user; `None` leaves a field as it is, `Some(None)` clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    /// New e-mail address.
    pub email: Option<String>,
    /// New role.
    pub role: Option<Role>,
    /// May the user log in?
    pub is_active: Option<bool>,
    /// New password hash; ends the setup link.
    pub password_hash: Option<Secret>,
    /// Discord account.
    pub discord_id: Option<Option<String>>,
    /// First name.
    pub first_name: Option<Option<String>>,
    /// Last name.
    pub last_name: Option<Option<String>>,
    /// Shown name.
    pub nickname: Option<Option<String>>,
    /// Position.
    pub position: Option<Option<String>>,
    /// Adds one to `version`: the user's tokens end.
    pub end_tokens: bool,
}

impl UserChange {
    /// A new password; the user's tokens end.
    pub fn password(hash: Secret) -> Self {
        Self { password_hash: Some(hash), end_tokens: true, ..Self::default() }
    }
}

/// What decides whether a user's tokens still hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// Tokens of other versions have ended.
    pub version: u64,
    /// What the user may do now.
    pub role: Role,
    /// Whether the user may do anything.
    pub is_active: bool,
}

/// A database. Every method blocks, and may be called by several threads at once. Each may fail
/// with [`StoreError::Unavailable`] and [`StoreError::Damaged`]; other errors are named.
pub trait Store: Send + Sync {
    /// What the log calls it.
    fn name(&self) -> &'static str;

    /// Whether something can be written to it, found out by writing something; makes it ready
    /// (indexes) when it answers for the first time. Never waits for another write.
    fn ping(&self) -> Result<(), StoreError>;

    /// Whether something is wrong with it, as far as can be told without writing.
    fn look(&self) -> Result<(), StoreError>;

    /// Leaves nothing behind that has to be put in order at the next start. The last call: all
    /// others fail after it. What was stored is stored without it.
    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// The room with exactly this code, without its document, which is not read.
    fn room_head(&self, room_code: &str) -> Result<Option<RoomHead>, StoreError>;

    /// The document of the room with exactly this code, if its `room_id` is that one or it has
    /// none.
    fn document(&self, room_code: &str, room_id: &str) -> Result<Option<String>, StoreError>;

    /// Stores rooms of different codes, durably, all in one go as far as the database can; returns
    /// the outcome of each, in order. Their `room_id` must be set. A stored room without one is
    /// adopted. A room that comes without a document leaves the stored one as it is.
    ///
    /// # Errors
    /// Of a room, without an effect on others: [`StoreError::Conflict`] if the code belongs to a
    /// room with another `room_id`; [`StoreError::TooLarge`].
    fn save_rooms(&self, rooms: &[RoomRecord]) -> Vec<Result<(), StoreError>>;

    /// Deletes the room with exactly this code, durably, if its `room_id` is that one or it has
    /// none. That there is no such room is no error.
    fn delete_room(&self, room_code: &str, room_id: &str) -> Result<(), StoreError>;

    /// Whether there is any user.
    fn has_users(&self) -> Result<bool, StoreError>;

    /// Creates `user` if there is no user at all; returns whether it did. Of any number of attempts
    /// at once, from any number of processes, exactly one creates.
    fn create_first_user(&self, user: &User) -> Result<bool, StoreError>;

    /// Creates a further user.
    ///
    /// # Errors
    /// [`StoreError::EmailTaken`].
    fn create_user(&self, user: &User) -> Result<(), StoreError>;

    /// The user with this e-mail address (trimmed and lower-cased by the caller).
    fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError>;

    /// The user with this `user_id` or `id`.
    fn user_by_id(&self, id: &str) -> Result<Option<User>, StoreError>;

    /// The user with this setup token, whether or not it has expired.
    fn user_by_setup_token(&self, token: &Secret) -> Result<Option<User>, StoreError>;

    /// The oldest [`USERS_MAX`] users, by `created_at`, then in the order of their making.
    fn users(&self) -> Result<Vec<User>, StoreError>;

    /// Changes the user with this `user_id` or `id`; returns the user as it is then.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::EmailTaken`], [`StoreError::LastAdmin`].
    fn update_user(&self, id: &str, change: &UserChange) -> Result<User, StoreError>;

    /// Deletes the user with this `user_id` or `id`, profile included; returns the user it was.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::LastAdmin`].
    fn delete_user(&self, id: &str) -> Result<User, StoreError>;

    /// Sets the password of the user with `token`, if it has not expired by `now`, clears the
    /// token and adds one to `version`. Of several attempts at once, one succeeds.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if no user has that token (any more), or if it has expired.
    fn consume_setup_token(
        &self,
        token: &Secret,
        password_hash: &Secret,
        now: UnixMillis,
    ) -> Result<User, StoreError>;

    /// Replaces a password hash by a better one of the same password, unless it was changed
    /// meanwhile; returns whether it did.
    fn upgrade_password_hash(
        &self,
        user_id: &str,
        old: &Secret,
        new: &Secret,
    ) -> Result<bool, StoreError>;

    /// The state of each of these users, in the order asked; `None` for those that are gone.
    fn account_states(&self, user_ids: &[String]) -> Result<Vec<Option<AccountState>>, StoreError>;
}
