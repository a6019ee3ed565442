//! The bounds that keep the server up, reached with the real binary: memory, time, and what one
//! client can take from another.

mod cgroup;
mod documents;
mod fairness;
mod memory;
mod stop;
#[path = "../support/mod.rs"]
mod support;
mod time;
#[path = "../../examples/load/tool/mod.rs"]
mod tool;
