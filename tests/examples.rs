//! The examples in three languages, each in one room with the others against the real server.
//!
//! Python's needs the package `websockets`, Node's a Node with a `WebSocket` of its own;
//! `scripts/test` brings the first. What is missing is said to be skipped; with
//! `REQUIRE_CLIENTS=1` that is a failure.

#[path = "support/mod.rs"]
mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use support::{Log, Server, installed, skip};

/// A running example.
struct Example {
    process: Child,
    input: Option<ChildStdin>,
    output: Arc<Log>,
}

impl Example {
    fn start(mut command: Command, arguments: &[&str]) -> Self {
        let mut process = command
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let output = Log::collect(process.stdout.take().expect("it is piped"));
        let input = process.stdin.take();
        Self { process, input, output }
    }

    /// Types `line`.
    fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it is open");
        writeln!(input, "{line}").expect("the program reads");
    }

    /// Waits for a line with `part`, and returns it.
    #[track_caller]
    fn hears(&self, part: &str) -> String {
        let found = self.output.wait_for(part);
        found.unwrap_or_else(|| panic!("no {part:?} in\n{}", self.output.text()))
    }

    /// Ends the input, and waits until the program has ended as it should.
    #[track_caller]
    fn finish(mut self) {
        self.input = None;
        assert!(self.output.wait_for_end(), "it does not end:\n{}", self.output.text());
        let status = self.process.wait().expect("it is our child");
        assert!(status.success(), "{status}\n{}", self.output.text());
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Usually it has ended.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// The example, which `cargo test` builds unless it is told to run some tests only.
fn rust() -> Option<Command> {
    let folder = Path::new(env!("CARGO_BIN_EXE_sync-server")).parent().expect("a folder");
    let program = folder.join("examples/rust_client");
    if !program.exists() {
        skip("the example is not built: cargo build --example rust_client", "REQUIRE_CLIENTS");
        return None;
    }
    Some(Command::new(program))
}

fn python(folder: &Path) -> Command {
    let mut command = Command::new("python3");
    command.arg("examples/python/room.py").env("PYTHONPATH", folder);
    command
}

fn javascript() -> Option<Command> {
    // Node 22 has it without being asked.
    const FLAG: &str = "--experimental-websocket";
    let script = "process.exit(globalThis.WebSocket ? 0 : 1)";
    let tried = Command::new("node").args([FLAG, "-e", script]).stderr(Stdio::null()).status();
    if tried.is_ok_and(|status| status.success()) {
        let mut command = Command::new("node");
        command.args([FLAG, "examples/javascript/room.mjs"]);
        return Some(command);
    }
    skip("there is no Node with a WebSocket of its own", "REQUIRE_CLIENTS");
    None
}

/// The code in a line `in CODE as NAME`.
fn code_in(line: &str) -> &str {
    line.split(' ').nth(1).expect("a code")
}

#[test]
fn rust_hears_and_is_heard() {
    let Some(rust) = rust() else { return };
    let server = Server::start(&[]);
    let mut ann = server.host("EXAMPL", "ann");
    let address = server.address().to_string();
    let mut example = Example::start(rust, &[&address, "exampl"]);
    assert_eq!(code_in(&example.hears("in ")), "EXAMPL");
    ann.expect_type("peer_joined");
    ann.broadcast("hello");
    example.hears("ann: \"hello\"");
    example.say("good morning");
    assert_eq!(ann.expect_type("data")["data"]["text"], "good morning");
    example.finish();
    ann.expect_type("peer_left");
}

#[test]
fn python_makes_a_room_and_javascript_joins_it() {
    let (Some(folder), Some(javascript)) = (installed("TEST_PYTHON_WEBSOCKETS"), javascript())
    else {
        return;
    };
    let server = Server::start(&[]);
    let url = format!("http://{}", server.address());
    let mut host = Example::start(python(&folder), &[&url]);
    let line = host.hears("in ");
    let code = code_in(&line);
    let mut guest = Example::start(javascript, &[&url, code]);
    guest.hears(&format!("in {code} as "));
    host.hears("+ ");
    host.say("from Python");
    guest.hears("{\"text\":\"from Python\"}");
    guest.hears("document: from Python");
    host.hears("stored");
    guest.say("from JavaScript");
    host.hears("{\"text\": \"from JavaScript\"}");
    guest.finish();
    host.hears("- ");
    host.finish();
}

#[test]
fn javascript_makes_a_room_and_its_document_is_stored() {
    let Some(javascript) = javascript() else { return };
    let server = Server::start(&[]);
    let mut host = Example::start(javascript, &[&format!("http://{}", server.address())]);
    let line = host.hears("in ");
    host.say("the whole text");
    host.hears("stored");
    let mut guest = server.connect();
    guest.join(code_in(&line), "guest");
    assert_eq!(guest.expect_type("document_sync")["document"], "the whole text");
    host.finish();
}
