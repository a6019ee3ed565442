//! One message of a client: what is read of it is relayed as the bytes that came, and what is sent
//! of it is JSON again.

#![no_main]

#[path = "../../tests/drivers/mod.rs"]
#[allow(dead_code, reason = "each target uses its own part of this")]
mod drivers;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| drivers::message::check_input(input));
