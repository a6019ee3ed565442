//! What waits to write: rooms to be stored, and jobs that go alone, which are deletions and the
//! question whether the store answers. All rooms that wait go into one job, which the store makes
//! durable at once: a disk that takes 20 ms for that takes them for two hundred rooms together, not
//! for each.
//!
//! A room has one save or one deletion at most, here or under way, so the order of rooms among each
//! other does not matter.

use std::collections::VecDeque;

use super::job::Job;
use super::waiting::Save;
use crate::base::batch::batch_len;
use crate::base::ids::JobId;
use crate::rooms::StoredRoom;

/// Rooms that one job stores at most.
pub(super) const GROUP_ROOMS_MAX: usize = 256;
/// Bytes of documents that one job stores at most, unless a single document has more: the worker
/// holds them a second time, as text.
pub(super) const GROUP_BYTES_MAX: usize = 4 << 20;

/// What waits. Its bound are `MAX_ROOMS` and one probe.
#[derive(Debug, Default)]
pub(super) struct Saves {
    rooms: VecDeque<(Save, StoredRoom)>,
    /// Jobs that go alone.
    single: VecDeque<(JobId, Job)>,
    /// Rooms were stored last: a single job comes next, if one waits.
    single_is_next: bool,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum NextSave {
    /// Store these rooms.
    Group(Vec<Save>, Vec<StoredRoom>),
    /// Do this job, which has its entry already.
    Single(JobId, Job),
}

impl Saves {
    /// How many rooms and single jobs wait.
    pub(super) fn len(&self) -> usize {
        self.rooms.len() + self.single.len()
    }

    /// `room` is to be stored.
    pub(super) fn push(&mut self, save: Save, room: StoredRoom) {
        self.rooms.push_back((save, room));
    }

    /// `job`, which goes alone, is to be done.
    pub(super) fn push_single(&mut self, id: JobId, job: Job) {
        self.single.push_back((id, job));
    }

    /// What comes next: as many rooms as one job may store, or, after such a job, a single one.
    pub(super) fn pop(&mut self) -> Option<NextSave> {
        let is_turn = self.single_is_next || self.rooms.is_empty();
        if is_turn && let Some((id, job)) = self.single.pop_front() {
            self.single_is_next = false;
            return Some(NextSave::Single(id, job));
        }
        self.single_is_next = true;
        let count = self.group_len();
        let (saves, rooms) = self.rooms.drain(..count).unzip();
        (count > 0).then_some(NextSave::Group(saves, rooms))
    }

    /// Undoes [`pop`](Self::pop) for a group.
    pub(super) fn put_back(&mut self, saves: Vec<Save>, rooms: Vec<StoredRoom>) {
        for queued in saves.into_iter().zip(rooms).rev() {
            self.rooms.push_front(queued);
        }
    }

    /// Takes a single job out of turn.
    pub(super) fn remove_single(&mut self, id: JobId) -> Option<Job> {
        let index = self.single.iter().position(|(waiting, _)| *waiting == id)?;
        self.single.remove(index).map(|(_, job)| job)
    }

    /// Undoes [`pop`](Self::pop) for a single job.
    pub(super) fn put_back_single(&mut self, id: JobId, job: Job) {
        self.single.push_front((id, job));
        self.single_is_next = true;
    }

    /// How many of the rooms that have waited longest one job may store.
    fn group_len(&self) -> usize {
        let bytes = self.rooms.iter().map(|(_, room)| room.document.held_bytes());
        batch_len(bytes, GROUP_ROOMS_MAX, GROUP_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::base::ids::RoomKey;
    use crate::base::time::{Timestamp, UnixMillis};
    use crate::config::HostAuth;
    use crate::rooms::{Document, StoredDocument};

    fn push(saves: &mut Saves, revision: u64, document_bytes: usize) {
        let room = RoomKey { index: 0, generation: 1 };
        let stored = StoredRoom {
            room_code: "ROOM".to_owned(),
            room_id: None,
            host_id: None,
            host_auth: HostAuth::PeerId,
            host_token: None,
            document: StoredDocument::Whole(Document(vec![0; document_bytes].into())),
            created_at: UnixMillis(0),
        };
        saves.push(Save { room, revision, since: Timestamp(0) }, stored);
    }

    fn push_deletion(saves: &mut Saves, id: u64) {
        let job = Job::DeleteRoom { room_code: "ROOM".to_owned(), room_id: "r".to_owned() };
        saves.push_single(JobId(id), job);
    }

    /// The revisions of the next group, or the number of the next deletion.
    fn pop(saves: &mut Saves) -> Result<Vec<u64>, u64> {
        match saves.pop() {
            Some(NextSave::Group(group, rooms)) => {
                assert_eq!(group.len(), rooms.len());
                Ok(group.iter().map(|save| save.revision).collect())
            }
            Some(NextSave::Single(id, _)) => Err(id.0),
            None => Ok(Vec::new()),
        }
    }

    #[test]
    fn all_that_wait_are_stored_together_up_to_a_bound() {
        let mut saves = Saves::default();
        for revision in 0..=GROUP_ROOMS_MAX as u64 {
            push(&mut saves, revision, 1);
        }
        assert_eq!(pop(&mut saves).map(|group| group.len()), Ok(GROUP_ROOMS_MAX));
        assert_eq!(pop(&mut saves), Ok(vec![GROUP_ROOMS_MAX as u64]));
        assert_eq!((pop(&mut saves), saves.len()), (Ok(Vec::new()), 0));
    }

    #[test]
    fn a_group_has_so_many_bytes_or_one_room() {
        let mut saves = Saves::default();
        let half = GROUP_BYTES_MAX / 2;
        for (revision, bytes) in [half, half, 1, GROUP_BYTES_MAX + 1, 1].into_iter().enumerate() {
            push(&mut saves, revision as u64, bytes);
        }
        assert_eq!(pop(&mut saves), Ok(vec![0, 1]));
        assert_eq!(pop(&mut saves), Ok(vec![2]));
        assert_eq!(pop(&mut saves), Ok(vec![3]), "larger than any group may be");
        assert_eq!(pop(&mut saves), Ok(vec![4]));
    }

    #[test]
    fn deletions_take_turns_with_groups() {
        let mut saves = Saves::default();
        for id in [7, 8, 9] {
            push_deletion(&mut saves, id);
        }
        push(&mut saves, 1, 1);
        assert_eq!(pop(&mut saves), Ok(vec![1]));
        push(&mut saves, 2, 1);
        assert_eq!(pop(&mut saves), Err(7));
        assert_eq!(pop(&mut saves), Ok(vec![2]));
        assert_eq!(pop(&mut saves), Err(8));
        push_deletion(&mut saves, 10);
        assert_eq!(pop(&mut saves), Err(9), "no room waits");
        assert!(saves.remove_single(JobId(10)).is_some());
        assert!(saves.remove_single(JobId(10)).is_none());
        assert_eq!(saves.len(), 0);
    }

    #[test]
    fn what_is_put_back_comes_next() {
        let mut saves = Saves::default();
        push(&mut saves, 1, 1);
        push(&mut saves, 2, 1);
        let Some(NextSave::Group(group, rooms)) = saves.pop() else { panic!("two rooms wait") };
        push(&mut saves, 3, 1);
        saves.put_back(group, rooms);
        assert_eq!(pop(&mut saves), Ok(vec![1, 2, 3]));
        push_deletion(&mut saves, 7);
        push(&mut saves, 4, 1);
        let Some(NextSave::Single(id, job)) = saves.pop() else { panic!("it is its turn") };
        saves.put_back_single(id, job);
        assert_eq!(pop(&mut saves), Err(7));
    }
}
