//! `sync-server`: from arguments to an exit code. No protocol and no room logic here.

use std::process::ExitCode;
use std::sync::Arc;

use log::{info, warn};
use sync_server::accounts::Service;
use sync_server::api::Cors;
use sync_server::base::entropy::Entropy;
use sync_server::base::memory::MemoryBudget;
use sync_server::cli::{self, Command};
use sync_server::config::Config;
use sync_server::engine::Engine;
use sync_server::net::systemd::Supervisor;
use sync_server::net::{EventLoop, Listener, Reload, monotonic_us, raise_file_limit};
use sync_server::session::{Ended, Sessions};
use sync_server::store::{self, Store};
use sync_server::tools::console::{self, Failure, print};
use sync_server::tools::first_admin::{self, FirstAdmin};
use sync_server::tools::healthcheck;
use sync_server::workers::Workers;
use sync_server::workers::backend::Backend;
use sync_server::workers::ending::close_store;
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

fn main() -> ExitCode {
    let code = run().unwrap_or_else(|problem| {
        logging::last_words(&format!("sync-server: {problem}\n"));
        ExitCode::from(EXIT_USAGE)
    });
    logging::finish();
    code
}

fn run() -> Result<ExitCode, Failure> {
    match cli::parse(std::env::args_os().skip(1))? {
        Command::Help => print(&cli::render_help()),
        Command::Version => print(concat!("sync-server ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::CheckConfig => {
            for warning in cli::read_config()?.warnings() {
                print(&format!("warning: {warning}\n"));
            }
            print("configuration is valid\n");
        }
        Command::User(command) => {
            let config = cli::read_config()?;
            console::user(&accounts(&config, store::open(&config)?)?, command)?;
        }
        Command::Backup(target) => console::backup(&cli::read_config()?, &target)?,
        Command::Healthcheck => return Ok(check_health()),
        Command::Setup(url) => set_up(&cli::read_config()?, &url)?,
        Command::Doctor(examination) => {
            let is_fine = console::doctor(cli::read_config(), &examination);
            return Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Watch(watch) => console::watch(&watch)?,
        Command::Serve => return serve(cli::read_config()?),
    }
    Ok(ExitCode::SUCCESS)
}

/// `sync-server healthcheck`. Whatever is wrong, the exit code is 1: Docker keeps all others for
/// itself.
fn check_health() -> ExitCode {
    let checked = cli::read_config()
        .map_err(Failure::from)
        .and_then(|config| Ok(healthcheck::check(&config)?));
    match checked {
        Ok(health) => {
            print(&format!("{health}\n"));
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
    print(match first_admin::make(config, url)? {
        FirstAdmin::Made => "the first administrator was made\n",
        FirstAdmin::AlreadyThere => "there are users already: nothing to do\n",
    });
    Ok(())
}

/// The accounts in `store`.
fn accounts(config: &Config, store: Arc<dyn Store>) -> Result<Service, Failure> {
    Ok(Service::new(store, config, Entropy::new(entropy))?)
}

/// Bytes that cannot be guessed. Without them there are no codes, ids or tokens worth having, so
/// a system that has none is not served from.
#[expect(clippy::disallowed_methods, reason = "there is nothing to flush that could be trusted")]
fn entropy(bytes: &mut [u8]) {
    if let Err(problem) = getrandom::fill(bytes) {
        let problem = format!("sync-server: the system gives no randomness: {problem}\n");
        logging::last_words(&problem);
        std::process::abort();
    }
}

fn serve(mut config: Config) -> Result<ExitCode, Failure> {
    logging::start(config.log_level, config.log_format, monotonic_us)?;
    let files_max = raise_file_limit();
    fit_files(&mut config, files_max);
    let process_id = std::process::id();
    let claim = store::claim(&config, process_id)?;
    let listener = match Listener::inherited(|name| std::env::var_os(name), process_id)? {
        Some(listener) => listener,
        None => Listener::bind(&config.bind_addr, config.port)?,
    };
    let listening_on = listener.to_string();
    claim.write(&format!("process {process_id}, listening on {listening_on}"));
    let store = store::open(&config)?;
    let store_name = store.name();
    let accounts = accounts(&config, Arc::clone(&store))?;
    let threads = config.limits.threads();
    let config = Arc::new(config);
    let budget = MemoryBudget::new(config.limits.memory_budget_bytes);
    let mut sessions = Sessions::new(&config, budget.clone());
    sessions.set_extra_fields(Cors::new(config.allowed_origins.clone()));
    // The embedded store is near enough to be asked before a client can ask how it is.
    let store_ok = config.mongodb_uri.is_none() && store.ping().is_ok();
    let backend = Backend::new(Arc::clone(&store), accounts, budget.clone());
    let engine = Engine::new(Arc::clone(&config), budget, Entropy::new(entropy), store_ok);
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
    let ended = event_loop.run()?;
    // What the log has summed up is said now, so that how it ended is its last line.
    logging::settle();
    match ended {
        Ended::Cleanly => {
            close_store(store);
            info!("stopped");
        }
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
        let mut config = cli::read_config().map_err(|problem| problem.to_string())?;
        logging::set_level(config.log_level);
        fit_files(&mut config, files_max);
        engine.reconfigure(sessions, &config);
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
