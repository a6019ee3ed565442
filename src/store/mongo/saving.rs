//! Rooms are written: one, or many with one command, which the server makes durable at once.
//!
//! The command is `update` with one upsert for each room. The driver's own bulk write would need
//! MongoDB 8.

use mongodb::bson::{Bson, Document, doc, serialize_to_bson};
use mongodb::sync::{Collection, Database};

use super::documents::{self, number};
use super::errors::{DUPLICATE_KEY, OBJECT_TOO_LARGE, one_line, unless_duplicate};
use crate::base::batch::batch_len;
use crate::store::contract::{RoomRecord, StoreError};

/// Bytes of a document beyond which MongoDB, whose limit is 16 MiB, is not even asked.
const DOCUMENT_BYTES_MAX: usize = 15 << 20;
/// Rooms in one command at most.
const COMMAND_ROOMS_MAX: usize = 1_000;
/// Bytes of documents in one command at most, half of what a command may have.
const COMMAND_BYTES_MAX: usize = 8 << 20;

/// How many of `rooms`, from the first on, one command may store; one at least, if there is one.
pub(super) fn group_len(rooms: &[RoomRecord]) -> usize {
    let bytes = rooms.iter().map(|room| room.document.as_ref().map_or(0, String::len));
    batch_len(bytes, COMMAND_ROOMS_MAX, COMMAND_BYTES_MAX)
}

/// Stores one room.
pub(super) fn save_one(rooms: &Collection<Document>, room: &RoomRecord) -> Result<(), StoreError> {
    if room.document.as_ref().is_some_and(|text| text.len() > DOCUMENT_BYTES_MAX) {
        return Err(StoreError::TooLarge);
    }
    let saved = rooms.update_one(filter(room), update(room)).upsert(true).run();
    unless_duplicate(saved)?.map(drop).ok_or(StoreError::Conflict)
}

/// Stores several rooms of different codes; of each the outcome.
///
/// # Errors
/// [`StoreError::Unavailable`], of all of them: some may be stored.
pub(super) fn save_group(
    database: &Database,
    collection: &Collection<Document>,
    rooms: &[RoomRecord],
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let upsert = |room| doc! { "q": filter(room), "u": update(room), "upsert": true };
    let updates: Vec<Document> = rooms.iter().map(upsert).collect();
    let mut command = doc! { "update": collection.name(), "updates": updates, "ordered": false };
    // Unlike for the driver's own operations, the settings' does not come by itself.
    if let Some(concern) = database.write_concern().and_then(|w| serialize_to_bson(w).ok()) {
        command.insert("writeConcern", concern);
    }
    let reply = database.run_command(command).run()?;
    if let Ok(error) = reply.get_document("writeConcernError") {
        return Err(StoreError::Unavailable(message(error)));
    }
    let mut outcomes = vec![Ok(()); rooms.len()];
    for error in reply.get_array("writeErrors").into_iter().flatten().filter_map(Bson::as_document)
    {
        let index = number(error, "index").and_then(|index| usize::try_from(index).ok());
        let Some((index, room)) = index.and_then(|index| Some((index, rooms.get(index)?))) else {
            return Err(StoreError::Unavailable(message(error)));
        };
        outcomes[index] = match number(error, "code").and_then(|code| i32::try_from(code).ok()) {
            // Either another room has the code, or another process has just stored this one.
            Some(DUPLICATE_KEY) => save_one(collection, room),
            Some(OBJECT_TOO_LARGE) => Err(StoreError::TooLarge),
            _ => Err(StoreError::Unavailable(message(error))),
        };
    }
    Ok(outcomes)
}

/// Finds the stored room if it is `room`.
fn filter(room: &RoomRecord) -> Document {
    // `null` matches a field that is not there, too: a room of the old backend.
    let same_room = doc! { "$in": [&room.room_id, Bson::Null] };
    doc! { "room_code": &room.room_code, "room_id": same_room }
}

fn update(room: &RoomRecord) -> Document {
    doc! { "$set": documents::from_room(room) }
}

/// What the server says of an error, in one line.
fn message(error: &Document) -> String {
    one_line(error.get_str("errmsg").unwrap_or("MongoDB did not store it"))
}
