//! What clients send: typed request bodies, checked once, before anything else looks at them.
//!
//! Pure: JSON bytes in, values within bounds out. Unknown fields are ignored. `null` is absent,
//! except for the fields of a profile in an update, where it clears the field.

use serde::{Deserialize, Deserializer};

use super::password::{PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};
use crate::base::secret::Secret;
use crate::config::AddressKey;
use crate::store::{Profile, Role, UserChange};

/// Longest e-mail address, in bytes (RFC 5321, section 4.5.3.1.3, less the angle brackets).
pub const EMAIL_BYTES_MAX: usize = 254;

/// Longest field of a profile, in characters.
pub const PROFILE_FIELD_CHARS_MAX: usize = 200;

/// Longest `discord_id`, in characters.
pub const DISCORD_ID_CHARS_MAX: usize = 64;

/// Most characters of a parser's complaint that are passed on: it may quote what was sent.
const COMPLAINT_CHARS_MAX: usize = 200;

/// What is wrong with a request. The sender is to blame; the text says how to do better.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The body is no JSON, no object, or a field has another type.
    #[error("Invalid request body: {0}")]
    Body(String),
    /// No address that mail could be sent to.
    #[error("Invalid email")]
    Email,
    /// Too short or too long for a new password.
    #[error("Password must have {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes")]
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
    /// Names and so on.
    pub profile: ProfileChange,
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
    pub profile: ProfileChange,
}

/// `PUT /api/auth/users/{id}`
#[derive(Debug)]
pub struct UpdateUser {
    /// Trimmed and lower-cased.
    pub email: Option<String>,
    /// The new role.
    pub role: Option<Role>,
    /// Whether the user may log in.
    pub is_active: Option<bool>,
    /// Names and so on.
    pub profile: ProfileChange,
}

/// A field that can be cleared: `None` is absent, `Some(None)` is `null`.
pub type Field = Option<Option<String>>;

/// What a request says of a profile and of the Discord account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// First name.
    pub first_name: Field,
    /// Last name.
    pub last_name: Field,
    /// Shown name.
    pub nickname: Field,
    /// Position.
    pub position: Field,
    /// Discord account.
    pub discord_id: Field,
}

/// What failed logins are counted by: one e-mail from one address. Nobody can lock somebody else's
/// account from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoginKey {
    /// Of the e-mail, trimmed and lower-cased.
    pub email_hash: u64,
    /// Where the login comes from.
    pub address: AddressKey,
}

impl LoginKey {
    /// The key of a login as `email`, which [`login_email`] has found, from `address`.
    pub fn new(email: &str, address: AddressKey) -> Self {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(email.as_bytes());
        // The first 64 of 256 bits: a key of a table, and two that meet only share a counter.
        let email_hash = digest.iter().take(8).fold(0, |hash, &byte| hash << 8 | u64::from(byte));
        Self { email_hash, address }
    }
}

/// The e-mail that a login's body names, trimmed and lower-cased; `None` when the body is none
/// that [`Login::parse`] takes.
pub fn login_email(body: &[u8]) -> Option<String> {
    Login::parse(body).ok().map(|login| login.email)
}

/// `email` trimmed and lower-cased, if it can be one.
///
/// # Errors
/// [`InputError::Email`] unless it has one `@` with something on both sides, at most
/// [`EMAIL_BYTES_MAX`] bytes, no spaces and no control characters.
pub fn email(email: &str) -> Result<String, InputError> {
    let email = normalized(email);
    let parts = email
        .split_once('@')
        .filter(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    let printable = !email.chars().any(|char| char.is_whitespace() || char.is_control());
    if parts.is_some() && printable && email.len() <= EMAIL_BYTES_MAX {
        Ok(email)
    } else {
        Err(InputError::Email)
    }
}

/// `password`, if it may be set.
///
/// # Errors
/// [`InputError::PasswordLength`].
pub fn new_password(password: &str) -> Result<Secret, InputError> {
    if (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&password.len()) {
        Ok(Secret::new(password))
    } else {
        Err(InputError::PasswordLength)
    }
}

impl ProfileChange {
    /// The change of a user's record that it asks for, and no other.
    pub fn into_change(self) -> UserChange {
        UserChange {
            first_name: self.first_name,
            last_name: self.last_name,
            nickname: self.nickname,
            position: self.position,
            discord_id: self.discord_id,
            ..UserChange::default()
        }
    }

    /// A new profile with the id `id`, and the Discord account.
    pub fn into_profile(self, id: String) -> (Profile, Option<String>) {
        let profile = Profile {
            id,
            first_name: self.first_name.flatten(),
            last_name: self.last_name.flatten(),
            nickname: self.nickname.flatten(),
            position: self.position.flatten(),
        };
        (profile, self.discord_id.flatten())
    }
}

impl Invite {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// [`InputError`].
    pub fn parse(body: &[u8]) -> Result<Self, InputError> {
        #[derive(Deserialize)]
        struct Body {
            email: String,
            password: Option<String>,
            role: Option<String>,
            #[serde(flatten)]
            profile: ProfileBody,
        }
        let body: Body = from_json(body)?;
        Ok(Self {
            email: email(&body.email)?,
            password: body.password.as_deref().map(new_password).transpose()?,
            role: body.role.as_deref().map(role).transpose()?.unwrap_or(Role::User),
            profile: body.profile.checked()?,
        })
    }
}

impl SetupPassword {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// [`InputError`].
    pub fn parse(body: &[u8]) -> Result<Self, InputError> {
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
    /// [`InputError::Body`].
    pub fn parse(body: &[u8]) -> Result<Self, InputError> {
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
    /// [`InputError`].
    pub fn parse(body: &[u8]) -> Result<Self, InputError> {
        #[derive(Deserialize)]
        struct Body {
            password: Option<String>,
            #[serde(flatten)]
            profile: ProfileBody,
        }
        let body: Body = from_json(body)?;
        Ok(Self {
            password: body.password.as_deref().map(new_password).transpose()?,
            profile: body.profile.checked()?,
        })
    }
}

impl UpdateUser {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// [`InputError`].
    pub fn parse(body: &[u8]) -> Result<Self, InputError> {
        #[derive(Deserialize)]
        struct Body {
            email: Option<String>,
            role: Option<String>,
            is_active: Option<bool>,
            #[serde(flatten)]
            profile: ProfileBody,
        }
        let body: Body = from_json(body)?;
        Ok(Self {
            email: body.email.as_deref().map(email).transpose()?,
            role: body.role.as_deref().map(role).transpose()?,
            is_active: body.is_active,
            profile: body.profile.checked()?,
        })
    }
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
    fn checked(self) -> Result<ProfileChange, InputError> {
        Ok(ProfileChange {
            first_name: text("first_name", self.first_name, PROFILE_FIELD_CHARS_MAX)?,
            last_name: text("last_name", self.last_name, PROFILE_FIELD_CHARS_MAX)?,
            nickname: text("nickname", self.nickname, PROFILE_FIELD_CHARS_MAX)?,
            position: text("position", self.position, PROFILE_FIELD_CHARS_MAX)?,
            discord_id: text("discord_id", self.discord_id, DISCORD_ID_CHARS_MAX)?,
        })
    }
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn from_json<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, InputError> {
    // A derived reader takes a list of a struct's fields as well; nobody means to send one.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(InputError::Body("expected a JSON object".into()));
    }
    serde_json::from_slice(body).map_err(|error| {
        InputError::Body(error.to_string().chars().take(COMPLAINT_CHARS_MAX).collect())
    })
}

/// `email` trimmed and lower-cased, whatever it is.
pub(super) fn normalized(email: &str) -> String {
    email.trim().to_lowercase()
}

fn role(role: &str) -> Result<Role, InputError> {
    Role::from_name(role).ok_or(InputError::Role)
}

fn text(field: &'static str, value: Field, chars_max: usize) -> Result<Field, InputError> {
    let bad = value
        .iter()
        .flatten()
        .any(|text| text.chars().count() > chars_max || text.chars().any(char::is_control));
    if bad { Err(InputError::ProfileField { field, chars_max }) } else { Ok(value) }
}

#[cfg(test)]
mod tests;
