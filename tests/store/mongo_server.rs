//! A MongoDB server for the tests: the one of `TEST_MONGODB_URI`, a `mongod` on the PATH, or the
//! stand-in that `tests/support/mongodb/start` runs.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Longer than any installation.
const READY_TIMEOUT: Duration = Duration::from_secs(180);

/// A server that this test has started, and can kill and start again.
pub(crate) struct MongoServer {
    port: u16,
    data: PathBuf,
    child: Option<Child>,
    uri: String,
}

impl MongoServer {
    /// Starts the stand-in on a port of its own. `None` if it can't be had.
    pub(crate) fn start(name: &str) -> Option<Self> {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let data = directory.join(format!("mongo-{}-{name}", std::process::id()));
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).ok()?.port();
        let mut server = Self { port, data, child: None, uri: String::new() };
        server.restart().then_some(server)
    }

    /// Starts the server again over the same data. Whether it came up.
    pub(crate) fn restart(&mut self) -> bool {
        self.kill();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/mongodb/start");
        let child = Command::new(script)
            .args(["--stop-at-eof", "--port", &self.port.to_string(), "--data"])
            .arg(&self.data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else { return false };
        let out = child.stdout.take().expect("it is piped");
        let (sender, line) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            // Without a line there is no server, which the receiver sees as well.
            let _read = BufReader::new(out).read_line(&mut line);
            let _nobody_waits = sender.send(line);
        });
        let line = line.recv_timeout(READY_TIMEOUT).unwrap_or_default();
        self.child = Some(child);
        let Some(uri) = line.strip_prefix("ready ") else { return false };
        uri.trim().clone_into(&mut self.uri);
        true
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _already_gone = child.kill();
            let _status = child.wait();
        }
    }

    /// Where it listens, with user and password.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }
}

impl Drop for MongoServer {
    fn drop(&mut self) {
        self.kill();
        let _best_effort = std::fs::remove_dir_all(&self.data);
    }
}
