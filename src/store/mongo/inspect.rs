//! A look at a database that changes nothing: for the doctor.

use mongodb::bson::{Document, doc};
use mongodb::options::{ConnectionString, HostInfo, ServerAddress};

use super::{MongoStore, failed};
use crate::base::secret::Secret;
use crate::base::time::UnixMillis;
use crate::store::contract::StoreError;

/// Asks the server at `uri` for its clock, and whether the rooms in `database` may be read. Takes
/// about as long as a few of the driver's time-outs at most: 2 s each, unless `uri` says
/// otherwise.
///
/// # Errors
/// [`StoreError::Unavailable`] if it does not answer or refuses us, [`StoreError::Damaged`] if
/// the settings can't be meant.
pub fn inspect(uri: &Secret, database: &str) -> Result<Option<UnixMillis>, StoreError> {
    let database = MongoStore::connect(uri, database, 1)?.open().map_err(|error| failed(&error))?;
    let hello = database.run_command(doc! { "hello": 1 }).run().map_err(|error| failed(&error))?;
    let rooms = database.collection::<Document>("rooms");
    let read = rooms.find_one(doc! {}).projection(doc! { "_id": 1 }).run();
    read.map_err(|error| failed(&error))?;
    let clock = hello.get_datetime("localTime").ok();
    Ok(clock.map(|clock| UnixMillis(clock.timestamp_millis())))
}

/// The servers that `uri` names, without user and password; empty if it cannot be read.
pub fn hosts(uri: &Secret) -> String {
    let Ok(parsed) = ConnectionString::parse(uri.expose()) else { return String::new() };
    match parsed.host_info {
        HostInfo::HostIdentifiers(hosts) => {
            hosts.iter().map(ServerAddress::to_string).collect::<Vec<_>>().join(", ")
        }
        HostInfo::DnsRecord(name) => name,
        _ => String::new(),
    }
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
