//! What goes into the accounts and what comes out: requests, replies, and one table from errors to
//! status codes.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::input::InvalidInput;
use super::password::OutOfMemory;
use crate::base::secret::Secret;
use crate::store::{Role, StoreError};

/// An account route (protocol, section 3). An id is decoded; there may be no such user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table of routes says what each is for")]
pub enum AccountRoute {
    Invite,
    SetupInfo,
    SetupPassword,
    Login,
    Logout,
    Me,
    UpdateMe,
    Users,
    UpdateUser { id: String },
    DeleteUser { id: String },
}

/// A request to one route, with everything that counts of it. `Debug` shows the route only.
pub struct AccountRequest {
    /// The route.
    pub route: AccountRoute,
    /// The token of the login, from a header or cookie.
    pub credentials: Option<Secret>,
    /// What counts where there is no login yet: for an invitation the header field
    /// `X-Setup-Token`, for a set-up link the parameter `token`.
    pub setup_token: Option<Secret>,
    /// JSON as it came.
    pub body: Vec<u8>,
}

/// What to answer, and what follows from it for the rest of the server.
pub struct AccountReply {
    /// The HTTP status code.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
    /// What becomes of the client's cookie.
    pub cookie: Option<CookieChange>,
    /// What the rest of the server must hear of.
    pub effect: Option<Effect>,
}

/// A change of the cookie that holds a client's token.
#[derive(Debug)]
pub enum CookieChange {
    /// It holds this token now.
    Set(Secret),
    /// There is none any more.
    Clear,
}

/// What a request has changed that others must hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The tokens of a user with a lower version have ended.
    Revoked {
        /// Whose.
        user_id: String,
        /// The first version that counts; [`u64::MAX`] when none will.
        below_version: u64,
    },
    /// A login with a wrong e-mail or password.
    LoginFailed,
    /// The store does not answer, and why. Not logged yet.
    StoreUnavailable(String),
}

/// The user that a token belongs to, by the store and not by what the token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's `user_id`.
    pub user_id: String,
    /// What the user may do.
    pub role: Role,
    /// The user's token version. When it changes, the token has ended.
    pub version: u64,
}

/// Why there is no [`Identity`].
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No token, not a good one, or one that has ended.
    #[error("Not logged in")]
    NotLoggedIn,
    /// That cannot be known now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why something was not done. The text is what the client reads.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The request makes no sense.
    #[error(transparent)]
    Input(#[from] InvalidInput),
    /// The link was used, has expired, or never was.
    #[error("Invalid or expired token")]
    Link,
    /// No token, not a good one, or one that has ended.
    #[error("Not logged in")]
    NotLoggedIn,
    /// Which of both is wrong, or whether there is such a user, is not said.
    #[error("Invalid email or password")]
    Login,
    /// The user is no admin.
    #[error("Admin only")]
    NotAdmin,
    /// There is no user yet, and the request did not come with `INITIAL_SETUP_TOKEN`.
    #[error("Setup token missing or wrong")]
    SetupToken,
    /// What the store refused, or that it failed.
    #[error("{}", store_message(.0))]
    Store(#[from] StoreError),
    /// The machine has no memory for a hash.
    #[error("{UNAVAILABLE}")]
    Hash(#[from] OutOfMemory),
}

/// What a client reads when something on our side is missing; the log knows more.
const UNAVAILABLE: &str = "Accounts are not available now; try again later";

impl AccountRequest {
    /// Whether it may compute a password hash, so that
    /// [`HASH_MEMORY_BYTES`](super::password::HASH_MEMORY_BYTES) must be set aside for it.
    pub fn needs_hash(&self) -> bool {
        use AccountRoute as R;
        // An invitation and an update may come without a password; both are too rare for a look
        // into the body.
        matches!(self.route, R::Invite | R::SetupPassword | R::Login | R::UpdateMe)
    }

    /// Bytes of memory behind it, as far as a client decides how many.
    pub fn held_bytes(&self) -> usize {
        use AccountRoute::{DeleteUser, UpdateUser};
        let secrets = [&self.credentials, &self.setup_token].into_iter().flatten();
        let secrets: usize = secrets.map(|secret| secret.expose().len()).sum();
        match &self.route {
            UpdateUser { id } | DeleteUser { id } => id.capacity() + secrets + self.body.capacity(),
            _ => secrets + self.body.capacity(),
        }
    }
}

impl fmt::Debug for AccountRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.route, f)
    }
}

impl AccountReply {
    /// Status 200 and `value`, an object, with `"success":true` at its head.
    pub(super) fn success(value: &impl Serialize) -> Self {
        #[derive(Serialize)]
        struct Body<'a, T> {
            success: bool,
            #[serde(flatten)]
            value: &'a T,
        }
        Self::new(200, &Body { success: true, value })
    }

    /// `{"error": …}` with the status of `error`.
    pub(super) fn error(error: &AccountError) -> Self {
        Self::new(error.status(), &BTreeMap::from([("error", error.to_string())]))
    }

    fn new(status: u16, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("strings, booleans and lists are JSON");
        Self { status, body, cookie: None, effect: None }
    }

    /// Adds the effect.
    pub(super) fn with(self, effect: Effect) -> Self {
        Self { effect: Some(effect), ..self }
    }
}

/// Without the body: it may hold a token.
impl fmt::Debug for AccountReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountReply")
            .field("status", &self.status)
            .field("effect", &self.effect)
            .finish_non_exhaustive()
    }
}

impl AccountError {
    /// The HTTP status code that says it.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Input(_) | Self::Link => 400,
            Self::NotLoggedIn | Self::Login => 401,
            Self::NotAdmin | Self::SetupToken => 403,
            Self::Store(StoreError::NotFound) => 404,
            Self::Store(StoreError::EmailTaken | StoreError::LastAdmin) => 409,
            Self::Store(_) | Self::Hash(_) => 503,
        }
    }
}

impl From<AuthError> for AccountError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::NotLoggedIn => Self::NotLoggedIn,
            AuthError::Store(error) => Self::from(error),
        }
    }
}

/// What a client may read of `error`: nothing about the inside of the store.
fn store_message(error: &StoreError) -> String {
    match error {
        StoreError::NotFound | StoreError::EmailTaken | StoreError::LastAdmin => error.to_string(),
        _ => UNAVAILABLE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_keep_the_inside_of_the_store_inside() {
        let hidden = StoreError::Unavailable("db.internal:27017 refused".into());
        for (error, status, text) in [
            (AccountError::from(hidden), 503, UNAVAILABLE),
            (StoreError::Damaged("users.db".into()).into(), 503, UNAVAILABLE),
            (OutOfMemory.into(), 503, UNAVAILABLE),
            (StoreError::NotFound.into(), 404, "User not found"),
            (StoreError::EmailTaken.into(), 409, "A user with this email already exists"),
            (AuthError::NotLoggedIn.into(), 401, "Not logged in"),
        ] {
            assert_eq!((error.status(), error.to_string().as_str()), (status, text));
            let reply = AccountReply::error(&error);
            assert_eq!(reply.status, status);
            assert_eq!(reply.body, format!(r#"{{"error":"{text}"}}"#).into_bytes());
        }
    }

    #[test]
    fn requests_and_replies_do_not_show_what_is_in_them() {
        let body = b"hunter2".to_vec();
        let route = AccountRoute::Login;
        let request = AccountRequest { route, credentials: None, setup_token: None, body };
        assert_eq!(format!("{request:?}"), "Login");
        let reply = AccountReply::new(200, &"hunter2");
        assert!(!format!("{reply:?}").contains("hunter2"));
    }

    #[test]
    fn what_may_hash_a_password_says_so() {
        let id = || "u".to_owned();
        for (route, expected) in [
            (AccountRoute::Login, true),
            (AccountRoute::SetupPassword, true),
            (AccountRoute::UpdateMe, true),
            (AccountRoute::Invite, true),
            (AccountRoute::Logout, false),
            (AccountRoute::Me, false),
            (AccountRoute::Users, false),
            (AccountRoute::SetupInfo, false),
            (AccountRoute::UpdateUser { id: id() }, false),
            (AccountRoute::DeleteUser { id: id() }, false),
        ] {
            let body = Vec::new();
            let request = AccountRequest { route, credentials: None, setup_token: None, body };
            assert_eq!(request.needs_hash(), expected, "{request:?}");
        }
    }
}
