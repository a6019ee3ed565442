//! What must hold of the documents that all clients saw, looked at when all is over.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::client::Log;

/// A write: the client's number, and which of its writes it is.
type Write = (u64, u64);

/// A document that a client wrote, perhaps in vain.
pub(super) struct Written {
    /// Where, if the client knew for certain that it was in a room.
    pub(super) room: Option<String>,
    pub(super) bytes: usize,
}

/// What a client heard of documents.
pub(super) enum Heard {
    /// What it wrote is stored.
    Durable { write: Write },
    /// The document of a room: whose it is, which of its, and how long; `None` if it is empty.
    /// The client asked for the room in the turn `asked_at`, or 0 if that is not certain.
    Document { room: String, document: Option<(u64, u64, usize)>, asked_at: u64 },
}

/// Each document that was seen was written, whole, and to that room; and there is one order of the
/// documents of each room in which no client ever went back: not behind what it had seen, nor
/// behind what it was told is durable, nor behind what any client had seen or was told before this
/// one asked for the room, nor its own writes behind each other.
pub(super) fn check(logs: &BTreeMap<u64, Log>, name: &str) {
    let rooms = rooms_of_writes(logs, name);
    let first_known = first_known(logs, &rooms);
    let mut orders: BTreeMap<&str, BTreeMap<Write, BTreeSet<Write>>> = BTreeMap::new();
    for (number, log) in logs {
        let mut last: HashMap<&str, BTreeSet<Write>> = HashMap::new();
        for (_, heard) in &log.documents {
            match heard {
                Heard::Durable { write } => {
                    // That comes late: what it has seen meanwhile may be newer, or not.
                    if let Some(room) = rooms.get(write) {
                        last.entry(room).or_default().insert(*write);
                    }
                }
                Heard::Document { room, document, asked_at } => {
                    let known = last.entry(room).or_default();
                    let of_others = first_known.get(room.as_str()).into_iter().flatten();
                    let earlier = of_others.filter(|(_, at)| *at < asked_at);
                    known.extend(earlier.map(|(write, _)| *write));
                    let Some((client, sequence, _)) = *document else {
                        assert!(known.is_empty(), "{name}: client {number}: {room} is empty again");
                        continue;
                    };
                    let write = (client, sequence);
                    let order = orders.entry(room).or_default();
                    for before in known.iter().filter(|before| **before != write) {
                        order.entry(*before).or_default().insert(write);
                    }
                    *known = BTreeSet::from([write]);
                }
            }
        }
        // A client's own writes take effect in their order.
        let mut own: HashMap<&str, Write> = HashMap::new();
        for sequence in 0..log.written.len() as u64 {
            let write = (*number, sequence);
            let Some(room) = rooms.get(&write) else { continue };
            if let Some(before) = own.insert(room, write) {
                let order = orders.entry(room).or_default();
                order.entry(before).or_default().insert(write);
            }
        }
    }
    for (room, after) in orders {
        assert!(has_one_order(&after), "{name}: documents of {room} go back");
    }
}

/// The turn in which any client first knew of each write, by room.
fn first_known<'a>(
    logs: &BTreeMap<u64, Log>,
    rooms: &HashMap<Write, &'a str>,
) -> BTreeMap<&'a str, BTreeMap<Write, u64>> {
    let mut known: BTreeMap<&str, BTreeMap<Write, u64>> = BTreeMap::new();
    for (at, heard) in logs.values().flat_map(|log| &log.documents) {
        let write = match heard {
            Heard::Durable { write } => *write,
            Heard::Document { document: Some((client, sequence, _)), .. } => (*client, *sequence),
            Heard::Document { document: None, .. } => continue,
        };
        if let Some(room) = rooms.get(&write) {
            let first = known.entry(room).or_default().entry(write).or_insert(*at);
            *first = (*first).min(*at);
        }
    }
    known
}

/// The room of each write that took effect, as far as is known.
fn rooms_of_writes<'a>(logs: &'a BTreeMap<u64, Log>, name: &str) -> HashMap<Write, &'a str> {
    let mut rooms: HashMap<Write, &str> = HashMap::new();
    for (number, log) in logs {
        for (_, heard) in &log.documents {
            let (write, room) = match heard {
                Heard::Document { room, document: Some((client, sequence, bytes)), .. } => {
                    let written = &logs[client].written[usize::try_from(*sequence).expect("few")];
                    assert_eq!(*bytes, written.bytes, "{name}: a document came in part");
                    let certain = written.room.as_ref();
                    assert!(certain.is_none_or(|certain| certain == room), "{name}: not there");
                    ((*client, *sequence), room)
                }
                Heard::Durable { write } => {
                    let written = &log.written[usize::try_from(write.1).expect("few")];
                    let Some(room) = &written.room else { continue };
                    (*write, room)
                }
                Heard::Document { document: None, .. } => continue,
            };
            let other = rooms.insert(write, room);
            assert!(other.is_none_or(|other| other == room), "{name}: {number}: in two rooms");
        }
    }
    rooms
}

/// Whether the relation "comes before" has no cycle.
pub(super) fn has_one_order(after: &BTreeMap<Write, BTreeSet<Write>>) -> bool {
    let mut before: BTreeMap<Write, usize> = BTreeMap::new();
    for (write, nexts) in after {
        before.entry(*write).or_default();
        for next in nexts {
            *before.entry(*next).or_default() += 1;
        }
    }
    let mut free: Vec<_> = before.iter().filter(|(_, n)| **n == 0).map(|(m, _)| *m).collect();
    let mut ordered = 0;
    while let Some(write) = free.pop() {
        ordered += 1;
        for next in after.get(&write).into_iter().flatten() {
            let left = before.get_mut(next).expect("counted");
            *left -= 1;
            if *left == 0 {
                free.push(*next);
            }
        }
    }
    ordered == before.len()
}
