//! The server behind a real nginx and a real Caddy, with the configurations of the README: they
//! are read from it, and only where things are is put in their place, so that what is shown there
//! is what is tried here. And what `sync-server doctor` says of a proxy that is set up badly.
//!
//! Where a proxy is not installed, its tests say so and pass; with `REQUIRE_PROXIES=1` they fail.

#[path = "../support/mod.rs"]
mod support;

mod client;
mod doctor;
mod proxy;
mod readme;
mod through;
