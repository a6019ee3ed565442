//! The workers and their store: slow, and now and then away.

use bytes::Bytes;
use sync_server::base::ids::JobId;
use sync_server::engine::{Job, Outcome};
use sync_server::rooms::{Document, StoredDocument, StoredRoom};
use sync_server::store::StoreError;

use super::count;
use super::network::Network;
use crate::draw::Draw;

impl<D: Draw> Network<'_, D> {
    /// A worker takes a job.
    pub(super) fn begin_job(&mut self, id: JobId, job: Job, reads_max: usize) {
        let is_save = |job: &Job| matches!(job, Job::SaveRooms { .. } | Job::Probe { .. });
        let of_lane = self.jobs.iter().filter(|(_, other)| is_save(other) == is_save(&job));
        let at_once_max = if is_save(&job) { 1 } else { reads_max };
        assert!(of_lane.count() < at_once_max, "so many jobs at a time in each lane");
        if let Job::ReadDocument { room_code, .. } = &job
            && self.in_memory.remove(room_code)
        {
            count(self.seen, "a document was evicted");
        }
        self.jobs.push((id, job));
    }

    /// A job is done, or refused by a store that is away. The worker says so now or only later.
    pub(super) fn finish_a_job(&mut self) {
        if self.draw.percent(40) {
            self.outcomes.append(&mut self.done);
            self.reads_done.clear();
        }
        if self.jobs.is_empty() {
            return;
        }
        let index = self.draw.below(self.jobs.len());
        let is_away = !self.draw.percent(90) || self.is_store_away;
        let is_late = !self.draw.percent(50);
        let (id, job) = self.jobs.swap_remove(index);
        let outcome = if is_away {
            count(self.seen, "the store was away");
            refuse(&job)
        } else {
            self.perform(job)
        };
        if is_late {
            self.done.push((id, outcome));
        } else {
            self.outcomes.push((id, outcome));
        }
    }

    fn perform(&mut self, job: Job) -> Outcome {
        match job {
            Job::FindRoom { room_code } => {
                let found = self.find(&room_code);
                if let Some(room) = &found {
                    self.in_memory.remove(&room.room_code);
                }
                Outcome::FoundRoom(Ok(found))
            }
            Job::ReadDocument { room_code, memory, .. } => {
                drop(memory);
                let document = self.store.get(&room_code).map(|room| &room.document);
                let Some(StoredDocument::Whole(document)) = document else {
                    return Outcome::ReadDocument(Ok(None));
                };
                let document = Document(self.budget.counted_bytes(document.0.to_vec()));
                count(self.seen, "a document was read from the store");
                self.in_memory.insert(room_code.clone());
                self.reads_done.insert(room_code);
                Outcome::ReadDocument(Ok(Some(document)))
            }
            Job::SaveRooms { rooms, .. } => {
                let outcomes = vec![Ok(()); rooms.len()];
                for room in rooms {
                    self.save(room);
                }
                Outcome::SavedRooms(outcomes)
            }
            Job::Probe { .. } => Outcome::Probed(Ok(())),
            Job::InspectStore => Outcome::InspectedStore(Ok(())),
            other => panic!("no client asked for {other:?}"),
        }
    }

    fn find(&self, code: &str) -> Option<StoredRoom> {
        let stored = self.store.get(code).or_else(|| self.store.get(&code.to_uppercase()));
        let mut head = stored?.clone();
        if let StoredDocument::Whole(document) = &head.document {
            head.document = StoredDocument::Unread { bytes: document.0.len() };
        }
        Some(head)
    }

    /// A room that comes without a document leaves the stored one as it is. What is stored counts
    /// against no budget.
    fn save(&mut self, mut room: StoredRoom) {
        if let StoredDocument::Whole(document) = &room.document {
            if self.reads_done.contains(&room.room_code) {
                count(self.seen, "a write overtook a read");
            }
            let copy = Bytes::copy_from_slice(&document.0);
            room.document = StoredDocument::Whole(Document(copy));
            self.in_memory.insert(room.room_code.clone());
        } else if let Some(stored) = self.store.get(&room.room_code) {
            room.document = stored.document.clone();
        }
        self.store.insert(room.room_code.clone(), room);
    }

    /// Bytes of all documents that are stored.
    pub(super) fn stored_bytes(&self) -> usize {
        let documents = self.store.values().map(|room| match &room.document {
            StoredDocument::Whole(document) => document.0.len(),
            StoredDocument::None | StoredDocument::Unread { .. } => 0,
        });
        documents.sum()
    }
}

/// What comes of a job while the store is away.
fn refuse(job: &Job) -> Outcome {
    let away = || StoreError::Unavailable("simulated".into());
    match job {
        Job::FindRoom { .. } => Outcome::FoundRoom(Err(away())),
        Job::ReadDocument { .. } => Outcome::ReadDocument(Err(away())),
        Job::SaveRooms { rooms, .. } => Outcome::SavedRooms(vec![Err(away()); rooms.len()]),
        Job::Probe { .. } => Outcome::Probed(Err(away())),
        Job::InspectStore => Outcome::InspectedStore(Err(away())),
        other => panic!("no client asked for {other:?}"),
    }
}
