//! What all clients have heard, counted.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::client::Heard;
use super::clock::{Micros, SECOND};
use super::crowd::Listener;
use super::ledger::{Ledger, Verdict};
use super::stamp::Stamp;

/// The longest time that is told from longer ones.
const LATENCY_MAX: Micros = 120 * SECOND;
/// Different reasons that are counted one by one.
const REASONS_MAX: usize = 32;
/// What further ones are counted as.
const OTHER_REASON: &str = "other reasons";

/// How often each reason was given.
pub(crate) type Reasons = BTreeMap<String, u64>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Of messages.
    pub(crate) ledger: Ledger,
    /// From sending to hearing.
    pub(crate) latencies: Histogram<u64>,
    /// From beginning to connect to being in a room.
    pub(crate) join_latencies: Histogram<u64>,
    /// Clients of these numbers and below it count who comes and goes; those above come and go.
    pub(crate) residents: u32,
    /// How often residents heard that somebody came.
    pub(crate) peers_joined: u64,
    /// How often residents heard that somebody went.
    pub(crate) peers_left: u64,
    /// Of errors, by their code.
    pub(crate) refused: Reasons,
    /// Of connections, by their reason.
    pub(crate) ended: Reasons,
    /// Of connections that did not read.
    pub(crate) stalled_ended: Reasons,
    /// Messages that are shorter than what was sent, or not as long as others of their sender.
    pub(crate) mutilated: u64,
    /// When something last came that was waited for.
    pub(crate) news_at: Micros,
    message_bytes: u64,
    /// Of each sender, as they come, with what the server puts around them; 0: not yet known.
    lengths: Vec<u64>,
    window: Window,
    joined_now: Vec<u32>,
    ended_now: Vec<u32>,
    last_end: String,
}

/// Messages under way: a sender may have so many of them. A message that all its readers have
/// heard makes place for another one, once those before it are heard too.
#[derive(Debug)]
struct Window {
    size: usize,
    /// For the last `size` messages of each sender: who has yet to hear it.
    left: Vec<u32>,
    /// Of each sender: the first message that is not heard by all.
    oldest: Vec<u32>,
    /// Of each sender: the next message.
    next: Vec<u32>,
    /// Senders that may send one more, once for each.
    permits: Vec<u32>,
}

impl Tally {
    /// Nothing heard yet. Messages have `message_bytes` at least; `window` of one sender may be
    /// under way, without a bound if it is 0.
    pub(crate) fn new(ledger: Ledger, message_bytes: usize, window: u32) -> Self {
        // These bounds are always valid: 1 µs is less than half of the longest time.
        let histogram = || Histogram::new_with_bounds(1, LATENCY_MAX, 3).expect("valid bounds");
        let senders = ledger.seating().senders_total();
        let window = Window::new(senders, window);
        Self {
            residents: ledger.seating().clients,
            ledger,
            latencies: histogram(),
            join_latencies: histogram(),
            peers_joined: 0,
            peers_left: 0,
            refused: Reasons::new(),
            ended: Reasons::new(),
            stalled_ended: Reasons::new(),
            mutilated: 0,
            news_at: 0,
            message_bytes: message_bytes as u64,
            lengths: vec![0; senders as usize],
            window,
            joined_now: Vec::new(),
            ended_now: Vec::new(),
            last_end: String::new(),
        }
    }

    /// The stamp for the next message of `sender`.
    pub(crate) fn send(&mut self, sender: u32, now: Micros) -> Stamp {
        let stamp = self.ledger.send(sender, now);
        let seating = self.ledger.seating();
        self.window.sent(&stamp, seating.readers(seating.room(sender)));
        stamp
    }

    /// Senders that may send one more, once for each.
    pub(crate) fn take_permits(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.window.permits)
    }

    /// Clients that have joined since this was last asked.
    pub(crate) fn take_joined(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.joined_now)
    }

    /// Clients whose connection has ended since this was last asked, and why the last of them.
    pub(crate) fn take_ended(&mut self) -> (Vec<u32>, &str) {
        (std::mem::take(&mut self.ended_now), &self.last_end)
    }

    /// How often residents heard that somebody came or went.
    pub(crate) fn presence(&self) -> u64 {
        self.peers_joined + self.peers_left
    }

    fn hear_stamp(&mut self, client: u32, stamp: &Stamp, bytes: u64, now: Micros) {
        let verdict = self.ledger.hear(client, stamp);
        if matches!(verdict, Verdict::New | Verdict::Late) {
            // Stamps have a fixed width, so each message of a sender is as long as the others.
            let length = &mut self.lengths[stamp.sender as usize];
            if *length == 0 {
                *length = bytes.max(self.message_bytes);
            }
            self.mutilated += u64::from(bytes != *length);
            self.latencies.saturating_record(now.saturating_sub(stamp.sent_at));
            self.window.heard(stamp);
            self.news_at = now;
        }
    }
}

impl Listener for Tally {
    fn heard(&mut self, client: u32, heard: Heard<'_>, now: Micros) {
        match heard {
            Heard::Stamped(stamp, bytes) => self.hear_stamp(client, &stamp, bytes, now),
            Heard::PeerJoined | Heard::PeerLeft if client >= self.residents => {}
            Heard::PeerJoined => {
                self.peers_joined += 1;
                self.news_at = now;
            }
            Heard::PeerLeft => {
                self.peers_left += 1;
                self.news_at = now;
            }
            Heard::Joined(began) => {
                self.join_latencies.saturating_record(now.saturating_sub(began));
                self.joined_now.push(client);
                self.news_at = now;
            }
            Heard::Refused(reason) => count(&mut self.refused, reason),
            Heard::Ended(reason) => {
                let seating = self.ledger.seating();
                let is_excused = client < seating.clients && seating.is_excused(client);
                count(if is_excused { &mut self.stalled_ended } else { &mut self.ended }, reason);
                self.ended_now.push(client);
                reason.clone_into(&mut self.last_end);
            }
        }
    }
}

fn count(reasons: &mut Reasons, reason: &str) {
    let is_room = reasons.len() < REASONS_MAX || reasons.contains_key(reason);
    let reason = if is_room { reason } else { OTHER_REASON };
    *reasons.entry(reason.to_owned()).or_default() += 1;
}

impl Window {
    fn new(senders: u32, size: u32) -> Self {
        let (senders, size) = (senders as usize, size as usize);
        Self {
            size,
            left: vec![0; senders * size],
            oldest: vec![0; senders],
            next: vec![0; senders],
            permits: Vec::new(),
        }
    }

    fn place(&self, sender: usize, sequence: u32) -> usize {
        sender * self.size + sequence as usize % self.size
    }

    fn sent(&mut self, stamp: &Stamp, readers: u32) {
        if self.size > 0 {
            let sender = stamp.sender as usize;
            let place = self.place(sender, stamp.sequence);
            debug_assert_eq!(self.left[place], 0, "nobody sends beyond the window");
            self.left[place] = readers;
            self.next[sender] = stamp.sequence + 1;
        }
    }

    fn heard(&mut self, stamp: &Stamp) {
        if self.size == 0 {
            return;
        }
        let sender = stamp.sender as usize;
        let place = self.place(sender, stamp.sequence);
        self.left[place] -= 1;
        while self.oldest[sender] < self.next[sender]
            && self.left[self.place(sender, self.oldest[sender])] == 0
        {
            self.oldest[sender] += 1;
            self.permits.push(stamp.sender);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::ledger::Seating;

    fn tally(window: u32) -> Tally {
        let seating = Seating { clients: 3, rooms: 1, senders: 1, excused: 0 };
        Tally::new(Ledger::new(seating, 0), 50, window)
    }

    #[test]
    fn a_message_that_all_have_heard_makes_place_for_another() {
        let mut tally = tally(2);
        let stamps = [tally.send(0, 10), tally.send(0, 10)];
        for (client, stamp, permits) in
            [(1, stamps[1], 0), (2, stamps[1], 0), (1, stamps[0], 0), (2, stamps[0], 2)]
        {
            tally.heard(client, Heard::Stamped(stamp, 50), 30);
            assert_eq!(tally.take_permits().len(), permits);
        }
        let third = tally.send(0, 40);
        tally.heard(1, Heard::Stamped(third, 50), 41);
        tally.heard(2, Heard::Stamped(third, 50), 42);
        assert_eq!(tally.take_permits(), [0]);
        assert_eq!(tally.ledger.missing(), 0);
        assert_eq!((tally.latencies.len(), tally.latencies.max(), tally.news_at), (6, 20, 42));
    }

    #[test]
    fn messages_of_another_length_and_those_heard_twice_are_noticed() {
        let mut tally = tally(0);
        for (bytes, mutilated) in [(70, 0), (70, 0), (69, 1), (71, 2)] {
            let stamp = tally.send(0, 0);
            tally.heard(1, Heard::Stamped(stamp, bytes), 1);
            assert_eq!(tally.mutilated, mutilated);
            tally.heard(1, Heard::Stamped(stamp, bytes), 1);
        }
        assert_eq!((tally.latencies.len(), tally.ledger.faults().repeated), (4, 4));
    }

    #[test]
    fn a_message_is_at_least_as_long_as_what_was_sent() {
        let mut tally = tally(0);
        let stamp = tally.send(0, 0);
        tally.heard(1, Heard::Stamped(stamp, 49), 1);
        assert_eq!(tally.mutilated, 1);
    }

    #[test]
    fn residents_count_who_comes_and_goes() {
        let mut tally = tally(0);
        for client in [0, 2, 3] {
            tally.heard(client, Heard::PeerJoined, 1);
            tally.heard(client, Heard::PeerLeft, 1);
        }
        assert_eq!((tally.peers_joined, tally.peers_left), (2, 2));
    }

    #[test]
    fn reasons_are_bounded() {
        let mut tally = tally(0);
        for client in 0..100 {
            tally.heard(client, Heard::Refused(&format!("reason {client}")), 1);
        }
        assert_eq!(tally.refused.len(), REASONS_MAX + 1);
        assert_eq!(tally.refused.values().sum::<u64>(), 100);
        tally.heard(1, Heard::Ended("cut off"), 1);
        assert_eq!(tally.take_ended(), (vec![1], "cut off"));
    }
}
