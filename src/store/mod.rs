//! Where rooms and accounts last: one trait, two implementations.
//!
//! Everything here blocks and runs on the worker threads only; the event loop never calls it.
//! What must hold across several servers on one database (one first user, a last administrator,
//! a setup link that works once) is decided *in* the database, never by a lock in the process.

mod claim;
mod contract;
#[cfg(feature = "mongodb")]
pub mod mongo;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use claim::Claim;
pub use contract::{
    AccountState, Profile, Role, RoomHead, RoomRecord, SETUP_LINK_MS, Store, StoreError, USERS_MAX,
    User, UserChange,
};

use std::path::Path;
use std::sync::Arc;

use crate::config::Config;

/// Claims the data directory of `config` for the process `process_id`, a server, if the store is in
/// it. `MongoDB` takes several servers.
///
/// # Errors
/// [`StoreError::Unavailable`] if another server has it; [`StoreError::Damaged`] if the directory
/// cannot be written to.
pub fn claim(config: &Config, process_id: u32) -> Result<Claim, StoreError> {
    match config.mongodb_uri {
        Some(_) => Ok(Claim::nothing()),
        None => Claim::of(&config.data_dir, process_id),
    }
}

/// Opens the store of `config`. `MongoDB` is not waited for.
///
/// # Errors
/// [`StoreError::Unsupported`] if this build has no such store, and those of opening it.
pub fn open(config: &Config) -> Result<Arc<dyn Store>, StoreError> {
    match &config.mongodb_uri {
        #[cfg(feature = "mongodb")]
        Some(uri) => {
            let workers = config.limits.threads();
            Ok(Arc::new(mongo::MongoStore::connect(uri, &config.db_name, workers)?))
        }
        #[cfg(not(feature = "mongodb"))]
        Some(_) => {
            Err(StoreError::Unsupported("MONGODB_URI is set, but this build has no MongoDB"))
        }
        #[cfg(feature = "sqlite")]
        None => Ok(Arc::new(sqlite::SqliteStore::open(&config.data_dir)?)),
        #[cfg(not(feature = "sqlite"))]
        None => Err(StoreError::Unsupported("this build has no embedded store: set MONGODB_URI")),
    }
}

/// Copies the embedded store of `config` to the new file `target`, also while it is in use.
///
/// # Errors
/// [`StoreError::Unsupported`] if there is no embedded store, and those of copying it.
#[cfg(feature = "sqlite")]
pub fn backup(config: &Config, target: &Path) -> Result<(), StoreError> {
    if config.mongodb_uri.is_some() {
        let advice = "the data is in MongoDB: use mongodump to copy it";
        return Err(StoreError::Unsupported(advice));
    }
    sqlite::backup(&config.data_dir, target)
}

/// As with `SQLite`, in a build that has nothing to copy.
#[cfg(not(feature = "sqlite"))]
pub fn backup(_: &Config, _: &Path) -> Result<(), StoreError> {
    Err(StoreError::Unsupported("this build has no embedded store"))
}
