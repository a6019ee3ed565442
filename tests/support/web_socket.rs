//! A WebSocket client: tungstenite in the client's role over a blocking socket with a deadline.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::protocol::Role;
use tungstenite::{Error, Message, WebSocket};

use super::DEADLINE;

/// How a connection came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With a Close frame of this code (1005: of none) and reason.
    Closed(u16, String),
    /// Without one.
    Cut,
}

/// A frame as a client sends it, for what tungstenite would not send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    /// FIN, the reserved bits and the opcode.
    pub(crate) first: u8,
    pub(crate) masked: bool,
    pub(crate) payload: &'a [u8],
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct WebSocketClient {
    socket: WebSocket<TcpStream>,
}

impl WebSocketClient {
    /// Opens `/ws` with additional `headers`.
    ///
    /// # Errors
    /// The status of an answer other than 101.
    pub(crate) fn connect(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let stream = TcpStream::connect(address).expect("the server accepts connections");
        Self::over(stream, &format!("ws://{address}/ws"), headers)
    }

    /// Opens `url` over `stream`.
    ///
    /// # Errors
    /// The status of an answer other than 101.
    pub(crate) fn over(
        stream: TcpStream,
        url: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, u16> {
        set_deadlines(&stream);
        let mut request = url.into_client_request().expect("a valid URL");
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a valid name");
            request.headers_mut().insert(name, HeaderValue::from_str(value).expect("valid"));
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(HandshakeError::Failure(Error::Http(response))) => Err(response.status().into()),
            Err(error) => panic!("no upgrade: {error}"),
        }
    }

    /// Takes over a `stream` whose upgrade has been done by hand.
    pub(crate) fn upgraded(stream: TcpStream) -> Self {
        set_deadlines(&stream);
        Self { socket: WebSocket::from_raw_socket(stream, Role::Client, None) }
    }

    /// The connection itself. Nothing may have been read ahead.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.socket.into_inner()
    }

    // --- sending ---

    pub(crate) fn send(&mut self, message: Message) {
        self.socket.send(message).expect("the server reads");
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.send(Message::text(text));
    }

    pub(crate) fn send_json(&mut self, value: &Value) {
        self.send(Message::text(value.to_string()));
    }

    /// Sends frames that tungstenite would not send, in one write.
    pub(crate) fn send_frames(&mut self, frames: &[Frame<'_>]) {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
        self.send_bytes(&bytes);
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.get_mut().write_all(bytes).expect("the server reads");
    }

    /// Sends a broadcast of `data`.
    pub(crate) fn broadcast(&mut self, data: impl Into<Value>) {
        self.send_json(&json!({ "action": "broadcast", "data": data.into() }));
    }

    // --- receiving ---

    /// The next message, pings and pongs included.
    #[track_caller]
    pub(crate) fn next_message(&mut self) -> Message {
        match self.read() {
            Ok(message) => message,
            Err(error) => panic!("no message: {error}"),
        }
    }

    fn read(&mut self) -> Result<Message, Error> {
        loop {
            match self.socket.read() {
                // Reads with a deadline are not taken up again by the system (signal(7)).
                Err(Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// The next text message.
    #[track_caller]
    pub(crate) fn next_text(&mut self) -> String {
        loop {
            match self.next_message() {
                Message::Text(text) => return text.as_str().to_owned(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("expected a text message, not {other:?}"),
            }
        }
    }

    /// The next text message, as JSON.
    #[track_caller]
    pub(crate) fn next_json(&mut self) -> Value {
        let text = self.next_text();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
    }

    /// Sends two messages and returns what comes next; `None` if the connection ends instead.
    pub(crate) fn ask(&mut self, first: &Value, second: &Value) -> Option<Value> {
        for message in [first, second] {
            self.socket.send(Message::text(message.to_string())).ok()?;
        }
        match self.read() {
            Ok(Message::Text(text)) => serde_json::from_str(text.as_str()).ok(),
            Ok(_) | Err(_) => None,
        }
    }

    /// The next message must be exactly this.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: &Value) {
        assert_eq!(&self.next_json(), expected);
    }

    /// The next message must be of type `kind`.
    #[track_caller]
    pub(crate) fn expect_type(&mut self, kind: &str) -> Value {
        let value = self.next_json();
        assert_eq!(value["type"], kind, "{value}");
        value
    }

    /// The next message must be an error with this code; its text.
    #[track_caller]
    pub(crate) fn expect_error(&mut self, code: &str) -> String {
        let error = self.expect_type("error");
        assert_eq!(error["code"], code, "{error}");
        error["message"].as_str().expect("an error has a message").to_owned()
    }

    /// Reads on until a message satisfies `wanted`.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let value = self.next_json();
            if wanted(&value) {
                return value;
            }
        }
    }

    /// Reads on until the connection ends, answering a Close frame as a client does.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self) -> Ended {
        let mut ended = Ended::Cut;
        loop {
            match self.read() {
                Ok(Message::Close(frame)) => {
                    ended = frame.map_or(Ended::Closed(1005, String::new()), |frame| {
                        Ended::Closed(frame.code.into(), frame.reason.as_str().to_owned())
                    });
                }
                Ok(_) => {}
                Err(Error::Io(error)) if is_timeout(error.kind()) => {
                    panic!("the connection does not end");
                }
                Err(_) => return ended,
            }
        }
    }

    /// The connection must end with a Close frame of this code and a reason.
    #[track_caller]
    pub(crate) fn expect_close(&mut self, code: u16) {
        match self.read_to_end() {
            Ended::Closed(actual, reason) => {
                assert_eq!(actual, code, "reason: {reason}");
                assert!(!reason.is_empty(), "each Close frame has a short reason");
            }
            Ended::Cut => panic!("expected Close {code}, but the connection was cut"),
        }
    }

    // --- conversations ---

    /// Joins as a guest; the `room_info`.
    #[track_caller]
    pub(crate) fn join(&mut self, code: &str, peer: &str) -> Value {
        self.join_with(&json!({ "action": "join", "room_code": code, "peer_id": peer }))
    }

    /// Joins as host; the `room_info`.
    #[track_caller]
    pub(crate) fn join_as_host(&mut self, code: &str, host: &str) -> Value {
        self.join_with(&json!({
            "action": "join", "room_code": code, "peer_id": host, "is_host": true
        }))
    }

    /// Sends the join `message`; the `room_info` that follows `connected`.
    #[track_caller]
    pub(crate) fn join_with(&mut self, message: &Value) -> Value {
        self.send_json(message);
        self.expect_type("connected");
        self.expect_type("room_info")
    }

    /// Waits until the server has handled everything that was sent before, and nothing came of
    /// it.
    #[track_caller]
    pub(crate) fn expect_silence(&mut self) {
        self.send_text(r#"{"action":"ping"}"#);
        self.expect(&json!({ "type": "pong" }));
    }

    /// Closes as a client does that leaves, and waits for the server to do the same.
    #[track_caller]
    pub(crate) fn close(&mut self) {
        self.socket.close(None).expect("it is open");
        while self.read().is_ok() {}
    }
}

impl<'a> Frame<'a> {
    /// A masked frame.
    pub(crate) fn new(first: u8, payload: &'a [u8]) -> Self {
        Self { first, masked: true, payload }
    }

    /// Its bytes. The mask is four zeros, which leave the payload as it is.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mask_bit = if self.masked { 0x80 } else { 0 };
        let mut bytes = vec![self.first];
        if let Ok(length @ 0..126) = u8::try_from(self.payload.len()) {
            bytes.push(mask_bit + length);
        } else if let Ok(length) = u16::try_from(self.payload.len()) {
            bytes.push(mask_bit + 126);
            bytes.extend(length.to_be_bytes());
        } else {
            bytes.push(mask_bit + 127);
            bytes.extend((self.payload.len() as u64).to_be_bytes());
        }
        if self.masked {
            bytes.extend([0; 4]);
        }
        bytes.extend_from_slice(self.payload);
        bytes
    }
}

fn set_deadlines(stream: &TcpStream) {
    stream.set_read_timeout(Some(DEADLINE)).expect("the deadline is not zero");
    stream.set_write_timeout(Some(DEADLINE)).expect("the deadline is not zero");
    let _unix_sockets_never_wait = stream.set_nodelay(true);
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
