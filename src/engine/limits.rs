//! What one address may do how often.

use std::net::IpAddr;
use std::time::Duration;

use crate::accounts::LoginKey;
use crate::base::throttle::{RetryAfter, Throttle};
use crate::base::time::Timestamp;
use crate::config::AddressKey;

/// Joins of unknown rooms by one address in a minute before it has to wait.
const UNKNOWN_ROOMS_PER_MINUTE: u32 = 30;
/// Rooms that one address may create at once before `ROOM_CREATE_RATE` counts.
const ROOM_CREATE_BURST: u32 = 5;
/// Failed logins in a minute for one e-mail from one address before it has to wait.
const FAILURES_PER_EMAIL: u32 = 10;
/// Failed logins in a minute from one address before it has to wait.
const FAILURES_PER_ADDRESS: u32 = 30;
/// Addresses that a limit per address keeps in mind.
const ADDRESSES_MAX: usize = 16 * 1024;

/// How often each address has done what is limited.
#[derive(Debug)]
pub(super) struct AddressLimits {
    room_creations: Throttle<AddressKey>,
    unknown_rooms: Throttle<AddressKey>,
    logins_by_email: Throttle<LoginKey>,
    logins_by_address: Throttle<AddressKey>,
}

impl AddressLimits {
    /// No address has done anything. Each may make so many rooms a second; 0 = no limit.
    pub(super) fn new(room_create_rate_max: u32) -> Self {
        Self {
            room_creations: room_creations(room_create_rate_max),
            unknown_rooms: per_minute(UNKNOWN_ROOMS_PER_MINUTE),
            logins_by_email: per_minute(FAILURES_PER_EMAIL),
            logins_by_address: per_minute(FAILURES_PER_ADDRESS),
        }
    }

    /// From here on each address may make so many rooms a second.
    pub(super) fn set_room_create_rate(&mut self, rate_max: u32) {
        self.room_creations = room_creations(rate_max);
    }

    /// Counts a room that `address` makes.
    ///
    /// # Errors
    /// It has made too many: how long to wait.
    pub(super) fn take_room(&mut self, address: IpAddr, now: Timestamp) -> Result<(), RetryAfter> {
        self.room_creations.take(AddressKey::of(address), now)
    }

    /// Whether `address` may ask for a room.
    ///
    /// # Errors
    /// It has asked for too many that do not exist: how long to wait.
    pub(super) fn check_unknown_rooms(
        &self,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), RetryAfter> {
        self.unknown_rooms.check(AddressKey::of(address), now)
    }

    /// `address` has asked for a room that does not exist. The next attempt is what is refused:
    /// many that waited for the store together are all let through, and all counted.
    pub(super) fn count_unknown_room(&mut self, address: IpAddr, now: Timestamp) {
        self.unknown_rooms.charge(AddressKey::of(address), now);
    }

    /// Counts a login attempt as failed until it turns out otherwise.
    ///
    /// # Errors
    /// Too many have failed: how long to wait.
    pub(super) fn take_login(&mut self, key: LoginKey, now: Timestamp) -> Result<(), RetryAfter> {
        self.logins_by_address.check(key.address, now)?;
        self.logins_by_email.take(key, now)?;
        self.logins_by_address.take(key.address, now)
    }

    /// The attempt turned out to be no failed login.
    pub(super) fn give_back_login(&mut self, key: LoginKey) {
        self.logins_by_email.give_back(key);
        self.logins_by_address.give_back(key.address);
    }
}

/// `rate_max` rooms a second and address, and a burst.
fn room_creations(rate_max: u32) -> Throttle<AddressKey> {
    Throttle::new(rate_max, Duration::from_secs(1), ROOM_CREATE_BURST, ADDRESSES_MAX)
}

fn per_minute<K: Copy + Eq + std::hash::Hash>(count: u32) -> Throttle<K> {
    Throttle::new(count, Duration::from_secs(60), count, ADDRESSES_MAX)
}
