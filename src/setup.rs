//! What is needed before anything can be served: settings, store, keys. Part of the binary.

use std::sync::Arc;

use sync_server::accounts::{Service, Settings, load_or_create_secret};
use sync_server::config::Config;
use sync_server::store::Store;

use crate::Failure;

/// The store that the settings ask for. `MongoDB` is not waited for.
pub(crate) fn open_store(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    match &config.mongodb_uri {
        #[cfg(feature = "mongodb")]
        Some(uri) => {
            use sync_server::store::mongo::MongoStore;
            let workers = config.limits.worker_threads;
            Ok(Arc::new(MongoStore::connect(uri, &config.db_name, workers)?))
        }
        #[cfg(not(feature = "mongodb"))]
        Some(_) => Err("MONGODB_URI is set, but this build has no MongoDB".into()),
        #[cfg(feature = "sqlite")]
        None => {
            use sync_server::store::sqlite::SqliteStore;
            Ok(Arc::new(SqliteStore::open(&config.data_dir)?))
        }
        #[cfg(not(feature = "sqlite"))]
        None => Err("this build has no embedded store: set MONGODB_URI".into()),
    }
}

/// The accounts in `store`.
pub(crate) fn accounts(config: &Config, store: Arc<dyn Store>) -> Result<Service, Failure> {
    let jwt_secret = match &config.jwt_secret {
        Some(secret) => secret.clone(),
        None => load_or_create_secret(&config.data_dir, entropy)?,
    };
    let settings = Settings {
        jwt_secret,
        jwt_ttl_seconds: config.jwt_ttl_seconds,
        setup_token: config.initial_setup_token.clone(),
        initial_admin: config.initial_admin.clone(),
    };
    Ok(Service::new(store, settings, entropy))
}

/// Bytes that nobody can guess. Without them there are no codes, ids or tokens worth having, so
/// a system that has none is not served from.
#[expect(clippy::disallowed_methods, reason = "there is nothing to flush that could be trusted")]
pub(crate) fn entropy(bytes: &mut [u8]) {
    if let Err(problem) = getrandom::fill(bytes) {
        eprintln!("sync-server: the system gives no randomness: {problem}");
        std::process::abort();
    }
}
