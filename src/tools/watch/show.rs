//! What a person reads of a room's events: a line each. Pure text.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::Value;

/// Characters of a payload that are shown.
const SHOWN_CHARS_MAX: usize = 160;

/// Shows events one after the other.
#[derive(Debug, Default)]
pub(super) struct Viewer {
    /// Of the document as it was seen last, in characters.
    document_chars: Option<usize>,
}

/// A message of the server (README, *Protocol*).
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Seen {
    Connected {
        peer_id: String,
        room_code: String,
    },
    RoomInfo {
        host_id: String,
        peers: Vec<PeerSeen>,
    },
    PeerJoined {
        peer: PeerSeen,
    },
    PeerLeft {
        peer_id: String,
    },
    Data {
        from: String,
        data: Value,
    },
    DocumentSync {
        document: String,
    },
    Error {
        message: String,
        #[serde(default)]
        code: String,
    },
    /// What a newer server may say.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct PeerSeen {
    id: String,
    #[serde(default)]
    is_host: bool,
    #[serde(default)]
    metadata: Value,
}

impl Viewer {
    /// The line for `event`, which came as `text`.
    pub(super) fn line(&mut self, event: &Seen, text: &str) -> String {
        let bytes = text.len();
        match event {
            Seen::Connected { peer_id, room_code } => {
                format!("in {} as {}", visible(room_code), visible(peer_id))
            }
            Seen::RoomInfo { host_id, peers } => {
                let names: Vec<String> = peers.iter().map(PeerSeen::shown).collect();
                let names = shortened(&names.join(", "));
                format!("{} here, host {}: {names}", peers.len(), visible(host_id))
            }
            Seen::PeerJoined { peer } => {
                format!("+ {} {}", peer.shown(), shortened(&peer.metadata.to_string()))
            }
            Seen::PeerLeft { peer_id } => format!("- {}", visible(peer_id)),
            Seen::Data { from, data } => {
                format!("{}: {} ({bytes} bytes)", visible(from), shortened(&data.to_string()))
            }
            Seen::DocumentSync { document } => {
                let chars = document.chars().count();
                let before = self.document_chars.replace(chars);
                let change = before.map_or_else(String::new, |before| {
                    let sign = if chars < before { '-' } else { '+' };
                    format!(", {sign}{}", chars.abs_diff(before))
                });
                format!("document: {chars} characters{change} ({bytes} bytes)")
            }
            Seen::Error { message, code } => {
                format!("error {}: {}", visible(code), shortened(message))
            }
            Seen::Other => shortened(text),
        }
    }
}

impl PeerSeen {
    fn shown(&self) -> String {
        let host = if self.is_host { " (host)" } else { "" };
        format!("{}{host}", visible(&self.id))
    }
}

/// `text`, which is JSON, as one line of JSON that cannot move a cursor.
pub(super) fn json_line(text: &str) -> String {
    // Between tokens there may be line ends; within strings JSON has no control characters but
    // those of which terminals of old know more than JSON does.
    text.chars().fold(String::with_capacity(text.len() + 1), |mut line, char| {
        match char {
            '\t' | '\n' | '\r' => line.push(' '),
            _ if is_unsafe(char) => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    // A String takes whatever is written.
                    let _infallible = write!(line, "\\u{unit:04x}");
                }
            }
            _ => line.push(char),
        }
        line
    })
}

/// `text` without anything that moves a cursor or turns the writing round.
fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, char| {
        if is_unsafe(char) {
            shown.extend(char.escape_unicode());
        } else {
            shown.push(char);
        }
        shown
    })
}

/// The beginning of `text`, [`visible`], with an ellipsis if that is not all.
pub(super) fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    visible(&shown)
}

/// Control characters, and those that change the direction of writing (Unicode, `Bidi_Control`).
fn is_unsafe(char: char) -> bool {
    const DIRECTIONS: [std::ops::RangeInclusive<char>; 3] =
        ['\u{200e}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    char.is_control() || DIRECTIONS.iter().any(|range| range.contains(&char))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(viewer: &mut Viewer, text: &str) -> String {
        let event = serde_json::from_str(text).expect("a message of the server");
        viewer.line(&event, text)
    }

    #[test]
    fn every_event_is_a_line() {
        let mut viewer = Viewer::default();
        let table = [
            (r#"{"type":"connected","peer_id":"w","room_code":"ROOM"}"#, "in ROOM as w"),
            (
                concat!(
                    r#"{"type":"room_info","room_code":"R","host_id":"a","peers":["#,
                    r#"{"id":"a","joined_at":"x","is_host":true,"metadata":{}},"#,
                    r#"{"id":"w","is_host":false}]}"#
                ),
                "2 here, host a: a (host), w",
            ),
            (
                r#"{"type":"peer_joined","peer":{"id":"bob","metadata":{"name":"Bob"}}}"#,
                r#"+ bob {"name":"Bob"}"#,
            ),
            (r#"{"type":"peer_left","peer_id":"bob"}"#, "- bob"),
            (r#"{"type":"data","from":"a","data":[1]}"#, "a: [1] (37 bytes)"),
            (r#"{"type":"document_sync","document":"กข"}"#, "document: 2 characters (44 bytes)"),
            (r#"{"type":"document_sync","document":"ก"}"#, "document: 1 characters, -1 (41 bytes)"),
            (
                r#"{"type":"document_sync","document":"abc"}"#,
                "document: 3 characters, +2 (41 bytes)",
            ),
            (r#"{"type":"error","message":"No","code":"internal"}"#, "error internal: No"),
            (r#"{"type":"new_kind","x":1}"#, r#"{"type":"new_kind","x":1}"#),
        ];
        for (text, expected) in table {
            assert_eq!(line(&mut viewer, text), expected);
        }
    }

    #[test]
    fn nobody_in_a_room_moves_the_cursor() {
        let mut viewer = Viewer::default();
        let evil = "\u{1b}[2J\u{9b}31m\u{202e}\n";
        let texts = [
            serde_json::json!({ "type": "peer_left", "peer_id": evil }),
            serde_json::json!({ "type": "data", "from": evil, "data": { evil: evil } }),
            serde_json::json!({ "type": "error", "message": evil, "code": evil }),
            serde_json::json!({ "type": evil, "x": evil }),
        ];
        for text in texts.map(|value| value.to_string()) {
            let line = line(&mut viewer, &text);
            assert!(!line.chars().any(is_unsafe), "{line:?}");
        }
        let raw = "{\"type\":\r\n\t\"data\",\"from\":\"\u{9b}\"}";
        assert_eq!(json_line(raw), r#"{"type":   "data","from":"\u009b"}"#);
    }

    #[test]
    fn long_payloads_are_cut() {
        let text = serde_json::json!({ "type": "data", "from": "a", "data": "ก".repeat(5_000) });
        let line = line(&mut Viewer::default(), &text.to_string());
        assert!(line.chars().count() < SHOWN_CHARS_MAX + 40 && line.contains('…'), "{line}");
    }
}
