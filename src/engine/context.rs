//! What every handler is given beside its input.

use super::turns::Owner;
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

impl Context<'_> {
    /// On whose side the other end of the connection is.
    pub(super) fn owner(&self) -> Owner {
        self.sessions.address(self.conn).map_or(Owner::Server, Owner::at)
    }
}
