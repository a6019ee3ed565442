//! Raw requests and what they turn into, however they are cut.

use super::{Stage, read, read_in_all_ways, request};
use crate::http::{HttpError, Request, RequestParser, Version};

/// `method target version host persistence body`.
fn describe(request: &Request) -> String {
    let query = request.query().map_or_else(String::new, |query| format!("?{query}"));
    let version = if request.version() == Version::Http10 { "1.0" } else { "1.1" };
    let persistence = if request.keep_alive() { "keep" } else { "close" };
    let host = request.host().unwrap_or("-");
    let (method, path, body) = (request.method(), request.path(), request.body().escape_ascii());
    format!("{method} {path}{query} {version} {host} {persistence} {body}").trim_end().to_owned()
}

fn check(raw: &str, requests: &[&str], error: Option<HttpError>) {
    let outcome = read_in_all_ways(raw.as_bytes());
    let described: Vec<_> = outcome.requests.iter().map(describe).collect();
    assert_eq!(described, requests, "{raw:?}");
    assert_eq!(outcome.error, error, "{raw:?}");
    if error.is_none() {
        assert_eq!(outcome.stage, Stage::Idle, "{raw:?}");
    }
}

#[test]
fn requests_are_read_as_they_were_meant() {
    let table = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1.1 a keep"),
        ("GET /a%20b?c=%20 HTTP/1.1\r\nhOST:\t a:80 \t\r\n\r\n", "GET /a%20b?c=%20 1.1 a:80 keep"),
        ("GET / HTTP/1.1\nHost: a\n\n", "GET / 1.1 a keep"),
        ("GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\n", "GET / 1.1 a keep"),
        ("\r\n\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1.1 a keep"),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HEAD / 1.1 a close"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", "GET / 1.1 a close"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
            "GET / 1.1 a close",
        ),
        ("GET / HTTP/1.0\r\n\r\n", "GET / 1.0 - close"),
        ("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", "GET / 1.0 a keep"),
        ("GET http://b:1/c?d HTTP/1.1\r\nHost: a\r\n\r\n", "GET /c?d 1.1 b:1 keep"),
        ("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1.1 b keep"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * 1.1 a keep"),
        ("BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", "BREW /pot 1.1 a keep"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "POST / 1.1 a keep hello"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "POST / 1.1 a keep"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0002\r\n\r\nhi", "POST / 1.1 a keep hi"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", "GET / 1.1 a keep hi"),
        ("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n\r\n", "POST / 1.0 - close \\r\\n"),
        ("GET / HTTP/1.0\r\nExpect: magic\r\n\r\n", "GET / 1.0 - close"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: é\t!\r\n\r\n", "GET / 1.1 a keep"),
    ];
    for (raw, expected) in table {
        check(raw, &[expected], None);
    }
}

#[test]
fn chunks_are_put_together() {
    let table = [
        ("0\r\n\r\n", ""),
        ("000\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", " hello"),
        ("3\r\nhel\r\n02\r\nlo\r\n0\r\n\r\n", " hello"),
        ("A\r\n0123456789\r\n0\r\n\r\n", " 0123456789"),
        ("a;why=not;\"q\"\r\n0123456789\r\n0 \t;end\r\n\r\n", " 0123456789"),
        ("2\r\n\r\n\r\n0\r\n\r\n", " \\r\\n"),
        ("2\r\nhi\r\n0\r\nTrailer: x\r\nAnother:\r\n\r\n", " hi"),
        ("2\r\nhi\r\n0\r\nContent-Length: 7\r\nHost: b\r\n\r\n", " hi"),
        ("0000000000000002\r\nhi\r\n0\r\n\r\n", " hi"),
    ];
    for (body, expected) in table {
        let raw = format!("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n{body}");
        check(&raw, &[&format!("PUT / 1.1 a keep{expected}")], None);
    }
}

#[test]
fn pipelined_requests_are_told_apart() {
    let raw = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n\
        GET /2 HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\n\r\n\
        GET /4 HTTP/1.0\r\n\r\n";
    let requests = [
        "POST /1 1.1 a keep hi",
        "GET /2 1.1 a keep",
        "POST /3 1.1 a keep !",
        "GET /4 1.0 - close",
    ];
    check(raw, &requests, None);
    check(&format!("{raw}\r\nGET\r\n\r\n"), &requests, Some(HttpError::REQUEST_LINE));
}

#[test]
fn what_follows_a_request_is_left_alone() {
    let mut input: &[u8] = b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n\x81\x80\x00\x00\x00\x00";
    let mut parser = RequestParser::default();
    assert!(parser.feed(&mut input).is_ok_and(|request| request.is_some()));
    assert_eq!(input, b"\x81\x80\x00\x00\x00\x00");
    assert!(parser.is_idle(), "and it could read on");

    let mut input: &[u8] = b"POST /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1\x81";
    assert!(parser.feed(&mut input).is_ok_and(|request| request.is_some()));
    assert_eq!(input, b"\x81");
}

#[test]
fn malformed_heads_are_refused() {
    let table = [
        // Not a request line at all.
        ("\x16\x03\x01\x02\0\x01\0\x01", HttpError::REQUEST_LINE),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", HttpError::REQUEST_LINE),
        ("GET\r\n\r\n", HttpError::REQUEST_LINE),
        ("GET /\r\n\r\n", HttpError::REQUEST_LINE),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", HttpError::REQUEST_LINE),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", HttpError::REQUEST_LINE),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", HttpError::LINE_END),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", HttpError::REQUEST_LINE),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", HttpError::REQUEST_LINE),
        ("GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", HttpError::REQUEST_LINE),
        ("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", HttpError::REQUEST_LINE),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", HttpError::REQUEST_LINE),
        ("GET / HTTP/1.1x\r\nHost: a\r\n\r\n", HttpError::LINE_END),
        ("GET / HTTPS/1.1\r\nHost: a\r\n\r\n", HttpError::REQUEST_LINE),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n", HttpError::REQUEST_LINE),
        ("HTTP/1.1 200 OK\r\n\r\n", HttpError::REQUEST_LINE),
        // Line ends.
        ("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", HttpError::LINE_END),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n", HttpError::LINE_END),
        ("GET / HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n", HttpError::HEADER_VALUE),
        ("GET / HTTP/1.1\r\nHost: a\r\n\rX: 1\r\n\r\n", HttpError::LINE_END),
        // Versions.
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", HttpError::VERSION),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", HttpError::VERSION),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HttpError::VERSION),
        ("GET / HTTP/0.9\n\n", HttpError::VERSION),
        // Targets.
        ("GET foo HTTP/1.1\r\nHost: a\r\n\r\n", HttpError::TARGET),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", HttpError::TARGET),
        ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", HttpError::TARGET),
        ("GET /é HTTP/1.1\r\nHost: a\r\n\r\n", HttpError::TARGET),
        ("GET http://a b/ HTTP/1.1\r\nHost: a\r\n\r\n", HttpError::REQUEST_LINE),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", HttpError::CONNECT),
        // Fields.
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", HttpError::HEADER_NAME),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", HttpError::HEADER_NAME),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n", HttpError::HEADER_NAME),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\tfolded\r\n\r\n", HttpError::HEADER_NAME),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", HttpError::HEADER_NAME),
        ("GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n", HttpError::HEADER_NAME),
        ("GET / HTTP/1.1\r\nHost: a\r\nX(: 1\r\n\r\n", HttpError::HEADER_NAME),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", HttpError::HEADER_VALUE),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\x0bb\r\n\r\n", HttpError::HEADER_VALUE),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n", HttpError::HEADER_VALUE),
        // Hosts.
        ("GET / HTTP/1.1\r\n\r\n", HttpError::HOST_MISSING),
        ("GET http://a/ HTTP/1.1\r\n\r\n", HttpError::HOST_MISSING),
        ("GET / HTTP/1.1\r\nHost: a\r\nHOST: a\r\n\r\n", HttpError::HOST_REPEATED),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", HttpError::HOST_REPEATED),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", HttpError::HOST_INVALID),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", HttpError::HOST_INVALID),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HttpError::HOST_INVALID),
        ("GET / HTTP/1.1\r\nHost: é\r\n\r\n", HttpError::HOST_INVALID),
        ("GET http://b/ HTTP/1.1\r\nHost: a:b\r\n\r\n", HttpError::HOST_INVALID),
        // Expectations.
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", HttpError::EXPECTATION),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, magic\r\n\r\n",
            HttpError::EXPECTATION,
        ),
    ];
    for (raw, expected) in table {
        check(raw, &[], Some(expected));
    }
}

#[test]
fn bodies_whose_end_is_in_doubt_are_refused() {
    let table = [
        ("Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi", HttpError::CONTENT_LENGTH_REPEATED),
        ("Content-Length: 2\r\nContent-length: 2\r\n\r\nhi", HttpError::CONTENT_LENGTH_REPEATED),
        ("Content-Length: 2, 2\r\n\r\nhi", HttpError::CONTENT_LENGTH_INVALID),
        ("Content-Length:\r\n\r\n", HttpError::CONTENT_LENGTH_INVALID),
        ("Content-Length: +2\r\n\r\nhi", HttpError::CONTENT_LENGTH_INVALID),
        ("Content-Length: -2\r\n\r\nhi", HttpError::CONTENT_LENGTH_INVALID),
        ("Content-Length: 0x2\r\n\r\nhi", HttpError::CONTENT_LENGTH_INVALID),
        ("Content-Length: 2 2\r\n\r\nhi", HttpError::CONTENT_LENGTH_INVALID),
        ("Content-Length: 2.0\r\n\r\nhi", HttpError::CONTENT_LENGTH_INVALID),
        ("Content-Length: 18446744073709551616\r\n\r\n", HttpError::CONTENT_LENGTH_INVALID),
        ("Content-Length: 18446744073709551615\r\n\r\n", HttpError::BODY_TOO_LARGE),
        (
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            HttpError::LENGTH_WITH_CHUNKED,
        ),
        ("Transfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi", HttpError::LENGTH_WITH_CHUNKED),
        ("Transfer-Encoding: gzip\r\n\r\n", HttpError::TRANSFER_CODING),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", HttpError::TRANSFER_CODING),
        ("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", HttpError::TRANSFER_CODING),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            HttpError::TRANSFER_CODING,
        ),
        ("Transfer-Encoding: chunked;q=1\r\n\r\n", HttpError::TRANSFER_CODING),
        ("Transfer-Encoding: \"chunked\"\r\n\r\n", HttpError::TRANSFER_CODING),
        ("Transfer-Encoding:\r\n\r\n", HttpError::TRANSFER_CODING),
        ("Transfer-Encoding: x\x0bchunked\r\n\r\n", HttpError::HEADER_VALUE),
    ];
    for (rest, expected) in table {
        check(&format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}"), &[], Some(expected));
    }
    let raw = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    check(raw, &[], Some(HttpError::TRANSFER_ENCODING_IN_HTTP10));
}

#[test]
fn malformed_chunks_are_refused() {
    let table = [
        ("\r\n", HttpError::CHUNK),
        ("x\r\n", HttpError::CHUNK),
        ("-1\r\n", HttpError::CHUNK),
        ("+1\r\n!\r\n", HttpError::CHUNK),
        ("0x1\r\n!\r\n", HttpError::CHUNK),
        (" 1\r\n!\r\n", HttpError::CHUNK),
        ("1 \r\n!\r\n", HttpError::CHUNK),
        ("1 1\r\n", HttpError::CHUNK),
        ("1\n!\r\n0\r\n\r\n", HttpError::CHUNK),
        ("1;a\n!\r\n0\r\n\r\n", HttpError::CHUNK),
        ("1;a\x01\r\n!\r\n", HttpError::CHUNK),
        ("1\r!\r\n", HttpError::CHUNK),
        ("1\r\n!!\r\n", HttpError::CHUNK),
        ("1\r\n!\n0\r\n\r\n", HttpError::CHUNK),
        ("2\r\n!\r\n0\r\n\r\n", HttpError::CHUNK),
        ("10000000000000000\r\n", HttpError::CHUNK),
        ("00000000000000001\r\n!\r\n", HttpError::CHUNK),
        ("FFFFFFFFFFFFFFFF\r\n", HttpError::BODY_TOO_LARGE),
        ("1\r\n!\r\nFFFFFFFFFFFFFFFF\r\n", HttpError::BODY_TOO_LARGE),
        ("0\r\nX\r\n\r\n", HttpError::TRAILER),
        ("0\r\nX : 1\r\n\r\n", HttpError::TRAILER),
        ("0\r\nX: 1\r\n folded\r\n\r\n", HttpError::TRAILER),
        ("0\r\nX: 1\n\r\n", HttpError::TRAILER),
        ("0\r\nX: \0\r\n\r\n", HttpError::TRAILER),
        ("0\r\n: 1\r\n\r\n", HttpError::TRAILER),
        ("0\r\n\n", HttpError::TRAILER),
        ("0\r\n\rX", HttpError::TRAILER),
    ];
    for (body, expected) in table {
        let raw = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        check(&raw, &[], Some(expected));
    }
}

#[test]
fn errors_of_every_kind_have_a_status() {
    let table = [
        (HttpError::REQUEST_LINE, 400),
        (HttpError::TARGET, 400),
        (HttpError::TRANSFER_CODING, 400),
        (HttpError::CHUNK, 400),
        (HttpError::BODY_TOO_LARGE, 413),
        (HttpError::REQUEST_LINE_TOO_LONG, 414),
        (HttpError::EXPECTATION, 417),
        (HttpError::HEAD_TOO_LARGE, 431),
        (HttpError::TOO_MANY_HEADERS, 431),
        (HttpError::TRAILERS_TOO_LARGE, 431),
        (HttpError::CONNECT, 501),
        (HttpError::VERSION, 505),
    ];
    for (error, status) in table {
        let response = crate::http::Response::from(&error);
        assert_eq!((error.status, response.status().code()), (response.status(), status));
        let body = serde_json::json!({ "error": error.to_string() }).to_string();
        assert_eq!(response.body(), body.as_bytes());
    }
}

#[test]
fn the_stage_says_what_is_awaited() {
    let mut parser = RequestParser::default();
    let steps = [
        ("", Stage::Idle),
        ("\r\n\r\n", Stage::Idle),
        ("\r", Stage::Head),
        ("\n", Stage::Idle),
        ("P", Stage::Head),
        ("OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r", Stage::Head),
        ("\n", Stage::Body),
        ("h", Stage::Body),
        ("", Stage::Body),
    ];
    for (piece, stage) in steps {
        assert_eq!(parser.feed(&mut piece.as_bytes()), Ok(None));
        assert_eq!((parser.stage(), parser.is_idle()), (stage, stage == Stage::Idle), "{piece:?}");
    }
    assert!(parser.feed(&mut "i".as_bytes()).is_ok_and(|request| request.is_some()));
    assert_eq!((parser.stage(), parser.buffered_bytes()), (Stage::Idle, 0));
}

#[test]
fn a_go_ahead_is_due_once_and_only_while_the_body_is_not_here() {
    let head =
        |rest: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n{rest}\r\n");
    let table = [
        (head("Content-Length: 2\r\n"), true),
        (head("Transfer-Encoding: chunked\r\n"), true),
        (head("Content-Length: 2\r\n") + "h", false),
        (head("Transfer-Encoding: chunked\r\n") + "2", false),
        (head("Content-Length: 2\r\n").replace("1.1", "1.0"), false),
        (head("Content-Length: 2\r\n").replace("Expect: 100-Continue\r\n", ""), false),
    ];
    for (raw, expected) in table {
        let mut parser = RequestParser::default();
        assert_eq!(parser.feed(&mut raw.as_bytes()), Ok(None));
        assert_eq!((parser.take_continue(), parser.take_continue()), (expected, false), "{raw:?}");
    }
    let mut parser = RequestParser::default();
    assert_eq!(parser.feed(&mut head("Content-Length: 2\r\n").as_bytes()), Ok(None));
    assert_eq!(parser.feed(&mut "h".as_bytes()), Ok(None));
    assert!(!parser.take_continue(), "it did not wait after all");
    check(&head(""), &["POST / 1.1 a keep"], None);
    check(&head("Content-Length: 65537\r\n"), &[], Some(HttpError::BODY_TOO_LARGE));
}

#[test]
fn fields_are_found_whatever_their_case_and_order() {
    let request = request(
        "GET /?a=1&token=x%2By HTTP/1.1\r\nHost: a\r\nX-List: one,, two\r\nx-list: \tThree\r\n\
         ACCEPT: text/html;q=0.9, */*\r\nCookie: a=1; b=\"2\"\r\nCookie: b=3;c=4=5\r\n\
         X-Bytes: \u{e9}\r\nX-Empty:\r\n\r\n",
    );
    assert_eq!(request.header("x-LIST"), Some("one,, two"));
    assert_eq!(request.header_values("x-list").collect::<Vec<_>>(), [&b"one,, two"[..], b"Three"]);
    assert_eq!(request.joined_header("x-list").as_deref(), Some("one,, two, Three"));
    let elements: Vec<_> = request.list_elements("x-list").collect();
    assert_eq!(elements, [&b"one"[..], b"two", b"Three"]);
    assert!(request.has_token("X-List", "THREE") && !request.has_token("X-List", "thre"));
    assert_eq!(request.header("x-empty"), Some(""));
    assert_eq!((request.header("x-none"), request.joined_header("x-none")), (None, None));
    assert!(request.has_header("x-empty") && !request.has_header("x-none"));
    assert!(request.accepts("text/html") && !request.accepts("text/plain"));
    assert_eq!(request.cookie("a"), Some("1"));
    assert_eq!(request.cookie("b"), Some("2"));
    assert_eq!(request.cookie("c"), Some("4=5"));
    assert_eq!(request.cookie("d"), None);
    assert_eq!(request.query_value("token").as_deref(), Some("x+y"));
}

#[test]
fn nothing_secret_is_shown() {
    let raw = "POST /a?token=hunter2 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer hunter2\r\n\
        Content-Length: 7\r\n\r\nhunter2";
    let shown = format!("{:?}", request(raw));
    assert!(shown.contains("/a") && !shown.contains("hunter2"), "{shown}");
    let mut parser = RequestParser::default();
    assert_eq!(parser.feed(&mut &raw.as_bytes()[..raw.len() - 1]), Ok(None));
    assert!(!format!("{parser:?}").contains("hunter2"));
    assert_eq!(read([raw.as_bytes()]).requests.len(), 1);
}
