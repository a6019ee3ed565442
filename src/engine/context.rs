//! What every handler is given beside its input.

use crate::base::ids::ConnId;
use crate::base::time::Now;
use crate::session::Sessions;

/// Whose request or message is being handled, and when; and the sessions to answer through.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// All connections.
    pub(super) sessions: &'a mut Sessions,
    /// The one that asks. It may be gone by now; then an answer goes nowhere.
    pub(super) conn: ConnId,
    /// The time of this turn.
    pub(super) now: Now,
}
