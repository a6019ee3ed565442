//! What a row means.

use rusqlite::types::Type;
use rusqlite::{Error, Row};

use crate::base::secret::Secret;
use crate::base::time::UnixMillis;
use crate::config::HostAuth;
use crate::store::{AccountState, Profile, Role, RoomRecord, User, UserChange};

pub(super) const ROOM_COLUMNS: &str = "room_code, room_id, host_id, host_auth, host_token_hash, \
                                       created_at, updated_at, document";

pub(super) const USER_COLUMNS: &str = "user_id, email, role, password_hash, created_at, \
                                       setup_token, setup_expires_at, is_active, discord_id, \
                                       version, profile_id, first_name, last_name, nickname, \
                                       position";

/// Every column of the user `$user`. A macro, for the parameters borrow temporary values.
macro_rules! user_params {
    ($user:expr) => {
        rusqlite::named_params! {
            ":user_id": $user.user_id,
            ":email": $user.email,
            ":role": $user.role.as_str(),
            ":password_hash": $user.password_hash.as_ref().map(Secret::expose),
            ":created_at": $user.created_at.0,
            ":setup_token": $user.setup_token.as_ref().map(Secret::expose),
            ":setup_expires_at": $user.setup_expires_at.map(|at| at.0),
            ":is_active": $user.is_active,
            ":discord_id": $user.discord_id,
            ":version": $crate::store::sqlite::rows::version_column($user.version),
            ":profile_id": $user.profile.id,
            ":first_name": $user.profile.first_name,
            ":last_name": $user.profile.last_name,
            ":nickname": $user.profile.nickname,
            ":position": $user.profile.position,
        }
    };
}
pub(super) use user_params;

pub(super) fn read_room(row: &Row<'_>) -> Result<RoomRecord, Error> {
    Ok(RoomRecord {
        room_code: row.get("room_code")?,
        room_id: row.get("room_id")?,
        host_id: row.get("host_id")?,
        host_auth: match row.get_ref("host_auth")?.as_str()? {
            "token" => HostAuth::Token,
            _ => HostAuth::PeerId,
        },
        host_token_hash: row.get("host_token_hash")?,
        document: row.get("document")?,
        created_at: UnixMillis(row.get("created_at")?),
        updated_at: UnixMillis(row.get("updated_at")?),
    })
}

pub(super) fn read_user(row: &Row<'_>) -> Result<User, Error> {
    let user_id: String = row.get("user_id")?;
    let state = read_state(row)?;
    Ok(User {
        id: user_id.clone(),
        user_id,
        email: row.get("email")?,
        role: state.role,
        password_hash: row.get::<_, Option<String>>("password_hash")?.map(Secret::new),
        created_at: UnixMillis(row.get("created_at")?),
        setup_token: row.get::<_, Option<String>>("setup_token")?.map(Secret::new),
        setup_expires_at: row.get::<_, Option<i64>>("setup_expires_at")?.map(UnixMillis),
        is_active: state.is_active,
        discord_id: row.get("discord_id")?,
        version: state.version,
        profile: Profile {
            id: row.get("profile_id")?,
            first_name: row.get("first_name")?,
            last_name: row.get("last_name")?,
            nickname: row.get("nickname")?,
            position: row.get("position")?,
        },
    })
}

pub(super) fn read_state(row: &Row<'_>) -> Result<AccountState, Error> {
    let version: i64 = row.get("version")?;
    Ok(AccountState {
        version: u64::try_from(version)
            .map_err(|error| Error::FromSqlConversionFailure(0, Type::Integer, error.into()))?,
        role: Role::from_name(row.get_ref("role")?.as_str()?).unwrap_or_default(),
        is_active: row.get("is_active")?,
    })
}

/// `user` after `change`.
pub(super) fn changed(mut user: User, change: &UserChange) -> User {
    fn set<T: Clone>(field: &mut T, value: Option<&T>) {
        if let Some(value) = value {
            field.clone_from(value);
        }
    }
    set(&mut user.email, change.email.as_ref());
    set(&mut user.role, change.role.as_ref());
    set(&mut user.is_active, change.is_active.as_ref());
    if let Some(password_hash) = &change.password_hash {
        user.password_hash = Some(password_hash.clone());
        user.setup_token = None;
        user.setup_expires_at = None;
    }
    set(&mut user.discord_id, change.discord_id.as_ref());
    set(&mut user.profile.first_name, change.first_name.as_ref());
    set(&mut user.profile.last_name, change.last_name.as_ref());
    set(&mut user.profile.nickname, change.nickname.as_ref());
    set(&mut user.profile.position, change.position.as_ref());
    if change.end_tokens {
        user.version = user.version.saturating_add(1);
    }
    user
}

pub(super) fn host_auth_name(host_auth: HostAuth) -> &'static str {
    match host_auth {
        HostAuth::PeerId => "peer_id",
        HostAuth::Token => "token",
    }
}

/// `SQLite` has signed integers only; a version that high cannot be reached by counting.
pub(super) fn version_column(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}
