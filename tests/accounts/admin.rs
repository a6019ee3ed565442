//! Closing rooms for good, on both stores.

use std::sync::Arc;

use serde_json::json;

use crate::mongodb_server;
use crate::support::{Deadline, Server};

const ADMIN: [(&str, &str); 2] =
    [("INITIAL_ADMIN_EMAIL", "ann@example.com"), ("INITIAL_ADMIN_PASSWORD", "a good password")];

fn start(more: &[(&str, &str)]) -> Server {
    let server = Server::start(&[&ADMIN, more].concat());
    server.wait_for_log("the administrator of the settings was made");
    server
}

fn close(server: &Server, code: &str) -> u16 {
    let body = json!({ "email": "ann@example.com", "password": "a good password" });
    let login = server.http("POST", "/api/auth/login", &[], &body.to_string()).json();
    let bearer = format!("Bearer {}", login["token"].as_str().expect("a token"));
    let path = format!("/api/admin/rooms/{code}");
    server.http("DELETE", &path, &[("Authorization", &bearer)], "").status
}

/// A live room and one that is only stored go for good, and no other one.
fn closed_rooms_stay_closed(mut server: Server, more: &[(&str, &str)]) {
    for code in ["LIVE", "STORED", "OTHER"] {
        let mut host = server.host(code, "host");
        host.send_json(&json!({ "action": "sync_document", "document": code, "id": 1 }));
        host.expect(&json!({ "type": "ack", "id": 1 }));
    }
    let directory = Arc::clone(server.directory());
    assert_eq!(server.stop(), Some(0));
    let mut server = Server::start_in(&directory, &[&ADMIN, more].concat());
    let deadline = Deadline::start();
    while server.get("/health").json()["store"] != "ok" {
        assert!(!deadline.left().is_zero(), "the store never answered: {}", server.log());
    }
    let mut member = server.join("LIVE", "member");
    member.expect(&json!({ "type": "document_sync", "document": "LIVE" }));
    assert_eq!(close(&server, "LIVE"), 200);
    member.expect_close(1008);
    assert_eq!(close(&server, "STORED"), 200);
    assert_eq!(close(&server, "LIVE"), 404);
    assert_eq!(server.stop(), Some(0));
    let server = Server::start_in(&directory, &[&ADMIN, more].concat());
    for (code, status) in [("LIVE", 201), ("STORED", 201), ("OTHER", 200)] {
        let body = json!({ "desired_room_code": code }).to_string();
        let made = server.http("POST", "/api/rooms", &[], &body);
        assert_eq!(made.status, status, "{code}: {}", made.text());
    }
}

#[test]
fn closed_rooms_stay_closed_on_sqlite() {
    closed_rooms_stay_closed(start(&[]), &[]);
}

#[test]
fn closed_rooms_stay_closed_on_mongodb() {
    let Some(mongo) = mongodb_server::Server::start() else { return };
    let uri = mongo.uri();
    let more = [("MONGODB_URI", uri.as_str())];
    closed_rooms_stay_closed(start(&more), &more);
}
