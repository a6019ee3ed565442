//! Events and replies become JSON text.
//!
//! Written by hand, because this runs for every message: fields in the order of the protocol's
//! table, JSON that a client sent copied as it came.

use super::document::{self, write_string};
use super::error::ErrorCode;
use super::parse::MessageId;
use crate::rooms::{Event, Peer, RoomView};

/// An answer to one client that is no event of a room.
#[derive(Clone, Copy, Debug)]
pub enum Reply<'a> {
    /// To `ping`.
    Pong,
    /// The action with this id has taken effect.
    Ack {
        /// As the client sent it.
        id: &'a MessageId<'a>,
    },
    /// The action is refused.
    Error {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people.
        message: &'a str,
        /// As the client sent it, if it did.
        id: Option<&'a MessageId<'a>>,
    },
}

/// Appends the JSON text of `event` to `out`.
///
/// A document exists as a frame already, which is better sent than encoded afresh; here its
/// message is copied out of that frame.
pub fn encode_event(event: &Event<'_>, out: &mut Vec<u8>) {
    match event {
        Event::Connected { peer_id, room_code } => {
            out.extend_from_slice(br#"{"type":"connected","peer_id":"#);
            write_string(peer_id, out);
            out.extend_from_slice(br#","room_code":"#);
            write_string(room_code, out);
            out.push(b'}');
        }
        Event::RoomInfo { room } => {
            write_room_info(room.code(), room.host_id(), room.peers(), out);
        }
        Event::DocumentSync { document } => {
            let message = document.and_then(document::message);
            debug_assert_eq!(message.is_some(), document.is_some(), "a document is a frame");
            out.extend_from_slice(message.unwrap_or(br#"{"type":"document_sync","document":""}"#));
        }
        Event::PeerJoined { peer } => {
            out.extend_from_slice(br#"{"type":"peer_joined","peer":"#);
            write_peer(peer, out);
            out.push(b'}');
        }
        Event::PeerLeft { peer_id } => {
            out.extend_from_slice(br#"{"type":"peer_left","peer_id":"#);
            write_string(peer_id, out);
            out.push(b'}');
        }
        Event::Data { from, data } => {
            out.extend_from_slice(br#"{"type":"data","from":"#);
            write_string(from, out);
            out.extend_from_slice(br#","data":"#);
            out.extend_from_slice(data.0.as_bytes());
            out.push(b'}');
        }
    }
}

/// Appends the JSON text of `reply` to `out`.
pub fn encode_reply(reply: &Reply<'_>, out: &mut Vec<u8>) {
    match reply {
        Reply::Pong => out.extend_from_slice(br#"{"type":"pong"}"#),
        Reply::Ack { id } => {
            out.extend_from_slice(br#"{"type":"ack","id":"#);
            out.extend_from_slice(id.as_json().as_bytes());
            out.push(b'}');
        }
        Reply::Error { code, message, id } => {
            out.extend_from_slice(br#"{"type":"error","message":"#);
            write_string(message, out);
            out.extend_from_slice(br#","code":"#);
            write_string(code.as_str(), out);
            if let Some(id) = id {
                out.extend_from_slice(br#","id":"#);
                out.extend_from_slice(id.as_json().as_bytes());
            }
            out.push(b'}');
        }
    }
}

/// Appends the JSON text that `GET /api/rooms/{code}` is answered with to `out`.
pub fn encode_room_view(room: &RoomView<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"success":true,"room_code":"#);
    write_string(room.code(), out);
    out.extend_from_slice(br#","host_id":"#);
    write_string(room.host_id(), out);
    out.extend_from_slice(br#","peers":"#);
    let peer_count = write_peers(room.peers(), out);
    out.extend_from_slice(br#","peer_count":"#);
    out.extend_from_slice(itoa::Buffer::new().format(peer_count).as_bytes());
    out.extend_from_slice(br#","created_at":""#);
    room.created_at().write_rfc3339(out);
    out.extend_from_slice(br#""}"#);
}

fn write_room_info<'p>(
    room_code: &str,
    host_id: &str,
    peers: impl Iterator<Item = &'p Peer>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(br#"{"type":"room_info","room_code":"#);
    write_string(room_code, out);
    out.extend_from_slice(br#","host_id":"#);
    write_string(host_id, out);
    out.extend_from_slice(br#","peers":"#);
    write_peers(peers, out);
    out.push(b'}');
}

/// Appends the array of `peers`; returns how many they are.
fn write_peers<'p>(peers: impl Iterator<Item = &'p Peer>, out: &mut Vec<u8>) -> usize {
    let mut count = 0;
    out.push(b'[');
    for peer in peers {
        if count > 0 {
            out.push(b',');
        }
        write_peer(peer, out);
        count += 1;
    }
    out.push(b']');
    count
}

fn write_peer(peer: &Peer, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"id":"#);
    write_string(&peer.id, out);
    out.extend_from_slice(br#","joined_at":""#);
    peer.joined_at.write_rfc3339(out);
    out.extend_from_slice(br#"","is_host":"#);
    out.extend_from_slice(if peer.is_host { b"true" } else { b"false" });
    out.extend_from_slice(br#","metadata":"#);
    out.extend_from_slice(peer.metadata.as_bytes());
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::base::memory::MemoryBudget;
    use crate::base::time::UnixMillis;
    use crate::protocol::{encode_document, parse};
    use crate::rooms::RawJson;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"kept:".to_vec();
        write(&mut out);
        let text = String::from_utf8(out).expect("JSON is UTF-8");
        text.strip_prefix("kept:").expect("encoding only appends").to_owned()
    }

    fn peer(id: &str, is_host: bool, metadata: &str) -> Peer {
        let joined_at = UnixMillis(1_795_433_969_007);
        Peer { id: id.into(), joined_at, is_host, metadata: metadata.into() }
    }

    #[test]
    fn events_are_as_in_the_protocol() {
        let ann = peer("p\"1", true, r#"{"name": "ก",  "n":1.0}"#);
        let ann_json = concat!(
            r#"{"id":"p\"1","joined_at":"2026-11-23T11:39:29.007Z","#,
            r#""is_host":true,"metadata":{"name": "ก",  "n":1.0}}"#
        );
        let document = encode_document(RawJson(r#""\u0e01""#), &MemoryBudget::new(100));
        let table = [
            (
                Event::Connected { peer_id: "p1", room_code: "ABC234" },
                r#"{"type":"connected","peer_id":"p1","room_code":"ABC234"}"#.to_owned(),
            ),
            (
                Event::DocumentSync { document: None },
                r#"{"type":"document_sync","document":""}"#.to_owned(),
            ),
            (
                Event::DocumentSync { document: Some(&document) },
                r#"{"type":"document_sync","document":"\u0e01"}"#.to_owned(),
            ),
            (
                Event::PeerJoined { peer: &ann },
                format!(r#"{{"type":"peer_joined","peer":{ann_json}}}"#),
            ),
            (
                Event::PeerLeft { peer_id: "a\\b\n" },
                r#"{"type":"peer_left","peer_id":"a\\b\n"}"#.to_owned(),
            ),
            (
                Event::Data { from: "p1", data: RawJson("{\"b\": 1.50,\n \"a\":[1e400]}") },
                "{\"type\":\"data\",\"from\":\"p1\",\"data\":{\"b\": 1.50,\n \"a\":[1e400]}}"
                    .to_owned(),
            ),
        ];
        for (event, expected) in table {
            assert_eq!(text(|out| encode_event(&event, out)), expected);
        }

        let bob = peer("bob", false, "null");
        let room_info = text(|out| write_room_info("R", "", [&ann, &bob].into_iter(), out));
        let bob_json = ann_json.replace(r#"p\"1"#, "bob").replace("true", "false");
        let bob_json = bob_json.replace(r#"{"name": "ก",  "n":1.0}"#, "null");
        assert_eq!(
            room_info,
            [
                r#"{"type":"room_info","room_code":"R","host_id":"","peers":["#,
                &format!("{ann_json},{bob_json}]}}"),
            ]
            .concat()
        );
        let empty = text(|out| write_room_info("R", "h", std::iter::empty(), out));
        assert_eq!(empty, r#"{"type":"room_info","room_code":"R","host_id":"h","peers":[]}"#);
    }

    #[test]
    fn replies_are_as_in_the_protocol() {
        let message = parse(r#"{"action":"ping","id":"a\u0031"}"#).expect("a good message");
        let id = message.id.as_ref();
        let not_found = ErrorCode::RoomNotFound;
        let table = [
            (Reply::Pong, r#"{"type":"pong"}"#),
            (Reply::Ack { id: id.expect("it has one") }, r#"{"type":"ack","id":"a\u0031"}"#),
            (
                Reply::Error { code: not_found, message: not_found.message(), id },
                concat!(
                    r#"{"type":"error","message":"Room not found","#,
                    r#""code":"room_not_found","id":"a\u0031"}"#
                ),
            ),
            (
                Reply::Error { code: ErrorCode::BadMessage, message: "say \"what\"", id: None },
                r#"{"type":"error","message":"say \"what\"","code":"bad_message"}"#,
            ),
        ];
        for (reply, expected) in table {
            assert_eq!(text(|out| encode_reply(&reply, out)), expected);
        }
    }

    #[test]
    fn any_character_can_be_in_a_name() {
        for character in ('\0'..='\u{800}').chain(['\u{2028}', '\u{ffff}', '\u{1f600}']) {
            let name = format!("a{character}b");
            let message = text(|out| encode_event(&Event::PeerLeft { peer_id: &name }, out));
            let message: Value = serde_json::from_str(&message).expect("JSON");
            assert_eq!(message, json!({ "type": "peer_left", "peer_id": name }));
        }
    }
}
