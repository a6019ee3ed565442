//! Whether an open database is still what a restart will find: its files are those that their
//! names stand for, and only `SQLite` has written to them.
//!
//! Asks the names, never opens a file: to close it again would end the locks of `SQLite`.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::store::contract::StoreError;

/// The database, its write-ahead log, and the log's index.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// What is known of the files.
pub(super) struct Guard {
    files: [(PathBuf, Identity); SUFFIXES.len()],
    /// The database file after the last write of this process.
    stamp: Mutex<Stamp>,
    /// Something was read that cannot be, or another program has changed the file.
    is_suspect: AtomicBool,
    /// What is wrong with the content, for good.
    damage: OnceLock<String>,
}

/// Device and inode.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64);

/// What changes when a file is written to.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl From<&Metadata> for Stamp {
    fn from(file: &Metadata) -> Self {
        Self { bytes: file.size(), seconds: file.mtime(), nanoseconds: file.mtime_nsec() }
    }
}

impl Guard {
    /// Of the database at `path`, which is open and has its log.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let file = |suffix: &str| {
            let path = with_suffix(path, suffix);
            let identity = identity(&path)?;
            Ok::<_, io::Error>((path, identity))
        };
        let [database, log, index] = SUFFIXES.map(file);
        Ok(Self {
            files: [database?, log?, index?],
            stamp: Mutex::new(Stamp::from(&fs::metadata(path)?)),
            is_suspect: AtomicBool::new(false),
            damage: OnceLock::new(),
        })
    }

    /// Whether what is written now is what a restart reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: a file is gone, or another one has its name.
    pub(super) fn check_place(&self) -> Result<(), StoreError> {
        for (path, opened) in &self.files {
            if identity(path).is_ok_and(|found| found == *opened) {
                continue;
            }
            return Err(StoreError::Unavailable(format!(
                "{} was removed or replaced while the server uses it, so nothing is stored any \
                 more: restart the server, after putting there what it is to go on with",
                path.display()
            )));
        }
        Ok(())
    }

    /// What is wrong with the content.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], from the first time on.
    pub(super) fn check_damage(&self) -> Result<(), StoreError> {
        self.damage.get().map_or(Ok(()), |damage| Err(StoreError::Damaged(damage.clone())))
    }

    /// This process has written, under the lock of its one connection that does.
    pub(super) fn note_write(&self) {
        if let Some(found) = self.find_stamp() {
            *self.stamp.lock().unwrap_or_else(PoisonError::into_inner) = found;
        }
    }

    /// Its size in bytes if another program has changed the database file since the last time.
    pub(super) fn take_change(&self) -> Option<u64> {
        let found = self.find_stamp()?;
        let mut stamp = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        let has_changed = *stamp != found;
        *stamp = found;
        has_changed.then_some(found.bytes)
    }

    /// The content has to be checked before the next write.
    pub(super) fn suspect(&self) {
        self.is_suspect.store(true, Ordering::Relaxed);
    }

    /// Whether the content has to be checked.
    pub(super) fn is_suspect(&self) -> bool {
        self.is_suspect.load(Ordering::Relaxed)
    }

    /// The content was checked, and this is wrong with it.
    pub(super) fn note_verdict(&self, damage: Option<String>) {
        if let Some(damage) = damage {
            // The first one stays.
            let _known_already = self.damage.set(damage);
        }
        self.is_suspect.store(false, Ordering::Relaxed);
    }

    fn find_stamp(&self) -> Option<Stamp> {
        let [(database, _), ..] = &self.files;
        fs::metadata(database).ok().map(|file| Stamp::from(&file))
    }
}

/// `path` with `suffix` behind its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|file| Identity(file.dev(), file.ino()))
}
