//! A client's text becomes an action.
//!
//! One pass over the text finds the fields and checks that it is JSON; what a field holds is
//! looked at only if the action uses it. Everything is borrowed from the text: a broadcast
//! allocates nothing and its `data` is relayed as the bytes that came. Nesting needs no limit,
//! because nothing here, nor in the rooms, descends into it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::ErrorCode;
use crate::base::room_code::ROOM_CODE_BYTES_MAX;
use crate::rooms::{Join, RawJson, TokenHash};

/// Bytes of an `id` as it stands in the message, quotes and escapes included.
pub const ID_BYTES_MAX: usize = 128;

/// Characters of a `peer_id`.
pub const PEER_ID_CHARS_MAX: usize = 128;

/// Bytes of `metadata` as it stands in the message.
pub const METADATA_BYTES_MAX: usize = 4 * 1024;

/// Bytes of a `host_token`.
pub const HOST_TOKEN_BYTES_MAX: usize = 256;

/// Characters of an unknown action that are repeated in the answer.
const UNKNOWN_ACTION_CHARS_MAX: usize = 32;

/// The `id` of a message: the JSON text of a string or an integer, at most [`ID_BYTES_MAX`] bytes.
/// It is given back as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageId<'a>(Cow<'a, str>);

/// One message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The client wants to know of this message what became of it.
    pub id: Option<MessageId<'a>>,
    /// What the client asks for.
    pub action: ClientAction<'a>,
}

/// An action and the fields that it uses (protocol, *Client to server*).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAction<'a> {
    /// Enter a room. `room_code` has 1 to [`ROOM_CODE_BYTES_MAX`] bytes, `peer_id` 1 to
    /// [`PEER_ID_CHARS_MAX`] characters, or is missing: then the server picks one. `metadata` has
    /// at most [`METADATA_BYTES_MAX`] bytes and is `null` if there was none, and the token that was
    /// hashed at most [`HOST_TOKEN_BYTES_MAX`].
    Join(Join<'a, Option<Cow<'a, str>>>),
    /// `data` to every other connection in the room.
    Broadcast {
        /// Any JSON value, `null` too.
        data: RawJson<'a>,
    },
    /// Replace the room's document.
    SyncDocument {
        /// A JSON string with its quotes and escapes.
        document: RawJson<'a>,
    },
    /// Send me the document.
    RequestSync,
    /// Out of the room.
    Leave,
    /// Answer with a pong.
    Ping,
}

/// A message that cannot be carried out. The client is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError<'a> {
    /// What kind of error it is.
    pub code: ErrorCode,
    /// What is wrong, for people; at most a few hundred bytes.
    pub message: String,
    /// The message's `id`, if it was well-formed enough to have one.
    pub id: Option<MessageId<'a>>,
}

impl MessageId<'_> {
    /// The JSON text of the id.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// The id, independent of the message's text.
    pub fn to_owned(&self) -> MessageId<'static> {
        MessageId(Cow::Owned(self.0.clone().into_owned()))
    }
}

/// Reads one message.
///
/// Fields that the action does not use may hold anything. An optional field that is `null` is
/// absent. Of a field that stands there twice the last one counts, as in a browser.
///
/// # Errors
///
/// What to answer: [`ErrorCode::BadMessage`], [`ErrorCode::UnknownAction`] or
/// [`ErrorCode::TooLarge`], with the message's id if that could be read.
pub fn parse(text: &str) -> Result<Message<'_>, ParseError<'_>> {
    let refuse = |Refusal { code, message }, id| ParseError { code, message, id };
    let fields = Fields::read(text).map_err(|refusal| refuse(refusal, None))?;
    let id = fields.id().map_err(|refusal| refuse(refusal, None))?;
    match fields.action() {
        Ok(action) => Ok(Message { id, action }),
        Err(refusal) => Err(refuse(refusal, id)),
    }
}

/// A [`ParseError`] before the id is known.
struct Refusal {
    code: ErrorCode,
    message: String,
}

/// The fields of all actions, not looked at yet.
#[derive(Default)]
struct Fields<'a>([Option<&'a RawValue>; Field::Unknown as usize + 1]);

/// The name of a field.
#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Action,
    Id,
    RoomCode,
    PeerId,
    IsHost,
    Metadata,
    HostToken,
    Data,
    Document,
    #[serde(other)]
    Unknown,
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Result<Self, Refusal> {
        // serde_json would repeat whatever stands there instead of an object, at full length.
        match text.trim_ascii_start().as_bytes().first() {
            Some(b'{') | None => serde_json::from_str(text).map_err(bad_message),
            Some(_) => Err(bad_message("expected a JSON object")),
        }
    }

    /// The JSON text of an optional field; `null` is absent.
    fn present(&self, field: Field) -> Option<&'a str> {
        self.0[field as usize].map(RawValue::get).filter(|json| *json != "null")
    }

    /// The JSON text of a field that has to be there.
    fn required(&self, name: &str, field: Field) -> Result<&'a str, Refusal> {
        let json = self.0[field as usize].map(RawValue::get);
        json.ok_or_else(|| bad_message(format!("missing field `{name}`")))
    }

    fn id(&self) -> Result<Option<MessageId<'a>>, Refusal> {
        let Some(id) = self.present(Field::Id) else { return Ok(None) };
        let is_integer = id.strip_prefix('-').unwrap_or(id).bytes().all(|b| b.is_ascii_digit());
        if !is_integer && !id.starts_with('"') {
            return Err(bad_message("`id` must be a string or an integer"));
        }
        within("id", id.len(), ID_BYTES_MAX, "bytes")?;
        Ok(Some(MessageId(Cow::Borrowed(id))))
    }

    fn action(&self) -> Result<ClientAction<'a>, Refusal> {
        let action = self.required("action", Field::Action)?;
        match &*string("action", action)? {
            "broadcast" => {
                let data = RawJson(self.required("data", Field::Data)?);
                Ok(ClientAction::Broadcast { data })
            }
            "sync_document" => {
                let document = RawJson(self.required("document", Field::Document)?);
                if !document.0.starts_with('"') {
                    return Err(bad_message("`document` must be a string"));
                }
                Ok(ClientAction::SyncDocument { document })
            }
            "join" => self.join(),
            "request_sync" => Ok(ClientAction::RequestSync),
            "leave" => Ok(ClientAction::Leave),
            "ping" => Ok(ClientAction::Ping),
            unknown => {
                let shown: String = unknown.chars().take(UNKNOWN_ACTION_CHARS_MAX).collect();
                let code = ErrorCode::UnknownAction;
                Err(Refusal { code, message: format!("{}: {shown}", code.message()) })
            }
        }
    }

    fn join(&self) -> Result<ClientAction<'a>, Refusal> {
        let room_code = string("room_code", self.required("room_code", Field::RoomCode)?)?;
        not_empty("room_code", &room_code)?;
        within("room_code", room_code.len(), ROOM_CODE_BYTES_MAX, "bytes")?;

        let peer_id = self.present(Field::PeerId).map(|raw| string("peer_id", raw)).transpose()?;
        if let Some(peer_id) = &peer_id {
            not_empty("peer_id", peer_id)?;
            within("peer_id", peer_id.chars().count(), PEER_ID_CHARS_MAX, "characters")?;
        }
        let is_host = match self.present(Field::IsHost) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(bad_message("`is_host` must be true or false")),
        };
        let metadata = self.present(Field::Metadata).unwrap_or("null");
        within("metadata", metadata.len(), METADATA_BYTES_MAX, "bytes")?;

        let host_token =
            self.present(Field::HostToken).map(|raw| string("host_token", raw)).transpose()?;
        let host_token_bytes = host_token.as_ref().map_or(0, |token| token.len());
        within("host_token", host_token_bytes, HOST_TOKEN_BYTES_MAX, "bytes")?;
        let host_token = host_token.map(|token| TokenHash::of(&token));

        let metadata = metadata.into();
        Ok(ClientAction::Join(Join { room_code, peer_id, is_host, metadata, host_token }))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(field) = map.next_key::<Field>()? {
            fields.0[field as usize] = Some(map.next_value()?);
        }
        Ok(fields)
    }
}

/// The text of a string, borrowed unless it has escapes.
fn string<'a>(name: &str, json: &'a str) -> Result<Cow<'a, str>, Refusal> {
    let quoted = json.strip_prefix('"').and_then(|json| json.strip_suffix('"'));
    match quoted {
        Some(text) if !text.contains('\\') => Ok(Cow::Borrowed(text)),
        Some(_) => serde_json::from_str(json)
            .map(Cow::Owned)
            .map_err(|_| bad_message(format!("`{name}` must be a string of whole characters"))),
        None => Err(bad_message(format!("`{name}` must be a string"))),
    }
}

fn not_empty(name: &str, text: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(bad_message(format!("`{name}` must not be empty")));
    }
    Ok(())
}

fn within(name: &str, length: usize, length_max: usize, unit: &str) -> Result<(), Refusal> {
    if length > length_max {
        let message = format!("`{name}` is longer than {length_max} {unit}");
        return Err(Refusal { code: ErrorCode::TooLarge, message });
    }
    Ok(())
}

fn bad_message(why: impl fmt::Display) -> Refusal {
    let code = ErrorCode::BadMessage;
    Refusal { code, message: format!("{}: {why}", code.message()) }
}

#[cfg(test)]
mod tests;
