//! The end of the store when the server stops, after the last job.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use log::warn;

use crate::store::Store;

/// How long the store may take to put itself in order: the write-ahead log has at most a few
/// megabytes, and a memory card takes them in that time. Nothing is lost if it does not.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Closes `store`, which no job uses any more; waits for it a bounded time.
pub fn close_store(store: Arc<dyn Store>) {
    let name = store.name();
    let (sender, closed) = channel();
    let close = move || {
        // If it is not awaited any more, the process ends.
        let _too_late = sender.send(store.close());
    };
    let problem = match thread::Builder::new().name("closing".to_owned()).spawn(close) {
        Ok(_) => match closed.recv_timeout(CLOSE_LIMIT) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it takes too long".to_owned(),
        },
        Err(error) => error.to_string(),
    };
    warn!("{name} was not closed: {problem}");
}
