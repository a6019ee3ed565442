//! Who has been sent what, and who has got it: the count of what is lost, late, repeated or where
//! it does not belong. Pure bookkeeping: messages are known by their stamps alone.
//!
//! Clients are dealt out to rooms one by one: client `i` is in room `i % rooms`, as its member
//! number `i / rooms`. The first members of each room are its senders, so the senders of all rooms
//! are the first clients of all.

use std::collections::BTreeSet;

use super::stamp::Stamp;

/// Gaps that are kept in mind one by one, so that a late message can be told from a repeated one.
const GAPS_MAX: usize = 1 << 16;

/// Clients, rooms, and who does what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seating {
    /// All clients.
    pub(crate) clients: u32,
    /// All rooms.
    pub(crate) rooms: u32,
    /// The first members of each room, who send.
    pub(crate) senders: u32,
    /// The last members of each room, who need not get anything.
    pub(crate) excused: u32,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the next one, or one of those after it.
    New,
    /// Of another run, or for somebody who need not get it: it does not count.
    Ignored,
    /// It should not have come, or not now.
    Fault,
    /// It should have come earlier.
    Late,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Messages that came after a later one of the same sender.
    pub(crate) reordered: u64,
    /// Messages that came twice.
    pub(crate) repeated: u64,
    /// Messages to somebody in another room or to their own sender, or that nobody sent.
    pub(crate) misrouted: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    seating: Seating,
    run: u32,
    /// Messages of each sender.
    sent: Vec<u32>,
    /// The next message of each sender of its room, for each client.
    next: Vec<u32>,
    /// Client, sender and sequence of what was jumped over.
    gaps: BTreeSet<(u32, u32, u32)>,
    /// Gaps beyond [`GAPS_MAX`].
    gaps_uncounted: u64,
    /// Of all that a client has heard, in its order.
    digests: Vec<u64>,
    deliveries: u64,
    faults: Faults,
}

impl Seating {
    /// The room of a client.
    pub(crate) fn room(&self, client: u32) -> u32 {
        client % self.rooms
    }

    /// Which member of its room a client is.
    pub(crate) fn member(&self, client: u32) -> u32 {
        client / self.rooms
    }

    /// Members of a room.
    pub(crate) fn members(&self, room: u32) -> u32 {
        (self.clients + self.rooms - 1 - room) / self.rooms
    }

    /// Whether a client need not get anything.
    pub(crate) fn is_excused(&self, client: u32) -> bool {
        self.member(client) + self.excused >= self.members(self.room(client))
    }

    /// To how many clients a message into this room has to come.
    pub(crate) fn readers(&self, room: u32) -> u32 {
        self.members(room) - self.excused - 1
    }

    /// Senders in all; these are the clients from 0 on.
    pub(crate) fn senders_total(&self) -> u32 {
        self.senders * self.rooms
    }
}

impl Ledger {
    /// Nothing sent yet. Stamps of another `run` do not count.
    pub(crate) fn new(seating: Seating, run: u32) -> Self {
        let clients = seating.clients as usize;
        Self {
            seating,
            run,
            sent: vec![0; seating.senders_total() as usize],
            next: vec![0; clients * seating.senders as usize],
            gaps: BTreeSet::new(),
            gaps_uncounted: 0,
            digests: vec![0; clients],
            deliveries: 0,
            faults: Faults::default(),
        }
    }

    /// Who is where.
    pub(crate) fn seating(&self) -> &Seating {
        &self.seating
    }

    /// Stamps the next message of `sender`.
    pub(crate) fn send(&mut self, sender: u32, sent_at: u64) -> Stamp {
        let count = &mut self.sent[sender as usize];
        let stamp = Stamp { run: self.run, sender, sequence: *count, sent_at };
        *count += 1;
        stamp
    }

    /// A message has come to `client`.
    pub(crate) fn hear(&mut self, client: u32, stamp: &Stamp) -> Verdict {
        if stamp.run != self.run {
            return Verdict::Ignored;
        }
        let Stamp { sender, sequence, .. } = *stamp;
        let was_sent = self.sent.get(sender as usize).is_some_and(|sent| sequence < *sent);
        let is_for_us = self.seating.room(sender) == self.seating.room(client) && sender != client;
        if !was_sent || !is_for_us {
            self.faults.misrouted += 1;
            return Verdict::Fault;
        }
        if self.seating.is_excused(client) {
            return Verdict::Ignored;
        }
        let verdict = self.advance(client, sender, sequence);
        if verdict != Verdict::Fault {
            self.deliveries += 1;
            let digest = &mut self.digests[client as usize];
            let message = u64::from(sender) << 32 | u64::from(sequence);
            // An odd factor, so that nothing is lost by multiplying (that of 64-bit FNV).
            *digest = (digest.rotate_left(7) ^ message).wrapping_mul(0x0000_0100_0000_01b3);
        }
        verdict
    }

    /// Moves the mark between what `client` has got of `sender` and what is to come.
    fn advance(&mut self, client: u32, sender: u32, sequence: u32) -> Verdict {
        let row = client as usize * self.seating.senders as usize;
        let next = &mut self.next[row + self.seating.member(sender) as usize];
        if sequence < *next {
            if self.gaps.remove(&(client, sender, sequence)) {
                self.faults.reordered += 1;
                return Verdict::Late;
            }
            self.faults.repeated += 1;
            return Verdict::Fault;
        }
        for gap in *next..sequence {
            if self.gaps.len() < GAPS_MAX {
                self.gaps.insert((client, sender, gap));
            } else {
                self.gaps_uncounted += 1;
            }
        }
        *next = sequence + 1;
        Verdict::New
    }

    /// Messages sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.iter().map(|count| u64::from(*count)).sum()
    }

    /// How often a message has to come to somebody.
    pub(crate) fn expected(&self) -> u64 {
        let of_sender = |(sender, count): (u32, &u32)| {
            u64::from(*count) * u64::from(self.seating.readers(self.seating.room(sender)))
        };
        (0..).zip(&self.sent).map(of_sender).sum()
    }

    /// How often a message came to somebody for the first time.
    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// What has not come.
    pub(crate) fn missing(&self) -> u64 {
        self.expected() - self.deliveries
    }

    /// What was jumped over so far.
    pub(crate) fn gaps(&self) -> u64 {
        self.gaps.len() as u64 + self.gaps_uncounted
    }

    /// What went wrong so far.
    pub(crate) fn faults(&self) -> Faults {
        self.faults
    }

    /// How many of those who only listen heard their room in another order than the first of them;
    /// makes sense only when nothing is missing.
    pub(crate) fn orders_that_differ(&self) -> u64 {
        let seating = &self.seating;
        let listens = |client: &u32| {
            seating.member(*client) > seating.senders && !seating.is_excused(*client)
        };
        let differs = |client: &u32| {
            let first = seating.senders * seating.rooms + seating.room(*client);
            self.digests[*client as usize] != self.digests[first as usize]
        };
        (0..seating.clients).filter(listens).filter(differs).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rooms of 5, 4 and 4: senders are the clients 0 to 5, excused are 12, 10 and 11.
    const SEATING: Seating = Seating { clients: 13, rooms: 3, senders: 2, excused: 1 };
    const RUN: u32 = 7;

    fn stamp(sender: u32, sequence: u32) -> Stamp {
        Stamp { run: RUN, sender, sequence, sent_at: 0 }
    }

    /// A ledger in which both senders of room 0 (clients 0 and 3) have sent three messages.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(SEATING, RUN);
        for sequence in 0..3 {
            for sender in [0, 3] {
                assert_eq!(ledger.send(sender, 0), stamp(sender, sequence));
            }
        }
        ledger
    }

    /// Everything comes to everybody in `ledger`, but for what `change` does to the messages that
    /// client 6 hears.
    fn deliver(ledger: &mut Ledger, change: impl Fn(&mut Vec<Stamp>)) {
        for client in [0, 3, 6, 9, 12] {
            let mut messages: Vec<Stamp> = (0..3)
                .flat_map(|sequence| [stamp(0, sequence), stamp(3, sequence)])
                .filter(|stamp| stamp.sender != client)
                .collect();
            if client == 6 {
                change(&mut messages);
            }
            for message in &messages {
                ledger.hear(client, message);
            }
        }
    }

    #[track_caller]
    fn check(
        change: impl Fn(&mut Vec<Stamp>),
        (missing, reordered, repeated, misrouted): (u64, u64, u64, u64),
    ) {
        let mut ledger = ledger();
        deliver(&mut ledger, change);
        assert_eq!(ledger.missing(), missing);
        assert_eq!(ledger.faults(), Faults { reordered, repeated, misrouted });
    }

    #[test]
    fn everybody_has_a_seat() {
        assert_eq!([0, 1, 2].map(|room| SEATING.members(room)), [5, 4, 4]);
        let excused: Vec<u32> = (0..13).filter(|client| SEATING.is_excused(*client)).collect();
        assert_eq!(excused, [10, 11, 12]);
        assert_eq!(SEATING.readers(0), 3);
        assert_eq!((SEATING.room(5), SEATING.member(5), SEATING.senders_total()), (2, 1, 6));
    }

    #[test]
    fn when_all_goes_well_nothing_is_missing() {
        let mut ledger = ledger();
        assert_eq!((ledger.sent(), ledger.expected(), ledger.missing()), (6, 18, 18));
        deliver(&mut ledger, |_| ());
        assert_eq!((ledger.deliveries(), ledger.missing(), ledger.gaps()), (18, 0, 0));
        assert_eq!(ledger.faults(), Faults::default());
        assert_eq!(ledger.orders_that_differ(), 0);
    }

    #[test]
    fn whatever_goes_wrong_is_counted() {
        check(|messages| messages.truncate(5), (1, 0, 0, 0));
        check(|messages| messages.retain(|message| *message != stamp(3, 1)), (1, 0, 0, 0));
        check(Vec::clear, (6, 0, 0, 0));
        check(|messages| messages.swap(0, 2), (0, 1, 0, 0));
        check(|messages| messages.reverse(), (0, 4, 0, 0));
        check(|messages| messages.push(stamp(0, 1)), (0, 0, 1, 0));
        check(|messages| messages.extend_from_within(..), (0, 0, 6, 0));
        check(|messages| messages[0] = stamp(1, 0), (1, 0, 0, 1));
        check(|messages| messages.push(stamp(6, 0)), (0, 0, 0, 1));
        check(|messages| messages.push(stamp(0, 3)), (0, 0, 0, 1));
        check(|messages| messages.push(Stamp { run: 8, ..stamp(0, 0) }), (0, 0, 0, 0));
    }

    #[test]
    fn a_late_message_is_not_lost_any_more() {
        let mut ledger = ledger();
        let heard = [2, 0, 1, 1].map(|sequence| ledger.hear(6, &stamp(0, sequence)));
        assert_eq!(heard, [Verdict::New, Verdict::Late, Verdict::Late, Verdict::Fault]);
        assert_eq!(ledger.gaps(), 0);
    }

    #[test]
    fn an_order_that_differs_is_seen_even_if_each_sender_is_in_order() {
        let mut ledger = ledger();
        // Messages of client 0 and of client 3 change places for client 6 alone.
        deliver(&mut ledger, |messages| messages.swap(0, 1));
        assert_eq!((ledger.missing(), ledger.faults()), (0, Faults::default()));
        assert_eq!(ledger.orders_that_differ(), 1);
    }

    #[test]
    fn gaps_are_bounded() {
        let mut ledger = Ledger::new(Seating { clients: 2, rooms: 1, senders: 1, excused: 0 }, 0);
        let count = u32::try_from(GAPS_MAX).unwrap() + 10;
        for _ in 0..=count {
            ledger.send(0, 0);
        }
        let last = Stamp { run: 0, sender: 0, sequence: count, sent_at: 0 };
        assert_eq!(ledger.hear(1, &last), Verdict::New);
        assert_eq!((ledger.gaps.len(), ledger.gaps_uncounted), (GAPS_MAX, 10));
        assert_eq!(ledger.missing(), u64::from(count));
    }
}
