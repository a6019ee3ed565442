//! What the operator can do at the console without a login: manage users, make a copy, have the
//! doctor look, watch a room. An operator may read the database, and could do all this anyway.

use std::env;
use std::error::Error;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use super::doctor::{self, Finding, Tally};
use super::watch;
use crate::accounts::Service;
use crate::base::secret::Secret;
use crate::cli::{self, EnvironmentError, Examination, UserCommand, Watch};
use crate::config::Config;
use crate::net::unix_now;
use crate::store;

/// Why a command failed, in one line. No kind is told from another.
pub type Failure = Box<dyn Error>;

/// `sync-server user …`.
pub fn user(accounts: &Service, command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add(email, role) => {
            let user = accounts.add_user(&email, &password()?, role, unix_now())?;
            print(&format!("{} was added as {}\n", user.email, user.role.as_str()));
        }
        UserCommand::List => {
            for user in accounts.list_users()? {
                let state = if user.is_active { "active" } else { "disabled" };
                print(&format!(
                    "{}  {}  {state}  {}\n",
                    user.user_id,
                    user.role.as_str(),
                    user.email
                ));
            }
        }
        UserCommand::Passwd(email) => {
            let user = accounts.set_password(&email, &password()?)?;
            print(&format!("{} has a new password; earlier logins have ended\n", user.email));
        }
        UserCommand::Disable(email) => {
            let user = accounts.disable_user(&email)?;
            print(&format!("{} can log in no more\n", user.email));
        }
    }
    Ok(())
}

/// `sync-server watch CODE`.
pub fn watch(wish: &Watch) -> Result<(), Failure> {
    // With the URL of a server no settings are needed.
    let config = if wish.url.is_some() { Config::default() } else { cli::read_config()? };
    let token = env::var("WATCH_TOKEN").ok().filter(|token| !token.is_empty()).map(Secret::new);
    watch::watch(&config, wish, token.as_ref(), |line| writeln!(io::stdout(), "{line}"))
}

/// `sync-server backup FILE`.
pub fn backup(config: &Config, target: &Path) -> Result<(), Failure> {
    store::backup(config, target)?;
    print(&format!("copied to {}\n", target.display()));
    Ok(())
}

/// `sync-server doctor`: returns whether there is no problem.
pub fn doctor(config: Result<Config, EnvironmentError>, examination: &Examination) -> bool {
    let mut tally = Tally::default();
    let mut say = |finding: Finding| {
        tally.add(&finding);
        print(&format!("{finding}\n"));
    };
    match config {
        Ok(config) => doctor::examine(&config, examination, say),
        Err(error) => say(doctor::unreadable_settings(&error.to_string())),
    }
    print(&format!("{tally}\n"));
    tally.problems == 0
}

/// Prints `text`. A closed pipe (`--help | head`) is no failure.
pub fn print(text: &str) {
    let _unread = io::stdout().write_all(text.as_bytes());
}

/// From a prompt without echo, twice; or, if standard input is no terminal, its first line.
fn password() -> io::Result<Secret> {
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        let password = line.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            return Err(io::Error::other("no password came from standard input"));
        }
        return Ok(Secret::new(password));
    }
    io::stderr().flush()?;
    let first = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("Once more: ")? != first {
        return Err(io::Error::other("the two are not the same"));
    }
    Ok(Secret::new(first))
}
