//! Clients that other people wrote: Python's `websockets` and Node's `ws`, each running a small
//! script against a server of its own.
//!
//! `scripts/test` installs them beside the project, in pinned versions, and says where they are in
//! `TEST_PYTHON_WEBSOCKETS` and `TEST_NODE_WS`. Without them these tests say that they were
//! skipped; with `REQUIRE_CLIENTS=1` that is a failure.

#[path = "support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;

use serde_json::json;

use support::{Server, finish, installed};

/// Runs `script` against a fresh server with a room in it.
fn converse(program: &str, script: &str, variable: &str, folder: &Path) {
    let server = Server::start(&[]);
    server.create_room(&json!({ "desired_room_code": "ROOM", "desired_host_id": "host" }));
    let mut command = Command::new(program);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script))
        .arg(format!("ws://{}/ws", server.address()))
        .env(variable, folder);
    let exited = finish(command);
    assert_eq!(exited.code, Some(0), "{script}:\n{}{}", exited.output, exited.errors);
    assert_eq!(exited.output, "all said\n", "{script} came to its end");
}

#[test]
fn pythons_websockets_is_understood() {
    let Some(folder) = installed("TEST_PYTHON_WEBSOCKETS") else { return };
    converse("python3", "member.py", "PYTHONPATH", &folder);
}

#[test]
fn nodes_ws_is_understood() {
    let Some(folder) = installed("TEST_NODE_WS") else { return };
    converse("node", "member.mjs", "CLIENTS", &folder);
}
