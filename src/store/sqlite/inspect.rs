//! A look at a database that changes nothing, also while a server uses it: for the doctor.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{BUSY_TIMEOUT, FILE_NAME, cannot, schema};
use crate::store::contract::StoreError;

/// Files up to this size, in bytes, are read from end to end. On a memory card that takes half a
/// minute.
const CHECKED_FILE_BYTES_MAX: u64 = 1 << 30;

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inspection {
    /// No file yet.
    Missing,
    /// A file that holds together.
    Sound {
        /// Its size.
        bytes: u64,
        /// Whether all of it was read; too large a file was only opened.
        is_read: bool,
    },
}

/// Looks at the database in `dir`.
///
/// # Errors
/// [`StoreError::TooNew`], [`StoreError::Damaged`] if it is no database of ours, does not hold
/// together or cannot be read; [`StoreError::Unavailable`] if it is busy.
pub fn inspect(dir: &Path) -> Result<Inspection, StoreError> {
    let path = dir.join(FILE_NAME);
    let bytes = match fs::metadata(&path) {
        Ok(file) if file.is_file() => file.len(),
        Ok(_) => return Err(StoreError::Damaged(format!("{} is no file", path.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Inspection::Missing),
        Err(error) => return Err(cannot("read", &path, &error)),
    };
    let is_read = bytes <= CHECKED_FILE_BYTES_MAX;
    let check = |connection: Connection| {
        schema::check(&connection)?;
        if is_read { schema::check_content(&connection) } else { Ok(()) }
    };
    let is_in_use = || log_of(&path).exists();
    if !is_in_use() {
        let result = open_at_rest(&path).and_then(check);
        // A server that was started meanwhile may have written under our eyes.
        if result.is_ok() || !is_in_use() {
            return result.map(|()| Inspection::Sound { bytes, is_read });
        }
    }
    open_in_use(&path).and_then(check)?;
    Ok(Inspection::Sound { bytes, is_read })
}

/// Beside a server, or what one that was killed has left: its log is read as well.
fn open_in_use(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// A file that nobody uses. Opened as one that cannot change, since `SQLite` would make files for
/// others beside it, and they would be ours.
fn open_at_rest(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let absolute = fs::canonicalize(path).map_err(|error| cannot("read", path, &error))?;
    let uri = format!("file:{}?immutable=1", escaped(&absolute));
    Ok(Connection::open_with_flags(uri, flags)?)
}

/// The write-ahead log of the database at `path`.
fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// `path` as a part of a URI.
fn escaped(path: &Path) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(
            |&byte| {
                if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
            },
        )
        .collect()
}
