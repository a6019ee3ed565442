//! What is kept for connections, found by their ids. The one place that compares generations: a
//! stale id finds nothing, and never what belongs to the connection that has its slot now.

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

    /// The connection whose value is in the slot `index`.
    pub fn id_at(&self, index: usize) -> Option<ConnId> {
        let generation = self.slots.get(index)?.as_ref()?.generation;
        Some(ConnId { index: u32::try_from(index).ok()?, generation })
    }

    /// The connections with their values, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &T)> {
        self.slots.iter().zip(0_u32..).filter_map(|(slot, index)| {
            let slot = slot.as_ref()?;
            Some((ConnId { index, generation: slot.generation }, &slot.value))
        })
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
        assert_eq!(map.id_at(7), Some(ConnId { index: 7, generation: 3 }));
        assert_eq!((map.id_at(6), map.id_at(8)), (None, None));
        let found: Vec<u32> = map.iter().map(|(conn, _)| conn.index).collect();
        assert_eq!((found, map.len()), (vec![1, 4, 7], 3));
    }
}
