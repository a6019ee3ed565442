//! An end to waiting.

use std::time::Duration;

use crate::base::time::Timestamp;
use crate::net::monotonic_us;

/// The moment at which a client that waits gives up.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Timestamp);

impl Deadline {
    /// The moment `limit` from now.
    pub fn after(limit: Duration) -> Self {
        Self(Timestamp(monotonic_us()) + limit)
    }

    /// The time until then; zero once it is over.
    pub fn left(self) -> Duration {
        self.0.since(Timestamp(monotonic_us()))
    }
}
