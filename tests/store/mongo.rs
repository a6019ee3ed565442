//! The suite on `MongoDB`, what can be wrong with a server, and what the old backend has left.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::sync::Client;
use sync_server::base::secret::Secret;
use sync_server::base::time::UnixMillis;
use sync_server::store::mongo::MongoStore;
use sync_server::store::{AccountState, Role, RoomRecord, Store, StoreError, User, UserChange};

use crate::cases::{CREATED_AT, Database, ReadWhole as _, room, save, user};
use crate::mongodb_server::{Server, shared_uri};

/// How many workers the stores are made for.
const WORKERS: usize = 2;
/// How long the driver may take to give up on a server that has fallen silent with an operation
/// under way (about 6 s), and some time for a busy machine. Clients are told after 5 s.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A database of its own on a server, with a way to it that goes past the store.
struct ServerDatabase {
    uri: String,
    name: String,
    direct: mongodb::sync::Database,
}

impl ServerDatabase {
    fn new() -> Option<Self> {
        shared_uri().map(Self::at)
    }

    fn at(uri: String) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sync_test_{}_{count}", std::process::id());
        let direct = Client::with_uri_str(&uri).unwrap().database(&name);
        Self { uri, name, direct }
    }

    fn store(&self) -> MongoStore {
        MongoStore::connect(&Secret::new(&self.uri), &self.name, WORKERS).unwrap()
    }

    fn insert(&self, collection: &str, document: Document) {
        self.direct.collection(collection).insert_one(document).run().unwrap();
    }

    fn find(&self, collection: &str, filter: Document) -> Document {
        self.direct.collection(collection).find_one(filter).run().unwrap().unwrap()
    }

    fn indexes(&self, collection: &str) -> Vec<String> {
        self.direct.collection::<Document>(collection).list_index_names().run().unwrap()
    }
}

impl Database for ServerDatabase {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store())
    }
}

impl Drop for ServerDatabase {
    fn drop(&mut self) {
        // One that stays behind is no reason to fail a test.
        drop(self.direct.drop().run());
    }
}

crate::suite! { ServerDatabase::new() }

#[track_caller]
fn check_unavailable<T>(attempt: impl FnOnce() -> Result<T, StoreError>) -> String {
    let begin = Instant::now();
    let error = attempt().map(drop).unwrap_err();
    let took = begin.elapsed();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(took < ANSWER_MAX, "{error} took {took:?}");
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn connect(uri: &str) -> Result<MongoStore, StoreError> {
    let begin = Instant::now();
    let store = MongoStore::connect(&Secret::new(uri), "tracker-db", WORKERS);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(1), "connecting waited for {took:?}");
    store
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let store = connect(&format!("mongodb://ann:hunter2@{address}/")).unwrap();
    let text = check_unavailable(|| store.ping());
    assert!(!text.contains("hunter2"), "{text}");
    check_unavailable(|| store.user_by_email("ann@example.com"));
}

#[test]
fn a_server_that_is_not_there_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let store = connect(&format!("mongodb://{address}/")).unwrap();
    check_unavailable(|| save(&store, &room("CODE", "r1")));
}

#[test]
fn names_are_not_looked_up_when_connecting() {
    // RFC 2606 keeps the top-level domain from ever existing.
    let store = connect("mongodb+srv://ann:hunter2@cluster.invalid/").unwrap();
    let text = check_unavailable(|| store.ping());
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn what_cannot_work_is_said_when_connecting() {
    for (uri, expected) in [
        ("mongodb://ann:hunter2@host:notaport/", "MONGODB_URI"),
        ("mongodb://ann:hunter2@host/?w=0", "w=0"),
        ("mongodb://ann:hunter2@host/?tls=true&tlsCAFile=/no/such/file.pem", "MONGODB_URI"),
        ("postgres://ann:hunter2@host/", "MONGODB_URI"),
    ] {
        let error = connect(uri).map(drop).unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{uri}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(expected) && !text.contains("hunter2"), "{uri}: {text}");
    }
    for name in ["", "a/b", "a b", "$x"] {
        let store = MongoStore::connect(&Secret::new("mongodb://host/"), name, WORKERS);
        assert!(matches!(store, Err(StoreError::Damaged(text)) if text.contains("DB_NAME")));
    }
}

#[test]
fn a_wrong_password_is_not_repeated() {
    let Some(uri) = shared_uri() else { return };
    let Some((_, place)) = uri.split_once('@') else { return };
    let store = connect(&format!("mongodb://tester:hunter2@{place}")).unwrap();
    let text = check_unavailable(|| store.has_users());
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_server_that_comes_back_is_used_again() {
    let Some(mut server) = Server::start() else { return };
    let store = Arc::new(connect(&server.uri()).unwrap());
    let saved = RoomRecord { document: Some("kept".to_owned()), ..room("CODE", "r1") };
    save(&*store, &saved).unwrap();
    assert_eq!(store.create_first_user(&user(1, Role::Admin)), Ok(true));

    // It falls silent with connections open.
    server.signal("STOP");
    check_unavailable(|| store.room("CODE"));
    check_unavailable(|| save(&*store, &saved));
    let group = [saved.clone(), room("OTHER", "r2")];
    check_unavailable(|| store.save_rooms(&group).into_iter().collect::<Result<Vec<()>, _>>());
    server.signal("CONT");
    check_back(&store, &saved);

    server.restart_after_kill(|| {
        check_unavailable(|| store.room("CODE"));
        check_unavailable(|| store.has_users());
    });
    check_back(&store, &saved);
    assert_eq!(store.create_first_user(&user(2, Role::Admin)), Ok(false));
}

/// The store need not be told that its server is back, nor know it at the first attempt.
#[track_caller]
fn check_back(store: &MongoStore, saved: &RoomRecord) {
    let begin = Instant::now();
    while let Err(error) = store.ping() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{error}");
    }
    assert_eq!(store.room(&saved.room_code).as_ref(), Ok(&Some(saved.clone())));
    assert_eq!(save(store, saved), Ok(()));
}

#[test]
fn old_data_that_breaks_an_index_stops_nothing() {
    let Some(database) = ServerDatabase::new() else { return };
    for number in [1, 2] {
        let twice = doc! {
            "user_id": format!("u{number}"), "email": "twice@example.com", "role": "user",
            "created_at": "2024-05-06T07:08:09Z", "is_active": true,
        };
        database.insert("users", twice);
        let last_sync = DateTime::from_millis(1_000 * i64::from(number));
        let document = format!("document {number}");
        let room = doc! { "room_code": "TWICE", "document": document, "last_sync": last_sync };
        database.insert("rooms", room);
    }
    let store = database.store();
    store.ping().unwrap();
    assert!(database.indexes("users").iter().all(|name| name != "email_1"));
    assert!(database.indexes("users").iter().any(|name| name == "user_id_1"));
    assert!(database.indexes("rooms").iter().all(|name| name != "room_code_1"));

    assert_eq!(store.user_by_email("twice@example.com").unwrap().unwrap().user_id, "u1");
    let again = User { email: "twice@example.com".to_owned(), ..user(3, Role::User) };
    assert_eq!(store.create_user(&again), Err(StoreError::EmailTaken));
    store.create_user(&user(4, Role::User)).unwrap();
    assert_eq!(store.users().unwrap().len(), 3);

    // The newest of two rooms counts, also after it was stored again.
    let found = store.room("TWICE").unwrap().unwrap();
    assert_eq!(found.document.as_deref(), Some("document 2"));
    let saved = RoomRecord { document: Some("new".to_owned()), ..room("TWICE", "r1") };
    save(&store, &saved).unwrap();
    assert_eq!(store.room("TWICE"), Ok(Some(saved)));
    assert_eq!(save(&store, &room("OTHER", "r1")), Ok(()));
    assert_eq!(save(&store, &room("OTHER", "r2")), Err(StoreError::Conflict));

    // Who has a room deleted means both.
    store.delete_room("TWICE", "r1").unwrap();
    assert_eq!(store.room("TWICE"), Ok(None));
    assert!(store.room("OTHER").unwrap().is_some());
}

#[test]
fn indexes_are_made_where_old_data_allows() {
    let Some(database) = ServerDatabase::new() else { return };
    database.store().ping().unwrap();
    assert!(database.indexes("users").iter().any(|name| name == "email_1"));
    assert!(database.indexes("rooms").iter().any(|name| name == "room_code_1"));
}

/// As the old backend wrote one.
fn old_user(key: ObjectId) -> Document {
    doc! {
        "_id": key,
        "user_id": "018f4d5e-aaaa-7bbb-8ccc-0123456789ab",
        "email": "Old.User+x@Example.com",
        "role": "admin",
        "password_hash": "$2b$12$abcdefghijklmnopqrstuv",
        "created_at": "2024-05-06T07:08:09.123456+00:00",
        "setup_token": Bson::Null,
        "is_active": true,
        "favourite_colour": "ม่วง",
    }
}

#[test]
fn a_user_of_the_old_backend_is_one_of_ours() {
    let Some(database) = ServerDatabase::new() else { return };
    let key = ObjectId::new();
    database.insert("users", old_user(key));
    let profile = doc! {
        "_id": "018f4d5e-dddd-7bbb-8ccc-0123456789ab",
        "user_id": "018f4d5e-aaaa-7bbb-8ccc-0123456789ab",
        "first_name": "Old", "last_name": Bson::Null, "shoe_size": 44,
    };
    database.insert("user_profiles", profile);
    let store = database.store();

    let found = store.user_by_email("old.user+x@example.com").unwrap().unwrap();
    assert_eq!(found.id, key.to_hex());
    assert_eq!(found.email, "old.user+x@example.com");
    assert_eq!(found.created_at, UnixMillis(1_714_979_289_123));
    assert_eq!((found.version, found.setup_token.clone()), (0, None));
    assert_eq!(found.profile.first_name.as_deref(), Some("Old"));
    assert_eq!(found.profile.id, "018f4d5e-dddd-7bbb-8ccc-0123456789ab");
    assert_eq!(store.user_by_id(&key.to_hex()), Ok(Some(found.clone())));
    assert_eq!(store.user_by_email("oldxuser+x@example.com"), Ok(None));
    assert_eq!(store.create_first_user(&user(1, Role::Admin)), Ok(false));
    let taken = User { email: found.email.clone(), ..user(2, Role::User) };
    assert_eq!(store.create_user(&taken), Err(StoreError::EmailTaken));
    assert_eq!(store.delete_user(&key.to_hex()), Err(StoreError::LastAdmin));

    let (old, new) = (found.password_hash.clone().unwrap(), Secret::new("$argon2id$x"));
    assert_eq!(store.upgrade_password_hash(&found.user_id, &old, &new), Ok(true));
    let change = UserChange {
        last_name: Some(Some("User".to_owned())),
        end_tokens: true,
        ..UserChange::default()
    };
    let changed = store.update_user(&key.to_hex(), &change).unwrap();
    assert_eq!((changed.version, changed.profile.last_name.as_deref()), (1, Some("User")));
    let state = AccountState { version: 1, role: Role::Admin, is_active: true };
    assert_eq!(store.account_states(&[found.user_id]), Ok(vec![Some(state)]));

    // What we do not know, or did not change, is as it was.
    let stored = database.find("users", doc! { "_id": key });
    assert_eq!(stored.get("favourite_colour"), old_user(key).get("favourite_colour"));
    assert_eq!(stored.get("created_at"), old_user(key).get("created_at"));
    assert_eq!(stored.get("email"), old_user(key).get("email"));
    let stored = database.find("user_profiles", doc! { "shoe_size": 44 });
    assert_eq!(stored.get_str("first_name").unwrap(), "Old");
}

#[test]
fn a_user_of_the_old_backend_without_a_profile_gets_one() {
    let Some(database) = ServerDatabase::new() else { return };
    let mut old = old_user(ObjectId::new());
    old.insert("created_at", DateTime::from_millis(CREATED_AT.0));
    database.insert("users", old);
    let store = database.store();
    let found = store.users().unwrap().remove(0);
    assert_eq!(found.created_at, CREATED_AT);
    assert_eq!(found.profile.id, found.user_id);
    let change = UserChange { nickname: Some(Some("Nick".to_owned())), ..UserChange::default() };
    let changed = store.update_user(&found.user_id, &change).unwrap();
    assert_eq!(changed.profile.nickname.as_deref(), Some("Nick"));
    assert_eq!(store.user_by_id(&found.user_id), Ok(Some(changed)));
}

#[test]
fn a_setup_link_of_the_old_backend_counts_for_a_week() {
    const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1_000;
    let Some(database) = ServerDatabase::new() else { return };
    let mut old = old_user(ObjectId::new());
    old.insert("setup_token", "old-link");
    old.insert("created_at", CREATED_AT.rfc3339());
    old.remove("password_hash");
    database.insert("users", old);
    let store = database.store();
    let (link, hash) = (Secret::new("old-link"), Secret::new("$argon2id$x"));
    let end = UnixMillis(CREATED_AT.0 + WEEK_MS);
    let found = store.user_by_setup_token(&link).unwrap().unwrap();
    assert_eq!(found.setup_expires_at, Some(end));
    assert_eq!(store.consume_setup_token(&link, &hash, end), Err(StoreError::NotFound));
    let user = store.consume_setup_token(&link, &hash, UnixMillis(end.0 - 1)).unwrap();
    assert_eq!((user.password_hash, user.version), (Some(hash), 1));
}

#[test]
fn a_room_of_the_old_backend_is_adopted() {
    let Some(database) = ServerDatabase::new() else { return };
    let last_sync = DateTime::from_millis(CREATED_AT.0);
    let old = doc! {
        "room_code": "OLD234", "document": "old", "last_sync": last_sync, "theme": "dark",
    };
    database.insert("rooms", old);
    let store = database.store();
    let found = store.room("OLD234").unwrap().unwrap();
    assert_eq!((&found.room_id, &found.host_id), (&None, &None));
    assert_eq!((found.document.as_deref(), found.created_at), (Some("old"), CREATED_AT));

    let adopted = RoomRecord { document: Some("new".to_owned()), ..room("OLD234", "r1") };
    save(&store, &adopted).unwrap();
    assert_eq!(store.room("OLD234"), Ok(Some(adopted)));
    assert_eq!(save(&store, &room("OLD234", "r2")), Err(StoreError::Conflict));
    let stored = database.find("rooms", doc! { "room_code": "OLD234" });
    assert_eq!(stored.get_str("theme").unwrap(), "dark");
}

#[test]
fn a_document_that_no_database_takes_is_refused() {
    let Some(database) = ServerDatabase::new() else { return };
    let store = database.store();
    let saved = RoomRecord { document: Some("x".repeat(16 << 20)), ..room("HUGE", "r1") };
    assert_eq!(save(&store, &saved), Err(StoreError::TooLarge));
    assert_eq!(store.room("HUGE"), Ok(None));
    let group = [room("BEFORE", "r2"), saved, room("AFTER", "r3")];
    assert_eq!(store.save_rooms(&group), [Ok(()), Err(StoreError::TooLarge), Ok(())]);
    assert!(store.room("AFTER").unwrap().is_some());
}
