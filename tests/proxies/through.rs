//! What clients see through a proxy that is set up as the README says.

use serde_json::{Value, json};
use tungstenite::Message;

use crate::client::{ask, open, whoami};
use crate::proxy::{Certificate, Changes, Kind, Proxy, Upstream};
use crate::readme::trusted_proxies;
use crate::support::{Directory, Ended, Server};

/// Rooms that one address may make at once; the next is refused.
const ROOMS_AT_ONCE: usize = 5;

#[test]
fn members_hear_each_other_through_it() {
    for kind in Kind::installed() {
        let server = Server::start(&[("TRUSTED_PROXIES", &trusted_proxies())]);
        let proxy = Proxy::start(kind, Upstream::Tcp(server.address()), &Changes::default());
        check_room(&proxy);
    }
}

#[test]
fn members_hear_each_other_through_it_and_a_unix_socket() {
    for kind in Kind::installed() {
        let directory = Directory::new();
        let path = directory.path().join("sync.sock");
        let bind_addr = format!("unix:{}", path.display());
        let _server = Server::start_in(&directory, &[("BIND_ADDR", &bind_addr)]);
        let proxy = Proxy::start(kind, Upstream::Unix(&path), &Changes::default());
        check_room(&proxy);
        let seen = whoami(2, proxy.address(), &[]);
        assert_eq!(
            (&seen["address"], &seen["forwarded"]),
            (&json!("127.0.0.2"), &json!("believed"))
        );
    }
}

#[test]
fn limits_go_by_the_address_of_the_client() {
    for kind in Kind::installed() {
        let server = Server::start(&[("TRUSTED_PROXIES", "127.0.0.1")]);
        let proxy = Proxy::start(kind, Upstream::Tcp(server.address()), &Changes::default());
        let at = proxy.address();
        assert_eq!(whoami(2, at, &[])["address"], "127.0.0.2", "{kind:?}");
        let lie = ("X-Forwarded-For", "203.0.113.9");
        assert_eq!(
            whoami(2, at, &[lie])["address"],
            "127.0.0.2",
            "{kind:?}: a lie is not believed"
        );

        let make = |last, headers: &[_]| ask(last, at, "POST", "/api/rooms", headers).status;
        let refused = (0..100).take_while(|_| make(2, &[]) == 201).count();
        assert!((ROOMS_AT_ONCE..100).contains(&refused), "{kind:?}: {refused} rooms");
        // Who is refused can neither lie nor take from others.
        assert_eq!(make(3, &[]), 201, "{kind:?}");

        let unbelieving = Server::start(&[]);
        let proxy = Proxy::start(kind, Upstream::Tcp(unbelieving.address()), &Changes::default());
        let seen = whoami(2, proxy.address(), &[]);
        assert_eq!(
            (&seen["address"], &seen["forwarded"]),
            (&json!("127.0.0.1"), &json!("ignored"))
        );
    }
}

#[test]
fn a_silent_client_stays_although_the_proxy_is_impatient() {
    /// Of nginx, in place of the 60 s that it has unless told otherwise.
    const IMPATIENT: &str = "proxy_read_timeout 4s; proxy_send_timeout 4s;";
    /// More seconds than that, and the time-out is over again.
    const PINGS: usize = 7;
    if !Kind::installed().any(|kind| kind == Kind::Nginx) {
        return;
    }
    let changes = Changes { with: IMPATIENT, ..Changes::default() };
    let start = |interval: &str| {
        let server = Server::start(&[("PING_INTERVAL_SECONDS", interval)]);
        let proxy = Proxy::start(Kind::Nginx, Upstream::Tcp(server.address()), &changes);
        server.create_room(&json!({ "desired_room_code": "room", "desired_host_id": "host" }));
        let mut client = open(proxy.address());
        client.join_as_host("room", "host");
        (server, proxy, client)
    };
    let (_server, _proxy, mut pinged) = start("1");
    let (_rare_server, _rare_proxy, mut alone) = start("30");
    for _ in 0..PINGS {
        let message = pinged.next_message();
        assert!(matches!(message, Message::Ping(_)), "{message:?}");
    }
    pinged.expect_silence();
    assert_eq!(alone.read_to_end(), Ended::Cut, "the time-out is what was tried");
}

#[cfg(feature = "tls")]
#[test]
fn clients_are_told_to_connect_by_tls_if_the_proxy_speaks_it() {
    let Some(certificate) = Certificate::make() else { return };
    for kind in Kind::installed() {
        let server = Server::start(&[("TRUSTED_PROXIES", &trusted_proxies())]);
        let upstream = Upstream::Tcp(server.address());
        let plain = Proxy::start(kind, upstream, &Changes::default());
        let told = |seen: &Value, scheme: &str| {
            let url = seen["websocket_url"].as_str().expect("a string");
            assert!(url.starts_with(scheme) && url.ends_with("/ws"), "{kind:?}: {url}");
        };
        told(&whoami(2, plain.address(), &[]), "ws://127.0.0.1");
        let lie = ("X-Forwarded-Proto", "https");
        told(&whoami(2, plain.address(), &[lie]), "ws://127.0.0.1");

        let changes = Changes { tls: Some(&certificate), ..Changes::default() };
        let secure = Proxy::start(kind, upstream, &changes);
        let seen = certificate.ask(secure.address(), "/api/whoami");
        told(&seen, "wss://localhost");
        assert_eq!(seen["forwarded"], "believed", "{kind:?}");
    }
}

/// A room, its host and a guest, all by way of `proxy`.
#[track_caller]
fn check_room(proxy: &Proxy) {
    let at = proxy.address();
    let room = ask(1, at, "POST", "/api/rooms", &[]).json();
    let (code, host_id) = (room["room_code"].as_str(), room["host_id"].as_str());
    let (code, host_id) = (code.expect("a code"), host_id.expect("an id"));
    let (mut host, mut guest) = (open(at), open(at));
    host.join_as_host(code, host_id);
    guest.join(code, "guest");
    host.expect_type("peer_joined");
    host.broadcast("to the guest");
    guest.expect(&json!({ "type": "data", "from": host_id, "data": "to the guest" }));
    guest.broadcast("to the host");
    host.expect(&json!({ "type": "data", "from": "guest", "data": "to the host" }));
    let document = "x".repeat(2 << 20);
    host.send_json(&json!({ "action": "sync_document", "document": document, "id": 1 }));
    assert_eq!(guest.expect_type("document_sync")["document"], document);
    host.expect(&json!({ "type": "ack", "id": 1 }));
    guest.close();
    host.expect_type("peer_left");
}
