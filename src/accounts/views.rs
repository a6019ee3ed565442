//! What clients are shown of a user, in the shapes that existing clients read.

use serde::Serialize;
use serde_json::Value;

use crate::base::secret::Secret;
use crate::store::{Profile, User};

/// A user. What is `None` is left out.
#[derive(Serialize)]
pub(super) struct UserView<'a> {
    id: &'a str,
    user_id: &'a str,
    email: &'a str,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_active: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    setup_token: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    discord_id: Option<Value>,
    profile: &'a Profile,
}

impl<'a> UserView<'a> {
    /// The answer to a login, with the token unless that comes as a cookie.
    pub(super) fn logged_in(user: &'a User, token: Option<&'a str>) -> Self {
        Self {
            id: &user.id,
            user_id: &user.user_id,
            email: &user.email,
            role: user.role.as_str(),
            token,
            is_active: None,
            created_at: None,
            setup_token: None,
            discord_id: None,
            profile: &user.profile,
        }
    }

    /// The user's own account.
    pub(super) fn own(user: &'a User) -> Self {
        Self { discord_id: Some(user.discord_id.as_deref().into()), ..Self::logged_in(user, None) }
    }

    /// A user as admins see one.
    pub(super) fn whole(user: &'a User) -> Self {
        Self {
            is_active: Some(user.is_active),
            created_at: Some(user.created_at.rfc3339()),
            setup_token: Some(user.setup_token.as_ref().map(Secret::expose).into()),
            ..Self::own(user)
        }
    }
}

/// The answer to an invitation.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Invited {
    Activated { message: &'static str, activated: bool },
    Linked { message: &'static str, setup_link: String },
}

impl Invited {
    pub(super) fn new(user: &User) -> Self {
        match &user.setup_token {
            None => Self::Activated { message: "User created and activated", activated: true },
            Some(token) => Self::Linked {
                message: "User invited",
                setup_link: format!("/setup-password?token={}", token.expose()),
            },
        }
    }
}
