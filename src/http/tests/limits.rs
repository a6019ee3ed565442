//! Every bound, reached exactly and passed by one.

use super::{Stage, read};
use crate::http::HttpError;
use crate::http::{
    BODY_BYTES_MAX, CHUNK_EXTENSION_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX, REQUEST_LINE_BYTES_MAX,
    RequestParser, TRAILER_BYTES_MAX,
};

/// Cut in one piece, in uneven ones and byte by byte: one whole request, or `error`.
fn check(raw: &[u8], error: Option<HttpError>, what: &str) {
    for size in [raw.len(), 4096, 1000, 7, 1] {
        let outcome = read(raw.chunks(size));
        assert_eq!(outcome.error, error, "{what}, in pieces of {size}");
        assert_eq!(outcome.requests.len(), usize::from(error.is_none()), "{what}");
    }
}

fn chunked(body: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into()
}

#[test]
fn request_lines_have_a_limit() {
    for line_end in ["\r\n", "\n"] {
        for (excess, error) in [(0, None), (1, Some(HttpError::REQUEST_LINE_TOO_LONG))] {
            let frame = "GET / HTTP/1.1".len();
            let target = "x".repeat(REQUEST_LINE_BYTES_MAX - frame + excess);
            let raw = format!("GET /{target} HTTP/1.1{line_end}Host: a{line_end}{line_end}");
            check(raw.as_bytes(), error, "request line");
        }
    }
    let endless = "x".repeat(HEAD_BYTES_MAX * 2);
    check(endless.as_bytes(), Some(HttpError::REQUEST_LINE_TOO_LONG), "no end of the line");
}

#[test]
fn heads_have_a_limit() {
    let head = |bytes: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(bytes - frame))
    };
    check(head(HEAD_BYTES_MAX).as_bytes(), None, "head");
    for excess in [1, 2, 3, HEAD_BYTES_MAX] {
        check(head(HEAD_BYTES_MAX + excess).as_bytes(), Some(HttpError::HEAD_TOO_LARGE), "head");
    }
}

#[test]
fn fields_have_a_limit() {
    for (excess, error) in [(0, None), (1, Some(HttpError::TOO_MANY_HEADERS))] {
        let fields = "X: 1\r\n".repeat(HEADERS_MAX - 1 + excess);
        let raw = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        check(raw.as_bytes(), error, "fields");
    }
}

#[test]
fn announced_bodies_have_a_limit() {
    let body = "x".repeat(BODY_BYTES_MAX);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ";
    check(format!("{head}{BODY_BYTES_MAX}\r\n\r\n{body}").as_bytes(), None, "body");
    let raw = format!("{head}{}\r\n\r\n", BODY_BYTES_MAX + 1);
    check(raw.as_bytes(), Some(HttpError::BODY_TOO_LARGE), "refused before it comes");
}

#[test]
fn chunked_bodies_have_a_limit() {
    let half = BODY_BYTES_MAX / 2;
    let chunk = format!("{half:x}\r\n{}\r\n", "x".repeat(half));
    check(&chunked(&format!("{chunk}{chunk}0\r\n\r\n")), None, "chunks");
    check(
        &chunked(&format!("{chunk}{chunk}1\r\n")),
        Some(HttpError::BODY_TOO_LARGE),
        "one byte more",
    );
    let raw = chunked(&format!("{:x}\r\n", BODY_BYTES_MAX + 1));
    check(&raw, Some(HttpError::BODY_TOO_LARGE), "refused before it comes");
}

#[test]
fn chunk_extensions_have_a_limit() {
    for (excess, error) in [(0, None), (1, Some(HttpError::CHUNK_EXTENSIONS_TOO_LARGE))] {
        let half = CHUNK_EXTENSION_BYTES_MAX / 2 - 1;
        let (first, second) = ("x".repeat(half), "x".repeat(half + excess));
        let raw = chunked(&format!("1;{first}\r\n!\r\n1;{second}\r\n!\r\n0\r\n\r\n"));
        check(&raw, error, "extensions of all chunks");
        let blanks = " ".repeat(CHUNK_EXTENSION_BYTES_MAX - 1 + excess);
        check(&chunked(&format!("0{blanks};\r\n\r\n")), error, "blanks");
    }
}

#[test]
fn trailers_have_a_limit() {
    let frame = "X: \r\nY: 1\r\n".len();
    for (excess, error) in [(0, None), (1, Some(HttpError::TRAILERS_TOO_LARGE))] {
        let value = "x".repeat(TRAILER_BYTES_MAX - frame + excess);
        check(&chunked(&format!("0\r\nX: {value}\r\nY: 1\r\n\r\n")), error, "trailers");
    }
}

#[test]
fn what_is_kept_is_bounded_and_nothing_is_kept_in_advance() {
    let mut parser = RequestParser::default();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY_BYTES_MAX}\r\n\r\n");
    assert_eq!(parser.buffered_bytes(), 0);
    assert_eq!(parser.feed(&mut &head.as_bytes()[..head.len() - 1]), Ok(None));
    assert!((head.len() - 1..2 * head.len()).contains(&parser.buffered_bytes()));
    assert_eq!(parser.feed(&mut "\n".as_bytes()), Ok(None));
    assert!((head.len()..2 * head.len()).contains(&parser.buffered_bytes()), "announced only");
    for _ in 1..BODY_BYTES_MAX {
        assert_eq!(parser.feed(&mut "x".as_bytes()), Ok(None));
    }
    assert_eq!(parser.stage(), Stage::Body);
    assert!((BODY_BYTES_MAX..3 * BODY_BYTES_MAX).contains(&parser.buffered_bytes()));
    let request = parser.feed(&mut "x".as_bytes()).expect("a valid request").expect("a whole one");
    assert_eq!(request.body().len(), BODY_BYTES_MAX);
    assert_eq!(parser.buffered_bytes(), 0);
}

#[test]
fn empty_lines_without_end_keep_nothing() {
    let mut parser = RequestParser::default();
    for _ in 0..1000 {
        assert_eq!(parser.feed(&mut "\r\n\n".as_bytes()), Ok(None));
        assert!(parser.is_idle());
        assert_eq!(parser.buffered_bytes(), 0);
    }
}
