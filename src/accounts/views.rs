//! What clients are shown of a user, in the shapes that existing clients read.

use serde::Serialize;

use crate::base::secret::Secret;
use crate::store::{Profile, User};

/// `{"success":true}`
#[derive(Serialize)]
pub(super) struct Success {
    success: bool,
}

/// The answer to an invitation.
#[derive(Serialize)]
pub(super) struct Invited {
    success: bool,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    activated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    setup_link: Option<String>,
}

/// Whose link it is.
#[derive(Serialize)]
pub(super) struct LinkHolder<'a> {
    success: bool,
    email: &'a str,
}

/// The answer to a login.
#[derive(Serialize)]
pub(super) struct LoggedIn<'a> {
    success: bool,
    id: &'a str,
    user_id: &'a str,
    email: &'a str,
    role: &'static str,
    /// Absent if it comes as a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    profile: ProfileView<'a>,
}

/// The user's own account.
#[derive(Serialize)]
pub(super) struct Me<'a> {
    success: bool,
    id: &'a str,
    user_id: &'a str,
    email: &'a str,
    role: &'static str,
    discord_id: Option<&'a str>,
    profile: ProfileView<'a>,
}

/// Every user.
#[derive(Serialize)]
pub(super) struct UserList<'a> {
    success: bool,
    users: Vec<UserView<'a>>,
}

/// A user as admins see one.
#[derive(Serialize)]
struct UserView<'a> {
    id: &'a str,
    user_id: &'a str,
    email: &'a str,
    role: &'static str,
    is_active: bool,
    created_at: String,
    setup_token: Option<&'a str>,
    discord_id: Option<&'a str>,
    profile: ProfileView<'a>,
}

#[derive(Serialize)]
struct ProfileView<'a> {
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    nickname: Option<&'a str>,
    position: Option<&'a str>,
}

impl Success {
    pub(super) const fn new() -> Self {
        Self { success: true }
    }
}

impl Invited {
    pub(super) const fn activated() -> Self {
        let message = "User created and activated";
        Self { success: true, message, activated: Some(true), setup_link: None }
    }

    pub(super) fn with_link(setup_token: &str) -> Self {
        Self {
            success: true,
            message: "User invited",
            activated: None,
            setup_link: Some(format!("/setup-password?token={setup_token}")),
        }
    }
}

impl<'a> LinkHolder<'a> {
    pub(super) const fn new(email: &'a str) -> Self {
        Self { success: true, email }
    }
}

impl<'a> LoggedIn<'a> {
    pub(super) fn new(user: &'a User, token: Option<&'a str>) -> Self {
        Self {
            success: true,
            id: &user.id,
            user_id: &user.user_id,
            email: &user.email,
            role: user.role.as_str(),
            token,
            profile: ProfileView::new(&user.profile),
        }
    }
}

impl<'a> Me<'a> {
    pub(super) fn new(user: &'a User) -> Self {
        Self {
            success: true,
            id: &user.id,
            user_id: &user.user_id,
            email: &user.email,
            role: user.role.as_str(),
            discord_id: user.discord_id.as_deref(),
            profile: ProfileView::new(&user.profile),
        }
    }
}

impl<'a> UserList<'a> {
    pub(super) fn new(users: &'a [User]) -> Self {
        Self { success: true, users: users.iter().map(UserView::new).collect() }
    }
}

impl<'a> UserView<'a> {
    fn new(user: &'a User) -> Self {
        Self {
            id: &user.id,
            user_id: &user.user_id,
            email: &user.email,
            role: user.role.as_str(),
            is_active: user.is_active,
            created_at: user.created_at.rfc3339(),
            setup_token: user.setup_token.as_ref().map(Secret::expose),
            discord_id: user.discord_id.as_deref(),
            profile: ProfileView::new(&user.profile),
        }
    }
}

impl<'a> ProfileView<'a> {
    fn new(profile: &'a Profile) -> Self {
        Self {
            first_name: profile.first_name.as_deref(),
            last_name: profile.last_name.as_deref(),
            nickname: profile.nickname.as_deref(),
            position: profile.position.as_deref(),
        }
    }
}
