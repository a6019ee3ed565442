//! What is kept for connections, found by their ids. The one place that compares generations: a
//! stale id finds nothing, and never what belongs to the connection that has its slot now.

use slab::Slab;

use super::ids::ConnId;

/// A value for each of some connections. Its memory is bounded by the highest index of a
/// connection that was ever inserted, which the table of sessions bounds.
#[derive(Clone, Debug)]
pub struct ConnMap<T> {
    slots: Vec<Option<Slot<T>>>,
    /// How many slots are taken.
    len: usize,
}

#[derive(Clone, Debug)]
struct Slot<T> {
    generation: u32,
    value: T,
}

impl<T> Default for ConnMap<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }
}

impl<T> ConnMap<T> {
    /// How many connections have a value.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no connection has a value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Keeps `value` for `conn`; returns what was kept for it before. The value of an earlier
    /// connection in the same slot is dropped: that connection is gone.
    pub fn insert(&mut self, conn: ConnId, value: T) -> Option<T> {
        let index = conn.index as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        let slot = Slot { generation: conn.generation, value };
        let previous = self.slots[index].replace(slot);
        debug_assert!(
            previous.as_ref().is_none_or(|slot| slot.generation <= conn.generation),
            "{conn} is older than the connection that has its slot"
        );
        self.len += usize::from(previous.is_none());
        previous.filter(|slot| slot.generation == conn.generation).map(|slot| slot.value)
    }

    /// What is kept for `conn`.
    pub fn get(&self, conn: ConnId) -> Option<&T> {
        let slot = self.slots.get(conn.index as usize)?.as_ref()?;
        (slot.generation == conn.generation).then_some(&slot.value)
    }

    /// What is kept for `conn`.
    pub fn get_mut(&mut self, conn: ConnId) -> Option<&mut T> {
        let slot = self.slots.get_mut(conn.index as usize)?.as_mut()?;
        (slot.generation == conn.generation).then_some(&mut slot.value)
    }

    /// Takes out what is kept for `conn`.
    pub fn remove(&mut self, conn: ConnId) -> Option<T> {
        self.get(conn)?;
        self.len -= 1;
        self.slots[conn.index as usize].take().map(|slot| slot.value)
    }

    /// The connections with their values, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &T)> {
        self.slots.iter().zip(0_u32..).filter_map(|(slot, index)| {
            let slot = slot.as_ref()?;
            Some((ConnId { index, generation: slot.generation }, &slot.value))
        })
    }
}

/// A slab of connections: it hands out the ids, and uses a slot again once its connection is
/// removed.
#[derive(Clone, Debug)]
pub struct ConnSlab<T> {
    slots: Slab<Slot<T>>,
    /// Connections inserted so far (modulo 2³²); the generation of the newest.
    inserted: u32,
}

impl<T> Default for ConnSlab<T> {
    fn default() -> Self {
        Self { slots: Slab::new(), inserted: 0 }
    }
}

impl<T> ConnSlab<T> {
    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// A new connection; `value` makes what is kept for it. `None` if no index is left.
    pub fn insert(&mut self, value: impl FnOnce(ConnId) -> T) -> Option<ConnId> {
        let entry = self.slots.vacant_entry();
        let index = u32::try_from(entry.key()).ok()?;
        self.inserted = self.inserted.wrapping_add(1);
        let conn = ConnId { index, generation: self.inserted };
        entry.insert(Slot { generation: conn.generation, value: value(conn) });
        Some(conn)
    }

    /// What is kept for `conn`.
    pub fn get(&self, conn: ConnId) -> Option<&T> {
        let slot = self.slots.get(conn.index as usize)?;
        (slot.generation == conn.generation).then_some(&slot.value)
    }

    /// What is kept for `conn`.
    pub fn get_mut(&mut self, conn: ConnId) -> Option<&mut T> {
        let slot = self.slots.get_mut(conn.index as usize)?;
        (slot.generation == conn.generation).then_some(&mut slot.value)
    }

    /// Takes out what is kept for `conn`, and frees its slot.
    pub fn remove(&mut self, conn: ConnId) -> Option<T> {
        self.get(conn)?;
        Some(self.slots.remove(conn.index as usize).value)
    }

    /// The connection in the slot `index`.
    pub fn id_at(&self, index: usize) -> Option<ConnId> {
        let generation = self.slots.get(index)?.generation;
        Some(ConnId { index: u32::try_from(index).ok()?, generation })
    }

    /// The connections with their values, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &T)> {
        self.slots.iter().filter_map(|(index, slot)| Some((self.id_at(index)?, &slot.value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONN: ConnId = ConnId { index: 3, generation: 9 };
    const STALE: ConnId = ConnId { index: 3, generation: 8 };

    #[test]
    fn a_stale_id_finds_nothing() {
        let mut map = ConnMap::default();
        assert_eq!(map.insert(STALE, 'a'), None);
        assert_eq!(map.insert(CONN, 'b'), None, "it belonged to the connection before");
        assert_eq!(map.get(STALE), None);
        assert_eq!(map.get_mut(STALE), None);
        assert_eq!(map.remove(STALE), None);
        assert_eq!((map.get(CONN), map.len()), (Some(&'b'), 1));
        assert_eq!(map.insert(CONN, 'c'), Some('b'));
        assert_eq!(map.remove(CONN), Some('c'));
        assert!(map.is_empty() && map.get(CONN).is_none());
    }

    #[test]
    fn connections_come_in_the_order_of_their_slots() {
        let mut map = ConnMap::default();
        for index in [4, 1, 7] {
            map.insert(ConnId { index, generation: 10 - index }, index);
        }
        let found: Vec<u32> = map.iter().map(|(conn, _)| conn.index).collect();
        assert_eq!((found, map.len()), (vec![1, 4, 7], 3));
    }

    #[test]
    fn a_slot_is_used_again_under_another_id() {
        let mut slab = ConnSlab::default();
        let first = slab.insert(|conn| conn.generation).expect("there is room");
        let second = slab.insert(|conn| conn.generation).expect("there is room");
        assert_eq!((slab.remove(first), slab.remove(first)), (Some(1), None));
        let third = slab.insert(|conn| conn.generation).expect("there is room");
        assert_eq!(third.index, first.index);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!((slab.get(third), slab.get(second)), (Some(&3), Some(&2)));
        assert_eq!(
            (slab.id_at(0), slab.id_at(1), slab.id_at(2)),
            (Some(third), Some(second), None)
        );
        assert_eq!(slab.iter().map(|(conn, _)| conn).collect::<Vec<_>>(), [third, second]);
        assert_eq!((slab.len(), slab.is_empty()), (2, false));
    }
}
