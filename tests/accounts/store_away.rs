//! A MongoDB that is not there, goes away, and comes back.

use std::net::TcpListener;

use serde_json::json;

use crate::mongodb_server;
use crate::support::{Deadline, Server};

#[test]
fn without_its_database_the_server_serves_rooms_and_says_503_for_accounts() {
    // Somebody listens there and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("bound").port();
    let uri = format!("mongodb://u:hunter2@127.0.0.1:{port}/");
    let server = Server::start(&[("MONGODB_URI", &uri), ("SHUTDOWN_GRACE_SECONDS", "1")]);
    assert_eq!(server.get("/health").json()["store"], "degraded");
    let body = r#"{"email":"a@b.c","password":"12345678"}"#;
    let login = server.http("POST", "/api/auth/login", &[], body);
    assert_eq!(login.status, 503);
    assert!(login.header("retry-after").is_some());
    let room = server.create_room(&json!({}));
    let code = room["room_code"].as_str().expect("a code");
    let (mut ann, mut bob) = (server.join(code, "ann"), server.join(code, "bob"));
    ann.expect_type("peer_joined");
    bob.broadcast("it works");
    ann.expect(&json!({ "type": "data", "from": "bob", "data": "it works" }));
    server.wait_for_log("the store does not answer");
    assert!(!server.log().contains("hunter2"));
}

#[test]
fn a_database_that_is_killed_and_comes_back_has_everything_that_was_acknowledged() {
    let Some(mut mongo) = mongodb_server::Server::start() else { return };
    let uri = mongo.uri();
    let settings = [("MONGODB_URI", uri.as_str()), ("SYNC_WRITERS", "any")];
    let server = Server::start(&settings);
    let room = server.create_room(&json!({ "desired_room_code": "AWAY" }));
    assert_eq!(room["room_code"], "AWAY");
    let mut ann = server.join("AWAY", "ann");
    ann.send_json(&json!({ "action": "sync_document", "document": "before", "id": 1 }));
    ann.expect(&json!({ "type": "ack", "id": 1 }));
    mongo.restart_after_kill(|| {
        let newer = json!({ "action": "sync_document", "document": "meanwhile", "id": 2 });
        ann.send_json(&newer);
        let mut bob = server.join("AWAY", "bob");
        assert_eq!(bob.expect_type("document_sync")["document"], "meanwhile", "it goes on");
        server.wait_for_log("the store does not answer");
    });
    let deadline = Deadline::start();
    while server.get("/health").json()["store"] != "ok" {
        assert!(!deadline.left().is_zero(), "it never recovered: {}", server.log());
    }
    ann.wait_for(|message| message["type"] == "ack" && message["id"] == 2);
    let other = Server::start(&[("MONGODB_URI", uri.as_str())]);
    let body = json!({ "desired_room_code": "AWAY" }).to_string();
    let restored = other.http("POST", "/api/rooms", &[], &body);
    assert_eq!((restored.status, &restored.json()["has_document"]), (200, &json!(true)));
}
