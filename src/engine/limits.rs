//! What one address may do how often.

use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use crate::accounts::LoginKey;
use crate::base::throttle::{RetryAfter, Throttle};
use crate::base::time::Timestamp;
use crate::config::AddressKey;

/// Codes of no room that one address (IPv6: a /64) may ask for in a minute before answers to such
/// come late.
const MISSES_PER_MINUTE: u32 = 30;
/// The same for a /56 of IPv6, which most providers give to one household, or a /24 of IPv4.
const MISSES_NEAR_PER_MINUTE: u32 = 120;
/// The same for a /48 of IPv6, which one site has, or a /16 of IPv4.
const MISSES_FAR_PER_MINUTE: u32 = 480;
/// The same for all clients together.
const MISSES_OF_ALL_PER_MINUTE: u32 = 600;
/// How late the answer to a code of no room comes at most. Meanwhile it takes a place of its
/// address, so an address may guess `MAX_CONNECTIONS_PER_IP` codes in that time.
const MISS_DELAY_MAX: Duration = Duration::from_secs(20);
/// Rooms that one address may create at once before `ROOM_CREATE_RATE` counts.
const ROOM_CREATE_BURST: u32 = 5;
/// Failed logins in a minute for one e-mail from one address before it has to wait.
const FAILURES_PER_EMAIL: u32 = 10;
/// Failed logins in a minute from one address before it has to wait.
const FAILURES_PER_ADDRESS: u32 = 30;
/// Addresses that a limit per address keeps in mind.
const ADDRESSES_MAX: usize = 16 * 1024;
/// Networks that a limit per network keeps in mind.
const NETWORKS_MAX: usize = 4 * 1024;

/// How often each address has done what is limited.
#[derive(Debug)]
pub(super) struct AddressLimits {
    room_creations: Throttle<AddressKey>,
    misses: Throttle<AddressKey>,
    misses_near: Throttle<AddressKey>,
    misses_far: Throttle<AddressKey>,
    misses_of_all: Throttle<()>,
    logins_by_email: Throttle<LoginKey>,
    logins_by_address: Throttle<AddressKey>,
}

impl AddressLimits {
    /// No address has done anything. Each may make so many rooms a second; 0 = no limit.
    pub(super) fn new(room_create_rate_max: u32) -> Self {
        Self {
            room_creations: room_creations(room_create_rate_max),
            misses: per_minute(MISSES_PER_MINUTE, ADDRESSES_MAX),
            misses_near: per_minute(MISSES_NEAR_PER_MINUTE, NETWORKS_MAX),
            misses_far: per_minute(MISSES_FAR_PER_MINUTE, NETWORKS_MAX),
            misses_of_all: per_minute(MISSES_OF_ALL_PER_MINUTE, 1),
            logins_by_email: per_minute(FAILURES_PER_EMAIL, ADDRESSES_MAX),
            logins_by_address: per_minute(FAILURES_PER_ADDRESS, ADDRESSES_MAX),
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

    /// Counts a code of no room that the client at `address` has asked for: how late that is to be
    /// said. Those that waited for the store together are all counted, each later than the one
    /// before.
    pub(super) fn count_miss(&mut self, address: IpAddr, now: Timestamp) -> Duration {
        let (own, of_many) = self.charge_miss(AddressKey::of(address), now);
        own.max(of_many).min(MISS_DELAY_MAX)
    }

    /// The same for a code under which a room is to be made. What the address itself does is
    /// bounded by the rate of rooms already: its own misses delay only what is over that rate.
    pub(super) fn count_miss_of_maker(&mut self, address: IpAddr, now: Timestamp) -> Duration {
        let key = AddressKey::of(address);
        let (own, of_many) = self.charge_miss(key, now);
        let is_over = self.room_creations.check(key, now).is_err();
        if is_over { own.max(of_many) } else { of_many }.min(MISS_DELAY_MAX)
    }

    /// How long the address, and how long the many that it is one of, would have to wait.
    fn charge_miss(&mut self, key: AddressKey, now: Timestamp) -> (Duration, Duration) {
        let own = charge(&mut self.misses, key, now);
        let near = charge(&mut self.misses_near, key.network(24, 56), now);
        let far = charge(&mut self.misses_far, key.network(16, 48), now);
        (own, near.max(far).max(charge(&mut self.misses_of_all, (), now)))
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

/// `count` a minute, and as many at once.
fn per_minute<K: Copy + Eq + Hash>(count: u32, keys_max: usize) -> Throttle<K> {
    Throttle::new(count, Duration::from_secs(60), count, keys_max)
}

/// Takes a token of `key`, or owes it; how long it would have had to wait for it.
fn charge<K: Copy + Eq + Hash>(throttle: &mut Throttle<K>, key: K, now: Timestamp) -> Duration {
    let wait = throttle.check(key, now).map_or_else(RetryAfter::duration, |()| Duration::ZERO);
    throttle.charge(key, now);
    wait
}
