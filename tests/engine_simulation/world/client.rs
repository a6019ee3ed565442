//! A simulated browser: what it says, and what it believes of what it hears.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind, Read, Write};

use serde_json::{Value, json};
use sync_server::base::ids::ConnId;
use tungstenite::Message;
use tungstenite::protocol::{Role, WebSocketContext};

use super::documents::{Heard, Written};
use super::{Seen, count};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// One simulated browser.
pub(super) struct Client {
    /// Once it was accepted.
    pub(super) conn: Option<ConnId>,
    pub(super) number: u64,
    pub(super) upgraded: bool,
    context: WebSocketContext,
    /// Bytes on their way to the server.
    pub(super) outbound: Vec<u8>,
    /// Bytes that the server may read.
    pub(super) arrived: Vec<u8>,
    /// Bytes that came from the server and are not decoded yet.
    pub(super) inbound: Vec<u8>,
    /// It reads nothing.
    pub(super) stalled: bool,
    /// A write was cut: the server waits to hear that there is room again.
    pub(super) full: bool,
    pub(super) line: Line,
    pub(super) log: Log,
    pub(super) closed_with: Option<u16>,
    /// Joins that were neither refused nor let in.
    pub(super) joins_unanswered: u32,
    room: Option<String>,
    standing: Standing,
    /// The turn in which it last asked for a room.
    asked_at: u64,
    sent: u64,
    /// For the current membership: the last number seen of each sender.
    seen: HashMap<u64, u64>,
}

/// What a client saw and did.
#[derive(Default)]
pub(super) struct Log {
    /// The messages, by room, in order.
    pub(super) messages: BTreeMap<String, Vec<(u64, u64)>>,
    /// The documents, and acks for them, in order, each with the turn.
    pub(super) documents: Vec<(u64, Heard)>,
    /// Each document that it wrote, in order.
    pub(super) written: Vec<Written>,
}

/// What is left of a client's connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Open,
    /// The client has shut its half, or its kernel has in answer to the server.
    HalfClosed,
    Reset,
}

/// What a client knows of its membership.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is a member, and has said nothing that could change that.
    Member,
    /// The last thing it said of its rooms is that it joins one.
    Joining,
    /// The last thing it said of its rooms is that it leaves.
    Leaving,
}

/// The stream that a client context reads from and writes to.
struct Pipe<'a> {
    inbound: &'a mut Vec<u8>,
    outbound: &'a mut Vec<u8>,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.inbound.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = buffer.len().min(self.inbound.len());
        buffer[..count].copy_from_slice(&self.inbound[..count]);
        self.inbound.drain(..count);
        Ok(count)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outbound.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Client {
    pub(super) fn new(number: u64) -> Self {
        Self {
            conn: None,
            number,
            upgraded: false,
            context: WebSocketContext::new(Role::Client, None),
            outbound: UPGRADE.as_bytes().to_vec(),
            arrived: Vec::new(),
            inbound: Vec::new(),
            stalled: false,
            full: false,
            line: Line::Open,
            log: Log::default(),
            closed_with: None,
            joins_unanswered: 0,
            room: None,
            standing: Standing::Leaving,
            asked_at: 0,
            sent: 0,
            seen: HashMap::new(),
        }
    }

    pub(super) fn is_writable(&self) -> bool {
        !self.stalled && !self.full
    }

    /// Whether it can say something, and hear the answer.
    pub(super) fn is_open(&self) -> bool {
        self.upgraded && self.line == Line::Open && self.closed_with.is_none()
    }

    /// The room that it knows to be a member of.
    pub(super) fn room(&self) -> Option<&str> {
        self.room.as_deref().filter(|_| self.standing == Standing::Member)
    }

    pub(super) fn join(&mut self, room: &str, at: u64) {
        self.joins_unanswered += 1;
        self.asked_at = at;
        self.standing = Standing::Joining;
        let peer_id = format!("p{}", self.number / 2);
        self.say(&json!({"action": "join", "room_code": room, "peer_id": peer_id, "id": "join"}));
    }

    pub(super) fn leave(&mut self) {
        self.standing = Standing::Leaving;
        self.say(&json!({"action": "leave"}));
    }

    pub(super) fn broadcast(&mut self, bytes: usize) {
        self.sent += 1;
        let data = format!("{}:{}:{}", self.number, self.sent, "x".repeat(bytes));
        self.say(&json!({"action": "broadcast", "data": data}));
    }

    pub(super) fn write_document(&mut self, bytes: usize) {
        let sequence = self.log.written.len() as u64;
        let room = self.room().map(str::to_owned);
        self.log.written.push(Written { room, bytes });
        let document = format!("{}:{sequence}:{}", self.number, "d".repeat(bytes));
        self.say(&json!({"action": "sync_document", "document": document, "id": sequence}));
    }

    pub(super) fn request_sync(&mut self) {
        self.say(&json!({"action": "request_sync"}));
    }

    fn say(&mut self, message: &Value) {
        let mut nothing = Vec::new();
        let mut pipe = Pipe { inbound: &mut nothing, outbound: &mut self.outbound };
        self.context.write(&mut pipe, Message::text(message.to_string())).expect("open");
        self.context.flush(&mut pipe).expect("a pipe takes everything");
    }

    /// The client reads what has arrived by the turn `at`.
    pub(super) fn decode(&mut self, at: u64, seen: &mut Seen) {
        if !self.upgraded {
            let end = self.inbound.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else { return };
            let refusals: [(&[u8], u16); 2] = [(b"HTTP/1.1 408", 408), (b"HTTP/1.1 503", 503)];
            for (status_line, code) in refusals {
                // It dawdled over its request, or the server is going, or short of memory.
                if self.inbound.starts_with(status_line) {
                    self.closed_with = Some(code);
                    self.inbound.clear();
                    return;
                }
            }
            assert!(self.inbound.starts_with(b"HTTP/1.1 101"), "upgraded");
            self.inbound.drain(..end + 4);
            self.upgraded = true;
        }
        while self.closed_with.is_none() {
            let Self { context, inbound, outbound, .. } = self;
            match context.read(&mut Pipe { inbound, outbound }) {
                Ok(Message::Text(text)) => {
                    let value: Value = serde_json::from_str(&text).expect("JSON");
                    self.hear(&value, at, seen);
                }
                Ok(Message::Close(frame)) => {
                    let code = frame.map_or(1005, |frame| frame.code.into());
                    if code == 1013 {
                        count(seen, "a session was closed for its memory");
                    }
                    self.closed_with = Some(code);
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(_)) => break,
                Err(error) => panic!("client {}: {error}", self.number),
            }
        }
    }

    fn hear(&mut self, message: &Value, at: u64, seen: &mut Seen) {
        match message["type"].as_str().expect("every message has a type") {
            "connected" => {
                self.room = message["room_code"].as_str().map(str::to_owned);
                self.seen.clear();
                self.join_answered();
                if self.joins_unanswered == 0 && self.standing == Standing::Joining {
                    self.standing = Standing::Member;
                }
            }
            "data" => {
                let (sender, sequence, _) = parts(&message["data"]);
                assert_ne!(sender, self.number, "no client hears itself");
                let last = self.seen.insert(sender, sequence);
                assert!(last.is_none_or(|last| last < sequence), "a repeat or a step back");
                let room = self.room.clone().expect("data comes to members only");
                self.log.messages.entry(room).or_default().push((sender, sequence));
            }
            "document_sync" => {
                let room = self.room.clone().expect("documents come to members only");
                let document = &message["document"];
                let document = (*document != "").then(|| parts(document));
                count(seen, "a document was seen");
                // A join that was not answered yet may be for another room.
                let asked_at = if self.joins_unanswered == 0 { self.asked_at } else { 0 };
                self.log.documents.push((at, Heard::Document { room, document, asked_at }));
            }
            "ack" => {
                if let Some(sequence) = message["id"].as_u64() {
                    count(seen, "a write is durable");
                    let write = (self.number, sequence);
                    self.log.documents.push((at, Heard::Durable { write }));
                }
            }
            "error" => {
                if message["id"] == "join" {
                    self.join_answered();
                } else if message["message"].as_str().is_some_and(|text| text.contains("memory")) {
                    count(seen, "a document was refused");
                }
            }
            "room_info" | "peer_joined" | "peer_left" => {}
            other => panic!("unexpected {other}"),
        }
    }

    fn join_answered(&mut self) {
        let left = self.joins_unanswered.checked_sub(1);
        self.joins_unanswered = left.expect("each join is answered once");
    }
}

/// What a client had put into a text: its number, which text of it this is, and how much follows.
fn parts(text: &Value) -> (u64, u64, usize) {
    let text = text.as_str().expect("a string was sent");
    let mut parts = text.split(':');
    let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok());
    let (client, sequence) = (number().expect("whose"), number().expect("which"));
    (client, sequence, parts.next().expect("a rest").len())
}
