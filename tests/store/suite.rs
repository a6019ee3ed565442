//! What every store must do.

use std::sync::{Arc, Barrier};
use std::thread;

use sync_server::config::HostAuth;
use sync_server::secret::Secret;
use sync_server::store::{
    AccountState, FirstUser, Profile, Role, RoomRecord, Store, StoreError, User, UserChange,
};
use sync_server::time::UnixMillis;

/// Opens a store; each call gives another handle on the same database.
pub(crate) type Open<'a> = &'a dyn Fn() -> Arc<dyn Store>;

/// One check; it is given a new database.
type Check = fn(Open<'_>);

/// All checks. `fresh` gives a new, empty database each time.
pub(crate) fn run<'a, F>(fresh: impl Fn() -> F)
where
    F: Fn() -> Arc<dyn Store> + 'a,
{
    let checks: [(&str, Check); 12] = [
        ("rooms are kept as they are", rooms_are_kept),
        ("a room is never overwritten by another", rooms_keep_their_identity),
        ("a big document is kept", big_documents),
        ("one first user of many at once", one_first_user),
        ("users are kept as they are", users_are_kept),
        ("an e-mail is given once", emails_are_unique),
        ("changes change what they say", changes),
        ("the last administrator stays", last_administrator),
        ("two administrators cannot remove each other", administrators_race),
        ("a setup link works once", setup_links),
        ("a hash is replaced only if it is still the same", upgraded_hashes),
        ("account states come in the order asked", account_states),
    ];
    for (name, check) in checks {
        println!("{name}");
        check(&fresh());
    }
}

/// A user who can administer.
pub(crate) fn admin(name: &str) -> User {
    User {
        role: Role::Admin,
        password_hash: Some(Secret::new(format!("hash of {name}"))),
        ..user(name)
    }
}

/// A user without a password.
pub(crate) fn user(name: &str) -> User {
    User {
        id: String::new(),
        user_id: format!("id-{name}"),
        email: format!("{name}@example.com"),
        role: Role::User,
        password_hash: None,
        created_at: UnixMillis(1_700_000_000_000),
        setup_token: None,
        setup_expires_at: None,
        is_active: true,
        discord_id: Some("discord#1".to_owned()),
        version: 0,
        profile: Profile {
            id: format!("profile-{name}"),
            first_name: Some("สมชาย".to_owned()),
            last_name: None,
            nickname: Some(name.to_owned()),
            position: None,
        },
    }
}

/// A room.
pub(crate) fn room(code: &str, document: &str) -> RoomRecord {
    RoomRecord {
        room_code: code.to_owned(),
        room_id: Some(format!("room-{code}")),
        host_id: Some("host".to_owned()),
        host_auth: HostAuth::Token,
        host_token_hash: Some([0xa7; 32]),
        document: Some(document.to_owned()),
        created_at: UnixMillis(1_700_000_000_001),
        updated_at: UnixMillis(1_700_000_000_002),
    }
}

fn rooms_are_kept(open: Open<'_>) {
    let store = open();
    assert_eq!(store.room("ABC234"), Ok(None));
    let first = room("ABC234", "ก \u{0} \u{1f600} \"quoted\"");
    store.save_room(&first).expect("saved");
    assert_eq!(open().room("ABC234"), Ok(Some(first.clone())));
    assert_eq!(store.room("abc234"), Ok(None), "codes are matched as they are");
    let later = RoomRecord {
        document: None,
        host_id: None,
        host_token_hash: None,
        host_auth: HostAuth::PeerId,
        updated_at: UnixMillis(1_700_000_009_000),
        ..first
    };
    store.save_room(&later).expect("saved");
    assert_eq!(open().room("ABC234"), Ok(Some(later)));
}

fn rooms_keep_their_identity(open: Open<'_>) {
    let store = open();
    store.save_room(&room("R", "mine")).expect("saved");
    let other = RoomRecord { room_id: Some("another".to_owned()), ..room("R", "theirs") };
    assert_eq!(store.save_room(&other), Err(StoreError::Conflict));
    assert_eq!(store.room("R").expect("read").expect("there").document.as_deref(), Some("mine"));
}

fn big_documents(open: Open<'_>) {
    let store = open();
    let big = room("BIG", &"0123456789abcdef".repeat(4 << 16));
    store.save_room(&big).expect("saved");
    assert!(store.room("BIG") == Ok(Some(big)), "4 MiB come back as they went");
}

fn one_first_user(open: Open<'_>) {
    let handles = [open(), open()];
    let barrier = Arc::new(Barrier::new(24));
    let threads: Vec<_> = (0..24)
        .map(|number| {
            let (store, barrier) = (Arc::clone(&handles[number % 2]), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                store.create_first_user(&admin(&format!("first{number}"))).expect("an answer")
            })
        })
        .collect();
    let outcomes = threads.into_iter().map(|thread| thread.join().expect("no panic"));
    assert_eq!(outcomes.filter(|outcome| *outcome == FirstUser::Created).count(), 1);
    assert_eq!(handles[0].users().expect("users").len(), 1);
    assert_eq!(handles[1].has_users(), Ok(true));
    assert_eq!(handles[1].create_first_user(&admin("late")), Ok(FirstUser::AlreadyThere));
}

fn users_are_kept(open: Open<'_>) {
    let store = open();
    assert_eq!(store.has_users(), Ok(false));
    assert_eq!(store.users(), Ok(Vec::new()));
    let later = User { created_at: UnixMillis(1_700_000_000_500), ..admin("later") };
    let invited = User {
        setup_token: Some(Secret::new("a setup token")),
        setup_expires_at: Some(UnixMillis(1_700_600_000_000)),
        ..user("invited")
    };
    store.create_user(&later).expect("created");
    store.create_user(&invited).expect("created");
    let users = open().users().expect("users");
    let without_ids: Vec<User> =
        users.iter().map(|user| User { id: String::new(), ..user.clone() }).collect();
    assert_eq!(without_ids, [invited, later], "the oldest first");
    let found = store.user_by_email("later@example.com").expect("an answer").expect("there");
    assert_eq!(store.user_by_id(&found.id), Ok(Some(found.clone())));
    assert_eq!(store.user_by_id("id-later"), Ok(Some(found)));
    let token = Secret::new("a setup token");
    let found = store.user_by_setup_token(&token).expect("an answer").expect("there");
    assert_eq!(found.user_id, "id-invited");
    assert_eq!(store.user_by_email("nobody@example.com"), Ok(None));
    assert_eq!(store.user_by_email(".*"), Ok(None), "an e-mail is no pattern");
    assert_eq!(store.user_by_id("nobody"), Ok(None));
    assert_eq!(store.user_by_setup_token(&Secret::new("x")), Ok(None));
}

fn emails_are_unique(open: Open<'_>) {
    let store = open();
    store.ping().expect("indexes");
    store.create_user(&admin("a")).expect("created");
    store.create_user(&user("b")).expect("created");
    let twin = User { user_id: "another".to_owned(), ..user("a") };
    assert_eq!(store.create_user(&twin), Err(StoreError::EmailTaken));
    let change = UserChange { email: Some("a@example.com".to_owned()), ..UserChange::default() };
    assert_eq!(store.update_user("id-b", &change), Err(StoreError::EmailTaken));
    assert!(store.update_user("id-a", &change).is_ok(), "one's own is no conflict");
    assert_eq!(store.users().expect("users").len(), 2);
}

fn changes(open: Open<'_>) {
    let store = open();
    store.create_user(&admin("a")).expect("created");
    store.create_user(&user("b")).expect("created");
    let change = UserChange {
        email: Some("new@example.com".to_owned()),
        role: Some(Role::Admin),
        password_hash: Some(Secret::new("h")),
        discord_id: Some(None),
        first_name: Some(None),
        position: Some(Some("lead".to_owned())),
        end_tokens: true,
        ..UserChange::default()
    };
    let after = store.update_user("id-b", &change).expect("changed");
    assert_eq!((after.email.as_str(), after.role), ("new@example.com", Role::Admin));
    assert_eq!((after.version, after.discord_id.as_deref()), (1, None));
    assert_eq!(after.password_hash, Some(Secret::new("h")));
    assert_eq!(
        (after.profile.first_name.as_deref(), after.profile.nickname.as_deref()),
        (None, Some("b"))
    );
    assert_eq!(after.profile.position.as_deref(), Some("lead"));
    assert_eq!(open().user_by_id("id-b"), Ok(Some(after.clone())));
    assert_eq!(store.update_user("id-b", &UserChange::default()), Ok(after));
    let nobody = store.update_user("nobody", &change);
    assert_eq!(nobody, Err(StoreError::NotFound));
    assert_eq!(store.delete_user("nobody"), Err(StoreError::NotFound));
    store.delete_user("id-b").expect("deleted");
    assert_eq!(store.user_by_id("id-b"), Ok(None));
}

fn last_administrator(open: Open<'_>) {
    let store = open();
    store.create_user(&admin("a")).expect("created");
    store.create_user(&User { is_active: false, ..admin("inactive") }).expect("created");
    store.create_user(&User { password_hash: None, ..admin("invited") }).expect("created");
    let demote = UserChange { role: Some(Role::User), ..UserChange::default() };
    let disable = UserChange { is_active: Some(false), ..UserChange::default() };
    for change in [&demote, &disable] {
        assert_eq!(store.update_user("id-a", change), Err(StoreError::LastAdmin));
    }
    assert_eq!(store.delete_user("id-a"), Err(StoreError::LastAdmin));
    store.create_user(&admin("b")).expect("created");
    assert!(store.update_user("id-a", &demote).is_ok());
    assert_eq!(store.delete_user("id-b"), Err(StoreError::LastAdmin));
    assert!(store.delete_user("id-a").is_ok());
}

fn administrators_race(open: Open<'_>) {
    let handles = [open(), open()];
    handles[0].create_user(&admin("a")).expect("created");
    handles[0].create_user(&admin("b")).expect("created");
    let barrier = Arc::new(Barrier::new(2));
    let threads: Vec<_> = [("id-a", 0), ("id-b", 1)]
        .into_iter()
        .map(|(id, number)| {
            let (store, barrier) = (Arc::clone(&handles[number]), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                let demote = UserChange { role: Some(Role::User), ..UserChange::default() };
                store.update_user(id, &demote).is_ok()
            })
        })
        .collect();
    let done = threads.into_iter().map(|thread| thread.join().expect("no panic"));
    assert_eq!(done.filter(|done| *done).count(), 1);
    let admins = handles[0].users().expect("users").into_iter().filter(|u| u.role == Role::Admin);
    assert_eq!(admins.count(), 1);
}

fn setup_links(open: Open<'_>) {
    let store = open();
    let (token, hash) = (Secret::new("token"), Secret::new("new hash"));
    let invited = User {
        setup_token: Some(token.clone()),
        setup_expires_at: Some(UnixMillis(5_000)),
        ..user("invited")
    };
    store.create_user(&invited).expect("created");
    let late = store.consume_setup_token(&token, &hash, UnixMillis(5_000));
    assert_eq!(late, Err(StoreError::NotFound), "it ends when it ends");
    let barrier = Arc::new(Barrier::new(8));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (store, barrier) = (open(), Arc::clone(&barrier));
            let (token, hash) = (token.clone(), hash.clone());
            thread::spawn(move || {
                barrier.wait();
                store.consume_setup_token(&token, &hash, UnixMillis(4_999)).is_ok()
            })
        })
        .collect();
    let used = threads.into_iter().map(|thread| thread.join().expect("no panic"));
    assert_eq!(used.filter(|used| *used).count(), 1);
    let after = store.user_by_id("id-invited").expect("an answer").expect("there");
    assert_eq!((after.password_hash, after.setup_token, after.version), (Some(hash), None, 1));
}

fn upgraded_hashes(open: Open<'_>) {
    let store = open();
    store.create_user(&admin("a")).expect("created");
    let (old, new) = (Secret::new("hash of a"), Secret::new("better"));
    assert_eq!(store.upgrade_password_hash("id-a", &new, &old), Ok(false));
    assert_eq!(store.upgrade_password_hash("id-a", &old, &new), Ok(true));
    assert_eq!(store.upgrade_password_hash("id-a", &old, &new), Ok(false));
    let after = store.user_by_id("id-a").expect("an answer").expect("there");
    assert_eq!((after.password_hash, after.version), (Some(new), 0), "tokens stay good");
}

fn account_states(open: Open<'_>) {
    let store = open();
    store.create_user(&User { version: 3, ..admin("a") }).expect("created");
    store.create_user(&User { is_active: false, ..user("b") }).expect("created");
    let asked = ["id-b", "nobody", "id-a"].map(str::to_owned);
    let states = store.account_states(&asked).expect("states");
    let b = AccountState { version: 0, role: Role::User, is_active: false };
    let a = AccountState { version: 3, role: Role::Admin, is_active: true };
    assert_eq!(states, [Some(b), None, Some(a)]);
    assert_eq!(store.account_states(&[]), Ok(Vec::new()));
}
