//! Pings, and connections whose other end has gone without a word.

use serde_json::json;
use tungstenite::Message;

use crate::support::Server;

#[test]
fn a_silent_client_is_pinged_then_dropped_and_its_room_hears_of_it() {
    let server = Server::start(&[("PING_INTERVAL_SECONDS", "1"), ("PING_TIMEOUT_SECONDS", "2")]);
    let mut lively = server.host("room", "lively");
    let mut silent = server.join("room", "silent");
    lively.expect_type("peer_joined");
    // Reading answers the pings of the one; nobody reads for the other.
    lively.expect(&json!({ "type": "peer_left", "peer_id": "silent" }));
    assert!(matches!(silent.next_message(), Message::Ping(_)), "it was asked first");
    lively.expect_silence();
}

#[test]
fn a_client_that_answers_pings_stays() {
    let server = Server::start(&[("PING_INTERVAL_SECONDS", "1"), ("PING_TIMEOUT_SECONDS", "2")]);
    let mut client = server.connect();
    for _ in 0..4 {
        // The answer leaves with the next read.
        assert!(matches!(client.next_message(), Message::Ping(_)));
    }
    client.expect_silence();
}

#[test]
fn a_client_that_goes_without_a_word_has_left() {
    let server = Server::start(&[]);
    let mut host = server.host("room", "host");
    let guest = server.join("room", "guest");
    host.expect_type("peer_joined");
    drop(guest);
    host.expect(&json!({ "type": "peer_left", "peer_id": "guest" }));
}
