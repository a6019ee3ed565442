//! The rooms of the protocol on axum and tokio, as somebody would write them in an afternoon: a
//! task and a channel for each member, no limits, no store, no acks. One thread, like the server
//! that it is measured against. `axum-rooms PORT`

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

type Rooms = Arc<Mutex<HashMap<String, Room>>>;

#[derive(Default)]
struct Room {
    host_id: String,
    document: Option<Value>,
    members: HashMap<u64, Member>,
    joins: u64,
}

struct Member {
    peer: Value,
    sender: UnboundedSender<Utf8Bytes>,
}

impl Room {
    fn broadcast(&self, except: u64, event: &Value) {
        let text = Utf8Bytes::from(event.to_string());
        for (number, member) in &self.members {
            if *number != except {
                let _gone = member.sender.send(text.clone());
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("a port");
    let router = Router::new()
        .route("/api/rooms", post(make_room))
        .route("/ws", get(upgrade))
        .with_state(Rooms::default());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
    axum::serve(listener, router).await.expect("it is served until it is killed");
}

async fn make_room(State(rooms): State<Rooms>, Json(body): Json<Value>) -> Response {
    let code = body["desired_room_code"].as_str().unwrap_or("ROOM").to_owned();
    let host_id = format!("host-{code}");
    let answer = json!({"success": true, "room_code": code, "host_id": host_id});
    rooms.lock().expect("nobody panics").entry(code).or_default().host_id = host_id;
    (StatusCode::CREATED, [(header::CONNECTION, "close")], Json(answer)).into_response()
}

async fn upgrade(upgrade: WebSocketUpgrade, State(rooms): State<Rooms>) -> Response {
    upgrade.max_message_size(16 << 20).on_upgrade(|socket| talk(socket, rooms))
}

async fn talk(mut socket: WebSocket, rooms: Rooms) {
    let (sender, mut receiver) = unbounded_channel::<Utf8Bytes>();
    let mut place = None;
    loop {
        let text = tokio::select! {
            Some(text) = receiver.recv() => {
                if socket.send(Message::Text(text)).await.is_err() {
                    break;
                }
                continue;
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => continue,
            },
        };
        let Ok(message) = serde_json::from_str::<Value>(&text) else { break };
        act(&rooms, &mut place, &sender, message);
    }
    if let Some((code, number)) = place {
        let mut rooms = rooms.lock().expect("nobody panics");
        let Some(room) = rooms.get_mut(&code) else { return };
        let Some(member) = room.members.remove(&number) else { return };
        room.broadcast(number, &json!({"type": "peer_left", "peer_id": member.peer["id"]}));
    }
}

fn act(
    rooms: &Rooms,
    place: &mut Option<(String, u64)>,
    sender: &UnboundedSender<Utf8Bytes>,
    mut message: Value,
) {
    let mut rooms = rooms.lock().expect("nobody panics");
    if message["action"] == "join" {
        let code = message["room_code"].as_str().unwrap_or_default().to_owned();
        let room = rooms.entry(code.clone()).or_default();
        room.joins += 1;
        let peer = json!({
            "id": message["peer_id"], "joined_at": "2026-01-01T00:00:00.000Z",
            "is_host": message["peer_id"] == room.host_id, "metadata": message["metadata"],
        });
        room.members.insert(room.joins, Member { peer: peer.clone(), sender: sender.clone() });
        let peers: Vec<&Value> = room.members.values().map(|member| &member.peer).collect();
        let connected = json!({"type": "connected", "peer_id": peer["id"], "room_code": code});
        let info = json!({
            "type": "room_info", "room_code": code, "host_id": room.host_id, "peers": peers,
        });
        for event in [connected, info] {
            let _gone = sender.send(event.to_string().into());
        }
        if let Some(document) = &room.document {
            let event = json!({"type": "document_sync", "document": document});
            let _gone = sender.send(event.to_string().into());
        }
        room.broadcast(room.joins, &json!({"type": "peer_joined", "peer": peer}));
        *place = Some((code, room.joins));
        return;
    }
    let Some((code, number)) = place else { return };
    let Some(room) = rooms.get_mut(code) else { return };
    let Some(from) = room.members.get(number).map(|member| member.peer["id"].clone()) else {
        return;
    };
    match message["action"].as_str() {
        Some("broadcast") => {
            let event = json!({"type": "data", "from": from, "data": message["data"].take()});
            room.broadcast(*number, &event);
        }
        Some("sync_document") => {
            let document = message["document"].take();
            room.broadcast(*number, &json!({"type": "document_sync", "document": document}));
            room.document = Some(document);
        }
        _ => {}
    }
}
