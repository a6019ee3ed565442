//! The opening handshake.

use super::request;
use crate::base::time::UnixMillis;
use crate::http::{Request, Response, ResponseEncoder, Upgrade, offered_subprotocols};

/// The example of RFC 6455, 1.3.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: a:3001\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// The handshake with `replacement` instead of `part`.
fn handshake(part: &str, replacement: &str) -> Request {
    assert!(HANDSHAKE.contains(part), "there is no {part:?}");
    request(HANDSHAKE.replacen(part, replacement, 1))
}

#[test]
fn a_handshake_is_answered_with_its_key() {
    let variants = [
        ("\r\n\r\n", "\r\n\r\n"),
        ("Upgrade: websocket", "uPGRADE: h2c, WebSocket"),
        ("Connection: Upgrade", "Connection: keep-alive, upgrade"),
        ("Connection: Upgrade", "Connection: keep-alive\r\nConnection: UPGRADE"),
        ("GET /ws", "GET http://a:3001/ws"),
        ("13\r\n", "13\r\nSec-WebSocket-Extensions: permessage-deflate; x\r\n"),
        ("13\r\n", "13\r\nOrigin: https://anywhere.example\r\n"),
    ];
    for (part, replacement) in variants {
        let request = handshake(part, replacement);
        let upgrade = Upgrade::of(&request).expect("a valid handshake");
        assert_eq!(
            (upgrade.accept_key.as_str(), upgrade.subprotocol),
            (ACCEPT, None),
            "{replacement}"
        );
    }
}

#[test]
fn a_malformed_handshake_is_refused() {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let key_line = format!("Sec-WebSocket-Key: {key}\r\n");
    let table = [
        ("GET", "POST", 400),
        ("GET", "HEAD", 400),
        ("HTTP/1.1", "HTTP/1.0", 400),
        ("Upgrade: websocket\r\n", "", 426),
        ("Upgrade: websocket", "Upgrade: h2c", 400),
        ("Upgrade: websocket", "Upgrade: websockets", 400),
        ("Upgrade: websocket", "Upgrade:", 400),
        ("Connection: Upgrade\r\n", "", 400),
        ("Connection: Upgrade", "Connection: keep-alive", 400),
        (key_line.as_str(), "", 400),
        (&key_line, &key_line.repeat(2), 400),
        (key, "", 400),
        (key, "dGhlIHNhbXBsZSBub25jZQ", 400),
        (key, "dGhlIHNhbXBsZSBub25jZ===", 400),
        (key, "dGhlIHNhbXBsZSBub25j", 400),
        (key, "dGhlIHNhbXBsZSBub25jZQAAAA==", 400),
        (key, "dGhlIHNhbXBsZSBub25-ZQ==", 400),
        ("Sec-WebSocket-Version: 13\r\n", "", 400),
        ("Version: 13", "Version: x", 400),
        ("Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13", 400),
        ("Version: 13", "Version: 13, 8", 400),
        ("Version: 13", "Version: 8", 426),
        ("Version: 13", "Version: 14", 426),
        ("Version: 13", "Version: 013", 426),
    ];
    for (part, replacement, status) in table {
        let request = handshake(part, replacement);
        let answer = Upgrade::of(&request).map_err(|response| response.status().code());
        assert_eq!(answer, Err(status), "{part:?} -> {replacement:?}");
    }
}

#[test]
fn a_426_says_what_to_upgrade_to() {
    let answer = |request| Upgrade::of(&request).expect_err("no upgrade");
    let plain: Response = answer(handshake("Upgrade: websocket\r\n", ""));
    assert_eq!(plain.header("Upgrade"), Some("websocket"));
    let other = answer(handshake("Version: 13", "Version: 8"));
    assert_eq!(other.header("Sec-WebSocket-Version"), Some("13"));
}

#[test]
fn a_subprotocol_is_chosen_only_if_it_is_offered() {
    let offer = "13\r\nSec-WebSocket-Protocol: chat, echo.v1\r\nSec-WebSocket-Protocol: x\r\n";
    let request = handshake("13\r\n", offer);
    assert!(offered_subprotocols(&request).eq(["chat", "echo.v1", "x"].map(str::as_bytes)));
    let mut upgrade = Upgrade::of(&request).expect("a valid handshake");
    upgrade.speak("Chat", &request);
    assert_eq!(upgrade.subprotocol, None);
    upgrade.speak("echo.v1", &request);
    assert_eq!(upgrade.subprotocol, Some("echo.v1"));
    let mut out = Vec::new();
    ResponseEncoder::default().encode_upgrade(&upgrade, UnixMillis(0), &mut out);
    assert!(out.ends_with(b"\r\nSec-WebSocket-Protocol: echo.v1\r\n\r\n"));
}
