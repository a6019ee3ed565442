//! What clients send: typed request bodies, checked once, before anything else looks at them.
//!
//! Pure: JSON bytes in, values within bounds out. Unknown fields are ignored. `null` is absent,
//! except for the fields of a profile in an update, where it clears the field.

use serde::{Deserialize, Deserializer};

use crate::base::login::{self, PASSWORD_BYTES};
use crate::base::secret::Secret;
use crate::config::AddressKey;
use crate::store::{Profile, Role, UserChange};

/// Longest field of a profile, in characters.
pub const PROFILE_FIELD_CHARS_MAX: usize = 200;

/// Longest `discord_id`, in characters.
pub const DISCORD_ID_CHARS_MAX: usize = 64;

/// Most characters of a parser's complaint that are passed on: it may quote what was sent.
const COMPLAINT_CHARS_MAX: usize = 200;

/// What is wrong with a request. The sender is to blame; the text says how to do better.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInput {
    /// The body is no JSON, no object, or a field has another type.
    #[error("Invalid request body: {0}")]
    Body(String),
    /// No address that mail could be sent to.
    #[error("Invalid email")]
    Email,
    /// Too short or too long for a new password.
    #[error("Password must have {} to {} bytes", PASSWORD_BYTES.start(), PASSWORD_BYTES.end())]
    PasswordLength,
    /// Neither of the two roles.
    #[error("Role must be admin or user")]
    Role,
    /// A field of the profile is too long or has control characters.
    #[error("{field} must have at most {chars_max} characters and no control characters")]
    ProfileField {
        /// Its name in the request.
        field: &'static str,
        /// Its bound.
        chars_max: usize,
    },
}

/// `POST /api/auth/invite`
#[derive(Debug)]
pub struct Invite {
    /// Trimmed and lower-cased.
    pub email: String,
    /// Absent: the user gets a link to set one.
    pub password: Option<Secret>,
    /// Absent in the request: `user`.
    pub role: Role,
    /// Names and so on; it has no id yet.
    pub profile: Profile,
    /// Discord account.
    pub discord_id: Option<String>,
}

/// `POST /api/auth/setup-password`
#[derive(Debug)]
pub struct SetupPassword {
    /// From the link.
    pub token: Secret,
    /// 8–1024 bytes.
    pub password: Secret,
}

/// `POST /api/auth/login`
#[derive(Debug)]
pub struct Login {
    /// Trimmed and lower-cased; anything, for a stranger learns nothing from its form.
    pub email: String,
    /// As sent.
    pub password: Secret,
    /// The token is to come as a cookie that scripts cannot read, and not in the answer.
    pub cookie: bool,
}

/// `PUT /api/auth/me`
#[derive(Debug)]
pub struct UpdateMe {
    /// 8–1024 bytes.
    pub password: Option<Secret>,
    /// Names and so on.
    pub change: UserChange,
}

/// A field that can be cleared: `None` is absent, `Some(None)` is `null`.
type Field = Option<Option<String>>;

/// What failed logins are counted by: one e-mail from one address. So no account can be locked from
/// elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoginKey {
    /// Of the e-mail, trimmed and lower-cased.
    pub email_hash: u64,
    /// Where the login comes from.
    pub address: AddressKey,
}

impl LoginKey {
    /// The key of a login with `body` from `address`; `None` when the body is none that
    /// [`Login::parse`] takes.
    pub fn new(body: &[u8], address: AddressKey) -> Option<Self> {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(Login::parse(body).ok()?.email.as_bytes());
        // The first 64 of 256 bits: a key of a table, and two that meet only share a counter.
        let email_hash = digest.iter().take(8).fold(0, |hash, &byte| hash << 8 | u64::from(byte));
        Some(Self { email_hash, address })
    }
}

/// `text` as [`login::email`] has it.
///
/// # Errors
/// [`InvalidInput::Email`].
pub fn email(text: &str) -> Result<String, InvalidInput> {
    login::email(text).ok_or(InvalidInput::Email)
}

/// `password`, if it may be set.
///
/// # Errors
/// [`InvalidInput::PasswordLength`].
pub fn new_password(password: &str) -> Result<Secret, InvalidInput> {
    if PASSWORD_BYTES.contains(&password.len()) {
        Ok(Secret::new(password))
    } else {
        Err(InvalidInput::PasswordLength)
    }
}

impl Invite {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// [`InvalidInput`].
    pub fn parse(body: &[u8]) -> Result<Self, InvalidInput> {
        #[derive(Deserialize)]
        struct Body {
            email: String,
            password: Option<String>,
            role: Option<String>,
            #[serde(flatten)]
            profile: ProfileBody,
        }
        let body: Body = from_json(body)?;
        let email = email(&body.email)?;
        let password = body.password.as_deref().map(new_password).transpose()?;
        let role = body.role.as_deref().map(role).transpose()?.unwrap_or(Role::User);
        let said = body.profile.checked()?;
        let profile = Profile {
            id: String::new(),
            first_name: said.first_name.flatten(),
            last_name: said.last_name.flatten(),
            nickname: said.nickname.flatten(),
            position: said.position.flatten(),
        };
        Ok(Self { email, password, role, profile, discord_id: said.discord_id.flatten() })
    }
}

impl SetupPassword {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// [`InvalidInput`].
    pub fn parse(body: &[u8]) -> Result<Self, InvalidInput> {
        #[derive(Deserialize)]
        struct Body {
            token: String,
            password: String,
        }
        let body: Body = from_json(body)?;
        Ok(Self { token: Secret::new(body.token), password: new_password(&body.password)? })
    }
}

impl Login {
    /// Reads a body.
    ///
    /// # Errors
    /// [`InvalidInput::Body`].
    pub fn parse(body: &[u8]) -> Result<Self, InvalidInput> {
        #[derive(Deserialize)]
        struct Body {
            email: String,
            password: String,
            cookie: Option<bool>,
        }
        let body: Body = from_json(body)?;
        Ok(Self {
            email: normalized(&body.email),
            password: Secret::new(body.password),
            cookie: body.cookie.unwrap_or(false),
        })
    }
}

impl UpdateMe {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// [`InvalidInput`].
    pub fn parse(body: &[u8]) -> Result<Self, InvalidInput> {
        #[derive(Deserialize)]
        struct Body {
            password: Option<String>,
            #[serde(flatten)]
            profile: ProfileBody,
        }
        let body: Body = from_json(body)?;
        Ok(Self {
            password: body.password.as_deref().map(new_password).transpose()?,
            change: body.profile.checked()?,
        })
    }
}

/// Reads and checks the body of `PUT /api/auth/users/{id}`.
///
/// # Errors
/// [`InvalidInput`].
pub fn user_change(body: &[u8]) -> Result<UserChange, InvalidInput> {
    #[derive(Deserialize)]
    struct Body {
        email: Option<String>,
        role: Option<String>,
        is_active: Option<bool>,
        #[serde(flatten)]
        profile: ProfileBody,
    }
    let body: Body = from_json(body)?;
    Ok(UserChange {
        email: body.email.as_deref().map(email).transpose()?,
        role: body.role.as_deref().map(role).transpose()?,
        is_active: body.is_active,
        ..body.profile.checked()?
    })
}

#[derive(Deserialize)]
struct ProfileBody {
    #[serde(default, deserialize_with = "present")]
    first_name: Field,
    #[serde(default, deserialize_with = "present")]
    last_name: Field,
    #[serde(default, deserialize_with = "present")]
    nickname: Field,
    #[serde(default, deserialize_with = "present")]
    position: Field,
    #[serde(default, deserialize_with = "present")]
    discord_id: Field,
}

impl ProfileBody {
    fn checked(self) -> Result<UserChange, InvalidInput> {
        Ok(UserChange {
            first_name: text("first_name", self.first_name, PROFILE_FIELD_CHARS_MAX)?,
            last_name: text("last_name", self.last_name, PROFILE_FIELD_CHARS_MAX)?,
            nickname: text("nickname", self.nickname, PROFILE_FIELD_CHARS_MAX)?,
            position: text("position", self.position, PROFILE_FIELD_CHARS_MAX)?,
            discord_id: text("discord_id", self.discord_id, DISCORD_ID_CHARS_MAX)?,
            ..UserChange::default()
        })
    }
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn from_json<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, InvalidInput> {
    // A derived reader takes a list of a struct's fields as well; no client means to send one.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(InvalidInput::Body("expected a JSON object".into()));
    }
    serde_json::from_slice(body).map_err(|error| {
        InvalidInput::Body(error.to_string().chars().take(COMPLAINT_CHARS_MAX).collect())
    })
}

/// `email` trimmed and lower-cased, whatever it is.
pub(super) fn normalized(email: &str) -> String {
    email.trim().to_lowercase()
}

fn role(role: &str) -> Result<Role, InvalidInput> {
    Role::from_name(role).ok_or(InvalidInput::Role)
}

fn text(field: &'static str, value: Field, chars_max: usize) -> Result<Field, InvalidInput> {
    let bad = value
        .iter()
        .flatten()
        .any(|text| text.chars().count() > chars_max || text.chars().any(char::is_control));
    if bad { Err(InvalidInput::ProfileField { field, chars_max }) } else { Ok(value) }
}

#[cfg(test)]
mod tests;
