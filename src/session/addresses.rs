//! How many connections each address has, of those that it may have. Loopback is exempt.

use std::net::IpAddr;

use super::table::Sessions;
use crate::base::ids::ConnId;
use crate::base::time::Timestamp;
use crate::config::AddressKey;

impl Sessions {
    /// Whether `conn` may count for `address`: it does already, or not too many others do, nor
    /// too many answers that are [owed](Self::owe_place).
    pub fn has_place_at(&mut self, conn: ConnId, address: IpAddr, now: Timestamp) -> bool {
        self.places.release(now);
        self.counts_for(conn, address) || self.has_room(address)
    }

    /// The client of `conn`, at `address`, is to be answered as late as at `until`. Until then its
    /// place stays taken, also if it is gone; a proxy's connection, which counts for no client,
    /// takes one for it.
    pub fn owe_place(&mut self, conn: ConnId, address: IpAddr, until: Timestamp) {
        let Some(session) = self.slots.get_mut(conn) else { return };
        if address.is_loopback() {
            return;
        }
        let key = AddressKey::of(address);
        let place = session.place.as_mut().filter(|place| place.address == key);
        self.places.owe(key, until, place);
    }

    /// The proxy in front of `conn` has named the client's address, and passes on requests of this
    /// client only from now on: from here on that address counts. False, and nothing changes, if
    /// it has too many connections already.
    pub fn set_address(&mut self, conn: ConnId, address: IpAddr, now: Timestamp) -> bool {
        self.places.release(now);
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
            session.place = Some(self.places.take(AddressKey::of(address)));
        }
        has_room
    }

    /// Whether one more connection may count for `address`.
    fn has_room(&self, address: IpAddr) -> bool {
        let places_max = self.connections_per_ip_max;
        address.is_loopback() || self.places.has_room(AddressKey::of(address), places_max)
    }

    /// Whether `conn` counts for `address` already, or for whatever it came from.
    fn counts_for(&self, conn: ConnId, address: IpAddr) -> bool {
        self.slots
            .get(conn)
            .is_some_and(|session| session.place.is_some() || session.peer.address() == address)
    }
}
