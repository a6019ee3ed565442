//! The file of the embedded store: made, opened, brought up to date, checked, copied, looked at.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, Row, Transaction, TransactionBehavior};

use super::draft::Draft;
use super::guard::with_suffix;
use crate::store::contract::StoreError;

/// The file's name in the data directory.
pub const FILE_NAME: &str = "sync.db";

/// Attempts to switch to the write-ahead log, and the time between them: as long as the time-out
/// of a busy database in all.
const WAL_ATTEMPTS_MAX: u32 = 200;
/// See [`WAL_ATTEMPTS_MAX`].
const WAL_INTERVAL: Duration = Duration::from_millis(20);
/// How long to wait for another process that writes. Less than the five seconds after which the
/// engine gives up on a job.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

/// Page cache of one connection, in KiB. Rooms are read and written whole and seldom, so there is
/// little to gain from more.
const CACHE_KIB: i32 = 256;

/// Size to which the write-ahead log is cut after it was copied into the file, in bytes.
const LOG_BYTES_MAX: i64 = 8 << 20;

/// Files up to this size, in bytes, are checked from end to end at the start. Larger ones would
/// delay it; their damage shows when it is met.
pub(super) const CHECKED_AT_START_BYTES_MAX: u64 = 64 << 20;

/// Files up to this size, in bytes, are read from end to end by [`inspect`]. On a memory card that
/// takes half a minute.
const INSPECTED_BYTES_MAX: u64 = 1 << 30;

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

/// Opens the database in `dir` for writing. What is missing is made, only for this user to read; an
/// older schema is brought up to date.
pub(super) fn open(dir: &Path) -> Result<Connection, StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| cannot("create the directory", dir, &error))?;
    let path = dir.join(FILE_NAME);
    match size(&path)? {
        Some(_) => close_to_others(&path)?,
        None => make(&path)?,
    }
    let mut connection = connect(&path)?;
    // One transaction: another process may be at its first migration.
    check(&*connection.transaction()?)?;
    if fs::metadata(&path).is_ok_and(|file| file.len() <= CHECKED_AT_START_BYTES_MAX) {
        check_content(&connection)?;
    }
    if enter_wal(&connection)? != "wal" {
        return Err(StoreError::Damaged(format!(
            "{}: this file system cannot hold a write-ahead log; set DATA_DIR to a local one",
            path.display()
        )));
    }
    migrate(&mut connection)?;
    Ok(connection)
}

/// A connection to the file at `path`, for writing.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    // A connection is used by one thread at a time: its lock sees to it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    for (name, value) in [("mmap_size", 0), ("journal_size_limit", LOG_BYTES_MAX)] {
        // These two answer with a row.
        connection.pragma_update_and_check(None, name, value, |_| Ok(()))?;
    }
    Ok(connection)
}

/// Copies the database in `dir`, as it is at one moment and while it goes on being used, into the
/// new file `target`, only for this user to read. It gets its name when it is whole.
///
/// # Errors
/// [`StoreError::Damaged`] if there is no database in `dir`, or `target` exists or cannot be
/// written; then nothing is left of it.
pub fn backup(dir: &Path, target: &Path) -> Result<(), StoreError> {
    let path = dir.join(FILE_NAME);
    if size(&path)?.is_none() {
        return Err(cannot("read", &path, &ErrorKind::NotFound.into()));
    }
    let mut source = connect(&path)?;
    check(&*source.transaction()?)?;
    let draft = Draft::new(target).map_err(|error| cannot("create", target, &error))?;
    let mut copy = connect_draft(&draft)?;
    // All pages in one step: between two, a writer would make it begin again. Writers do not wait
    // for it.
    if Backup::new(&source, &mut copy)?.step(-1)? != StepResult::Done {
        return Err(StoreError::Unavailable(format!("{FILE_NAME} is busy; try again")));
    }
    // The mark of the write-ahead log was copied too; a copy is one file.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    copy.close().map_err(|(_, error)| error)?;
    draft.publish().map_err(|error| cannot("create", target, &error))
}

/// Looks at the database in `dir` and changes nothing, also while a server uses it: the size of the
/// file, if there is one, and whether all of it was read; too large a file is only opened.
///
/// # Errors
/// [`StoreError::TooNew`], [`StoreError::Damaged`] if it is no database of ours, does not hold
/// together or cannot be read; [`StoreError::Unavailable`] if it is busy.
pub fn inspect(dir: &Path) -> Result<Option<(u64, bool)>, StoreError> {
    let path = dir.join(FILE_NAME);
    let Some(bytes) = size(&path)? else { return Ok(None) };
    let is_read = bytes <= INSPECTED_BYTES_MAX;
    let examine = |connection: Connection| {
        check(&connection)?;
        if is_read { check_content(&connection) } else { Ok(()) }
    };
    let log = with_suffix(&path, "-wal");
    let result = if log.exists() { None } else { Some(open_at_rest(&path).and_then(examine)) };
    match result {
        // A server that was started meanwhile may have written under our eyes.
        Some(result) if result.is_ok() || !log.exists() => result?,
        _ => open_in_use(&path).and_then(examine)?,
    }
    Ok(Some((bytes, is_read)))
}

/// Beside a server, or what one that was killed has left: its log is read as well.
fn open_in_use(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// A file that is not in use. Opened as one that cannot change, since `SQLite` would make files for
/// others beside it, and they would be ours.
fn open_at_rest(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let absolute = fs::canonicalize(path).map_err(|error| cannot("read", path, &error))?;
    let uri = format!("file:{}?immutable=1", escaped(&absolute));
    Ok(Connection::open_with_flags(uri, flags)?)
}

/// `path` as a part of a URI.
fn escaped(path: &Path) -> String {
    let escaped = |&byte: &u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'/' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    path.as_os_str().as_encoded_bytes().iter().map(escaped).collect()
}

/// The size of the database file at `path` in bytes, if there is one.
///
/// # Errors
/// [`StoreError::Damaged`]: it cannot be asked for, or is empty, or is gone and has left its log.
/// A database never begins as an empty file, and `SQLite` would delete what such a log has kept.
fn size(path: &Path) -> Result<Option<u64>, StoreError> {
    let advice = "restore a backup, or move all sync.db* files away to begin anew";
    let damaged =
        |what: &str| Err(StoreError::Damaged(format!("{} {what}; {advice}", path.display())));
    match fs::metadata(path) {
        Ok(file) if !file.is_file() => damaged("is no file"),
        Ok(file) if file.len() == 0 => damaged("is empty: it was cut off"),
        Ok(file) => Ok(Some(file.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let is_left = |log: fs::Metadata| log.len() > 0;
            if fs::metadata(with_suffix(path, "-wal")).is_ok_and(is_left) {
                return damaged("is missing, but its write-ahead log sync.db-wal is there");
            }
            Ok(None)
        }
        Err(error) => Err(cannot("read", path, &error)),
    }
}

/// Makes a database under another name, which gets its own when it is whole. That another process
/// was faster is no error.
fn make(path: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::AlreadyExists if path.exists() => Ok(()),
        _ => Err(cannot("create", path, &error)),
    };
    let draft = match Draft::new(path) {
        Ok(draft) => draft,
        Err(error) => return failed(error),
    };
    let mut connection = connect_draft(&draft)?;
    let transaction = connection.transaction()?;
    take_steps(&transaction, 0)?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    draft.publish().or_else(failed)
}

/// A file that counts only once it was closed and [published](Draft::publish).
fn connect_draft(draft: &Draft) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(draft.path(), flags)?;
    connection.query_row("PRAGMA journal_mode = MEMORY", [], |_| Ok(()))?;
    Ok(connection)
}

/// Sees to it that the file can be written to, and that other users cannot read it. For the time
/// before it is opened: to close a file here would end the locks of `SQLite`.
fn close_to_others(path: &Path) -> Result<(), StoreError> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
        .map_err(|error| cannot("write to", path, &error))
}

/// Switches to the write-ahead log; the mode that holds then. `SQLite` does not wait for others in
/// the middle of the same switch, busy time-out or not, so that is done here.
#[expect(clippy::disallowed_methods, reason = "at the start, before there is a loop to block")]
fn enter_wal(connection: &Connection) -> Result<String, Error> {
    let mut left = WAL_ATTEMPTS_MAX;
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
        let is_busy = matches!(
            mode.as_ref().map_err(Error::sqlite_error_code),
            Err(Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
        );
        left -= 1;
        if !is_busy || left == 0 {
            return mode;
        }
        std::thread::sleep(WAL_INTERVAL);
    }
}

/// Looks whether the file is one of ours, and not of the future. Writes nothing.
fn check(connection: &Connection) -> Result<(), StoreError> {
    let found = version(connection)?;
    let known = known();
    let application_id: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application_id == 0 && found == 0 && tables == 0 {
        return Err(StoreError::Damaged(format!(
            "{FILE_NAME} is a database without content; nothing was changed: restore a backup, or \
             move it away to begin anew"
        )));
    }
    if application_id != APPLICATION_ID {
        return Err(StoreError::Damaged(format!(
            "{FILE_NAME} is a database of another program; nothing was changed"
        )));
    }
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    Ok(())
}

/// Reads the whole file and looks whether it holds together.
fn check_content(connection: &Connection) -> Result<(), StoreError> {
    find_damage(connection)?.map_or(Ok(()), |damage| {
        Err(StoreError::Damaged(format!(
            "{FILE_NAME} is damaged ({damage}); nothing was changed: restore a backup"
        )))
    })
}

/// Reads the whole file: what does not hold together, if anything.
pub(super) fn find_damage(connection: &Connection) -> Result<Option<String>, StoreError> {
    let verdict = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match verdict {
        Ok(verdict) if verdict == "ok" => Ok(None),
        Ok(verdict) => Ok(Some(verdict.replace(char::is_control, " "))),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Ok(Some(error.to_string().replace(char::is_control, " ")))
            }
            _ => Err(error.into()),
        },
    }
}

/// Copies the write-ahead log into the file and empties it.
///
/// # Errors
/// [`StoreError::Unavailable`] if another process uses the database.
pub(super) fn empty_log(connection: &Connection) -> Result<(), StoreError> {
    let is_busy = |row: &Row<'_>| row.get::<_, bool>(0);
    if connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], is_busy)? {
        return Err(StoreError::Unavailable(format!("another program uses {FILE_NAME}")));
    }
    Ok(())
}

/// Writes a page that is always there and changes nothing, as durably as anything else.
pub(super) fn rewrite_header(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    Ok(transaction.pragma_update(None, "application_id", APPLICATION_ID)?)
}

/// Takes the steps that are missing: all or none.
fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    if version(connection)? == known() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster; it may even be a newer one.
    check(&transaction)?;
    let found = usize::try_from(version(&transaction)?).unwrap_or_default();
    take_steps(&transaction, found)?;
    transaction.commit()?;
    Ok(())
}

/// Leads from the schema `found` to the newest.
fn take_steps(transaction: &Transaction<'_>, found: usize) -> Result<(), Error> {
    for step in MIGRATIONS.iter().skip(found) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", known())
}

fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("a handful of steps")
}

fn version(connection: &Connection) -> Result<i64, Error> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Damaged(format!("cannot {what} {}: {error}", path.display()))
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let text = error.to_string().replace(char::is_control, " ");
        match error.sqlite_error_code() {
            Some(ErrorCode::TooBig) => Self::TooLarge,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(format!(
                "{FILE_NAME} is damaged or no database ({text}); nothing was changed: restore \
                 a backup, or move the file away to begin anew"
            )),
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::OperationInterrupted
                | ErrorCode::FileLockingProtocolFailed,
            ) => Self::Unavailable(format!("{FILE_NAME}: {text}")),
            _ => Self::Damaged(format!("{FILE_NAME}: {text}")),
        }
    }
}
