//! What the person at the console can do without a login: manage users, make a copy, have the
//! doctor look, watch a room. Part of the binary. Whoever may read the database may do all this
//! anyway.

use std::env;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use sync_server::base::secret::Secret;
use sync_server::cli::{self, EnvironmentError, Examination, UserCommand, Watch};
use sync_server::config::Config;
use sync_server::net::unix_now;
use sync_server::tools::doctor::{self, Finding, Tally};
use sync_server::tools::watch;

use crate::{Failure, print_out, setup};

/// Holds the token of a login.
const WATCH_TOKEN: &str = "WATCH_TOKEN";

/// `sync-server user …`.
pub(crate) fn user(config: &Config, command: UserCommand) -> Result<(), Failure> {
    let accounts = setup::accounts(config, setup::open_store(config)?)?;
    match command {
        UserCommand::Add { email, role } => {
            let user = accounts.add_user(&email, &password()?, role, unix_now())?;
            print_out(&format!("{} was added as {}\n", user.email, user.role.as_str()));
        }
        UserCommand::List => {
            for user in accounts.list_users()? {
                let state = if user.is_active { "active" } else { "disabled" };
                print_out(&format!(
                    "{}  {}  {state}  {}\n",
                    user.user_id,
                    user.role.as_str(),
                    user.email
                ));
            }
        }
        UserCommand::Passwd { email } => {
            let user = accounts.set_password(&email, &password()?)?;
            print_out(&format!("{} has a new password; earlier logins have ended\n", user.email));
        }
        UserCommand::Disable { email } => {
            let user = accounts.disable_user(&email)?;
            print_out(&format!("{} can log in no more\n", user.email));
        }
    }
    Ok(())
}

/// `sync-server watch CODE`.
pub(crate) fn watch(wish: &Watch) -> Result<(), Failure> {
    // Who names a server needs no settings.
    let config = if wish.url.is_some() { Config::default() } else { cli::read_config()? };
    let token = env::var(WATCH_TOKEN).ok().filter(|token| !token.is_empty()).map(Secret::new);
    watch::watch(&config, wish, token.as_ref(), |line| writeln!(io::stdout(), "{line}"))?;
    Ok(())
}

/// `sync-server backup FILE`.
#[cfg(feature = "sqlite")]
pub(crate) fn backup(config: &Config, target: &Path) -> Result<(), Failure> {
    if config.mongodb_uri.is_some() {
        return Err("the data is in MongoDB: use mongodump to copy it".into());
    }
    sync_server::store::sqlite::backup(&config.data_dir, target)?;
    print_out(&format!("copied to {}\n", target.display()));
    Ok(())
}

/// `sync-server backup FILE`, in a build that has nothing to copy.
#[cfg(not(feature = "sqlite"))]
pub(crate) fn backup(_: &Config, _: &Path) -> Result<(), Failure> {
    Err("this build has no embedded store".into())
}

/// `sync-server doctor`: 1 if there is a problem.
pub(crate) fn doctor(
    config: Result<Config, EnvironmentError>,
    examination: &Examination,
) -> ExitCode {
    let mut tally = Tally::default();
    let mut say = |finding: Finding| {
        tally.add(&finding);
        print_out(&format!("{finding}\n"));
    };
    match config {
        Ok(config) => doctor::examine(&config, examination, say),
        Err(error) => say(doctor::unreadable_settings(&error.to_string())),
    }
    print_out(&format!("{tally}\n"));
    if tally.problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// From a prompt without echo, twice; or, if standard input is no terminal, its first line.
fn password() -> Result<Secret, Failure> {
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        let password = line.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            return Err("no password came from standard input".into());
        }
        return Ok(Secret::new(password));
    }
    io::stderr().flush()?;
    let first = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("Once more: ")? != first {
        return Err("the two are not the same".into());
    }
    Ok(Secret::new(first))
}
