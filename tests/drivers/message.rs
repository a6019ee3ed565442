//! A client's text on its way through: what is read of it, and what others are sent.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sync_server::base::memory::MemoryBudget;
use sync_server::base::time::UnixMillis;
use sync_server::protocol::{
    ClientAction, Message, MessageId, Reply, document_from_text, document_text, encode_document,
    encode_event, encode_reply, parse,
};
use sync_server::rooms::{Event, Join, Peer, RawJson};

/// Characters of an error's message. A long one would repeat what a client sent.
const ERROR_CHARS_MAX: usize = 300;

/// A message of the server, read by another reader than wrote it. Of `data` and the like the
/// bytes count.
#[derive(Debug, Deserialize)]
pub(crate) struct Sent<'a> {
    #[serde(borrow)]
    pub(crate) id: Option<&'a RawValue>,
    pub(crate) from: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) document: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) peer: Option<SentPeer<'a>>,
    pub(crate) peer_id: Option<String>,
    pub(crate) room_code: Option<String>,
}

/// A peer as it is sent.
#[derive(Debug, Deserialize)]
pub(crate) struct SentPeer<'a> {
    pub(crate) id: String,
    pub(crate) joined_at: String,
    #[serde(borrow)]
    pub(crate) metadata: &'a RawValue,
}

/// Checks a message of these bytes, if they are text.
pub(crate) fn check_input(input: &[u8]) {
    if let Ok(text) = str::from_utf8(input) {
        check(text);
    }
}

/// Reads `text` and checks everything that it leads to.
pub(crate) fn check(text: &str) {
    match parse(text) {
        Ok(message) => check_message(text, &message),
        Err(error) => {
            assert!(error.message.chars().count() < ERROR_CHARS_MAX);
            let (code, id) = (error.code, error.id.as_ref());
            let reply = Reply::Error { code, message: &error.message, id };
            check_id(text, id, &reply);
        }
    }
}

fn check_message(text: &str, message: &Message<'_>) {
    let whole: Result<&RawValue, _> = serde_json::from_str(text);
    assert!(whole.is_ok(), "what was read is JSON");
    if let Some(id) = &message.id {
        check_id(text, Some(id), &Reply::Ack { id });
    }
    match &message.action {
        ClientAction::Broadcast { data } => check_broadcast(text, *data),
        ClientAction::SyncDocument { document } => check_document(text, *document),
        ClientAction::Join(Join { room_code, peer_id, metadata, .. }) => {
            check_join(room_code, peer_id.as_deref().unwrap_or("drawn"), metadata);
        }
        ClientAction::RequestSync | ClientAction::Leave | ClientAction::Ping => {}
    }
}

/// The reply is JSON and has the id as it came.
fn check_id(text: &str, id: Option<&MessageId<'_>>, reply: &Reply<'_>) {
    let mut out = Vec::new();
    encode_reply(reply, &mut out);
    let sent = sent(&out);
    assert_eq!(sent.id.map(RawValue::get), id.map(MessageId::as_json));
    assert!(id.is_none_or(|id| text.contains(id.as_json())), "not as it came");
}

fn check_broadcast(text: &str, data: RawJson<'_>) {
    assert!(text.as_bytes().as_ptr_range().contains(&data.0.as_ptr()), "the bytes that came");
    let mut out = Vec::new();
    encode_event(&Event::Data { from: "p\"1", data }, &mut out);
    let sent = sent(&out);
    assert_eq!(sent.from.as_deref(), Some("p\"1"));
    assert_eq!(sent.data.map(RawValue::get), Some(data.0));
}

fn check_document(text: &str, document: RawJson<'_>) {
    assert!(text.as_bytes().as_ptr_range().contains(&document.0.as_ptr()), "the bytes that came");
    let budget = MemoryBudget::new(usize::MAX);
    let frame = encode_document(document, &budget);
    let mut out = Vec::new();
    encode_event(&Event::DocumentSync { document: Some(&frame) }, &mut out);
    assert_eq!(sent(&out).document.map(RawValue::get), Some(document.0));
    let stored = document_text(&frame).expect("our own frame");
    let restored = document_from_text(&stored, usize::MAX, &budget).expect("any size will do");
    assert_eq!(document_text(&restored), Ok(stored), "what is stored stays as it is");
}

fn check_join(room_code: &str, peer_id: &str, metadata: &str) {
    let mut out = Vec::new();
    encode_event(&Event::Connected { peer_id, room_code }, &mut out);
    let connected = sent(&out);
    assert_eq!(connected.peer_id.as_deref(), Some(peer_id));
    assert_eq!(connected.room_code.as_deref(), Some(room_code));

    let joined_at = UnixMillis(1_795_433_969_007);
    let peer = Peer { id: peer_id.into(), joined_at, is_host: false, metadata: metadata.into() };
    out.clear();
    encode_event(&Event::PeerJoined { peer: &peer }, &mut out);
    let sent_peer = sent(&out).peer.expect("a peer");
    assert_eq!(sent_peer.id, peer_id);
    assert_eq!(sent_peer.joined_at, joined_at.rfc3339());
    assert_eq!(sent_peer.metadata.get(), metadata);
}

/// Reads what the server would send.
pub(crate) fn sent(out: &[u8]) -> Sent<'_> {
    serde_json::from_slice(out)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(out)))
}

/// A field that is there is `Some`, also if it is `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}
