//! Entity tags, and gzip or not.

use super::request;
use crate::http::{accepts_gzip, is_known};

#[test]
fn a_client_gets_only_what_it_does_not_have() {
    let table = [
        ("", false),
        ("If-None-Match: W/\"a1\"\r\n", true),
        ("If-None-Match: \"a1\"\r\n", true),
        ("If-None-Match: \"b\", W/\"a1\" , \"c\"\r\n", true),
        ("If-None-Match: \"b\"\r\nIf-None-Match: \"a1\"\r\n", true),
        ("If-None-Match: *\r\n", true),
        ("If-None-Match: a1\r\n", false),
        ("If-None-Match: \"a\"\r\n", false),
        ("If-None-Match: w/\"a1\"\r\n", false),
        ("If-None-Match: ก\r\n", false),
    ];
    for (fields, expected) in table {
        let request = request(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(is_known(&request, "W/\"a1\""), expected, "{fields:?}");
    }
}

#[test]
fn gzip_is_for_those_who_say_so() {
    let table = [
        ("", false),
        ("Accept-Encoding: gzip\r\n", true),
        ("Accept-Encoding: br, GZIP;q=0.5, deflate\r\n", true),
        ("Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n", true),
        ("Accept-Encoding: *\r\n", true),
        ("Accept-Encoding: br\r\n", false),
        ("Accept-Encoding: gzip;q=0\r\n", false),
        ("Accept-Encoding: gzip; Q=0.000\r\n", false),
        ("Accept-Encoding: *, gzip;q=0\r\n", false),
        ("Accept-Encoding: *;q=0\r\n", false),
        ("Accept-Encoding: gzip;q=0.001\r\n", true),
        ("Accept-Encoding: identity\r\n", false),
        ("Accept-Encoding:\r\n", false),
    ];
    for (fields, expected) in table {
        let request = request(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(accepts_gzip(&request), expected, "{fields:?}");
    }
}
