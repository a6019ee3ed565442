//! What administrators may ask of the running server: `/api/admin/…`.

use serde_json::{Value, json};

use crate::support::{Directory, Response, Server};

const ADMIN: [(&str, &str); 3] = [
    ("INITIAL_ADMIN_EMAIL", "ann@example.com"),
    ("INITIAL_ADMIN_PASSWORD", "a good password"),
    ("ROOM_CREATE_RATE", "0"),
];
const ROOMS: &str = "/api/admin/rooms";
const STATS: &str = "/api/admin/stats";

/// A server whose administrator is there, with `more` settings.
fn server(more: &[(&str, &str)]) -> Server {
    let server = Server::start(&[&ADMIN, more].concat());
    server.wait_for_log("the administrator of the settings was made");
    server
}

/// The value of `Authorization` for whoever logs in so.
fn bearer(server: &Server, email: &str, password: &str) -> String {
    let body = json!({ "email": email, "password": password });
    let login = server.http("POST", "/api/auth/login", &[], &body.to_string());
    assert_eq!(login.status, 200, "{}", login.text());
    format!("Bearer {}", login.json()["token"].as_str().expect("a token"))
}

fn admin(server: &Server) -> String {
    bearer(server, "ann@example.com", "a good password")
}

fn ask(server: &Server, bearer: &str, method: &str, path: &str) -> Response {
    server.http(method, path, &[("Authorization", bearer)], "")
}

/// Has a room, with the `document` that its host has written.
fn write_room(server: &Server, code: &str, document: &str) {
    let mut host = server.host(code, "host");
    host.send_json(&json!({ "action": "sync_document", "document": document, "id": 1 }));
    host.expect(&json!({ "type": "ack", "id": 1 }));
    host.close();
    host.read_to_end();
}

#[test]
fn only_administrators_are_answered() {
    let server = server(&[]);
    let ann = admin(&server);
    let bob = json!({ "email": "bob@example.com", "password": "another password" }).to_string();
    let invited = server.http("POST", "/api/auth/invite", &[("Authorization", &ann)], &bob);
    assert_eq!(invited.status, 200);
    let bob = bearer(&server, "bob@example.com", "another password");
    server.create_room(&json!({ "desired_room_code": "ROOM" }));
    for (method, path) in [("GET", STATS), ("GET", ROOMS), ("DELETE", "/api/admin/rooms/ROOM")] {
        for (headers, status, error) in [
            (vec![], 401, "Not logged in"),
            (vec![("Authorization", "Bearer a.b.c")], 401, "Not logged in"),
            (vec![("Authorization", bob.as_str())], 403, "Admin only"),
        ] {
            let refused = server.http(method, path, &headers, "");
            assert_eq!((refused.status, refused.json()), (status, json!({ "error": error })));
        }
    }
    assert_eq!(server.get("/api/rooms/ROOM").status, 200, "nobody has closed it");
    assert_eq!(ask(&server, &ann, "GET", ROOMS).status, 200);
    for path in [ROOMS, STATS] {
        assert_eq!(ask(&server, &ann, "POST", path).status, 405);
    }
    let other = ask(&server, &ann, "GET", "/api/admin/rooms/ROOM");
    assert_eq!((other.status, other.header("allow")), (405, Some("DELETE, OPTIONS")));
    assert_eq!(ask(&server, &ann, "GET", "/api/admin/nothing").status, 404);
}

#[test]
fn a_cookie_counts_for_our_own_pages_only() {
    let server = server(&[]);
    let body = json!({ "email": "ann@example.com", "password": "a good password", "cookie": true });
    let login = server.http("POST", "/api/auth/login", &[], &body.to_string());
    assert_eq!((login.status, &login.json()["token"]), (200, &Value::Null));
    let set = login.header("set-cookie").expect("a cookie");
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{set}");
    let (cookie, _) = set.split_once(';').expect("marks");
    let own = format!("http://{}", server.address());
    for (origin, status) in [(own.as_str(), 200), ("https://evil.example", 401), ("null", 401)] {
        let headers = [("Cookie", cookie), ("Origin", origin)];
        assert_eq!(server.http("GET", ROOMS, &headers, "").status, status, "{origin}");
    }
    assert_eq!(server.http("GET", ROOMS, &[("Cookie", cookie)], "").status, 200);
    assert!(!server.log().contains(cookie));
}

#[test]
fn the_cookie_is_for_tls_where_there_is_tls() {
    let server = server(&[("PUBLIC_URL", "https://sync.example.com")]);
    let body = json!({ "email": "ann@example.com", "password": "a good password", "cookie": true });
    let login = server.http("POST", "/api/auth/login", &[], &body.to_string());
    let set = login.header("set-cookie").expect("a cookie");
    assert!(set.ends_with("; SameSite=Strict; Secure"), "{set}");
}

#[test]
fn figures_tell_how_the_server_is() {
    let server = server(&[("MAX_ROOMS", "7"), ("MEMORY_BUDGET_BYTES", "32MiB")]);
    let ann = admin(&server);
    let before = ask(&server, &ann, "GET", STATS).json();
    assert_eq!(before["success"], true);
    assert_eq!(before["version"], env!("CARGO_PKG_VERSION"));
    assert!(before["uptime_seconds"].is_u64() && before["connections_max"].is_u64(), "{before}");
    assert_eq!((&before["rooms"], &before["rooms_max"]), (&json!(0), &json!(7)));
    assert_eq!((&before["members"], &before["document_bytes"]), (&json!(0), &json!(0)));
    assert_eq!(before["store"], "ok");
    assert_eq!(before["jobs"], json!({ "waiting": 0, "running": 0 }));
    assert_eq!(before["memory"]["budget_bytes"], 32 << 20);
    let mut host = server.host("ROOM", "host");
    let document = "x".repeat(100_000);
    host.send_json(&json!({ "action": "sync_document", "document": document, "id": 1 }));
    host.expect(&json!({ "type": "ack", "id": 1 }));
    server.create_room(&json!({}));
    let _guest = server.join("ROOM", "guest");
    let after = ask(&server, &ann, "GET", STATS).json();
    assert_eq!((&after["rooms"], &after["members"]), (&json!(2), &json!(2)), "{after}");
    for bytes in [&after["document_bytes"], &after["memory"]["used_bytes"]] {
        assert!(bytes.as_u64().is_some_and(|bytes| bytes > 100_000), "{after}");
    }
    assert!(after["connections"].as_u64() > before["connections"].as_u64(), "{after}");
}

#[test]
fn rooms_are_described_with_who_is_in_them() {
    let server = server(&[]);
    let ann = admin(&server);
    let mut host = server.host("ROOM", "host");
    server.create_room(&json!({ "desired_room_code": "EMPTY", "desired_host_id": "h" }));
    host.send_json(&json!({ "action": "sync_document", "document": "milk", "id": 1 }));
    host.expect(&json!({ "type": "ack", "id": 1 }));
    let mut bob = server.connect();
    let join = json!({ "action": "join", "room_code": "ROOM", "peer_id": "b",
        "metadata": { "name": "บ๊อบ" } });
    bob.join_with(&join);
    let list = ask(&server, &ann, "GET", ROOMS).json();
    assert_eq!((&list["success"], &list["total"]), (&json!(true), &json!(2)), "{list}");
    assert_eq!(list["next"], Value::Null);
    let (empty, room) = (&list["rooms"][0], &list["rooms"][1]);
    assert_eq!((&empty["room_code"], &empty["members"]), (&json!("EMPTY"), &json!([])));
    assert_eq!((&empty["host_id"], &empty["document_bytes"]), (&json!("h"), &json!(0)));
    assert!(empty["empty_since"].as_str().is_some_and(|at| at.ends_with('Z')), "{empty}");
    assert_eq!((&room["room_code"], &room["host_id"]), (&json!("ROOM"), &json!("host")));
    assert_eq!((&room["peer_count"], &room["connection_count"]), (&json!(2), &json!(2)));
    assert_eq!((&room["empty_since"], &room["stored"]), (&Value::Null, &json!(true)));
    assert_eq!(room["revision"], 2);
    assert!(room["document_bytes"].as_u64().is_some_and(|bytes| bytes > 4), "{room}");
    let members = room["members"].as_array().expect("a list");
    let names: Vec<_> = members.iter().map(|m| (&m["id"], &m["name"], &m["is_host"])).collect();
    let host = (&json!("host"), &Value::Null, &json!(true));
    assert_eq!(names, [host, (&json!("b"), &json!("บ๊อบ"), &json!(false))]);
    assert!(members.iter().all(|m| m["joined_at"].as_str().is_some_and(|at| at.ends_with('Z'))));
}

#[test]
fn lists_are_bounded_and_go_on_where_they_ended() {
    let server = server(&[]);
    let ann = admin(&server);
    let codes: Vec<String> = (0..120).map(|number| format!("R{number:03}")).collect();
    for code in &codes {
        server.create_room(&json!({ "desired_room_code": code }));
    }
    let crowd: Vec<_> = (0..25).map(|n| server.join("R119", &n.to_string())).collect();
    let mut listed = Vec::new();
    let mut path = ROOMS.to_owned();
    for count in [50, 50, 20] {
        let list = ask(&server, &ann, "GET", &path).json();
        let rooms = list["rooms"].as_array().expect("a list");
        assert_eq!((rooms.len(), &list["total"]), (count, &json!(120)));
        listed.extend(rooms.iter().map(|room| room["room_code"].clone()));
        match list["next"].as_str() {
            Some(next) => path = format!("{ROOMS}?after={next}"),
            None => assert_eq!(count, 20, "the last page"),
        }
    }
    assert_eq!(json!(listed), json!(codes));
    let last = ask(&server, &ann, "GET", &format!("{ROOMS}?after=R118&limit=1")).json();
    let room = &last["rooms"][0];
    assert_eq!(room["peer_count"], crowd.len());
    assert_eq!(room["members"].as_array().map(Vec::len), Some(20), "some of them");
    for limit in ["0", "51", "-1", "x", ""] {
        let refused = ask(&server, &ann, "GET", &format!("{ROOMS}?limit={limit}"));
        assert_eq!(refused.status, 400, "{limit}");
        assert!(refused.json()["error"].is_string(), "{limit}");
    }
}

#[test]
fn a_closed_room_sends_everybody_away_and_does_not_come_back() {
    let mut server = server(&[]);
    let ann = admin(&server);
    let mut host = server.host("ROOM", "host");
    host.send_json(&json!({ "action": "sync_document", "document": "secret", "id": 1 }));
    host.expect(&json!({ "type": "ack", "id": 1 }));
    let mut guest = server.join("room", "guest");
    host.expect_type("peer_joined");
    let closed = ask(&server, &ann, "DELETE", "/api/admin/rooms/ROOM");
    assert_eq!((closed.status, closed.json()), (200, json!({ "success": true })));
    for member in [&mut host, &mut guest] {
        member.expect_close(1008);
    }
    assert_eq!(server.get("/api/rooms/ROOM").status, 404);
    let again = ask(&server, &ann, "DELETE", "/api/admin/rooms/ROOM");
    assert_eq!((again.status, again.json()), (404, json!({ "error": "Room not found" })));
    let mut late = server.connect();
    let join = json!({ "action": "join", "room_code": "ROOM", "peer_id": "late" });
    late.send_json(&join);
    late.expect_error("room_not_found");
    assert!(server.log().contains("room ROOM: closed by an administrator"));

    let directory = std::sync::Arc::clone(server.directory());
    assert_eq!(server.stop(), Some(0));
    let server = Server::start_in(&directory, &ADMIN);
    assert_eq!(server.get("/api/rooms/ROOM").status, 404, "nothing is left of it");
    let made = server.create_room(&json!({ "desired_room_code": "ROOM" }));
    assert_eq!(made.get("has_document"), None, "the code is free: {made}");
}

#[test]
fn a_room_that_is_stored_only_is_closed_as_well() {
    let directory = Directory::new();
    let mut first = Server::start_in(&directory, &ADMIN);
    first.wait_for_log("the administrator of the settings was made");
    write_room(&first, "Old-Room", "old");
    write_room(&first, "OTHER", "other");
    assert_eq!(first.stop(), Some(0));
    let server = Server::start_in(&directory, &ADMIN);
    let ann = admin(&server);
    assert_eq!(ask(&server, &ann, "GET", ROOMS).json()["total"], 0);
    assert_eq!(ask(&server, &ann, "DELETE", "/api/admin/rooms/Old-Room").status, 200);
    assert_eq!(server.get("/api/rooms/Old-Room").status, 404);
    assert_eq!(ask(&server, &ann, "DELETE", "/api/admin/rooms/Old-Room").status, 404);
    let other = json!({ "desired_room_code": "OTHER" }).to_string();
    let other = server.http("POST", "/api/rooms", &[], &other);
    assert_eq!((other.status, &other.json()["has_document"]), (200, &json!(true)));
}

#[test]
fn without_a_store_for_rooms_a_closed_one_is_gone_at_once() {
    let server = server(&[("ROOM_STORE", "off")]);
    let ann = admin(&server);
    let mut host = server.host("ROOM", "host");
    assert_eq!(ask(&server, &ann, "DELETE", "/api/admin/rooms/ROOM").status, 200);
    host.expect_close(1008);
    assert_eq!(ask(&server, &ann, "DELETE", "/api/admin/rooms/ROOM").status, 404);
}
