//! WebSocket frames in every shape that a client may send, and in those that it may not.

use serde_json::json;
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;

use crate::support::{Ended, Frame, Server};

/// First bytes of frames (RFC 6455, section 5.2).
const TEXT: u8 = 0x81;
const TEXT_BEGIN: u8 = 0x01;
const CONTINUATION: u8 = 0x00;
const CONTINUATION_END: u8 = 0x80;
const PING: u8 = 0x89;
const CLOSE: u8 = 0x88;

const PING_ACTION: &[u8] = br#"{"action":"ping"}"#;

#[test]
fn a_message_may_come_in_fragments_with_a_ping_between_them() {
    let server = Server::start(&[]);
    let mut host = server.host("room", "host");
    let mut guest = server.join("room", "guest");
    guest.send_frames(&[
        Frame::new(TEXT_BEGIN, br#"{"action":"broad"#),
        Frame::new(CONTINUATION, b""),
        Frame::new(PING, b"between"),
        // A cut inside a character.
        Frame::new(CONTINUATION, b"cast\",\"data\":\"\xe0\xb9"),
        Frame::new(CONTINUATION_END, b"\x84\"}"),
    ]);
    assert_eq!(guest.next_message(), Message::Pong("between".into()));
    host.expect_type("peer_joined");
    host.expect(&json!({ "type": "data", "from": "guest", "data": "ไ" }));
}

#[test]
fn a_message_may_come_byte_by_byte_or_many_at_once() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for byte in Frame::new(TEXT, PING_ACTION).encode() {
        client.send_bytes(&[byte]);
    }
    client.expect(&json!({ "type": "pong" }));
    client.send_frames(&[Frame::new(TEXT, PING_ACTION); 50]);
    for _ in 0..50 {
        client.expect(&json!({ "type": "pong" }));
    }
}

#[test]
fn a_binary_message_with_json_is_a_message() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.send(Message::binary(PING_ACTION));
    client.expect(&json!({ "type": "pong" }));
}

#[test]
fn a_big_message_in_many_fragments_is_relayed_whole() {
    const FRAGMENTS: usize = 300;
    let server = Server::start(&[]);
    let mut host = server.host("room", "host");
    let mut guest = server.join("room", "guest");
    host.expect_type("peer_joined");
    let part = "0123456789".repeat(1000);
    guest.send_frames(&[Frame::new(TEXT_BEGIN, br#"{"action":"broadcast","data":""#)]);
    for _ in 0..FRAGMENTS {
        guest.send_frames(&[Frame::new(CONTINUATION, part.as_bytes())]);
    }
    guest.send_frames(&[Frame::new(CONTINUATION_END, b"\"}")]);
    let data = host.expect_type("data")["data"].as_str().map(str::to_owned);
    assert!(data == Some(part.repeat(FRAGMENTS)), "nothing is lost, nothing is added");
}

#[test]
fn a_ping_is_answered_with_its_own_bytes() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for payload in ["", "x", &"y".repeat(125)] {
        client.send(Message::Ping(payload.to_owned().into()));
        assert_eq!(client.next_message(), Message::Pong(payload.to_owned().into()));
    }
}

#[test]
fn a_close_is_answered_with_its_own_code() {
    let server = Server::start(&[]);
    let cases: [(&[u8], Ended); 4] = [
        (b"\x03\xe8bye", Ended::Closed(1000, String::new())),
        (b"\x03\xe9", Ended::Closed(1001, String::new())),
        (b"\x0f\xa0", Ended::Closed(4000, String::new())),
        (b"", Ended::Closed(1005, String::new())),
    ];
    for (payload, expected) in cases {
        let mut client = server.connect();
        client.send_frames(&[Frame::new(CLOSE, payload)]);
        match (client.read_to_end(), expected) {
            // An echoed reason is fine, but nobody needs it.
            (Ended::Closed(code, _), Ended::Closed(expected, _)) => assert_eq!(code, expected),
            (ended, _) => panic!("{payload:?}: {ended:?}"),
        }
    }
}

#[test]
fn what_came_before_a_close_still_counts() {
    let server = Server::start(&[]);
    let mut host = server.host("room", "host");
    let mut guest = server.join("room", "guest");
    host.expect_type("peer_joined");
    guest.send_frames(&[
        Frame::new(TEXT, br#"{"action":"broadcast","data":"last words"}"#),
        Frame::new(CLOSE, b"\x03\xe8"),
    ]);
    host.expect(&json!({ "type": "data", "from": "guest", "data": "last words" }));
    host.expect(&json!({ "type": "peer_left", "peer_id": "guest" }));
}

#[test]
fn frames_that_break_the_protocol_end_with_the_right_code() {
    let server = Server::start(&[]);
    let unmasked = Frame { first: TEXT, masked: false, payload: PING_ACTION };
    let long = [b'x'; 126];
    let cases: [(&str, &[Frame<'_>], u16); 12] = [
        ("not masked", &[unmasked], 1002),
        ("a reserved bit", &[Frame::new(0xC1, PING_ACTION)], 1002),
        ("an unknown opcode", &[Frame::new(0x83, PING_ACTION)], 1002),
        ("an unknown control opcode", &[Frame::new(0x8B, b"")], 1002),
        ("a ping in fragments", &[Frame::new(0x09, b"")], 1002),
        ("a ping that is too long", &[Frame::new(PING, &long)], 1002),
        ("a continuation of nothing", &[Frame::new(CONTINUATION_END, b"x")], 1002),
        ("text inside text", &[Frame::new(TEXT_BEGIN, b"a"), Frame::new(TEXT, b"b")], 1002),
        ("half a close code", &[Frame::new(CLOSE, b"\x03")], 1002),
        ("a close code that must not be sent", &[Frame::new(CLOSE, b"\x03\xed")], 1002),
        ("text that is not UTF-8", &[Frame::new(TEXT, b"{\"action\":\"\xff\"}")], 1007),
        ("binary that is not UTF-8", &[Frame::new(0x82, b"{\"action\":\"\xff\"}")], 1007),
    ];
    for (what, frames, code) in cases {
        let mut client = server.connect();
        client.send_frames(frames);
        match client.read_to_end() {
            Ended::Closed(actual, reason) => assert_eq!(actual, code, "{what}: {reason}"),
            Ended::Cut => panic!("{what}: the connection was cut without a Close"),
        }
    }
    server.connect().expect_silence();
}

#[test]
fn a_message_over_the_limit_ends_with_1009() {
    const BEFORE_JOIN: usize = 16 * 1024;
    const AFTER_JOIN: usize = 64 * 1024;
    let server = Server::start(&[("MAX_MESSAGE_BYTES", "64KiB")]);
    server.create_room(&json!({ "desired_room_code": "room" }));
    let fitting = |bytes: usize| {
        let frame = r#"{"action":"ping","x":""}"#.len();
        format!(r#"{{"action":"ping","x":"{}"}}"#, "x".repeat(bytes - frame))
    };
    for (joined, limit) in [(false, BEFORE_JOIN), (true, AFTER_JOIN)] {
        let mut client = server.connect();
        if joined {
            client.join("room", "peer");
        }
        client.send_text(&fitting(limit));
        client.expect(&json!({ "type": "pong" }));
        client.send_text(&fitting(limit + 1));
        client.expect_close(1009);

        let mut client = server.connect();
        if joined {
            client.join("room", "peer");
        }
        let half = vec![b'x'; limit / 2 + 1];
        let frames = [Frame::new(TEXT_BEGIN, &half), Frame::new(CONTINUATION_END, &half)];
        client.send_frames(&frames);
        client.expect_close(1009);
    }
}

#[test]
fn a_client_that_only_says_how_long_its_message_is_gets_no_memory_for_it() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    // A masked text frame of 2^62 bytes, of which none come.
    client.send_bytes(&[0x81, 0xFF, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    client.expect_close(1009);
}

#[test]
fn a_normal_goodbye_is_1000() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let frame = CloseFrame { code: 1000.into(), reason: "".into() };
    client.send(Message::Close(Some(frame)));
    assert!(matches!(client.read_to_end(), Ended::Closed(1000, _)));
}
