//! Simulated rooms: connections that join, talk, switch tabs and vanish, and a store that is slow,
//! down or shared with others, all drawn from one seed. Each step is compared with a naive model,
//! effect by effect; on top of it, what matters to users is checked by itself: what every client
//! believes about its room, and that nothing is called durable that is not.
//!
//! `ROOMS_SEED=7 cargo test --test rooms_simulation -- --nocapture` replays one seed and prints it.

mod draw;
mod effect;
mod model;
mod random;
mod simulation;
mod store;

use std::collections::BTreeMap;

use crate::draw::Bytes;
use crate::random::Random;
use crate::simulation::Simulation;

const SEEDS: u64 = 256;

#[test]
fn rooms_do_what_the_model_says() {
    let mut seen = BTreeMap::new();
    if let Ok(seed) = std::env::var("ROOMS_SEED") {
        let seed = seed.parse().expect("ROOMS_SEED is a number");
        simulation(seed, true).run(&mut seen);
        return;
    }
    for seed in 0..SEEDS {
        simulation(seed, false).run(&mut seen);
    }
    // A simulation in which these never happen proves nothing about them.
    for word in [
        "Created",
        "Restored",
        "Expired",
        "Evicted",
        "Conflicted",
        "Closed",
        "when deleted",
        "Durable",
        "NotDurable",
        "RoomFull",
        "TooManyRooms",
        "StoreUnavailable",
        "RoomNotFound",
        "HostOnly",
        "NotInRoom",
        "Taken",
        "old answer",
        "crash",
        "late ack",
        "Unloaded",
        "WaitingForDocument",
    ] {
        assert!(
            seen.get(word).is_some_and(|&count| count >= 20),
            "{word} was hardly seen: {seen:?}"
        );
    }
}

#[test]
fn one_seed_gives_one_trace() {
    let trace = |seed| simulation(seed, false).run(&mut BTreeMap::new());
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}

/// What the fuzzer begins with, and what it has found, holds for everybody who has no fuzzer.
#[test]
fn the_fuzzers_seeds_hold() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/rooms_ops");
    let mut seen = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("there are seeds") {
        let path = entry.expect("a folder can be read to its end").path();
        let seed = std::fs::read(&path).expect("a seed can be read");
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        Simulation::new(name, Bytes(&seed), false).run(&mut seen);
    }
    for word in ["Conflicted", "Evicted", "Restored", "crash", "late ack"] {
        assert!(seen.contains_key(word), "{word} was not seen: {seen:?}");
    }
}

fn simulation(seed: u64, is_loud: bool) -> Simulation<Random> {
    let name = format!("seed {seed}, replay it with ROOMS_SEED={seed}");
    Simulation::new(name, Random(seed), is_loud)
}
