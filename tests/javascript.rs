//! What is written in JavaScript, tried by Node's own test runner: the client, against the real
//! server, and its types, by TypeScript's compiler; of the page, the QR codes. The rest of the page
//! is tried in a browser (`tests/browser`).
//!
//! `scripts/test` installs what that needs, in pinned versions, and says where in `TEST_NODE_WS`,
//! `TEST_TYPESCRIPT` and `TEST_JSQR`. Without it these tests say that they were skipped; with
//! `REQUIRE_CLIENTS=1` that is a failure.

#[path = "support/mod.rs"]
mod support;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{finish, finish_step_by_step, installed, program};

fn in_tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a file of tests with the client's needs; all of them must pass, and there must be some.
fn passes(file: &str) {
    passes_with(file, "TEST_NODE_WS", "CLIENTS");
}

/// The same with the folder of another package, which the tests know as `name`.
fn passes_with(file: &str, variable: &str, name: &str) {
    let Some(folder) = installed(variable) else { return };
    let mut command = Command::new("node");
    command
        .args(["--test", "--test-reporter=tap"])
        .arg(in_tree(file))
        .env(name, folder)
        .env("SYNC_SERVER", program());
    let exited = finish_step_by_step(command);
    assert_eq!(exited.code, Some(0), "{file}:\n{}{}", exited.output, exited.errors);
    let count = |what: &str| {
        let line = exited.output.lines().find_map(|line| line.strip_prefix(what));
        line.and_then(|rest| rest.trim().parse::<u32>().ok()).expect("the report counts")
    };
    assert!(count("# pass ") > 0, "{file} has no tests:\n{}", exited.output);
    assert_eq!(count("# skipped "), 0, "{file}:\n{}", exited.output);
}

#[test]
fn the_client_lives_in_rooms() {
    passes("client/tests/rooms.test.js");
}

#[test]
fn the_client_survives_losses() {
    passes("client/tests/losses.test.js");
}

#[test]
fn the_client_knows_when_to_try_again() {
    passes("client/tests/retry.test.js");
}

#[test]
fn the_client_knows_what_to_send_again() {
    passes("client/tests/documents.test.js");
}

#[test]
fn the_clients_types_tell_of_what_there_is() {
    passes("client/tests/types.test.js");
}

#[test]
fn qr_codes_are_read_by_another_program() {
    passes_with("tests/page/qr.test.mjs", "TEST_JSQR", "JSQR");
}

#[test]
fn the_clients_types_hold() {
    let Some(folder) = installed("TEST_TYPESCRIPT") else { return };
    let mut command = Command::new("node");
    command
        .arg(folder.join("node_modules/typescript/bin/tsc"))
        .arg("--project")
        .arg(in_tree("client/tests/tsconfig.json"));
    let exited = finish(command);
    assert_eq!(exited.code, Some(0), "{}{}", exited.output, exited.errors);
}
