//! What the rooms do, written down so that it can be compared with what the model expects.

use std::collections::BTreeMap;

use sync_server::base::ids::{ConnId, RoomKey};
use sync_server::config::HostAuth;
use sync_server::rooms::{
    CloseDone, CreateDone, Document, Done, Event, Output, Peer, RoomChange, RoomError, RoomView,
    StoreUnavailable, StoredDocument, StoredRoom,
};

/// One effect, or the answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    Send(ConnId, String),
    Broadcast(Vec<ConnId>, String),
    Lookup(String),
    /// The document of this room is to be read.
    Read(String),
    /// A request has ended, at once or later.
    Ended(ConnId, String),
    Dismissed(Vec<ConnId>),
    /// Code and id.
    Delete(String, String),
    Persist(Image),
    Durable(String),
    NotDurable(String),
    Changed(String, String),
}

/// A room as a store has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Image {
    pub(crate) code: String,
    pub(crate) room_id: Option<String>,
    pub(crate) host_id: Option<String>,
    pub(crate) needs_token: bool,
    pub(crate) token: Option<u8>,
    pub(crate) document: Option<String>,
    pub(crate) created_at: i64,
}

/// The snapshot of one [`Effect::Persist`], as the store gets it.
#[derive(Clone, Debug)]
pub(crate) struct Save {
    pub(crate) key: RoomKey,
    pub(crate) revision: u64,
    pub(crate) image: Image,
}

/// Writes effects down.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) effects: Vec<Effect>,
    pub(crate) saves: Vec<Save>,
    pub(crate) deletions: Vec<(RoomKey, String, String)>,
    pub(crate) reads: Vec<(RoomKey, String, String)>,
    pub(crate) durable: Vec<(RoomKey, u64)>,
    pub(crate) not_durable: Vec<RoomKey>,
    /// The codes of the rooms that were to be saved.
    pub(crate) codes: BTreeMap<RoomKey, String>,
    fresh_ids: u64,
}

impl Image {
    /// The number of the document; later documents have larger ones, none is 0.
    pub(crate) fn document_number(&self) -> u64 {
        self.document.as_deref().map_or(0, document_number)
    }
}

/// The number in a document of this simulation.
pub(crate) fn document_number(text: &str) -> u64 {
    text.strip_prefix('d').and_then(|number| number.parse().ok()).expect("a document is d<number>")
}

/// What of a document can be compared.
pub(crate) fn text(document: &Document) -> String {
    String::from_utf8(document.0.to_vec()).expect("documents here are text")
}

/// How a peer is written in an effect.
pub(crate) fn peer_text(id: &str, is_host: bool, metadata: &str, joined_at: i64) -> String {
    format!("{id}:{}{metadata}@{joined_at}", if is_host { "host" } else { "" })
}

/// How a room is written in an effect.
pub(crate) fn room_text(code: &str, room_id: &str, host_id: &str, peers: &[String]) -> String {
    format!("{code} id={room_id} host={host_id} [{}]", peers.join(" "))
}

impl Recorder {
    /// How the answer to an action is written.
    pub(crate) fn done_text(&self, result: Result<Done, RoomError>) -> String {
        match result {
            Ok(Done::WhenRead(_)) => "WaitingForDocument".to_owned(),
            Ok(Done::WhenDurable { room, .. }) => format!("when durable {}", self.codes[&room]),
            Ok(done) => format!("{done:?}"),
            Err(error) => format!("{error:?}"),
        }
    }
}

/// How the answer to a create is written.
pub(crate) fn create_text(result: Result<CreateDone<'_>, RoomError>) -> String {
    match result {
        Ok(CreateDone::Created(room)) => format!("created {}", view_text(room)),
        Ok(CreateDone::Restored(room)) => format!("restored {}", view_text(room)),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("{error:?}"),
    }
}

/// How the answer to a close is written.
pub(crate) fn close_text(result: Result<CloseDone, RoomError>) -> String {
    match result {
        Ok(CloseDone::WhenDeleted(_)) => "when deleted".to_owned(),
        Ok(done) => format!("{done:?}"),
        Err(error) => format!("{error:?}"),
    }
}

/// How a view is written.
pub(crate) fn view_text(room: RoomView<'_>) -> String {
    let describe =
        |peer: &Peer| peer_text(&peer.id, peer.is_host, &peer.metadata, peer.joined_at.0);
    let peers: Vec<String> = room.peers().map(describe).collect();
    room_text(room.code(), room.room_id(), room.host_id(), &peers)
}

fn event_text(event: &Event<'_>) -> String {
    match *event {
        Event::Connected { peer_id, room_code } => format!("connected {peer_id} {room_code}"),
        Event::RoomInfo { room } => format!("room {}", view_text(room)),
        Event::DocumentSync { document: None } => "no document".into(),
        Event::DocumentSync { document: Some(document) } => format!("document {}", text(document)),
        Event::PeerJoined { peer } => {
            let text = peer_text(&peer.id, peer.is_host, &peer.metadata, peer.joined_at.0);
            format!("joined {text}")
        }
        Event::PeerLeft { peer_id } => format!("left {peer_id}"),
        Event::Data { from, data } => format!("data {from} {}", data.0),
    }
}

impl Output for Recorder {
    fn send(&mut self, to: ConnId, event: &Event<'_>) {
        self.effects.push(Effect::Send(to, event_text(event)));
    }

    fn broadcast(&mut self, to: &[ConnId], except: Option<ConnId>, event: &Event<'_>) {
        let to = to.iter().copied().filter(|&conn| Some(conn) != except).collect();
        self.effects.push(Effect::Broadcast(to, event_text(event)));
    }

    fn lookup(&mut self, room_code: &str) -> Result<(), StoreUnavailable> {
        self.effects.push(Effect::Lookup(room_code.to_owned()));
        Ok(())
    }

    fn read_document(&mut self, _: ConnId, room: RoomKey, stored: RoomView<'_>) {
        let (code, room_id) = (stored.code().to_owned(), stored.room_id().to_owned());
        self.effects.push(Effect::Read(code.clone()));
        self.reads.push((room, code, room_id));
    }

    fn dismissed(&mut self, room: RoomKey, members: &[ConnId]) {
        self.not_durable.push(room);
        self.effects.push(Effect::Dismissed(members.to_vec()));
    }

    fn delete(&mut self, room: RoomKey, room_code: &str, room_id: &str) {
        self.effects.push(Effect::Delete(room_code.to_owned(), room_id.to_owned()));
        self.deletions.push((room, room_code.to_owned(), room_id.to_owned()));
    }

    fn persist(&mut self, key: RoomKey, revision: u64, room: StoredRoom) {
        let image = Image {
            code: room.room_code,
            room_id: room.room_id,
            host_id: Some(room.host_id.unwrap_or_default()),
            needs_token: room.host_auth == HostAuth::Token,
            token: room.host_token.map(|token| token.0[31]),
            document: match &room.document {
                StoredDocument::None | StoredDocument::Unread { .. } => None,
                StoredDocument::Whole(document) => Some(text(document)),
            },
            created_at: room.created_at.0,
        };
        self.codes.insert(key, image.code.clone());
        self.effects.push(Effect::Persist(image.clone()));
        self.saves.push(Save { key, revision, image });
    }

    fn durable(&mut self, room: RoomKey, revision: u64) {
        self.durable.push((room, revision));
        self.effects.push(Effect::Durable(self.codes[&room].clone()));
    }

    fn not_durable(&mut self, room: RoomKey) {
        self.not_durable.push(room);
        self.effects.push(Effect::NotDurable(self.codes[&room].clone()));
    }

    fn fresh_room_id(&mut self) -> String {
        self.fresh_ids += 1;
        format!("fresh-{}", self.fresh_ids)
    }

    fn room_changed(&mut self, room_code: &str, change: RoomChange) {
        self.effects.push(Effect::Changed(room_code.to_owned(), format!("{change:?}")));
    }
}
