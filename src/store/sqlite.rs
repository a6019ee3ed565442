//! Rooms and accounts in one `SQLite` file, for servers that have no database beside them.
//!
//! The only user of `rusqlite`. `schema` knows the tables and how old ones become new ones,
//! `rows` what a row means.
//!
//! **Two connections**, each behind its own lock: one writes, in immediate transactions, and waits
//! for the disk (`synchronous=FULL`: what is acknowledged survives a power cut); the other only
//! reads and, thanks to the write-ahead log, never waits for the first. One for each worker would
//! cost a page cache each and gain nothing, because `SQLite` lets one writer in at a time. Other
//! processes at the same file are fine; a busy one is waited for.

mod inspect;
mod rows;
mod schema;

pub use inspect::{Inspection, inspect};

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::warn;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior,
    named_params,
};

use super::contract::{
    AccountState, FirstUser, Role, RoomRecord, Store, StoreError, USERS_MAX, User, UserChange,
};
use crate::base::secret::Secret;
use crate::base::time::UnixMillis;
use rows::{ROOM_COLUMNS, USER_COLUMNS};

/// The file's name in the data directory.
pub const FILE_NAME: &str = "sync.db";

/// Attempts to switch to the write-ahead log, and the time between them: as long as the time-out
/// of a busy database in all.
const WAL_ATTEMPTS_MAX: u32 = 200;
/// See [`WAL_ATTEMPTS_MAX`].
const WAL_INTERVAL: Duration = Duration::from_millis(20);
/// How long to wait for another process that writes. Less than the five seconds after which the
/// engine gives up on a job.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

/// Page cache of one connection, in KiB. Rooms are read and written whole and seldom, so there is
/// little to gain from more.
const CACHE_KIB: i32 = 256;

/// Size to which the write-ahead log is cut after it was copied into the file, in bytes.
const LOG_BYTES_MAX: i64 = 8 << 20;

/// Documents from this size on, in bytes, are followed by giving memory back.
const LARGE_DOCUMENT_BYTES: usize = 256 << 10;

/// Files up to this size, in bytes, are checked from end to end at the start. Larger ones would
/// delay it; their damage shows when it is met.
const CHECKED_FILE_BYTES_MAX: u64 = 64 << 20;

/// An open database file.
pub struct SqliteStore {
    path: PathBuf,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

impl SqliteStore {
    /// The database in `dir`. What is missing is made, only for this user to read; an older
    /// schema is brought up to date.
    ///
    /// # Errors
    /// [`StoreError::TooNew`]; [`StoreError::Damaged`] if the file is no database of ours, or the
    /// directory or file cannot be made or written to; [`StoreError::Unavailable`] if another
    /// process keeps it busy. Nothing is overwritten.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| cannot("create the directory", dir, &error))?;
        let path = dir.join(FILE_NAME);
        make_file(dir, &path)?;
        let mut writer = connect(&path)?;
        // One transaction: another process may be at its first migration.
        schema::check(&*writer.transaction()?)?;
        if fs::metadata(&path).is_ok_and(|file| file.len() <= CHECKED_FILE_BYTES_MAX) {
            schema::check_content(&writer)?;
        }
        let mode = enter_wal(&writer)?;
        if mode != "wal" {
            return Err(StoreError::Damaged(format!(
                "{}: this file system cannot hold a write-ahead log; set DATA_DIR to a local one",
                path.display()
            )));
        }
        schema::migrate(&mut writer)?;
        let reader = connect(&path)?;
        reader.pragma_update(None, "query_only", true)?;
        Ok(Self { path, writer: Mutex::new(writer), reader: Mutex::new(reader) })
    }

    /// Runs `work` in a transaction that nobody else can write beside.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut writer = lock(&self.writer);
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        Ok(work(&lock(&self.reader))?)
    }

    fn user_where(&self, condition: &str, value: &str) -> Result<Option<User>, StoreError> {
        self.read(|reader| user_where(reader, condition, value))
    }
}

/// Copies the database in `dir`, as it is at one moment and while it goes on being used, into the
/// new file `target`, only for this user to read.
///
/// # Errors
/// [`StoreError::Damaged`] if there is no database in `dir`, or `target` exists or cannot be
/// written; then nothing is left of it.
pub fn backup(dir: &Path, target: &Path) -> Result<(), StoreError> {
    let path = dir.join(FILE_NAME);
    fs::metadata(&path).map_err(|error| cannot("read", &path, &error))?;
    let mut source = connect(&path)?;
    schema::check(&*source.transaction()?)?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(target)
        .map_err(|error| cannot("create", target, &error))?;
    copy(&source, target).inspect_err(|_| {
        if let Err(error) = fs::remove_file(target) {
            warn!("cannot remove {}: {error}", target.display());
        }
    })
}

fn copy(source: &Connection, target: &Path) -> Result<(), StoreError> {
    let mut copy = Connection::open_with_flags(target, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // All pages in one step: between two, a writer would make it begin again. Writers do not wait
    // for it.
    if Backup::new(source, &mut copy)?.step(-1)? != StepResult::Done {
        return Err(StoreError::Unavailable(format!("{FILE_NAME} is busy; try again")));
    }
    // The mark of the write-ahead log was copied too; a copy is one file.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    copy.close().map_err(|(_, error)| error)?;
    File::open(target)
        .and_then(|file| file.sync_all())
        .map_err(|error| cannot("write", target, &error))
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store for SqliteStore {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn ping(&self) -> Result<(), StoreError> {
        self.read(|reader| {
            reader.prepare("SELECT count(*) FROM sqlite_schema")?.query_row([], |_| Ok(()))
        })
    }

    fn room(&self, room_code: &str) -> Result<Option<RoomRecord>, StoreError> {
        let room = self.read(|reader| {
            reader
                .prepare(&format!("SELECT {ROOM_COLUMNS} FROM rooms WHERE room_code = ?1"))?
                .query_row([room_code], rows::read_room)
                .optional()
        })?;
        if room.as_ref().is_some_and(is_large) {
            lock(&self.reader).release_memory()?;
        }
        Ok(room)
    }

    fn save_room(&self, room: &RoomRecord) -> Result<(), StoreError> {
        self.write(|transaction| {
            // A room that comes without a document leaves a stored one alone.
            let changed = transaction
                .prepare(
                    "INSERT INTO rooms (room_code, room_id, host_id, host_auth, host_token_hash,
                         created_at, updated_at, document)
                     VALUES (:room_code, :room_id, :host_id, :host_auth, :host_token_hash,
                         :created_at, :updated_at, :document)
                     ON CONFLICT (room_code) DO UPDATE SET
                         room_id = excluded.room_id,
                         host_id = excluded.host_id,
                         host_auth = excluded.host_auth,
                         host_token_hash = excluded.host_token_hash,
                         created_at = excluded.created_at,
                         updated_at = excluded.updated_at,
                         document = coalesce(excluded.document, document)
                     WHERE rooms.room_id IS NULL OR rooms.room_id = excluded.room_id",
                )?
                .execute(named_params! {
                    ":room_code": room.room_code,
                    ":room_id": room.room_id,
                    ":host_id": room.host_id,
                    ":host_auth": rows::host_auth_name(room.host_auth),
                    ":host_token_hash": room.host_token_hash,
                    ":created_at": room.created_at.0,
                    ":updated_at": room.updated_at.0,
                    ":document": room.document,
                })?;
            if changed == 0 { Err(StoreError::Conflict) } else { Ok(()) }
        })?;
        if is_large(room) {
            lock(&self.writer).release_memory()?;
        }
        Ok(())
    }

    fn delete_room(&self, room_code: &str, room_id: &str) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction
                .prepare(
                    "DELETE FROM rooms
                     WHERE room_code = ?1 AND (room_id IS NULL OR room_id = ?2)",
                )?
                .execute([room_code, room_id])?;
            Ok(())
        })
    }

    fn has_users(&self) -> Result<bool, StoreError> {
        self.read(has_users)
    }

    fn create_first_user(&self, user: &User) -> Result<FirstUser, StoreError> {
        self.write(|transaction| {
            if has_users(transaction)? {
                return Ok(FirstUser::AlreadyThere);
            }
            insert_user(transaction, user)?;
            Ok(FirstUser::Created)
        })
    }

    fn create_user(&self, user: &User) -> Result<(), StoreError> {
        self.write(|transaction| {
            if user_where(transaction, "email", &user.email)?.is_some() {
                return Err(StoreError::EmailTaken);
            }
            insert_user(transaction, user)
        })
    }

    fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        self.user_where("email", email)
    }

    fn user_by_id(&self, id: &str) -> Result<Option<User>, StoreError> {
        self.user_where("user_id", id)
    }

    fn user_by_setup_token(&self, token: &Secret) -> Result<Option<User>, StoreError> {
        self.user_where("setup_token", token.expose())
    }

    fn users(&self) -> Result<Vec<User>, StoreError> {
        self.read(|reader| {
            reader
                .prepare(&format!(
                    "SELECT {USER_COLUMNS} FROM users ORDER BY created_at, rowid \
                     LIMIT {USERS_MAX}"
                ))?
                .query_map([], rows::read_user)?
                .collect()
        })
    }

    fn update_user(&self, id: &str, change: &UserChange) -> Result<User, StoreError> {
        self.write(|transaction| {
            let before = user_where(transaction, "user_id", id)?.ok_or(StoreError::NotFound)?;
            if let Some(email) = &change.email {
                let holder = user_where(transaction, "email", email)?;
                if holder.is_some_and(|holder| holder.user_id != before.user_id) {
                    return Err(StoreError::EmailTaken);
                }
            }
            let after = rows::changed(before.clone(), change);
            if is_ruling(&before) && !is_ruling(&after) {
                require_another_admin(transaction, id)?;
            }
            update_user(transaction, &after)?;
            Ok(after)
        })
    }

    fn delete_user(&self, id: &str) -> Result<User, StoreError> {
        self.write(|transaction| {
            let user = user_where(transaction, "user_id", id)?.ok_or(StoreError::NotFound)?;
            if is_ruling(&user) {
                require_another_admin(transaction, id)?;
            }
            transaction.prepare("DELETE FROM users WHERE user_id = ?1")?.execute([id])?;
            Ok(user)
        })
    }

    fn consume_setup_token(
        &self,
        token: &Secret,
        password_hash: &Secret,
        now: UnixMillis,
    ) -> Result<User, StoreError> {
        self.write(|transaction| {
            let holder = user_where(transaction, "setup_token", token.expose())?
                .filter(|holder| holder.setup_expires_at.is_some_and(|expires_at| now < expires_at))
                .ok_or(StoreError::NotFound)?;
            let user = User {
                password_hash: Some(password_hash.clone()),
                setup_token: None,
                setup_expires_at: None,
                version: holder.version.saturating_add(1),
                ..holder
            };
            update_user(transaction, &user)?;
            Ok(user)
        })
    }

    fn upgrade_password_hash(
        &self,
        user_id: &str,
        old: &Secret,
        new: &Secret,
    ) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let changed = transaction
                .prepare(
                    "UPDATE users SET password_hash = ?3 WHERE user_id = ?1 AND password_hash = ?2",
                )?
                .execute([user_id, old.expose(), new.expose()])?;
            Ok(changed == 1)
        })
    }

    fn account_states(&self, user_ids: &[String]) -> Result<Vec<Option<AccountState>>, StoreError> {
        self.read(|reader| {
            let mut statement =
                reader.prepare("SELECT version, role, is_active FROM users WHERE user_id = ?1")?;
            user_ids
                .iter()
                .map(|user_id| statement.query_row([user_id], rows::read_state).optional())
                .collect()
        })
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
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

/// Makes an empty file, or closes an existing one to other users.
fn make_file(dir: &Path, path: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        // Its name must survive a power cut as well as its content.
        Ok(_) => File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|error| cannot("write to", dir, &error)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
            .map_err(|error| cannot("write to", path, &error)),
        Err(error) => Err(cannot("create", path, &error)),
    }
}

/// Switches to the write-ahead log; the mode that holds then. `SQLite` does not wait for others in
/// the middle of the same switch, busy time-out or not, so that is done here.
#[expect(clippy::disallowed_methods, reason = "at the start, before there is a loop to block")]
fn enter_wal(connection: &Connection) -> rusqlite::Result<String> {
    let mut left = WAL_ATTEMPTS_MAX;
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
        let is_busy = matches!(
            mode.as_ref().map_err(rusqlite::Error::sqlite_error_code),
            Err(Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
        );
        left -= 1;
        if !is_busy || left == 0 {
            return mode;
        }
        std::thread::sleep(WAL_INTERVAL);
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    // A connection is used by one thread at a time: its lock sees to it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    for (name, value) in [("mmap_size", 0), ("journal_size_limit", LOG_BYTES_MAX)] {
        // These two answer with a row.
        connection.pragma_update_and_check(None, name, value, |_| Ok(()))?;
    }
    Ok(connection)
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Damaged(format!("cannot {what} {}: {error}", path.display()))
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    // A transaction that a panic has interrupted is rolled back when it is dropped.
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_large(room: &RoomRecord) -> bool {
    room.document.as_ref().is_some_and(|document| document.len() >= LARGE_DOCUMENT_BYTES)
}

fn has_users(connection: &Connection) -> Result<bool, rusqlite::Error> {
    connection
        .prepare("SELECT EXISTS (SELECT 1 FROM users)")?
        .query_row([], |row: &Row<'_>| row.get(0))
}

/// The user whose `column`, one of our own names, is `value`.
fn user_where(
    connection: &Connection,
    column: &str,
    value: &str,
) -> Result<Option<User>, rusqlite::Error> {
    connection
        .prepare(&format!("SELECT {USER_COLUMNS} FROM users WHERE {column} = ?1"))?
        .query_row([value], rows::read_user)
        .optional()
}

/// Whether the user can administer.
fn is_ruling(user: &User) -> bool {
    user.is_active && user.role == Role::Admin && user.password_hash.is_some()
}

fn require_another_admin(transaction: &Transaction<'_>, id: &str) -> Result<(), StoreError> {
    let another: bool = transaction
        .prepare(
            "SELECT EXISTS (SELECT 1 FROM users
             WHERE role = 'admin' AND is_active = 1 AND password_hash IS NOT NULL
                 AND user_id <> ?1)",
        )?
        .query_row([id], |row| row.get(0))?;
    if another { Ok(()) } else { Err(StoreError::LastAdmin) }
}

fn insert_user(transaction: &Transaction<'_>, user: &User) -> Result<(), StoreError> {
    transaction
        .prepare(
            "INSERT INTO users (user_id, email, role, password_hash, created_at, setup_token,
                 setup_expires_at, is_active, discord_id, version, profile_id, first_name,
                 last_name, nickname, position)
             VALUES (:user_id, :email, :role, :password_hash, :created_at, :setup_token,
                 :setup_expires_at, :is_active, :discord_id, :version, :profile_id, :first_name,
                 :last_name, :nickname, :position)",
        )?
        .execute(rows::user_params!(user))?;
    Ok(())
}

fn update_user(transaction: &Transaction<'_>, user: &User) -> Result<(), StoreError> {
    transaction
        .prepare(
            "UPDATE users SET email = :email, role = :role, password_hash = :password_hash,
                 created_at = :created_at, setup_token = :setup_token,
                 setup_expires_at = :setup_expires_at, is_active = :is_active,
                 discord_id = :discord_id, version = :version, profile_id = :profile_id,
                 first_name = :first_name, last_name = :last_name, nickname = :nickname,
                 position = :position
             WHERE user_id = :user_id",
        )?
        .execute(rows::user_params!(user))?;
    Ok(())
}
