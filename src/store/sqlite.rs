//! The embedded store: one SQLite file in `DATA_DIR`, the only user of `rusqlite`.
//!
//! One connection behind a mutex serves all workers: a server has two of them, a statement takes
//! microseconds, and each further connection would cost a page cache. Every change is one
//! IMMEDIATE transaction and is on the disk when the call returns (`synchronous=FULL`).

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Row, ToSql, Transaction,
    TransactionBehavior, params,
};

use super::{
    AccountState, FirstUser, Profile, Role, RoomRecord, Store, StoreError, USERS_MAX, User,
    UserChange,
};
use crate::config::HostAuth;
use crate::secret::Secret;
use crate::time::UnixMillis;

/// The file in `DATA_DIR`.
pub const FILE_NAME: &str = "sync.db";

/// How long a statement waits for another process, less than a job may take.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);
/// A document beyond this leaves a page cache behind that is given back at once.
const SHRINK_BYTES: usize = 64 * 1024;
/// Pages that a backup copies at a time, so that writers get their turn between.
const BACKUP_PAGES: i32 = 256;

/// One schema version after the other; the first is version 1. What stands here is never changed.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE rooms (
        room_code TEXT PRIMARY KEY,
        room_id TEXT NOT NULL,
        host_id TEXT,
        host_auth TEXT NOT NULL,
        host_token_hash BLOB,
        document TEXT,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE users (
        user_id TEXT PRIMARY KEY,
        email TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL,
        password_hash TEXT,
        created_at INTEGER NOT NULL,
        setup_token TEXT UNIQUE,
        setup_expires_at INTEGER,
        is_active INTEGER NOT NULL,
        discord_id TEXT,
        version INTEGER NOT NULL,
        profile_id TEXT NOT NULL,
        first_name TEXT,
        last_name TEXT,
        nickname TEXT,
        position TEXT
    ) STRICT;
"];

const USER_COLUMNS: &str = "user_id, email, role, password_hash, created_at, setup_token, \
     setup_expires_at, is_active, discord_id, version, profile_id, first_name, last_name, \
     nickname, position";

/// See the [module](self).
pub struct SqliteStore {
    connection: Mutex<Connection>,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store in `directory`; makes both if they are missing, for the owner alone.
    ///
    /// # Errors
    /// One line for the operator: [`StoreError::Damaged`] if the directory can't be used or the
    /// file is no database of this server, [`StoreError::TooNew`]. The file is left as it is.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(FILE_NAME);
        let unusable = |error: io::Error| {
            let path = directory.display();
            StoreError::Damaged(format!("DATA_DIR {path} cannot be used: {error}"))
        };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unusable)?;
        private_file(&path, false).map_err(unusable)?;
        let connection = open_database(&path).map_err(|error| open_error(&path, &error))?;
        let store = Self { connection: Mutex::new(connection) };
        store.migrate(&path)?;
        Ok(store)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic ends the process; what a transaction had begun is rolled back either way.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `act` in one transaction that can't be overtaken.
    fn write<T>(
        &self,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.lock();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| failed(&error))?;
        let result = act(&transaction)?;
        transaction.commit().map_err(|error| failed(&error))?;
        Ok(result)
    }

    fn migrate(&self, path: &Path) -> Result<(), StoreError> {
        let mut connection = self.lock();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| open_error(path, &error))?;
        let found: i64 = transaction
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|error| open_error(path, &error))?;
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        let Some(missing) = usize::try_from(found).ok().and_then(|at| MIGRATIONS.get(at..)) else {
            return Err(StoreError::TooNew { found, known });
        };
        for migration in missing {
            transaction.execute_batch(migration).map_err(|error| open_error(path, &error))?;
        }
        if found < known {
            transaction
                .pragma_update(None, "user_version", known)
                .map_err(|error| open_error(path, &error))?;
        }
        transaction.commit().map_err(|error| open_error(path, &error))
    }

    fn user(&self, column: &str, value: &str) -> Result<Option<User>, StoreError> {
        find_user(&self.lock(), column, value)
    }
}

/// Copies the store in `directory`, which may be in use, to the new file `target`.
///
/// # Errors
/// One line for the operator. A file that exists is not overwritten.
pub fn backup(directory: &Path, target: &Path) -> Result<(), StoreError> {
    let source_path = directory.join(FILE_NAME);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(&source_path, flags)
        .and_then(|source| source.busy_timeout(BUSY_TIMEOUT).map(|()| source))
        .map_err(|error| open_error(&source_path, &error))?;
    let unusable = |error: io::Error| {
        StoreError::Damaged(format!("{} cannot be written: {error}", target.display()))
    };
    private_file(target, true).map_err(unusable)?;
    let copied = copy_to(&source, target);
    if copied.is_err() {
        // Half a copy is worse than none.
        fs::remove_file(target).map_err(unusable)?;
    }
    copied.map_err(|error| open_error(target, &error))
}

fn copy_to(source: &Connection, target: &Path) -> rusqlite::Result<()> {
    let mut copy = Connection::open_with_flags(target, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    Backup::new(source, &mut copy)?.run_to_completion(BACKUP_PAGES, Duration::ZERO, None)?;
    let verdict: String = copy.query_row("PRAGMA quick_check", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(rusqlite::Error::InvalidQuery) }
}

impl Store for SqliteStore {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn ping(&self) -> Result<(), StoreError> {
        let answer = self.lock().query_row("SELECT 1", [], |_| Ok(()));
        answer.map_err(|error| failed(&error))
    }

    fn room(&self, room_code: &str) -> Result<Option<RoomRecord>, StoreError> {
        let connection = self.lock();
        let room = connection
            .query_row(
                "SELECT room_code, room_id, host_id, host_auth, host_token_hash, document, \
                 created_at, updated_at FROM rooms WHERE room_code = ?1",
                [room_code],
                read_room,
            )
            .optional()
            .map_err(|error| failed(&error))?;
        let is_big = |room: &RoomRecord| {
            room.document.as_ref().is_some_and(|document| document.len() > SHRINK_BYTES)
        };
        if room.as_ref().is_some_and(is_big) {
            shrink(&connection);
        }
        Ok(room)
    }

    fn save_room(&self, room: &RoomRecord) -> Result<(), StoreError> {
        let host_auth = match room.host_auth {
            HostAuth::PeerId => "peer_id",
            HostAuth::Token => "token",
        };
        let changed = self.write(|transaction| {
            transaction
                .execute(
                    "INSERT INTO rooms (room_code, room_id, host_id, host_auth, host_token_hash, \
                     document, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                     ON CONFLICT (room_code) DO UPDATE SET host_id = ?3, host_auth = ?4, \
                     host_token_hash = ?5, document = ?6, updated_at = ?8 WHERE room_id = ?2",
                    params![
                        room.room_code,
                        room.room_id,
                        room.host_id,
                        host_auth,
                        room.host_token_hash,
                        room.document,
                        room.created_at.0,
                        room.updated_at.0,
                    ],
                )
                .map_err(|error| failed(&error))
        })?;
        if room.document.as_ref().is_some_and(|document| document.len() > SHRINK_BYTES) {
            shrink(&self.lock());
        }
        if changed == 0 { Err(StoreError::Conflict) } else { Ok(()) }
    }

    fn has_users(&self) -> Result<bool, StoreError> {
        has_users(&self.lock())
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
        self.write(|transaction| insert_user(transaction, user))
    }

    fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        self.user("email", email)
    }

    fn user_by_id(&self, id: &str) -> Result<Option<User>, StoreError> {
        self.user("user_id", id)
    }

    fn user_by_setup_token(&self, token: &Secret) -> Result<Option<User>, StoreError> {
        self.user("setup_token", token.expose())
    }

    fn users(&self) -> Result<Vec<User>, StoreError> {
        let connection = self.lock();
        let sql = format!(
            "SELECT {USER_COLUMNS} FROM users ORDER BY created_at, rowid LIMIT {USERS_MAX}"
        );
        let mut statement = connection.prepare(&sql).map_err(|error| failed(&error))?;
        let users = statement.query_map([], read_user).map_err(|error| failed(&error))?;
        users.collect::<rusqlite::Result<_>>().map_err(|error| failed(&error))
    }

    fn update_user(&self, id: &str, change: &UserChange) -> Result<User, StoreError> {
        self.write(|transaction| {
            let before = find_user(transaction, "user_id", id)?.ok_or(StoreError::NotFound)?;
            let after = changed(before.clone(), change);
            guard_last_admin(transaction, &before, Some(&after))?;
            replace_user(transaction, &after)?;
            Ok(after)
        })
    }

    fn delete_user(&self, id: &str) -> Result<User, StoreError> {
        self.write(|transaction| {
            let user = find_user(transaction, "user_id", id)?.ok_or(StoreError::NotFound)?;
            guard_last_admin(transaction, &user, None)?;
            execute(transaction, "DELETE FROM users WHERE user_id = ?1", &[&user.user_id])?;
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
            let mut user = find_user(transaction, "setup_token", token.expose())?
                .filter(|user| user.setup_expires_at.is_some_and(|expires| now < expires))
                .ok_or(StoreError::NotFound)?;
            user.password_hash = Some(password_hash.clone());
            user.setup_token = None;
            user.setup_expires_at = None;
            user.version += 1;
            replace_user(transaction, &user)?;
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
            let sql =
                "UPDATE users SET password_hash = ?1 WHERE user_id = ?2 AND password_hash = ?3";
            execute(transaction, sql, &[&new.expose(), &user_id, &old.expose()])
                .map(|count| count > 0)
        })
    }

    fn account_states(&self, user_ids: &[String]) -> Result<Vec<Option<AccountState>>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare("SELECT version, role, is_active FROM users WHERE user_id = ?1")
            .map_err(|error| failed(&error))?;
        let mut state = |user_id: &String| {
            let row = statement.query_row([user_id], |row| {
                let version = version(row.get(0)?);
                Ok(AccountState { version, role: role(row.get(1)?), is_active: row.get(2)? })
            });
            row.optional().map_err(|error| failed(&error))
        };
        user_ids.iter().map(&mut state).collect()
    }
}

/// A file for its owner alone; with `is_new` it must not be there yet.
fn private_file(path: &Path, is_new: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).create_new(is_new).mode(0o600);
    options.open(path).map(drop)
}

fn open_database(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // The first statement that reads: whatever is no database is found out here.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA cache_size = -512; PRAGMA mmap_size = 0;",
    )?;
    Ok(connection)
}

/// Gives memory of a big document back.
fn shrink(connection: &Connection) {
    // Nothing depends on it.
    let _advice = connection.execute_batch("PRAGMA shrink_memory");
}

fn open_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    let what = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            "is damaged or no database of this server; move it away or restore a backup"
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "cannot be opened for writing"
        }
        _ => "cannot be used",
    };
    StoreError::Damaged(format!("{} {what} ({error})", path.display()))
}

fn failed(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::TooBig) => StoreError::TooLarge,
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::Damaged(format!("{FILE_NAME} is damaged: {error}"))
        }
        // Locked, full, or the disk fails: it may be better later.
        _ => StoreError::Unavailable(error.to_string()),
    }
}

fn execute(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn ToSql],
) -> Result<usize, StoreError> {
    connection.execute(sql, parameters).map_err(|error| failed(&error))
}

fn has_users(connection: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM users)";
    connection.query_row(sql, [], |row| row.get(0)).map_err(|error| failed(&error))
}

/// `column` is one of ours, never a client's text.
fn find_user(
    connection: &Connection,
    column: &str,
    value: &str,
) -> Result<Option<User>, StoreError> {
    let sql = format!("SELECT {USER_COLUMNS} FROM users WHERE {column} = ?1");
    let user = connection.query_row(&sql, [value], read_user).optional();
    user.map_err(|error| failed(&error))
}

fn insert_user(connection: &Connection, user: &User) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO users ({USER_COLUMNS}) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
    );
    put_user(connection, &sql, user)
}

fn replace_user(connection: &Connection, user: &User) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE users SET ({USER_COLUMNS}) = \
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) WHERE user_id = ?1"
    );
    put_user(connection, &sql, user)
}

fn put_user(connection: &Connection, sql: &str, user: &User) -> Result<(), StoreError> {
    let profile = &user.profile;
    let put = connection.execute(
        sql,
        params![
            user.user_id,
            user.email,
            role_name(user.role),
            user.password_hash.as_ref().map(Secret::expose),
            user.created_at.0,
            user.setup_token.as_ref().map(Secret::expose),
            user.setup_expires_at.map(|at| at.0),
            user.is_active,
            user.discord_id,
            i64::try_from(user.version).unwrap_or(i64::MAX),
            profile.id,
            profile.first_name,
            profile.last_name,
            profile.nickname,
            profile.position,
        ],
    );
    match put {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(StoreError::EmailTaken)
        }
        Err(error) => Err(failed(&error)),
    }
}

fn changed(mut user: User, change: &UserChange) -> User {
    fn set<T: Clone>(place: &mut T, value: Option<&T>) {
        if let Some(value) = value {
            place.clone_from(value);
        }
    }
    set(&mut user.email, change.email.as_ref());
    set(&mut user.role, change.role.as_ref());
    set(&mut user.is_active, change.is_active.as_ref());
    if change.password_hash.is_some() {
        user.password_hash.clone_from(&change.password_hash);
        user.setup_token = None;
        user.setup_expires_at = None;
    }
    set(&mut user.discord_id, change.discord_id.as_ref());
    set(&mut user.profile.first_name, change.first_name.as_ref());
    set(&mut user.profile.last_name, change.last_name.as_ref());
    set(&mut user.profile.nickname, change.nickname.as_ref());
    set(&mut user.profile.position, change.position.as_ref());
    user.version += u64::from(change.end_tokens);
    user
}

/// Refuses a change that would leave nobody who can administer.
fn guard_last_admin(
    connection: &Connection,
    before: &User,
    after: Option<&User>,
) -> Result<(), StoreError> {
    let rules =
        |user: &User| user.is_active && user.role == Role::Admin && user.password_hash.is_some();
    if !rules(before) || after.is_some_and(rules) {
        return Ok(());
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM users \
               WHERE role = 'admin' AND is_active AND password_hash IS NOT NULL \
               AND user_id <> ?1)";
    let others = connection.query_row(sql, [&before.user_id], |row| row.get(0));
    let others: bool = others.map_err(|error| failed(&error))?;
    if others { Ok(()) } else { Err(StoreError::LastAdmin) }
}

fn read_room(row: &Row<'_>) -> rusqlite::Result<RoomRecord> {
    let host_auth: String = row.get(3)?;
    Ok(RoomRecord {
        room_code: row.get(0)?,
        room_id: row.get(1)?,
        host_id: row.get(2)?,
        host_auth: if host_auth == "token" { HostAuth::Token } else { HostAuth::PeerId },
        host_token_hash: row.get(4)?,
        document: row.get(5)?,
        created_at: UnixMillis(row.get(6)?),
        updated_at: UnixMillis(row.get(7)?),
    })
}

fn read_user(row: &Row<'_>) -> rusqlite::Result<User> {
    let user_id: String = row.get(0)?;
    let secret = |text: Option<String>| text.map(Secret::new);
    Ok(User {
        id: user_id.clone(),
        user_id,
        email: row.get(1)?,
        role: role(row.get(2)?),
        password_hash: secret(row.get(3)?),
        created_at: UnixMillis(row.get(4)?),
        setup_token: secret(row.get(5)?),
        setup_expires_at: row.get::<_, Option<i64>>(6)?.map(UnixMillis),
        is_active: row.get(7)?,
        discord_id: row.get(8)?,
        version: version(row.get(9)?),
        profile: Profile {
            id: row.get(10)?,
            first_name: row.get(11)?,
            last_name: row.get(12)?,
            nickname: row.get(13)?,
            position: row.get(14)?,
        },
    })
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::User => "user",
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a column's value is read by value")]
fn role(name: String) -> Role {
    if name == "admin" { Role::Admin } else { Role::User }
}

fn version(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}
