//! `sync-server`: from arguments to an exit code. No protocol and no room logic here.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use log::{error, info, warn};
use sync_server::cli::{self, Command};
use sync_server::config::Config;
use sync_server::engine::{Engine, Job, Outcome};
use sync_server::logging;
use sync_server::memory::MemoryBudget;
use sync_server::net::{Ended, EventLoop, Listener, raise_file_limit};
use sync_server::session::Sessions;
use sync_server::workers::Workers;

/// Bad arguments, bad settings, or something that the operator has to set right.
const EXIT_USAGE: u8 = 2;
/// Jobs that the pool keeps between the loop and the workers.
const JOBS_IN_POOL_MAX: usize = 64;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("sync-server: {problem}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    match cli::parse(std::env::args_os().skip(1))? {
        Command::Help => print!("{}", cli::help()),
        Command::Version => println!("sync-server {}", env!("CARGO_PKG_VERSION")),
        Command::CheckConfig => {
            let config = read_config()?;
            for warning in config.warnings() {
                println!("warning: {warning}");
            }
            println!("the settings are valid");
        }
        Command::Serve => return serve(read_config()?),
    }
    Ok(ExitCode::SUCCESS)
}

fn read_config() -> Result<Config, Box<dyn std::error::Error>> {
    let variables = cli::variables(Path::new(".env"))?;
    Ok(Config::from_variables(|name| variables.get(name).cloned())?)
}

fn serve(mut config: Config) -> Result<ExitCode, Box<dyn std::error::Error>> {
    logging::start(config.log_level, config.log_format);
    let connections = u32::try_from(raise_file_limit()).unwrap_or(u32::MAX);
    if connections < config.limits.connections_max {
        warn!("only {connections} connections fit the limit of open files (ulimit -n)");
        config.limits.connections_max = connections;
    }
    let listener = Listener::bind(config.bind_addr, config.port)?;
    let grace = Duration::from_secs(config.limits.shutdown_grace_seconds);
    let workers = config.limits.worker_threads;
    // There is no store to keep rooms in yet.
    config.room_store = false;
    let config = Arc::new(config);
    let budget = MemoryBudget::new(config.limits.memory_budget_bytes);
    let address = listener.address();
    let sessions = Sessions::new(&config, budget.clone());
    let engine = Engine::new(Arc::clone(&config), budget, Box::new(entropy));
    let event_loop = EventLoop::new(
        listener,
        sessions,
        engine,
        |wake| Workers::start(workers, JOBS_IN_POOL_MAX, Arc::new(run_job), wake),
        grace,
    )?;
    info!("sync-server {} listening on http://{address}", env!("CARGO_PKG_VERSION"));
    for warning in config.warnings() {
        warn!("{warning}");
    }
    match event_loop.run()? {
        Ended::Cleanly => info!("stopped"),
        Ended::GraceOver => warn!("stopped with connections open: the grace period is over"),
        Ended::Forced => {
            warn!("stopped at once");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Rooms live in memory only, so nothing is ever asked of the workers but whether they are there.
#[expect(clippy::needless_pass_by_value, reason = "what a worker is handed is its own")]
fn run_job(job: Job) -> Outcome {
    match job {
        Job::FindRoom { .. } => Outcome::FoundRoom(Ok(None)),
        Job::SaveRoom(_) => Outcome::SavedRoom(Ok(())),
        Job::Probe => Outcome::Probed(Ok(())),
    }
}

/// Bytes that nobody can guess. Without them there are no codes, ids or tokens worth having, so
/// a system that has none is not served from.
#[expect(clippy::disallowed_methods, reason = "there is nothing to flush that could be trusted")]
fn entropy(bytes: &mut [u8]) {
    if let Err(problem) = getrandom::fill(bytes) {
        error!("the system gives no randomness: {problem}");
        std::process::abort();
    }
}
