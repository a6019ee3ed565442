//! One client: its socket, how far it has got, what it has yet to send, and what its server's
//! frames mean.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use socket2::SockRef;

use super::clock::Micros;
use super::frame::{self, Frame, FrameReader, PONG, TEXT};
use super::stamp::Stamp;

/// The longest answer to an upgrade request.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// What may wait to be sent. A server that lets more pile up does not read.
const OUT_BYTES_MAX: usize = 128 << 20;
/// The key of RFC 6455, 1.3, and the answer to it. It need not be secret, and proves as much.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// What a client has heard.
#[derive(Debug)]
pub(crate) enum Heard<'a> {
    /// It is in its room; its connection was begun then.
    Joined(Micros),
    /// A broadcast or a document, with all its bytes.
    Stamped(Stamp, u64),
    /// Somebody came.
    PeerJoined,
    /// Somebody went.
    PeerLeft,
    /// Something was refused, with this code or message.
    Refused(&'a str),
    /// The connection is over.
    Ended(&'a str),
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    phase: Phase,
    began: Micros,
    reader: FrameReader,
    out: Vec<u8>,
    /// Bytes of `out` that are sent.
    written: usize,
    /// The message that joins the room.
    join: String,
    masks: u32,
    /// It does not read.
    pub(crate) is_stalled: bool,
    /// The kernel has said that the end is to be read: it says so only once.
    pub(crate) is_ending: bool,
    /// It is listed to be flushed.
    pub(crate) is_dirty: bool,
}

#[derive(Debug)]
enum Phase {
    Connecting,
    /// With what has come of the answer.
    Upgrading(Vec<u8>),
    Joining,
    Joined,
}

/// A message that is sent over and over, each time with another stamp.
#[derive(Debug)]
pub(crate) struct Template {
    text: Vec<u8>,
    stamp: std::ops::Range<usize>,
}

impl Template {
    /// `before` and `after` around `bytes` bytes that begin with a stamp.
    pub(crate) fn new(before: &str, bytes: usize, after: &str) -> Self {
        let mut text = before.as_bytes().to_vec();
        text.resize(before.len() + bytes, b'x');
        text.extend_from_slice(after.as_bytes());
        Self { text, stamp: before.len()..before.len() + super::stamp::STAMP_BYTES }
    }

    /// The message with this stamp.
    pub(crate) fn stamped(&mut self, stamp: &Stamp) -> &[u8] {
        stamp.write(&mut self.text[self.stamp.clone()]);
        &self.text
    }
}

impl Client {
    /// Begins to connect. The socket's readiness tells when that is done.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn connect(address: SocketAddr, join: String, now: Micros) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        // When we are done, so is the connection: nothing waits in the kernel for a minute, and the
        // next run finds its ports free.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        Ok(Self {
            stream,
            phase: Phase::Connecting,
            began: now,
            reader: FrameReader::default(),
            out: Vec::new(),
            written: 0,
            join,
            masks: 0,
            is_stalled: false,
            is_ending: false,
            is_dirty: false,
        })
    }

    /// Its socket.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// The socket can be written to, which may mean that it is connected. `request` asks for the
    /// upgrade.
    ///
    /// # Errors
    /// Why the connection is over.
    pub(crate) fn writable(&mut self, request: &str) -> Result<(), String> {
        if matches!(self.phase, Phase::Connecting) {
            if let Some(error) = self.stream.take_error().map_err(text)? {
                return Err(text(error));
            }
            if self.stream.peer_addr().is_err() {
                return Ok(());
            }
            self.phase = Phase::Upgrading(Vec::new());
            self.out.extend_from_slice(request.as_bytes());
        }
        self.flush()
    }

    /// Queues a text message.
    pub(crate) fn send(&mut self, message: &[u8]) {
        // Any mask will do (RFC 6455, 5.3, guards against pages that attack proxies), as long as
        // the server has to take it off.
        self.masks = self.masks.wrapping_add(0x9e37_79b9);
        let mask = self.masks.to_be_bytes();
        frame::write_frame(TEXT, message, mask, &mut self.out);
    }

    /// Sends what waits, as far as the kernel takes it.
    ///
    /// # Errors
    /// Why the connection is over.
    pub(crate) fn flush(&mut self) -> Result<(), String> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.out.len() - self.written > OUT_BYTES_MAX {
                        return Err("the server does not read".to_owned());
                    }
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(text(error)),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads once into `scratch`; the number of bytes, or `None` if there are none for now.
    ///
    /// # Errors
    /// Why the connection is over.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> Result<Option<usize>, String> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return Err("cut off by the server".to_owned()),
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(text(error)),
            }
        }
    }

    /// Makes sense of what was read.
    ///
    /// # Errors
    /// Why the connection is over.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        mut heard: impl FnMut(Heard<'_>),
    ) -> Result<(), String> {
        let mut at = 0;
        if let Phase::Upgrading(answer) = &mut self.phase {
            let before = answer.len();
            answer.extend_from_slice(bytes);
            let Some(end) = head_end(answer) else {
                let is_endless = answer.len() > ANSWER_BYTES_MAX;
                return if is_endless { Err("an endless answer".to_owned()) } else { Ok(()) };
            };
            check_upgrade(&answer[..end])?;
            at = end - before;
            self.phase = Phase::Joining;
            let join = std::mem::take(&mut self.join);
            self.send(join.as_bytes());
            self.is_dirty = true;
        }
        while let Some(frame) = self.reader.next(bytes, &mut at).map_err(text)? {
            match frame {
                Frame::Message { head, bytes } => {
                    let joining = matches!(self.phase, Phase::Joining);
                    if let Some(Heard::Joined(_)) = understand(head, bytes, joining, &mut heard) {
                        self.phase = Phase::Joined;
                        heard(Heard::Joined(self.began));
                    }
                }
                Frame::Ping(payload) => {
                    frame::write_frame(PONG, payload, [1, 2, 3, 4], &mut self.out);
                    self.is_dirty = true;
                }
                Frame::Pong => {}
                Frame::Close(None) => return Err("closed without a code".to_owned()),
                Frame::Close(Some(code)) => return Err(format!("closed with {code}")),
            }
        }
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "this is what map_err calls")]
fn text(problem: impl ToString) -> String {
    problem.to_string()
}

/// Where the head of an HTTP message ends.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn check_upgrade(head: &[u8]) -> Result<(), String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(head);
    if !parsed.is_ok_and(|status| status.is_complete()) {
        return Err("it does not speak HTTP".to_owned());
    }
    if response.code != Some(101) {
        let reason = response.reason.unwrap_or_default();
        return Err(format!("upgrade refused: {} {reason}", response.code.unwrap_or_default()));
    }
    let is_accepted = response.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("sec-websocket-accept") && header.value == ACCEPT
    });
    if is_accepted { Ok(()) } else { Err("a wrong Sec-WebSocket-Accept".to_owned()) }
}

/// Tells `heard` what a message means; [`Heard::Joined`] is returned instead, without its time,
/// which the message does not know.
fn understand<'a>(
    head: &'a [u8],
    bytes: u64,
    joining: bool,
    heard: &mut impl FnMut(Heard<'_>),
) -> Option<Heard<'a>> {
    if let Some(stamp) = Stamp::find(head) {
        heard(Heard::Stamped(stamp, bytes));
        return None;
    }
    // A server that sorts its keys names the type of a long list of peers beyond the head.
    let is_list = || joining && head.windows(8).any(|eight| eight == b"\"peers\":");
    match field(head, "type").or_else(|| is_list().then_some("room_info"))? {
        // The second answer to a join, after which the client is surely in the room.
        "room_info" if joining => return Some(Heard::Joined(0)),
        "peer_joined" => heard(Heard::PeerJoined),
        "peer_left" => heard(Heard::PeerLeft),
        "error" => {
            heard(Heard::Refused(field(head, "code").or(field(head, "message")).unwrap_or("?")));
        }
        _ => {}
    }
    None
}

/// The string that follows the key `name`, as far as it can be told without parsing JSON.
fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let text = match str::from_utf8(head) {
        Ok(text) => text,
        // A head ends anywhere, also within a character.
        Err(error) => str::from_utf8(&head[..error.valid_up_to()]).ok()?,
    };
    text.match_indices(name).find_map(|(at, _)| {
        let is_key = text[..at].ends_with('"');
        let rest = text[at + name.len()..].strip_prefix('"').filter(|_| is_key)?;
        let value = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        value.split_once('"').map(|(value, _)| value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(message: &str, joining: bool) -> Vec<String> {
        let mut told = Vec::new();
        let head = &message.as_bytes()[..message.len().min(frame::HEAD_BYTES_MAX)];
        let joined = understand(head, message.len() as u64, joining, &mut |heard| {
            told.push(format!("{heard:?}"));
        });
        told.extend(joined.map(|joined| format!("{joined:?}")));
        told
    }

    #[test]
    fn messages_are_understood_in_any_spelling() {
        for (message, expected) in [
            (r#"{"type":"connected","peer_id":"a","room_code":"R"}"#, ""),
            (r#"{"type":"room_info","room_code":"R","peers":[]}"#, "Joined(0)"),
            (r#"{"host_id":"h","peers":[{"id":"a","is_h"#, "Joined(0)"),
            (r#"{ "type" : "peer_joined", "peer":{"id":"type"}}"#, "PeerJoined"),
            (r#"{"peer_id":"type","type":"peer_left"}"#, "PeerLeft"),
            (r#"{"type":"error","message":"m","code":"host_only"}"#, "Refused(\"host_only\")"),
            (r#"{"type":"error","message":"Room not found"}"#, "Refused(\"Room not found\")"),
            (r#"{"type":"data","from":"x","data":"of others"}"#, ""),
            (r#"{"type":"pong"}"#, ""),
            ("", ""),
        ] {
            assert_eq!(told(message, true).concat(), expected, "{message}");
        }
        assert!(told(r#"{"type":"room_info"}"#, false).is_empty());
    }

    #[test]
    fn a_template_gives_messages_that_are_recognised() {
        let stamp = Stamp { run: 1, sender: 2, sequence: 3, sent_at: 4 };
        let mut template = Template::new(r#"{"action":"broadcast","data":""#, 200, "\"}");
        let message = template.stamped(&stamp).to_vec();
        let json: serde_json::Value = serde_json::from_slice(&message).expect("JSON");
        assert_eq!(json["data"].as_str().map(str::len), Some(200));
        let relayed = serde_json::json!({ "type": "data", "from": "p", "data": json["data"] });
        let relayed = relayed.to_string();
        let expected = format!("{:?}", Heard::Stamped(stamp, relayed.len() as u64));
        assert_eq!(told(&relayed, false), [expected]);
    }

    #[test]
    fn a_head_may_end_within_a_character() {
        let head = "{\"type\":\"peer_left\",\"peer_id\":\"กกก".as_bytes();
        assert_eq!(field(&head[..head.len() - 1], "type"), Some("peer_left"));
        assert_eq!(field(&head[..10], "type"), None);
    }

    #[test]
    fn only_a_right_upgrade_is_one() {
        let right = format!(
            "HTTP/1.1 101 Switching\r\nsec-websocket-accept: {}\r\n\r\n",
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(check_upgrade(right.as_bytes()), Ok(()));
        for (head, problem) in [
            (right.replace("s3p", "S3p"), "a wrong Sec-WebSocket-Accept"),
            (right.replace("101 Switching", "503 Busy"), "upgrade refused: 503 Busy"),
            ("SSH-2.0\r\n\r\n".to_owned(), "it does not speak HTTP"),
        ] {
            assert_eq!(check_upgrade(head.as_bytes()), Err(problem.to_owned()));
        }
    }
}
