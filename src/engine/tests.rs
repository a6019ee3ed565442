//! Tests of the engine with sessions in front of it and no socket: bytes in, bytes out, literal
//! times.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::time::UnixMillis;

/// A server and its clients.
struct World {
    engine: Engine,
    sessions: Sessions,
}

impl World {
    fn new(config: Config) -> Self {
        let budget = MemoryBudget::new(config.limits.memory_budget_bytes);
        let sessions = Sessions::new(&config, budget.clone());
        let entropy = Box::new(|bytes: &mut [u8]| bytes.fill(7));
        Self { engine: Engine::new(Arc::new(config), budget, entropy, true), sessions }
    }

    fn connect(&mut self, at_ms: u64) -> ConnId {
        let peer = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)).into();
        self.sessions.accept(peer, now(at_ms)).expect("there is room")
    }

    /// Sends `bytes` and returns all that is to be sent back.
    fn send(&mut self, conn: ConnId, bytes: &str, at_ms: u64) -> String {
        self.sessions.receive(conn, bytes.as_bytes(), now(at_ms), &mut self.engine);
        let mut slices = [IoSlice::new(&[]); 64];
        let count = self.sessions.slices(conn, &mut slices);
        let sent: Vec<u8> =
            slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
        self.sessions.wrote(conn, sent.len());
        let _next = self.sessions.flushed(conn, now(at_ms));
        String::from_utf8_lossy(&sent).into_owned()
    }

    /// Lets deadlines pass; the connections that have ended by then.
    fn pass(&mut self, at_ms: u64) -> Vec<ConnId> {
        self.sessions.handle_timeouts(now(at_ms), &mut self.engine);
        self.engine.handle_timeout(&mut self.sessions, now(at_ms));
        let mut finished = Vec::new();
        self.sessions.take_finished(&mut finished, now(at_ms), &mut self.engine);
        finished
    }
}

fn now(ms: u64) -> Now {
    Now { at: Timestamp::from_millis(ms), unix: UnixMillis(1_800_000_000_000) }
}

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn who_was_just_let_in_at_a_stop_is_still_answered() {
    let mut world = World::new(Config::default());
    let (early, idle, slow, late) =
        (world.connect(0), world.connect(0), world.connect(4_500), world.connect(4_500));
    assert!(world.send(idle, HEALTH, 4_900).starts_with("HTTP/1.1 200"));

    world.engine.shut_down(&mut world.sessions, now(5_000));
    assert_eq!(world.pass(5_000), [idle, early], "neither has anything to say");
    assert_eq!(world.pass(5_499), []);
    let answer = world.send(late, HEALTH, 5_499);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Connection: close"), "{answer}");
    assert_eq!(world.pass(5_500), [slow], "a second has passed since it came");
}
