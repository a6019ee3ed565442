//! The server as a process: started in a directory of its own with a clean environment, its log
//! collected, ended by its process id.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::{Deadline, HttpClient, Response, WebSocketClient};

/// The server's executable, built by cargo for these tests.
const PROGRAM: &str = env!("CARGO_BIN_EXE_sync-server");
/// Names another one to be tested instead, such as the one that is to be released.
const OTHER_PROGRAM: &str = "TEST_SYNC_SERVER";
/// Of who reads slowly.
const SLOW_RECEIVE_BYTES: usize = 4096;
/// What the log says once the server listens, right before where.
const LISTENING: &str = "listening on ";

/// A directory that exists as long as this value.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// A fresh, empty one.
    pub(crate) fn new() -> Arc<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{count}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // One of an earlier process with the same id, which was killed.
        let _absent = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory for the test can be made");
        Arc::new(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _gone_already = fs::remove_dir_all(&self.0);
    }
}

/// How to start a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Launch<'a> {
    /// Names and values of environment variables; they win over the defaults of these tests.
    pub(crate) settings: &'a [(&'a str, &'a str)],
    /// Working directory, with `DATA_DIR` in it; `None`: a fresh one.
    pub(crate) directory: Option<Arc<Directory>>,
    /// A shell command to run in the same process before the server, such as `ulimit -n 40`.
    pub(crate) before: &'a str,
    /// Sockets that it is passed as systemd does it (`sd_listen_fds(3)`); at most two.
    pub(crate) sockets: &'a [BorrowedFd<'a>],
}

impl Launch<'_> {
    /// The server, its standard input and output set up.
    ///
    /// Sockets come as standard input and output, which std can pass on, to a shell that knows
    /// the process id to announce them with, moves them to where systemd has them, and becomes
    /// the server.
    fn command(&self) -> Command {
        let stdio = |index: usize| {
            self.sockets.get(index).map_or_else(Stdio::null, |socket| {
                socket.try_clone_to_owned().expect("files are left").into()
            })
        };
        let announce = match self.sockets.len() {
            0 => String::new(),
            count @ 1..=2 => format!(
                "exec 3<&0 4<&1 </dev/null >/dev/null; \
                 export LISTEN_PID=\"${{LISTEN_PID-$$}}\" LISTEN_FDS=\"${{LISTEN_FDS-{count}}}\"; "
            ),
            more => panic!("{more} sockets"),
        };
        let mut command = if announce.is_empty() && self.before.is_empty() {
            Command::new(program())
        } else {
            let before = if self.before.is_empty() { "true" } else { self.before };
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("{announce}{before}; exec \"$0\"")]).arg(program());
            shell
        };
        command.stdin(stdio(0)).stdout(stdio(1));
        command
    }

    /// Runs the server until it ends by itself, although it was not told to.
    #[track_caller]
    pub(crate) fn finish(&self) -> Exited {
        let directory = self.directory.clone().unwrap_or_else(Directory::new);
        let mut command = self.command();
        set_up(&mut command, &directory, self.settings);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it can be started");
        let errors = Log::collect(child.stderr.take().expect("standard error is piped"));
        if !errors.wait_for_end() {
            let _ended_already = child.kill();
            panic!("it does not end: {}", errors.text());
        }
        let code = child.wait().expect("it is our child").code();
        Exited { code, output: String::new(), errors: errors.text() }
    }
}

/// A running server. Killed, by its process id, when the value is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// `None`: only on a Unix socket.
    address: Option<SocketAddr>,
    log: Arc<Log>,
    directory: Arc<Directory>,
}

impl Server {
    /// Starts one on a free port of the loopback interface and waits until it listens.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        Self::launch(&Launch { settings, ..Launch::default() })
    }

    /// Starts one in `directory`, with the data of another that ran there before.
    pub(crate) fn start_in(directory: &Arc<Directory>, settings: &[(&str, &str)]) -> Self {
        let directory = Some(Arc::clone(directory));
        Self::launch(&Launch { settings, directory, ..Launch::default() })
    }

    /// Starts one and waits until it listens.
    pub(crate) fn launch(launch: &Launch<'_>) -> Self {
        let directory = launch.directory.clone().unwrap_or_else(Directory::new);
        let mut command = launch.command();
        set_up(&mut command, &directory, launch.settings);
        let mut child =
            command.stderr(Stdio::piped()).spawn().expect("the server's executable can be started");
        let log = Log::collect(child.stderr.take().expect("its standard error is piped"));
        let Some(line) = log.wait_for(LISTENING) else {
            let _ended_already = child.kill();
            panic!("the server does not listen; its log:\n{}", log.text());
        };
        let address = address_in(&line);
        Self { child, address, log, directory }
    }

    /// The number of its process.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens for TCP.
    #[track_caller]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("it listens for TCP")
    }

    /// Its working directory, to be given to the next one.
    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// Waits for a line of the log that contains `part`.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, part: &str) -> String {
        self.log.wait_for(part).unwrap_or_else(|| panic!("{part:?} is not in the log"))
    }

    /// Waits until so many lines of the log contain `part`.
    #[track_caller]
    pub(crate) fn wait_for_log_again(&self, part: &str, times: usize) {
        let found = self.log.wait_for_times(part, times);
        assert!(found.is_some(), "{part:?} is not in the log {times} times");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the server is there");
    }

    /// Waits until it ends by itself; its exit code, or `None` if a signal killed it.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> Option<i32> {
        assert!(self.log.wait_for_end(), "the server does not end");
        self.child.wait().expect("it is our child").code()
    }

    /// SIGTERM, and its exit code.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// `kill -9`: nothing can be saved any more.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        assert_eq!(self.wait(), None, "killed by a signal");
    }

    /// Processor time that it has used so far, in hundredths of a second (proc(5), `USER_HZ`).
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(self.proc_file("stat")).expect("the server is there");
        // The name, in brackets, may hold spaces; utime and stime are fields 14 and 15.
        let (_, fields) = stat.rsplit_once(") ").expect("the name ends with a bracket");
        let fields: Vec<&str> = fields.split(' ').collect();
        let field = |number: usize| -> u64 { fields[number - 3].parse().expect("a number") };
        field(14) + field(15)
    }

    /// The most memory that it has used so far, in bytes (proc(5), `VmHWM`).
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    /// From here on only what comes counts for [`Self::peak_memory_bytes`].
    pub(crate) fn reset_peak_memory(&self) {
        // proc(5), `/proc/[pid]/clear_refs`.
        fs::write(self.proc_file("clear_refs"), "5").expect("the process is ours");
    }

    /// The memory that it uses now, in bytes (proc(5), `VmRSS`).
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// The files and sockets that it has open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(self.proc_file("fd")).expect("the server is there").count()
    }

    fn proc_file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.child.id())
    }

    fn status_bytes(&self, name: &str) -> u64 {
        let status = fs::read_to_string(self.proc_file("status")).expect("the server is there");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        kilobytes.expect("the line is there").parse::<u64>().expect("a number") * 1024
    }

    // --- clients ---

    /// A fresh HTTP connection.
    pub(crate) fn open(&self) -> HttpClient {
        HttpClient::connect(self.address())
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub(crate) fn http(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let mut client = self.open();
        client.request(method, path, headers, body);
        client.response_to(method)
    }

    /// `GET` without further headers.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Response {
        self.http("GET", path, &[], "")
    }

    /// An open WebSocket.
    #[track_caller]
    pub(crate) fn connect(&self) -> WebSocketClient {
        WebSocketClient::connect(self.address(), &[]).expect("the upgrade is accepted")
    }

    /// An open WebSocket that is in the room `code` as the guest `peer`.
    #[track_caller]
    pub(crate) fn join(&self, code: &str, peer: &str) -> WebSocketClient {
        let mut client = self.connect();
        client.join(code, peer);
        client
    }

    /// The same with a receive buffer so small that little is sent ahead of a client who reads
    /// slowly.
    #[track_caller]
    pub(crate) fn join_slowly(&self, code: &str, peer: &str) -> WebSocketClient {
        let address = self.address();
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("one");
        socket.set_recv_buffer_size(SLOW_RECEIVE_BYTES).expect("any size is taken");
        socket.connect(&address.into()).expect("the server accepts connections");
        let url = format!("ws://{address}/ws");
        let stream = TcpStream::from(socket);
        let mut client = WebSocketClient::over(stream, &url, &[]).expect("it is upgraded");
        client.join(code, peer);
        client
    }

    /// Creates a room with the fields of `body`; the answer, which must be a 201.
    #[track_caller]
    pub(crate) fn create_room(&self, body: &Value) -> Value {
        let headers = [("Content-Type", "application/json")];
        let response = self.http("POST", "/api/rooms", &headers, &body.to_string());
        assert_eq!(response.status, 201, "{}", response.text());
        response.json()
    }

    /// Creates the room `code`, whose host is `host`, and joins it as that.
    #[track_caller]
    pub(crate) fn host(&self, code: &str, host: &str) -> WebSocketClient {
        let body = serde_json::json!({ "desired_room_code": code, "desired_host_id": host });
        self.create_room(&body);
        let mut client = self.connect();
        client.join_as_host(code, host);
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped_already = self.child.wait();
        if thread::panicking() {
            eprintln!("--- the server's log ---\n{}------", self.log.text());
        }
    }
}

/// What a finished program left.
#[derive(Debug)]
pub(crate) struct Exited {
    /// Its exit code; `None`: killed by a signal.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) output: String,
    /// Standard error.
    pub(crate) errors: String,
}

/// Runs the server with `arguments` until it ends by itself.
#[track_caller]
pub(crate) fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Exited {
    let directory = Directory::new();
    let mut command = Command::new(program());
    command.args(arguments);
    set_up(&mut command, &directory, settings);
    finish(command)
}

/// Runs `command` until it ends by itself.
#[track_caller]
pub(crate) fn finish(command: Command) -> Exited {
    finish_by(command, Log::wait_for_end)
}

/// The same for one that does many things and says so: the deadline begins anew with each line.
#[track_caller]
pub(crate) fn finish_step_by_step(command: Command) -> Exited {
    finish_by(command, |log| {
        let mut lines = 0;
        loop {
            match log.wait_for_more_than(lines) {
                Some((more, false)) => lines = more,
                ended => return ended.is_some(),
            }
        }
    })
}

#[track_caller]
fn finish_by(mut command: Command, has_ended: impl Fn(&Log) -> bool) -> Exited {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    let output = Log::collect(child.stdout.take().expect("standard output is piped"));
    let errors = Log::collect(child.stderr.take().expect("standard error is piped"));
    if !(has_ended(&output) && errors.wait_for_end()) {
        let _ended_already = child.kill();
        panic!("{command:?} does not end: {}{}", output.text(), errors.text());
    }
    let status: ExitStatus = child.wait().expect("it is our child");
    Exited { code: status.code(), output: output.text(), errors: errors.text() }
}

/// The executable that is tested.
pub(crate) fn program() -> PathBuf {
    env::var_os(OTHER_PROGRAM).map_or_else(|| PROGRAM.into(), Into::into)
}

fn set_up(command: &mut Command, directory: &Directory, settings: &[(&str, &str)]) {
    let nothing = OsStr::new("").to_owned();
    command
        .current_dir(directory.path())
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or(nothing))
        .env("BIND_ADDR", "127.0.0.1")
        .env("PORT", "0")
        .env("DATA_DIR", directory.path().join("data"));
    for (name, value) in settings {
        command.env(name, value);
    }
}

/// The first address of a line or status that says where the server listens.
pub(crate) fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(LISTENING)?;
    let (_, rest) = rest.split_once("http://")?;
    let is_part = |c: char| c.is_ascii_hexdigit() || "[].:".contains(c);
    let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    Some(rest[..end].parse().expect("an address and a port"))
}

/// Lines of a stream, collected by a thread as they come.
#[derive(Debug, Default)]
pub(crate) struct Log {
    state: Mutex<LogState>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct LogState {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    pub(crate) fn collect(stream: impl Read + Send + 'static) -> Arc<Self> {
        let log = Arc::new(Self::default());
        let writer = Arc::clone(&log);
        thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                writer.lock().lines.push(String::from_utf8_lossy(&line).into_owned());
                writer.grown.notify_all();
                line.clear();
            }
            writer.lock().ended = true;
            writer.grown.notify_all();
        });
        log
    }

    fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().expect("nobody panics while holding the log")
    }

    pub(crate) fn text(&self) -> String {
        self.lock().lines.concat()
    }

    /// The first line with `part`, or `None` if there is none until the end or the deadline.
    pub(crate) fn wait_for(&self, part: &str) -> Option<String> {
        self.wait_for_times(part, 1)
    }

    /// The line that is the `time`th with `part`, from 1.
    pub(crate) fn wait_for_times(&self, part: &str, time: usize) -> Option<String> {
        self.wait_until(|state| {
            let mut lines = state.lines.iter().filter(|line| line.contains(part));
            let found = lines.nth(time - 1).cloned();
            if found.is_none() && state.ended { Some(None) } else { found.map(Some) }
        })
        .flatten()
    }

    /// Whether the stream ends before the deadline.
    pub(crate) fn wait_for_end(&self) -> bool {
        self.wait_until(|state| state.ended.then_some(())).is_some()
    }

    /// How many lines there are once there are more than `lines`, or the stream has ended, and
    /// whether it has.
    fn wait_for_more_than(&self, lines: usize) -> Option<(usize, bool)> {
        self.wait_until(|state| {
            let count = state.lines.len();
            (state.ended || count > lines).then_some((count, state.ended))
        })
    }

    fn wait_until<T>(&self, mut found: impl FnMut(&LogState) -> Option<T>) -> Option<T> {
        let deadline = Deadline::start();
        let mut state = self.lock();
        loop {
            if let Some(value) = found(&state) {
                return Some(value);
            }
            let left = deadline.left();
            if left.is_zero() {
                return None;
            }
            state = self.grown.wait_timeout(state, left).expect("see lock").0;
        }
    }
}
