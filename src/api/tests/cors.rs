//! What pages may read, byte for byte.

use serde_json::json;

use super::request;
use crate::api::Cors;
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
    let mut encoder = ResponseEncoder::default();
    encoder.set_extra_fields(Box::new(Cors::new(origins.clone())));
    let mut out = Vec::new();
    encoder.encode(response, context, NOW, &mut out);
    String::from_utf8(out).expect("text")
}

fn context(head: &str) -> ResponseContext {
    ResponseContext::of(&request(format!("{head}\r\n\r\n")))
}

#[test]
fn the_fields_stand_behind_those_of_the_answer_to_whatever_request() {
    let ok = Response::json(Status::OK, &json!({ "a": 1 }));
    let end = "Connection: close\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
    let expected = format!("HTTP/1.1 200 OK\r\n{START}{JSON}{ANY}{end}");
    let read = context("GET / HTTP/1.1\r\nHost: a\r\nConnection: close");
    for context in [read, ResponseContext::closing()] {
        assert_eq!(encode(&ok, &context, &AllowedOrigins::Any), expected);
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
    let answer = Response::no_content();
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
