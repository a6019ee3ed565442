//! The whole server without a socket, driven by a seed.
//!
//! Goal: whatever the network does — any split of reads and writes, stalls, resets, half-closes,
//! a store that answers late or not at all, a memory budget that a few documents fill — every
//! member of a room sees one order of messages and of documents, none that stays misses a message,
//! limits hold, each join is answered, and every session ends. Method: a transport that draws its
//! misdeeds from a seed; the clients are tungstenite contexts, so that a foreign decoder checks
//! every byte we send; the order of a turn is the real one. `ENGINE_SEED=n` replays one seed.

#[path = "../rooms_simulation/draw.rs"]
mod draw;
#[path = "../rooms_simulation/random.rs"]
mod random;
mod world;

use crate::draw::Bytes;
use crate::random::Random;
use crate::world::{Seen, World};

const SEEDS: u64 = 32;

#[test]
fn any_seed_keeps_every_promise() {
    let mut seen = Seen::new();
    if let Ok(seed) = std::env::var("ENGINE_SEED") {
        let seed = seed.parse().expect("ENGINE_SEED is a number");
        println!("{}\n{seen:?}", run(seed, &mut seen).join("\n"));
        return;
    }
    for seed in 0..SEEDS {
        run(seed, &mut seen);
    }
    // A simulation in which these never happen proves nothing about them.
    for word in WORDS {
        let count = seen.get(word).copied().unwrap_or(0);
        assert!(count >= 5, "{word}: hardly seen: {seen:?}");
    }
}

/// What has to happen over all seeds.
const WORDS: [&str; 8] = [
    "a document was read from the store",
    "a document was evicted",
    "a document was refused",
    "a document was seen",
    "a write is durable",
    "a session was closed for its memory",
    "a write overtook a read",
    "the store was away",
];

#[test]
fn one_seed_gives_one_trace() {
    for seed in [6, 7] {
        let trace = run(seed, &mut Seen::new());
        assert_eq!(trace, run(seed, &mut Seen::new()));
        assert_ne!(trace, run(seed + 2, &mut Seen::new()));
    }
}

/// What the fuzzer begins with, and what it has found, holds for everybody who has no fuzzer.
#[test]
fn the_fuzzers_seeds_hold() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/engine");
    for entry in std::fs::read_dir(folder).expect("there are seeds") {
        let path = entry.expect("a folder can be read to its end").path();
        let seed = std::fs::read(&path).expect("a seed can be read");
        World::run(&path.display().to_string(), Bytes(&seed), &mut Seen::new());
    }
}

fn run(seed: u64, seen: &mut Seen) -> Vec<String> {
    let name = format!("seed {seed}, replay it with ENGINE_SEED={seed}");
    World::run(&name, Random(seed), seen)
}
