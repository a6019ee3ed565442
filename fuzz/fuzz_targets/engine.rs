//! The whole server, whose clients, network, store and memory do what the bytes say, one byte for
//! each choice. What must hold is what `tests/engine_simulation` says.
//!
//! With `LOUD` in the environment the trace is printed, to read what an input does.

#![no_main]

#[path = "../../tests/rooms_simulation/draw.rs"]
mod draw;
#[path = "../../tests/engine_simulation/world/mod.rs"]
mod world;

use libfuzzer_sys::fuzz_target;

use crate::draw::Bytes;
use crate::world::{Seen, World};

fuzz_target!(|input: &[u8]| {
    let mut seen = Seen::new();
    let trace = World::run("these bytes", Bytes(input), &mut seen);
    if std::env::var_os("LOUD").is_some() {
        println!("{}\n{seen:?}", trace.join("\n"));
    }
});
