//! One member of a room: a WebSocket that never blocks, and what it heard.

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::{Domain, SockRef, Socket, Type};
use tungstenite::protocol::Role;
use tungstenite::{Error, Message, WebSocket};

use crate::history::{Documents, Event, ROOMS};
use crate::support::{Server, WebSocketClient};

/// Receive buffer of who is going to stall, so that little is sent ahead of it.
const SLEEPY_RECEIVE_BYTES: usize = 4096;

/// What the server may expect of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// It reads and says what it should: it must never lose its connection.
    Good,
    /// It does not read, for the time being.
    Stalled,
    /// It has done something for which it may be closed.
    Bad,
    /// It has gone by itself.
    Gone,
}

/// One member.
pub(crate) struct Member {
    /// Unique over all lives.
    pub(crate) name: String,
    pub(crate) room: usize,
    pub(crate) conduct: Conduct,
    /// What it heard, in order.
    pub(crate) heard: Vec<Event>,
    /// Numbers of messages that the server has acknowledged.
    pub(crate) acknowledged: Vec<u64>,
    /// With which code its connection ended; 1006 if without a Close frame (RFC 6455, 7.4.1).
    pub(crate) ended: Option<u16>,
    /// The document that it was sent last.
    pub(crate) document: Option<u64>,
    /// It is in its room.
    pub(crate) has_joined: bool,
    is_host: bool,
    said: u64,
    socket: WebSocket<TcpStream>,
}

impl Member {
    /// Connects, and begins to join.
    pub(crate) fn join(server: &Server, room: usize, name: &str, is_sleepy: bool) -> Self {
        let address: SocketAddr = server.address();
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("one");
        if is_sleepy {
            socket.set_recv_buffer_size(SLEEPY_RECEIVE_BYTES).expect("any size is taken");
        }
        socket.connect(&address.into()).expect("the server accepts connections");
        let url = format!("ws://{address}/ws");
        let client = WebSocketClient::over(socket.into(), &url, &[]).expect("it is upgraded");
        let stream = client.into_stream();
        stream.set_nonblocking(true).expect("a socket need not block");
        let is_host = name == host_of(room);
        let mut member = Self {
            name: name.to_owned(),
            room,
            conduct: Conduct::Good,
            heard: Vec::new(),
            acknowledged: Vec::new(),
            ended: None,
            document: None,
            has_joined: false,
            is_host,
            said: 0,
            socket: WebSocket::from_raw_socket(stream, Role::Client, None),
        };
        member.send(&json!({ "action": "join", "room_code": ROOMS[room], "peer_id": name,
            "is_host": is_host }));
        member
    }

    /// Says something of `bytes` bytes to the room; wants to hear back that it is said if
    /// `wants_ack`.
    pub(crate) fn say(&mut self, bytes: usize, wants_ack: bool) {
        self.said += 1;
        let data = json!({ "number": self.said, "filling": "x".repeat(bytes) });
        if wants_ack {
            self.send(&json!({ "action": "broadcast", "data": data, "id": self.said }));
        } else {
            self.send(&json!({ "action": "broadcast", "data": data }));
        }
    }

    /// Replaces the room's document by the one of this number.
    pub(crate) fn sync(&mut self, number: u64, bytes: usize) {
        let document = format!("{number}:{}", "d".repeat(bytes));
        self.send(&json!({ "action": "sync_document", "document": document, "id": number }));
    }

    /// Sends bytes that are no frame of a client.
    pub(crate) fn talk_nonsense(&mut self) {
        self.conduct = Conduct::Bad;
        let mut stream = self.socket.get_ref();
        // Reserved bits and an opcode that does not exist; perhaps nobody hears it any more.
        let _closed = stream.write(b"\xff\xff nonsense");
    }

    /// Goes, politely.
    pub(crate) fn close(&mut self) {
        self.conduct = Conduct::Gone;
        let _closed_already = self.socket.close(None);
    }

    /// Goes without a word, and so that the server's kernel is told that nobody is there.
    pub(crate) fn reset(&mut self) {
        self.conduct = Conduct::Gone;
        self.ended.get_or_insert(1006);
        let stream = self.socket.get_ref();
        let _closed = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        // The reset goes out when the last handle is closed.
        let nobody = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        self.socket = WebSocket::from_raw_socket(nobody.into(), Role::Client, None);
    }

    /// Says that it will say nothing more, but would listen.
    pub(crate) fn finish(&mut self) {
        self.conduct = Conduct::Gone;
        let _closed = self.socket.get_ref().shutdown(Shutdown::Write);
    }

    /// Whether it can do something.
    pub(crate) fn is_able(&self) -> bool {
        self.has_joined && self.ended.is_none() && self.conduct == Conduct::Good
    }

    fn send(&mut self, value: &Value) {
        // What the socket does not take now is flushed later.
        match self.socket.send(Message::text(value.to_string())) {
            Ok(()) => {}
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => {
                self.ended.get_or_insert(1006);
            }
        }
    }

    /// Reads whatever is there.
    pub(crate) fn listen(&mut self, documents: &mut Documents) {
        if self.ended.is_some() || self.conduct == Conduct::Stalled {
            return;
        }
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let value = serde_json::from_str(&text).expect("every message is JSON");
                    self.hear(&value, documents);
                }
                Ok(Message::Close(frame)) => {
                    self.ended = Some(frame.map_or(1005, |frame| frame.code.into()));
                    let _closed = self.socket.flush();
                    return;
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.ended = Some(1006);
                    return;
                }
            }
        }
        let _would_block = self.socket.flush();
    }

    fn hear(&mut self, value: &Value, documents: &mut Documents) {
        if let Some(event) = Event::of(value) {
            self.heard.push(event);
            return;
        }
        match value["type"].as_str() {
            Some("room_info") => self.has_joined = true,
            Some("ack") => {
                let number = value["id"].as_u64().expect("as it was sent");
                if self.is_host {
                    documents.acknowledge(self.room, number);
                } else {
                    self.acknowledged.push(number);
                }
            }
            Some("document_sync") => {
                let text = value["document"].as_str().expect("a document is a string");
                let (number, _) = text.split_once(':').expect("as it was sent");
                let number = number.parse().expect("as it was sent");
                assert!(self.document <= Some(number), "{}: an older document", self.name);
                self.document = Some(number);
            }
            Some("connected" | "pong") => {}
            Some("error") => {
                let may_be = self.conduct != Conduct::Good;
                assert!(may_be, "{}: {value}", self.name);
            }
            _ => panic!("{}: {value}", self.name),
        }
    }
}

/// The name of a room's host, who is there from the beginning to the end of each life.
pub(crate) fn host_of(room: usize) -> String {
    format!("host-{room}")
}
