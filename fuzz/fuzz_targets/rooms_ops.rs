//! Simulated rooms whose members and store do what the bytes say, one byte for each choice. Each
//! step is compared with the model of `tests/rooms_simulation`.
//!
//! With `LOUD` in the environment every step is printed, to read what an input does.

#![no_main]

#[path = "../../tests/rooms_simulation/draw.rs"]
mod draw;
#[path = "../../tests/rooms_simulation/effect.rs"]
mod effect;
#[path = "../../tests/rooms_simulation/model/mod.rs"]
mod model;
#[path = "../../tests/rooms_simulation/simulation/mod.rs"]
mod simulation;
#[path = "../../tests/rooms_simulation/store.rs"]
mod store;

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;

use crate::draw::Bytes;
use crate::simulation::Simulation;

fuzz_target!(|input: &[u8]| {
    let is_loud = std::env::var_os("LOUD").is_some();
    Simulation::new("these bytes".to_owned(), Bytes(input), is_loud).run(&mut BTreeMap::new());
});
