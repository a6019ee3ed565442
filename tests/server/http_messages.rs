//! HTTP/1.1 itself, byte by byte: framing, keeping alive, refusing, and what browsers need.

use serde_json::json;

use crate::support::{Response, Server};

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n")
}

/// The answer to the bytes of `request` on a fresh connection.
fn ask(server: &Server, request: impl AsRef<[u8]>) -> Response {
    let mut client = server.open();
    client.send(request);
    client.response()
}

#[test]
fn pipelined_requests_are_answered_in_order_on_one_connection() {
    let server = Server::start(&[]);
    let mut client = server.open();
    let head = "HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send([&get("/health", ""), head, &get("/nowhere", ""), &get("/", "")].concat());
    assert_eq!(client.response().json()["status"], "healthy");
    let response = client.response_to("HEAD");
    assert_eq!(response.status, 200);
    let length = response.header("content-length").map(str::parse);
    assert!(matches!(length, Some(Ok(1_usize..))), "the length that GET would have");
    assert_eq!(client.response().status, 404);
    assert_eq!(client.response().status, 200);
    client.request("GET", "/health", &[], "");
    assert_eq!(client.response().status, 200, "and it is still open");
}

#[test]
fn the_connection_closes_when_either_side_wants_that() {
    let server = Server::start(&[]);
    let requests = [
        get("/health", "Connection: close\r\n"),
        get("/health", "Connection: keep-alive, CLOSE\r\n"),
        "GET /health HTTP/1.0\r\n\r\n".to_owned(),
    ];
    for request in requests {
        let mut client = server.open();
        client.send(&request);
        assert_eq!(client.response().status, 200, "{request}");
        assert_eq!(client.read_to_end(), b"", "{request}");
    }
    let mut client = server.open();
    client.send(get("/health", ""));
    client.finish();
    assert_eq!(client.response().status, 200, "half closed, but answered");
    assert_eq!(client.read_to_end(), b"");
}

#[test]
fn a_body_may_come_in_chunks() {
    let server = Server::start(&[]);
    let mut client = server.open();
    client.send(
        "POST /api/rooms HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         5;why=not\r\n{\"des\r\n1a\r\nired_room_code\":\"chunked\"}\r\n0\r\nTrailer: x\r\n\r\n",
    );
    let response = client.response();
    assert_eq!(response.status, 201, "{}", response.text());
    assert_eq!(response.json()["room_code"], "chunked");
    client.request("GET", "/health", &[], "");
    assert_eq!(client.response().status, 200, "the end of the body was found");
}

#[test]
fn a_client_that_waits_for_a_go_ahead_gets_it() {
    let server = Server::start(&[]);
    let mut client = server.open();
    client.request(
        "POST",
        "/api/rooms",
        &[("Expect", "100-continue"), ("Content-Length", "2")],
        "",
    );
    assert_eq!(client.response().status, 100);
    client.send("{}");
    assert_eq!(client.response().status, 201);

    let mut client = server.open();
    let headers = [("Expect", "100-continue"), ("Content-Length", "99999999")];
    client.request("POST", "/api/rooms", &headers, "");
    assert_eq!(client.response().status, 413, "told before it has sent anything");
}

#[test]
fn every_answer_has_a_date_and_is_not_sniffed() {
    let server = Server::start(&[]);
    for path in ["/", "/health", "/api/rooms/NOSUCH", "/nowhere"] {
        let response = server.get(path);
        let date = response.header("date").expect("a date");
        assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        let kind = response.header("content-type").expect("a type");
        assert!(kind.starts_with("application/json"), "{path}: {kind}");
    }
}

#[test]
fn what_is_not_there_or_not_allowed_is_said_so() {
    let server = Server::start(&[]);
    assert_eq!(server.get("/nowhere").status, 404);
    assert_eq!(server.get("/api/rooms/a/b").status, 404);
    for (method, path, allowed) in
        [("DELETE", "/health", "GET"), ("GET", "/api/rooms", "POST"), ("POST", "/ws", "GET")]
    {
        let response = server.http(method, path, &[("Content-Length", "0")], "");
        assert_eq!(response.status, 405, "{method} {path}");
        let allow = response.header("allow").expect("what is allowed");
        assert!(allow.split(", ").any(|method| method == allowed), "{method} {path}: {allow}");
    }
}

#[test]
fn requests_that_nobody_may_send_are_400s_and_end_the_connection() {
    let server = Server::start(&[]);
    let requests = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        "POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\
         \r\n\r\n0\r\n\r\n",
        "POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}",
        "POST /api/rooms HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST /api/rooms HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01",
    ];
    for request in requests {
        let mut client = server.open();
        client.send(request);
        assert_eq!(client.response().status, 400, "{request:?}");
        assert_eq!(client.read_to_end(), b"", "{request:?}: nothing after it is read");
    }
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn too_much_of_anything_is_refused_before_it_is_kept() {
    let server = Server::start(&[]);
    let long = "x".repeat(100 * 1024);
    let many = "X: 1\r\n".repeat(1000);
    assert_eq!(ask(&server, get("/", &format!("X: {long}\r\n"))).status, 431);
    assert_eq!(ask(&server, get("/", &many)).status, 431);
    let body = json!({ "desired_room_code": long }).to_string();
    assert_eq!(server.http("POST", "/api/rooms", &[], &body).status, 413);
    let chunked = "POST /api/rooms HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(ask(&server, format!("{chunked}19000\r\n{long}\r\n0\r\n\r\n")).status, 413);
}

#[test]
fn a_client_that_dawdles_is_told_408_and_one_that_says_nothing_is_dropped() {
    let server = Server::start(&[("HEADER_TIMEOUT_SECONDS", "1"), ("KEEP_ALIVE_SECONDS", "1")]);
    let mut slow = server.open();
    let mut silent = server.open();
    let mut idle = server.open();
    slow.send("GET /health HTTP/1.1\r\nHo");
    idle.send(get("/health", ""));
    assert_eq!(idle.response().status, 200);
    assert_eq!(slow.response().status, 408);
    assert_eq!(slow.read_to_end(), b"");
    assert_eq!(silent.read_to_end(), b"");
    assert_eq!(idle.read_to_end(), b"", "kept alive, but not for ever");
}

#[test]
fn any_origin_may_ask_without_credentials_by_default() {
    let server = Server::start(&[]);
    let origin = [("Origin", "https://app.example.com")];
    let response = server.http("GET", "/health", &origin, "");
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    assert_eq!(response.header("access-control-allow-credentials"), None);
    let not_found = server.http("GET", "/nowhere", &origin, "");
    assert_eq!(not_found.header("access-control-allow-origin"), Some("*"), "errors as well");

    let headers = [
        ("Origin", "https://app.example.com"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ];
    let preflight = server.http("OPTIONS", "/api/rooms", &headers, "");
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
    let methods = preflight.header("access-control-allow-methods").expect("the methods");
    for method in ["GET", "POST", "PUT", "DELETE"] {
        assert!(methods.contains(method), "{methods}");
    }
    let names = preflight.header("access-control-allow-headers").expect("the headers");
    for name in ["content-type", "authorization", "x-setup-token"] {
        assert!(names.to_lowercase().contains(name), "{names}");
    }
}

#[test]
fn listed_origins_are_echoed_with_credentials_and_others_are_not() {
    let server = Server::start(&[("ALLOWED_ORIGINS", "https://app.example.com")]);
    let listed = server.http("GET", "/health", &[("Origin", "https://app.example.com")], "");
    let allowed = listed.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://app.example.com"));
    assert_eq!(listed.header("access-control-allow-credentials"), Some("true"));
    assert!(listed.header("vary").is_some_and(|vary| vary.contains("Origin")), "for caches");
    let other = server.http("GET", "/health", &[("Origin", "https://evil.example.com")], "");
    assert_eq!(other.header("access-control-allow-origin"), None);
    assert!(other.header("vary").is_some_and(|vary| vary.contains("Origin")), "for caches");
}
