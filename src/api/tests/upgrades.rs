//! Which requests become a WebSocket, and where tokens are found.

use super::request;
use crate::api::{Cors, SUBPROTOCOL, check_upgrade, credentials};
use crate::base::secret::Secret;
use crate::base::time::UnixMillis;
use crate::config::AllowedOrigins;
use crate::http::{Request, ResponseEncoder, Upgrade};

/// The example of RFC 6455, 1.3.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: a:3001\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

fn listed() -> AllowedOrigins {
    AllowedOrigins::List(vec!["https://app.example".to_owned()])
}

/// The handshake with `replacement` instead of `part`.
fn handshake(part: &str, replacement: &str) -> Request {
    assert!(HANDSHAKE.contains(part), "there is no {part:?}");
    request(HANDSHAKE.replacen(part, replacement, 1))
}

/// The handshake with further `fields`.
fn handshake_with(fields: &str) -> Request {
    handshake("\r\n\r\n", &format!("\r\n{fields}\r\n"))
}

fn upgrade(request: &Request, origins: &AllowedOrigins) -> Result<(Upgrade, Option<Secret>), u16> {
    check_upgrade(request, origins).map_err(|response| response.status().code())
}

#[test]
fn a_list_of_origins_keeps_other_pages_out_and_programs_not() {
    let table = [
        ("", None),
        ("Origin: https://app.example\r\n", None),
        ("Origin: HTTPS://APP.example\r\n", None),
        ("Origin: https://app.example:443\r\n", Some(403)),
        ("Origin: http://app.example\r\n", Some(403)),
        ("Origin: https://app.example.evil.example\r\n", Some(403)),
        ("Origin: https://evil.example\r\n", Some(403)),
        ("Origin: null\r\n", Some(403)),
        ("Origin:\r\n", Some(403)),
        ("Origin: http://a:3001\r\n", Some(403)),
        ("Origin: https://app.example\r\nOrigin: https://evil.example\r\n", Some(403)),
    ];
    for (origin, status) in table {
        let request = handshake_with(origin);
        assert_eq!(upgrade(&request, &listed()).err(), status, "{origin:?}");
        assert_eq!(upgrade(&request, &AllowedOrigins::Any).err(), None, "{origin:?}");
    }
}

#[test]
fn the_own_page_is_let_in_by_an_address_but_not_by_a_name_that_anybody_can_give() {
    let table = [
        ("127.0.0.1:3001", "http://127.0.0.1:3001", None),
        ("192.168.1.5", "http://192.168.1.5", None),
        ("[::1]:3001", "http://[::1]:3001", None),
        ("localhost:3001", "http://localhost:3001", None),
        ("localhost:3001", "http://localhost:3000", Some(403)),
        ("127.0.0.1:3001", "http://127.0.0.1.evil.example:3001", Some(403)),
        // It may lead here all the same: that is DNS rebinding.
        ("evil.example:3001", "http://evil.example:3001", Some(403)),
        ("127.0.0.1:3001", "null", Some(403)),
    ];
    for (host, origin, status) in table {
        let request = handshake("Host: a:3001", &format!("Host: {host}\r\nOrigin: {origin}"));
        assert_eq!(upgrade(&request, &listed()).err(), status, "{host} {origin}");
    }
}

#[test]
fn an_origin_that_is_no_text_is_still_an_origin() {
    let fields = b"\r\nOrigin: \xff\r\nCookie: _khun_ph_token=c\r\n\r\n";
    let head = HANDSHAKE.strip_suffix("\r\n\r\n").expect("the end of the head");
    let request = request([head.as_bytes(), fields].concat());
    assert_eq!(upgrade(&request, &listed()), Err(403));
    assert_eq!(credentials(&request, &AllowedOrigins::Any), None);
}

#[test]
fn our_subprotocol_is_chosen_and_a_token_taken_from_the_best_place() {
    let ours = Some(SUBPROTOCOL);
    let table = [
        ("", "", None, None),
        ("", "Sec-WebSocket-Protocol: khun-phaen.v1\r\n", ours, None),
        ("", "Sec-WebSocket-Protocol: bearer.a.b-c, khun-phaen.v1\r\n", ours, Some("a.b-c")),
        (
            "",
            "Sec-WebSocket-Protocol: khun-phaen.v1\r\nSec-WebSocket-Protocol: bearer.a\r\n",
            ours,
            Some("a"),
        ),
        ("", "Sec-WebSocket-Protocol: bearer.a\r\n", None, Some("a")),
        ("", "Sec-WebSocket-Protocol: chat, Khun-Phaen.v1\r\n", None, None),
        ("?token=q", "Sec-WebSocket-Protocol: khun-phaen.v1, bearer.a\r\n", ours, Some("a")),
        ("?token=q", "Sec-WebSocket-Protocol: bearer.\r\n", None, Some("q")),
        ("?x=1&token=q%2er", "Authorization: Bearer h\r\n", None, Some("q.r")),
        ("?token=", "Authorization: Bearer h\r\n", None, Some("h")),
        ("", "Cookie: _khun_ph_token=c\r\n", None, Some("c")),
    ];
    for (query, fields, subprotocol, bearer) in table {
        let raw = HANDSHAKE.replacen("/ws", &format!("/ws{query}"), 1).replacen(
            "\r\n\r\n",
            &format!("\r\n{fields}\r\n"),
            1,
        );
        let checked = upgrade(&request(raw), &AllowedOrigins::Any);
        let (upgrade, token) = checked.expect("a valid handshake");
        assert_eq!(upgrade.subprotocol, subprotocol, "{query} {fields}");
        assert_eq!(token, bearer.map(Secret::new), "{query} {fields}");
    }
}

#[test]
fn the_answer_echoes_no_token_and_takes_no_extension() {
    let request = handshake_with(
        "Sec-WebSocket-Protocol: bearer.hunter2, khun-phaen.v1\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\n",
    );
    let checked = check_upgrade(&request, &AllowedOrigins::Any).expect("a valid handshake");
    assert!(!format!("{checked:?}").contains("hunter2"));
    let (upgrade, _) = checked;
    let mut out = Vec::new();
    let mut encoder = ResponseEncoder::default();
    encoder.set_extra_fields(Box::new(Cors::new(listed())));
    encoder.encode_upgrade(&upgrade, UnixMillis(0), &mut out);
    let expected = format!(
        "HTTP/1.1 101 Switching Protocols\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         X-Content-Type-Options: nosniff\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: khun-phaen.v1\r\n\r\n"
    );
    assert_eq!(String::from_utf8(out).as_deref(), Ok(expected.as_str()));
}

#[test]
fn a_cookie_counts_only_for_pages_that_are_known() {
    let cookie = "Cookie: x=1; _khun_ph_token=c\r\n";
    let table = [
        ("", true, true),
        ("Origin: http://a:3001\r\n", true, true),
        ("Origin: https://a:3001\r\n", true, true),
        ("Origin: https://app.example\r\n", false, true),
        ("Origin: http://a:3002\r\n", false, false),
        ("Origin: http://a\r\n", false, false),
        ("Origin: https://evil.example\r\n", false, false),
        ("Origin: null\r\n", false, false),
        ("Origin:\r\n", false, false),
        ("Origin: http://a:3001\r\nOrigin: https://evil.example\r\n", false, false),
    ];
    for (origin, with_any, with_list) in table {
        let request = handshake_with(&format!("{cookie}{origin}"));
        let counts = |origins| credentials(&request, &origins) == Some(Secret::new("c"));
        assert_eq!(counts(AllowedOrigins::Any), with_any, "{origin:?}");
        assert_eq!(counts(listed()), with_list, "{origin:?}");
    }
}

#[test]
fn a_bearer_token_is_taken_before_a_cookie_and_from_any_page() {
    let table = [
        ("Authorization: Bearer t\r\n", Some("t")),
        ("Authorization: bearer   t \r\n", Some("t")),
        ("Authorization: Bearer t\r\nOrigin: https://evil.example\r\n", Some("t")),
        ("Authorization: Bearer t\r\nCookie: _khun_ph_token=c\r\n", Some("t")),
        ("Authorization: Basic eA==\r\nCookie: _khun_ph_token=c\r\n", Some("c")),
        ("Authorization: Bearer\r\n", None),
        ("Authorization: Bearer\t\r\n", None),
        ("Authorization: Basic eA==\r\n", None),
        ("Cookie: _khun_ph_token=\r\n", None),
        ("Cookie: _khun_ph_token=\"c\"\r\n", Some("c")),
        ("Cookie: a_khun_ph_token=c\r\n", None),
        ("", None),
    ];
    for (fields, expected) in table {
        let token = credentials(&handshake_with(fields), &listed());
        assert_eq!(token, expected.map(Secret::new), "{fields:?}");
    }
}
