//! What can be asked for on the command line.

use std::path::PathBuf;

use crate::store::Role;

/// What the operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve.
    Serve,
    /// Show the usage and the settings.
    Help,
    /// Show the version.
    Version,
    /// Say whether the settings are valid.
    CheckConfig,
    /// Manage the users, without a login.
    User(UserCommand),
    /// Copy the embedded store, also while it is in use, to this file.
    Backup(PathBuf),
    /// Ask the server that the settings describe whether it is healthy.
    Healthcheck,
    /// Make the first administrator, through the server at this URL.
    Setup(String),
    /// Look at what a server needs, and at the way that its clients come.
    Doctor(Examination),
    /// Show what happens in a room.
    Watch(Watch),
}

/// What to do with the users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserCommand {
    /// Make one who can log in at once.
    Add {
        /// The login name.
        email: String,
        /// What the user may do.
        role: Role,
    },
    /// Show all.
    List,
    /// Set a password.
    Passwd {
        /// Whose.
        email: String,
    },
    /// Let a user log in no more, and end the tokens.
    Disable {
        /// Whom.
        email: String,
    },
}

/// What the doctor looks at beside the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examination {
    /// The public address, as [`public_url`](crate::config::public_url) gives it; `None`:
    /// `PUBLIC_URL`.
    pub url: Option<String>,
    /// Whether to try how long a WebSocket may be silent. Takes more than twice
    /// `PING_INTERVAL_SECONDS`, but a minute at most.
    pub is_slow: bool,
}

/// What is watched, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The room.
    pub room_code: String,
    /// The server, as [`public_url`](crate::config::public_url) gives it; `None`: the one that the
    /// settings describe.
    pub url: Option<String>,
    /// Events as they come, instead of lines for people.
    pub is_json: bool,
}
