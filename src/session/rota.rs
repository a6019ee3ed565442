//! Connections in turns by address: an address with five hundred of them has one turn where
//! another address with a single connection has one, too. Within an address its connections take
//! turns.
//!
//! It is deficit round robin, with those first that have just come (RFC 8290, *FQ-CoDel*, section
//! 4.1.1), over time instead of bytes. Each step is O(1). Knows no clock: it is told what a turn
//! has cost.

use std::collections::{HashMap, VecDeque};

use crate::base::ids::ConnId;
use crate::config::AddressKey;

/// What an address may cost before the others have their turns, in microseconds.
const QUANTUM_US: u64 = 500;
/// What an address owes at most, in microseconds: soon enough all is forgiven.
const OWED_MAX_US: u64 = 100 * QUANTUM_US;
/// Emptied queues that are kept to be used again.
const SPARE_MAX: usize = 64;
/// The longest queue that is kept so.
const SPARE_CAPACITY_MAX: usize = 64;

/// See the [module](self). Bounded by the number of connections: the caller adds none twice. An id
/// in it may be stale.
#[derive(Debug, Default)]
pub(super) struct Rota {
    /// The addresses that have come since nothing waited. Never iterated.
    shares: HashMap<AddressKey, Share>,
    /// Addresses that have not had a whole turn yet.
    fresh: VecDeque<AddressKey>,
    /// Addresses that have, in the order of their next turns.
    behind: VecDeque<AddressKey>,
    /// Connections that wait.
    len: usize,
    spare: Vec<VecDeque<ConnId>>,
}

/// What is known of an address.
#[derive(Debug)]
struct Share {
    /// Those of its connections that wait, in the order of their turns.
    conns: VecDeque<ConnId>,
    /// What is left of its turn.
    left_us: u64,
    /// What it has used beyond its turn: it waits for as many further ones.
    owed_us: u64,
}

impl Rota {
    /// Whether no connection waits.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `conn` of `address` waits for its turn.
    pub(super) fn add(&mut self, address: AddressKey, conn: ConnId) {
        let share = self.shares.entry(address).or_insert_with(|| {
            self.fresh.push_back(address);
            let conns = self.spare.pop().unwrap_or_default();
            Share { conns, left_us: QUANTUM_US, owed_us: 0 }
        });
        share.conns.push_back(conn);
        self.len += 1;
    }

    /// Takes the connection whose turn it is.
    pub(super) fn next(&mut self) -> Option<(AddressKey, ConnId)> {
        while self.len > 0 {
            let is_fresh = !self.fresh.is_empty();
            let list = if is_fresh { &mut self.fresh } else { &mut self.behind };
            let address = *list.front()?;
            let share = self.shares.get_mut(&address)?;
            if share.left_us > 0
                && let Some(conn) = share.conns.pop_front()
            {
                self.len -= 1;
                return Some((address, conn));
            }
            list.pop_front();
            if share.left_us == 0 {
                share.left_us = QUANTUM_US.saturating_sub(share.owed_us);
                share.owed_us = share.owed_us.saturating_sub(QUANTUM_US);
            } else if !is_fresh {
                // It owes nothing and waits for nothing.
                self.forget(address);
                continue;
            }
            self.behind.push_back(address);
        }
        // Where nothing waits nothing is owed.
        while let Some(address) = self.fresh.pop_front().or_else(|| self.behind.pop_front()) {
            self.forget(address);
        }
        None
    }

    /// What was done for `address` has cost so much.
    pub(super) fn charge(&mut self, address: AddressKey, cost_us: u64) {
        if let Some(share) = self.shares.get_mut(&address) {
            share.owed_us += cost_us.saturating_sub(share.left_us);
            share.owed_us = share.owed_us.min(OWED_MAX_US);
            share.left_us = share.left_us.saturating_sub(cost_us);
        }
    }

    fn forget(&mut self, address: AddressKey) {
        let Some(share) = self.shares.remove(&address) else { return };
        debug_assert!(share.conns.is_empty(), "an address with work stays");
        if share.conns.capacity() <= SPARE_CAPACITY_MAX && self.spare.len() < SPARE_MAX {
            self.spare.push(share.conns);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(last: u8) -> AddressKey {
        AddressKey::V4(Ipv4Addr::new(10, 0, 0, last))
    }

    /// The connection `index` of the address `index / 100`.
    fn add(rota: &mut Rota, index: u32) {
        let last = u8::try_from(index / 100).expect("few addresses");
        rota.add(address(last), ConnId { index, generation: 1 });
    }

    /// Takes a turn that costs so much; whose it was.
    fn turn(rota: &mut Rota, cost_us: u64) -> Option<u32> {
        let (address, conn) = rota.next()?;
        rota.charge(address, cost_us);
        Some(conn.index)
    }

    #[test]
    fn addresses_take_turns_and_so_do_the_connections_of_each() {
        let mut rota = Rota::default();
        [100, 101, 102, 103, 200, 201, 300].into_iter().for_each(|index| add(&mut rota, index));
        let turns: Vec<u32> = std::iter::from_fn(|| turn(&mut rota, QUANTUM_US)).collect();
        assert_eq!(turns, [100, 200, 300, 101, 201, 102, 103]);
        assert!(rota.is_empty() && rota.shares.is_empty() && rota.behind.is_empty());
    }

    #[test]
    fn a_turn_lasts_as_long_as_its_time() {
        let mut rota = Rota::default();
        [100, 101, 102, 200].into_iter().for_each(|index| add(&mut rota, index));
        let turns = [(); 4].map(|()| turn(&mut rota, QUANTUM_US / 2));
        assert_eq!(turns, [100, 101, 200, 102].map(Some));
    }

    #[test]
    fn a_quiet_address_comes_before_all_that_had_their_turn() {
        let mut rota = Rota::default();
        (100..200).for_each(|index| add(&mut rota, index));
        for round in 0..20 {
            assert_eq!(turn(&mut rota, QUANTUM_US), Some(100 + round));
            add(&mut rota, 200 + 100 * (round % 2));
            let next = turn(&mut rota, 1);
            assert_eq!(next, Some(200 + 100 * (round % 2)), "{round}");
        }
    }

    #[test]
    fn one_that_comes_and_goes_is_not_always_first() {
        let mut rota = Rota::default();
        (100..110).for_each(|index| add(&mut rota, index));
        assert_eq!(turn(&mut rota, QUANTUM_US), Some(100));
        let mut turns = Vec::new();
        for index in 200..210 {
            add(&mut rota, index);
            turns.extend(turn(&mut rota, QUANTUM_US));
        }
        assert_eq!(turns, [200, 101, 201, 102, 202, 103, 203, 104, 204, 105]);
    }

    #[test]
    fn what_was_used_beyond_a_turn_is_owed() {
        let mut rota = Rota::default();
        (100..104).for_each(|index| add(&mut rota, index));
        (200..208).for_each(|index| add(&mut rota, index));
        assert_eq!(turn(&mut rota, 4 * QUANTUM_US), Some(100));
        let turns = [(); 6].map(|()| turn(&mut rota, QUANTUM_US));
        assert_eq!(turns, [200, 201, 202, 203, 101, 204].map(Some));
    }

    #[test]
    fn nothing_is_kept_of_addresses_that_wait_for_nothing() {
        let mut rota = Rota::default();
        for last in 0..=255_u8 {
            for index in 0..100 {
                rota.add(address(last), ConnId { index, generation: 1 });
            }
        }
        while turn(&mut rota, 70).is_some() {}
        assert!(rota.shares.is_empty() && rota.fresh.is_empty() && rota.behind.is_empty());
        assert!(rota.spare.len() <= SPARE_MAX);
    }
}
