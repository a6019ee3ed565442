//! What the fuzzer begins with, and what it has found, holds for everybody who has no fuzzer.

use std::fs;

use crate::drivers::{http, message, web_socket};

/// Checks every seed of a fuzz target.
fn check(target: &str, check_input: fn(&[u8])) {
    let folder = format!("{}/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut seeds = 0;
    for entry in fs::read_dir(folder).expect("there are seeds") {
        let path = entry.expect("a folder can be read to its end").path();
        let seed = fs::read(&path).expect("a seed can be read");
        // Of a test that fails this is printed.
        println!("{}", path.display());
        check_input(&seed);
        seeds += 1;
    }
    assert!(seeds >= 10, "only {seeds} seeds for {target}");
}

#[test]
fn requests() {
    check("http_request", http::check_input);
}

#[test]
fn streams() {
    check("ws_feed", web_socket::check_input);
}

#[test]
fn messages() {
    check("client_action", message::check_input);
}
