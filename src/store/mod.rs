//! Where rooms and accounts last: one trait, two implementations.
//!
//! Everything here blocks and runs on the worker threads only; the event loop never calls it.
//! What must hold across several servers on one database (one first user, a last administrator,
//! a setup link that works once) is decided *in* the database, never by a lock in the process.

mod chosen;
mod contract;
#[cfg(feature = "mongodb")]
pub mod mongo;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use chosen::{backup, open};
pub use contract::{
    AccountState, FirstUser, Profile, Role, RoomRecord, Store, StoreError, USERS_MAX, User,
    UserChange,
};
