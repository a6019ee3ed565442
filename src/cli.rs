//! The command line, and where settings come from: the environment and a `.env` file.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::config::SETTINGS;

/// What the person at the console wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve.
    Serve,
    /// Show the usage and the settings.
    Help,
    /// Show the version.
    Version,
    /// Say whether the settings are valid.
    CheckConfig,
    /// Manage the users, without a login.
    User(UserCommand),
    /// Copy the embedded store, also while it is in use.
    Backup(PathBuf),
}

/// What to do with the users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserCommand {
    /// Make one who can log in at once.
    Add {
        /// The login name.
        email: String,
        /// Whether the user may manage others.
        is_admin: bool,
    },
    /// Show all.
    List,
    /// Set a password.
    Passwd {
        /// Whose.
        email: String,
    },
    /// Let a user log in no more, and end the tokens.
    Disable {
        /// Whom.
        email: String,
    },
}

/// A command line that can't be understood, or settings that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CliError(String);

/// Reads the arguments, without the program's name.
///
/// # Errors
/// [`CliError`] with one line.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, CliError> {
    use lexopt::Arg::{Long, Short, Value};
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut command = Command::Serve;
    while let Some(argument) = parser.next().map_err(|error| usage(&error.to_string()))? {
        command = match argument {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("version") | Short('V') => return Ok(Command::Version),
            Long("check-config") => Command::CheckConfig,
            Value(value) if value == "help" => return Ok(Command::Help),
            Value(value) if value == "user" => return user(&mut parser).map(Command::User),
            Value(value) if value == "backup" => {
                let target =
                    parser.value().map_err(|_| usage("backup needs a file to write to"))?;
                nothing_more(&mut parser)?;
                return Ok(Command::Backup(target.into()));
            }
            other => return Err(usage(&other.unexpected().to_string())),
        };
    }
    Ok(command)
}

/// What follows `user`.
fn user(parser: &mut lexopt::Parser) -> Result<UserCommand, CliError> {
    use lexopt::Arg::{Long, Value};
    let mut words = Vec::new();
    let mut is_admin = false;
    while let Some(argument) = parser.next().map_err(|error| usage(&error.to_string()))? {
        match argument {
            Long("admin") => is_admin = true,
            Value(word) if words.len() < 2 => words.push(word.to_string_lossy().into_owned()),
            other => return Err(usage(&other.unexpected().to_string())),
        }
    }
    let mut words = words.into_iter();
    let (action, email) = (words.next(), words.next());
    match (action.as_deref(), email) {
        (Some("list"), None) => Ok(UserCommand::List),
        (Some("add"), Some(email)) => Ok(UserCommand::Add { email, is_admin }),
        (Some("passwd"), Some(email)) => Ok(UserCommand::Passwd { email }),
        (Some("disable"), Some(email)) => Ok(UserCommand::Disable { email }),
        (Some(action @ ("add" | "passwd" | "disable")), None) => {
            Err(usage(&format!("user {action} needs an e-mail address")))
        }
        _ => Err(usage("user needs add, list, passwd or disable")),
    }
}

fn nothing_more(parser: &mut lexopt::Parser) -> Result<(), CliError> {
    match parser.next().map_err(|error| usage(&error.to_string()))? {
        Some(argument) => Err(usage(&argument.unexpected().to_string())),
        None => Ok(()),
    }
}

fn usage(problem: &str) -> CliError {
    CliError(format!("{problem} (sync-server --help shows what there is)"))
}

/// The variables of the environment over those of the file `dot_env`, which need not exist.
///
/// # Errors
/// [`CliError`] if the file can't be read or has a line that is no assignment.
pub fn variables(dot_env: &Path) -> Result<HashMap<String, String>, CliError> {
    let mut variables = HashMap::new();
    match dotenvy::from_path_iter(dot_env) {
        Ok(pairs) => {
            for (number, pair) in pairs.enumerate() {
                // What the line holds may be a secret: only its place is told.
                let (name, value) = pair.map_err(|_| {
                    CliError(format!(
                        "{}: assignment {} cannot be read; write NAME=value, and put a value with \
                         spaces, # or $ between single quotes",
                        dot_env.display(),
                        number + 1
                    ))
                })?;
                variables.insert(name, value);
            }
        }
        Err(dotenvy::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(CliError(format!("{} cannot be read: {error}", dot_env.display())));
        }
    }
    for (name, value) in std::env::vars_os() {
        // A variable that is no text is not ours.
        if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string())
            && !value.is_empty()
        {
            variables.insert(name, value);
        }
    }
    Ok(variables)
}

/// The text of `--help`.
pub fn help() -> String {
    let mut text = format!(
        "sync-server {}: live shared rooms over WebSocket\n\n\
         Usage: sync-server [COMMAND | --check-config | --help | --version]\n\n\
         Without arguments it serves until it gets SIGINT or SIGTERM.\n\n  \
         user add EMAIL [--admin]  makes a user; asks for the password, or reads it from stdin\n  \
         user list                 shows all users\n  \
         user passwd EMAIL         sets a password, and ends the user's logins\n  \
         user disable EMAIL        ends the user's logins, and allows no new one\n  \
         backup FILE               copies the embedded store, also while it is in use\n  \
         --check-config            says whether the settings are valid, and ends\n  \
         --help                    shows this\n  \
         --version                 shows the version\n\n\
         Settings come from the environment, then from a file .env in the working directory:\n\n",
        env!("CARGO_PKG_VERSION")
    );
    let width = SETTINGS.iter().map(|setting| setting.name.len()).max().unwrap_or(0);
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { "-" } else { setting.default };
        // Writing to a String cannot fail.
        let _infallible = writeln!(
            text,
            "  {:width$}  {}\n  {:width$}  default {default}; {}",
            setting.name, setting.help, "", setting.allowed
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command, CliError> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn arguments_are_understood_or_explained() {
        assert_eq!(parsed(&[]), Ok(Command::Serve));
        assert_eq!(parsed(&["--check-config"]), Ok(Command::CheckConfig));
        for help in ["--help", "-h", "help"] {
            assert_eq!(parsed(&[help]), Ok(Command::Help));
        }
        assert_eq!(parsed(&["-V"]), Ok(Command::Version));
        assert_eq!(parsed(&["backup", "x.db"]), Ok(Command::Backup("x.db".into())));
        let email = "a@b.c".to_owned();
        let add = UserCommand::Add { email: email.clone(), is_admin: true };
        assert_eq!(parsed(&["user", "add", "--admin", "a@b.c"]), Ok(Command::User(add)));
        assert_eq!(parsed(&["user", "list"]), Ok(Command::User(UserCommand::List)));
        let passwd = UserCommand::Passwd { email };
        assert_eq!(parsed(&["user", "passwd", "a@b.c"]), Ok(Command::User(passwd)));
        for bad in [
            &["--port"][..],
            &["serve"],
            &["-x"],
            &["user"],
            &["user", "add"],
            &["user", "rename", "a@b.c"],
            &["user", "list", "a@b.c"],
            &["user", "add", "a@b.c", "password"],
            &["backup"],
            &["backup", "a", "b"],
        ] {
            let line = parsed(bad).expect_err("not a command").to_string();
            assert!(line.contains("--help shows") && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn help_shows_every_setting_within_a_hundred_columns() {
        let help = help();
        for setting in SETTINGS {
            assert!(help.contains(setting.name) && help.contains(setting.help));
        }
        let widest = help.lines().max_by_key(|line| line.chars().count()).unwrap_or("");
        assert!(widest.chars().count() <= 100, "{widest}");
    }

    #[test]
    fn a_dot_env_file_is_read_and_need_not_exist() {
        let directory = std::env::temp_dir().join(format!("sync-cli-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let file = directory.join(".env");
        std::fs::write(&file, "# note\nSYNC_A='p$ss #1'\nexport SYNC_B=two\n").expect("written");
        let variables_read = variables(&file).expect("a good file");
        assert_eq!(variables_read["SYNC_A"], "p$ss #1");
        assert_eq!(variables_read["SYNC_B"], "two");
        std::fs::write(&file, "SYNC_A=1\nsecret without equals\n").expect("written");
        let line = variables(&file).expect_err("a bad line").to_string();
        assert!(line.contains("assignment 2") && !line.contains("secret"), "{line}");
        assert!(variables(&directory).is_err(), "a directory is no file");
        std::fs::remove_dir_all(&directory).expect("removed");
        assert!(variables(&file).is_ok());
    }
}
