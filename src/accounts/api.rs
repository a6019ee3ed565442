//! What goes into the accounts and what comes out: requests, replies, and one table from errors to
//! status codes.

use std::fmt;

use serde::Serialize;

use super::input::InputError;
use super::password::HashError;
use crate::base::secret::Secret;
use crate::store::{Role, StoreError};

/// The cookie that a token may come in.
pub const TOKEN_COOKIE: &str = "_khun_ph_token";

/// The value of `Set-Cookie` that removes [`TOKEN_COOKIE`].
pub(super) const CLEAR_TOKEN_COOKIE: &str = "_khun_ph_token=; Path=/; Max-Age=0; SameSite=Lax";

/// What makes a browser send a cookie over TLS only.
pub const SECURE_COOKIE: &str = "; Secure";

/// A request to one route (protocol, section 3), with everything that counts of it.
///
/// `credentials` is the token that came in a header or cookie; bodies are JSON as they came.
/// `Debug` shows the route only.
pub enum AccountRequest {
    /// `POST /api/auth/invite`
    Invite {
        /// Who asks.
        credentials: Option<Secret>,
        /// The header field `X-Setup-Token`.
        setup_token: Option<Secret>,
        /// Whom to invite.
        body: Vec<u8>,
    },
    /// `GET /api/auth/setup-info`
    SetupInfo {
        /// The parameter `token`; empty if there is none.
        token: Secret,
    },
    /// `POST /api/auth/setup-password`
    SetupPassword {
        /// The link's token and the password.
        body: Vec<u8>,
    },
    /// `POST /api/auth/login`
    Login {
        /// E-mail and password.
        body: Vec<u8>,
    },
    /// `POST /api/auth/logout`
    Logout,
    /// `GET /api/auth/me`
    Me {
        /// Who asks.
        credentials: Option<Secret>,
    },
    /// `PUT /api/auth/me`
    UpdateMe {
        /// Who asks.
        credentials: Option<Secret>,
        /// What to change.
        body: Vec<u8>,
    },
    /// `GET /api/auth/users`
    Users {
        /// Who asks.
        credentials: Option<Secret>,
    },
    /// `PUT /api/auth/users/{id}`
    UpdateUser {
        /// Who asks.
        credentials: Option<Secret>,
        /// Whom to change.
        id: String,
        /// What to change.
        body: Vec<u8>,
    },
    /// `DELETE /api/auth/users/{id}`
    DeleteUser {
        /// Who asks.
        credentials: Option<Secret>,
        /// Whom to delete.
        id: String,
    },
}

/// What to answer, and what follows from it for the rest of the server.
pub struct AccountReply {
    /// The HTTP status code.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
    /// The value of a `Set-Cookie` header field, to be followed by [`SECURE_COOKIE`] if the client
    /// speaks TLS.
    pub set_cookie: Option<Secret>,
    /// In order.
    pub effects: Vec<Effect>,
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
    /// A login.
    LoginSucceeded,
    /// The store does not answer, and why. Not logged yet.
    StoreUnavailable(String),
}

/// Who a token belongs to, by the store and not by what the token says.
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
    /// Nobody knows now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why something was not done. The text is what the client reads.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The request makes no sense.
    #[error(transparent)]
    Input(#[from] InputError),
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
    Store(#[source] StoreError),
    /// The machine has no memory for a hash.
    #[error("{UNAVAILABLE}")]
    Hash(#[from] HashError),
}

/// What a client reads when something on our side is missing; the log knows more.
const UNAVAILABLE: &str = "Accounts are not available now; try again later";

impl AccountRequest {
    /// Whether it may compute a password hash, so that
    /// [`HASH_MEMORY_BYTES`](super::password::HASH_MEMORY_BYTES) must be set aside for it.
    pub fn needs_hash(&self) -> bool {
        // An invitation and an update may come without a password; both are too rare for a look
        // into the body.
        matches!(
            self,
            Self::Invite { .. }
                | Self::SetupPassword { .. }
                | Self::Login { .. }
                | Self::UpdateMe { .. }
        )
    }

    /// Bytes of memory behind it, as far as a client decides how many.
    pub fn held_bytes(&self) -> usize {
        let secret = |secret: &Option<Secret>| secret.as_ref().map_or(0, |s| s.expose().len());
        match self {
            Self::Invite { credentials, setup_token, body } => {
                secret(credentials) + secret(setup_token) + body.capacity()
            }
            Self::SetupInfo { token } => token.expose().len(),
            Self::SetupPassword { body } | Self::Login { body } => body.capacity(),
            Self::Logout => 0,
            Self::Me { credentials } | Self::Users { credentials } => secret(credentials),
            Self::UpdateMe { credentials, body } => secret(credentials) + body.capacity(),
            Self::UpdateUser { credentials, id, body } => {
                secret(credentials) + id.capacity() + body.capacity()
            }
            Self::DeleteUser { credentials, id } => secret(credentials) + id.capacity(),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Invite { .. } => "Invite",
            Self::SetupInfo { .. } => "SetupInfo",
            Self::SetupPassword { .. } => "SetupPassword",
            Self::Login { .. } => "Login",
            Self::Logout => "Logout",
            Self::Me { .. } => "Me",
            Self::UpdateMe { .. } => "UpdateMe",
            Self::Users { .. } => "Users",
            Self::UpdateUser { .. } => "UpdateUser",
            Self::DeleteUser { .. } => "DeleteUser",
        }
    }
}

impl fmt::Debug for AccountRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl AccountReply {
    /// `value` as JSON, without effects.
    pub(super) fn success(status: u16, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("strings, booleans and lists are JSON");
        Self { status, body, set_cookie: None, effects: Vec::new() }
    }

    /// `{"error": …}` with the status of `error`.
    pub(super) fn error(error: &AccountError) -> Self {
        #[derive(Serialize)]
        struct Body {
            error: String,
        }
        Self::success(error.status(), &Body { error: error.to_string() })
    }

    /// Adds an effect.
    pub(super) fn with(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }
}

/// Without the body: it may hold a token.
impl fmt::Debug for AccountReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountReply")
            .field("status", &self.status)
            .field("effects", &self.effects)
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

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What a client may read of `error`: nothing about the inside of the store.
fn store_message(error: &StoreError) -> String {
    match error {
        StoreError::NotFound | StoreError::EmailTaken | StoreError::LastAdmin => error.to_string(),
        _ => UNAVAILABLE.to_owned(),
    }
}

/// The value of `Set-Cookie` for `token`: out of reach of scripts, kept until the browser is
/// closed, and sent with requests of our own pages only.
pub(super) fn token_cookie(token: &Secret) -> Secret {
    Secret::new(format!("{TOKEN_COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", token.expose()))
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
            (HashError::OutOfMemory.into(), 503, UNAVAILABLE),
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
        let request = AccountRequest::Login { body: b"hunter2".to_vec() };
        assert_eq!(format!("{request:?}"), "Login");
        let reply = AccountReply::success(200, &"hunter2");
        assert!(!format!("{reply:?}").contains("hunter2"));
    }

    #[test]
    fn what_may_hash_a_password_says_so() {
        let body = Vec::new;
        let id = || "u".to_owned();
        for (request, expected) in [
            (AccountRequest::Login { body: body() }, true),
            (AccountRequest::SetupPassword { body: body() }, true),
            (AccountRequest::UpdateMe { credentials: None, body: body() }, true),
            (AccountRequest::Invite { credentials: None, setup_token: None, body: body() }, true),
            (AccountRequest::Logout, false),
            (AccountRequest::Me { credentials: None }, false),
            (AccountRequest::Users { credentials: None }, false),
            (AccountRequest::SetupInfo { token: Secret::new("") }, false),
            (AccountRequest::UpdateUser { credentials: None, id: id(), body: body() }, false),
            (AccountRequest::DeleteUser { credentials: None, id: id() }, false),
        ] {
            assert_eq!(request.needs_hash(), expected, "{request:?}");
        }
    }
}
