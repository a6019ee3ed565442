//! The places that addresses have for connections, and those that are owed to late answers.
//!
//! A client whose answer comes late need not wait for it: it may drop the connection and open
//! another. So the place of that connection stays taken until the answer would have been due, and
//! an address gets no more such answers in that time than it may have connections. Addresses of
//! one site of IPv6, which has 65,536 of them, owe so many together.

use std::collections::{BTreeMap, HashMap};

use crate::base::time::Timestamp;
use crate::config::AddressKey;

/// What is owed, by address and second: at most so many entries; then those that are due first
/// are forgiven. As many as 780 addresses have that owe something in each second of a delay of
/// 20 s, which is more guesses than the server takes in. About 2 MB with what is counted by it.
const OWED_MAX: usize = 16 * 1024;
/// Addresses' worth of late answers that one site (a /48 of IPv6) may be owed before its
/// connections are refused. Networks of IPv4 hold many households, and owe nothing together.
const SITE_ADDRESSES: u32 = 4;

/// The second on the server's clock at whose beginning something is owed no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct DueSecond(u32);

/// A connection's place.
#[derive(Debug)]
pub(super) struct Place {
    /// Whose place it is.
    pub(super) address: AddressKey,
    /// Until when it stays taken although the connection is gone.
    owed: Option<DueSecond>,
}

/// How many places each address has taken.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// By connections, and by answers that are owed to no connection any more.
    taken: HashMap<AddressKey, u32>,
    owed: BTreeMap<(DueSecond, AddressKey), Owed>,
    /// Answers owed to each site.
    sites: HashMap<AddressKey, u32>,
}

/// What an address is owed in one second.
#[derive(Debug, Default)]
struct Owed {
    answers: u32,
    /// Of those that no connection takes.
    places: u32,
}

impl Places {
    /// Whether `address` has a place left of the `places_max` that each has.
    pub(super) fn has_room(&self, address: AddressKey, places_max: u32) -> bool {
        let taken = self.taken.get(&address).copied().unwrap_or(0);
        let owed = site_of(address).and_then(|site| self.sites.get(&site)).copied().unwrap_or(0);
        taken < places_max && owed < places_max.saturating_mul(SITE_ADDRESSES)
    }

    /// A connection of `address` takes a place.
    pub(super) fn take(&mut self, address: AddressKey) -> Place {
        *self.taken.entry(address).or_insert(0) += 1;
        Place { address, owed: None }
    }

    /// The connection of `place` is gone. Is it owed an answer, the place stays taken until then.
    pub(super) fn give_back(&mut self, place: &Place) {
        let owed = place.owed.and_then(|due| self.owed.get_mut(&(due, place.address)));
        if let Some(owed) = owed {
            owed.places += 1;
        } else {
            subtract(&mut self.taken, place.address, 1);
        }
    }

    /// A client at `address` is to be answered at `until`. Until then `place`, its connection's,
    /// stays taken. Without one another is taken.
    pub(super) fn owe(&mut self, address: AddressKey, until: Timestamp, place: Option<&mut Place>) {
        let second = until.0.div_ceil(Timestamp::from_secs(1).0);
        let due = DueSecond(u32::try_from(second).unwrap_or(u32::MAX));
        if self.owed.len() >= OWED_MAX && !self.owed.contains_key(&(due, address)) {
            self.forgive_first();
        }
        let owed = self.owed.entry((due, address)).or_default();
        owed.answers += 1;
        if let Some(place) = place {
            place.owed = Some(due);
        } else {
            owed.places += 1;
            *self.taken.entry(address).or_insert(0) += 1;
        }
        if let Some(site) = site_of(address) {
            *self.sites.entry(site).or_insert(0) += 1;
        }
    }

    /// Gives back the places whose answers are due by `now`.
    pub(super) fn release(&mut self, now: Timestamp) {
        let is_due = |due: DueSecond| Timestamp::from_secs(due.0.into()) <= now;
        while self.owed.first_key_value().is_some_and(|((due, _), _)| is_due(*due)) {
            self.forgive_first();
        }
    }

    fn forgive_first(&mut self) {
        let Some(((_, address), owed)) = self.owed.pop_first() else { return };
        subtract(&mut self.taken, address, owed.places);
        if let Some(site) = site_of(address) {
            subtract(&mut self.sites, site, owed.answers);
        }
    }
}

/// The /48 that an address of IPv6 is in.
fn site_of(address: AddressKey) -> Option<AddressKey> {
    matches!(address, AddressKey::V6Net(_)).then(|| address.network(32, 48))
}

fn subtract(counts: &mut HashMap<AddressKey, u32>, key: AddressKey, count: u32) {
    if let Some(counted) = counts.get_mut(&key) {
        *counted -= count;
        if *counted == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const MAX: u32 = 3;

    fn v4(number: u32) -> AddressKey {
        AddressKey::V4(Ipv4Addr::from_bits(number))
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn a_connection_that_is_gone_leaves_its_place_to_the_answer_that_it_is_owed() {
        let mut places = Places::default();
        for _ in 0..MAX {
            let mut place = places.take(v4(1));
            places.owe(v4(1), Timestamp::from_millis(19_500), Some(&mut place));
            places.give_back(&place);
        }
        places.release(Timestamp::from_millis(19_999));
        assert!(!places.has_room(v4(1), MAX) && places.has_room(v4(2), MAX));
        places.release(at(20));
        assert!(places.taken.is_empty() && places.owed.is_empty());
        // One that stays has been answered by then.
        let mut place = places.take(v4(1));
        places.owe(v4(1), at(30), Some(&mut place));
        places.release(at(30));
        assert_eq!(places.taken[&v4(1)], 1);
        places.give_back(&place);
        assert!(places.taken.is_empty());
    }

    #[test]
    fn a_site_is_owed_so_much_and_a_network_of_ipv4_is_no_site() {
        let mut places = Places::default();
        let key = |site: u64, net: u64| AddressKey::V6Net((site << 16) | net);
        for number in 0..u32::from(u8::MAX) {
            places.owe(v4(number), at(20), None);
        }
        assert!(places.has_room(v4(u8::MAX.into()), MAX));
        let mut staying = Vec::new();
        for net in 0..u64::from(MAX * SITE_ADDRESSES) {
            assert!(places.has_room(key(7, 0xffff), MAX), "{net}");
            let mut place = places.take(key(7, net));
            places.owe(key(7, net), at(20), Some(&mut place));
            staying.push(place);
        }
        assert!(!places.has_room(key(7, 0xffff), MAX) && places.has_room(key(8, 0), MAX));
        places.release(at(20));
        assert!(places.has_room(key(7, 0xffff), MAX));
        for place in staying {
            places.give_back(&place);
        }
        assert!(places.sites.is_empty() && places.taken.is_empty());
    }

    #[test]
    fn what_is_owed_has_a_bound_and_what_is_due_first_is_forgiven() {
        let mut places = Places::default();
        let addresses = u32::try_from(OWED_MAX).expect("a small number");
        let mut place = places.take(v4(0));
        places.owe(v4(0), at(20), Some(&mut place));
        for number in 1..addresses {
            places.owe(v4(number), at(20 + u64::from(number)), None);
        }
        places.owe(v4(addresses - 1), at(20 + u64::from(addresses - 1)), None);
        assert_eq!(places.owed.len(), OWED_MAX);
        assert!(!places.has_room(v4(0), 1), "one more for the same second takes no more memory");
        places.owe(v4(addresses), at(21), None);
        assert_eq!(places.owed.len(), OWED_MAX);
        places.give_back(&place);
        assert!(places.has_room(v4(0), 1) && !places.has_room(v4(1), 1));
        places.release(Timestamp(u64::MAX));
        assert!(places.owed.is_empty() && places.taken.is_empty());
    }
}
