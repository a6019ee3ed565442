//! The slots of all sessions: the one place where the id of a connection is compared with that of
//! the session in its slot. A stale id finds nothing.

use slab::Slab;

use super::state::Session;
use crate::base::ids::ConnId;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Slots(Slab<Session>);

impl Slots {
    /// Sessions that there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The session of `conn`.
    pub(super) fn get(&self, conn: ConnId) -> Option<&Session> {
        self.0.get(conn.index as usize).filter(|session| session.id == conn)
    }

    /// The session of `conn`.
    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.0.get_mut(conn.index as usize).filter(|session| session.id == conn)
    }

    /// The session in the slot `index`.
    pub(super) fn at(&self, index: usize) -> Option<&Session> {
        self.0.get(index)
    }

    /// Puts the session that `make` makes for its id, with this generation, into a free slot.
    /// `None` if there are more slots than ids.
    pub(super) fn insert(
        &mut self,
        generation: u32,
        make: impl FnOnce(ConnId) -> Session,
    ) -> Option<ConnId> {
        let entry = self.0.vacant_entry();
        let conn = ConnId { index: u32::try_from(entry.key()).ok()?, generation };
        entry.insert(make(conn));
        Some(conn)
    }

    /// Frees the slot of `conn`.
    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Session> {
        self.get(conn)?;
        self.0.try_remove(conn.index as usize)
    }

    /// The sessions, in the order of their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.0.iter().map(|(_, session)| session)
    }
}
