//! What a service manager sees of the process: readiness, watchdog, stop, and sockets that it has
//! opened itself.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram, UnixListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use crate::support::{
    DEADLINE, Deadline, Directory, HttpClient, Launch, Server, WebSocketClient, address_in,
    connect_unix,
};

/// The service manager's end of `NOTIFY_SOCKET`.
struct Manager {
    socket: UnixDatagram,
    /// The variable's value.
    name: String,
}

impl Manager {
    /// One that listens on a file.
    fn on_file(directory: &Directory) -> Self {
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("the directory is ours");
        Self::over(socket, path.to_str().expect("it is text").to_owned())
    }

    /// One that listens on an abstract name.
    fn on_name(name: &str) -> Self {
        let name = format!("sync-server-test-{}-{name}", std::process::id());
        let address = UnixAddress::from_abstract_name(&name).expect("it is short");
        let socket = UnixDatagram::bind_addr(&address).expect("it is ours");
        Self::over(socket, format!("@{name}"))
    }

    fn over(socket: UnixDatagram, name: String) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).expect("it is not zero");
        Self { socket, name }
    }

    /// The next message.
    #[track_caller]
    fn hear(&self) -> String {
        let mut buffer = [0; 4096];
        let count = self.socket.recv(&mut buffer).expect("the server tells something");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }

    /// The next message, which must be an assignment of `first`, and what it assigns to `name`.
    #[track_caller]
    fn expect(&self, first: &str, name: &str) -> String {
        let message = self.hear();
        assert!(message.starts_with(&format!("{first}\n")), "{message}");
        let mut values =
            message.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        values.next().unwrap_or_else(|| panic!("no {name} in {message}")).to_owned()
    }

    /// Nothing has come so far.
    #[track_caller]
    fn expect_silence(&self) {
        self.socket.set_nonblocking(true).expect("a socket");
        let mut buffer = [0; 4096];
        let heard = self.socket.recv(&mut buffer);
        assert!(heard.is_err(), "{}", String::from_utf8_lossy(&buffer));
        self.socket.set_nonblocking(false).expect("a socket");
    }
}

/// A listening socket on a port of the loopback interface that the system chooses.
fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

fn launch(sockets: &[BorrowedFd<'_>], settings: &[(&str, &str)]) -> Server {
    Server::launch(&Launch { settings, sockets, ..Launch::default() })
}

#[test]
fn it_is_ready_once_it_listens_and_says_that_it_stops() {
    let directory = Directory::new();
    for manager in [Manager::on_file(&directory), Manager::on_name("ready")] {
        let settings = [("NOTIFY_SOCKET", &*manager.name), ("SHUTDOWN_GRACE_SECONDS", "120")];
        let mut server = Server::start(&settings);
        let status = manager.expect("READY=1", "STATUS");
        let address = address_in(&status).unwrap_or_else(|| panic!("no address in {status}"));
        TcpStream::connect(address).expect("it is ready");
        server.get("/health");
        manager.expect_silence();

        server.signal(Signal::TERM);
        let extend_us = manager.expect("STOPPING=1", "EXTEND_TIMEOUT_USEC");
        assert_eq!(extend_us, "135000000", "more than systemd's own 90 s");
        assert_eq!(server.wait(), Some(0));
        manager.expect_silence();
    }
}

#[test]
fn the_watchdog_is_fed_as_long_as_the_loop_turns() {
    const FEEDS: usize = 5;
    let manager = Manager::on_name("watchdog");
    let server = Server::launch(&Launch {
        settings: &[("NOTIFY_SOCKET", &manager.name), ("WATCHDOG_USEC", "100000")],
        before: "export WATCHDOG_PID=$$",
        ..Launch::default()
    });
    manager.expect("READY=1", "STATUS");
    for _ in 0..FEEDS {
        assert_eq!(manager.hear(), "WATCHDOG=1");
    }
    // Also while it has something else to do.
    let mut client = server.host("room", "host");
    for _ in 0..FEEDS {
        client.expect_silence();
        assert_eq!(manager.hear(), "WATCHDOG=1");
    }
}

#[test]
fn a_watchdog_of_another_process_is_not_fed() {
    let manager = Manager::on_name("others");
    let mut server = Server::start(&[
        ("NOTIFY_SOCKET", &manager.name),
        ("WATCHDOG_USEC", "1000"),
        ("WATCHDOG_PID", "1"),
    ]);
    manager.expect("READY=1", "STATUS");
    server.connect().expect_silence();
    assert_eq!(server.stop(), Some(0));
    manager.expect("STOPPING=1", "STATUS");
}

#[test]
fn a_manager_that_does_not_listen_is_mentioned_and_done_without() {
    for (name, expected) in [
        ("/nowhere/at/all", "systemd was not told"),
        ("vsock:2:1", "systemd is told nothing: NOTIFY_SOCKET=vsock:2:1"),
    ] {
        let mut server = Server::start(&[("NOTIFY_SOCKET", name), ("WATCHDOG_USEC", "1000")]);
        server.wait_for_log(expected);
        server.connect().expect_silence();
        assert_eq!(server.stop(), Some(0));
        assert_eq!(server.log().matches("systemd").count(), 1, "{}", server.log());
    }
}

#[test]
fn inherited_sockets_are_served_instead_of_port_and_address() {
    let directory = Directory::new();
    let path = directory.path().join("sync.sock");
    let (tcp, address) = listener();
    let unix = UnixListener::bind(&path).expect("the directory is ours");
    let mut server = launch(
        &[tcp.as_fd(), unix.as_fd()],
        &[("PORT", "1"), ("BIND_ADDR", "192.0.2.1"), ("LISTEN_FDNAMES", "web:local")],
    );
    let line = server.wait_for_log("listening on ");
    let expected = format!(
        "listening on http://{address}, unix:{} (passed by systemd: web, local), data in",
        path.display()
    );
    assert!(line.contains(&expected), "{line}");

    let mut host = server.host("room", "host");
    let mut client = HttpClient::over(connect_unix(&path));
    client.request("GET", "/api/rooms/room", &[], "");
    assert_eq!(client.response().status, 200);
    let mut guest = WebSocketClient::over(connect_unix(&path), "ws://localhost/ws", &[])
        .expect("the upgrade is accepted");
    guest.join("room", "guest");
    host.expect_type("peer_joined");
    guest.broadcast("x".repeat(100_000));
    assert_eq!(host.expect_type("data")["data"].as_str().map(str::len), Some(100_000));
    drop((host, guest, client));
    assert_eq!(server.stop(), Some(0));
    assert!(fs::exists(&path).expect("readable"), "it is not ours to remove");
}

#[test]
fn both_families_are_served() {
    let (four, _) = listener();
    let Ok(six) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        crate::support::skip("there is no IPv6 here", "REQUIRE_IPV6");
        return;
    };
    let _server = launch(&[four.as_fd(), six.as_fd()], &[]);
    for listener in [&four, &six] {
        let mut client = HttpClient::connect(listener.local_addr().expect("it is bound"));
        client.request("GET", "/health", &[], "");
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let (tcp, address) = listener();
    let server = launch(&[tcp.as_fd()], &[("LISTEN_PID", "1")]);
    assert_ne!(server.address(), address);
    assert!(!server.log().contains("systemd"), "{}", server.log());
}

#[test]
fn sockets_that_cannot_be_served_stop_the_start_with_one_line() {
    let (tcp, address) = listener();
    let connected = TcpStream::connect(address).expect("it listens");
    let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let no_socket = fs::File::open("/dev/null").expect("it is always there");
    let check = |sockets: &[BorrowedFd<'_>], settings: &[(&str, &str)], expected: &str| {
        let exited = Launch { settings, sockets, ..Launch::default() }.finish();
        assert_eq!(exited.code, Some(2), "{exited:?}");
        assert_eq!(exited.errors.lines().count(), 1, "{exited:?}");
        assert!(exited.errors.contains(expected), "{expected}: {exited:?}");
    };
    let passed = "that systemd passed (LISTEN_FDS)";
    let no_stream = |number| format!("socket {number} {passed}: it is no stream socket");
    check(&[tcp.as_fd(), datagrams.as_fd()], &[], &no_stream(2));
    check(&[no_socket.as_fd()], &[], &no_stream(1));
    check(&[connected.as_fd()], &[], &format!("socket 1 {passed}: it does not listen"));
    for count in ["9", "one"] {
        let expected = format!("LISTEN_FDS={count}: must be 1 to 8");
        check(&[tcp.as_fd()], &[("LISTEN_FDS", count)], &expected);
    }
}

#[test]
fn restarts_on_an_inherited_socket_refuse_nobody() {
    const RESTARTS: usize = 5;
    const CLIENTS: usize = 8;
    let directory = Directory::new();
    let (tcp, address) = listener();
    let start = || {
        let directory = Some(Arc::clone(&directory));
        Server::launch(&Launch { directory, sockets: &[tcp.as_fd()], ..Launch::default() })
    };
    // Ends the clients also if the server fails.
    let (is_over, deadline) = (AtomicBool::new(false), Deadline::start());
    let asked = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut asked = 0;
                    while !(is_over.load(Ordering::Relaxed) || deadline.left().is_zero()) {
                        // Each of these panics if it is refused, cut or not answered.
                        let mut client = HttpClient::connect(address);
                        client.request("GET", "/health", &[], "");
                        assert_eq!(client.response().status, 200);
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        let mut server = start();
        for _ in 0..RESTARTS {
            server.get("/health");
            assert_eq!(server.stop(), Some(0));
            server = start();
        }
        server.get("/health");
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("nobody is refused")).sum::<usize>()
    });
    assert!(asked > RESTARTS * CLIENTS, "{asked}");
}

#[test]
fn who_waits_at_an_inherited_socket_at_a_stop_is_served_by_the_next_process() {
    let (tcp, address) = listener();
    let mut first = launch(&[tcp.as_fd()], &[("SHUTDOWN_GRACE_SECONDS", "600")]);
    // Read by hand, so that the server's Close frame stays unanswered and it waits.
    let mut stream = first.connect().into_stream();
    first.signal(Signal::TERM);
    std::io::Read::read_exact(&mut stream, &mut [0; 4]).expect("a Close frame");
    let mut waiting = HttpClient::connect(address);
    waiting.request("POST", "/api/rooms", &[], &json!({}).to_string());
    drop(stream);
    assert_eq!(first.wait(), Some(0));
    let _second = launch(&[tcp.as_fd()], &[]);
    assert_eq!(waiting.response().status, 201);
}

#[test]
fn a_reload_is_told_from_its_beginning_to_its_end_also_if_it_fails() {
    let (manager, directory) = (Manager::on_name("reload"), Directory::new());
    let settings = [("NOTIFY_SOCKET", &*manager.name)];
    let server = Server::start_in(&directory, &settings);
    let status = manager.expect("READY=1", "STATUS");
    // As systemd compares it with its own (sd_notify(3)).
    let now_us = || {
        let now = Duration::try_from(clock_gettime(ClockId::Monotonic)).expect("since the boot");
        u64::try_from(now.as_micros()).expect("not for ages")
    };
    for (dot_env, expected) in [
        ("MAX_ROOMS=5\n", status.clone()),
        ("MAX_ROOMS=none\n", format!("{status}; settings not read again: MAX_ROOMS=none: must be")),
    ] {
        fs::write(directory.path().join(".env"), dot_env).expect("the directory is ours");
        let before_us = now_us();
        server.signal(Signal::HUP);
        let began_us = manager.expect("RELOADING=1", "MONOTONIC_USEC");
        let began_us: u64 = began_us.parse().expect("a number");
        assert!((before_us..=now_us()).contains(&began_us), "{before_us} {began_us}");
        let status = manager.expect("READY=1", "STATUS");
        assert!(status.starts_with(&expected), "{status}");
    }
}
