//! The bounds that keep the server up, reached with the real binary: memory, time, and what one
//! client can take from another.

mod fairness;
mod stop;
#[path = "../support/mod.rs"]
mod support;
mod time;
