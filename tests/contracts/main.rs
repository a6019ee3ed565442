//! `docs/openapi.yaml` and `docs/asyncapi.yaml` are what the running server keeps to.
//!
//! Schemathesis tries every route with what its schema allows and forbids; a conversation with
//! every action and every event is held to the messages' schemas. `scripts/test` installs what
//! that needs; without it these tests say that they are skipped.

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sync_server::api;
use sync_server::protocol::ErrorCode;

use support::{Server, WebSocketClient, finish, finish_step_by_step, installed};

const EMAIL: &str = "admin@example.com";
const PASSWORD: &str = "a password of this test";

fn in_tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(in_tree(path)).expect("it is in the tree")
}

/// Methods and paths of `contract`, as `GET /` lists them.
fn routes_of(contract: &str) -> BTreeSet<String> {
    let mut path = "";
    let mut routes = BTreeSet::new();
    let (_, paths) = contract.split_once("\npaths:\n").expect("paths");
    for line in paths.lines().take_while(|line| line.starts_with(' ')) {
        let Some(name) = line.trim_start().strip_suffix(':') else { continue };
        match line.len() - line.trim_start().len() {
            2 => path = name,
            4 if ["get", "post", "put", "delete"].contains(&name) => {
                routes.insert(format!("{} {path}", name.to_uppercase()));
            }
            _ => {}
        }
    }
    routes
}

#[test]
fn the_paths_of_the_contract_are_the_routes() {
    let routes: BTreeSet<String> = api::routes().collect();
    assert_eq!(routes_of(&read("docs/openapi.yaml")), routes);
}

#[test]
fn the_error_codes_of_the_contract_are_those_there_are() {
    let contract = read("docs/asyncapi.yaml");
    let (_, codes) = contract.split_once("          code:\n            enum:\n").expect("codes");
    let codes: Vec<&str> =
        codes.lines().map_while(|line| line.trim_start().strip_prefix("- ")).collect();
    assert_eq!(codes, ErrorCode::ALL.map(ErrorCode::as_str));
}

#[test]
fn every_route_keeps_the_contract() {
    let Some(folder) = installed("TEST_PYTHON_SCHEMATHESIS") else { return };
    let server = Server::start(&[
        ("INITIAL_ADMIN_EMAIL", EMAIL),
        ("INITIAL_ADMIN_PASSWORD", PASSWORD),
        ("ROOM_CREATE_RATE", "0"),
    ]);
    server.wait_for_log("the administrator of the settings was made");
    server.host("ABC234", "ann");
    let login = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    let answer = server.http("POST", "/api/auth/login", &[], &login);
    let token = answer.json()["token"].as_str().expect("a token").to_owned();
    // A password that is changed ends the token, so that comes last.
    for part in ["--exclude-operation-id=updateMe", "--include-operation-id=updateMe"] {
        let mut command = Command::new("python3");
        command
            .args(["-m", "schemathesis.cli", "--config-file"])
            .arg(in_tree("tests/contracts/schemathesis.toml"))
            .arg("run")
            .arg(in_tree("docs/openapi.yaml"))
            .arg(format!("--url=http://{}", server.address()))
            .args(["--header", &format!("Authorization: Bearer {token}"), part])
            .args(SCHEMATHESIS)
            .current_dir(server.directory().path())
            .env("PYTHONPATH", &folder);
        let exited = finish_step_by_step(command);
        assert_eq!(exited.code, Some(0), "{}{}", exited.output, exited.errors);
        assert!(exited.output.contains("passed"), "{}", exited.output);
    }
}

/// A few dozen requests for each route, the same in each run.
const SCHEMATHESIS: &[&str] = &[
    "--max-examples=20",
    "--generation-deterministic",
    "--phases=examples,coverage,fuzzing",
    "--suppress-health-check=all",
    "--request-timeout=20",
    "--no-color",
];

/// What is said between clients and server, a line each.
#[derive(Default)]
struct Conversation(String);

impl Conversation {
    fn note(&mut self, sent: bool, message: &Value) {
        let line = json!({ "sent": sent, "message": message });
        writeln!(self.0, "{line}").expect("a String takes everything");
    }

    fn says(&mut self, client: &mut WebSocketClient, message: &Value) {
        self.note(true, message);
        client.send_json(message);
    }

    /// Hears until a message of the type `kind` has come.
    fn hears(&mut self, client: &mut WebSocketClient, kind: &str) {
        loop {
            let message = client.next_json();
            self.note(false, &message);
            if message["type"] == kind {
                return;
            }
        }
    }
}

/// Every action, and every event.
fn converse(server: &Server) -> String {
    let room = server.create_room(&json!({ "host_auth": "token" }));
    let [mut host, mut guest] = [server.connect(), server.connect()];
    let mut said = Conversation::default();
    let join = json!({
        "action": "join", "id": "first", "room_code": room["room_code"], "is_host": true,
        "peer_id": room["host_id"], "host_token": room["host_token"], "metadata": { "name": "ก" },
    });
    said.says(&mut host, &join);
    said.hears(&mut host, "ack");
    said.says(&mut guest, &json!({ "action": "join", "room_code": room["room_code"] }));
    said.hears(&mut guest, "room_info");
    said.hears(&mut host, "peer_joined");
    said.says(&mut host, &json!({ "action": "broadcast", "data": [1.50, null], "id": 7 }));
    said.hears(&mut guest, "data");
    said.says(&mut host, &json!({ "action": "sync_document", "document": "text", "id": 8 }));
    said.hears(&mut guest, "document_sync");
    said.says(&mut guest, &json!({ "action": "sync_document", "document": "x", "id": "no" }));
    said.hears(&mut guest, "error");
    said.says(&mut guest, &json!({ "action": "request_sync" }));
    said.hears(&mut guest, "document_sync");
    said.says(&mut guest, &json!({ "action": "ping" }));
    said.hears(&mut guest, "pong");
    said.says(&mut guest, &json!({ "action": "leave", "id": 9 }));
    said.hears(&mut guest, "ack");
    said.hears(&mut host, "peer_left");
    said.0
}

#[test]
fn every_message_keeps_the_contract() {
    let Some(folder) = installed("TEST_PYTHON_SCHEMATHESIS") else { return };
    let Some(specification) = installed("TEST_ASYNCAPI") else { return };
    let server = Server::start(&[]);
    let said = server.directory().path().join("said.jsonl");
    fs::write(&said, converse(&server)).expect("a fresh file");
    let mut command = Command::new("python3");
    command
        .arg(in_tree("tests/contracts/messages.py"))
        .arg(in_tree("docs/asyncapi.yaml"))
        .arg(specification.join("node_modules/@asyncapi/specs/schemas/3.0.0.json"))
        .arg(said)
        .env("PYTHONPATH", folder);
    let exited = finish(command);
    assert_eq!(exited.output, "all keep it\n", "{}", exited.errors);
}
