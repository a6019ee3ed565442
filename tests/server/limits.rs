//! What one client or one address may do, and what happens beyond that.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::support::{Deadline, Ended, Frame, HttpClient, Server, WebSocketClient};

/// A connection from another of the loopback addresses, to be another client for the server.
fn connect_from(last: u8, server: &Server) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let source = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
    socket.bind(&source.into()).expect("all of 127/8 is ours");
    socket.connect(&server.address().into()).expect("the server accepts connections");
    socket.into()
}

#[test]
fn twenty_bad_messages_in_a_row_close_with_1008() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for _ in 0..2 {
        for _ in 0..19 {
            client.send_text("{}");
            client.expect_error("bad_message");
        }
        // One good message, and the count begins anew.
        client.expect_silence();
    }
    for _ in 0..20 {
        client.send_text("{}");
    }
    client.expect_close(1008);
}

#[test]
fn messages_over_the_rate_are_refused_and_at_last_close_with_1008() {
    const SENT: usize = 150;
    let server = Server::start(&[("MESSAGE_RATE_LIMIT", "1")]);
    let mut client = server.connect();
    // All in one write, so that even a slow machine handles them within one second.
    for _ in 0..SENT {
        client.send_json(&json!({ "action": "ping", "id": 1 }));
    }
    client.expect(&json!({ "type": "pong" }));
    client.expect(&json!({ "type": "ack", "id": 1 }));
    let refused = client.wait_for(|message| message["type"] == "error");
    assert_eq!((&refused["code"], &refused["id"]), (&json!("rate_limited"), &json!(1)));
    client.expect_close(1008);
}

#[test]
fn a_rate_of_zero_is_no_limit() {
    let server = Server::start(&[("MESSAGE_RATE_LIMIT", "0")]);
    let mut client = server.connect();
    for _ in 0..1000 {
        client.send_text(r#"{"action":"ping"}"#);
    }
    for _ in 0..1000 {
        client.expect(&json!({ "type": "pong" }));
    }
}

/// Ends the guessing, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Guesses that are not waited for: each on a connection of its own, which is dropped.
fn guess_until(is_over: &AtomicBool, address: SocketAddr) -> usize {
    /// Half of `MAX_CONNECTIONS`: each takes a place of the server, too, until it is answered.
    const GUESSES_MAX: usize = 5_000;
    let mut guesses = 0;
    while guesses < GUESSES_MAX && !is_over.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        let request = format!("GET /api/rooms/GUESS{guesses} HTTP/1.1\r\nHost: a\r\n\r\n");
        guesses += usize::from(stream.write_all(request.as_bytes()).is_ok());
    }
    guesses
}

#[test]
fn guesses_at_full_speed_keep_nobody_at_their_address_out() {
    const MISSES_PER_MINUTE: usize = 30;
    /// Less than an answer may be late.
    const AT_ONCE: Duration = Duration::from_secs(4);
    let server = Server::start(&[]);
    let body = json!({ "desired_room_code": "room", "desired_host_id": "host" });
    server.create_room(&body);
    let mut waiting: Vec<HttpClient> = (0..MISSES_PER_MINUTE + 2)
        .map(|number| {
            let mut client = server.open();
            client.request("GET", &format!("/api/rooms/WAIT{number}"), &[], "");
            client
        })
        .collect();
    for client in &mut waiting {
        assert_eq!(client.response().status, 404, "it is answered as ever, if late");
    }
    let is_over = AtomicBool::new(false);
    let guesses = thread::scope(|scope| {
        let guesser = scope.spawn(|| guess_until(&is_over, server.address()));
        let over = Over(&is_over);
        for round in 0..20 {
            let start = Deadline::start();
            let again = server.http("POST", "/api/rooms", &[], &body.to_string());
            assert_eq!((again.status, &again.json()["host_id"]), (200, &json!("host")));
            assert_eq!(server.get("/api/rooms/room").status, 200);
            server.join("room", "member").close();
            assert!(start.passed() < AT_ONCE, "round {round}: {:?}", start.passed());
        }
        drop(over);
        guesser.join().expect("it does not panic")
    });
    assert!(guesses > 10 * MISSES_PER_MINUTE, "{guesses} are no attack");
}

#[test]
fn guesses_that_are_not_waited_for_take_the_places_of_their_address() {
    const PLACES: usize = 50;
    const MISSES_PER_MINUTE: usize = 30;
    let settings = [("TRUSTED_PROXIES", "127.0.0.1"), ("MAX_CONNECTIONS_PER_IP", "50")];
    let server = Server::start(&settings);
    server.create_room(&json!({ "desired_room_code": "room" }));
    let mut proxy = server.open();
    let mut right_code = |client| {
        proxy.request("GET", "/api/rooms/room", &[("X-Forwarded-For", client)], "");
        proxy.response().status
    };
    let mut guesses = 0;
    while right_code("192.0.2.1") == 200 {
        let mut stream = TcpStream::connect(server.address()).expect("it listens");
        let head = format!("GET /api/rooms/GUESS{guesses} HTTP/1.1\r\nHost: a\r\n");
        let request = format!("{head}X-Forwarded-For: 192.0.2.1\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it takes a request");
        guesses += 1;
        assert!(guesses < 1_000, "dropping the connection is no way round");
    }
    assert!(guesses >= PLACES + MISSES_PER_MINUTE, "a place for each of these: {guesses}");
    assert_eq!(right_code("192.0.2.1"), 503);
    assert_eq!(right_code("192.0.2.2"), 200, "others have theirs");
}

#[test]
fn creating_rooms_is_limited_by_address() {
    const BURST: usize = 5;
    let server = Server::start(&[("ROOM_CREATE_RATE", "1")]);
    let mut client = server.open();
    let mut refused = None;
    // More would be refused even if the machine were too slow for the burst to be over at once.
    for number in 0..1000 {
        client.request("POST", "/api/rooms", &[("Content-Length", "0")], "");
        let response = client.response();
        if response.status != 201 {
            refused = Some((number, response));
            break;
        }
    }
    let (created, response) = refused.expect("the limit is reached");
    assert!(created >= BURST, "{created}");
    assert_eq!(response.status, 429);
    let seconds = response.header("retry-after").map(str::parse);
    assert!(matches!(seconds, Some(Ok(1_u32..=2))), "{seconds:?}");

    let mut other = HttpClient::over(connect_from(2, &server));
    other.request("POST", "/api/rooms", &[("Content-Length", "0")], "");
    assert_eq!(other.response().status, 201, "another address");
}

#[test]
fn a_room_takes_so_many_and_the_server_so_many_rooms() {
    let server = Server::start(&[
        ("MAX_PEERS_PER_ROOM", "2"),
        ("MAX_ROOMS", "1"),
        ("ROOM_AUTO_CREATE", "true"),
    ]);
    let mut first = server.join("ROOM", "first");
    let _second = server.join("ROOM", "second");
    first.expect_type("peer_joined");
    let mut third = server.connect();
    third.send_json(&json!({ "action": "join", "room_code": "ROOM", "peer_id": "third" }));
    third.expect_error("room_full");
    third.send_json(&json!({ "action": "join", "room_code": "OTHER", "peer_id": "third" }));
    third.expect_error("too_many_rooms");
    first.expect_silence();

    let response = server.http("POST", "/api/rooms", &[("Content-Length", "0")], "");
    assert_eq!(response.status, 503);
    assert_ne!(response.json()["error"], Value::Null);
}

#[test]
fn memory_has_a_budget_and_who_holds_most_goes_first() {
    const DOCUMENT_BYTES: usize = 1 << 20;
    const ROOMS: usize = 80;
    /// The budget, what the program itself needs, and copies of a document on its way into the
    /// store, some for each worker.
    const PEAK_BYTES_MAX: u64 = 56 << 20;
    let server = Server::start(&[
        ("MEMORY_BUDGET_BYTES", "16MiB"),
        ("MAX_MESSAGE_BYTES", "1536KiB"),
        ("SEND_QUEUE_BYTES", "2MiB"),
        ("ROOM_CREATE_RATE", "0"),
        // What is stored need not be in memory.
        ("ROOM_STORE", "off"),
    ]);
    let mut witness = server.host("witness", "host");
    let document = "x".repeat(DOCUMENT_BYTES);
    let message = json!({ "action": "sync_document", "document": document });
    let mut refused = 0;
    for number in 0..ROOMS {
        let mut host = server.host(&format!("room-{number}"), "host");
        // Either the document is refused, or whoever holds most loses its connection, which may
        // be the sender in the middle of it.
        let is_taken = host.ask(&message, &json!({ "action": "ping" }));
        refused += usize::from(is_taken.is_none_or(|answer| answer["type"] == "error"));
    }
    assert!(refused > 0, "80 MiB of documents do not fit in 16 MiB");
    assert!(refused < ROOMS, "some fit");
    witness.expect_silence();
    let peak_bytes = server.peak_memory_bytes();
    assert!(peak_bytes < PEAK_BYTES_MAX, "{peak_bytes}");
}

#[test]
fn a_client_that_never_joins_is_not_trusted_with_much() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.send_text(&"x".repeat(17 * 1024));
    assert!(matches!(client.read_to_end(), Ended::Closed(1009, _)));
}

#[test]
fn behind_a_trusted_proxy_its_clients_are_counted_and_not_the_proxy() {
    let server =
        Server::start(&[("TRUSTED_PROXIES", "127.0.0.1"), ("MAX_CONNECTIONS_PER_IP", "1")]);
    let connect =
        |clients: &str| WebSocketClient::connect(server.address(), &[("X-Forwarded-For", clients)]);
    let first = connect("203.0.113.7").expect("the first of its address");
    assert_eq!(connect("203.0.113.7").err(), Some(503), "the second");
    assert_eq!(connect("198.51.100.1, 203.0.113.7").err(), Some(503), "it says it is another");
    let _other = connect("203.0.113.8").expect("another address");
    let _network = connect("2001:db8::1").expect("the first of its network");
    assert_eq!(connect("2001:db8::2").err(), Some(503), "counted by /64");
    drop(first);
    let deadline = Deadline::start();
    while connect("203.0.113.7").is_err() {
        assert!(!deadline.left().is_zero(), "its place did not become free");
    }
}

#[test]
fn an_upgrade_that_fails_leaves_the_proxys_connection_to_its_other_clients() {
    const UPGRADE: [(&str, &str); 4] = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let trusting = ("TRUSTED_PROXIES", "127.0.0.1");
    for (setting, expected) in
        [(("REQUIRE_AUTH", "true"), 401), (("MAX_CONNECTIONS_PER_IP", "1"), 503)]
    {
        let server = Server::start(&[trusting, setting]);
        let of_seven = ("X-Forwarded-For", "203.0.113.7");
        let _first = WebSocketClient::connect(server.address(), &[of_seven]);
        let mut proxy = server.open();
        proxy.request("GET", "/ws", &[&UPGRADE[..], &[of_seven]].concat(), "");
        assert_eq!(proxy.response().status, expected);
        proxy.request("GET", "/api/whoami", &[("X-Forwarded-For", "203.0.113.8")], "");
        let whoami = proxy.response().json();
        assert_eq!(whoami["address"], "203.0.113.8", "{whoami}");
        assert_eq!(whoami["forwarded"], "believed", "{whoami}");
    }
}

#[test]
fn without_a_trusted_proxy_nobody_can_pretend_to_be_somebody_else() {
    let server = Server::start(&[("ROOM_CREATE_RATE", "1")]);
    let is_refused = (0..1000).any(|number| {
        let address = format!("203.0.113.{}", number % 250);
        let headers = [("X-Forwarded-For", address.as_str()), ("Content-Length", "0")];
        server.http("POST", "/api/rooms", &headers, "").status == 429
    });
    assert!(is_refused, "all of these came from one address");
    assert_eq!(server.log().matches("TRUSTED_PROXIES").count(), 1, "said once");
}

#[test]
fn answers_that_nobody_reads_are_bounded() {
    /// What would be a hundred times as much in answers.
    const SENT_BYTES_MAX: usize = 24 << 20;
    /// One send queue, and what comes with it.
    const GROWTH_BYTES_MAX: u64 = 6 << 20;
    let requests = "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    let pings = Frame::new(0x89, &[b'x'; 125]).encode().repeat(500);
    for (what, piece) in [("requests", requests.as_bytes()), ("pings", &pings)] {
        let server =
            Server::start(&[("MAX_MESSAGE_BYTES", "512KiB"), ("SEND_QUEUE_BYTES", "1MiB")]);
        let mut stream = match what {
            "pings" => server.connect().into_stream(),
            _ => server.open().into_stream(),
        };
        stream.set_write_timeout(Some(Duration::from_secs(1))).expect("it is not zero");
        let bytes_before = server.memory_bytes();
        // The server may stop reading, or close the connection.
        let mut sent = 0;
        while sent < SENT_BYTES_MAX && stream.write_all(piece).is_ok() {
            sent += piece.len();
        }
        let growth_bytes = server.peak_memory_bytes().saturating_sub(bytes_before);
        assert!(growth_bytes < GROWTH_BYTES_MAX, "{what}: {growth_bytes} after {sent}");
        server.connect().expect_silence();
    }
}
