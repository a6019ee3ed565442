//! What clients say to each other arrives as the bytes that were sent.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::value::RawValue;
use sync_server::base::memory::MemoryBudget;
use sync_server::protocol::{
    ClientAction, METADATA_BYTES_MAX, document_from_text, document_text, encode_event, parse,
};
use sync_server::rooms::{Event, Join};
use sync_server::ws::{Frame, Incoming};
use tungstenite::Message;
use tungstenite::protocol::{Role, WebSocketContext};

use crate::cases;
use crate::drivers::message::{check, sent};
use crate::drivers::web_socket::{decode, encode_by_tungstenite};
use crate::json::{blanks, number, string, value};

/// A stream with one frame to read, and nowhere to write.
struct Received(std::io::Cursor<Vec<u8>>);

impl std::io::Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl std::io::Write for Received {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The text that a member gets when another one has sent `text`.
fn relayed(text: &str) -> String {
    let stream = encode_by_tungstenite(&[Message::text(text)]);
    let came = decode([&*stream], 1 << 20).incoming;
    let [Incoming::Text(came)] = &*came else { panic!("{came:?}") };
    let Ok(message) = parse(came) else { panic!("refused: {text}") };
    let ClientAction::Broadcast { data } = message.action else { panic!("no broadcast: {text}") };
    let mut scratch = Vec::new();
    let frame = Frame::text(&mut scratch, &MemoryBudget::new(1 << 20), |out| {
        encode_event(&Event::Data { from: "ann", data }, out);
    });
    let mut client = WebSocketContext::new(Role::Client, None);
    let mut received = Received(std::io::Cursor::new(frame.as_slice().to_vec()));
    match client.read(&mut received) {
        Ok(Message::Text(text)) => text.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn data_arrives_as_the_bytes_that_were_sent(
        data in value(),
        front in blanks(),
        back in blanks(),
        is_first in any::<bool>(),
    ) {
        let text = if is_first {
            format!(r#"{front}{{"data":{back}{data}{front},"action":"broadcast"}}{back}"#)
        } else {
            format!(r#"{{"action"{front}:{back}"broadcast","data":{data}{back}}}{front}"#)
        };
        let relayed = relayed(&text);
        prop_assert_eq!(sent(relayed.as_bytes()).data.map(RawValue::get), Some(&*data));
        prop_assert_eq!(relayed, format!(r#"{{"type":"data","from":"ann","data":{data}}}"#));
        check(&text);
    }

    #[test]
    fn metadata_documents_and_ids_are_kept_as_they_came(
        metadata in value(),
        document in string(),
        id in prop_oneof![string(), number()],
        names in (string(), string(), string()),
    ) {
        let (room_code, peer_id, host_token) = names;
        check(&format!(
            r#"{{"action":"join","id":{id},"room_code":{room_code},"peer_id":{peer_id},
                "metadata":{metadata},"host_token":{host_token},"is_host":true}}"#
        ));
        check(&format!(r#"{{"action":"sync_document","document":{document},"id":{id}}}"#));
        check(&format!(r#"{{"id":{id},"action":{room_code}}}"#));
        // With names that are surely right, the metadata comes through.
        let text = format!(r#"{{"action":"join","room_code":"R","metadata":{metadata}}}"#);
        if metadata.len() <= METADATA_BYTES_MAX {
            let action = parse(&text).map(|message| message.action);
            let Ok(ClientAction::Join(Join { metadata: kept, .. })) = action else {
                panic!("{action:?}: {text}");
            };
            prop_assert_eq!(kept, metadata);
        }
        check(&text);
    }

    #[test]
    fn broken_messages_are_refused_or_read_but_never_half_read(
        data in value(),
        at in any::<Index>(),
        length in 0..4_usize,
        inserted in "[\"\\\\{}\\[\\]:,0-9a-z \\n\\u{1}\\u{e01}]{0,3}",
    ) {
        let text = format!(r#"{{"action":"broadcast","data":{data},"id":"i","is_host":true}}"#);
        let mut places = text.char_indices().map(|(at, _)| at).skip(at.index(text.len()));
        let begin = places.next().unwrap_or(text.len());
        let end = places.nth(length).unwrap_or(text.len());
        check(&format!("{}{inserted}{}", &text[..begin], &text[end.max(begin)..]));
    }

    #[test]
    fn any_text_survives_the_store(text in any::<String>()) {
        let document = document_from_text(&text, usize::MAX, &MemoryBudget::new(usize::MAX));
        let document = document.expect("any size will do");
        prop_assert_eq!(document_text(&document), Ok(text));
    }
}
