//! Brings the facts: files, sockets, the clock. Decides nothing.

mod machine;
mod public;

pub(super) use machine::{data_directory, memory, port};
pub(super) use public::public;

use std::path::Path;

use super::machine::OtherClock;
use super::store::StoreFacts;
use crate::base::secret::Secret;
use crate::config::Config;
use crate::store::StoreError;

/// The store that the settings ask for, and the clock of its server if it has one.
pub(super) fn store(config: &Config) -> (StoreFacts, Option<OtherClock>) {
    match &config.mongodb_uri {
        Some(uri) => mongodb(uri, &config.db_name),
        None => (StoreFacts::Embedded(embedded(&config.data_dir)), None),
    }
}

#[cfg(feature = "mongodb")]
fn mongodb(uri: &Secret, database: &str) -> (StoreFacts, Option<OtherClock>) {
    use crate::store::mongo;
    let answer = mongo::inspect(uri, database);
    let clock = answer.as_ref().ok().copied().flatten().map(|clock| OtherClock {
        name: "MongoDB",
        seconds: clock.seconds(),
        ours: crate::net::unix_now().seconds(),
    });
    (StoreFacts::MongoDb { hosts: mongo::hosts(uri), answer: answer.map(drop) }, clock)
}

#[cfg(not(feature = "mongodb"))]
fn mongodb(_: &Secret, _: &str) -> (StoreFacts, Option<OtherClock>) {
    let why = "this build has no MongoDB: unset MONGODB_URI, or take one that has";
    let answer = Err(StoreError::Unsupported(why));
    (StoreFacts::MongoDb { hosts: String::new(), answer }, None)
}

#[cfg(feature = "sqlite")]
fn embedded(dir: &Path) -> Result<Option<(u64, bool)>, StoreError> {
    crate::store::sqlite::inspect(dir)
}

#[cfg(not(feature = "sqlite"))]
fn embedded(_: &Path) -> Result<Option<(u64, bool)>, StoreError> {
    Err(StoreError::Unsupported("this build has no embedded store: set MONGODB_URI"))
}
