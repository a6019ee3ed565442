//! One suite for every store: SQLite always, MongoDB where there is a server for it.
//!
//! Goal: what the trait promises holds in each implementation, for several handles on one
//! database at once, and after a crash. Method: each check is given a new database, and a way to
//! open it a second time.

#![cfg_attr(
    feature = "mongodb",
    expect(clippy::disallowed_methods, reason = "how long a call takes is what is tested")
)]

#[cfg(feature = "mongodb")]
mod mongo;
#[cfg(feature = "mongodb")]
mod mongo_server;
#[cfg(feature = "sqlite")]
mod sqlite;
mod suite;
