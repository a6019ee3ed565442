//! The tables, and how those of older versions become them.

use rusqlite::{Connection, TransactionBehavior};

use crate::store::contract::StoreError;

/// What `PRAGMA application_id` says of our files: "KPSS".
const APPLICATION_ID: i32 = 0x4b50_5353;

/// The steps from an empty file to the newest schema. Step `n` leads from version `n` to `n + 1`.
/// Those that were released never change; new ones are appended.
const MIGRATIONS: &[&str] = &[
    // The document comes last: what is before it can be read without it.
    "CREATE TABLE rooms (
         room_code TEXT NOT NULL PRIMARY KEY,
         room_id TEXT,
         host_id TEXT,
         host_auth TEXT NOT NULL CHECK (host_auth IN ('peer_id', 'token')),
         host_token_hash BLOB CHECK (length(host_token_hash) = 32),
         created_at INTEGER NOT NULL,
         updated_at INTEGER NOT NULL,
         document TEXT
     ) STRICT;
     CREATE TABLE users (
         user_id TEXT NOT NULL PRIMARY KEY,
         email TEXT NOT NULL UNIQUE,
         role TEXT NOT NULL CHECK (role IN ('admin', 'user')),
         password_hash TEXT,
         created_at INTEGER NOT NULL,
         setup_token TEXT UNIQUE,
         setup_expires_at INTEGER,
         is_active INTEGER NOT NULL CHECK (is_active IN (0, 1)),
         discord_id TEXT,
         version INTEGER NOT NULL CHECK (version >= 0),
         profile_id TEXT NOT NULL,
         first_name TEXT,
         last_name TEXT,
         nickname TEXT,
         position TEXT
     ) STRICT;",
];

/// Looks whether the file is one of ours, and not of the future. Writes nothing.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    let found = version(connection)?;
    let known = known();
    let application_id: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_empty = application_id == 0 && found == 0 && tables == 0;
    if !is_empty && application_id != APPLICATION_ID {
        return Err(StoreError::Damaged(format!(
            "{} is a database of another program; nothing was changed",
            super::FILE_NAME
        )));
    }
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    Ok(())
}

/// Reads the whole file and looks whether it holds together.
pub(super) fn check_content(connection: &Connection) -> Result<(), StoreError> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    let verdict = verdict.replace(char::is_control, " ");
    Err(StoreError::Damaged(format!(
        "{} is damaged ({verdict}); nothing was changed: restore a backup",
        super::FILE_NAME
    )))
}

/// Takes the steps that are missing: all or none.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    if version(connection)? == known() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster; it may even be a newer one.
    check(&transaction)?;
    let found = usize::try_from(version(&transaction)?).unwrap_or_default();
    for step in MIGRATIONS.iter().skip(found) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", known())?;
    transaction.commit()?;
    Ok(())
}

fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("a handful of steps")
}

fn version(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
