//! The pages as files: for whom, in which form, and what a browser may do with them.

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use crate::support::{Response, Server};

/// What Chromium sends with the address that somebody types.
const BROWSER: [(&str, &str); 2] = [
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
];

/// What a page may weigh on its way, with all of its parts.
const WIRE_BYTES_MAX: usize = 60_000;

fn unpacked(response: &Response) -> Vec<u8> {
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    let mut bytes = Vec::new();
    GzDecoder::new(&*response.body).read_to_end(&mut bytes).expect("it is compressed with gzip");
    bytes
}

fn in_tree(file: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("the file is there")
}

#[test]
fn browsers_get_the_page_and_programs_json() {
    let server = Server::start(&[]);
    let page = server.http("GET", "/", &BROWSER[..1], "");
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.body, in_tree("page/index.html"));
    for accept in ["*/*", "application/json", ""] {
        let index = server.http("GET", "/", &[("Accept", accept)], "");
        assert_eq!(index.header("content-type"), Some("application/json"), "{accept}");
        assert_eq!(index.header("vary"), Some("Accept"));
        let index = index.json();
        assert_eq!(
            (&index["require_auth"], &index["sync_writers"]),
            (&false.into(), &"host".into())
        );
    }
    let closed = Server::start(&[("REQUIRE_AUTH", "true"), ("SYNC_WRITERS", "any")]);
    let index = closed.get("/").json();
    assert_eq!((&index["require_auth"], &index["sync_writers"]), (&true.into(), &"any".into()));
}

#[test]
fn every_file_comes_in_both_forms_and_only_once() {
    let server = Server::start(&[]);
    let table = [
        ("/client.js", "client/khun-phaen-sync.js", "text/javascript; charset=utf-8"),
        ("/page/main.js", "page/main.js", "text/javascript; charset=utf-8"),
        ("/page/style.css", "page/style.css", "text/css; charset=utf-8"),
        ("/page/favicon.svg", "page/favicon.svg", "image/svg+xml"),
        ("/setup-password?token=x", "page/setup.html", "text/html; charset=utf-8"),
        ("/admin", "page/admin.html", "text/html; charset=utf-8"),
        ("/page/admin.js", "page/admin.js", "text/javascript; charset=utf-8"),
    ];
    for (path, file, media_type) in table {
        let plain = server.get(path);
        assert_eq!((plain.status, &plain.body), (200, &in_tree(file)), "{path}");
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        let packed = server.http("GET", path, &BROWSER, "");
        assert_eq!(unpacked(&packed), plain.body, "{path}");
        for response in [&plain, &packed] {
            assert_eq!(response.header("content-type"), Some(media_type), "{path}");
            assert_eq!(response.header("cache-control"), Some("no-cache"), "{path}");
            assert_eq!(response.header("vary"), Some("Accept, Accept-Encoding"), "{path}");
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{path}");
        }
        let tag = plain.header("etag").expect("a tag");
        assert_eq!(packed.header("etag"), Some(tag), "{path}");
        let mut client = server.open();
        client.request("GET", path, &[("If-None-Match", tag)], "");
        let known = client.response();
        assert_eq!((known.status, known.header("etag")), (304, Some(tag)), "{path}");
        assert_eq!(known.header("content-length"), None, "{path}");
        client.request("HEAD", path, &BROWSER, "");
        let head = client.response_to("HEAD");
        let length = packed.body.len().to_string();
        assert_eq!(head.header("content-length"), Some(&*length), "{path}");
        client.request("GET", path, &[("If-None-Match", "\"another\"")], "");
        assert_eq!(client.response().body, plain.body, "{path}: the connection goes on");
    }
    assert_eq!(server.get("/page/nothing.js").status, 404);
    assert_eq!(server.get("/page/../Cargo.toml").status, 404);
    let posted = server.http("POST", "/client.js", &[], "");
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
}

#[test]
fn a_page_may_do_nothing_but_what_is_its_own() {
    let server = Server::start(&[]);
    for path in ["/", "/r/ROOM", "/r/no%20room", "/setup-password", "/admin"] {
        let page = server.http("GET", path, &BROWSER, "");
        let policy = page.header("content-security-policy").expect("a policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{path}");
    }
}

#[test]
fn the_page_of_a_room_says_itself_whether_there_is_one() {
    let server = Server::start(&[]);
    for (path, status) in [("/r/NOSUCH", 200), ("/r/no%20room", 404), ("/r/", 404), ("/r/a/b", 404)]
    {
        assert_eq!(server.http("GET", path, &BROWSER, "").status, status, "{path}");
    }
    let missing = server.http("GET", "/r/no%20room", &[("If-None-Match", "*")], "");
    assert_eq!(missing.status, 404, "what is not there is not unchanged either");
    let text = server.get("/r/NOSUCH").text();
    assert!(text.contains("\"../page/main.js\""), "it finds its parts one folder up");
}

#[test]
fn all_of_it_is_light() {
    let server = Server::start(&[]);
    let parts = ["/", "/client.js", "/page/favicon.svg", "/page/main.js", "/page/qr.js"];
    let others = ["/page/room.js", "/page/style.css", "/page/text.js", "/page/setup.js"];
    let bytes: usize = parts
        .iter()
        .chain(&others)
        .chain(&["/setup-password", "/admin", "/page/admin.js", "/page/admin-text.js"])
        .map(|path| server.http("GET", path, &BROWSER, "").body.len())
        .sum();
    assert!(bytes < WIRE_BYTES_MAX, "{bytes} bytes");
}
