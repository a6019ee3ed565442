//! The suite on `SQLite`, and what can be wrong with a file.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use sync_server::store::sqlite::{self, FILE_NAME, SqliteStore, inspect};
use sync_server::store::{Role, RoomRecord, Store, StoreError};

use crate::cases::{Database, ReadWhole as _, room, save, user};
use crate::temporary::TemporaryDir;

struct FileDatabase(TemporaryDir);

impl Database for FileDatabase {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.0.path()).unwrap())
    }
}

crate::suite! { Some(FileDatabase(TemporaryDir::new())) }

/// What is in `dir`, in order.
fn names(dir: &Path) -> Vec<String> {
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| name(entry.unwrap())).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[track_caller]
fn check_refused(dir: &Path, expected: &str) {
    let path = dir.join(FILE_NAME);
    let before = fs::read(&path).ok();
    let error = SqliteStore::open(dir).map(drop).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(fs::read(&path).ok() == before, "the file was changed");
}

#[test]
fn only_the_owner_may_read_what_is_made() {
    let dir = TemporaryDir::new();
    let data = dir.path().join("a/b");
    let store = SqliteStore::open(&data).unwrap();
    save(&store, &room("CODE", "r1")).unwrap();
    assert_eq!((mode(&data), mode(&dir.path().join("a"))), (0o700, 0o700));
    let mut files = 0;
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert_eq!(files, 3, "the file, its log and the log's index");
}

#[test]
fn an_existing_file_is_closed_to_others() {
    let dir = TemporaryDir::new();
    let path = dir.path().join(FILE_NAME);
    drop(SqliteStore::open(dir.path()).unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(SqliteStore::open(dir.path()).unwrap());
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn what_was_stored_is_there_after_a_restart() {
    let dir = TemporaryDir::new();
    let saved = RoomRecord { document: Some("text".to_owned()), ..room("CODE", "r1") };
    let store = SqliteStore::open(dir.path()).unwrap();
    save(&store, &saved).unwrap();
    store.create_first_user(&user(1, Role::Admin)).unwrap();
    drop(store);
    let store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(store.room("CODE"), Ok(Some(saved)));
    assert_eq!(store.create_first_user(&user(2, Role::Admin)), Ok(false));
}

#[test]
fn what_is_no_database_is_left_alone() {
    let dir = TemporaryDir::new();
    fs::write(dir.path().join(FILE_NAME), "dear diary, ".repeat(1_000)).unwrap();
    check_refused(dir.path(), "sync.db is damaged or no database");
}

#[test]
fn a_file_damaged_in_the_middle_is_left_alone() {
    let dir = TemporaryDir::new();
    let store = SqliteStore::open(dir.path()).unwrap();
    for number in 0..200 {
        store.create_user(&user(number, Role::User)).unwrap();
    }
    drop(store);
    let path = dir.path().join(FILE_NAME);
    let mut file = File::options().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(8 * 4_096)).unwrap();
    file.write_all(&[0xff; 3 * 4_096]).unwrap();
    drop(file);
    check_refused(dir.path(), "sync.db is damaged");
}

#[test]
fn a_file_cut_off_is_left_alone() {
    let dir = TemporaryDir::new();
    let store = SqliteStore::open(dir.path()).unwrap();
    for number in 0..200 {
        store.create_user(&user(number, Role::User)).unwrap();
    }
    drop(store);
    let path = dir.path().join(FILE_NAME);
    File::options().write(true).open(path).unwrap().set_len(5 * 4_096 + 100).unwrap();
    check_refused(dir.path(), "sync.db is damaged");
}

#[test]
fn a_file_of_a_newer_version_is_left_alone() {
    let dir = TemporaryDir::new();
    drop(SqliteStore::open(dir.path()).unwrap());
    let connection = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    connection.close().unwrap();
    check_refused(dir.path(), "schema 99, known 1");
    let error = SqliteStore::open(dir.path()).map(drop).unwrap_err();
    assert_eq!(error, StoreError::TooNew { found: 99, known: 1 });
}

#[test]
fn the_database_of_another_program_is_left_alone() {
    let dir = TemporaryDir::new();
    let connection = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    connection.execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
    connection.close().unwrap();
    check_refused(dir.path(), "of another program");
}

#[test]
fn a_directory_that_cannot_be_is_named() {
    let dir = TemporaryDir::new();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    check_refused(&file.join("data"), "cannot create the directory");
    check_refused(Path::new("/proc/self"), "cannot create /proc/self/sync.db");
}

#[test]
fn a_busy_file_is_waited_for() {
    let dir = TemporaryDir::new();
    let store = SqliteStore::open(dir.path()).unwrap();
    let other = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let saving = scope.spawn(|| save(&store, &room("CODE", "r1")));
        // Readers do not wait for it.
        assert_eq!(store.room("CODE"), Ok(None));
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(saving.join().unwrap(), Ok(()));
    });
    assert!(store.room("CODE").unwrap().is_some());
}

#[test]
fn a_room_that_cannot_be_stored_spoils_the_others_only_with_the_whole_transaction() {
    let dir = TemporaryDir::new();
    let store = SqliteStore::open(dir.path()).unwrap();
    let other = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    let group = [room("FIRST", "r1"), room("BAD", "r2"), room("LAST", "r3")];
    let refuse = |how: &str| {
        let sql = format!(
            "DROP TRIGGER IF EXISTS refusal;
             CREATE TRIGGER refusal BEFORE INSERT ON rooms WHEN new.room_code = 'BAD'
             BEGIN SELECT RAISE({how}, 'not that one'); END"
        );
        other.execute_batch(&sql).unwrap();
    };
    refuse("ROLLBACK");
    let outcomes = store.save_rooms(&group);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(StoreError::Damaged(_)))));
    assert_eq!((outcomes.len(), store.room("FIRST")), (3, Ok(None)));
    refuse("ABORT");
    let outcomes = store.save_rooms(&group);
    assert!(matches!(outcomes[..], [Ok(()), Err(StoreError::Damaged(_)), Ok(())]), "{outcomes:?}");
    assert!(store.room("FIRST").unwrap().is_some() && store.room("LAST").unwrap().is_some());
    assert_eq!(store.room("BAD"), Ok(None));
}

#[test]
fn a_backup_is_whole_and_private_and_replaces_nothing() {
    let dir = TemporaryDir::new();
    let data = dir.path().join("data");
    let store = SqliteStore::open(&data).unwrap();
    let saved = RoomRecord { document: Some("x".repeat(1 << 20)), ..room("CODE", "r1") };
    save(&store, &saved).unwrap();
    store.create_first_user(&user(1, Role::Admin)).unwrap();

    let restored = dir.path().join("restored");
    fs::create_dir(&restored).unwrap();
    let target = restored.join(FILE_NAME);
    sqlite::backup(&data, &target).unwrap();
    assert_eq!(mode(&target), 0o600);
    assert_eq!(fs::read_dir(&restored).unwrap().count(), 1, "one file is all");
    let error = sqlite::backup(&data, &target).unwrap_err().to_string();
    assert!(error.contains("exists"), "{error}");
    let error = sqlite::backup(&data, &dir.path().join("no/where")).unwrap_err().to_string();
    assert!(error.contains("cannot create"), "{error}");

    let missing = dir.path().join("missing");
    let error = sqlite::backup(&missing, &dir.path().join("copy")).unwrap_err().to_string();
    assert!(error.contains("cannot read"), "{error}");
    assert!(!missing.exists() && !dir.path().join("copy").exists());

    // Later changes are not in it.
    save(&store, &RoomRecord { document: Some("new".to_owned()), ..saved.clone() }).unwrap();
    let copy = SqliteStore::open(&restored).unwrap();
    assert!(copy.room("CODE").unwrap() == Some(saved));
    assert_eq!(copy.users().unwrap().len(), 1);
}

#[test]
fn what_an_interrupted_backup_has_left_is_no_database_and_in_no_way() {
    let dir = TemporaryDir::new();
    let (data, copies) = (dir.path().join("data"), dir.path().join("copies"));
    let store = SqliteStore::open(&data).unwrap();
    save(&store, &room("CODE", "r1")).unwrap();
    fs::create_dir(&copies).unwrap();
    let left = copies.join("sync.db.partial");
    fs::write(&left, "half").unwrap();
    sqlite::backup(&data, &copies.join(FILE_NAME)).unwrap();
    assert_eq!(names(&copies), [FILE_NAME, "sync.db.partial"]);
    assert_eq!(fs::read(&left).unwrap(), b"half", "whether it goes on cannot be known");
    assert!(SqliteStore::open(&copies).unwrap().room("CODE").unwrap().is_some());
}

#[test]
fn an_empty_file_is_no_new_database() {
    let dir = TemporaryDir::new();
    let path = dir.path().join(FILE_NAME);
    let store = SqliteStore::open(dir.path()).unwrap();
    save(&store, &room("CODE", "r1")).unwrap();
    store.close().unwrap();
    assert_eq!(names(dir.path()), [FILE_NAME], "a closed one has no log");
    assert!(matches!(save(&store, &room("CODE", "r1")), Err(StoreError::Unavailable(_))));
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    check_refused(dir.path(), "sync.db is empty");
    assert!(matches!(inspect(dir.path()), Err(StoreError::Damaged(_))));
    let error = sqlite::backup(dir.path(), &dir.path().join("copy")).unwrap_err().to_string();
    assert!(error.contains("sync.db is empty"), "{error}");
    // One that SQLite has made and nothing was put into.
    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("PRAGMA journal_mode = WAL").unwrap();
    check_refused(dir.path(), "a database without content");
}

#[test]
fn a_log_without_its_database_is_kept() {
    let dir = TemporaryDir::new();
    let (path, log) = (dir.path().join(FILE_NAME), dir.path().join("sync.db-wal"));
    fs::write(&log, "what was written last").unwrap();
    check_refused(dir.path(), "sync.db is missing, but its write-ahead log");
    assert!(matches!(inspect(dir.path()), Err(StoreError::Damaged(_))));
    assert_eq!(fs::read(&log).unwrap(), b"what was written last");
    assert!(!path.exists());
    // An empty one keeps nothing.
    fs::write(&log, "").unwrap();
    drop(SqliteStore::open(dir.path()).unwrap());
    assert!(path.exists());
}

#[test]
fn a_database_that_is_made_gets_its_name_when_it_is_whole() {
    let dir = TemporaryDir::new();
    fs::write(dir.path().join("sync.db.partial"), "").unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    save(&store, &room("CODE", "r1")).unwrap();
    store.close().unwrap();
    assert_eq!(names(dir.path()), [FILE_NAME, "sync.db.partial"]);
}

#[test]
fn a_probe_writes_and_a_look_does_not() {
    let dir = TemporaryDir::new();
    let store = SqliteStore::open(dir.path()).unwrap();
    save(&store, &room("CODE", "r1")).unwrap();
    let log_bytes = || fs::metadata(dir.path().join("sync.db-wal")).unwrap().len();
    let before = log_bytes();
    assert_eq!((store.look(), log_bytes()), (Ok(()), before));
    assert_eq!(store.ping(), Ok(()));
    assert!(log_bytes() > before);
    let other = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(store.ping(), Err(StoreError::Unavailable(_))), "it waits for nobody");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(store.ping(), Ok(()));
}

#[test]
fn a_change_by_another_program_is_checked_before_the_next_write() {
    let dir = TemporaryDir::new();
    let path = dir.path().join(FILE_NAME);
    let store = SqliteStore::open(dir.path()).unwrap();
    save(&store, &room("CODE", "r1")).unwrap();
    // A sound one, by SQLite.
    let other = Connection::open(&path).unwrap();
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert_eq!(save(&store, &room("CODE", "r1")), Ok(()));
    // Cut off, by whatever.
    File::options().write(true).open(&path).unwrap().set_len(4_096).unwrap();
    for _ in 0..2 {
        let saved = save(&store, &room("OTHER", "r2"));
        assert!(matches!(saved, Err(StoreError::Damaged(_))), "{saved:?}");
        assert!(matches!(store.ping(), Err(StoreError::Damaged(_))));
        assert!(matches!(store.look(), Err(StoreError::Damaged(_))));
    }
}

#[test]
fn damage_that_a_write_meets_ends_the_promises_to_its_whole_group() {
    let dir = TemporaryDir::new();
    let path = dir.path().join(FILE_NAME);
    let large = RoomRecord { document: Some("x".repeat(1 << 20)), ..room("LARGE", "r1") };
    let store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(store.save_rooms(std::slice::from_ref(&large)), [Ok(())]);
    store.close().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    // As a card does that loses what it was given: the file does not look changed.
    let mut file = File::options().write(true).open(&path).unwrap();
    let before = file.metadata().unwrap();
    file.seek(SeekFrom::Start(64 * 4_096)).unwrap();
    file.write_all(&vec![0xa5; 64 * 4_096]).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    assert_eq!(file.metadata().unwrap().len(), before.len());
    // The file stays open: to close it would end the locks of `SQLite` in this process.
    for _ in 0..2 {
        let saved = store.save_rooms(&[room("SMALL", "r2"), large.clone()]);
        let damaged = |saved: &Result<(), StoreError>| matches!(saved, Err(StoreError::Damaged(_)));
        assert!(saved.iter().all(damaged), "{saved:?}");
    }
    assert!(matches!(store.ping(), Err(StoreError::Damaged(_))));
}

#[test]
fn what_was_written_is_in_the_file_that_was_moved_away() {
    let dir = TemporaryDir::new();
    let (path, moved) = (dir.path().join(FILE_NAME), dir.path().join("moved/sync.db"));
    let store = SqliteStore::open(dir.path()).unwrap();
    save(&store, &room("CODE", "r1")).unwrap();
    sqlite::backup(dir.path(), &dir.path().join("copy")).unwrap();
    fs::create_dir(dir.path().join("moved")).unwrap();
    fs::rename(&path, &moved).unwrap();
    save(&store, &room("LATER", "r2")).unwrap_err();
    fs::rename(dir.path().join("copy"), &path).unwrap();
    save(&store, &room("LATER", "r3")).unwrap_err();
    store.close().unwrap_err();
    let moved = SqliteStore::open(moved.parent().unwrap()).unwrap();
    assert!(moved.room("CODE").unwrap().is_some());
    // The log that is left is empty: nothing of it is taken for a part of the other file.
    let copy = SqliteStore::open(dir.path()).unwrap();
    assert!(copy.room("CODE").unwrap().is_some() && copy.room("LATER").unwrap().is_none());
}

#[test]
fn a_file_that_is_put_back_is_written_to_again() {
    let dir = TemporaryDir::new();
    let (path, aside) = (dir.path().join(FILE_NAME), dir.path().join("aside"));
    let store = SqliteStore::open(dir.path()).unwrap();
    fs::rename(&path, &aside).unwrap();
    assert!(matches!(store.look(), Err(StoreError::Unavailable(_))));
    fs::rename(&aside, &path).unwrap();
    assert_eq!(save(&store, &room("CODE", "r1")), Ok(()));
}

#[test]
fn a_migration_that_two_begin_is_made_once() {
    for _ in 0..10 {
        let dir = TemporaryDir::new();
        std::thread::scope(|scope| {
            let opening: Vec<_> =
                (0..4).map(|_| scope.spawn(|| SqliteStore::open(dir.path()).map(drop))).collect();
            for thread in opening {
                assert_eq!(thread.join().unwrap(), Ok(()));
            }
        });
    }
}

#[test]
fn an_inspection_changes_nothing_and_sees_what_is_wrong() {
    let files = |dir: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    // A name that would mean something else in a URI.
    let parent = TemporaryDir::new();
    let dir = parent.path().join("a?b#c%20 ก");
    fs::create_dir(&dir).unwrap();
    assert_eq!(inspect(&dir), Ok(None));
    let path = dir.join(FILE_NAME);
    let sound = || Ok(Some((fs::metadata(&path).unwrap().len(), true)));

    let store = SqliteStore::open(&dir).unwrap();
    save(&store, &room("CODE", "r1")).unwrap();
    let in_use = files(&dir);
    assert_eq!(inspect(&dir), sound(), "while it is used");
    assert_eq!(files(&dir), in_use);
    save(&store, &room("CODE", "r1")).unwrap();
    drop(store);

    assert_eq!(files(&dir), [FILE_NAME], "it is at rest");
    let before = fs::read(&path).unwrap();
    assert_eq!(inspect(&dir), sound());
    assert_eq!(files(&dir), [FILE_NAME], "nothing was made beside it");
    assert!(fs::read(&path).unwrap() == before);

    let mut file = File::options().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(before.len() as u64 / 2)).unwrap();
    file.write_all(&vec![0xA5; before.len() / 2]).unwrap();
    drop(file);
    let error = inspect(&dir).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    fs::write(&path, "no database at all").unwrap();
    assert!(matches!(inspect(&dir), Err(StoreError::Damaged(_))));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(inspect(&dir), Err(StoreError::Damaged(_))));
}
