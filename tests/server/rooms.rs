//! Members of rooms: joining, talking, leaving, and what the others are told of it.

use serde_json::{Value, json};

use crate::support::{Frame, Server};

#[test]
fn a_room_from_its_creation_to_the_last_word() {
    let server = Server::start(&[]);
    let room = server.create_room(&json!({}));
    let code = room["room_code"].as_str().expect("a string");
    let host_id = room["host_id"].as_str().expect("a string");

    let mut host = server.connect();
    host.send_json(&json!({ "action": "join", "room_code": code, "peer_id": host_id,
        "is_host": true, "metadata": { "name": "Somsri" } }));
    host.expect(&json!({ "type": "connected", "peer_id": host_id, "room_code": code }));
    let info = host.expect_type("room_info");
    assert_eq!((&info["room_code"], &info["host_id"]), (&json!(code), &json!(host_id)));
    assert_eq!(info["peers"].as_array().map(Vec::len), Some(1), "the joiner included");
    let peer = &info["peers"][0];
    assert_eq!((&peer["id"], &peer["is_host"]), (&json!(host_id), &json!(true)));
    assert_eq!(peer["metadata"], json!({ "name": "Somsri" }));

    let mut guest = server.connect();
    let info = guest.join(code, "guest");
    assert_eq!(info["peers"].as_array().map(Vec::len), Some(2));
    let joined = host.expect_type("peer_joined");
    assert_eq!(joined["peer"], info["peers"][1], "both see the same peer");
    assert_eq!(joined["peer"]["metadata"], Value::Null);

    guest.broadcast("hello");
    host.expect(&json!({ "type": "data", "from": "guest", "data": "hello" }));
    host.send_json(&json!({ "action": "sync_document", "document": "v1" }));
    guest.expect(&json!({ "type": "document_sync", "document": "v1" }));
    guest.send_json(&json!({ "action": "request_sync" }));
    guest.expect(&json!({ "type": "document_sync", "document": "v1" }));

    guest.send_json(&json!({ "action": "leave" }));
    host.expect(&json!({ "type": "peer_left", "peer_id": "guest" }));
    guest.broadcast("too late");
    assert_eq!(guest.expect_error("not_in_room"), "Join a room first");
    guest.send_json(&json!({ "action": "ping" }));
    guest.expect(&json!({ "type": "pong" }));
    host.expect_silence();
}

#[test]
fn a_joiner_gets_the_document_as_the_third_answer() {
    let server = Server::start(&[]);
    let mut host = server.host("room", "host");
    host.send_json(&json!({ "action": "request_sync" }));
    host.expect(&json!({ "type": "document_sync", "document": "" }));
    host.send_json(&json!({ "action": "sync_document", "document": "ไทย \u{1F600} \"\\\n" }));
    host.expect_silence();

    let mut guest = server.join("room", "guest");
    guest.expect(&json!({ "type": "document_sync", "document": "ไทย \u{1F600} \"\\\n" }));
    guest.expect_silence();
}

#[test]
fn the_time_of_joining_is_in_utc_with_milliseconds() {
    let server = Server::start(&[]);
    let room = server.create_room(&json!({}));
    let mut client = server.connect();
    let info = client.join(room["room_code"].as_str().expect("a string"), "peer");
    let joined_at = info["peers"][0]["joined_at"].as_str().expect("a string");
    let shape: String =
        joined_at.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z");
}

#[test]
fn relayed_json_keeps_its_bytes() {
    const DATA: &str = r#"{"b":1.10, "a":[1e3,12345678901234567890123],"b":"\u0e44"}"#;
    let server = Server::start(&[]);
    let mut host = server.host("room", "host");
    let mut guest = server.connect();
    guest.send_text(&format!(
        r#"{{"action":"join","room_code":"room","peer_id":"guest","metadata":{DATA}}}"#
    ));
    assert!(host.next_text().contains(DATA), "metadata");
    guest.send_text(&format!(r#"{{"data":{DATA},"action":"broadcast","other":1}}"#));
    assert!(host.next_text().contains(DATA), "data");
}

#[test]
fn all_members_see_one_order_and_senders_do_not_hear_themselves() {
    const SENT: usize = 60;
    let server = Server::start(&[]);
    server.create_room(&json!({ "desired_room_code": "room" }));
    let mut readers = ["r1", "r2"].map(|peer| server.join("room", peer));
    let mut writers = ["w1", "w2", "w3"].map(|peer| server.join("room", peer));
    for number in 0..SENT {
        for writer in &mut writers {
            writer.broadcast(number);
        }
    }
    let [first, second] = readers.each_mut().map(|reader| {
        let data = |_| reader.wait_for(|message| message["type"] == "data");
        (0..3 * SENT).map(data).collect::<Vec<_>>()
    });
    assert_eq!(first, second, "one order");
    for (peer, writer) in ["w1", "w2", "w3"].into_iter().zip(&mut writers) {
        let sent = first.iter().filter(|message| message["from"] == peer);
        let numbers: Vec<_> = sent.map(|message| message["data"].clone()).collect();
        assert_eq!(numbers, (0..SENT).map(Value::from).collect::<Vec<_>>(), "{peer}'s order");
        let others = (0..2 * SENT).map(|_| writer.wait_for(|message| message["type"] == "data"));
        assert!(others.into_iter().all(|message| message["from"] != peer));
        writer.expect_silence();
    }
}

#[test]
fn two_tabs_of_one_peer_are_one_peer() {
    let server = Server::start(&[]);
    let mut other = server.host("room", "other");
    let mut tab1 = server.join("room", "peer");
    other.expect_type("peer_joined");
    let mut tab2 = server.connect();
    let info = tab2.join_with(&json!({ "action": "join", "room_code": "room",
        "peer_id": "peer", "metadata": "second tab" }));
    assert_eq!(info["peers"].as_array().map(Vec::len), Some(2), "listed once");
    assert_eq!(info["peers"][1]["metadata"], "second tab", "the newest connection's");

    tab1.broadcast("from tab 1");
    tab2.expect(&json!({ "type": "data", "from": "peer", "data": "from tab 1" }));
    other.expect(&json!({ "type": "data", "from": "peer", "data": "from tab 1" }));
    tab1.expect_silence();
    tab1.close();
    tab2.broadcast("still here");
    other.expect(&json!({ "type": "data", "from": "peer", "data": "still here" }));
    tab2.close();
    other.expect(&json!({ "type": "peer_left", "peer_id": "peer" }));
}

#[test]
fn joining_the_same_room_again_is_quiet_and_another_room_leaves_the_first() {
    let server = Server::start(&[]);
    let mut first = server.host("first", "host");
    let mut second = server.host("second", "host");
    let mut guest = server.join("first", "guest");
    first.expect_type("peer_joined");
    guest.join("first", "guest");
    guest.expect_silence();
    first.expect_silence();
    guest.join("second", "guest");
    first.expect(&json!({ "type": "peer_left", "peer_id": "guest" }));
    second.expect_type("peer_joined");
}

#[test]
fn a_client_without_a_name_is_given_one() {
    let server = Server::start(&[]);
    server.create_room(&json!({ "desired_room_code": "room" }));
    let mut client = server.connect();
    client.send_json(&json!({ "action": "join", "room_code": "room" }));
    let connected = client.expect_type("connected");
    let peer = connected["peer_id"].as_str().expect("a string");
    let digits = peer.strip_prefix("peer_").expect("the prefix");
    assert_eq!(digits.len(), 8, "{peer}");
    assert!(digits.chars().all(|c| c.is_ascii_hexdigit()), "{peer}");
}

#[test]
fn what_has_an_id_is_acknowledged_with_it() {
    let server = Server::start(&[]);
    let mut host = server.host("room", "host");
    let cases = [
        (json!({ "action": "broadcast", "data": null, "id": "b-1" }), None),
        (json!({ "action": "request_sync", "id": 2 }), Some("document_sync")),
        (json!({ "action": "ping", "id": 3 }), Some("pong")),
        (json!({ "action": "sync_document", "document": "d", "id": "d-1" }), None),
        (json!({ "action": "leave", "id": -4 }), None),
    ];
    for (message, answer) in cases {
        host.send_json(&message);
        if let Some(kind) = answer {
            host.expect_type(kind);
        }
        host.expect(&json!({ "type": "ack", "id": message["id"] }));
    }
    let join = json!({ "action": "join", "room_code": "room", "peer_id": "p", "id": "j" });
    host.join_with(&join);
    host.expect_type("document_sync");
    host.expect(&json!({ "type": "ack", "id": "j" }));
}

#[test]
fn errors_name_their_code_and_the_id_of_what_caused_them() {
    let server = Server::start(&[]);
    server.create_room(&json!({ "desired_room_code": "room" }));
    let long = "x".repeat(5000);
    let join = |field: &str, value: &str| {
        let mut message = json!({ "action": "join", "room_code": "room", "peer_id": "p" });
        message[field] = json!(value);
        message
    };
    let cases = [
        (json!({ "action": "broadcast", "data": 1 }), "not_in_room"),
        (json!({ "action": "sync_document", "document": "" }), "not_in_room"),
        (json!({ "action": "request_sync" }), "not_in_room"),
        (json!({ "action": "dance" }), "unknown_action"),
        (json!({ "action": 1 }), "bad_message"),
        (json!({ "room_code": "room" }), "bad_message"),
        (json!({ "action": "broadcast" }), "bad_message"),
        (join("room_code", "NOSUCH"), "room_not_found"),
        (join("peer_id", &long), "too_large"),
        (join("metadata", &long), "too_large"),
    ];
    let mut client = server.connect();
    for (number, (mut message, code)) in cases.into_iter().enumerate() {
        message["id"] = json!(number);
        client.send_json(&message);
        let error = client.expect_type("error");
        assert_eq!((&error["code"], &error["id"]), (&json!(code), &json!(number)), "{error}");
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    }
    client.send_text("{\"action\"");
    let message = client.expect_error("bad_message");
    assert!(message.starts_with("Invalid message format: "), "{message}");
    client.join("room", "still welcome");
}

#[test]
fn only_the_host_syncs_the_document_unless_all_may() {
    for (writers, allowed) in [("host", false), ("any", true)] {
        let server = Server::start(&[("SYNC_WRITERS", writers)]);
        server.create_room(&json!({ "desired_room_code": "room", "desired_host_id": "host" }));
        let mut guest = server.connect();
        let info = guest.join_as_host("room", "not the host");
        assert_eq!(info["peers"][0]["is_host"], false, "in, but as a guest");
        guest.send_json(&json!({ "action": "sync_document", "document": "d", "id": 1 }));
        if allowed {
            guest.expect(&json!({ "type": "ack", "id": 1 }));
        } else {
            let message = guest.expect_error("host_only");
            assert_eq!(message, "Only the host can sync the document");
        }
    }
}

#[test]
fn a_room_with_host_auth_wants_its_token() {
    let by_room = (
        json!({ "desired_room_code": "room", "desired_host_id": "host",
        "host_auth": "token" }),
        "peer_id",
    );
    let by_server = (json!({ "desired_room_code": "room", "desired_host_id": "host" }), "token");
    for (body, setting) in [by_room, by_server] {
        let server = Server::start(&[("HOST_AUTH", setting)]);
        let room = server.create_room(&body);
        let cases =
            [(Value::Null, false), (json!("wrong"), false), (room["host_token"].clone(), true)];
        for (token, expected) in cases {
            let mut client = server.connect();
            let info = client.join_with(&json!({ "action": "join", "room_code": "room",
                "peer_id": "host", "is_host": true, "host_token": token }));
            assert_eq!(info["peers"][0]["is_host"], expected, "{token}");
            client.close();
        }
    }
}

#[test]
fn a_code_counts_as_typed_and_then_in_capitals() {
    let server = Server::start(&[]);
    for code in ["Mixed-Case_1", "MIXED-CASE_1", "ABCDEF"] {
        server.create_room(&json!({ "desired_room_code": code }));
    }
    for (typed, found) in
        [("Mixed-Case_1", "Mixed-Case_1"), ("mixed-case_1", "MIXED-CASE_1"), ("abcDEF", "ABCDEF")]
    {
        let info = server.connect().join(typed, "peer");
        assert_eq!(info["room_code"], found);
    }
}

#[test]
fn unknown_rooms_are_created_if_the_operator_wants_that() {
    let server = Server::start(&[("ROOM_AUTO_CREATE", "true")]);
    let mut first = server.join("fresh", "first");
    let mut second = server.join("fresh", "second");
    first.expect_type("peer_joined");
    second.broadcast(1);
    first.expect(&json!({ "type": "data", "from": "second", "data": 1 }));
}

#[test]
fn what_is_sent_right_behind_a_join_waits_until_the_room_is_there() {
    let mut before = Server::start(&[]);
    before.create_room(&json!({ "desired_room_code": "room" }));
    assert_eq!(before.stop(), Some(0));
    // The room is in the store only, and a lookup takes longer than the next message.
    let server = Server::start_in(before.directory(), &[]);
    let join = br#"{"action":"join","room_code":"room","peer_id":"peer","id":1}"#;
    let frames =
        [Frame::new(0x81, join), Frame::new(0x81, br#"{"action":"broadcast","data":0,"id":2}"#)];
    let mut client = server.connect();
    client.send_frames(&frames);
    client.expect_type("connected");
    client.expect_type("room_info");
    client.expect(&json!({ "type": "ack", "id": 1 }));
    client.expect(&json!({ "type": "ack", "id": 2 }));
}
