//! A room from Rust, with `tungstenite`: joins it and prints what happens there.
//!
//! ```sh
//! cargo run --example rust_client -- localhost:3001 ABC234
//! ```
//!
//! Each line that is typed is said to everybody. Ctrl-C or the end of the input ends it.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::net::TcpStream;
use std::{env, thread};

use serde_json::{Value, json};
use tungstenite::handshake::client::generate_key;
use tungstenite::http::Request;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [server, code] = &arguments[..] else {
        return Err("usage: rust_client HOST:PORT CODE".into());
    };
    let stream = TcpStream::connect(server)?;
    let request = Request::get(format!("ws://{server}/ws"))
        .header("Host", server)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key())
        .header("Sec-WebSocket-Protocol", "khun-phaen.v1")
        .body(())?;
    let (mut socket, _) = tungstenite::client(request, stream)?;
    socket.send(message(&json!({ "action": "join", "room_code": code })))?;

    // Two threads, one connection: one only writes, the other one also answers pings.
    let writer = socket.get_ref().try_clone()?;
    thread::spawn(move || say(writer));
    loop {
        match socket.read()? {
            Message::Text(text) => show(&serde_json::from_str(text.as_str())?)?,
            Message::Close(_) => return Ok(()),
            _ => {}
        }
    }
}

/// Sends each line of the input, then says goodbye.
fn say(stream: TcpStream) -> Result<(), tungstenite::Error> {
    let mut socket = WebSocket::from_raw_socket(stream, Role::Client, None);
    for line in io::stdin().lock().lines() {
        let text = line?;
        socket.send(message(&json!({ "action": "broadcast", "data": { "text": text } })))?;
    }
    socket.close(None)?;
    socket.flush()
}

fn message(value: &Value) -> Message {
    Message::text(value.to_string())
}

/// Prints what the server says.
fn show(event: &Value) -> Result<(), Box<dyn Error>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = match event["type"].as_str() {
        Some("connected") => {
            format!("in {} as {}", text(&event["room_code"]), text(&event["peer_id"]))
        }
        Some("peer_joined") => format!("+ {}", text(&event["peer"]["id"])),
        Some("peer_left") => format!("- {}", text(&event["peer_id"])),
        Some("data") => format!("{}: {}", text(&event["from"]), event["data"]),
        Some("document_sync") => format!("document: {}", text(&event["document"])),
        Some("error") => return Err(text(&event["message"]).into()),
        _ => return Ok(()),
    };
    Ok(writeln!(io::stdout(), "{line}")?)
}
