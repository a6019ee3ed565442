//! A real server for the tests that need `MongoDB`, spoken to over TCP with passwords on.
//!
//! In order: the one at `TEST_MONGODB_URI`, a `mongod` on the `PATH`, or the stand-in that
//! `start`, beside this file, installs and runs (see README.md). Where there is none the tests say
//! so and pass; with `REQUIRE_MONGODB=1` they fail.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use mongodb::bson::doc;
use mongodb::sync::Client;

const USER: &str = "tester";
const PASSWORD: &str = "tester-secret";

/// The URI of a server that all tests of this process share, each with a database of its own.
/// `None`: skip the test.
#[allow(dead_code, reason = "each test crate uses its own part of this")]
pub(crate) fn shared_uri() -> Option<String> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    if let Ok(uri) = env::var("TEST_MONGODB_URI") {
        return Some(uri);
    }
    // The value is never dropped; the server ends when its standard input does.
    SHARED.get_or_init(|| Server::launch(Life::Shared)).as_ref().map(Server::uri)
}

/// What a server is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    /// All tests of the process: may lose what was written when it ends, and then removes it.
    Shared,
    /// One test, which may end it and start it again.
    OfOneTest,
}

/// A server of one test's own, which it may treat badly. Ends with the value.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// The server's process; with `mongod` not the child itself.
    pid: u32,
    uri: String,
    port: u16,
    data: PathBuf,
}

impl Server {
    /// A server that has written to the disk what it acknowledges. `None`: skip the test.
    pub(crate) fn start() -> Option<Self> {
        Self::launch(Life::OfOneTest)
    }

    pub(crate) fn uri(&self) -> String {
        self.uri.clone()
    }

    /// As `kill -SIGNAL` does.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.pid.to_string();
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid).status();
        assert!(sent.expect("kill is everywhere").success());
    }

    /// `kill -9`, then the same data at the same port again.
    pub(crate) fn restart_after_kill(&mut self, meanwhile: impl FnOnce()) {
        self.signal("KILL");
        self.reap();
        meanwhile();
        let (child, pid, _) =
            run(&self.data, self.port, Life::OfOneTest).expect("it has run a moment ago");
        (self.child, self.pid) = (child, pid);
    }

    fn launch(life: Life) -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let data = env::temp_dir().join(format!("sync-server-mongodb-{}-{count}", process::id()));
        let port = free_port();
        match run(&data, port, life) {
            Ok((child, pid, uri)) => Some(Self { child, pid, uri, port, data }),
            Err(why) => {
                skip(&why);
                None
            }
        }
    }

    fn reap(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal("KILL");
        self.reap();
        // A directory that stays behind is no reason to fail a test.
        drop(fs::remove_dir_all(&self.data));
    }
}

/// Says so even where the test harness swallows what tests print.
fn skip(why: &str) {
    assert!(
        env::var_os("REQUIRE_MONGODB").is_none_or(|value| value != "1"),
        "REQUIRE_MONGODB=1, and there is no MongoDB: {why}"
    );
    writeln!(io::stderr(), "SKIPPED the tests that need MongoDB: {why}").expect("standard error");
}

fn run(data: &Path, port: u16, life: Life) -> Result<(Child, u32, String), String> {
    match run_mongod(data, port, life) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => run_stand_in(data, port, life),
        outcome => outcome.map_err(|error| format!("mongod: {error}")),
    }
}

fn run_stand_in(data: &Path, port: u16, life: Life) -> Result<(Child, u32, String), String> {
    let start = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/mongodb/start");
    let mut command = Command::new(start);
    command
        .args(["--stop-at-eof", "--user", USER, "--password", PASSWORD])
        .args(["--port", &port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match life {
        // Without a directory it makes and removes its own.
        Life::Shared => command.arg("--fast"),
        Life::OfOneTest => command.arg("--data").arg(data),
    };
    let mut child = command
        .spawn()
        .map_err(|error| format!("no mongod on the PATH, and `start` does not run: {error}"))?;
    let mut line = String::new();
    let output = child.stdout.take().expect("piped");
    BufReader::new(output).read_line(&mut line).expect("text");
    let mut complaints = child.stderr.take().expect("piped");
    if let Some(uri) = line.trim_end().strip_prefix("ready ") {
        // It must never wait for somebody to read what it says.
        std::thread::spawn(move || io::copy(&mut complaints, &mut io::sink()));
        let pid = child.id();
        return Ok((child, pid, uri.to_owned()));
    }
    let mut why = String::new();
    complaints.read_to_string(&mut why).expect("text");
    child.wait().expect("it is our child");
    // Of a traceback, the last line says it.
    Err(format!("no mongod on the PATH, and {}", why.lines().last().unwrap_or("no stand-in")))
}

/// `NotFound`: there is no `mongod`.
fn run_mongod(data: &Path, port: u16, life: Life) -> io::Result<(Child, u32, String)> {
    Command::new("mongod").arg("--version").stdout(Stdio::null()).status()?;
    let is_new = !data.exists();
    fs::create_dir_all(data)?;
    // The shell outlives the tests just long enough to end the server.
    let mut child = Command::new("sh")
        .args(["-c", "mongod \"$@\" >/dev/null & echo $!; cat; kill -9 $!; rm -rf \"$LEFT\"", "sh"])
        .args(["--auth", "--bind_ip", "127.0.0.1", "--port", &port.to_string(), "--dbpath"])
        .arg(data)
        .env("LEFT", if life == Life::Shared { data } else { Path::new("") })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line)?;
    let pid = line.trim_end().parse().map_err(io::Error::other)?;
    let host = format!("127.0.0.1:{port}");
    if is_new {
        create_user(&host).map_err(io::Error::other)?;
    }
    Ok((child, pid, format!("mongodb://{USER}:{PASSWORD}@{host}/?authSource=admin")))
}

/// The first user may be made without a password, from this machine.
fn create_user(host: &str) -> mongodb::error::Result<()> {
    let client = Client::with_uri_str(format!("mongodb://{host}/?directConnection=true"))?;
    let command = doc! { "createUser": USER, "pwd": PASSWORD, "roles": ["root"] };
    client.database("admin").run_command(command).run().map(drop)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    listener.local_addr().expect("bound").port()
}
