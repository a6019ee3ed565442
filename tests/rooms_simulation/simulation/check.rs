//! What is checked after each step.

use sync_server::rooms::RoomView;

use super::{Seen, Simulation};
use crate::draw::Draw;
use crate::effect::{Effect, document_number};
use crate::model::Model;
use crate::store::{Lookup, PendingDeletion, PendingRead, PendingSave};

const SAVE_SPACING_MS: u64 = 1_000;

/// What a client believes after all that it was sent.
#[derive(Debug, Default)]
pub(super) struct Belief {
    pub(super) peers: Vec<String>,
    pub(super) document: Option<String>,
}

impl<D: Draw> Simulation<D> {
    /// Compares what happened with what the model does.
    pub(super) fn expect(&mut self, seen: &mut Seen, act: impl FnOnce(&mut Model)) {
        self.compare(seen, false, act);
    }

    /// The same where rooms are independent of each other.
    pub(super) fn expect_in_any_order(&mut self, seen: &mut Seen, act: impl FnOnce(&mut Model)) {
        self.compare(seen, true, act);
    }

    fn compare(&mut self, seen: &mut Seen, in_any_order: bool, act: impl FnOnce(&mut Model)) {
        let mut actual = std::mem::take(&mut self.out.effects);
        for effect in &actual {
            self.note(format!("    {effect:?}"));
            count(seen, effect);
        }
        // Which room goes is the rooms' choice among the longest empty ones.
        actual.retain(|effect| match effect {
            Effect::Changed(code, change) if change == "Evicted" => {
                self.model.evicted(code);
                false
            }
            Effect::Changed(code, change) if change == "Unloaded" => {
                self.model.unloaded(code);
                false
            }
            Effect::Changed(code, change) if change == "Dropped" => {
                self.model.dropped(code, self.now_ms);
                false
            }
            _ => true,
        });
        act(&mut self.model);
        let mut expected = std::mem::take(&mut self.model.expected);
        self.learn(&actual);
        order_deletions(&mut actual);
        order_deletions(&mut expected);
        if in_any_order {
            actual.sort();
            expected.sort();
        }
        assert_eq!(actual, expected, "left is what happened, right what should have");
        self.take_saves();
        self.keep_promises(seen);
        self.check_state();
    }

    /// Lets the clients read what they were sent.
    fn learn(&mut self, effects: &[Effect]) {
        for effect in effects {
            let (to, text) = match effect {
                Effect::Send(to, text) => (vec![*to], text),
                Effect::Broadcast(to, text) => (to.clone(), text),
                Effect::Dismissed(members) => {
                    for conn in members {
                        self.beliefs.remove(conn);
                    }
                    continue;
                }
                _ => continue,
            };
            for conn in to {
                let belief = self.beliefs.entry(conn).or_default();
                belief.hear(text);
            }
        }
    }

    /// Hands snapshots to the store, as often as is allowed.
    fn take_saves(&mut self) {
        for save in std::mem::take(&mut self.out.saves) {
            let previous = self.last_save.insert(save.key, (self.now_ms, save.revision));
            if let Some((at_ms, revision)) = previous {
                let is_spaced = self.now_ms >= at_ms + SAVE_SPACING_MS;
                assert!(is_spaced || self.model.is_draining, "a second between two saves");
                assert!(save.revision >= revision);
            }
            let is_busy = self.store.saves.iter().any(|pending| pending.save.key == save.key);
            assert!(!is_busy, "two saves of one room at once");
            self.store.saves.push(PendingSave { save, result: None });
        }
        for (key, code, room_id) in std::mem::take(&mut self.out.deletions) {
            let is_busy = self.store.saves.iter().any(|pending| pending.save.key == key);
            assert!(!is_busy, "a save would bring it back");
            assert!(self.store.deletions.iter().all(|pending| pending.key != key), "once");
            self.store.deletions.push(PendingDeletion { key, code, room_id, is_done: false });
        }
        for (key, code, room_id) in std::mem::take(&mut self.out.reads) {
            assert!(self.store.reads.iter().all(|pending| pending.key != key), "one at a time");
            self.store.reads.push(PendingRead { key, code, room_id, found: None });
        }
        let asked = self.model.asked.iter();
        let new = asked.filter(|code| !self.store.lookups.iter().any(|known| known.code == **code));
        let new: Vec<Lookup> = new.map(|code| Lookup { code: code.clone(), found: None }).collect();
        self.store.lookups.extend(new);
    }

    /// A promise ends when the store really has the document, or a newer one.
    fn keep_promises(&mut self, seen: &mut Seen) {
        for (key, revision) in std::mem::take(&mut self.out.durable) {
            let image = &self.store.images[&self.out.codes[&key]];
            self.promises.retain(|promise| {
                let is_kept = promise.key == key && promise.revision <= revision;
                assert!(!is_kept || image.document_number() >= promise.document);
                if is_kept {
                    *seen.entry("late ack".to_owned()).or_default() += 1;
                }
                !is_kept
            });
        }
        for key in std::mem::take(&mut self.out.not_durable) {
            self.promises.retain(|promise| promise.key != key);
        }
    }

    fn check_state(&self) {
        self.rooms.check_invariants();
        assert_eq!(self.rooms.rooms(), self.model.rooms.len());
        assert_eq!(self.rooms.unsaved(), self.model.unsaved());
        for &conn in &self.connections {
            let code = self.model.room_of(conn);
            assert_eq!(self.rooms.room_of(conn).map(RoomView::code), code);
            let Some(code) = code else { continue };
            let belief = &self.beliefs[&conn];
            assert_eq!(belief.peers, self.model.peer_ids(code), "{conn} in {code}");
            assert_eq!(belief.document.as_deref(), self.model.document(code), "{conn} in {code}");
        }
    }
}

impl Belief {
    /// Exactly once: nobody comes who is there, nobody goes who is not.
    fn hear(&mut self, text: &str) {
        let (kind, rest) = text.split_once(' ').expect("a kind and something");
        match kind {
            "connected" => *self = Self::default(),
            "room" => {
                let (_, peers) = rest.split_once('[').expect("peers");
                let peers = peers.trim_end_matches(']').split_whitespace();
                self.peers = peers.map(|peer| id(peer).to_owned()).collect();
            }
            "document" => {
                let previous = self.document.as_deref().map_or(0, document_number);
                assert!(document_number(rest) >= previous, "an older document after a newer one");
                self.document = Some(rest.to_owned());
            }
            "joined" => {
                assert!(!self.peers.iter().any(|peer| peer == id(rest)), "{rest} joined twice");
                self.peers.push(id(rest).to_owned());
            }
            "left" => {
                let at = self.peers.iter().position(|peer| peer == rest);
                self.peers.remove(at.expect("only who is there can leave"));
            }
            _ => {}
        }
    }
}

/// Rooms whose deletion a call sets free are independent of each other.
fn order_deletions(effects: &mut [Effect]) {
    let is_deletion = |effect: &&mut Effect| matches!(effect, Effect::Delete(..));
    let mut places: Vec<_> = effects.iter_mut().filter(is_deletion).collect();
    let mut sorted: Vec<Effect> = places.iter().map(|effect| (**effect).clone()).collect();
    sorted.sort();
    for (place, effect) in places.iter_mut().zip(sorted) {
        **place = effect;
    }
}

/// The id of a peer that is written `id:…`.
fn id(peer: &str) -> &str {
    peer.split(':').next().expect("split has a first")
}

fn count(seen: &mut Seen, effect: &Effect) {
    let word = match effect {
        Effect::Changed(_, change) => change,
        Effect::Ended(_, text) => text,
        Effect::Durable(_) => "Durable",
        Effect::NotDurable(_) => "NotDurable",
        _ => return,
    };
    *seen.entry(word.to_owned()).or_default() += 1;
}
