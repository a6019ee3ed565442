//! The process: how it starts, what it says, how it ends.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Deadline, Directory, Ended, Server, WebSocketClient, run};

/// What an operator must know of; `--help` shows each.
const SETTINGS: [&str; 43] = [
    "PORT",
    "BIND_ADDR",
    "PUBLIC_URL",
    "RUST_LOG",
    "LOG_FORMAT",
    "DATA_DIR",
    "MONGODB_URI",
    "MONGODB_USERNAME",
    "MONGODB_PASSWORD",
    "DB_NAME",
    "JWT_SECRET",
    "JWT_TTL_SECONDS",
    "INITIAL_SETUP_TOKEN",
    "INITIAL_ADMIN_EMAIL",
    "INITIAL_ADMIN_PASSWORD",
    "INITIAL_ADMIN_NICKNAME",
    "REQUIRE_AUTH",
    "HOST_AUTH",
    "SYNC_WRITERS",
    "ROOM_IDLE_TIMEOUT_SECONDS",
    "ROOM_AUTO_CREATE",
    "ROOM_STORE",
    "ALLOWED_ORIGINS",
    "TRUSTED_PROXIES",
    "MAX_CONNECTIONS",
    "MAX_CONNECTIONS_PER_IP",
    "MAX_ROOMS",
    "MAX_PEERS_PER_ROOM",
    "MAX_MESSAGE_BYTES",
    "SEND_QUEUE_BYTES",
    "MEMORY_BUDGET_BYTES",
    "MESSAGE_RATE_LIMIT",
    "ROOM_CREATE_RATE",
    "ROOM_CODE_LENGTH",
    "PING_INTERVAL_SECONDS",
    "PING_TIMEOUT_SECONDS",
    "HEADER_TIMEOUT_SECONDS",
    "KEEP_ALIVE_SECONDS",
    "SHUTDOWN_GRACE_SECONDS",
    "WORKER_THREADS",
    "--help",
    "--version",
    "--check-config",
];

#[test]
fn it_listens_soon_after_its_start() {
    /// Ten times what is asked of it on a machine that does nothing else.
    const START_MAX: Duration = Duration::from_millis(500);
    let start = || {
        let clock = Deadline::start();
        let _server = Server::start(&[]);
        clock.passed()
    };
    let fastest = (0..3).map(|_| start()).min().expect("three starts");
    assert!(fastest < START_MAX, "{fastest:?}");
}

#[test]
fn a_stop_says_goodbye_to_all_and_ends_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start(&[]);
        let mut host = server.host("room", "host");
        let mut guest = server.join("room", "guest");
        let mut idle = server.open();
        host.expect_type("peer_joined");
        server.signal(signal);
        host.expect_close(1001);
        guest.expect_close(1001);
        assert_eq!(idle.read_to_end(), b"");
        drop((host, guest, idle));
        assert_eq!(server.wait(), Some(0), "{signal:?}");
    }
}

#[test]
fn what_was_queued_at_a_stop_is_still_delivered() {
    const MESSAGES: usize = 30;
    let mut server = Server::start(&[]);
    let mut writer = server.host("room", "writer");
    let mut reader = server.join("room", "reader");
    writer.expect_type("peer_joined");
    let filling = "x".repeat(200 * 1024);
    for number in 0..MESSAGES {
        writer.broadcast(json!([number, filling]));
    }
    writer.expect_silence();
    server.signal(Signal::TERM);
    for number in 0..MESSAGES {
        let message = reader.expect_type("data");
        assert_eq!(message["data"][0], number);
    }
    reader.expect_close(1001);
    writer.expect_close(1001);
    drop((reader, writer));
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn while_it_stops_nobody_new_comes_in_and_a_second_signal_ends_it_at_once() {
    let mut server = Server::start(&[("SHUTDOWN_GRACE_SECONDS", "600")]);
    // Read by hand, so that the server's Close frame stays unanswered and it waits.
    let socket = server.connect();
    let mut stream = socket.into_stream();
    server.signal(Signal::TERM);
    let mut frame = [0; 4];
    Read::read_exact(&mut stream, &mut frame).expect("a Close frame");
    assert_eq!((frame[0], &frame[2..]), (0x88, &1001_u16.to_be_bytes()[..]));
    assert!(TcpStream::connect(server.address()).is_err(), "it listens no more");
    server.signal(Signal::TERM);
    let code = server.wait();
    assert!(server.log().contains("again: stopping at once"), "it did not wait for its clients");
    assert_ne!(code, Some(0), "not everybody was told");
}

#[test]
fn a_port_in_use_is_one_line_and_exit_2() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = other.local_addr().expect("it is bound").port().to_string();
    let exited = run(&[], &[("PORT", &port)]);
    assert_eq!(exited.code, Some(2), "{exited:?}");
    assert_eq!(exited.errors.lines().count(), 1, "{exited:?}");
    assert!(exited.errors.contains(&port) && exited.errors.contains("in use"), "{exited:?}");
}

#[test]
fn a_bad_setting_is_one_line_with_its_name_and_exit_2() {
    let cases = [
        ("PORT", "70000"),
        ("BIND_ADDR", "localhost"),
        ("PUBLIC_URL", "sync.example.com"),
        ("RUST_LOG", "loud"),
        ("LOG_FORMAT", "xml"),
        ("JWT_TTL_SECONDS", "-1"),
        ("INITIAL_ADMIN_EMAIL", "admin@example.com"),
        ("REQUIRE_AUTH", "perhaps"),
        ("HOST_AUTH", "none"),
        ("SYNC_WRITERS", "nobody"),
        ("ROOM_STORE", "of"),
        ("ALLOWED_ORIGINS", "app.example.com"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("MAX_MESSAGE_BYTES", "4 million"),
        ("MAX_CONNECTIONS", "0"),
        ("ROOM_CODE_LENGTH", "3"),
        ("WORKER_THREADS", "0"),
        ("PING_TIMEOUT_SECONDS", "1"),
        ("SEND_QUEUE_BYTES", "1KiB"),
    ];
    for (name, value) in cases {
        for arguments in [&[][..], &["--check-config"]] {
            let exited = run(arguments, &[(name, value)]);
            assert_eq!(exited.code, Some(2), "{name}={value} {arguments:?}: {exited:?}");
            assert_eq!(exited.errors.lines().count(), 1, "{name}={value}: {exited:?}");
            assert!(exited.errors.contains(name), "{name}={value}: {exited:?}");
            assert!(!exited.errors.contains("panicked"), "{name}={value}: {exited:?}");
        }
    }
}

#[test]
fn a_secret_that_is_wrong_is_not_shown() {
    let exited = run(
        &["--check-config"],
        &[("INITIAL_ADMIN_EMAIL", "a@example.com"), ("INITIAL_ADMIN_PASSWORD", "hunter2")],
    );
    assert_eq!(exited.code, Some(2), "too short: {exited:?}");
    assert!(!exited.errors.contains("hunter2"), "{exited:?}");
}

#[test]
fn a_directory_that_cannot_be_written_is_one_line_and_exit_2() {
    let exited = run(&[], &[("DATA_DIR", "/dev/null/data")]);
    assert_eq!(exited.code, Some(2), "{exited:?}");
    assert_eq!(exited.errors.lines().count(), 1, "{exited:?}");
    assert!(exited.errors.contains("/dev/null/data"), "{exited:?}");
}

#[test]
fn help_shows_every_setting_and_version_the_version() {
    let help = run(&["--help"], &[]);
    assert_eq!((help.code, help.errors.as_str()), (Some(0), ""));
    for name in SETTINGS {
        assert!(help.output.contains(name), "{name} is missing");
    }
    let version = run(&["--version"], &[]);
    assert_eq!(version.code, Some(0));
    assert_eq!(version.output.trim(), concat!("sync-server ", env!("CARGO_PKG_VERSION")));
    let unknown = run(&["--frobnicate"], &[]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.errors.contains("--frobnicate"), "{unknown:?}");
}

#[test]
fn a_good_configuration_passes_the_check_and_touches_nothing() {
    let exited = run(&["--check-config"], &[("DATA_DIR", "/nowhere/at/all")]);
    assert_eq!(exited.code, Some(0), "{exited:?}");
}

#[test]
fn settings_come_from_a_file_and_the_environment_wins() {
    let directory = Directory::new();
    let file = "# a comment\nROOM_CODE_LENGTH=\"9\"\nMAX_PEERS_PER_ROOM=1\nMAX_ROOMS=\n";
    fs::write(directory.path().join(".env"), file).expect("the directory is ours");
    let server = Server::start_in(&directory, &[("MAX_PEERS_PER_ROOM", "2")]);
    let room = server.create_room(&json!({}));
    let code = room["room_code"].as_str().expect("a string");
    assert_eq!(code.len(), 9, "from the file");
    let _first = server.join(code, "first");
    let _second = server.join(code, "the environment says two");
    let mut third = server.connect();
    third.send_json(&json!({ "action": "join", "room_code": code, "peer_id": "third" }));
    third.expect_error("room_full");
}

#[test]
fn the_log_holds_no_message_and_no_token() {
    let mut server = Server::start(&[("RUST_LOG", "trace")]);
    let room = server.create_room(&json!({ "desired_room_code": "room",
        "desired_host_id": "host", "host_auth": "token" }));
    let token = room["host_token"].as_str().expect("a string");
    let headers = [
        ("Authorization", "Bearer bearer-secret"),
        ("X-Setup-Token", "setup-secret"),
        ("Cookie", "_khun_ph_token=cookie-secret"),
    ];
    for path in ["/health", "/ws", "/api/auth/setup-info", "http://a/ws", "/nowhere", "/%zz#"] {
        server.http("GET", &format!("{path}?token=query-secret"), &headers, "");
    }
    let login = json!({ "email": "ann@example.com", "password": "password-secret" });
    server.http("POST", "/api/auth/login?token=query-secret", &[], &login.to_string());
    let link = json!({ "token": "link-secret", "password": "new-password-secret" });
    server.http("POST", "/api/auth/setup-password", &[], &link.to_string());
    let url = format!("ws://{}/ws?token=query-secret", server.address());
    let protocols = [("Sec-WebSocket-Protocol", "khun-phaen.v1, bearer.subprotocol-secret")];
    let stream = TcpStream::connect(server.address()).expect("it listens");
    let mut host = WebSocketClient::over(stream, &url, &protocols).expect("a 101");
    host.join_with(&json!({ "action": "join", "room_code": "room", "peer_id": "host",
        "is_host": true, "host_token": token, "metadata": "metadata-secret" }));
    host.send_json(&json!({ "action": "sync_document", "document": "document-secret" }));
    host.broadcast("data-secret");
    host.send_text("bad-message-secret");
    host.expect_error("bad_message");
    host.close();
    assert_eq!(server.stop(), Some(0));
    let log = server.log();
    assert!(log.contains("room room: created"), "there is a log:\n{log}");
    assert!(!log.contains("secret"), "{log}");
    assert!(!log.contains(token), "{log}");
}

#[test]
fn the_log_can_be_one_object_a_line() {
    let mut server = Server::start(&[("LOG_FORMAT", "json")]);
    server.create_room(&json!({ "desired_room_code": "room" }));
    assert_eq!(server.stop(), Some(0));
    for line in server.log().lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(value.is_object(), "{line}");
    }
    assert!(server.log().contains("room room: created"));
}

#[test]
fn a_request_under_way_at_a_stop_is_answered() {
    let mut server = Server::start(&[]);
    let mut client = server.open();
    client.send("POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{");
    let mut witness = server.connect();
    witness.expect_silence();
    server.signal(Signal::TERM);
    assert!(matches!(witness.read_to_end(), Ended::Closed(1001, _)));
    client.send("}");
    let response = client.response();
    assert!(matches!(response.status, 201 | 503), "{}", response.status);
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_health_check_asks_the_server_that_the_settings_describe() {
    let server = Server::start(&[]);
    let port = server.address().port().to_string();
    for bind_addr in ["127.0.0.1", "0.0.0.0"] {
        let healthy = run(&["healthcheck"], &[("PORT", &port), ("BIND_ADDR", bind_addr)]);
        assert_eq!((healthy.code, healthy.errors.as_str()), (Some(0), ""), "{bind_addr}");
        let version = env!("CARGO_PKG_VERSION");
        let line = format!("healthy: version {version}, store ok, 0 rooms, 1 connections\n");
        assert_eq!(healthy.output, line);
    }
}

#[test]
fn a_health_check_that_fails_says_why_in_a_line_and_ends_with_1() {
    /// Ten times the limit that it promises.
    const FAILED_MAX: Duration = Duration::from_secs(50);
    let listener = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port =
        |listener: &TcpListener| listener.local_addr().expect("it is bound").port().to_string();
    let check = |port: &str, problem: &str| {
        let clock = Deadline::start();
        let failed = run(&["healthcheck"], &[("PORT", port)]);
        assert_eq!((failed.code, failed.output.as_str()), (Some(1), ""));
        let line =
            format!("sync-server: {}\n", problem.replace("ADDRESS", &format!("127.0.0.1:{port}")));
        assert_eq!(failed.errors, line);
        assert!(clock.passed() < FAILED_MAX);
    };
    check("0", "PORT=0 lets the system choose a port, so it is not known where to ask");
    check("no", "PORT=no: must be 0 to 65535");
    let closed = port(&listener());
    check(&closed, "nobody listens on ADDRESS (PORT and BIND_ADDR say where the server is asked)");
    // It accepts, in the kernel, and never answers.
    let silent = listener();
    check(&port(&silent), "ADDRESS gave no answer within 5 s");
    for (answer, problem) in [
        (
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            "ADDRESS answered 503 to GET /health, not 200",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ADDRESS is another program: its answer to GET /health is not that of a sync server",
        ),
        ("SSH-2.0-x\r\n", "ADDRESS: the answer is no HTTP"),
        ("", "ADDRESS: the connection was closed without a whole answer"),
    ] {
        let stranger = listener();
        let at = port(&stranger);
        let thread = thread::spawn(move || {
            let (mut stream, _) = stranger.accept().expect("the health check comes");
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).expect("it asks") > 0);
            stream.write_all(answer.as_bytes()).expect("it reads");
        });
        check(&at, problem);
        thread.join().expect("it was asked");
    }
}
