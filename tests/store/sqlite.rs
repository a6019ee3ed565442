//! The suite over SQLite, and what only a file can do wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sync_server::store::sqlite::{FILE_NAME, SqliteStore, backup};
use sync_server::store::{Store, StoreError};

use crate::suite::{self, admin, room};

/// A directory that goes when the test ends.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("store-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // Left by a run that was killed and had the same process number.
        let _left_over = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn file(&self) -> PathBuf {
        self.data().join(FILE_NAME)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _best_effort = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn sqlite_does_what_every_store_must() {
    suite::run(|| {
        let directory = Directory::new();
        move || -> Arc<dyn Store> { Arc::new(SqliteStore::open(&directory.data()).expect("open")) }
    });
}

#[test]
fn only_the_owner_may_read() {
    let directory = Directory::new();
    let store = SqliteStore::open(&directory.data()).expect("open");
    store.create_user(&admin("a")).expect("created");
    assert_eq!(mode(&directory.data()), 0o700);
    for name in [FILE_NAME, "sync.db-wal", "sync.db-shm"] {
        assert_eq!(mode(&directory.data().join(name)), 0o600, "{name}");
    }
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let directory = Directory::new();
    drop(SqliteStore::open(&directory.data()).expect("open"));
    let mut damaged = fs::read(directory.file()).expect("read");
    damaged[..64].fill(b'x');
    for bytes in [b"not a database, by any means; a note that somebody left".repeat(40), damaged] {
        fs::write(directory.file(), &bytes).expect("written");
        let error = SqliteStore::open(&directory.data()).expect_err("refused");
        let line = error.to_string();
        assert!(matches!(error, StoreError::Damaged(_)), "{line}");
        assert!(line.contains("sync.db") && line.contains("damaged"), "{line}");
        assert!(!line.contains('\n'));
        assert!(fs::read(directory.file()).expect("read") == bytes, "it was changed");
    }
}

#[test]
fn data_of_a_newer_version_is_refused_and_left_alone() {
    let directory = Directory::new();
    drop(SqliteStore::open(&directory.data()).expect("open"));
    let connection = rusqlite::Connection::open(directory.file()).expect("open");
    connection.pragma_update(None, "user_version", 99).expect("set");
    drop(connection);
    let before = fs::read(directory.file()).expect("read");
    let error = SqliteStore::open(&directory.data()).expect_err("refused");
    assert_eq!(error, StoreError::TooNew { found: 99, known: 1 });
    assert!(fs::read(directory.file()).expect("read") == before);
}

#[test]
fn a_directory_that_cannot_be_is_said_in_one_line() {
    let directory = Directory::new();
    let file = directory.0.join("file");
    fs::write(&file, "").expect("written");
    let line = SqliteStore::open(&file.join("data")).expect_err("refused").to_string();
    assert!(line.starts_with("DATA_DIR ") && !line.contains('\n'), "{line}");
}

#[test]
fn a_backup_is_whole_and_overwrites_nothing() {
    let directory = Directory::new();
    let store = SqliteStore::open(&directory.data()).expect("open");
    store.save_room(&room("R", &"x".repeat(100_000))).expect("saved");
    store.create_user(&admin("a")).expect("created");
    let copies = directory.0.join("copies");
    fs::create_dir(&copies).expect("made");
    let target = copies.join(FILE_NAME);
    backup(&directory.data(), &target).expect("copied while open");
    store.save_room(&room("R", "later")).expect("saved");
    assert_eq!(mode(&target), 0o600);
    let copy = SqliteStore::open(&copies).expect("a store");
    assert_eq!(copy.room("R"), Ok(Some(room("R", &"x".repeat(100_000)))));
    assert_eq!(copy.users().expect("users").len(), 1);
    let before = fs::read(&target).expect("read");
    assert!(backup(&directory.data(), &target).is_err(), "the file is there already");
    assert!(fs::read(&target).expect("read") == before);
    assert!(backup(&copies.join("nothing"), &copies.join("new")).is_err());
    assert!(!copies.join("new").exists());
}
