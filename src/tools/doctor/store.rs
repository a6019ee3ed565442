//! The store that the settings ask for: how it is found, and what is to be said of it.

use std::path::Path;

use super::finding::{Finding, Subject};
use super::machine::OtherClock;
use crate::base::secret::Secret;
use crate::config::Config;
use crate::store::StoreError;

const STORE: Subject = Subject("store");

/// What is to be said of the store, and the clock of its server if it has one.
pub(super) fn examine(config: &Config) -> (Finding, Option<OtherClock>) {
    match &config.mongodb_uri {
        Some(uri) => mongodb(uri, &config.db_name),
        None => (judge_embedded(&embedded(&config.data_dir)), None),
    }
}

#[cfg(feature = "mongodb")]
fn mongodb(uri: &Secret, database: &str) -> (Finding, Option<OtherClock>) {
    use crate::store::mongo;
    let answer = mongo::inspect(uri, database);
    let clock = answer.as_ref().ok().copied().flatten().map(|clock| OtherClock {
        name: "MongoDB",
        seconds: clock.seconds(),
        ours: crate::net::unix_now().seconds(),
    });
    (judge_mongodb(&mongo::hosts(uri), &answer.map(drop)), clock)
}

#[cfg(not(feature = "mongodb"))]
fn mongodb(_: &Secret, _: &str) -> (Finding, Option<OtherClock>) {
    let why = "this build has no MongoDB: unset MONGODB_URI, or take one that has";
    (judge_mongodb("", &Err(StoreError::Unsupported(why))), None)
}

/// The size of the file, if there is one, and whether all of it was read.
#[cfg(feature = "sqlite")]
fn embedded(dir: &Path) -> Result<Option<(u64, bool)>, StoreError> {
    crate::store::sqlite::inspect(dir)
}

#[cfg(not(feature = "sqlite"))]
fn embedded(_: &Path) -> Result<Option<(u64, bool)>, StoreError> {
    Err(StoreError::Unsupported("this build has no embedded store: set MONGODB_URI"))
}

fn judge_embedded(found: &Result<Option<(u64, bool)>, StoreError>) -> Finding {
    match found {
        Ok(None) => STORE.ok("SQLite; the first start makes sync.db"),
        Ok(Some((bytes, true))) => {
            STORE.ok(format!("SQLite; sync.db is whole, {} KiB", bytes.div_ceil(1 << 10)))
        }
        Ok(Some((bytes, false))) => STORE.warning(format!(
            "SQLite; sync.db can be opened, but has {} MiB, too many to be read here: while there \
             is time, run PRAGMA integrity_check on a backup",
            bytes >> 20
        )),
        Err(StoreError::Unsupported(why)) => STORE.problem(*why),
        Err(StoreError::Damaged(why)) => {
            STORE.problem(format!("SQLite: {why}: look at its owner and mode, or restore a backup"))
        }
        Err(error @ StoreError::TooNew { .. }) => {
            STORE.problem(format!("SQLite: {error}: use that version, or restore a backup"))
        }
        Err(error) => STORE.problem(format!("SQLite: {error}: try again")),
    }
}

fn judge_mongodb(hosts: &str, answer: &Result<(), StoreError>) -> Finding {
    match answer {
        Ok(()) => STORE.ok(format!("MongoDB at {hosts} answers, and rooms may be read")),
        Err(StoreError::Unsupported(why)) => STORE.problem(*why),
        Err(error) => STORE.problem(format!(
            "MongoDB at {hosts}: {error}: is it running, may this machine reach it, and are user \
             and password in MONGODB_URI right?"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::doctor::finding::Severity::{self, Problem, Warning};

    #[test]
    fn each_state_of_a_store_has_its_finding() {
        let mongo = |answer| judge_mongodb("db:27017", &answer);
        let damaged = StoreError::Damaged("sync.db is damaged (x)".to_owned());
        let away = || StoreError::Unavailable("no MongoDB server answers".to_owned());
        let too_new = StoreError::TooNew { found: 9, known: 1 };
        let table: [(Finding, Severity, &str); 9] = [
            (judge_embedded(&Ok(None)), FINE, "the first start makes sync.db"),
            (judge_embedded(&Ok(Some((1025, true)))), FINE, "whole, 2 KiB"),
            (judge_embedded(&Ok(Some((2 << 30, false)))), Warning, "has 2048 MiB"),
            (judge_embedded(&Err(damaged)), Problem, "damaged (x): look at its owner"),
            (judge_embedded(&Err(too_new)), Problem, "newer version"),
            (judge_embedded(&Err(away())), Problem, "try again"),
            (mongo(Ok(())), FINE, "MongoDB at db:27017 answers"),
            (mongo(Err(away())), Problem, "MongoDB at db:27017: no MongoDB server answers: is"),
            (
                mongo(Err(StoreError::Unsupported("no MongoDB in this build"))),
                Problem,
                "no MongoDB in",
            ),
        ];
        for (finding, severity, part) in table {
            assert_eq!(finding.severity, severity, "{finding}");
            assert!(finding.text.contains(part), "{finding}");
        }
    }

    const FINE: Severity = Severity::Ok;
}
