//! Real browsers: pages of another origin, with Chromium's own WebSocket and fetch.
//!
//! Without Chromium these tests say that they were skipped; with `REQUIRE_BROWSER=1` that is a
//! failure. `CHROMIUM` may name the executable.

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod devtools;
mod page;
mod pages;
mod person;

use serde_json::{Value, json};

use devtools::{Browser, Page};
use pages::Pages;
use support::{Server, skip};

/// A document that no page would want to send in one packet.
const DOCUMENT_BYTES: usize = 3_000_000;

/// The browser, or `None` after saying that there is none.
fn browser() -> Option<Browser> {
    let browser = Browser::start();
    if browser.is_none() {
        skip("no chromium", "REQUIRE_BROWSER");
    }
    browser
}

/// Has `page` open a WebSocket; what became of it.
fn enter(browser: &mut Browser, page: &Page, server: &Server, protocols: &Value) -> Value {
    let url = format!("ws://{}/ws", server.address());
    browser.evaluate(page, &format!("enter({}, {protocols})", json!(url)))
}

fn send(browser: &mut Browser, page: &Page, message: &Value) {
    browser.evaluate(page, &format!("send({message})"));
}

#[track_caller]
fn expect(browser: &mut Browser, page: &Page, expected: &Value) {
    assert_eq!(&browser.evaluate(page, "next()"), expected);
}

/// Has `page` create a room as a script of another origin does: the browser asks first whether it
/// may (a preflight), since JSON is no form.
fn create_room(browser: &mut Browser, page: &Page, server: &Server) -> Value {
    let url = format!("http://{}/api/rooms", server.address());
    browser.evaluate(page, &format!("post({}, {{}})", json!(url)))
}

#[test]
fn two_pages_meet_in_a_room() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let mut server = Server::start(&[]);
    let pages = Pages::serve();
    let host = browser.open(&pages.url("127.0.0.1"));
    let guest = browser.open(&pages.url("localhost"));

    let room = create_room(browser, &host, &server);
    let (code, host_id) = (&room["room_code"], &room["host_id"]);
    assert_eq!(enter(browser, &host, &server, &json!([])), "");
    let join = json!({ "action": "join", "room_code": code, "peer_id": host_id,
        "is_host": true, "metadata": { "name": "สมศรี" } });
    send(browser, &host, &join);
    let connected = json!({ "type": "connected", "peer_id": host_id, "room_code": code });
    expect(browser, &host, &connected);
    let info = browser.evaluate(&host, "next()");
    assert_eq!(info["peers"][0]["metadata"]["name"], "สมศรี", "{info}");

    let protocols = json!(["khun-phaen.v1", "bearer.a.b.c"]);
    assert_eq!(enter(browser, &guest, &server, &protocols), "khun-phaen.v1");
    send(browser, &guest, &json!({ "action": "join", "room_code": code, "peer_id": "guest" }));
    assert_eq!(browser.evaluate(&guest, "next()")["type"], "connected");
    assert_eq!(browser.evaluate(&guest, "next()")["peers"].as_array().map(Vec::len), Some(2));
    let joined = browser.evaluate(&host, "next()");
    assert_eq!((&joined["type"], &joined["peer"]["id"]), (&json!("peer_joined"), &json!("guest")));

    send(browser, &host, &json!({ "action": "broadcast", "data": "to the guest" }));
    let data = json!({ "type": "data", "from": host_id, "data": "to the guest" });
    expect(browser, &guest, &data);
    send(browser, &guest, &json!({ "action": "broadcast", "data": { "ถึง": ["host", 1] } }));
    let data = json!({ "type": "data", "from": "guest", "data": { "ถึง": ["host", 1] } });
    expect(browser, &host, &data);

    let document = format!("'ก'.repeat({DOCUMENT_BYTES} / 3)");
    browser.evaluate(&host, &format!("send({{action: 'sync_document', document: {document}}})"));
    let same = format!("next().then(message => message.document === {document})");
    assert_eq!(browser.evaluate(&guest, &same), true, "the document came through whole");

    browser.close(&guest);
    expect(browser, &host, &json!({ "type": "peer_left", "peer_id": "guest" }));
    assert_eq!(server.stop(), Some(0));
    let closed = browser.evaluate(&host, "next()");
    assert_eq!((&closed["closed"], &closed["clean"]), (&json!(1001), &json!(true)), "{closed}");
}

#[test]
fn only_pages_of_listed_origins_get_in() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let pages = Pages::serve();
    let origin = pages.origin("127.0.0.1");
    let server = Server::start(&[("ALLOWED_ORIGINS", &origin)]);

    let listed = browser.open(&pages.url("127.0.0.1"));
    assert_eq!(create_room(browser, &listed, &server)["success"], true);
    assert_eq!(enter(browser, &listed, &server, &json!([])), "");

    let other = browser.open(&pages.url("localhost"));
    let refused = create_room(browser, &other, &server);
    assert!(refused["error"].is_string(), "the browser lets it see nothing: {refused}");
    assert_eq!(enter(browser, &other, &server, &json!([])), 1006, "no WebSocket either");
}
