//! `GET /metrics`: who may see it, and that the figures are those of what has happened.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Deadline, Server, installed};

const TOKEN: &str = "a-token-of-this-test";

/// What `/metrics` says now.
fn metrics(server: &Server) -> String {
    let response = server.get("/metrics");
    assert_eq!(response.status, 200, "{}", response.text());
    response.text()
}

/// The value of the sample `name`, with its labels.
fn value(text: &str, name: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let found = found.unwrap_or_else(|| panic!("{name} is missing in\n{text}"));
    found.parse().expect("a number")
}

/// The samples have these values.
#[track_caller]
fn expect(text: &str, samples: &[(&str, f64)]) {
    for (name, expected) in samples {
        assert!((value(text, name) - expected).abs() < f64::EPSILON, "{name}\n{text}");
    }
}

/// Waits until the sample `name` is what `wanted` says.
fn wait_for(server: &Server, name: &str, wanted: impl Fn(f64) -> bool) -> String {
    let deadline = Deadline::start();
    loop {
        let text = metrics(server);
        if wanted(value(&text, name)) {
            return text;
        }
        assert!(!deadline.left().is_zero(), "{name} stays at {}", value(&text, name));
    }
}

#[test]
fn the_figures_are_those_of_what_has_happened() {
    let server = Server::start(&[]);
    let text = metrics(&server);
    let at_first = [
        ("sync_server_rooms", 0.0),
        ("sync_server_room_members", 0.0),
        ("sync_server_store_up", 1.0),
    ];
    expect(&text, &at_first);
    assert!(text.ends_with("# EOF\n"), "{text}");

    let mut ann = server.host("METRIC", "ann");
    let mut bob = server.join("METRIC", "bob");
    ann.expect_type("peer_joined");
    for number in 0..10 {
        ann.broadcast(number);
        bob.expect_type("data");
    }
    ann.send_json(&json!({ "action": "sync_document", "document": "text", "id": 1 }));
    ann.expect_type("ack");
    bob.expect_type("document_sync");
    bob.send_json(&json!({ "action": "sync_document", "document": "text" }));
    bob.expect_error("host_only");
    bob.send_text("no JSON");
    bob.expect_error("bad_message");

    let text = metrics(&server);
    let exactly = [
        ("sync_server_rooms", 1.0),
        ("sync_server_rooms_unsaved", 0.0),
        ("sync_server_room_members", 2.0),
        ("sync_server_connections{protocol=\"websocket\"}", 2.0),
        ("sync_server_messages_received_total", 2.0 + 10.0 + 1.0 + 2.0),
        ("sync_server_errors_total{code=\"host_only\"}", 1.0),
        ("sync_server_errors_total{code=\"bad_message\"}", 1.0),
        ("sync_server_errors_total{code=\"internal\"}", 0.0),
        ("sync_server_job_duration_seconds_count{kind=\"room_save\"}", 2.0),
        ("sync_server_send_queue_bytes", 0.0),
        ("sync_server_connections_refused_total", 0.0),
        ("sync_server_jobs_late_total", 0.0),
    ];
    expect(&text, &exactly);
    // Each joins with two events, and hears of the other or its messages.
    assert!(value(&text, "sync_server_messages_delivered_total") >= 4.0 + 1.0 + 10.0 + 2.0 + 2.0);
    for name in [
        "sync_server_received_bytes_total",
        "sync_server_sent_bytes_total",
        "sync_server_http_requests_total",
        "sync_server_documents_bytes",
        "sync_server_memory_used_bytes",
        "sync_server_loop_turn_seconds_count",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        assert!(value(&text, name) > 1.0, "{name}\n{text}");
    }
    let resident = value(&text, "process_resident_memory_bytes");
    assert!((1e6..1e9).contains(&resident), "{resident}");
}

#[test]
fn a_reader_that_is_too_slow_is_counted() {
    let server = Server::start(&[
        ("SEND_QUEUE_BYTES", "64KiB"),
        ("MAX_MESSAGE_BYTES", "32KiB"),
        ("MESSAGE_RATE_LIMIT", "0"),
    ]);
    let mut writer = server.host("SLOW", "writer");
    let _slow = server.join("SLOW", "slow");
    let text = "x".repeat(30_000);
    let slow = "sync_server_closes_total{reason=\"too_slow\"}";
    let deadline = Deadline::start();
    // Nothing of that name is there before it has happened.
    while !metrics(&server).contains(slow) {
        assert!(!deadline.left().is_zero(), "it is never too slow");
        (0..100).for_each(|_| writer.broadcast(text.as_str()));
    }
    wait_for(&server, "sync_server_room_members", |members| members < 1.5);
}

#[test]
fn without_a_token_only_this_machine_sees_them() {
    let server = Server::start(&[]);
    let by_a_proxy = [
        ("X-Forwarded-For", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("X-Real-IP", "127.0.0.1"),
        ("Via", "1.1 proxy"),
        ("Origin", "http://localhost"),
    ];
    for field in by_a_proxy {
        let response = server.http("GET", "/metrics", &[field], "");
        assert_eq!(response.status, 403, "{field:?}");
        assert!(!response.text().contains("sync_server_rooms"), "{field:?}");
    }
    let head = server.http("HEAD", "/metrics", &[], "");
    assert_eq!(head.status, 200);
    assert_eq!(server.http("POST", "/metrics", &[], "").status, 405);
}

#[test]
fn with_a_token_whoever_has_it_sees_them_and_nobody_else() {
    let server = Server::start(&[("METRICS_TOKEN", TOKEN)]);
    let bearer = format!("Bearer {TOKEN}");
    let ask = |fields: &[(&str, &str)]| server.http("GET", "/metrics", fields, "");
    assert_eq!(ask(&[("Authorization", &bearer)]).status, 200);
    assert_eq!(ask(&[("Authorization", &bearer), ("X-Forwarded-For", "192.0.2.1")]).status, 200);
    for wrong in ["Bearer another-token-of-this", "Bearer ", "Basic YTpi", "Bearer"] {
        let response = ask(&[("Authorization", wrong)]);
        assert_eq!(response.status, 401, "{wrong}");
        assert_eq!(response.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(ask(&[]).status, 401, "not even this machine");
    assert!(!server.log().contains(TOKEN));
}

#[test]
fn every_panel_of_the_dashboard_asks_for_what_there_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/grafana.json");
    let text = fs::read_to_string(path).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let mut asked = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("queries") {
            let expression = target["expr"].as_str().expect("an expression");
            let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let own = ["sync_server_", "process_"];
            asked.extend(words.filter(|word| own.iter().any(|prefix| word.starts_with(prefix))));
        }
    }
    assert!(asked.len() > 20, "{asked:?}");
    let server = Server::start(&[]);
    let mut client = server.host("PANELS", "host");
    // An error, and a close of each name, come into being with the first of them.
    (0..20).for_each(|_| client.send_text("no JSON"));
    client.expect_close(1008);
    let text = metrics(&server);
    for name in asked {
        let has = text
            .lines()
            .any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        assert!(has, "{name} is in no answer");
    }
}

#[test]
fn the_text_is_what_the_reference_parser_understands() {
    const SCRIPT: &str = "\
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(sys.stdin.read()))
print(len(families), sum(len(family.samples) for family in families))
";
    let Some(folder) = installed("TEST_PYTHON_PROMETHEUS") else { return };
    let server = Server::start(&[]);
    let _host = server.host("PARSED", "host");
    let file = server.directory().path().join("metrics.txt");
    fs::write(&file, metrics(&server)).expect("a fresh file");
    let output = Command::new("python3")
        .args(["-c", SCRIPT])
        .env("PYTHONPATH", folder)
        .stdin(fs::File::open(&file).expect("it was written"))
        .output()
        .expect("Python");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let counts = String::from_utf8_lossy(&output.stdout);
    let counts: Vec<u32> = counts.split_whitespace().flat_map(str::parse).collect();
    assert!(counts[0] > 30 && counts[1] > 150, "{counts:?} families and samples");
}
