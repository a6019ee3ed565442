//! `sync-server`: from arguments to an exit code. No protocol and no room logic here.

mod console;
mod setup;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use log::{info, warn};
use sync_server::base::memory::MemoryBudget;
use sync_server::cli::{self, Command};
use sync_server::config::Config;
use sync_server::engine::Engine;
use sync_server::net::systemd::Supervisor;
use sync_server::net::{EventLoop, Listener, Reload, raise_file_limit};
use sync_server::session::{Ended, Sessions};
use sync_server::tools::doctor::Examination;
use sync_server::tools::first_admin::{self, Outcome};
use sync_server::tools::healthcheck;
use sync_server::tools::watch::Watch;
use sync_server::workers::Workers;
use sync_server::workers::backend::Backend;
use sync_server::workers::logging;
use tikv_jemallocator::Jemalloc;

/// The system's allocator keeps what a crowd has left for ever (glibc), or needs twice the time
/// (musl). How this one is set up is in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Bad arguments, bad settings, or something else that the operator has to set right.
const EXIT_USAGE: u8 = 2;
/// Jobs that the pool keeps between the loop and the workers.
const JOBS_IN_POOL_MAX: usize = 64;

/// What ends the process with one line. Nobody needs to tell one kind from another here.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("sync-server: {problem}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn run() -> Result<ExitCode, Failure> {
    match cli::parse(std::env::args_os().skip(1))? {
        Command::Help => print_out(&cli::render_help()),
        Command::Version => print_out(concat!("sync-server ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::CheckConfig => {
            for warning in setup::read_config()?.warnings() {
                print_out(&format!("warning: {warning}\n"));
            }
            print_out("configuration is valid\n");
        }
        Command::User(command) => console::user(&setup::read_config()?, command)?,
        Command::Backup(target) => console::backup(&setup::read_config()?, &target)?,
        Command::Healthcheck => return Ok(check_health()),
        Command::Setup(url) => set_up(&setup::read_config()?, &url)?,
        Command::Doctor { url, is_slow } => {
            return Ok(console::doctor(setup::read_config(), &Examination { url, is_slow }));
        }
        Command::Watch { room_code, url, is_json } => {
            console::watch(&Watch { room_code, url, is_json })?;
        }
        Command::Serve => return serve(setup::read_config()?),
    }
    Ok(ExitCode::SUCCESS)
}

/// `sync-server healthcheck`. Whatever is wrong, the exit code is 1: Docker keeps all others for
/// itself.
fn check_health() -> ExitCode {
    let checked =
        setup::read_config().and_then(|config| healthcheck::ask(&config).map_err(Failure::from));
    match checked {
        Ok(health) => {
            print_out(&format!("{health}\n"));
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("sync-server: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// `sync-server setup`.
fn set_up(config: &Config, url: &str) -> Result<(), Failure> {
    print_out(match first_admin::make(config, url)? {
        Outcome::Made => "the first administrator was made\n",
        Outcome::AlreadyThere => "there are users already: nothing to do\n",
    });
    Ok(())
}

/// Prints `text`. That nobody reads it (`--help | head`) is no failure.
pub(crate) fn print_out(text: &str) {
    let _nobody_reads = std::io::stdout().write_all(text.as_bytes());
}

fn serve(mut config: Config) -> Result<ExitCode, Failure> {
    logging::start(config.log_level, config.log_format);
    let files_max = raise_file_limit();
    fit_files(&mut config, files_max);
    let listener = match Listener::inherited(|name| std::env::var_os(name), std::process::id())? {
        Some(listener) => listener,
        None => Listener::bind(&config.bind_addr, config.port)?,
    };
    let listening_on = listener.to_string();
    let store = setup::open_store(&config)?;
    let store_name = store.name();
    let accounts = setup::accounts(&config, Arc::clone(&store))?;
    let threads = config.limits.worker_threads;
    let config = Arc::new(config);
    let budget = MemoryBudget::new(config.limits.memory_budget_bytes);
    let sessions = Sessions::new(&config, budget.clone());
    let store_ok = config.mongodb_uri.is_none();
    let backend = Backend::new(store, accounts, budget.clone());
    let entropy = Box::new(setup::entropy);
    let engine = Engine::new(Arc::clone(&config), budget, entropy, store_ok);
    let run_job = Arc::new(move |job| backend.run(job));
    let event_loop = EventLoop::new(listener, sessions, engine, |wake| {
        Workers::start(threads, JOBS_IN_POOL_MAX, run_job, wake)
    })?;
    let event_loop = event_loop.supervised_by(supervisor()).reloaded_by(reload(files_max))?;
    let version = env!("CARGO_PKG_VERSION");
    info!("sync-server {version} listening on {listening_on}, data in {store_name}");
    for warning in config.warnings() {
        warn!("{warning}");
    }
    match event_loop.run()? {
        Ended::Cleanly => info!("stopped"),
        Ended::GraceOver => warn!("stopped with work left: the grace period is over"),
        Ended::Forced => {
            warn!("stopped at once");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lowers the limit of connections to `files_max`, those that the limit of open files allows.
fn fit_files(config: &mut Config, files_max: u64) {
    let connections = u32::try_from(files_max).unwrap_or(u32::MAX);
    if connections < config.limits.connections_max {
        warn!("only {connections} connections fit the limit of open files (ulimit -n)");
        config.limits.connections_max = connections;
    }
}

/// What SIGHUP does: reads the settings as at the start, and gives them to the engine. Nothing
/// changes if they cannot be read.
fn reload(files_max: u64) -> Reload<Engine> {
    Box::new(move |engine, sessions| {
        let mut config = setup::read_config().map_err(|problem| problem.to_string())?;
        logging::set_level(config.log_level);
        fit_files(&mut config, files_max);
        engine.reconfigure(sessions, config);
        Ok(())
    })
}

/// systemd, if it started this process and wants to be told how it is. It can be done without.
fn supervisor() -> Supervisor {
    Supervisor::from_variables(|name| std::env::var_os(name), std::process::id()).unwrap_or_else(
        |problem| {
            warn!("systemd is told nothing: {problem}");
            Supervisor::default()
        },
    )
}
