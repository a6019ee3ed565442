//! What is to be said of the store. Pure: facts in, findings out.

use super::finding::Finding;
use crate::store::StoreError;

/// The store that the settings ask for, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoreFacts {
    /// `SQLite`: the size of its file, if there is one, and whether all of it was read.
    Embedded(Result<Option<(u64, bool)>, StoreError>),
    /// `MongoDB`: its hosts, and whether it answered.
    MongoDb { hosts: String, answer: Result<(), StoreError> },
}

pub(super) fn judge_store(facts: &StoreFacts) -> Finding {
    let subject = "store";
    match facts {
        StoreFacts::Embedded(Err(StoreError::Unsupported(why)))
        | StoreFacts::MongoDb { answer: Err(StoreError::Unsupported(why)), .. } => {
            Finding::problem(subject, *why)
        }
        StoreFacts::Embedded(Ok(None)) => {
            Finding::ok(subject, "SQLite; the first start makes sync.db")
        }
        StoreFacts::Embedded(Ok(Some((bytes, true)))) => {
            let text = format!("SQLite; sync.db is whole, {} KiB", bytes.div_ceil(1 << 10));
            Finding::ok(subject, text)
        }
        StoreFacts::Embedded(Ok(Some((bytes, false)))) => Finding::warning(
            subject,
            format!(
                "SQLite; sync.db can be opened, but has {} MiB, too many to be read here: while \
                 there is time, run PRAGMA integrity_check on a backup",
                bytes >> 20
            ),
        ),
        StoreFacts::Embedded(Err(StoreError::Damaged(why))) => {
            let advice = "look at its owner and mode, or restore a backup";
            Finding::problem(subject, format!("SQLite: {why}: {advice}"))
        }
        StoreFacts::Embedded(Err(error @ StoreError::TooNew { .. })) => {
            let text = format!("SQLite: {error}: use that version, or restore a backup");
            Finding::problem(subject, text)
        }
        StoreFacts::Embedded(Err(error)) => {
            Finding::problem(subject, format!("SQLite: {error}: try again"))
        }
        StoreFacts::MongoDb { hosts, answer: Ok(()) } => {
            Finding::ok(subject, format!("MongoDB at {hosts} answers, and rooms may be read"))
        }
        StoreFacts::MongoDb { hosts, answer: Err(error) } => Finding::problem(
            subject,
            format!(
                "MongoDB at {hosts}: {error}: is it running, may this machine reach it, and are \
                 user and password in MONGODB_URI right?"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::doctor::Severity::{self, Problem, Warning};

    #[test]
    fn each_state_of_a_store_has_its_finding() {
        let mongo = |answer| StoreFacts::MongoDb { hosts: "db:27017".to_owned(), answer };
        let damaged = StoreError::Damaged("sync.db is damaged (x)".to_owned());
        let away = || StoreError::Unavailable("no MongoDB server answers".to_owned());
        let too_new = StoreError::TooNew { found: 9, known: 1 };
        let table: [(StoreFacts, Severity, &str); 9] = [
            (StoreFacts::Embedded(Ok(None)), FINE, "the first start makes sync.db"),
            (StoreFacts::Embedded(Ok(Some((1025, true)))), FINE, "whole, 2 KiB"),
            (StoreFacts::Embedded(Ok(Some((2 << 30, false)))), Warning, "has 2048 MiB"),
            (StoreFacts::Embedded(Err(damaged)), Problem, "damaged (x): look at its owner"),
            (StoreFacts::Embedded(Err(too_new)), Problem, "newer version"),
            (StoreFacts::Embedded(Err(away())), Problem, "try again"),
            (mongo(Ok(())), FINE, "MongoDB at db:27017 answers"),
            (mongo(Err(away())), Problem, "MongoDB at db:27017: no MongoDB server answers: is"),
            (
                mongo(Err(StoreError::Unsupported("no MongoDB in this build"))),
                Problem,
                "no MongoDB in",
            ),
        ];
        for (facts, severity, part) in table {
            let finding = judge_store(&facts);
            assert_eq!(finding.severity, severity, "{finding}");
            assert!(finding.text.contains(part), "{finding}");
        }
    }

    const FINE: Severity = Severity::Ok;
}
