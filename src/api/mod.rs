//! The product as HTTP clients see it: routes, credentials, the way to a WebSocket, and what is
//! answered.
//!
//! Pure, and without state: it knows requests and responses, settings, and views of rooms and
//! accounts, but no session, no job and not the engine, which asks it for every answer.

mod accounts;
pub mod admin;
mod cors;
mod credentials;
pub mod metrics;
pub mod pages;
pub mod rooms;
mod route;
mod server;
#[cfg(test)]
mod tests;
mod whoami;

pub use accounts::{account_request, account_response, not_logged_in, too_many_failed_logins};
pub use cors::Cors;
pub use credentials::{SUBPROTOCOL, check_upgrade, credentials};
pub use route::{AdminRoute, Route, RouteError, route, routes};
pub use server::{Health, busy, index, store_unavailable, too_many_connections};
pub use whoami::{Whoami, websocket_url, whoami};
