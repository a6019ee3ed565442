//! How many connections each address has, of those that it may have. Loopback is exempt.

use std::net::IpAddr;

use super::table::Sessions;
use crate::base::ids::ConnId;
use crate::config::AddressKey;

impl Sessions {
    /// Whether `conn` may count for `address`: it does already, or not too many others do.
    pub fn has_place_at(&self, conn: ConnId, address: IpAddr) -> bool {
        self.counts_for(conn, address) || self.has_room(address)
    }

    /// The proxy in front of `conn` has named the client's address, and passes on requests of this
    /// client only from now on: from here on that address counts. False, and nothing changes, if
    /// it has too many connections already.
    pub fn set_address(&mut self, conn: ConnId, address: IpAddr) -> bool {
        if !self.counts_for(conn, address) && !self.count(conn, address) {
            return false;
        }
        if let Some(session) = self.slots.get_mut(conn) {
            session.peer = address.into();
        }
        true
    }

    /// Counts `conn` for `address`; false if that has too many, or `conn` is gone.
    pub(super) fn count(&mut self, conn: ConnId, address: IpAddr) -> bool {
        let has_room = self.has_room(address);
        let Some(session) = self.slots.get_mut(conn) else { return false };
        if has_room && !address.is_loopback() {
            let key = AddressKey::of(address);
            *self.per_address.entry(key).or_insert(0) += 1;
            session.counted_as = Some(key);
        }
        has_room
    }

    /// A connection that counted for `key` is gone.
    pub(super) fn uncount(&mut self, key: AddressKey) {
        if let Some(count) = self.per_address.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&key);
            }
        }
    }

    /// Whether one more connection may count for `address`.
    fn has_room(&self, address: IpAddr) -> bool {
        let count = self.per_address.get(&AddressKey::of(address));
        address.is_loopback() || count.is_none_or(|count| *count < self.connections_per_ip_max)
    }

    /// Whether `conn` counts for `address` already, or for whatever it came from.
    fn counts_for(&self, conn: ConnId, address: IpAddr) -> bool {
        self.slots.get(conn).is_some_and(|session| {
            session.counted_as.is_some() || session.peer.address() == address
        })
    }
}
