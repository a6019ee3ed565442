//! The load generator against the real server: a crowd of people who talk, and one that is silent.
//! And against a server that makes mistakes, which must not go unnoticed.

mod relay;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../examples/load/tool/mod.rs"]
mod tool;

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;

use relay::{Fault, Relay};
use support::Server;
use tool::{Command, Options, Report};

/// What the whole server may take with a thousand people in it.
const RESIDENT_BYTES_MAX: u64 = 40_000_000;
/// Of a core, what it may take while nobody says anything. It takes far less; machines that run
/// tests are busy.
const IDLE_CPU_PERCENT_MAX: f64 = 2.0;

fn options(line: &str) -> Options {
    match tool::parse(line.split_whitespace().map(OsString::from)) {
        Ok(Command::Run(options)) => options,
        other => panic!("{line}: {other:?}"),
    }
}

/// Runs the load `line` on the server at `address`.
#[track_caller]
fn load(address: SocketAddr, line: &str) -> Report {
    let options = options(&format!("{line} --url http://{address}"));
    match tool::run(&options, &mut io::sink()) {
        Ok(report) => report,
        Err(problem) => panic!("{line}: {problem}"),
    }
}

/// Shows a report where `cargo test` cannot hide it.
fn show(report: &Report) {
    io::stderr().write_all(report.text().as_bytes()).expect("standard error is open");
}

fn server(settings: &[(&str, &str)]) -> Server {
    Server::start(&[settings, &[("ROOM_CREATE_RATE", "0")]].concat())
}

#[test]
fn a_thousand_people_in_fifty_rooms_hear_everything_in_order() {
    let server = server(&[]);
    let pid = server.process_id();
    let line = format!("paced --clients 1000 --rooms 50 --rate 500 --seconds 10 --pid {pid}");
    let report = load(server.address(), &line);
    show(&report);
    assert!(report.passed);
    let traffic = report.traffic.expect("it was paced");
    assert_eq!((traffic.sent, traffic.deliveries), (5_000, 95_000));
    let process = report.server.expect("its process was given");
    assert!(process.resident_bytes_peak < RESIDENT_BYTES_MAX, "{process:?}");
}

#[test]
fn two_hundred_silent_people_cost_nothing() {
    // Five times as many pings as by default.
    let server = server(&[("PING_INTERVAL_SECONDS", "5")]);
    let line = format!("idle --clients 200 --rooms 10 --seconds 10 --pid {}", server.process_id());
    let report = load(server.address(), &line);
    show(&report);
    assert!(report.passed);
    let process = report.server.expect("its process was given");
    assert!(process.cpu_percent < IDLE_CPU_PERCENT_MAX, "{process:?}");
}

#[test]
fn whatever_a_client_can_do_reaches_everybody() {
    let server = server(&[("MESSAGE_RATE_LIMIT", "0")]);
    for line in [
        "join --clients 100 --rooms 5",
        "flood --clients 40 --rooms 2 --seconds 1 --senders 20",
        "bigroom --clients 50 --seconds 1",
        "document --clients 8 --rooms 2 --bytes 200KiB --seconds 1",
        "churn --clients 20 --rooms 4 --concurrency 4 --seconds 1",
    ] {
        let report = load(server.address(), line);
        assert!(report.passed, "{line}\n{}", report.text());
        assert!(report.json().starts_with(r#"{"passed":true,"#));
    }
}

#[test]
fn one_who_does_not_read_delays_nobody_and_is_closed() {
    let server = server(&[("MAX_MESSAGE_BYTES", "256KiB"), ("SEND_QUEUE_BYTES", "2MiB")]);
    let report = load(
        server.address(),
        "stalled --clients 6 --rooms 1 --senders 4 --bytes 50KiB --rate 200 --seconds 2",
    );
    assert!(report.passed, "{}", report.text());
    assert_eq!(report.stalled_ended.values().sum::<u64>(), 1, "{}", report.text());
}

/// What the load generator says of a server between which and it `fault` happens.
#[track_caller]
fn faulty(fault: Option<Fault>, line: &str) -> Report {
    let server = server(&[]);
    let relay = Relay::start(server.address(), fault);
    load(relay.address(), &format!("{line} --concurrency 1"))
}

/// Lost, reordered, repeated, misrouted, mutilated, and with another order.
fn wrong(report: &Report) -> [u64; 6] {
    let traffic = report.traffic.as_ref().expect("there was traffic");
    [
        traffic.lost,
        traffic.reordered,
        traffic.repeated,
        traffic.misrouted,
        traffic.mutilated,
        traffic.orders_that_differ,
    ]
}

#[test]
fn one_mistake_among_hundreds_of_messages_is_reported() {
    // In each of two rooms one speaks and three listen; the fifth client is one of these.
    let line = "paced --clients 8 --rooms 2 --senders 1 --rate 90 --seconds 2";
    let table = [
        (None, [0, 0, 0, 0, 0, 0]),
        (Some(Fault::Drop), [1, 0, 0, 0, 0, 0]),
        (Some(Fault::Swap), [0, 1, 0, 0, 0, 1]),
        (Some(Fault::Repeat), [0, 0, 1, 0, 0, 0]),
        (Some(Fault::Misroute), [1, 0, 0, 1, 0, 0]),
        (Some(Fault::Shorten), [0, 0, 0, 0, 1, 0]),
    ];
    std::thread::scope(|scope| {
        for (fault, expected) in table {
            scope.spawn(move || {
                let report = faulty(fault, line);
                assert_eq!(wrong(&report), expected, "{fault:?}\n{}", report.text());
                assert_eq!(report.passed, fault.is_none(), "{fault:?}");
            });
        }
    });
}

#[test]
fn members_that_hear_their_room_in_another_order_are_reported() {
    // Two speak and two listen; with every second message from the other sender, neighbours that
    // change places leave each sender's own messages in order.
    let line = "paced --clients 4 --rooms 1 --senders 2 --rate 50 --seconds 2";
    let report = faulty(Some(Fault::SwapAtListener), line);
    assert_eq!(wrong(&report), [0, 0, 0, 0, 0, 1], "{}", report.text());
    assert!(!report.passed);
}

#[test]
fn a_lost_connection_is_reported() {
    let line = "paced --clients 8 --rooms 2 --senders 1 --rate 50 --seconds 2";
    let report = faulty(Some(Fault::Cut), line);
    assert_eq!(report.ended.values().sum::<u64>(), 1, "{}", report.text());
    assert!(report.traffic.as_ref().is_some_and(|traffic| traffic.lost > 0));
    assert!(!report.passed);
}

#[test]
fn a_change_of_presence_that_somebody_does_not_hear_of_is_reported() {
    for line in ["join --clients 20 --rooms 2", "churn --clients 8 --rooms 2 --seconds 1"] {
        let report = faulty(Some(Fault::DropPresence), line);
        let presence = report.presence.as_ref().expect("the rooms are its own");
        assert_eq!(presence.heard + 1, presence.expected, "{line}\n{}", report.text());
        assert!(!report.passed, "{line}");
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let small = server(&[("MAX_PEERS_PER_ROOM", "3")]);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = closed.local_addr().expect("it is bound");
    drop(closed);
    let own = small.address();
    for (line, problem) in [
        (format!("join --url http://{nobody}"), "cannot be reached"),
        ("join --url http://192.0.2.1".to_owned(), "--i-own-this-server"),
        (format!("idle --url http://{own} --pid 4294967295"), "is known of process 4294967295"),
        (
            format!("idle --clients 4 --rooms 1 --concurrency 1 --url http://{own}"),
            "3 of 4 clients have joined, then: room_full",
        ),
    ] {
        let told = tool::run(&options(&line), &mut io::sink()).expect_err(&line).to_string();
        assert!(told.contains(problem), "{line}: {told}");
    }
    assert!(matches!(tool::parse(["--help".into()]), Ok(Command::Help)));
    assert!(tool::HELP.contains("Exit code"));
}
