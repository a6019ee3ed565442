//! What members heard, and what that has to look like.

use serde_json::Value;

/// The rooms. Their documents outlive the servers.
pub(crate) const ROOMS: [&str; 4] = ["CHAOS-1", "CHAOS-2", "CHAOS-3", "CHAOS-4"];

/// Something that happens in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A message of this member, with the number that it gave it.
    Said(String, u64),
    /// This member came.
    Came(String),
    /// This member went.
    Went(String),
}

/// The documents of all rooms, over all lives of the server.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    rooms: [Document; ROOMS.len()],
}

#[derive(Clone, Copy, Debug, Default)]
struct Document {
    /// The newest that was sent; each has the next number.
    sent: u64,
    /// The newest of which a server has said that it is durable.
    acknowledged: u64,
    /// How many it has said that of.
    count: u64,
}

impl Event {
    /// What the message `value` tells of the room; `None` if it is about nobody else.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().expect("a name is a string").to_owned();
        match value["type"].as_str().expect("every message has a type") {
            "data" => {
                let number = value["data"]["number"].as_u64().expect("as it was sent");
                Some(Self::Said(text(&value["from"]), number))
            }
            "peer_joined" => Some(Self::Came(text(&value["peer"]["id"]))),
            "peer_left" => Some(Self::Went(text(&value["peer_id"]))),
            _ => None,
        }
    }

    /// Whether `member` is not told of it, for it is about itself.
    fn is_about(&self, member: &str) -> bool {
        match self {
            Self::Said(who, _) | Self::Came(who) | Self::Went(who) => who == member,
        }
    }
}

impl Documents {
    /// The number of the next document of a room.
    pub(crate) fn next(&mut self, room: usize) -> u64 {
        self.rooms[room].sent += 1;
        self.rooms[room].sent
    }

    /// The server says that this document is durable.
    pub(crate) fn acknowledge(&mut self, room: usize, number: u64) {
        let document = &mut self.rooms[room];
        document.acknowledged = document.acknowledged.max(number);
        document.count += 1;
    }

    /// What a server has stored of a room: its document, if it has one.
    #[track_caller]
    pub(crate) fn check_stored(&self, room: usize, stored: Option<u64>) {
        let Document { sent, acknowledged, .. } = self.rooms[room];
        let number = stored.unwrap_or(0);
        assert!(number >= acknowledged, "{number} after an ack of {acknowledged}");
        assert!(number <= sent, "{number}, but only {sent} were sent");
    }

    /// Documents that were acknowledged, in all.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.rooms.iter().map(|document| document.count).sum()
    }
}

/// Holds what `member` heard to what its room's host heard, who was there before it and stayed
/// longer: everything from its own coming on, but its own words, without a gap and in the same
/// order. What comes behind the host's own end is not known, and allowed only if `host_ended`.
///
/// # Errors
/// What is wrong.
pub(crate) fn check(
    member: &str,
    heard: &[Event],
    host_heard: &[Event],
    host_ended: bool,
) -> Result<(), String> {
    let came = Event::Came(member.to_owned());
    let Some(at) = host_heard.iter().position(|event| *event == came) else {
        let is_late = host_ended || heard.is_empty();
        return if is_late { Ok(()) } else { Err("its host never heard of it".to_owned()) };
    };
    let mut expected = host_heard[at + 1..].iter().filter(|event| !event.is_about(member));
    for (index, event) in heard.iter().enumerate() {
        match expected.next() {
            Some(other) if other == event => {}
            None if host_ended => return Ok(()),
            other => {
                return Err(format!("event {index} was {event:?}, but {other:?} for the host"));
            }
        }
    }
    Ok(())
}

#[test]
fn a_gap_a_repeat_and_another_order_are_found() {
    let said = |number| Event::Said("a".to_owned(), number);
    let came = |who: &str| Event::Came(who.to_owned());
    let host = [came("a"), said(1), came("b"), said(2), said(3), Event::Went("a".to_owned())];
    let table: [(&[Event], bool, bool); 9] = [
        (&[said(2), said(3)], false, true),
        (&[said(2)], false, true),
        (&[], false, true),
        (&[said(2), said(3), Event::Went("a".to_owned()), said(4)], true, true),
        (&[said(2), said(3), Event::Went("a".to_owned()), said(4)], false, false),
        (&[said(3)], false, false),
        (&[said(1), said(2)], false, false),
        (&[said(2), said(2)], false, false),
        (&[said(3), said(2)], true, false),
    ];
    for (heard, host_ended, is_right) in table {
        assert_eq!(check("b", heard, &host, host_ended).is_ok(), is_right, "{heard:?}");
    }
    assert!(check("stranger", &[said(2)], &host, false).is_err());
}
