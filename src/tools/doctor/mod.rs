//! `sync-server doctor`: looks at what a server needs and at the way that its clients come, and
//! says what to change. Changes nothing, and may run beside the server.
//!
//! What is to be said is decided by pure functions, from facts that `machine_facts` and
//! `public_facts` bring: they know files, sockets and the clock.

mod finding;
mod machine;
mod machine_facts;
mod public;
mod public_facts;
mod store;

pub use finding::{Finding, Tally};

use crate::cli::Examination;
use crate::config::{Config, url_parts};
use crate::net::{file_limit, unix_now};
use machine::Port;

/// Looks at everything, and says each finding as soon as it is there. Each wait is bounded;
/// together they take less than two minutes, with [`Examination::is_slow`] less than three.
pub fn examine(config: &Config, examination: &Examination, mut say: impl FnMut(Finding)) {
    let limits = &config.limits;
    machine::judge_settings(config).into_iter().for_each(&mut say);
    say(machine::judge_open_files(file_limit(), limits));
    say(machine::judge_memory(machine_facts::memory(), limits));
    if config.mongodb_uri.is_none() || config.jwt_secret.is_none() {
        let directory = machine_facts::data_directory(&config.data_dir);
        machine::judge_data_directory(&directory).into_iter().for_each(&mut say);
    }
    let mut clocks = Vec::new();
    let (finding, clock) = store::examine(config);
    clocks.extend(clock);
    say(finding);
    let port = machine_facts::port(config);
    say(machine::judge_port(&port));
    let local = match port {
        Port::Running(health, _) => Some(health),
        _ => None,
    };
    match examination.url.as_deref().or(config.public_url.as_deref()).and_then(url_parts) {
        Some(url) => {
            let interval = limits.ping_interval_seconds;
            let (facts, clock) = public_facts::public(url, local, interval, examination.is_slow);
            clocks.extend(clock);
            public::judge_public(url, &facts).into_iter().for_each(&mut say);
        }
        None => say(public::ADDRESS.warning(
            "what clients see was not looked at: set PUBLIC_URL, or give it (doctor URL)",
        )),
    }
    say(machine::judge_clock(unix_now(), &clocks));
}

/// The one finding if the settings cannot be read, and so nothing else can be looked at.
pub fn unreadable_settings(why: &str) -> Finding {
    machine::SETTINGS.problem(why)
}
