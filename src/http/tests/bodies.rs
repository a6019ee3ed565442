//! JSON bodies.

use serde::Deserialize;

use super::request;
use crate::http::parse_json;

#[test]
fn json_bodies_are_optional_but_not_arbitrary() {
    #[derive(Debug, Default, Deserialize, PartialEq)]
    struct Body {
        a: Option<u8>,
    }
    let parse = |body: &str| {
        let raw =
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        parse_json::<Body>(&request(raw))
    };
    for (body, a) in [
        ("", None),
        (" \r\n", None),
        ("{}", None),
        (r#"{"a":null}"#, None),
        (r#" {"a":1,"b":[2]} "#, Some(1)),
    ] {
        assert_eq!(parse(body), Ok(Body { a }), "{body}");
    }
    let deep = "[".repeat(1000);
    for body in ["{", "[1]x", "1", "null", r#"{"a":-1}"#, r#"{"a":1}}"#, "a=1", "\0", &deep] {
        let error = parse(body).expect_err(body);
        assert!(error.starts_with("Invalid JSON: ") && error.lines().count() == 1, "{error}");
    }
}
