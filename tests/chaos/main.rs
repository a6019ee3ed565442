//! A minute of everything at once: people who talk, flood, stall, vanish and speak nonsense, and a
//! server that is killed and started again under them.
//!
//! Goal: every document that was acknowledged is there after every restart; every member hears
//! everything that happens in its room from its join to its own end, once and in one order; and
//! when everybody has gone, the process has the files and the memory that it began with.
//!
//! `CHAOS_SEED` chooses what happens, `CHAOS_SECONDS` for how long. One seed does not give one
//! trace, as networks and schedulers have their say too; it gives the same kinds of trouble.

mod history;
mod member;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod vandal;

use std::env;
use std::io::{self, Write};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use history::Documents;
use scene::Scene;
use support::{Deadline, Directory, Server};

/// How long it takes by default; `.ci/run` takes a minute.
const SECONDS: u64 = 8;
/// How long one life of a server takes, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 800..2_500;
/// Small queues, so that whoever stalls is closed within seconds.
const SETTINGS: [(&str, &str); 4] = [
    ("MAX_MESSAGE_BYTES", "64KiB"),
    ("SEND_QUEUE_BYTES", "256KiB"),
    ("ROOM_CREATE_RATE", "0"),
    ("SHUTDOWN_GRACE_SECONDS", "5"),
];
/// What the server may keep when everybody has gone.
const KEPT_BYTES_MAX: u64 = 16 << 20;

/// How a server comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// `kill -9` in the middle of everything.
    Kill,
    /// Everybody goes first; then SIGTERM.
    StopEmpty,
    /// SIGTERM in the middle of everything.
    Stop,
    /// Everybody goes first; then `kill -9`.
    KillEmpty,
}

const ENDS: [End; 4] = [End::Kill, End::StopEmpty, End::Stop, End::KillEmpty];

#[test]
fn nothing_that_was_promised_is_lost_in_chaos() {
    let seed = number("CHAOS_SEED", 1);
    let span = Duration::from_secs(number("CHAOS_SECONDS", SECONDS));
    let mut random = StdRng::seed_from_u64(seed);
    let directory = Directory::new();
    let mut documents = Documents::default();
    let mut heard = 0;
    let mut lives = 0;
    let clock = Deadline::start();
    // Each kind of end comes up, and what follows it.
    while clock.passed() < span || lives <= ENDS.len() {
        heard += live(&directory, &mut documents, &mut random, ENDS[lives % ENDS.len()]);
        lives += 1;
    }
    let acknowledged = documents.acknowledged();
    say(&format!(
        "chaos: seed {seed}, {lives} servers in {:.0?}, {heard} events heard, {acknowledged} \
         documents acknowledged",
        clock.passed()
    ));
    assert!(heard > 0 && acknowledged > 0, "something happened");
}

/// One life of a server; how many events its members heard.
fn live(
    directory: &Arc<Directory>,
    documents: &mut Documents,
    random: &mut StdRng,
    end: End,
) -> usize {
    let mut server = Server::start_in(directory, &SETTINGS);
    assert_eq!(server.get("/health").status, 200);
    let (files, bytes) = (server.open_files(), server.memory_bytes());
    let mut scene = Scene::open(&server, documents);
    let span = Duration::from_millis(random.random_range(LIFE_MS));
    let clock = Deadline::start();
    while clock.passed() < span {
        scene.act(&server, documents, random);
        scene.listen(documents);
        pause();
    }
    match end {
        End::Kill => {
            server.kill();
            scene.listen_to_the_end(documents);
        }
        End::Stop => {
            server.signal(rustix::process::Signal::TERM);
            scene.listen_to_the_end(documents);
            assert_eq!(server.wait(), Some(0));
            scene.check_goodbyes();
        }
        End::KillEmpty | End::StopEmpty => {
            scene.hear_everything(&server, documents);
            scene.send_away();
            check_baseline(&server, files, bytes);
            if end == End::KillEmpty {
                server.kill();
            } else {
                assert_eq!(server.stop(), Some(0));
            }
        }
    }
    scene.check_histories(matches!(end, End::KillEmpty | End::StopEmpty))
}

/// Waits until the server has as many files as it had in the beginning, and about the memory.
#[track_caller]
fn check_baseline(server: &Server, files: usize, bytes: u64) {
    let deadline = Deadline::start();
    loop {
        let connections = server.get("/health").json()["connections"].clone();
        let (files_now, bytes_now) = (server.open_files(), server.memory_bytes());
        // Who asks is one of them, or has only just been.
        if connections == 1 && files_now <= files + 1 && bytes_now <= bytes + KEPT_BYTES_MAX {
            return;
        }
        assert!(
            !deadline.left().is_zero(),
            "{connections} connections; {files_now} files, {files} in the beginning; {bytes_now} \
             bytes, {bytes} in the beginning"
        );
        pause();
    }
}

/// Lets a little time pass.
fn pause() {
    // Nobody ever sends: waiting for it is the pace.
    let (_silent, pace) = mpsc::channel::<()>();
    let _timed_out = pace.recv_timeout(Duration::from_millis(1));
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number"))
    })
}

/// Shows a line where `cargo test` cannot hide it.
fn say(line: &str) {
    writeln!(io::stderr(), "{line}").expect("standard error is open");
}
