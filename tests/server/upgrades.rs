//! From HTTP to WebSocket: browsers' requests, and requests that are none.

use serde_json::json;

use crate::support::{Frame, HttpClient, Response, Server, WebSocketClient};

/// RFC 6455, section 1.3: this key gives this answer.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What Chromium sends, in its order.
fn chromium(host: &str, origin: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\n\
         Host: {host}\r\n\
         Connection: Upgrade\r\n\
         Pragma: no-cache\r\n\
         Cache-Control: no-cache\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/140.0.0.0 Safari/537.36\r\n\
         Upgrade: websocket\r\n\
         Origin: {origin}\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\n\
         Accept-Language: th-TH,th;q=0.9,en;q=0.8\r\n\
         Cookie: theme=dark; other=1\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    )
}

/// What Firefox sends: `Connection` is a list.
fn firefox(host: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0 Gecko/20100101 Firefox/140.0\
         \r\nAccept: */*\r\nSec-WebSocket-Version: 13\r\nOrigin: null\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: {KEY}\r\n\
         Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n"
    )
}

/// The answer to the bytes of `request`, and the connection.
fn ask(server: &Server, request: &str) -> (Response, HttpClient) {
    let mut client = server.open();
    client.send(request);
    (client.response(), client)
}

/// An upgrade request with `changed` in place of one of its lines.
fn upgrade_with(server: &Server, line: &str, changed: &str) -> u16 {
    let request = chromium(&server.address().to_string(), "https://app.example.com");
    assert!(request.contains(line), "there is no {line:?}");
    ask(server, &request.replace(line, changed)).0.status
}

#[test]
fn browsers_are_upgraded_without_the_extensions_they_offer() {
    let server = Server::start(&[]);
    let host = server.address().to_string();
    for request in [chromium(&host, "https://app.example.com"), firefox(&host)] {
        let (response, client) = ask(&server, &request);
        assert_eq!(response.status, 101);
        assert_eq!(response.header("sec-websocket-accept"), Some(ACCEPT));
        assert_eq!(response.header("upgrade").map(str::to_lowercase).as_deref(), Some("websocket"));
        let connection = response.header("connection").map(str::to_lowercase);
        assert_eq!(connection.as_deref(), Some("upgrade"));
        for absent in ["sec-websocket-extensions", "sec-websocket-protocol", "content-length"] {
            assert_eq!(response.header(absent), None);
        }
        WebSocketClient::upgraded(client.into_stream()).expect_silence();
    }
}

#[test]
fn frames_may_come_right_behind_the_request() {
    let server = Server::start(&[]);
    let mut client = server.open();
    let mut bytes = chromium(&server.address().to_string(), "null").into_bytes();
    bytes.extend(Frame::new(0x81, br#"{"action":"ping"}"#).encode());
    client.send(bytes);
    assert_eq!(client.response().status, 101);
    let pong = br#"{"type":"pong"}"#;
    let frame = client.take(2 + pong.len());
    assert_eq!(&frame[2..], pong);
}

#[test]
fn our_subprotocol_is_echoed_and_a_token_beside_it_never_is() {
    let server = Server::start(&[]);
    let request = |protocols: &str| {
        let line = format!("Sec-WebSocket-Protocol: {protocols}\r\nUpgrade: websocket");
        let request = chromium(&server.address().to_string(), "null");
        let (response, _) = ask(&server, &request.replace("Upgrade: websocket", &line));
        assert_eq!(response.status, 101);
        response.header("sec-websocket-protocol").map(str::to_owned)
    };
    let ours = Some("khun-phaen.v1".to_owned());
    assert_eq!(request("khun-phaen.v1"), ours);
    assert_eq!(request("bearer.abc.def, khun-phaen.v1"), ours);
    assert_eq!(request("bearer.abc.def"), None);
    assert_eq!(request("chat"), None);
}

#[test]
fn a_malformed_upgrade_is_a_400() {
    let server = Server::start(&[]);
    let cases = [
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "not base64 at all!!!!!!!"),
    ];
    for (line, changed) in cases {
        assert_eq!(upgrade_with(&server, line, changed), 400, "{line:?} -> {changed:?}");
    }
}

#[test]
fn what_is_no_upgrade_is_told_to_become_one() {
    let server = Server::start(&[]);
    for (line, changed) in [
        ("Upgrade: websocket\r\n", "Upgrade: h2c\r\n"),
        ("Upgrade: websocket\r\n", ""),
        ("Connection: Upgrade\r\n", "Connection: keep-alive\r\n"),
    ] {
        let status = upgrade_with(&server, line, changed);
        assert!(matches!(status, 400 | 426), "{changed:?}: {status}");
    }
}

#[test]
fn another_version_is_a_426_that_names_ours() {
    let server = Server::start(&[]);
    let request = chromium(&server.address().to_string(), "null");
    let (response, _) = ask(&server, &request.replace("Version: 13", "Version: 8"));
    assert_eq!(response.status, 426);
    assert_eq!(response.header("sec-websocket-version"), Some("13"));
}

#[test]
fn only_listed_origins_are_upgraded_and_clients_that_are_no_browser() {
    let server = Server::start(&[("ALLOWED_ORIGINS", "https://app.example.com,http://a:1")]);
    let with_origin = |origin: &str| upgrade_with(&server, "https://app.example.com", origin);
    assert_eq!(with_origin("https://app.example.com"), 101);
    assert_eq!(with_origin("http://a:1"), 101);
    for origin in ["https://app.example.com.evil.org", "http://app.example.com", "null"] {
        assert_eq!(with_origin(origin), 403, "{origin}");
    }
    assert_eq!(upgrade_with(&server, "Origin: https://app.example.com\r\n", ""), 101);
}

#[test]
fn an_upgrade_may_follow_other_requests_on_one_connection() {
    let server = Server::start(&[]);
    let mut client = server.open();
    client.request("GET", "/health", &[], "");
    assert_eq!(client.response().status, 200);
    client.send(chromium(&server.address().to_string(), "null"));
    assert_eq!(client.response().status, 101);
    let mut socket = WebSocketClient::upgraded(client.into_stream());
    socket.send_json(&json!({ "action": "ping" }));
    socket.expect(&json!({ "type": "pong" }));
}

#[test]
fn where_a_login_is_required_nobody_gets_in_without_one() {
    let server = Server::start(&[("REQUIRE_AUTH", "true")]);
    let connect = |headers: &[(&str, &str)]| WebSocketClient::connect(server.address(), headers);
    assert_eq!(connect(&[]).err(), Some(401));
    assert_eq!(connect(&[("Authorization", "Bearer a.b.c")]).err(), Some(401));
    let protocols = [("Sec-WebSocket-Protocol", "khun-phaen.v1, bearer.a.b.c")];
    assert_eq!(connect(&protocols).err(), Some(401));
    assert_eq!(server.http("POST", "/api/rooms", &[("Content-Length", "0")], "").status, 401);
    assert_eq!(server.get("/health").status, 200);
}
