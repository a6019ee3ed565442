//! `POST /api/rooms` and `GET /api/rooms/{code}`, and what becomes of rooms that nobody is in.

use serde_json::{Value, json};

use crate::support::Server;

#[test]
fn a_created_room_is_described_in_full() {
    let server = Server::start(&[]);
    let room = server.create_room(&json!({ "desired_room_code": null, "other": 1 }));
    assert_eq!(room["success"], true);
    let code = room["room_code"].as_str().expect("a string");
    assert_eq!(code.len(), 6, "existing clients take no other length");
    assert!(code.chars().all(|c| "ABCDEFGHJKMNPQRSTUVWXYZ23456789".contains(c)), "{code}");
    assert_eq!(room["websocket_url"], format!("ws://{}/ws", server.address()));
    for field in ["room_id", "host_id", "host_token"] {
        assert!(room[field].as_str().is_some_and(|text| text.len() >= 16), "{field}: {room}");
    }
    server.join(code, "peer");
}

#[test]
fn a_body_is_optional_and_codes_can_be_longer() {
    let server =
        Server::start(&[("ROOM_CODE_LENGTH", "12"), ("PUBLIC_URL", "https://sync.example.com/")]);
    let response = server.http("POST", "/api/rooms", &[("Content-Length", "0")], "");
    assert_eq!(response.status, 201);
    let room = response.json();
    assert_eq!(room["room_code"].as_str().map(str::len), Some(12));
    assert_eq!(room["websocket_url"], "wss://sync.example.com/ws");
}

#[test]
fn a_desired_code_that_exists_is_given_back_without_its_token() {
    let server = Server::start(&[]);
    let body = json!({ "desired_room_code": "My_Room-1", "desired_host_id": "me" });
    let first = server.create_room(&body);
    assert_eq!((&first["room_code"], &first["host_id"]), (&json!("My_Room-1"), &json!("me")));
    let other = json!({ "desired_room_code": "My_Room-1", "desired_host_id": "you" });
    let again = server.http("POST", "/api/rooms", &[], &other.to_string());
    assert_eq!(again.status, 200);
    let again = again.json();
    assert_eq!(again["restored"], true);
    assert_eq!(again["has_document"], false);
    assert_eq!(again.get("host_token"), None);
    for field in ["room_id", "room_code", "websocket_url"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    assert_eq!(again["host_id"], Value::Null, "a client that asks for another one is not told");
    let again = server.http("POST", "/api/rooms", &[], &body.to_string()).json();
    assert_eq!((&again["restored"], &again["host_id"]), (&json!(true), &json!("me")));
}

#[test]
fn a_room_that_cannot_be_is_refused() {
    let server = Server::start(&[("ROOM_CREATE_RATE", "0")]);
    let long = "x".repeat(200);
    let bodies = [
        json!({ "desired_room_code": "" }).to_string(),
        json!({ "desired_room_code": "with space" }).to_string(),
        json!({ "desired_room_code": long }).to_string(),
        json!({ "desired_room_code": 7 }).to_string(),
        json!({ "desired_host_id": "" }).to_string(),
        json!({ "desired_host_id": "line\nbreak" }).to_string(),
        json!({ "desired_host_id": long }).to_string(),
        json!({ "host_auth": "none" }).to_string(),
        "[1]".to_owned(),
        "{".to_owned(),
    ];
    for body in bodies {
        let response = server.http("POST", "/api/rooms", &[], &body);
        assert_eq!(response.status, 400, "{body}");
        assert!(response.json()["error"].is_string(), "{body}: {}", response.text());
    }
}

#[test]
fn a_room_can_be_looked_at() {
    let server = Server::start(&[]);
    let mut host = server.host("ROOM", "host");
    server.join("ROOM", "guest").expect_silence();
    host.expect_type("peer_joined");
    let response = server.get("/api/rooms/room");
    assert_eq!(response.status, 200, "{}", response.text());
    let room = response.json();
    assert_eq!(room["success"], true);
    assert_eq!((&room["room_code"], &room["host_id"]), (&json!("ROOM"), &json!("host")));
    assert_eq!(room["peer_count"], room["peers"].as_array().expect("a list").len());
    assert_eq!(room["peers"][0]["id"], "host");
    assert!(room["created_at"].as_str().is_some_and(|time| time.ends_with('Z')), "{room}");

    let unknown = server.get("/api/rooms/NOSUCH");
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json(), json!({ "success": false, "error": "Room not found" }));
}

#[test]
fn a_room_without_peers_leaves_memory_and_comes_back_from_the_store() {
    for (store, status) in [("on", 200), ("off", 404)] {
        let server = Server::start(&[("ROOM_IDLE_TIMEOUT_SECONDS", "1"), ("ROOM_STORE", store)]);
        let mut host = server.host("room", "host");
        host.send_json(&json!({ "action": "sync_document", "document": "kept" }));
        host.expect_silence();
        host.close();
        server.wait_for_log("room room: left memory");
        assert_eq!(server.get("/health").json()["rooms"], 0, "{store}");
        assert_eq!(server.get("/api/rooms/room").status, status, "{store}");
        if store == "on" {
            let mut again = server.connect();
            assert_eq!(again.join("room", "guest")["host_id"], "host");
            again.expect(&json!({ "type": "document_sync", "document": "kept" }));
        }
    }
}

#[test]
fn rooms_survive_a_stop_and_acknowledged_documents_even_a_crash() {
    let mut server = Server::start(&[]);
    let mut host = server.host("room", "host");
    host.send_json(&json!({ "action": "sync_document", "document": "acked", "id": 1 }));
    host.expect(&json!({ "type": "ack", "id": 1 }));
    server.kill();

    let mut server = Server::start_in(server.directory(), &[]);
    let mut host = server.connect();
    host.join_as_host("room", "host");
    host.expect(&json!({ "type": "document_sync", "document": "acked" }));
    host.send_json(&json!({ "action": "sync_document", "document": "stored at the end" }));
    host.expect_silence();
    assert_eq!(server.stop(), Some(0));

    let server = Server::start_in(server.directory(), &[]);
    let body = json!({ "desired_room_code": "room", "desired_host_id": "host" }).to_string();
    let restored = server.http("POST", "/api/rooms", &[], &body).json();
    assert_eq!((&restored["restored"], &restored["has_document"]), (&json!(true), &json!(true)));
    assert_eq!(restored["host_id"], "host");
    let mut guest = server.join("room", "guest");
    guest.expect(&json!({ "type": "document_sync", "document": "stored at the end" }));
}

#[test]
fn health_says_how_the_server_is() {
    let server = Server::start(&[]);
    let _member = server.host("room", "host");
    let response = server.get("/health");
    assert_eq!(response.status, 200);
    let health = response.json();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["rooms"], 1);
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert!(health["connections"].as_u64() >= Some(1), "{health}");
    assert!(health["uptime_seconds"].is_u64() && health["timestamp"].is_string(), "{health}");
    assert_eq!(health["store"], "ok", "a room has just been stored or looked for");
    assert_eq!(server.get("/health/ready").status, 200);

    let index = server.get("/").json();
    assert_eq!(index["version"], env!("CARGO_PKG_VERSION"));
    assert!(index["routes"].as_array().is_some_and(|routes| !routes.is_empty()), "{index}");
    assert_ne!(index["name"], Value::Null);
}

#[test]
fn the_websocket_url_is_the_one_that_the_client_can_reach() {
    let server = Server::start(&[("TRUSTED_PROXIES", "127.0.0.0/8")]);
    let url = |headers: &[(&str, &str)]| {
        let response = server.http("POST", "/api/rooms", headers, "{}");
        response.json()["websocket_url"].as_str().expect("a string").to_owned()
    };
    let headers = [
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "sync.example.com"),
    ];
    assert_eq!(url(&headers), "wss://sync.example.com/ws");
    assert_eq!(url(&[]), format!("ws://{}/ws", server.address()));
}

#[test]
fn clients_can_ask_who_they_are() {
    let server = Server::start(&[("TRUSTED_PROXIES", "127.0.0.1")]);
    let address = server.address().to_string();
    let forwarded = ("X-Forwarded-For", "9.9.9.9, 203.0.113.9");
    let secure = ("X-Forwarded-Proto", "https");
    let host = ("X-Forwarded-Host", "sync.example.com");
    let ask = |server: &Server, headers: &[(&str, &str)]| {
        let response = server.http("GET", "/api/whoami", headers, "");
        assert_eq!(response.status, 200);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let answer = response.json();
        let field = |name: &str| answer[name].as_str().expect("a string").to_owned();
        [field("address"), field("forwarded"), field("websocket_url")]
    };
    let own_url = format!("ws://{address}/ws");
    assert_eq!(ask(&server, &[]), ["127.0.0.1", "none", &own_url]);
    let seen = ask(&server, &[forwarded, secure, host]);
    assert_eq!(seen, ["203.0.113.9", "believed", "wss://sync.example.com/ws"]);

    let unbelieving = Server::start(&[]);
    let own_url = format!("ws://{}/ws", unbelieving.address());
    let seen = ask(&unbelieving, &[forwarded, secure, host]);
    assert_eq!(seen, ["127.0.0.1", "ignored", &own_url]);

    for origin in ["https://evil.example", "null", &format!("http://{address}")] {
        let response = server.http("GET", "/api/whoami", &[("Origin", origin)], "");
        assert_eq!(response.status, 403, "{origin}");
        assert!(!response.text().contains("127.0.0.1"), "{}", response.text());
    }
}
