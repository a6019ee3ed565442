//! SIGHUP: the settings are read again while clients stay connected.

use std::fs;
use std::sync::Arc;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Directory, Server, WebSocketClient};

/// What the log says once new settings hold.
const IN_EFFECT: &str = "the new settings are in effect";

/// A server whose settings are in a file.
struct Configured {
    directory: Arc<Directory>,
    server: Server,
}

impl Configured {
    fn start(dot_env: &str) -> Self {
        let directory = Directory::new();
        write(&directory, dot_env);
        let server = Server::start_in(&directory, &[]);
        Self { directory, server }
    }

    /// Gives it other settings, and waits until the log says `expected` once more.
    #[track_caller]
    fn reload(&self, dot_env: &str, expected: &str) {
        write(&self.directory, dot_env);
        let before = self.server.log().matches(expected).count();
        self.server.signal(Signal::HUP);
        self.server.wait_for_log_again(expected, before + 1);
    }
}

fn write(directory: &Directory, dot_env: &str) {
    fs::write(directory.path().join(".env"), dot_env).expect("the directory is ours");
}

/// An upgrade from a page of `origin`: the status if it is refused.
fn open_from(server: &Server, origin: &str) -> Result<WebSocketClient, u16> {
    WebSocketClient::connect(server.address(), &[("Origin", origin)])
}

#[test]
fn a_reload_changes_origins_limits_and_log_while_members_stay() {
    let configured = Configured::start("ALLOWED_ORIGINS=https://a.example\n");
    let server = &configured.server;
    let mut member = open_from(server, "https://a.example").expect("it is listed");
    let mut host = server.host("room", "host");
    member.join("room", "member");
    host.expect_type("peer_joined");
    server.get("/health");
    assert!(!server.log().contains("GET /health"), "at info requests are not logged");

    configured.reload(
        "ALLOWED_ORIGINS=https://b.example\nRUST_LOG=debug\nMAX_PEERS_PER_ROOM=1\n",
        IN_EFFECT,
    );
    assert_eq!(open_from(server, "https://a.example").err(), Some(403));
    let mut third = open_from(server, "https://b.example").expect("it is listed now");
    third.send_json(&json!({ "action": "join", "room_code": "room", "peer_id": "third" }));
    third.expect_error("room_full");
    server.get("/health");
    server.wait_for_log("GET /health");
    member.broadcast("still here");
    assert_eq!(host.expect_type("data")["data"], "still here");
    assert!(!server.log().contains("takes effect at the next start"), "{}", server.log());
}

#[test]
fn what_cannot_change_while_it_runs_is_named_without_its_value() {
    let configured = Configured::start("JWT_SECRET='hunter2 hunter2 hunter2 hunter2'\n");
    let server = &configured.server;
    let mut member = server.host("room", "host");
    configured.reload(
        "JWT_SECRET='hunter3 hunter3 hunter3 hunter3'\nDB_NAME=other\nREQUIRE_AUTH=true\n\
         MESSAGE_RATE_LIMIT=1\n",
        IN_EFFECT,
    );
    let log = server.log();
    for name in ["JWT_SECRET", "DB_NAME", "REQUIRE_AUTH"] {
        let line = format!("WARN  {name} has changed: it takes effect at the next start\n");
        assert!(log.contains(&line), "{log}");
    }
    assert_eq!(log.matches("takes effect").count(), 3, "{log}");
    assert!(!log.contains("hunter"), "{log}");
    server.connect().expect_silence();
    for _ in 0..200 {
        member.send_text(r#"{"action":"ping"}"#);
    }
    member.wait_for(|message| message["code"] == "rate_limited");
}

#[test]
fn bad_settings_change_nothing_and_good_ones_after_them_do() {
    let configured = Configured::start("ALLOWED_ORIGINS=https://a.example\n");
    let server = &configured.server;
    let mut member = server.host("room", "host");
    for (dot_env, problem) in [
        ("ALLOWED_ORIGINS=https://b.example\nMAX_ROOMS=none\n", "MAX_ROOMS=none: must be 1 to"),
        ("ALLOWED_ORIGINS=https://b.example\nRUST_LOG off\n", ".env, line 2: must be NAME=value"),
        ("RUST_LOG=off\nJWT_SECRET_FILE=/nowhere\n", "JWT_SECRET_FILE: /nowhere cannot be read"),
        ("MAX_MESSAGE_BYTES=16MiB\n", "SEND_QUEUE_BYTES=8MiB: must be at least"),
    ] {
        configured.reload(dot_env, &format!("ERROR all settings stay as they are: {problem}"));
        assert_eq!(open_from(server, "https://b.example").err(), Some(403));
        open_from(server, "https://a.example").expect("it is still listed");
        member.expect_silence();
    }
    assert!(!server.log().contains(IN_EFFECT), "{}", server.log());
    configured.reload("ALLOWED_ORIGINS=https://b.example\n", IN_EFFECT);
    assert_eq!(open_from(server, "https://a.example").err(), Some(403));
    member.expect_silence();
}

#[test]
fn a_new_grace_holds_for_the_stop_that_follows() {
    let mut configured = Configured::start("SHUTDOWN_GRACE_SECONDS=600\n");
    // Unread, so that the server's Close frame stays unanswered and it would wait.
    let _stream = configured.server.connect().into_stream();
    configured.reload("SHUTDOWN_GRACE_SECONDS=0\n", IN_EFFECT);
    assert_eq!(configured.server.stop(), Some(0));
    configured.server.wait_for_log("the grace period is over");
}
