//! Rooms and accounts in one `SQLite` file, for servers that have no database beside them.
//!
//! With `sqlite/file.rs`, which opens, checks and copies the file, the only user of `rusqlite`.
//! `sqlite/guard.rs` knows whether the file is still the one that was opened, `sqlite/draft.rs`
//! makes files.
//!
//! **Two connections**, each behind its own lock: one writes, in immediate transactions, and waits
//! for the disk (`synchronous=FULL`: what is acknowledged survives a power cut); the other only
//! reads and, thanks to the write-ahead log, never waits for the first. One for each worker would
//! cost a page cache each and gain nothing, because `SQLite` lets one writer in at a time. Other
//! processes at the same file are fine; a busy one is waited for.
//!
//! **A write that worked** is one that a restart finds. So none is attempted, and none is said to
//! have worked, while a file is gone or replaced, or once the content turned out to be damaged.

mod draft;
mod file;
mod guard;

pub use file::{FILE_NAME, backup, inspect};

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use guard::Guard;
use log::debug;
use rusqlite::config::DbConfig;
use rusqlite::types::Type;
use rusqlite::{
    Connection, Error, OptionalExtension, Row, Statement, Transaction, TransactionBehavior,
    named_params,
};

use super::contract::{
    AccountState, Profile, Role, RoomHead, RoomRecord, Store, StoreError, USERS_MAX, User,
    UserChange,
};
use crate::base::secret::Secret;
use crate::base::time::UnixMillis;
use crate::config::HostAuth;

/// Documents from this size on, in bytes, are followed by giving memory back.
const LARGE_DOCUMENT_BYTES: usize = 256 << 10;

/// How long a probe waits for another process that writes. The probe comes again soon, and keeps a
/// worker meanwhile.
const PROBE_BUSY_TIMEOUT: Duration = Duration::from_millis(100);
/// Stores a room, unless another one has its code. One that comes without a document leaves a
/// stored one alone.
const SAVE_ROOM: &str = "
    INSERT INTO rooms (room_code, room_id, host_id, host_auth, host_token_hash, created_at,
        updated_at, document)
    VALUES (:room_code, :room_id, :host_id, :host_auth, :host_token_hash, :created_at,
        :updated_at, :document)
    ON CONFLICT (room_code) DO UPDATE SET
        room_id = excluded.room_id,
        host_id = excluded.host_id,
        host_auth = excluded.host_auth,
        host_token_hash = excluded.host_token_hash,
        created_at = excluded.created_at,
        updated_at = excluded.updated_at,
        document = coalesce(excluded.document, document)
    WHERE rooms.room_id IS NULL OR rooms.room_id = excluded.room_id";

/// The columns of a user, and the parameters with their values.
const USER_COLUMNS: &str = "user_id, email, role, password_hash, created_at, setup_token, \
                            setup_expires_at, is_active, discord_id, version, profile_id, \
                            first_name, last_name, nickname, position";
/// See [`USER_COLUMNS`].
const USER_VALUES: &str = ":user_id, :email, :role, :password_hash, :created_at, :setup_token, \
                           :setup_expires_at, :is_active, :discord_id, :version, :profile_id, \
                           :first_name, :last_name, :nickname, :position";

/// An open database file.
pub struct SqliteStore {
    path: PathBuf,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    guard: Guard,
    /// The connections are closed; other ones, to nothing, stand in their place.
    is_closed: AtomicBool,
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
        let writer = file::open(dir)?;
        let path = dir.join(FILE_NAME);
        let reader = file::connect(&path)?;
        reader.pragma_update(None, "query_only", true)?;
        // Reading makes the log and its index, if they were not there.
        reader.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let guard = Guard::new(&path).map_err(|error| {
            StoreError::Unavailable(format!("cannot watch {}: {error}", path.display()))
        })?;
        let (writer, reader) = (Mutex::new(writer), Mutex::new(reader));
        Ok(Self { path, writer, reader, guard, is_closed: AtomicBool::new(false) })
    }

    /// Runs `work` in a transaction that nothing else can write beside.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.write_with(&mut lock(&self.writer), work)
    }

    /// The same for one that holds the lock.
    fn write_with<T>(
        &self,
        writer: &mut Connection,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.ensure_sound(writer)?;
        let done = transact(writer, work);
        self.guard.note_write();
        self.note_damage(&done);
        // What was written to a file that is no longer there is not stored.
        self.guard.check_place()?;
        done
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, StoreError> {
        let done = work(&lock(&self.reader)).map_err(StoreError::from);
        self.note_damage(&done);
        done
    }

    /// What cannot be read is a reason to look at everything before anything more is promised.
    fn note_damage<T>(&self, done: &Result<T, StoreError>) {
        if matches!(done, Err(StoreError::Damaged(_))) {
            self.guard.suspect();
        }
    }

    /// Whether what is written by `writer`, whose lock is held, can be read after a restart.
    fn ensure_sound(&self, writer: &Connection) -> Result<(), StoreError> {
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable(format!("{FILE_NAME} is closed")));
        }
        if let Err(error) = self.guard.check_place() {
            // The log goes into the file that it belongs to, wherever that is now: a server that
            // starts on another file of that name must not replay it. That can be done without.
            let _stays_behind = file::empty_log(writer);
            return Err(error);
        }
        self.guard.check_damage()?;
        if let Some(bytes) = self.guard.take_change() {
            // Pages that are kept may be no longer those of the file.
            writer.release_memory()?;
            lock(&self.reader).release_memory()?;
            if bytes <= file::CHECKED_AT_START_BYTES_MAX {
                self.guard.suspect();
            }
        }
        if self.guard.is_suspect() {
            writer.release_memory()?;
            let damage = file::find_damage(writer)?;
            self.guard.note_verdict(damage.map(|damage| {
                format!(
                    "{FILE_NAME} is damaged ({damage}), so nothing is stored any more: stop the \
                     server and restore a backup"
                )
            }));
        }
        self.guard.check_damage()
    }
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
        let mut writer = match self.writer.try_lock() {
            Ok(writer) => writer,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Its outcome will tell.
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Unavailable("a write has not ended yet".to_owned()));
            }
        };
        writer.busy_timeout(PROBE_BUSY_TIMEOUT)?;
        let written = self.write_with(&mut writer, file::rewrite_header);
        writer.busy_timeout(file::BUSY_TIMEOUT)?;
        written
    }

    fn look(&self) -> Result<(), StoreError> {
        match self.writer.try_lock() {
            Ok(writer) => self.ensure_sound(&writer),
            // A write looks by itself.
            Err(_) => Ok(()),
        }
    }

    fn close(&self) -> Result<(), StoreError> {
        let mut writer = lock(&self.writer);
        if self.is_closed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let is_in_place = self.guard.check_place();
        let reader = std::mem::replace(&mut *lock(&self.reader), Connection::open_in_memory()?);
        reader.close().map_err(|(_, error)| error)?;
        let is_log_empty = file::empty_log(&writer);
        let last = std::mem::replace(&mut *writer, Connection::open_in_memory()?);
        // The last one to be closed removes the log, whose name another file may have now.
        last.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, is_in_place.is_err())?;
        last.close().map_err(|(_, error)| error)?;
        is_in_place.and(is_log_empty)
    }

    fn room_head(&self, room_code: &str) -> Result<Option<RoomHead>, StoreError> {
        // The length stands in the head of the row, so the document itself is not read for it.
        let sql = "SELECT room_code, room_id, host_id, host_auth, host_token_hash, created_at,
                 updated_at, octet_length(document) AS document_bytes
             FROM rooms WHERE room_code = ?1";
        self.read(|reader| reader.query_row(sql, [room_code], read_head).optional())
    }

    fn document(&self, room_code: &str, room_id: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT document FROM rooms
             WHERE room_code = ?1 AND (room_id IS NULL OR room_id = ?2)";
        let values = [room_code, room_id];
        let document = self
            .read(|reader| reader.query_row(sql, values, |row| row.get(0)).optional())?
            .flatten();
        if is_large(document.as_ref()) {
            lock(&self.reader).release_memory()?;
        }
        Ok(document)
    }

    fn save_rooms(&self, rooms: &[RoomRecord]) -> Vec<Result<(), StoreError>> {
        let saved = self.write(|transaction| {
            let mut statement = transaction.prepare(SAVE_ROOM)?;
            let save = |room| match save_room(&mut statement, room) {
                // The statement has had no effect, and the others go on.
                Err(error @ (StoreError::TooLarge | StoreError::Damaged(_)))
                    if !transaction.is_autocommit() =>
                {
                    Ok(Err(error))
                }
                Err(error) => Err(error),
                Ok(is_ours) => Ok(if is_ours { Ok(()) } else { Err(StoreError::Conflict) }),
            };
            rooms.iter().map(save).collect::<Result<Vec<_>, _>>()
        });
        if rooms.iter().any(|room| is_large(room.document.as_ref()))
            && let Err(error) = lock(&self.writer).release_memory()
        {
            debug!("memory that a document took is kept: {error}");
        }
        saved.unwrap_or_else(|error| vec![Err(error); rooms.len()])
    }

    fn delete_room(&self, room_code: &str, room_id: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM rooms WHERE room_code = ?1 AND (room_id IS NULL OR room_id = ?2)";
        self.write(|transaction| Ok(transaction.execute(sql, [room_code, room_id]).map(drop)?))
    }

    fn has_users(&self) -> Result<bool, StoreError> {
        self.read(has_users)
    }

    fn create_first_user(&self, user: &User) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let is_first = !has_users(transaction)?;
            if is_first {
                insert_user(transaction, user)?;
            }
            Ok(is_first)
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
        self.read(|reader| user_where(reader, "email", email))
    }

    fn user_by_id(&self, id: &str) -> Result<Option<User>, StoreError> {
        self.read(|reader| user_where(reader, "user_id", id))
    }

    fn user_by_setup_token(&self, token: &Secret) -> Result<Option<User>, StoreError> {
        self.read(|reader| user_where(reader, "setup_token", token.expose()))
    }

    fn users(&self) -> Result<Vec<User>, StoreError> {
        let sql = format!(
            "SELECT {USER_COLUMNS} FROM users ORDER BY created_at, rowid LIMIT {USERS_MAX}"
        );
        self.read(|reader| reader.prepare(&sql)?.query_map([], read_user)?.collect())
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
            let after = changed(before.clone(), change);
            if before.can_administer() && !after.can_administer() {
                require_another_admin(transaction, id)?;
            }
            update_user(transaction, &after)?;
            Ok(after)
        })
    }

    fn delete_user(&self, id: &str) -> Result<User, StoreError> {
        self.write(|transaction| {
            let user = user_where(transaction, "user_id", id)?.ok_or(StoreError::NotFound)?;
            if user.can_administer() {
                require_another_admin(transaction, id)?;
            }
            transaction.execute("DELETE FROM users WHERE user_id = ?1", [id])?;
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
                .filter(|holder| holder.has_link_at(now))
                .ok_or(StoreError::NotFound)?;
            let user = changed(holder, &UserChange::password(password_hash.clone()));
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
        let sql = "UPDATE users SET password_hash = ?3 WHERE user_id = ?1 AND password_hash = ?2";
        let values = [user_id, old.expose(), new.expose()];
        self.write(|transaction| Ok(transaction.execute(sql, values)? == 1))
    }

    fn account_states(&self, user_ids: &[String]) -> Result<Vec<Option<AccountState>>, StoreError> {
        self.read(|reader| {
            let mut statement =
                reader.prepare("SELECT version, role, is_active FROM users WHERE user_id = ?1")?;
            user_ids
                .iter()
                .map(|user_id| statement.query_row([user_id], read_state).optional())
                .collect()
        })
    }
}

fn transact<T>(
    writer: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = work(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    // A transaction that a panic has interrupted is rolled back when it is dropped.
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_large(document: Option<&String>) -> bool {
    document.is_some_and(|document| document.len() >= LARGE_DOCUMENT_BYTES)
}

/// Stores a room with [`SAVE_ROOM`]; false if another one has its code.
fn save_room(statement: &mut Statement<'_>, room: &RoomRecord) -> Result<bool, StoreError> {
    let values = named_params! {
        ":room_code": room.room_code,
        ":room_id": room.room_id,
        ":host_id": room.host_id,
        ":host_auth": room.host_auth.as_str(),
        ":host_token_hash": room.host_token_hash,
        ":created_at": room.created_at.0,
        ":updated_at": room.updated_at.0,
        ":document": room.document,
    };
    Ok(statement.execute(values)? > 0)
}

fn has_users(connection: &Connection) -> Result<bool, Error> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM users)", [], |row| row.get(0))
}

/// The user whose `column`, one of our own names, is `value`.
fn user_where(connection: &Connection, column: &str, value: &str) -> Result<Option<User>, Error> {
    let sql = format!("SELECT {USER_COLUMNS} FROM users WHERE {column} = ?1");
    connection.query_row(&sql, [value], read_user).optional()
}

/// The condition is that of [`User::can_administer`].
fn require_another_admin(transaction: &Transaction<'_>, id: &str) -> Result<(), StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM users
         WHERE role = 'admin' AND is_active = 1 AND password_hash IS NOT NULL AND user_id <> ?1)";
    let another = transaction.query_row(sql, [id], |row| row.get(0))?;
    if another { Ok(()) } else { Err(StoreError::LastAdmin) }
}

fn insert_user(transaction: &Transaction<'_>, user: &User) -> Result<(), StoreError> {
    let sql = format!("INSERT INTO users ({USER_COLUMNS}) VALUES ({USER_VALUES})");
    write_user(transaction, &sql, user)
}

fn update_user(transaction: &Transaction<'_>, user: &User) -> Result<(), StoreError> {
    let sql =
        format!("UPDATE users SET ({USER_COLUMNS}) = ({USER_VALUES}) WHERE user_id = :user_id");
    write_user(transaction, &sql, user)
}

/// Carries out `sql` with [`USER_VALUES`].
fn write_user(transaction: &Transaction<'_>, sql: &str, user: &User) -> Result<(), StoreError> {
    let values = named_params! {
        ":user_id": user.user_id,
        ":email": user.email,
        ":role": user.role.as_str(),
        ":password_hash": user.password_hash.as_ref().map(Secret::expose),
        ":created_at": user.created_at.0,
        ":setup_token": user.setup_token.as_ref().map(Secret::expose),
        ":setup_expires_at": user.setup_expires_at.map(|at| at.0),
        ":is_active": user.is_active,
        ":discord_id": user.discord_id,
        // `SQLite` has signed integers only; a version that high cannot be reached by counting.
        ":version": i64::try_from(user.version).unwrap_or(i64::MAX),
        ":profile_id": user.profile.id,
        ":first_name": user.profile.first_name,
        ":last_name": user.profile.last_name,
        ":nickname": user.profile.nickname,
        ":position": user.profile.position,
    };
    transaction.execute(sql, values)?;
    Ok(())
}

fn read_head(row: &Row<'_>) -> Result<RoomHead, Error> {
    let room = RoomRecord {
        room_code: row.get("room_code")?,
        room_id: row.get("room_id")?,
        host_id: row.get("host_id")?,
        host_auth: HostAuth::from_name(row.get_ref("host_auth")?.as_str()?).unwrap_or_default(),
        host_token_hash: row.get("host_token_hash")?,
        document: None,
        created_at: UnixMillis(row.get("created_at")?),
        updated_at: UnixMillis(row.get("updated_at")?),
    };
    let bytes: Option<i64> = row.get("document_bytes")?;
    Ok(RoomHead { room, document_bytes: bytes.and_then(|bytes| usize::try_from(bytes).ok()) })
}

fn read_user(row: &Row<'_>) -> Result<User, Error> {
    let user_id: String = row.get("user_id")?;
    let AccountState { version, role, is_active } = read_state(row)?;
    Ok(User {
        id: user_id.clone(),
        user_id,
        email: row.get("email")?,
        role,
        password_hash: row.get::<_, Option<String>>("password_hash")?.map(Secret::new),
        created_at: UnixMillis(row.get("created_at")?),
        setup_token: row.get::<_, Option<String>>("setup_token")?.map(Secret::new),
        setup_expires_at: row.get::<_, Option<i64>>("setup_expires_at")?.map(UnixMillis),
        is_active,
        discord_id: row.get("discord_id")?,
        version,
        profile: Profile {
            id: row.get("profile_id")?,
            first_name: row.get("first_name")?,
            last_name: row.get("last_name")?,
            nickname: row.get("nickname")?,
            position: row.get("position")?,
        },
    })
}

fn read_state(row: &Row<'_>) -> Result<AccountState, Error> {
    let version: i64 = row.get("version")?;
    Ok(AccountState {
        version: u64::try_from(version)
            .map_err(|error| Error::FromSqlConversionFailure(0, Type::Integer, error.into()))?,
        role: Role::from_name(row.get_ref("role")?.as_str()?).unwrap_or_default(),
        is_active: row.get("is_active")?,
    })
}

/// `user` after `change`.
fn changed(mut user: User, change: &UserChange) -> User {
    fn set<T: Clone>(field: &mut T, value: Option<&T>) {
        if let Some(value) = value {
            field.clone_from(value);
        }
    }
    set(&mut user.email, change.email.as_ref());
    set(&mut user.role, change.role.as_ref());
    set(&mut user.is_active, change.is_active.as_ref());
    if let Some(password_hash) = &change.password_hash {
        user.password_hash = Some(password_hash.clone());
        user.setup_token = None;
        user.setup_expires_at = None;
    }
    set(&mut user.discord_id, change.discord_id.as_ref());
    set(&mut user.profile.first_name, change.first_name.as_ref());
    set(&mut user.profile.last_name, change.last_name.as_ref());
    set(&mut user.profile.nickname, change.nickname.as_ref());
    set(&mut user.profile.position, change.position.as_ref());
    if change.end_tokens {
        user.version = user.version.saturating_add(1);
    }
    user
}
