//! Sessions with something to send: at once, or a little later and then together with others.
//!
//! A write costs the kernel far more than a frame costs us, and for some frames it hardly matters
//! whether they are 20 ms old. Such patient ones leave at once if none left lately, and otherwise
//! wait for what comes in the next few milliseconds: a thousand of them within a second cost each
//! recipient fifty writes, not a thousand. Whatever else is sent to the same recipient takes them
//! along, so their order stays.

use std::time::Duration;

use crate::base::ids::ConnId;
use crate::base::time::Timestamp;

/// How long patient frames wait at most, and how often they are flushed.
pub(super) const PATIENCE: Duration = Duration::from_millis(20);

/// Where a session stands in the [`FlushList`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FlushState {
    is_due: bool,
    is_patient: bool,
}

impl FlushState {
    /// The session was flushed. It stays among the patient ones until their next round, so that
    /// it never stands there twice.
    pub(super) fn flushed(&mut self) {
        self.is_due = false;
    }

    /// The round of the patient ones has come. Whether the session is to be flushed with them:
    /// not if it is due anyway.
    pub(super) fn end_patience(&mut self) -> bool {
        self.is_patient = false;
        !self.is_due
    }
}

/// The sessions to flush. An id in it may be stale.
///
/// Invariant: a session stands in either list at most once, and does if its [`FlushState`] says
/// so.
#[derive(Debug, Default)]
pub(super) struct FlushList {
    due: Vec<ConnId>,
    patient: Vec<ConnId>,
    /// When the patient ones may be flushed next.
    patient_at: Timestamp,
}

impl FlushList {
    /// `conn`, which is in `state`, wants to be flushed next.
    pub(super) fn add_due(&mut self, state: &mut FlushState, conn: ConnId) {
        if !state.is_due {
            state.is_due = true;
            self.due.push(conn);
        }
    }

    /// `conn`, which is in `state`, has something that can wait.
    pub(super) fn add_patient(&mut self, state: &mut FlushState, conn: ConnId) {
        if !state.is_due && !state.is_patient {
            state.is_patient = true;
            self.patient.push(conn);
        }
    }

    /// Whether a session is to be flushed now.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        !self.due.is_empty() || (!self.patient.is_empty() && self.patient_at <= now)
    }

    /// The patient ones wait no longer: what they hold is needed elsewhere.
    pub(super) fn end_patience(&mut self) {
        self.patient_at = Timestamp(0);
    }

    /// When patience ends.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        (!self.patient.is_empty()).then_some(self.patient_at)
    }

    /// Moves those to flush now to `into`. `end_patience` calls [`FlushState::end_patience`] for
    /// a session and returns whether it is to be flushed.
    pub(super) fn take(
        &mut self,
        into: &mut Vec<ConnId>,
        now: Timestamp,
        mut end_patience: impl FnMut(ConnId) -> bool,
    ) {
        into.append(&mut self.due);
        if !self.patient.is_empty() && self.patient_at <= now {
            self.patient_at = now + PATIENCE;
            into.extend(self.patient.drain(..).filter(|conn| end_patience(*conn)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [u32; 0] = [];

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: index }
    }

    /// Whom the list gives at `at_ms`; they are flushed, and have nothing left to send.
    fn taken(list: &mut FlushList, at_ms: u64, states: &mut [FlushState]) -> Vec<u32> {
        let mut into = Vec::new();
        let at = Timestamp::from_millis(at_ms);
        list.take(&mut into, at, |conn| states[conn.index as usize].end_patience());
        let taken: Vec<u32> = into.iter().map(|conn| conn.index).collect();
        for index in &taken {
            states[*index as usize].flushed();
        }
        taken
    }

    #[test]
    fn the_first_news_leave_at_once_and_the_next_wait() {
        let mut list = FlushList::default();
        let mut states = [FlushState::default(); 2];
        list.add_patient(&mut states[0], conn(0));
        assert!(list.is_due(Timestamp::from_millis(100)));
        assert_eq!(taken(&mut list, 100, &mut states), [0]);

        list.add_patient(&mut states[1], conn(1));
        list.add_patient(&mut states[0], conn(0));
        list.add_patient(&mut states[0], conn(0));
        assert!(!list.is_due(Timestamp::from_millis(119)));
        assert_eq!(list.poll_timeout(), Some(Timestamp::from_millis(120)));
        assert_eq!(taken(&mut list, 119, &mut states), NONE);
        assert_eq!(taken(&mut list, 120, &mut states), [1, 0]);
        assert_eq!(list.poll_timeout(), None);
    }

    #[test]
    fn nobody_is_patient_when_memory_is_short() {
        let mut list = FlushList::default();
        let mut states = [FlushState::default(); 2];
        list.add_patient(&mut states[0], conn(0));
        assert_eq!(taken(&mut list, 100, &mut states), [0]);
        list.add_patient(&mut states[1], conn(1));
        list.end_patience();
        assert!(list.is_due(Timestamp::from_millis(101)));
        assert_eq!(taken(&mut list, 101, &mut states), [1]);
    }

    #[test]
    fn what_is_urgent_takes_the_patient_along_and_nobody_stands_there_twice() {
        let mut list = FlushList::default();
        let mut states = [FlushState::default(); 2];
        list.add_patient(&mut states[0], conn(0));
        assert_eq!(taken(&mut list, 0, &mut states), [0]);

        for at_ms in 1..20 {
            list.add_patient(&mut states[0], conn(0));
            list.add_due(&mut states[0], conn(0));
            list.add_due(&mut states[0], conn(0));
            assert!(list.is_due(Timestamp::from_millis(at_ms)));
            assert_eq!(taken(&mut list, at_ms, &mut states), [0]);
        }
        list.add_patient(&mut states[0], conn(0));
        assert_eq!(taken(&mut list, 20, &mut states), [0], "once");
    }

    #[test]
    fn whoever_is_due_is_not_given_as_patient_too() {
        let mut list = FlushList::default();
        let mut states = [FlushState::default(); 1];
        list.add_patient(&mut states[0], conn(0));
        list.add_due(&mut states[0], conn(0));
        assert_eq!(taken(&mut list, 0, &mut states), [0]);
        assert_eq!(taken(&mut list, 20, &mut states), NONE);
    }
}
