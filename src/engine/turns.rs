//! A queue that its owners share: each address has its own part of it, in the order of asking, and
//! the parts are served in turns. So whatever one address has queued, another one waits for as
//! many jobs as there are addresses, not for as many as there are jobs.
//!
//! Knows nothing of jobs. The order depends on no hash map.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use crate::config::AddressKey;

/// For which side something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    /// The server itself. What it queues is bounded by what it is: one of each kind.
    Server,
    /// The clients at an address.
    Address(AddressKey),
}

/// There is no place, and no other address has two more than the asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

/// What waits, by owner.
#[derive(Debug)]
pub(super) struct Turns<T> {
    /// Invariant: none is empty.
    queues: BTreeMap<Owner, Queue<T>>,
    /// The owners in the order of their turns. Invariant: one entry for each queue.
    order: BTreeMap<i64, Owner>,
    /// The queues of addresses by length. Invariant: one entry for each.
    lengths: BTreeSet<(usize, AddressKey)>,
    /// Items in all queues.
    len: usize,
    len_max: usize,
}

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<T>,
    /// Where it stands in the order.
    turn: i64,
}

impl Owner {
    /// The clients at `address`.
    pub(super) fn at(address: IpAddr) -> Self {
        Self::Address(AddressKey::of(address))
    }
}

/// Nothing, for items that are bounded elsewhere.
impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl<T> Turns<T> {
    /// Nothing; at most `len_max` items of clients are to wait.
    pub(super) fn new(len_max: usize) -> Self {
        Self {
            queues: BTreeMap::new(),
            order: BTreeMap::new(),
            lengths: BTreeSet::new(),
            len: 0,
            len_max,
        }
    }

    /// How many items wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Queues `item` behind the others of `owner`. If there is no place, the longest queue gives
    /// up its newest item, which is returned; but only one that stays longer than that of `owner`.
    /// The server itself always finds a place.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub(super) fn push(&mut self, owner: Owner, item: T) -> Result<Option<T>, QueueFull> {
        let mut displaced = None;
        if self.len >= self.len_max && owner != Owner::Server {
            let own = self.queues.get(&owner).map_or(0, |queue| queue.items.len());
            let longest = self.lengths.last().filter(|(length, _)| *length > own + 1);
            let (_, address) = longest.ok_or(QueueFull)?;
            displaced = self.change(Owner::Address(*address), VecDeque::pop_back);
        }
        self.change(owner, |items| items.push_back(item));
        Ok(displaced)
    }

    /// The next item of the owner that has waited longest for its turn.
    pub(super) fn pop(&mut self) -> Option<(Owner, T)> {
        let (_, owner) = self.order.first_key_value()?;
        let owner = *owner;
        self.pass_turn(owner);
        Some((owner, self.change(owner, VecDeque::pop_front)?))
    }

    /// The first item of each owner, in the order of their turns.
    pub(super) fn heads(&self) -> impl Iterator<Item = &T> {
        let queues = self.order.values().filter_map(|owner| self.queues.get(owner));
        queues.filter_map(|queue| queue.items.front())
    }

    /// The next turn of `owner` comes after those of all others.
    pub(super) fn pass_turn(&mut self, owner: Owner) {
        self.move_turn(owner, self.last_turn() + 1);
    }

    /// Undoes [`pop`](Self::pop): `item` is the next one.
    pub(super) fn put_back(&mut self, owner: Owner, item: T) {
        self.change(owner, |items| items.push_front(item));
        let first = self.order.first_key_value().map_or(0, |(turn, _)| turn - 1);
        self.move_turn(owner, first);
    }

    /// Takes the oldest item of `owner` if it is one that `is_meant`.
    pub(super) fn remove_oldest(
        &mut self,
        owner: Owner,
        is_meant: impl FnOnce(&T) -> bool,
    ) -> Option<T> {
        let oldest = self.queues.get(&owner)?.items.front()?;
        if is_meant(oldest) { self.change(owner, VecDeque::pop_front) } else { None }
    }

    /// Takes the oldest item of `owner` that `is_meant`, wherever it stands.
    pub(super) fn remove(&mut self, owner: Owner, is_meant: impl FnMut(&T) -> bool) -> Option<T> {
        let index = self.queues.get(&owner)?.items.iter().position(is_meant)?;
        self.change(owner, |items| items.remove(index))
    }

    fn move_turn(&mut self, owner: Owner, turn: i64) {
        if let Some(queue) = self.queues.get_mut(&owner) {
            self.order.remove(&queue.turn);
            self.order.insert(turn, owner);
            queue.turn = turn;
        }
    }

    /// Lets `act` change the items of `owner`, then the rest follows.
    fn change<R>(&mut self, owner: Owner, act: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
        let turn = self.last_turn() + 1;
        let new = || Queue { items: VecDeque::new(), turn };
        let queue = self.queues.entry(owner).or_insert_with(new);
        let before = queue.items.len();
        let result = act(&mut queue.items);
        let (after, turn) = (queue.items.len(), queue.turn);
        self.len = self.len - before + after;
        if let Owner::Address(address) = owner {
            self.lengths.remove(&(before, address));
            if after > 0 {
                self.lengths.insert((after, address));
            }
        }
        if after == 0 {
            self.queues.remove(&owner);
            self.order.remove(&turn);
        } else {
            self.order.insert(turn, owner);
        }
        result
    }

    fn last_turn(&self) -> i64 {
        self.order.last_key_value().map_or(0, |(turn, _)| *turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::net::Ipv4Addr;

    /// The clients at the address with this number.
    fn owner(number: u8) -> Owner {
        Owner::at(Ipv4Addr::new(192, 0, 2, number).into())
    }

    fn filled(len_max: usize, queued: &[(u8, u32)]) -> Turns<u32> {
        let mut turns = Turns::new(len_max);
        for (number, item) in queued {
            assert_eq!(turns.push(owner(*number), *item), Ok(None));
        }
        turns
    }

    fn drained(turns: &mut Turns<u32>) -> Vec<u32> {
        let items: Vec<u32> = std::iter::from_fn(|| turns.pop()).map(|(_, item)| item).collect();
        assert_eq!(turns.len(), 0);
        assert!(turns.queues.is_empty() && turns.order.is_empty() && turns.lengths.is_empty());
        items
    }

    #[test]
    fn addresses_take_turns_and_each_keeps_its_order() {
        let mut turns = filled(9, &[(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (3, 31)]);
        assert_eq!(turns.push(Owner::Server, 1), Ok(None));
        assert_eq!(turns.len(), 7);
        assert_eq!(drained(&mut turns), [10, 20, 30, 1, 11, 31, 12]);
    }

    #[test]
    fn one_that_comes_later_waits_for_one_job_of_each_other() {
        let mut turns = filled(9, &[(1, 10), (1, 11), (1, 12)]);
        assert_eq!(turns.pop(), Some((owner(1), 10)));
        assert_eq!(turns.push(owner(2), 20), Ok(None));
        assert_eq!(drained(&mut turns), [11, 20, 12]);
    }

    #[test]
    fn the_longest_queue_makes_place_for_a_shorter_one() {
        let mut turns = filled(4, &[(1, 10), (1, 11), (1, 12), (1, 13)]);
        assert_eq!(turns.push(owner(1), 14), Err(QueueFull), "it is the longest itself");
        assert_eq!(turns.push(owner(2), 20), Ok(Some(13)), "the newest goes");
        assert_eq!(turns.push(owner(2), 21), Ok(Some(12)));
        assert_eq!(turns.push(owner(2), 22), Err(QueueFull), "both have their share");
        assert_eq!(turns.push(owner(3), 30), Ok(Some(21)));
        assert_eq!(turns.push(owner(4), 40), Ok(Some(11)));
        assert_eq!(turns.push(owner(5), 50), Err(QueueFull), "each has one");
        assert_eq!(turns.push(Owner::Server, 1), Ok(None), "the server's own is never refused");
        assert_eq!(turns.len(), 5);
        assert_eq!(drained(&mut turns), [10, 20, 30, 40, 1]);
    }

    #[test]
    fn what_is_put_back_is_the_next() {
        let mut turns = filled(9, &[(1, 10), (1, 11), (2, 20)]);
        let (first, item) = turns.pop().expect("three wait");
        turns.put_back(first, item);
        assert_eq!(turns.pop(), Some((owner(1), 10)));
        assert_eq!(turns.pop(), Some((owner(2), 20)));
        turns.put_back(owner(2), 20);
        assert_eq!(drained(&mut turns), [20, 11]);
    }

    #[test]
    fn only_the_oldest_is_removed() {
        let mut turns = filled(9, &[(1, 10), (1, 11), (2, 20)]);
        assert_eq!(turns.remove_oldest(owner(1), |item| *item == 11), None);
        assert_eq!(turns.remove_oldest(owner(1), |item| *item == 10), Some(10));
        assert_eq!(turns.remove_oldest(owner(2), |item| *item == 20), Some(20));
        assert_eq!(turns.remove_oldest(owner(2), |item| *item == 20), None);
        assert_eq!(drained(&mut turns), [11]);
    }
}
