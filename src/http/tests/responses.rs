//! Answers, byte for byte.

use serde_json::json;

use super::request;
use crate::base::time::UnixMillis;
use crate::http::{ExtraFields, Response, ResponseContext, ResponseEncoder, Status};

/// 23 November 2026, 11:39:29.
const NOW: UnixMillis = UnixMillis(1_795_433_969_007);
const START: &str = "Date: Mon, 23 Nov 2026 11:39:29 GMT\r\nX-Content-Type-Options: nosniff\r\n";
const JSON: &str = "Content-Type: application/json\r\nCache-Control: no-store\r\n";
const EXTRA: &str = "X-Origin: none\r\nX-Options: false\r\n";

/// Says what is known of the request.
#[derive(Debug)]
struct Known;

impl ExtraFields for Known {
    fn write(&self, context: &ResponseContext, add: &mut dyn FnMut(&str, &[u8])) {
        add("X-Origin", context.origin().unwrap_or(b"none"));
        add("X-Options", if context.is_options() { b"true" } else { b"false" });
    }
}

fn encode(response: &Response, context: &ResponseContext) -> String {
    let mut encoder = ResponseEncoder::default();
    encoder.set_extra_fields(Box::new(Known));
    let mut out = Vec::new();
    encoder.encode(response, context, NOW, &mut out);
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
        let expected = format!("HTTP/1.1 200 OK\r\n{START}{JSON}{EXTRA}{end}");
        assert_eq!(encode(&ok, &context(head)), expected, "{head}");
    }
}

#[test]
fn while_shutting_down_every_answer_is_the_last() {
    let mut encoder = ResponseEncoder::default();
    assert!(!encoder.is_closing());
    encoder.close_after_answers();
    assert!(encoder.is_closing());
    let mut out = Vec::new();
    let context = context("GET / HTTP/1.1\r\nHost: a");
    assert!(context.keep_alive());
    encoder.encode(&Response::no_content(), &context, NOW, &mut out);
    assert!(String::from_utf8_lossy(&out).contains("\r\nConnection: close\r\n"));
}

#[test]
fn an_answer_to_what_could_not_be_read_is_the_last() {
    let response = Response::error(Status::BAD_REQUEST, "a \"b\"\r\nc");
    let expected = format!(
        "HTTP/1.1 400 Bad Request\r\n{START}{JSON}{EXTRA}Connection: close\r\n\
         Content-Length: 24\r\n\r\n{{\"error\":\"a \\\"b\\\"\\r\\nc\"}}"
    );
    assert_eq!(encode(&response, &ResponseContext::closing()), expected);
    assert!(!ResponseContext::closing().keep_alive());
}

#[test]
fn other_types_may_be_cached() {
    let response = Response::new(Status::OK, "text/html; charset=utf-8", b"<p>".as_slice());
    let expected = format!(
        "HTTP/1.1 200 OK\r\n{START}Content-Type: text/html; charset=utf-8\r\n{EXTRA}\
         Content-Length: 3\r\n\r\n<p>"
    );
    let context = context("GET / HTTP/1.1\r\nHost: a");
    assert_eq!(encode(&response, &context), expected);
}

#[test]
fn a_field_is_set_once_and_cannot_smuggle_another_in() {
    let mut response = Response::no_content();
    response.set_header("Retry-After", "5");
    response.set_header("retry-after", "7");
    response.set_header("Location", "/a\r\nSet-Cookie: b=c\0\x7f\r\n\r\n<p>");
    assert_eq!(response.header("Retry-After"), Some("7"));
    let text = encode(&response, &ResponseContext::closing());
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
        let text = encode(&response, &context(head));
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn answers_show_nothing_secret() {
    let mut response = Response::json(Status::OK, &json!({ "token": "hunter2" }));
    response.set_header("Set-Cookie", "_khun_ph_token=hunter2");
    assert_eq!(format!("{response:?}"), "Response { status: 200, body_bytes: 19, .. }");
}

#[test]
fn an_application_adds_fields_by_what_the_request_was() {
    let answer = Response::no_content();
    let text = encode(&answer, &context("OPTIONS * HTTP/1.1\r\nHost: a\r\nOrigin: null"));
    let expected =
        format!("HTTP/1.1 204 No Content\r\n{START}X-Origin: null\r\nX-Options: true\r\n\r\n");
    assert_eq!(text, expected, "a 204 has no content and no length");
    let long = "a".repeat(600);
    for origin in ["Origin: a\r\nOrigin: a", &format!("Origin: https://{long}")] {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{origin}");
        assert_eq!(context(&head).origin(), None, "{origin}");
    }
    let mut out = Vec::new();
    ResponseEncoder::default().encode(&answer, &ResponseContext::closing(), NOW, &mut out);
    let plain = format!("HTTP/1.1 204 No Content\r\n{START}Connection: close\r\n\r\n");
    assert_eq!(String::from_utf8(out), Ok(plain));
}
