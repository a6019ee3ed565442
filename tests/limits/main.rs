//! The bounds that keep the server up, reached with the real binary: memory, time, and what one
//! client can take from another.

mod cgroup;
mod crowd;
mod documents;
mod fairness;
mod memory;
mod slow_disk;
mod stage;
mod stalls;
mod stop;
mod store_truth;
#[path = "../support/mod.rs"]
mod support;
mod time;
#[path = "../../examples/load/tool/mod.rs"]
mod tool;
mod turns;
