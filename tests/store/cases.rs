//! What every store must do. Each case gets a database of its own that is empty.

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};
use std::thread;

use sync_server::base::secret::Secret;
use sync_server::base::time::UnixMillis;
use sync_server::config::HostAuth;
use sync_server::store::{
    AccountState, Profile, Role, RoomHead, RoomRecord, Store, StoreError, User, UserChange,
};

/// One database, which any number of "processes" may open.
pub(crate) trait Database {
    fn open(&self) -> Arc<dyn Store>;
}

pub(crate) const CREATED_AT: UnixMillis = UnixMillis(1_795_433_969_007);
const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// A new database takes what a probe writes, and nothing is wrong with it.
pub(crate) fn a_probe_works_beside_others(database: &impl Database) {
    let stores = [database.open(), database.open()];
    for _ in 0..3 {
        for store in &stores {
            assert_eq!(store.ping(), Ok(()));
            assert_eq!(store.look(), Ok(()));
        }
    }
    for store in &stores {
        assert_eq!(store.close(), Ok(()));
    }
}

pub(crate) fn room(room_code: &str, room_id: &str) -> RoomRecord {
    RoomRecord {
        room_code: room_code.to_owned(),
        room_id: Some(room_id.to_owned()),
        host_id: Some("host-1".to_owned()),
        host_auth: HostAuth::Token,
        host_token_hash: Some([0xa5; 32]),
        document: None,
        created_at: CREATED_AT,
        updated_at: UnixMillis(CREATED_AT.0 + 1_000),
    }
}

/// Stores one room.
pub(crate) fn save(store: &(impl Store + ?Sized), room: &RoomRecord) -> Result<(), StoreError> {
    let mut outcomes = store.save_rooms(std::slice::from_ref(room));
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

/// The user `number`, who has set a password.
pub(crate) fn user(number: u32, role: Role) -> User {
    let user_id = format!("01937b2e-0000-7000-8000-{number:012}");
    User {
        id: user_id.clone(),
        user_id,
        email: format!("user{number}@example.com"),
        role,
        password_hash: Some(Secret::new(format!("$argon2id$hash-of-{number}"))),
        created_at: UnixMillis(CREATED_AT.0 + i64::from(number)),
        setup_token: None,
        setup_expires_at: None,
        is_active: true,
        discord_id: None,
        version: 0,
        profile: Profile {
            id: format!("01937b2e-0000-7000-9000-{number:012}"),
            nickname: Some(format!("Nick {number}")),
            ..Profile::default()
        },
    }
}

/// The user `number`, who has been sent a link.
fn invited(number: u32) -> User {
    User {
        password_hash: None,
        setup_token: Some(Secret::new(format!("link-{number}"))),
        setup_expires_at: Some(UnixMillis(CREATED_AT.0 + WEEK_MS)),
        ..user(number, Role::User)
    }
}

/// `stored` is `made`, but for the id that the database gave.
#[track_caller]
fn check_same(stored: Option<User>, made: &User) {
    let stored = stored.expect("stored");
    assert_eq!(stored, User { id: stored.id.clone(), ..made.clone() });
}

/// What `attempt` returns on `threads` threads at once, half of them in each of two processes.
fn race<T: Send + 'static>(
    database: &dyn Database,
    threads: u32,
    attempt: impl Fn(&dyn Store, u32) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let stores = [database.open(), database.open()];
    let start = Arc::new(Barrier::new(usize::try_from(threads).expect("few")));
    let attempt = Arc::new(attempt);
    let running: Vec<_> = (0..threads)
        .zip(stores.iter().cycle())
        .map(|(number, store)| {
            let (store, start, attempt) =
                (Arc::clone(store), Arc::clone(&start), Arc::clone(&attempt));
            thread::spawn(move || {
                start.wait();
                attempt(&*store, number)
            })
        })
        .collect();
    running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
}

/// Reads a room with its document.
pub(crate) trait ReadWhole {
    /// The room with exactly this code.
    fn room(&self, code: &str) -> Result<Option<RoomRecord>, StoreError>;
}

impl<S: Store + ?Sized> ReadWhole for S {
    fn room(&self, code: &str) -> Result<Option<RoomRecord>, StoreError> {
        let Some(RoomHead { room, document_bytes }) = self.room_head(code)? else {
            return Ok(None);
        };
        let document = self.document(code, room.room_id.as_deref().unwrap_or_default())?;
        assert_eq!(document_bytes, document.as_ref().map(String::len), "{code}");
        Ok(Some(RoomRecord { document, ..room }))
    }
}

pub(crate) fn a_room_is_read_as_it_was_saved(database: &dyn Database) {
    let store = database.open();
    store.ping().unwrap();
    assert_eq!(store.room("ABC234").unwrap(), None);

    let mut saved = room("ABC234", "r1");
    save(&*store, &saved).unwrap();
    assert_eq!(store.room("ABC234").unwrap(), Some(saved.clone()));
    assert_eq!(store.room("abc234").unwrap(), None);

    saved.document = Some("{\"title\":\"สวัสดี \u{0}\\u0000 🙂\"}".to_owned());
    saved.host_id = None;
    saved.host_auth = HostAuth::PeerId;
    saved.host_token_hash = None;
    saved.updated_at = UnixMillis(CREATED_AT.0 + 2_000);
    save(&*store, &saved).unwrap();
    assert_eq!(store.room("ABC234").unwrap(), Some(saved.clone()));
    assert_eq!(database.open().room("ABC234").unwrap(), Some(saved));
}

pub(crate) fn a_deleted_room_is_gone_and_another_stays(database: &dyn Database) {
    let store = database.open();
    for (code, id) in [("SAME", "r1"), ("Same", "r2")] {
        save(&*store, &room(code, id)).unwrap();
    }
    store.delete_room("SAME", "r2").unwrap();
    assert!(store.room("SAME").unwrap().is_some(), "that is another room");
    store.delete_room("SAME", "r1").unwrap();
    store.delete_room("SAME", "r1").unwrap();
    assert_eq!(store.room("SAME").unwrap(), None);
    assert_eq!(database.open().room("SAME").unwrap(), None);
    assert!(store.room("Same").unwrap().is_some(), "codes are taken as they are");
    let next = room("SAME", "r3");
    save(&*store, &next).unwrap();
    assert_eq!(store.room("SAME").unwrap(), Some(next), "the code is free");
}

pub(crate) fn another_room_never_takes_a_code(database: &dyn Database) {
    let store = database.open();
    let first = RoomRecord { document: Some("first".to_owned()), ..room("SAME", "r1") };
    save(&*store, &first).unwrap();
    let second = RoomRecord { document: Some("second".to_owned()), ..room("SAME", "r2") };
    assert_eq!(save(&*store, &second), Err(StoreError::Conflict));
    assert_eq!(store.room("SAME").unwrap(), Some(first));

    let outcomes =
        race(database, 8, |store, number| save(store, &room("RACE", &format!("r{number}"))));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    let lost = outcomes.into_iter().filter(Result::is_err);
    assert!(lost.into_iter().all(|outcome| outcome == Err(StoreError::Conflict)));

    // The same room from many sides is no conflict.
    let outcomes = race(database, 8, |store, _| save(store, &room("OURS", "r1")));
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

pub(crate) fn rooms_are_saved_together_and_each_has_its_own_outcome(database: &dyn Database) {
    let store = database.open();
    assert_eq!(store.save_rooms(&[]), []);
    let saved = |number: u32, text: &str| RoomRecord {
        document: Some(format!("{text} {number}")),
        ..room(&format!("ROOM{number}"), &format!("r{number}"))
    };
    let mut group: Vec<RoomRecord> = (0..200).map(|number| saved(number, "first")).collect();
    assert!(store.save_rooms(&group).iter().all(Result::is_ok));
    for record in &group {
        assert_eq!(store.room(&record.room_code).as_ref(), Ok(&Some(record.clone())));
    }
    // In the middle of others, known and new, the room of another owner and one for no database.
    group = (100..300).map(|number| saved(number, "second")).collect();
    group[50].room_id = Some("another".to_owned());
    let (before, after) = (store.save_rooms(&group), database.open());
    for (record, outcome) in group.iter().zip(before) {
        let stored = after.room(&record.room_code).unwrap();
        if record.room_code == "ROOM150" {
            assert_eq!(outcome, Err(StoreError::Conflict));
            assert_eq!(stored, Some(saved(150, "first")));
        } else {
            assert_eq!((outcome, stored), (Ok(()), Some(record.clone())));
        }
    }
    // More than goes into one command.
    let large = |number| RoomRecord { document: Some("x".repeat(5 << 20)), ..saved(number, "") };
    let group = [large(1), large(2), saved(3, "third"), large(4), large(5)];
    assert_eq!(store.save_rooms(&group), vec![Ok(()); 5]);
    assert!(group.iter().all(|room| store.room(&room.room_code).unwrap().as_ref() == Some(room)));
}

pub(crate) fn a_document_may_have_four_mebibytes(database: &dyn Database) {
    let store = database.open();
    let document = "ห้อง, ".repeat((4 << 20) / "ห้อง, ".len());
    let saved = RoomRecord { document: Some(document), ..room("BIG", "r1") };
    save(&*store, &saved).unwrap();
    assert!(store.room("BIG").unwrap() == Some(saved));
}

pub(crate) fn a_document_is_read_apart_and_stays_without_another(database: &dyn Database) {
    let store = database.open();
    assert_eq!(store.document("ROOM", "r1"), Ok(None));
    save(&*store, &room("ROOM", "r1")).unwrap();
    assert_eq!(store.document("ROOM", "r1"), Ok(None), "it has none");
    let text = "ห้อง".to_owned();
    let saved = RoomRecord { document: Some(text.clone()), ..room("ROOM", "r1") };
    save(&*store, &saved).unwrap();
    let head = store.room_head("ROOM").unwrap().unwrap();
    assert_eq!((head.room.document, head.document_bytes), (None, Some(text.len())));
    assert_eq!(store.document("ROOM", "r2"), Ok(None), "that is another room");

    // A room whose document was not in memory.
    let host_id = Some("somebody".to_owned());
    save(&*store, &RoomRecord { host_id: host_id.clone(), ..room("ROOM", "r1") }).unwrap();
    assert_eq!(store.room("ROOM"), Ok(Some(RoomRecord { host_id, ..saved })));
    assert_eq!(store.document("ROOM", "r1"), Ok(Some(text)));
}

pub(crate) fn the_first_user_comes_first_once(database: &dyn Database) {
    let store = database.open();
    assert!(!store.has_users().unwrap());
    let first = user(1, Role::Admin);
    assert_eq!(store.create_first_user(&first), Ok(true));
    assert!(store.has_users().unwrap());
    assert_eq!(store.create_first_user(&user(2, Role::Admin)), Ok(false));
    assert_eq!(store.create_first_user(&first), Ok(false));
    assert_eq!(store.users().unwrap().len(), 1);
    check_same(store.user_by_email("user1@example.com").unwrap(), &first);

    // Neither does the first user's going make room for another first one.
    store.create_user(&user(3, Role::Admin)).unwrap();
    store.delete_user(&first.user_id).unwrap();
    assert_eq!(store.create_first_user(&user(4, Role::Admin)), Ok(false));
}

pub(crate) fn of_24_first_users_one_is_made(database: &dyn Database) {
    let outcomes =
        race(database, 24, |store, number| store.create_first_user(&user(number, Role::Admin)));
    let created = outcomes.iter().filter(|&outcome| *outcome == Ok(true));
    assert_eq!(created.count(), 1, "{outcomes:?}");
    let others = outcomes.iter().filter(|&outcome| *outcome == Ok(false));
    assert_eq!(others.count(), 23, "{outcomes:?}");
    assert_eq!(database.open().users().unwrap().len(), 1);
}

pub(crate) fn a_user_is_found_as_made(database: &dyn Database) {
    let store = database.open();
    let made = User {
        discord_id: Some("ann#1".to_owned()),
        profile: Profile {
            id: "p1".to_owned(),
            first_name: Some("แอน".to_owned()),
            last_name: Some("Lee".to_owned()),
            nickname: None,
            position: Some("Captain".to_owned()),
        },
        version: 3,
        ..invited(1)
    };
    store.create_user(&made).unwrap();
    store.create_user(&user(2, Role::Admin)).unwrap();
    let found = store.user_by_email(&made.email).unwrap();
    let id = found.as_ref().expect("stored").id.clone();
    check_same(found, &made);
    check_same(store.user_by_id(&made.user_id).unwrap(), &made);
    check_same(store.user_by_id(&id).unwrap(), &made);
    check_same(store.user_by_setup_token(&Secret::new("link-1")).unwrap(), &made);
    check_same(store.user_by_email("user2@example.com").unwrap(), &user(2, Role::Admin));

    assert_eq!(store.user_by_email("nobody@example.com"), Ok(None));
    assert_eq!(store.user_by_email("USER2@example.com"), Ok(None));
    assert_eq!(store.user_by_id("nobody"), Ok(None));
    assert_eq!(store.user_by_id("0123456789abcdef01234567"), Ok(None));
    assert_eq!(store.user_by_setup_token(&Secret::new("link-9")), Ok(None));
    assert_eq!(store.user_by_setup_token(&Secret::new("")), Ok(None));
}

pub(crate) fn an_email_is_taken_once(database: &dyn Database) {
    let store = database.open();
    store.create_user(&user(1, Role::User)).unwrap();
    let again = User { email: "user1@example.com".to_owned(), ..user(2, Role::User) };
    assert_eq!(store.create_user(&again), Err(StoreError::EmailTaken));
    assert_eq!(store.user_by_id(&again.user_id), Ok(None));

    let outcomes = race(database, 8, |store, number| {
        store.create_user(&User { email: "race@x".to_owned(), ..user(100 + number, Role::User) })
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert_eq!(store.users().unwrap().len(), 2);
}

pub(crate) fn users_are_listed_by_age(database: &dyn Database) {
    let store = database.open();
    assert_eq!(store.users(), Ok(Vec::new()));
    for number in [30, 10, 20] {
        store.create_user(&user(number, Role::User)).unwrap();
    }
    let listed = store.users().unwrap();
    assert_eq!(listed.len(), 3);
    for (stored, number) in listed.into_iter().zip([10, 20, 30]) {
        check_same(Some(stored), &user(number, Role::User));
    }
}

pub(crate) fn only_what_is_asked_changes(database: &dyn Database) {
    let store = database.open();
    let mut expected = user(1, Role::User);
    store.create_user(&expected).unwrap();
    store.create_user(&user(2, Role::User)).unwrap();

    let nothing = store.update_user(&expected.user_id, &UserChange::default()).unwrap();
    check_same(Some(nothing), &expected);

    let change = UserChange {
        email: Some("new@example.com".to_owned()),
        role: Some(Role::Admin),
        password_hash: Some(Secret::new("$argon2id$new")),
        discord_id: Some(Some("d".to_owned())),
        first_name: Some(Some("F".to_owned())),
        nickname: Some(None),
        end_tokens: true,
        ..UserChange::default()
    };
    "new@example.com".clone_into(&mut expected.email);
    expected.role = Role::Admin;
    expected.password_hash = Some(Secret::new("$argon2id$new"));
    expected.discord_id = Some("d".to_owned());
    expected.profile.first_name = Some("F".to_owned());
    expected.profile.nickname = None;
    expected.version = 1;
    check_same(Some(store.update_user(&expected.user_id, &change).unwrap()), &expected);
    check_same(store.user_by_email("new@example.com").unwrap(), &expected);
    assert_eq!(store.user_by_email("user1@example.com"), Ok(None));

    let change = UserChange {
        discord_id: Some(None),
        last_name: Some(Some("L".to_owned())),
        position: Some(Some("P".to_owned())),
        ..UserChange::default()
    };
    expected.discord_id = None;
    expected.profile.last_name = Some("L".to_owned());
    expected.profile.position = Some("P".to_owned());
    check_same(Some(store.update_user(&expected.user_id, &change).unwrap()), &expected);

    let taken = UserChange { email: Some("user2@example.com".to_owned()), ..UserChange::default() };
    assert_eq!(store.update_user(&expected.user_id, &taken), Err(StoreError::EmailTaken));
    let own = UserChange { email: Some("new@example.com".to_owned()), ..UserChange::default() };
    assert!(store.update_user(&expected.user_id, &own).is_ok());
    assert_eq!(store.update_user("nobody", &own), Err(StoreError::NotFound));
    check_same(store.user_by_id(&user(2, Role::User).user_id).unwrap(), &user(2, Role::User));
}

fn demotion() -> UserChange {
    UserChange { role: Some(Role::User), end_tokens: true, ..UserChange::default() }
}

fn deactivation() -> UserChange {
    UserChange { is_active: Some(false), end_tokens: true, ..UserChange::default() }
}

pub(crate) fn the_last_active_admin_stays(database: &dyn Database) {
    let store = database.open();
    let (first, second, plain) = (user(1, Role::Admin), user(2, Role::Admin), user(3, Role::User));
    for made in [&first, &second, &plain] {
        store.create_user(made).unwrap();
    }
    let lost = store.update_user(&second.user_id, &deactivation()).unwrap();
    assert_eq!((lost.is_active, lost.role, lost.version), (false, Role::Admin, 1));

    let emailed = UserChange { email: Some("x@example.com".to_owned()), ..demotion() };
    assert_eq!(store.update_user(&first.user_id, &demotion()), Err(StoreError::LastAdmin));
    assert_eq!(store.update_user(&first.user_id, &emailed), Err(StoreError::LastAdmin));
    assert_eq!(store.update_user(&first.user_id, &deactivation()), Err(StoreError::LastAdmin));
    assert_eq!(store.delete_user(&first.user_id), Err(StoreError::LastAdmin));
    check_same(store.user_by_id(&first.user_id).unwrap(), &first);

    // An admin who has only been invited can't administer.
    let (third, fourth) =
        (User { role: Role::Admin, ..invited(4) }, User { role: Role::Admin, ..invited(5) });
    store.create_user(&third).unwrap();
    store.create_user(&fourth).unwrap();
    assert_eq!(store.update_user(&first.user_id, &demotion()), Err(StoreError::LastAdmin));
    assert_eq!(store.delete_user(&first.user_id), Err(StoreError::LastAdmin));
    assert!(store.update_user(&third.user_id, &demotion()).is_ok());
    assert!(store.delete_user(&fourth.user_id).is_ok());

    // Whoever is no active admin may go, or be told to be none.
    assert!(store.update_user(&plain.user_id, &demotion()).is_ok());
    assert!(store.update_user(&plain.user_id, &deactivation()).is_ok());
    assert!(store.delete_user(&second.user_id).is_ok());

    let active =
        UserChange { role: Some(Role::Admin), is_active: Some(true), ..UserChange::default() };
    store.update_user(&plain.user_id, &active).unwrap();
    store.update_user(&first.user_id, &demotion()).unwrap();
    assert_eq!(store.delete_user(&plain.user_id), Err(StoreError::LastAdmin));
    assert_eq!(store.update_user("nobody", &demotion()), Err(StoreError::NotFound));
}

/// Eight admins, who are demoted or deleted all at once; how each attempt ended.
pub(crate) fn all_admins_go_at_once(database: &dyn Database) -> Vec<Result<User, StoreError>> {
    let store = database.open();
    for number in 0..8 {
        store.create_user(&user(number, Role::Admin)).unwrap();
    }
    race(database, 8, |store, number| {
        let user_id = user(number, Role::Admin).user_id;
        if number % 2 == 0 {
            store.update_user(&user_id, &demotion())
        } else {
            store.delete_user(&user_id)
        }
    })
}

pub(crate) fn of_admins_who_go_at_once_one_stays(database: &dyn Database) {
    let outcomes = all_admins_go_at_once(database);
    let refused = outcomes.iter().filter(|&outcome| *outcome == Err(StoreError::LastAdmin));
    assert_eq!(refused.count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 7, "{outcomes:?}");
    let users = database.open().users().unwrap();
    assert_eq!(users.iter().filter(|user| user.role == Role::Admin).count(), 1);
}

pub(crate) fn a_setup_link_works_once_and_in_time(database: &dyn Database) {
    let store = database.open();
    let made = invited(1);
    store.create_user(&made).unwrap();
    let (link, hash) = (Secret::new("link-1"), Secret::new("$argon2id$chosen"));
    let end = made.setup_expires_at.expect("an invited user has one");

    assert_eq!(store.consume_setup_token(&link, &hash, end), Err(StoreError::NotFound));
    let empty = Secret::new("");
    assert_eq!(store.consume_setup_token(&empty, &hash, CREATED_AT), Err(StoreError::NotFound));
    check_same(store.user_by_id(&made.user_id).unwrap(), &made);

    let outcomes = race(database, 8, move |store, number| {
        let hash = Secret::new(format!("$argon2id$chosen-{number}"));
        let user = store.consume_setup_token(&Secret::new("link-1"), &hash, UnixMillis(end.0 - 1));
        user.map(|user| (user.password_hash, hash))
    });
    let mut winners = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok());
    let (stored, chosen) = winners.next().expect("one wins");
    assert_eq!(stored.as_ref(), Some(chosen));
    assert_eq!(winners.next(), None);

    let expected = User {
        password_hash: Some(chosen.clone()),
        setup_token: None,
        setup_expires_at: None,
        version: 1,
        ..made
    };
    check_same(store.user_by_id(&expected.user_id).unwrap(), &expected);
    assert_eq!(store.user_by_setup_token(&link), Ok(None));
    assert_eq!(store.consume_setup_token(&link, &hash, CREATED_AT), Err(StoreError::NotFound));
}

pub(crate) fn a_new_password_ends_the_setup_link(database: &dyn Database) {
    let store = database.open();
    let made = invited(1);
    store.create_user(&made).unwrap();
    let hash = Secret::new("$argon2id$given");
    let change = UserChange { password_hash: Some(hash.clone()), ..UserChange::default() };
    let expected =
        User { password_hash: Some(hash), setup_token: None, setup_expires_at: None, ..made };
    check_same(Some(store.update_user(&expected.user_id, &change).unwrap()), &expected);
    assert_eq!(store.user_by_setup_token(&Secret::new("link-1")), Ok(None));
}

pub(crate) fn a_hash_is_upgraded_unless_it_has_changed(database: &dyn Database) {
    let store = database.open();
    let made = User { password_hash: Some(Secret::new("$2b$old")), ..user(1, Role::User) };
    store.create_user(&made).unwrap();
    let (old, new) = (Secret::new("$2b$old"), Secret::new("$argon2id$new"));
    let upgrade = |user_id: &str| store.upgrade_password_hash(user_id, &old, &new);
    assert_eq!(upgrade("nobody"), Ok(false));
    assert_eq!(upgrade(&made.user_id), Ok(true));
    assert_eq!(upgrade(&made.user_id), Ok(false));
    let expected = User { password_hash: Some(new.clone()), ..made };
    check_same(store.user_by_id(&expected.user_id).unwrap(), &expected);
}

pub(crate) fn a_deleted_user_is_gone(database: &dyn Database) {
    let store = database.open();
    let made = user(1, Role::User);
    store.create_user(&made).unwrap();
    let id = store.user_by_id(&made.user_id).unwrap().expect("stored").id;
    check_same(Some(store.delete_user(&id).unwrap()), &made);
    assert_eq!(store.user_by_id(&made.user_id), Ok(None));
    assert_eq!(store.user_by_email(&made.email), Ok(None));
    assert_eq!(store.delete_user(&made.user_id), Err(StoreError::NotFound));
    // Everything of it: the same user can be made again, profile included.
    store.create_user(&made).unwrap();
    check_same(store.user_by_id(&made.user_id).unwrap(), &made);
}

pub(crate) fn account_states_come_in_the_order_asked(database: &dyn Database) {
    let store = database.open();
    for number in 0..3 {
        store.create_user(&user(number, Role::User)).unwrap();
    }
    let id = |number| user(number, Role::User).user_id;
    let promotion =
        UserChange { role: Some(Role::Admin), end_tokens: true, ..UserChange::default() };
    store.update_user(&id(2), &promotion).unwrap();
    store.update_user(&id(1), &deactivation()).unwrap();

    let state = |version, role, is_active| Some(AccountState { version, role, is_active });
    let asked = [id(2), "nobody".to_owned(), id(0), id(1), id(2)];
    let expected = vec![
        state(1, Role::Admin, true),
        None,
        state(0, Role::User, true),
        state(1, Role::User, false),
        state(1, Role::Admin, true),
    ];
    assert_eq!(store.account_states(&asked), Ok(expected));
    assert_eq!(store.account_states(&[]), Ok(Vec::new()));
    let many: Vec<String> = (0..2_500).map(id).collect();
    let states = store.account_states(&many).unwrap();
    assert_eq!((states.len(), states.iter().flatten().count()), (2_500, 3));
}

pub(crate) fn an_error_is_one_line(database: &dyn Database) {
    let store = database.open();
    let made = user(1, Role::Admin);
    store.create_user(&made).unwrap();
    let errors = [
        store.create_user(&made).unwrap_err(),
        store.delete_user(&made.user_id).unwrap_err(),
        store.delete_user("nobody").unwrap_err(),
    ];
    let lines: BTreeSet<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), errors.len());
    assert!(lines.iter().all(|line| line.lines().count() == 1));
}
