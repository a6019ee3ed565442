//! The suite over MongoDB, and what only a server far away can do wrong.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::sync::{Client, Database};
use sync_server::secret::Secret;
use sync_server::store::mongo::MongoStore;
use sync_server::store::{FirstUser, Role, Store, StoreError, UserChange};

use crate::mongo_server::MongoServer;
use crate::suite::{self, admin, room, user};

/// A server, ours or the one of `TEST_MONGODB_URI`.
enum Server {
    Given(String),
    Ours(MongoServer),
}

impl Server {
    fn uri(&self) -> &str {
        match self {
            Self::Given(uri) => uri,
            Self::Ours(server) => server.uri(),
        }
    }
}

/// A server, or a word about why there is none.
fn server(name: &str) -> Option<Server> {
    if let Ok(uri) = std::env::var("TEST_MONGODB_URI") {
        return Some(Server::Given(uri));
    }
    ours(name).map(Server::Ours)
}

/// A server that may be killed.
fn ours(name: &str) -> Option<MongoServer> {
    let started = MongoServer::start(name);
    if started.is_none() {
        let required = std::env::var("REQUIRE_MONGODB").is_ok_and(|value| value == "1");
        assert!(!required, "REQUIRE_MONGODB=1, but no MongoDB server could be started");
        eprintln!("skipped: no MongoDB server (set TEST_MONGODB_URI, or run scripts/test)");
    }
    started
}

/// A database name that nobody has used.
fn database_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("sync_test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn store(uri: &str, database: &str) -> Arc<dyn Store> {
    Arc::new(MongoStore::connect(&Secret::new(uri), database, 2).expect("a good URI"))
}

fn raw(uri: &str, database: &str) -> Database {
    Client::with_uri_str(uri).expect("a client").database(database)
}

/// Asks until it works; the deadline is generous, the driver looks again every few seconds.
fn eventually<T>(mut ask: impl FnMut() -> Result<T, StoreError>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match ask() {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < deadline, "still: {error}"),
        }
    }
}

#[test]
fn mongodb_does_what_every_store_must() {
    let Some(server) = server("suite") else { return };
    let uri = server.uri().to_owned();
    suite::run(|| {
        let (uri, database) = (uri.clone(), database_name());
        store(&uri, &database).ping().expect("it answers");
        move || store(&uri, &database)
    });
}

#[test]
fn data_of_the_old_backend_is_used_as_it_is() {
    let Some(server) = server("old") else { return };
    let name = database_name();
    let database = raw(server.uri(), &name);
    let users = database.collection::<Document>("users");
    let old = doc! {
        "user_id": "0190-old", "email": "Somchai@Example.com", "role": "admin",
        "password_hash": "$2b$04$abcdefghijklmnopqrstuv", "created_at": "2025-01-02T03:04:05Z",
        "setup_token": Bson::Null, "is_active": true, "favourite_colour": "green",
    };
    users.insert_one(old).run().expect("inserted");
    let rooms = database.collection::<Document>("rooms");
    let last_sync = DateTime::from_millis(1_700_000_000_000);
    let old = doc! { "room_code": "OLD", "document": "text", "last_sync": last_sync, "extra": 7 };
    rooms.insert_one(old).run().expect("inserted");

    let store = store(server.uri(), &name);
    store.ping().expect("it answers");
    assert_eq!(store.create_first_user(&admin("new")), Ok(FirstUser::AlreadyThere));
    let found = store.user_by_email("somchai@example.com").expect("an answer").expect("found");
    assert_eq!((found.role, found.version), (Role::Admin, 0));
    assert_eq!(found.created_at.rfc3339(), "2025-01-02T03:04:05.000Z");
    let change =
        UserChange { nickname: Some(Some("ชาย".to_owned())), ..UserChange::default() };
    let changed = store.update_user(&found.id, &change).expect("found by its _id as well");
    assert_eq!(changed.profile.nickname.as_deref(), Some("ชาย"));
    let email = UserChange { email: Some("new@example.com".to_owned()), ..UserChange::default() };
    store.update_user("0190-old", &email).expect("changed");
    let raw = users.find_one(doc! { "user_id": "0190-old" }).run().expect("read").expect("there");
    assert_eq!(raw.get_str("favourite_colour").ok(), Some("green"), "what is not ours stays");
    assert_eq!(raw.get_str("created_at").ok(), Some("2025-01-02T03:04:05Z"));

    let old = store.room("OLD").expect("read").expect("there");
    assert_eq!((old.room_id, old.host_id, old.document.as_deref()), (None, None, Some("text")));
    store.save_room(&room("OLD", "adopted")).expect("an old room is adopted");
    let raw = rooms.find_one(doc! { "room_code": "OLD" }).run().expect("read").expect("there");
    assert_eq!(raw.get_i32("extra").ok(), Some(7));
    assert_eq!(raw.get_str("document").ok(), Some("adopted"));
    database.drop().run().expect("dropped");
}

#[test]
fn old_data_that_breaks_a_unique_index_is_lived_with() {
    let Some(server) = server("broken") else { return };
    let name = database_name();
    let database = raw(server.uri(), &name);
    let users = database.collection::<Document>("users");
    for number in 0..2 {
        let twin = doc! { "user_id": format!("twin{number}"), "email": "twin@x", "role": "user" };
        users.insert_one(twin).run().expect("inserted");
    }
    let rooms = database.collection::<Document>("rooms");
    for _ in 0..2 {
        rooms.insert_one(doc! { "room_code": "TWIN", "room_id": "x" }).run().expect("inserted");
    }
    let store = store(server.uri(), &name);
    store.ping().expect("it goes on");
    store.create_user(&user("a")).expect("created");
    let again = sync_server::store::User { user_id: "other".to_owned(), ..user("a") };
    assert_eq!(store.create_user(&again), Err(StoreError::EmailTaken), "looked up instead");
    assert_eq!(store.save_room(&room("TWIN", "mine")), Err(StoreError::Conflict));
    database.drop().run().expect("dropped");
}

#[test]
fn a_first_user_whose_maker_died_halfway_can_still_be_made_once() {
    let Some(server) = server("halfway") else { return };
    let name = database_name();
    let database = raw(server.uri(), &name);
    let id = mongodb::bson::oid::ObjectId::new();
    let meta = database.collection::<Document>("sync_meta");
    meta.insert_one(doc! { "_id": "first_user", "user": id }).run().expect("inserted");
    let store = store(server.uri(), &name);
    assert_eq!(store.create_first_user(&admin("a")), Ok(FirstUser::Created));
    assert_eq!(store.create_first_user(&admin("b")), Ok(FirstUser::AlreadyThere));
    assert_eq!(store.users().expect("users")[0].id, id.to_hex());
    database.drop().run().expect("dropped");
}

#[test]
fn a_server_that_is_killed_and_comes_back_is_used_again() {
    let Some(mut server) = ours("killed") else { return };
    let store = store(server.uri(), &database_name());
    store.ping().expect("it answers");
    store.save_room(&room("R", "acknowledged")).expect("saved");
    server.kill();
    let asked_at = Instant::now();
    assert!(matches!(store.room("R"), Err(StoreError::Unavailable(_))));
    assert!(asked_at.elapsed() < Duration::from_secs(40), "nobody waits for ever");
    assert!(server.restart(), "it starts again");
    let found = eventually(|| store.room("R")).expect("still there");
    assert_eq!(found.document.as_deref(), Some("acknowledged"));
}

#[test]
fn a_server_that_is_absent_or_hangs_is_unavailable_and_secrets_stay_secret() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let uri = format!("mongodb://user:hunter2@127.0.0.1:{port}/");
    let hanging = store(&uri, "x");
    let asked_at = Instant::now();
    let error = hanging.ping().expect_err("nobody answers");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(asked_at.elapsed() < Duration::from_secs(40), "nobody waits for ever");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    drop(listener);
    let error = store(&uri, "x").ping().expect_err("nobody is there");
    assert!(!error.to_string().contains("hunter2") && !error.to_string().contains('\n'));
    for bad in ["mongodb://u:hunter2@h:port/", "mongodb://", "mongodb://u:hun/ter2@h/"] {
        let error = MongoStore::connect(&Secret::new(bad), "x", 2).expect_err("no URI");
        let line = error.to_string();
        assert!(line.starts_with("MONGODB_URI: ") && !line.contains("hunter2"), "{line}");
    }
}
