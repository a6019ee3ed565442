//! Documents that leave memory and come back from the store.

use bytes::Bytes;
use sync_server::rooms::{Action, Document, StoreUnavailable};

use super::{Seen, Simulation};
use crate::draw::Draw;
use crate::effect::Effect;
use crate::model::Wish;
use crate::store::PendingRead;

impl<D: Draw> Simulation<D> {
    /// Memory is short.
    pub(super) fn free_memory(&mut self, seen: &mut Seen) {
        let wanted = self.source.pick(&[1, 4, 10, usize::MAX]);
        self.note(format!("{wanted} bytes are to be freed"));
        let now = self.now();
        let freed = self.rooms.free_memory(wanted, now, &mut self.out);
        self.expect(seen, |_| {});
        let is_spent =
            self.model.unloadable().chain(self.model.droppable(self.now_ms)).count() == 0;
        assert!(freed >= wanted || is_spent, "{freed} bytes of {wanted}");
    }

    /// Lets one document be read or, if it was, be handed over.
    pub(super) fn answer_read(&mut self, seen: &mut Seen) {
        if self.store.reads.is_empty() {
            return;
        }
        let index = self.source.below(self.store.reads.len());
        if self.store.reads[index].found.is_none() {
            self.store.read_document(index);
            if self.source.percent(40) {
                return;
            }
        }
        self.deliver_read(index, seen);
    }

    pub(super) fn deliver_read(&mut self, index: usize, seen: &mut Seen) {
        let PendingRead { key, code, found, .. } = self.store.reads.remove(index);
        let found = found.expect("it was read");
        self.note(format!("store answers the document of {code}: {found:?}"));
        let document = found
            .clone()
            .map_err(|()| StoreUnavailable)
            .map(|text| text.map(|text| Document(Bytes::from(text.into_bytes()))));
        let now = self.now();
        for (conn, wish) in self.rooms.document_read(key, document, now, &mut self.out) {
            if found.is_err() {
                let text = "StoreUnavailable".to_owned();
                self.out.effects.push(Effect::Ended(conn, text));
            } else if matches!(wish, Wish::Sync) {
                self.handle(conn, Action::RequestSync);
            } else {
                let located = self.rooms.located_by_key(key);
                self.go_on(located, conn, &code, &wish);
            }
        }
        let now_ms = self.now_ms;
        self.expect(seen, |model| model.document_read(index, &found, now_ms));
    }
}
