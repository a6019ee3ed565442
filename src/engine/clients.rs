//! What the engine knows of each WebSocket client: how fast it talks, how often it was wrong.

use std::time::Duration;

use crate::accounts::Identity;
use crate::base::ids::ConnId;
use crate::base::time::Timestamp;

/// Bad messages in a row before the client is closed (protocol, *Errors*).
const BAD_MESSAGES_MAX: u8 = 20;
/// Messages in a row over the rate before the client is closed.
const REFUSED_MESSAGES_MAX: u8 = 100;
/// A burst may have this many seconds' worth of messages.
const BURST_SECONDS: u64 = 2;

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    conn: ConnId,
    /// When its bucket will be full again (the "theoretical arrival time" of GCRA).
    full_at: Timestamp,
    bad_in_a_row: u8,
    refused_in_a_row: u8,
    /// It has been in a room.
    pub(super) has_joined: bool,
    /// With `REQUIRE_AUTH`: whose token it came with.
    identity: Option<Box<Identity>>,
}

/// What to do about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Handle it.
    Accept,
    /// Answer with an error.
    Refuse,
    /// Close the connection.
    Close,
}

/// All clients, by slot.
#[derive(Debug)]
pub(super) struct Clients {
    slots: Vec<Option<Client>>,
    /// Between two messages at the full rate; `None`: no limit.
    interval: Option<Duration>,
    burst: Duration,
}

impl Clients {
    /// `rate_max` messages a second and client; 0 = no limit.
    pub(super) fn new(rate_max: u32) -> Self {
        let interval = Self::interval(rate_max);
        Self { slots: Vec::new(), interval, burst: Duration::from_secs(BURST_SECONDS) }
    }

    /// From here on every client may send so many. What it has sent counts as it did.
    pub(super) fn set_rate(&mut self, rate_max: u32) {
        self.interval = Self::interval(rate_max);
    }

    fn interval(rate_max: u32) -> Option<Duration> {
        (rate_max > 0).then(|| Duration::from_secs(1) / rate_max)
    }

    pub(super) fn insert(&mut self, conn: ConnId, identity: Option<Box<Identity>>) {
        let index = conn.index as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(Client {
            conn,
            full_at: Timestamp(0),
            bad_in_a_row: 0,
            refused_in_a_row: 0,
            has_joined: false,
            identity,
        });
    }

    pub(super) fn remove(&mut self, conn: ConnId) {
        if self.client_mut(conn).is_some() {
            self.slots[conn.index as usize] = None;
        }
    }

    pub(super) fn client_mut(&mut self, conn: ConnId) -> Option<&mut Client> {
        self.slots
            .get_mut(conn.index as usize)
            .and_then(Option::as_mut)
            .filter(|client| client.conn == conn)
    }

    /// Who is or was in a room, in the order of their slots.
    pub(super) fn joined(&self) -> impl Iterator<Item = ConnId> {
        self.slots.iter().flatten().filter(|client| client.has_joined).map(|client| client.conn)
    }

    /// Who came with a token, in the order of their slots.
    pub(super) fn identities(&self) -> impl Iterator<Item = (ConnId, &Identity)> {
        let clients = self.slots.iter().flatten();
        clients.filter_map(|client| Some((client.conn, client.identity.as_deref()?)))
    }

    /// A message came: is it within the rate?
    pub(super) fn count_message(&mut self, conn: ConnId, now: Timestamp) -> Verdict {
        let (interval, burst) = (self.interval, self.burst);
        let Some(client) = self.client_mut(conn) else { return Verdict::Refuse };
        let Some(interval) = interval else { return Verdict::Accept };
        let full_at = client.full_at.max(now) + interval;
        if full_at.since(now) <= burst {
            client.full_at = full_at;
            client.refused_in_a_row = 0;
            return Verdict::Accept;
        }
        client.refused_in_a_row += 1;
        if client.refused_in_a_row >= REFUSED_MESSAGES_MAX {
            Verdict::Close
        } else {
            Verdict::Refuse
        }
    }

    /// A message could be read.
    pub(super) fn count_good(&mut self, conn: ConnId) {
        if let Some(client) = self.client_mut(conn) {
            client.bad_in_a_row = 0;
        }
    }

    /// A message could not be read.
    pub(super) fn count_bad(&mut self, conn: ConnId) -> Verdict {
        let Some(client) = self.client_mut(conn) else { return Verdict::Refuse };
        client.bad_in_a_row += 1;
        if client.bad_in_a_row >= BAD_MESSAGES_MAX { Verdict::Close } else { Verdict::Refuse }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONN: ConnId = ConnId { index: 3, generation: 9 };

    #[test]
    fn the_rate_allows_a_burst_of_two_seconds_then_one_message_an_interval() {
        let mut clients = Clients::new(100);
        clients.insert(CONN, None);
        let start = Timestamp::from_secs(10);
        for _ in 0..200 {
            assert_eq!(clients.count_message(CONN, start), Verdict::Accept);
        }
        assert_eq!(clients.count_message(CONN, start), Verdict::Refuse);
        let later = Timestamp::from_millis(10_010);
        assert_eq!(clients.count_message(CONN, later), Verdict::Accept);
        assert_eq!(clients.count_message(CONN, later), Verdict::Refuse);
    }

    #[test]
    fn a_hundred_refusals_in_a_row_close() {
        let mut clients = Clients::new(1);
        clients.insert(CONN, None);
        let now = Timestamp::from_secs(10);
        assert_eq!(clients.count_message(CONN, now), Verdict::Accept);
        assert_eq!(clients.count_message(CONN, now), Verdict::Accept);
        for _ in 1..REFUSED_MESSAGES_MAX {
            assert_eq!(clients.count_message(CONN, now), Verdict::Refuse);
        }
        assert_eq!(clients.count_message(CONN, now), Verdict::Close);
    }

    #[test]
    fn twenty_bad_messages_in_a_row_close_but_a_good_one_forgives() {
        let mut clients = Clients::new(0);
        clients.insert(CONN, None);
        for _ in 1..BAD_MESSAGES_MAX {
            assert_eq!(clients.count_bad(CONN), Verdict::Refuse);
        }
        clients.count_good(CONN);
        for _ in 1..BAD_MESSAGES_MAX {
            assert_eq!(clients.count_bad(CONN), Verdict::Refuse);
        }
        assert_eq!(clients.count_bad(CONN), Verdict::Close);
    }

    #[test]
    fn a_stale_id_finds_nobody() {
        let mut clients = Clients::new(0);
        clients.insert(CONN, None);
        let stale = ConnId { generation: 8, ..CONN };
        clients.remove(stale);
        assert!(clients.client_mut(stale).is_none());
        assert!(clients.client_mut(CONN).is_some());
    }
}
