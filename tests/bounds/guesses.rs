//! Guesses of room codes: an address has thirty in vain a minute, however it makes them.

use sync_server::config::Config;
use sync_server::engine::{Job, Outcome};

use crate::world::{World, after_ms};

/// Goal: who asks for many unknown rooms in the same instant, before the store has answered for
/// the first of them, gains nothing by it.
#[test]
fn guesses_that_wait_for_the_store_together_are_all_counted() {
    const GUESSES: u64 = 100;
    let mut world = World::new(Config::default());
    for number in 0..GUESSES {
        assert_eq!(ask(&mut world, number), "", "it waits");
    }
    let mut lookups = 0;
    while let Some(index) =
        world.network.jobs.iter().position(|(_, job)| matches!(job, Job::FindRoom { .. }))
    {
        world.end_job(index, Outcome::FoundRoom(Ok(None)));
        lookups += 1;
    }
    assert!(lookups >= GUESSES, "{lookups}");
    // Thirty were for nothing, each of the others costs two seconds.
    let end_ms = (GUESSES - 30 + 1) * 2_000;
    for (at_ms, wait_seconds) in [(1, 142), (2_000, 140), (end_ms - 1, 1)] {
        world.pass_until(after_ms(at_ms));
        let answer = ask(&mut world, 0);
        assert!(answer.starts_with("HTTP/1.1 429 "), "at {at_ms} ms: {answer}");
        assert!(answer.contains(&format!("Retry-After: {wait_seconds}\r\n")), "{answer}");
    }
    world.pass_until(after_ms(end_ms));
    assert_eq!(ask(&mut world, 0), "", "the store is asked again");
}

/// What is answered at once to a question for the room of this number.
fn ask(world: &mut World, number: u64) -> String {
    let client = world.connect();
    world.send(client, format!("GET /api/rooms/GUESS{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
    world.take_text(client)
}
