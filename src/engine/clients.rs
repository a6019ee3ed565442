//! What the engine knows of each WebSocket client: how fast it talks, how often it was wrong.

use std::time::Duration;

use crate::accounts::Identity;
use crate::base::conn_map::ConnMap;
use crate::base::ids::ConnId;
use crate::base::throttle::Rate;
use crate::base::time::{Arrival, Timestamp};

/// Bad messages in a row before the client is closed (protocol, *Errors*).
const BAD_MESSAGES_MAX: u8 = 20;
/// Messages in a row over the rate before the client is closed.
const REFUSED_MESSAGES_MAX: u8 = 100;
/// A burst may have this many seconds' worth of messages.
const BURST_SECONDS: u32 = 2;

/// One client.
#[derive(Debug)]
struct Client {
    /// When its bucket of messages will be full again, on a clock that leaves nothing out.
    full_at: Timestamp,
    bad_in_a_row: u8,
    refused_in_a_row: u8,
    /// It has been in a room.
    has_joined: bool,
    /// With `REQUIRE_AUTH`: whose token it came with.
    identity: Option<Box<Identity>>,
}

/// What to do about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Handle it.
    Accept,
    /// Answer with an error.
    Refuse,
    /// Close the connection.
    Close,
}

/// All clients.
#[derive(Debug)]
pub(super) struct Clients {
    clients: ConnMap<Client>,
    rate: Rate,
}

impl Clients {
    /// `rate_max` messages a second and client; 0 = no limit.
    pub(super) fn new(rate_max: u32) -> Self {
        Self { clients: ConnMap::default(), rate: message_rate(rate_max) }
    }

    /// From here on every client may send so many. What it has sent counts as it did.
    pub(super) fn set_rate(&mut self, rate_max: u32) {
        self.rate = message_rate(rate_max);
    }

    /// `conn` has become a WebSocket, with its identity if it came with a token.
    pub(super) fn insert(&mut self, conn: ConnId, identity: Option<Box<Identity>>) {
        let client = Client {
            full_at: Timestamp(0),
            bad_in_a_row: 0,
            refused_in_a_row: 0,
            has_joined: false,
            identity,
        };
        self.clients.insert(conn, client);
    }

    /// `conn` is gone.
    pub(super) fn remove(&mut self, conn: ConnId) {
        self.clients.remove(conn);
    }

    /// Whether `conn` is or was in a room; `false` also if it is gone.
    pub(super) fn has_joined(&self, conn: ConnId) -> bool {
        self.clients.get(conn).is_some_and(|client| client.has_joined)
    }

    /// `conn` is in a room.
    pub(super) fn note_joined(&mut self, conn: ConnId) {
        if let Some(client) = self.clients.get_mut(conn) {
            client.has_joined = true;
        }
    }

    /// The clients that are or were in a room, in the order of their slots.
    pub(super) fn joined(&self) -> impl Iterator<Item = ConnId> {
        self.clients.iter().filter(|(_, client)| client.has_joined).map(|(conn, _)| conn)
    }

    /// The clients that came with a token, in the order of their slots.
    pub(super) fn identities(&self) -> impl Iterator<Item = (ConnId, &Identity)> {
        self.clients.iter().filter_map(|(conn, client)| Some((conn, client.identity.as_deref()?)))
    }

    /// A message came at `arrival`: is it within the rate?
    pub(super) fn count_message(&mut self, conn: ConnId, arrival: Arrival) -> Admission {
        let rate = self.rate;
        let Some(client) = self.clients.get_mut(conn) else { return Admission::Refuse };
        if rate.is_unlimited() || rate.take(&mut client.full_at, arrival).is_ok() {
            client.refused_in_a_row = 0;
            return Admission::Accept;
        }
        client.refused_in_a_row += 1;
        if client.refused_in_a_row >= REFUSED_MESSAGES_MAX {
            Admission::Close
        } else {
            Admission::Refuse
        }
    }

    /// A message could be read.
    pub(super) fn count_good(&mut self, conn: ConnId) {
        if let Some(client) = self.clients.get_mut(conn) {
            client.bad_in_a_row = 0;
        }
    }

    /// A message could not be read.
    pub(super) fn count_bad(&mut self, conn: ConnId) -> Admission {
        let Some(client) = self.clients.get_mut(conn) else { return Admission::Refuse };
        client.bad_in_a_row += 1;
        if client.bad_in_a_row >= BAD_MESSAGES_MAX { Admission::Close } else { Admission::Refuse }
    }
}

fn message_rate(rate_max: u32) -> Rate {
    Rate::new(rate_max, Duration::from_secs(1), rate_max.saturating_mul(BURST_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONN: ConnId = ConnId { index: 3, generation: 9 };

    fn at(latest: Timestamp) -> Arrival {
        Arrival { earliest: latest, latest }
    }

    #[test]
    fn the_rate_allows_a_burst_of_two_seconds_then_one_message_an_interval() {
        let mut clients = Clients::new(100);
        clients.insert(CONN, None);
        let start = Timestamp::from_secs(10);
        for _ in 0..200 {
            assert_eq!(clients.count_message(CONN, at(start)), Admission::Accept);
        }
        assert_eq!(clients.count_message(CONN, at(start)), Admission::Refuse);
        let later = Timestamp::from_millis(10_010);
        assert_eq!(clients.count_message(CONN, at(later)), Admission::Accept);
        assert_eq!(clients.count_message(CONN, at(later)), Admission::Refuse);
    }

    #[test]
    fn what_waited_is_measured_when_it_came() {
        let mut clients = Clients::new(100);
        clients.insert(CONN, None);
        // Sixty a second during a minute, all of them read at its end.
        let (earliest, latest) = (Timestamp::from_secs(10), Timestamp::from_secs(70));
        let late = Arrival { earliest, latest };
        for _ in 0..3_600 {
            assert_eq!(clients.count_message(CONN, late), Admission::Accept);
        }
        // What was in time goes on at once.
        let mut now = latest;
        for _ in 0..600 {
            now = now + Duration::from_micros(16_667);
            assert_eq!(clients.count_message(CONN, at(now)), Admission::Accept);
        }
    }

    #[test]
    fn a_flood_gains_nothing_by_a_late_server() {
        let (earliest, latest) = (Timestamp::from_secs(10), Timestamp::from_secs(20));
        let late = Arrival { earliest, latest };
        let mut clients = Clients::new(100);
        clients.insert(CONN, None);
        let accepted = |clients: &mut Clients, arrival| {
            let is_accepted = |_: &u32| clients.count_message(CONN, arrival) == Admission::Accept;
            (0..10_000).take_while(is_accepted).count()
        };
        // As many as if it had been read in time: ten seconds' worth and the burst.
        assert_eq!(accepted(&mut clients, late), 10 * 100 + 200);
        assert_eq!(accepted(&mut clients, at(Timestamp::from_secs(21))), 100);
    }

    #[test]
    fn a_hundred_refusals_in_a_row_close() {
        let mut clients = Clients::new(1);
        clients.insert(CONN, None);
        let now = Timestamp::from_secs(10);
        assert_eq!(clients.count_message(CONN, at(now)), Admission::Accept);
        assert_eq!(clients.count_message(CONN, at(now)), Admission::Accept);
        for _ in 1..REFUSED_MESSAGES_MAX {
            assert_eq!(clients.count_message(CONN, at(now)), Admission::Refuse);
        }
        assert_eq!(clients.count_message(CONN, at(now)), Admission::Close);
    }

    #[test]
    fn twenty_bad_messages_in_a_row_close_but_a_good_one_forgives() {
        let mut clients = Clients::new(0);
        clients.insert(CONN, None);
        for _ in 1..BAD_MESSAGES_MAX {
            assert_eq!(clients.count_bad(CONN), Admission::Refuse);
        }
        clients.count_good(CONN);
        for _ in 1..BAD_MESSAGES_MAX {
            assert_eq!(clients.count_bad(CONN), Admission::Refuse);
        }
        assert_eq!(clients.count_bad(CONN), Admission::Close);
    }

    #[test]
    fn a_stale_id_finds_nobody() {
        let mut clients = Clients::new(0);
        clients.insert(CONN, None);
        let stale = ConnId { generation: 8, ..CONN };
        clients.remove(stale);
        assert_eq!(clients.count_message(stale, at(Timestamp(0))), Admission::Refuse);
        assert_eq!(clients.count_message(CONN, at(Timestamp(0))), Admission::Accept);
    }
}
