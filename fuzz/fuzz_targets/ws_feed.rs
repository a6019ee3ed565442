//! WebSocket frames: whole, in pieces and byte by byte a stream comes to the same messages, replies
//! and Close, which are those of tungstenite alone.

#![no_main]

#[path = "../../tests/drivers/mod.rs"]
#[allow(dead_code, reason = "each target uses its own part of this")]
mod drivers;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| drivers::web_socket::check_input(input));
