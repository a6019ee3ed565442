//! Answers, byte for byte.

use serde_json::json;

use super::request;
use crate::base::time::UnixMillis;
use crate::config::AllowedOrigins;
use crate::http::{Response, ResponseContext, ResponseEncoder, Status};

/// 23 November 2026, 11:39:29.
const NOW: UnixMillis = UnixMillis(1_795_433_969_007);
const START: &str = "Date: Mon, 23 Nov 2026 11:39:29 GMT\r\nX-Content-Type-Options: nosniff\r\n";
const JSON: &str = "Content-Type: application/json\r\nCache-Control: no-store\r\n";
const ANY: &str =
    "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Retry-After\r\n";

fn encode(response: &Response, context: &ResponseContext, origins: &AllowedOrigins) -> String {
    let mut out = Vec::new();
    ResponseEncoder::new(origins.clone()).encode(response, context, NOW, &mut out);
    String::from_utf8(out).expect("text")
}

fn context(head: &str) -> ResponseContext {
    ResponseContext::of(&request(format!("{head}\r\n\r\n")))
}

#[test]
fn answers_are_written_as_the_request_wants_them() {
    let ok = Response::json(Status::OK, &json!({ "a": 1 }));
    let get = "GET / HTTP/1.1\r\nHost: a";
    let table = [
        (get, "Content-Length: 7\r\n\r\n{\"a\":1}"),
        ("HEAD / HTTP/1.1\r\nHost: a", "Content-Length: 7\r\n\r\n"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close",
            "Connection: close\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
        ),
        ("GET / HTTP/1.0", "Connection: close\r\nContent-Length: 7\r\n\r\n{\"a\":1}"),
        (
            "GET / HTTP/1.0\r\nConnection: keep-alive",
            "Connection: keep-alive\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
        ),
    ];
    for (head, end) in table {
        let expected = format!("HTTP/1.1 200 OK\r\n{START}{JSON}{ANY}{end}");
        assert_eq!(encode(&ok, &context(head), &AllowedOrigins::Any), expected, "{head}");
    }
}

#[test]
fn while_shutting_down_every_answer_is_the_last() {
    let mut encoder = ResponseEncoder::new(AllowedOrigins::Any);
    assert!(!encoder.is_closing());
    encoder.close_after_answers();
    assert!(encoder.is_closing());
    let mut out = Vec::new();
    let context = context("GET / HTTP/1.1\r\nHost: a");
    assert!(context.keep_alive());
    encoder.encode(&Response::preflight(), &context, NOW, &mut out);
    assert!(String::from_utf8_lossy(&out).contains("\r\nConnection: close\r\n"));
}

#[test]
fn an_answer_to_what_could_not_be_read_is_the_last() {
    let response = Response::error(Status::BAD_REQUEST, "a \"b\"\r\nc");
    let expected = format!(
        "HTTP/1.1 400 Bad Request\r\n{START}{JSON}{ANY}Connection: close\r\n\
         Content-Length: 24\r\n\r\n{{\"error\":\"a \\\"b\\\"\\r\\nc\"}}"
    );
    assert_eq!(encode(&response, &ResponseContext::closing(), &AllowedOrigins::Any), expected);
    assert!(!ResponseContext::closing().keep_alive());
}

#[test]
fn other_types_may_be_cached() {
    let response = Response::new(Status::OK, "text/html; charset=utf-8", b"<p>".as_slice());
    let expected = format!(
        "HTTP/1.1 200 OK\r\n{START}Content-Type: text/html; charset=utf-8\r\n{ANY}\
         Content-Length: 3\r\n\r\n<p>"
    );
    let context = context("GET / HTTP/1.1\r\nHost: a");
    assert_eq!(encode(&response, &context, &AllowedOrigins::Any), expected);
}

#[test]
fn a_field_is_set_once_and_cannot_smuggle_another_in() {
    let mut response = Response::preflight();
    response.set_header("Retry-After", "5");
    response.set_header("retry-after", "7");
    response.set_header("Location", "/a\r\nSet-Cookie: b=c\0\x7f\r\n\r\n<p>");
    assert_eq!(response.header("Retry-After"), Some("7"));
    let text = encode(&response, &ResponseContext::closing(), &AllowedOrigins::Any);
    assert!(text.contains("\r\nretry-after: 7\r\nLocation: /aSet-Cookie: b=c<p>\r\n"), "{text}");
    assert_eq!(text.matches("\r\n\r\n").count(), 1);
}

#[test]
fn an_offer_to_upgrade_is_a_connection_option() {
    let mut response = Response::error(Status::UPGRADE_REQUIRED, "");
    response.set_header("Upgrade", "websocket");
    let table = [
        ("GET / HTTP/1.1\r\nHost: a", "Connection: upgrade\r\n"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close", "Connection: close, upgrade\r\n"),
        ("GET / HTTP/1.0\r\nConnection: keep-alive", "Connection: keep-alive, upgrade\r\n"),
    ];
    for (head, line) in table {
        let text = encode(&response, &context(head), &AllowedOrigins::Any);
        assert!(text.contains(line), "{text}");
    }
}

/// The fields of CORS in an answer with `status` to a request with `head`.
fn cors(head: &str, response: &Response, origins: &AllowedOrigins) -> Vec<String> {
    let text = encode(response, &context(head), origins);
    text.lines()
        .filter(|line| line.starts_with("Access-Control") || line.starts_with("Vary"))
        .map(|line| line.trim_start_matches("Access-Control-").to_owned())
        .collect()
}

#[test]
fn listed_pages_may_read_with_credentials_and_others_may_not() {
    let list = AllowedOrigins::List(vec!["https://a.example".into(), "http://b:1".into()]);
    let ok = Response::json(Status::OK, &json!({}));
    let get = |origin: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{origin}");
    for origin in ["https://a.example", "http://b:1", "HTTPS://A.example"] {
        let expected = [
            "Vary: Origin",
            &format!("Allow-Origin: {origin}"),
            "Allow-Credentials: true",
            "Expose-Headers: Retry-After",
        ];
        assert_eq!(cors(&get(&format!("Origin: {origin}")), &ok, &list), expected);
    }
    let long = format!("Origin: https://{}", "a".repeat(600));
    let strangers = [
        "X: 1",
        "Origin: https://a.example:444",
        "Origin: http://a.example",
        "Origin: https://a.example.evil.example",
        "Origin: null",
        "Origin: *",
        "Origin: https://a.example\r\nOrigin: https://a.example",
        &long,
    ];
    for origin in strangers {
        assert_eq!(cors(&get(origin), &ok, &list), ["Vary: Origin"], "{origin}");
        let expected = ["Allow-Origin: *", "Expose-Headers: Retry-After"];
        assert_eq!(cors(&get(origin), &ok, &AllowedOrigins::Any), expected, "{origin}");
    }
}

#[test]
fn a_preflight_is_told_what_may_be_sent() {
    let list = AllowedOrigins::List(vec!["https://a.example".into()]);
    let options = |origin: &str| {
        format!(
            "OPTIONS /api/rooms HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST"
        )
    };
    let terms = [
        "Allow-Methods: GET, POST, PUT, DELETE",
        "Allow-Headers: Content-Type, Authorization, X-Setup-Token",
        "Max-Age: 7200",
    ];
    let answer = Response::preflight();
    let text = encode(&answer, &context("OPTIONS * HTTP/1.1\r\nHost: a"), &list);
    let expected = format!("HTTP/1.1 204 No Content\r\n{START}Vary: Origin\r\n\r\n");
    assert_eq!(text, expected, "a 204 has no content and no length");
    let any = cors(&options("https://b"), &answer, &AllowedOrigins::Any);
    assert_eq!(any[0], "Allow-Origin: *");
    assert_eq!(any[1..], terms);
    let listed = cors(&options("https://a.example"), &answer, &list);
    let echo = ["Vary: Origin", "Allow-Origin: https://a.example", "Allow-Credentials: true"];
    assert_eq!(listed[..3], echo);
    assert_eq!(listed[3..], terms);
    assert_eq!(cors(&options("https://b"), &answer, &list), ["Vary: Origin"]);
}

#[test]
fn answers_show_nothing_secret() {
    let mut response = Response::json(Status::OK, &json!({ "token": "hunter2" }));
    response.set_header("Set-Cookie", "_khun_ph_token=hunter2");
    assert_eq!(format!("{response:?}"), "Response { status: 200, body_bytes: 19, .. }");
}
