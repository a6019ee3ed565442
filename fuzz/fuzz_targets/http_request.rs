//! HTTP requests, one after the other in one stream: whole, in pieces and byte by byte they come to
//! the same, and each can be looked at and answered.

#![no_main]

#[path = "../../tests/drivers/mod.rs"]
#[allow(dead_code, reason = "each target uses its own part of this")]
mod drivers;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| drivers::http::check_input(input));
