//! Our types as MongoDB documents and back. Reading is tolerant: the old backend wrote dates as
//! strings, and lacks what came later.

use mongodb::bson::{Bson, DateTime, Document, doc};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::base::hex;
use crate::base::secret::Secret;
use crate::base::time::UnixMillis;
use crate::config::HostAuth;
use crate::store::contract::{
    Profile, Role, RoomHead, RoomRecord, SETUP_LINK_MS, StoreError, User, UserChange,
};

/// A user without its profile.
pub(super) fn user(document: &Document) -> Result<User, StoreError> {
    let id = match document.get("_id") {
        Some(Bson::ObjectId(id)) => id.to_hex(),
        Some(Bson::String(id)) => id.clone(),
        _ => String::new(),
    };
    let Some(email) = text(document, "email").map(|email| email.trim().to_lowercase()) else {
        return Err(StoreError::Damaged(format!("user {id} in MongoDB has no email")));
    };
    let created_at = date(document, "created_at").unwrap_or_default();
    let setup_token = text(document, "setup_token").map(Secret::new);
    let setup_expires_at = date(document, "setup_expires_at")
        .or_else(|| setup_token.as_ref().map(|_| UnixMillis(created_at.0 + SETUP_LINK_MS)));
    let role = text(document, "role").map(|role| role.to_ascii_lowercase());
    Ok(User {
        user_id: text(document, "user_id").unwrap_or_else(|| id.clone()),
        id,
        email,
        role: role.and_then(|role| Role::from_name(&role)).unwrap_or_default(),
        password_hash: text(document, "password_hash").map(Secret::new),
        created_at,
        setup_token,
        setup_expires_at,
        is_active: document.get_bool("is_active").unwrap_or(true),
        discord_id: text(document, "discord_id"),
        version: integer(document, "token_version"),
        profile: Profile::default(),
    })
}

/// The profile of `user`; old data may have none, then it is called as the user is.
pub(super) fn profile_of(user: &User, document: Option<&Document>) -> Profile {
    let Some(document) = document else {
        return Profile { id: user.user_id.clone(), ..Profile::default() };
    };
    Profile {
        id: text(document, "_id").unwrap_or_else(|| user.user_id.clone()),
        first_name: text(document, "first_name"),
        last_name: text(document, "last_name"),
        nickname: text(document, "nickname"),
        position: text(document, "position"),
    }
}

/// A room, of which `document` has the length of the document in place of it.
pub(super) fn room_head(document: &Document) -> Result<RoomHead, StoreError> {
    let Some(room_code) = text(document, "room_code") else {
        return Err(StoreError::Damaged("a room in MongoDB has no room_code".to_owned()));
    };
    let updated_at = date(document, "last_sync").unwrap_or_default();
    let host_auth = document.get_str("host_auth").ok().and_then(HostAuth::from_name);
    let room = RoomRecord {
        room_code,
        room_id: text(document, "room_id"),
        host_id: text(document, "host_id"),
        host_auth: host_auth.unwrap_or_default(),
        host_token_hash: text(document, "host_token_hash").and_then(|text| hex::decode(&text)),
        document: None,
        created_at: date(document, "created_at").unwrap_or(updated_at),
        updated_at,
    };
    let bytes = number(document, "document_bytes");
    Ok(RoomHead { room, document_bytes: bytes.and_then(|bytes| usize::try_from(bytes).ok()) })
}

/// The expression for the bytes of a text `field`; `null` where there is no text.
pub(super) fn length_of(field: &str) -> Document {
    let field = format!("${field}");
    let is_text = doc! { "$eq": [{ "$type": &field }, "string"] };
    doc! { "$cond": [is_text, { "$strLenBytes": &field }, Bson::Null] }
}

/// The document of a room.
pub(super) fn document(mut room: Document) -> Option<String> {
    match room.remove("document") {
        Some(Bson::String(text)) => Some(text),
        _ => None,
    }
}

/// A new user, without `_id` and profile.
pub(super) fn from_user(user: &User) -> Document {
    doc! {
        "user_id": &user.user_id,
        "email": &user.email,
        "role": user.role.as_str(),
        "password_hash": user.password_hash.as_ref().map(Secret::expose),
        "created_at": user.created_at.rfc3339(),
        "setup_token": user.setup_token.as_ref().map(Secret::expose),
        "setup_expires_at": user.setup_expires_at.map(|at| DateTime::from_millis(at.0)),
        "is_active": user.is_active,
        "discord_id": &user.discord_id,
        "token_version": i64::try_from(user.version).unwrap_or(i64::MAX),
    }
}

/// A new profile; `user_id` comes from the filter of the upsert.
pub(super) fn from_profile(user_id: &str, profile: &Profile) -> Document {
    let id = if profile.id.is_empty() { user_id } else { &profile.id };
    doc! {
        "_id": id,
        "first_name": &profile.first_name,
        "last_name": &profile.last_name,
        "nickname": &profile.nickname,
        "position": &profile.position,
    }
}

/// What `$set` has for a room; the code is in the filter. Without a document the stored one stays.
pub(super) fn from_room(room: &RoomRecord) -> Document {
    let mut fields = doc! {
        "room_id": &room.room_id,
        "host_id": &room.host_id,
        "host_auth": room.host_auth.as_str(),
        "host_token_hash": room.host_token_hash.map(|hash| hex::encode(&hash)),
        "created_at": DateTime::from_millis(room.created_at.0),
        "last_sync": DateTime::from_millis(room.updated_at.0),
    };
    if let Some(document) = &room.document {
        fields.insert("document", document);
    }
    fields
}

/// The update of a user's own document; empty if nothing of it changes.
pub(super) fn user_changes(change: &UserChange) -> Document {
    let mut set = Document::new();
    if let Some(email) = &change.email {
        set.insert("email", email);
    }
    if let Some(role) = change.role {
        set.insert("role", role.as_str());
    }
    if let Some(is_active) = change.is_active {
        set.insert("is_active", is_active);
    }
    if let Some(discord_id) = &change.discord_id {
        set.insert("discord_id", discord_id);
    }
    if let Some(password_hash) = &change.password_hash {
        set.insert("password_hash", password_hash.expose());
        set.insert("setup_token", Bson::Null);
        set.insert("setup_expires_at", Bson::Null);
    }
    let mut update = Document::new();
    if !set.is_empty() {
        update.insert("$set", set);
    }
    if change.end_tokens {
        update.insert("$inc", doc! { "token_version": 1_i64 });
    }
    update
}

/// What `$set` has for a profile; empty if nothing of it changes.
pub(super) fn profile_changes(change: &UserChange) -> Document {
    let fields = [
        ("first_name", &change.first_name),
        ("last_name", &change.last_name),
        ("nickname", &change.nickname),
        ("position", &change.position),
    ];
    let changed = fields.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    changed.map(|(name, value)| (name.to_owned(), Bson::from(value.clone()))).collect()
}

/// `text` as a regular expression that matches just that.
pub(super) fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$#&-~/".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

fn text(document: &Document, field: &str) -> Option<String> {
    document.get_str(field).ok().map(str::to_owned)
}

fn integer(document: &Document, field: &str) -> u64 {
    number(document, field).and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}

/// A number, in whichever form servers send it.
pub(super) fn number(document: &Document, field: &str) -> Option<i64> {
    match document.get(field)? {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        _ => None,
    }
}

/// A BSON date, or RFC 3339 text.
fn date(document: &Document, field: &str) -> Option<UnixMillis> {
    match document.get(field)? {
        Bson::DateTime(at) => Some(UnixMillis(at.timestamp_millis())),
        Bson::String(text) => {
            let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
            i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok().map(UnixMillis)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_of_the_old_backend_is_understood() {
        let old = doc! {
            "_id": mongodb::bson::oid::ObjectId::from_bytes([7; 12]),
            "user_id": "0190-u",
            "email": "Somchai@Example.com",
            "role": "Admin",
            "password_hash": "$2b$12$abc",
            "created_at": "2025-01-02T03:04:05+07:00",
            "setup_token": Bson::Null,
            "something_else": 5,
        };
        let user = user(&old).expect("a user");
        assert_eq!(
            (user.id.as_str(), user.email.as_str()),
            ("07".repeat(12).as_str(), "somchai@example.com")
        );
        assert_eq!((user.role, user.is_active, user.version), (Role::Admin, true, 0));
        assert_eq!(user.created_at.rfc3339(), "2025-01-01T20:04:05.000Z");
        assert!(user.setup_token.is_none() && user.setup_expires_at.is_none());
        let invited = doc! {
            "email": "a@b",
            "created_at": DateTime::from_millis(1_000),
            "setup_token": "t",
        };
        let invited = super::user(&invited).expect("a user");
        assert_eq!(invited.setup_expires_at, Some(UnixMillis(1_000 + SETUP_LINK_MS)));
        assert!(super::user(&doc! { "role": "user" }).is_err());
    }

    #[test]
    fn an_email_is_matched_as_it_is() {
        assert_eq!(escaped("a.b+c@x"), r"a\.b\+c@x");
    }
}
