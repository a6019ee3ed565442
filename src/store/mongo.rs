//! The store in MongoDB; with `mongo/…` the only user of the driver.
//!
//! Nothing is connected at the start: the first call of a worker does that, and each later call
//! finds out anew whether the server is there. Existing Khun Phaen collections are used as they
//! are: fields that are not ours stay untouched (`$set`, never a replacement).
//!
//! **One first user.** Processes agree on one `_id` through the document `first_user` of
//! `sync_meta`, then insert their user under that `_id`. It is unique, so one insertion succeeds,
//! whichever process makes it; a process that dies in between leaves the `_id` to the next one.
//!
//! **The last administrator.** Changes that could take one away wait for a lease in `sync_meta`,
//! so that they happen one after the other, on a standalone server as well. A lease that its
//! holder never gave back ends by itself.

mod documents;
mod errors;
mod saving;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use log::{info, warn};
use mongodb::IndexModel;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::error::Error;
use mongodb::options::{
    Acknowledgment, ClientOptions, CollectionOptions, ConnectionString, HostInfo, IndexOptions,
    ReadPreference, SelectionCriteria, ServerAddress, WriteConcern,
};
use mongodb::sync::{Client, Collection, Database};

use errors::{brief, code, unless_duplicate};

use super::contract::{
    AccountState, Role, RoomHead, RoomRecord, Store, StoreError, USERS_MAX, User, UserChange,
};
use crate::base::secret::Secret;
use crate::base::time::UnixMillis;

/// The collections.
const ROOMS: &str = "rooms";
const USERS: &str = "users";
const PROFILES: &str = "user_profiles";
const META: &str = "sync_meta";

/// How long to look for a server, and to connect to it, unless the URI says otherwise: together
/// less than a job may take.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a server is asked whether it is there, so that one that is back is seen soon.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);
/// How long a probe waits until a majority has what it wrote. Less than a job may take, since the
/// probe keeps a worker meanwhile.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a lease lasts if it is not given back: longer than the calls that it is held for.
const LEASE_MS: i64 = 30_000;
/// Attempts to get what another server holds, and the time between them.
const LEASE_ATTEMPTS_MAX: u32 = 60;
/// See [`LEASE_ATTEMPTS_MAX`].
const LEASE_INTERVAL: Duration = Duration::from_millis(50);
/// The server's error codes for an index that exists in another form.
const INDEX_CONFLICTS: [i32; 2] = [85, 86];
/// See the [module](self).
pub struct MongoStore {
    uri: Secret,
    database: String,
    pool_size_max: u32,
    connected: Mutex<Option<Database>>,
    /// The indexes were made, or could not be.
    is_prepared: AtomicBool,
    /// No two rooms have one code, by the database's own word.
    rooms_are_unique: AtomicBool,
}

impl fmt::Debug for MongoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoStore").field("database", &self.database).finish_non_exhaustive()
    }
}

impl MongoStore {
    /// A store at `uri` for `workers` workers. No connection is waited for, and the names of
    /// `mongodb+srv` are looked up by the first call.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with one line if `uri` or `database` can't be meant.
    pub fn connect(uri: &Secret, database: &str, workers: usize) -> Result<Self, StoreError> {
        let wrong = |error: Error| StoreError::Damaged(format!("MONGODB_URI: {}", brief(&error)));
        let parsed = ConnectionString::parse(uri.expose()).map_err(wrong)?;
        if parsed.write_concern.as_ref().is_some_and(|w| w.w == Some(Acknowledgment::Nodes(0))) {
            let line = "MONGODB_URI: with w=0 nobody would know what is stored";
            return Err(StoreError::Damaged(line.to_owned()));
        }
        if database.is_empty() || database.contains(['/', '\\', '.', ' ', '"', '$', '\0']) {
            return Err(StoreError::Damaged("DB_NAME is no name of a database".to_owned()));
        }
        let store = Self {
            uri: uri.clone(),
            database: database.to_owned(),
            pool_size_max: u32::try_from(workers).unwrap_or(16) + 1,
            connected: Mutex::new(None),
            is_prepared: AtomicBool::new(false),
            rooms_are_unique: AtomicBool::new(true),
        };
        if !uri.expose().starts_with("mongodb+srv:") {
            store.open().map_err(wrong)?;
        }
        Ok(store)
    }

    /// The database, ready for use: the first call makes the indexes.
    fn database(&self) -> Result<Database, StoreError> {
        let database = self.open()?;
        if !self.is_prepared.load(Ordering::Relaxed) {
            make_index(&database, USERS, "email")?;
            let rooms = make_index(&database, ROOMS, "room_code")?;
            self.rooms_are_unique.store(rooms, Ordering::Relaxed);
            let model = IndexModel::builder().keys(doc! { "user_id": 1 }).build();
            database.collection::<Document>(USERS).create_index(model).run()?;
            self.is_prepared.store(true, Ordering::Relaxed);
        }
        Ok(database)
    }

    /// The driver and its threads start with the first call. With `mongodb+srv` that looks up
    /// names, and fails if there is no network: the next one tries again.
    fn open(&self) -> Result<Database, Error> {
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = &*connected {
            return Ok(database.clone());
        }
        let mut options = ClientOptions::parse(self.uri.expose()).run()?;
        // A document is read back right after it was written: never from a server that lags.
        options.selection_criteria =
            Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        options.app_name.get_or_insert_with(|| "khun-phaen-sync".to_owned());
        options.server_selection_timeout.get_or_insert(SERVER_TIMEOUT);
        options.connect_timeout.get_or_insert(SERVER_TIMEOUT);
        options.heartbeat_freq.get_or_insert(HEARTBEAT_INTERVAL);
        options.max_pool_size.get_or_insert(self.pool_size_max);
        options.write_concern.get_or_insert_with(|| {
            WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build()
        });
        let client = Client::with_options(options)?;
        let database = client.database(&self.database);
        *connected = Some(database.clone());
        Ok(database)
    }

    fn collection(&self, name: &str) -> Result<Collection<Document>, StoreError> {
        Ok(self.database()?.collection(name))
    }

    fn find_user(&self, filter: Document) -> Result<Option<User>, StoreError> {
        let found = self.collection(USERS)?.find_one(filter).run()?;
        found.map(|document| self.with_profile(&document)).transpose()
    }

    /// Stores some of `rooms`, from the first on; of each of these the outcome.
    fn save_some(&self, rooms: &[RoomRecord]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let database = self.database()?;
        let collection = database.collection(ROOMS);
        let are_unique = self.rooms_are_unique.load(Ordering::Relaxed);
        let count = if are_unique { saving::group_len(rooms) } else { 1 };
        if let [room] = &rooms[..count] {
            if !are_unique
                && let Some(stored) = self.room_head(&room.room_code)?
                && stored.room.room_id.is_some()
                && stored.room.room_id != room.room_id
            {
                return Ok(vec![Err(StoreError::Conflict)]);
            }
            return match saving::save_one(&collection, room) {
                Err(error) if error.is_passing() => Err(error),
                saved => Ok(vec![saved]),
            };
        }
        saving::save_group(&database, &collection, &rooms[..count])
    }

    /// A user with its profile, which old data may lack.
    fn with_profile(&self, document: &Document) -> Result<User, StoreError> {
        let mut user = documents::user(document)?;
        let filter = doc! { "user_id": &user.user_id };
        let profile = self.collection(PROFILES)?.find_one(filter).run()?;
        user.profile = documents::profile_of(&user, profile.as_ref());
        Ok(user)
    }

    /// Inserts `user` under `id`; false if that, or the e-mail, is taken.
    fn insert_user(&self, id: ObjectId, user: &User) -> Result<bool, StoreError> {
        let mut document = documents::from_user(user);
        document.insert("_id", id);
        if unless_duplicate(self.collection(USERS)?.insert_one(document).run())?.is_none() {
            return Ok(false);
        }
        let filter = doc! { "user_id": &user.user_id };
        let update = doc! { "$setOnInsert": documents::from_profile(&user.user_id, &user.profile) };
        self.collection(PROFILES)?.update_one(filter, update).upsert(true).run()?;
        Ok(true)
    }

    /// The `_id` that all processes that make a first user agree on.
    fn first_user_id(&self) -> Result<ObjectId, StoreError> {
        let meta = self.collection(META)?;
        // Another process may have been faster; what counts is what is there.
        unless_duplicate(
            meta.insert_one(doc! { "_id": "first_user", "user": ObjectId::new() }).run(),
        )?;
        for _ in 0..LEASE_ATTEMPTS_MAX {
            if let Some(agreed) = meta.find_one(doc! { "_id": "first_user" }).run()? {
                return agreed.get_object_id("user").map_err(|_| {
                    StoreError::Damaged("sync_meta.first_user in MongoDB is not ours".to_owned())
                });
            }
            // The other's insertion is acknowledged in a moment.
            pause(LEASE_INTERVAL);
        }
        Err(StoreError::Unavailable("another server is making the first user".to_owned()))
    }

    /// Runs `act` while no other process or thread takes an administrator away.
    fn with_admin_lease<T>(
        &self,
        act: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let owner = ObjectId::new();
        self.take_lease(owner)?;
        let result = act();
        let filter = doc! { "_id": "admin_lease", "owner": owner };
        let free = doc! { "$set": { "until": DateTime::from_millis(0) } };
        if let Err(error) = self.collection(META)?.update_one(filter, free).run() {
            // It ends by itself.
            info!("a lease could not be given back: {}", brief(&error));
        }
        result
    }

    fn take_lease(&self, owner: ObjectId) -> Result<(), StoreError> {
        for _ in 0..LEASE_ATTEMPTS_MAX {
            let now = DateTime::now();
            let until = DateTime::from_millis(now.timestamp_millis() + LEASE_MS);
            let filter = doc! { "_id": "admin_lease", "until": { "$lt": now } };
            let update = doc! { "$set": { "owner": owner, "until": until } };
            let taken = self.collection(META)?.update_one(filter, update).upsert(true).run();
            if unless_duplicate(taken)?.is_some() {
                return Ok(());
            }
            // It exists and is held: the upsert found nothing to update and could not insert.
            pause(LEASE_INTERVAL);
        }
        Err(StoreError::Unavailable("another server is changing the administrators".to_owned()))
    }

    /// Refuses to take away the rights of `user` if no other user has them.
    fn guard_last_admin(&self, user: &User) -> Result<(), StoreError> {
        if !user.can_administer() {
            return Ok(());
        }
        let others = doc! { "user_id": { "$ne": &user.user_id } };
        for other in self.collection(USERS)?.find(others).run()? {
            if documents::user(&other?).is_ok_and(|other| other.can_administer()) {
                return Ok(());
            }
        }
        Err(StoreError::LastAdmin)
    }

    fn apply(&self, user: &User, change: &UserChange) -> Result<User, StoreError> {
        let filter = doc! { "user_id": &user.user_id };
        let update = documents::user_changes(change);
        if !update.is_empty() {
            let updated = self.collection(USERS)?.update_one(filter.clone(), update).run();
            if unless_duplicate(updated)?.ok_or(StoreError::EmailTaken)?.matched_count == 0 {
                return Err(StoreError::NotFound);
            }
        }
        let fields = documents::profile_changes(change);
        if !fields.is_empty() {
            let update = doc! { "$set": fields, "$setOnInsert": { "_id": &user.profile.id } };
            self.collection(PROFILES)?.update_one(filter, update).upsert(true).run()?;
        }
        self.user_by_id(&user.user_id)?.ok_or(StoreError::NotFound)
    }

    /// Looks whether an e-mail is taken. The unique index decides between two attempts at once;
    /// it does not see that one of the old backend is the same in capitals, and old data may have
    /// kept it from being made.
    fn check_email(&self, email: &str, except: &str) -> Result<(), StoreError> {
        match self.user_by_email(email)? {
            Some(other) if other.user_id != except => Err(StoreError::EmailTaken),
            _ => Ok(()),
        }
    }
}

impl Store for MongoStore {
    fn name(&self) -> &'static str {
        "MongoDB"
    }

    fn ping(&self) -> Result<(), StoreError> {
        let database = self.database()?;
        let mut concern = database.write_concern().cloned().unwrap_or_default();
        concern.w_timeout = Some(PROBE_TIMEOUT);
        let options = CollectionOptions::builder().write_concern(concern).build();
        let meta = database.collection_with_options::<Document>(META, options);
        let update = doc! { "$set": { "at": DateTime::now() } };
        let written = meta.update_one(doc! { "_id": "probe" }, update).upsert(true).run();
        // Two servers may make it at once.
        unless_duplicate(written).map(drop)
    }

    fn look(&self) -> Result<(), StoreError> {
        self.database()?.run_command(doc! { "ping": 1 }).run()?;
        Ok(())
    }

    fn room_head(&self, room_code: &str) -> Result<Option<RoomHead>, StoreError> {
        let stages = [
            doc! { "$match": { "room_code": room_code } },
            doc! { "$sort": newest() },
            doc! { "$limit": 1 },
            doc! { "$addFields": { "document_bytes": documents::length_of("document") } },
            doc! { "$project": { "document": 0 } },
        ];
        let found = self.collection(ROOMS)?.aggregate(stages).run()?.next().transpose()?;
        found.as_ref().map(documents::room_head).transpose()
    }

    fn document(&self, room_code: &str, room_id: &str) -> Result<Option<String>, StoreError> {
        let same_room = doc! { "$in": [room_id, Bson::Null] };
        let filter = doc! { "room_code": room_code, "room_id": same_room };
        let alone = doc! { "_id": 0, "document": 1 };
        let rooms = self.collection(ROOMS)?;
        let found = rooms.find_one(filter).sort(newest()).projection(alone).run()?;
        Ok(found.and_then(documents::document))
    }

    fn save_rooms(&self, rooms: &[RoomRecord]) -> Vec<Result<(), StoreError>> {
        let mut outcomes = Vec::with_capacity(rooms.len());
        while outcomes.len() < rooms.len() {
            match self.save_some(&rooms[outcomes.len()..]) {
                Ok(some) => outcomes.extend(some),
                // It would not answer for the others either, and each would be waited for.
                Err(error) => outcomes.resize(rooms.len(), Err(error)),
            }
        }
        outcomes
    }

    fn delete_room(&self, room_code: &str, room_id: &str) -> Result<(), StoreError> {
        let same_room = doc! { "$in": [room_id, Bson::Null] };
        let filter = doc! { "room_code": room_code, "room_id": same_room };
        // Old data may have several.
        self.collection(ROOMS)?.delete_many(filter).run()?;
        Ok(())
    }

    fn has_users(&self) -> Result<bool, StoreError> {
        let any = self.collection(USERS)?.find_one(doc! {}).projection(doc! { "_id": 1 }).run()?;
        Ok(any.is_some())
    }

    fn create_first_user(&self, user: &User) -> Result<bool, StoreError> {
        Ok(!self.has_users()? && self.insert_user(self.first_user_id()?, user)?)
    }

    fn create_user(&self, user: &User) -> Result<(), StoreError> {
        self.check_email(&user.email, &user.user_id)?;
        let inserted = self.insert_user(ObjectId::new(), user)?;
        if inserted { Ok(()) } else { Err(StoreError::EmailTaken) }
    }

    fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        if let Some(user) = self.find_user(doc! { "email": email })? {
            return Ok(Some(user));
        }
        if email != email.to_lowercase() {
            return Ok(None);
        }
        // The old backend stored e-mails as they were typed.
        let pattern = format!("^{}$", documents::escaped(email));
        self.find_user(doc! { "email": { "$regex": pattern, "$options": "i" } })
    }

    fn user_by_id(&self, id: &str) -> Result<Option<User>, StoreError> {
        let by_user_id = self.find_user(doc! { "user_id": id })?;
        match (by_user_id, ObjectId::parse_str(id)) {
            (None, Ok(object_id)) => self.find_user(doc! { "_id": object_id }),
            (found, _) => Ok(found),
        }
    }

    fn user_by_setup_token(&self, token: &Secret) -> Result<Option<User>, StoreError> {
        self.find_user(doc! { "setup_token": token.expose() })
    }

    fn users(&self) -> Result<Vec<User>, StoreError> {
        let limit = i64::try_from(USERS_MAX).unwrap_or(i64::MAX);
        let mut users = Vec::new();
        let oldest = doc! { "_id": 1 };
        for document in self.collection(USERS)?.find(doc! {}).sort(oldest).limit(limit).run()? {
            users.push(documents::user(&document?)?);
        }
        let mut profiles = HashMap::new();
        for document in self.collection(PROFILES)?.find(doc! {}).run()? {
            let document = document?;
            if let Ok(user_id) = document.get_str("user_id") {
                profiles.insert(user_id.to_owned(), document.clone());
            }
        }
        for user in &mut users {
            user.profile = documents::profile_of(user, profiles.get(&user.user_id));
        }
        // Dates are strings in some documents and dates in others, so they are compared here.
        users.sort_by_key(|user| user.created_at);
        Ok(users)
    }

    fn update_user(&self, id: &str, change: &UserChange) -> Result<User, StoreError> {
        let user = self.user_by_id(id)?.ok_or(StoreError::NotFound)?;
        if let Some(email) = &change.email {
            self.check_email(email, &user.user_id)?;
        }
        if change.role != Some(Role::User) && change.is_active != Some(false) {
            return self.apply(&user, change);
        }
        self.with_admin_lease(|| {
            let user = self.user_by_id(id)?.ok_or(StoreError::NotFound)?;
            self.guard_last_admin(&user)?;
            self.apply(&user, change)
        })
    }

    fn delete_user(&self, id: &str) -> Result<User, StoreError> {
        self.with_admin_lease(|| {
            let user = self.user_by_id(id)?.ok_or(StoreError::NotFound)?;
            self.guard_last_admin(&user)?;
            let filter = doc! { "user_id": &user.user_id };
            self.collection(USERS)?.delete_one(filter.clone()).run()?;
            self.collection(PROFILES)?.delete_one(filter).run()?;
            Ok(user)
        })
    }

    fn consume_setup_token(
        &self,
        token: &Secret,
        password_hash: &Secret,
        now: UnixMillis,
    ) -> Result<User, StoreError> {
        let user = self
            .user_by_setup_token(token)?
            .filter(|user| user.has_link_at(now))
            .ok_or(StoreError::NotFound)?;
        // The update that finds the token still there has used it.
        let filter = doc! { "user_id": &user.user_id, "setup_token": token.expose() };
        let update = documents::user_changes(&UserChange::password(password_hash.clone()));
        match self.collection(USERS)?.update_one(filter, update).run()?.matched_count {
            0 => Err(StoreError::NotFound),
            _ => self.user_by_id(&user.user_id)?.ok_or(StoreError::NotFound),
        }
    }

    fn upgrade_password_hash(
        &self,
        user_id: &str,
        old: &Secret,
        new: &Secret,
    ) -> Result<bool, StoreError> {
        let filter = doc! { "user_id": user_id, "password_hash": old.expose() };
        let update = doc! { "$set": { "password_hash": new.expose() } };
        Ok(self.collection(USERS)?.update_one(filter, update).run()?.matched_count > 0)
    }

    fn account_states(&self, user_ids: &[String]) -> Result<Vec<Option<AccountState>>, StoreError> {
        let filter = doc! { "user_id": { "$in": user_ids } };
        let mut states = HashMap::new();
        for found in self.collection(USERS)?.find(filter).run()? {
            let User { user_id, version, role, is_active, .. } = documents::user(&found?)?;
            states.insert(user_id, AccountState { version, role, is_active });
        }
        Ok(user_ids.iter().map(|user_id| states.get(user_id).copied()).collect())
    }
}

/// Asks the server at `uri` for its clock, and whether the rooms in `database` may be read; changes
/// nothing. Takes about as long as a few of the driver's time-outs at most: 2 s each, unless `uri`
/// says otherwise.
///
/// # Errors
/// [`StoreError::Unavailable`] if it does not answer or refuses us, [`StoreError::Damaged`] if
/// the settings can't be meant.
pub fn inspect(uri: &Secret, database: &str) -> Result<Option<UnixMillis>, StoreError> {
    let database = MongoStore::connect(uri, database, 1)?.open()?;
    let hello = database.run_command(doc! { "hello": 1 }).run()?;
    let rooms = database.collection::<Document>(ROOMS);
    rooms.find_one(doc! {}).projection(doc! { "_id": 1 }).run()?;
    let clock = hello.get_datetime("localTime").ok();
    Ok(clock.map(|clock| UnixMillis(clock.timestamp_millis())))
}

/// The servers that `uri` names, without user and password; empty if it cannot be read.
pub fn hosts(uri: &Secret) -> String {
    match ConnectionString::parse(uri.expose()).map(|parsed| parsed.host_info) {
        Ok(HostInfo::HostIdentifiers(hosts)) => {
            hosts.iter().map(ServerAddress::to_string).collect::<Vec<_>>().join(", ")
        }
        Ok(HostInfo::DnsRecord(name)) => name,
        _ => String::new(),
    }
}

/// Of several rooms with one code, which only old data can have, the newest counts.
fn newest() -> Document {
    doc! { "last_sync": -1 }
}

/// Makes a unique index; false if the data that is there does not allow it.
fn make_index(database: &Database, collection: &str, field: &str) -> Result<bool, StoreError> {
    let options = IndexOptions::builder().unique(true).build();
    let model = IndexModel::builder().keys(doc! { field: 1 }).options(options).build();
    match database.collection::<Document>(collection).create_index(model).run() {
        Err(error) if code(&error).is_some_and(|c| INDEX_CONFLICTS.contains(&c)) => Ok(true),
        made => {
            let is_made = unless_duplicate(made)?.is_some();
            if !is_made {
                warn!(
                    "MongoDB has several {collection} with the same {field}: no unique index is \
                     made until that is mended"
                );
            }
            Ok(is_made)
        }
    }
}

/// Waits on a worker's thread, which may block.
#[expect(clippy::disallowed_methods, reason = "workers may wait; the event loop never comes here")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_shown_without_their_password() {
        for (uri, expected) in [
            (
                "mongodb://ann:secret@db.example.com:27018/x?authSource=admin",
                "db.example.com:27018",
            ),
            ("mongodb://a,b:1", "a:27017, b:1"),
            ("mongodb+srv://ann:secret@cluster.example.net/x", "cluster.example.net"),
            ("mongodb://ann:se@cret@db.example.com", ""),
        ] {
            assert_eq!(hosts(&Secret::new(uri)), expected, "{uri}");
        }
    }
}
