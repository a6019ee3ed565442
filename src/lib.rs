//! Khun Phaen Sync Server.

pub mod accounts;
pub mod backend;
pub mod cli;
pub mod config;
pub mod engine;
pub mod http;
pub mod ids;
pub mod logging;
pub mod memory;
pub mod net;
pub mod protocol;
pub mod rooms;
pub mod secret;
pub mod session;
pub mod store;
pub mod throttle;
pub mod time;
pub mod workers;
pub mod ws;
