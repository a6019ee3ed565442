//! The server on a Unix socket, for a proxy on the same machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Directory, HttpClient, Server, WebSocketClient, connect_unix, run};

/// Where a server may listen, and `BIND_ADDR` for it.
fn place() -> (Arc<Directory>, PathBuf, String) {
    let directory = Directory::new();
    let path = directory.path().join("sync.sock");
    let setting = format!("unix:{}", path.display());
    (directory, path, setting)
}

#[test]
fn it_speaks_http_and_websocket_there_and_takes_the_file_away() {
    let (directory, path, setting) = place();
    let mut server = Server::start_in(&directory, &[("BIND_ADDR", &setting), ("PORT", "1")]);
    let line = server.wait_for_log("listening on ");
    assert!(line.contains(&format!("listening on {setting}, data in")), "{line}");
    let mode = fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);

    let mut http = HttpClient::over(connect_unix(&path));
    let body = json!({ "desired_room_code": "room", "desired_host_id": "host" }).to_string();
    let headers = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "sync.example.com")];
    http.request("POST", "/api/rooms", &headers, &body);
    let room = http.response().json();
    assert_eq!(room["websocket_url"], "wss://sync.example.com/ws", "a proxy is believed");
    http.request("POST", "/api/rooms", &[], "{}");
    assert_eq!(http.response().json()["websocket_url"], "ws://localhost/ws", "from Host");

    let connect = || WebSocketClient::over(connect_unix(&path), "ws://localhost/ws", &[]);
    let mut host = connect().expect("the upgrade is accepted");
    host.join_as_host("room", "host");
    let mut guest = connect().expect("the upgrade is accepted");
    guest.join("room", "guest");
    host.expect_type("peer_joined");
    let document = "x".repeat(1 << 20);
    host.send_json(&json!({ "action": "sync_document", "document": document }));
    assert_eq!(guest.expect_type("document_sync")["document"], document);

    server.signal(Signal::TERM);
    host.expect_close(1001);
    guest.expect_close(1001);
    drop((host, guest, http));
    assert_eq!(server.wait(), Some(0));
    assert!(!fs::exists(&path).expect("readable"), "a clean stop leaves nothing");
}

#[test]
fn limits_by_address_go_by_what_the_proxy_says() {
    let (directory, path, setting) = place();
    let settings = [("BIND_ADDR", &*setting), ("MAX_CONNECTIONS_PER_IP", "1")];
    let server = Server::start_in(&directory, &settings);
    let connect = |headers: &[(&str, &str)]| {
        WebSocketClient::over(connect_unix(&path), "ws://localhost/ws", headers)
    };
    let _first = connect(&[("X-Forwarded-For", "203.0.113.7")]).expect("the first");
    assert_eq!(connect(&[("X-Forwarded-For", "203.0.113.7")]).err(), Some(503));
    let _other = connect(&[("X-Forwarded-For", "203.0.113.8")]).expect("another address");
    let _local = [(); 3].map(|()| connect(&[]).expect("exempt, like loopback"));
    assert!(!server.log().contains("TRUSTED_PROXIES"), "{}", server.log());
}

#[test]
fn a_file_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
    let (directory, path, setting) = place();
    let settings = [("BIND_ADDR", &*setting)];
    let mut killed = Server::start_in(&directory, &settings);
    killed.kill();
    assert!(fs::exists(&path).expect("readable"), "nobody took it away");
    let _server = Server::start_in(&directory, &settings);
    let exited = run(&[], &settings);
    assert_eq!(exited.code, Some(2), "{exited:?}");
    let expected = format!("sync-server: cannot listen on {setting}: another server listens there");
    assert_eq!(exited.errors.trim_end(), expected);
    UnixStream::connect(&path).expect("the first one is still there");
}

#[test]
fn where_no_socket_can_be_is_said_in_one_line() {
    let (directory, path, setting) = place();
    fs::write(&path, "dear diary").expect("the directory is ours");
    let nowhere = format!("unix:{}/none/sync.sock", directory.path().display());
    for (setting, expected) in [
        (&setting, "there is a file that is no socket"),
        (&nowhere, "its directory does not exist"),
    ] {
        let exited = run(&[], &[("BIND_ADDR", setting)]);
        assert_eq!(exited.code, Some(2), "{exited:?}");
        let line = format!("sync-server: cannot listen on {setting}: {expected}");
        assert_eq!(exited.errors.trim_end(), line);
    }
    assert_eq!(fs::read_to_string(&path).expect("it stays"), "dear diary");
}

#[test]
fn a_start_that_fails_later_leaves_no_file() {
    let (_directory, path, setting) = place();
    let exited = run(&[], &[("BIND_ADDR", &setting), ("DATA_DIR", "/dev/null/data")]);
    assert_eq!(exited.code, Some(2), "{exited:?}");
    assert!(!fs::exists(&path).expect("readable"));
}

#[test]
fn a_health_check_finds_the_server_there() {
    let (directory, path, setting) = place();
    let settings = [("BIND_ADDR", &*setting), ("PORT", "0")];
    let mut server = Server::start_in(&directory, &settings);
    let healthy = run(&["healthcheck"], &settings);
    assert_eq!((healthy.code, healthy.errors.as_str()), (Some(0), ""));
    server.kill();
    for _ in 0..2 {
        let failed = run(&["healthcheck"], &settings);
        assert_eq!(failed.code, Some(1));
        let line = format!("sync-server: nobody listens on {setting} ");
        assert!(failed.errors.starts_with(&line), "{failed:?}");
        // The file that was left behind, and then none.
        let _gone_already = fs::remove_file(&path);
    }
}
