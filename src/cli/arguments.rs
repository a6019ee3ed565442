//! From arguments to a command.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Parser, ValueExt};

use crate::config::public_url;
use crate::store::Role;

/// What the operator wants.
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
    /// Copy the embedded store, also while it is in use, to this file.
    Backup(PathBuf),
    /// Ask the server that the settings describe whether it is healthy.
    Healthcheck,
    /// Make the first administrator, through the server at this URL.
    Setup(String),
    /// Look at what a server needs, and at the way that its clients come.
    Doctor(Examination),
    /// Show what happens in a room.
    Watch(Watch),
}

/// What to do with the users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserCommand {
    /// Make one, by login name, that can log in at once.
    Add(String, Role),
    /// Show all.
    List,
    /// Set the password of the user with this login name.
    Passwd(String),
    /// Let the user with this login name log in no more, and end the tokens.
    Disable(String),
}

/// What the doctor looks at beside the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examination {
    /// The public address, as [`public_url`] gives it; `None`:
    /// `PUBLIC_URL`.
    pub url: Option<String>,
    /// Whether to try how long a WebSocket may be silent. Takes more than twice
    /// `PING_INTERVAL_SECONDS`, but a minute at most.
    pub is_slow: bool,
}

/// What is watched, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The room.
    pub room_code: String,
    /// The server, as [`public_url`] gives it; `None`: the one that the
    /// settings describe.
    pub url: Option<String>,
    /// Events as they come, instead of lines for people.
    pub is_json: bool,
}

/// A command line that can't be understood: one line, with a hint where to read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (see sync-server --help)")]
pub struct UsageError {
    problem: String,
}

/// Reads the arguments, without the program's name.
///
/// # Errors
/// [`UsageError`] for the first argument that makes no sense.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = Parser::from_args(arguments);
    let command = match parser.next()? {
        None => Command::Serve,
        // People add these to what they were about to write: what follows is forgiven.
        Some(Long("help") | Short('h')) => return Ok(Command::Help),
        Some(Long("version") | Short('V')) => return Ok(Command::Version),
        Some(Long("check-config")) => Command::CheckConfig,
        Some(Value(word)) => match word.to_str() {
            Some("help") => return Ok(Command::Help),
            Some("user") => return user(&mut parser),
            Some("backup") => backup(&mut parser)?,
            Some("healthcheck") => Command::Healthcheck,
            Some("setup") => setup(&mut parser)?,
            Some("doctor") => return doctor(&mut parser),
            Some("watch") => return watch(&mut parser),
            _ => return Err(UsageError::new(format!("there is no command '{}'", word.display()))),
        },
        Some(other) => return Err(other.unexpected().into()),
    };
    end(&mut parser, command)
}

/// `user add EMAIL [--admin]`, `user list`, `user passwd EMAIL`, `user disable EMAIL`.
fn user(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut words = Vec::new();
    let mut role = Role::User;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("admin") if role == Role::User => role = Role::Admin,
            Value(word) if words.len() < 2 => words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut words = words.into_iter();
    let (action, email) = (words.next().unwrap_or_default(), words.next());
    let command = match (action.as_str(), email, role) {
        ("add", Some(email), role) => UserCommand::Add(email, role),
        ("list", None, Role::User) => UserCommand::List,
        ("passwd", Some(email), Role::User) => UserCommand::Passwd(email),
        ("disable", Some(email), Role::User) => UserCommand::Disable(email),
        ("add" | "passwd" | "disable", None, _) => {
            return Err(UsageError::new(format!("user {action} needs an e-mail address")));
        }
        ("list", Some(_), _) => return Err(UsageError::new("user list takes no e-mail address")),
        ("list" | "passwd" | "disable", _, Role::Admin) => {
            return Err(UsageError::new("only user add takes --admin"));
        }
        _ => return Err(UsageError::new("user needs one of add, list, passwd, disable")),
    };
    Ok(Command::User(command))
}

/// `backup FILE`.
fn backup(parser: &mut Parser) -> Result<Command, UsageError> {
    match parser.next()? {
        Some(Value(file)) if !file.is_empty() => Ok(Command::Backup(file.into())),
        Some(Long("help") | Short('h')) => Ok(Command::Help),
        _ => Err(UsageError::new("backup needs a file to write to")),
    }
}

/// `setup URL`.
fn setup(parser: &mut Parser) -> Result<Command, UsageError> {
    match parser.next()? {
        Some(Value(url)) => Ok(Command::Setup(url.string()?)),
        Some(Long("help") | Short('h')) => Ok(Command::Help),
        _ => Err(UsageError::new("setup needs the URL of a server")),
    }
}

/// `doctor [URL] [--slow]`.
fn doctor(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut examination = Examination::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("slow") if !examination.is_slow => examination.is_slow = true,
            Value(word) if examination.url.is_none() => {
                examination.url = Some(server_url(&word.string()?)?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Doctor(examination))
}

/// `watch CODE [URL] [--json]`.
fn watch(parser: &mut Parser) -> Result<Command, UsageError> {
    let (mut room_code, mut url, mut is_json) = (None, None, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("json") if !is_json => is_json = true,
            Value(word) if room_code.is_none() => room_code = Some(word.string()?),
            Value(word) if url.is_none() => url = Some(server_url(&word.string()?)?),
            other => return Err(other.unexpected().into()),
        }
    }
    let room_code = room_code.ok_or_else(|| UsageError::new("watch needs the code of a room"))?;
    Ok(Command::Watch(Watch { room_code, url, is_json }))
}

/// The address of a server.
fn server_url(word: &str) -> Result<String, UsageError> {
    public_url(word)
        .ok_or_else(|| UsageError::new(format!("'{word}' is not http(s)://host[:port][/path]")))
}

/// `command`, if nothing follows but a request for help.
fn end(parser: &mut Parser, command: Command) -> Result<Command, UsageError> {
    match parser.next()? {
        None => Ok(command),
        Some(Long("help") | Short('h')) => Ok(Command::Help),
        Some(other) => Err(other.unexpected().into()),
    }
}

impl UsageError {
    /// `problem` may hold what was typed, so it is made one line.
    fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into().replace(char::is_control, "?") }
    }
}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        Self::new(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command, UsageError> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn arguments_are_understood() {
        let email = || "a@b.c".to_owned();
        let add = |role| Command::User(UserCommand::Add(email(), role));
        let doctor = |url: Option<&str>, is_slow| {
            Command::Doctor(Examination { url: url.map(str::to_owned), is_slow })
        };
        let watch = |url: Option<&str>, is_json| {
            let (room_code, url) = ("ABC234".to_owned(), url.map(str::to_owned));
            Command::Watch(Watch { room_code, url, is_json })
        };
        let table: [(&[&str], Command); 35] = [
            (&[], Command::Serve),
            (&["--help"], Command::Help),
            (&["-h"], Command::Help),
            (&["help"], Command::Help),
            (&["help", "user"], Command::Help),
            (&["--help", "--nonsense"], Command::Help),
            (&["--check-config", "--help"], Command::Help),
            (&["user", "--help"], Command::Help),
            (&["user", "add", "-h"], Command::Help),
            (&["backup", "--help"], Command::Help),
            (&["--version"], Command::Version),
            (&["-V"], Command::Version),
            (&["--check-config"], Command::CheckConfig),
            (&["user", "list"], Command::User(UserCommand::List)),
            (&["user", "add", "a@b.c"], add(Role::User)),
            (&["user", "add", "--admin", "a@b.c"], add(Role::Admin)),
            (&["user", "add", "a@b.c", "--admin"], add(Role::Admin)),
            (&["user", "passwd", "a@b.c"], Command::User(UserCommand::Passwd(email()))),
            (&["user", "disable", "a@b.c"], Command::User(UserCommand::Disable(email()))),
            (&["backup", "x.db"], Command::Backup("x.db".into())),
            (&["--", "backup", "--x"], Command::Backup("--x".into())),
            (&["backup", "x.db", "-h"], Command::Help),
            (&["healthcheck"], Command::Healthcheck),
            (&["healthcheck", "--help"], Command::Help),
            (&["setup", "http://s"], Command::Setup("http://s".to_owned())),
            (&["setup", "-h"], Command::Help),
            (&["doctor"], doctor(None, false)),
            (&["doctor", "--slow"], doctor(None, true)),
            (&["doctor", "HTTPS://a/"], doctor(Some("https://a"), false)),
            (&["doctor", "http://a:1/b", "--slow"], doctor(Some("http://a:1/b"), true)),
            (&["doctor", "-h"], Command::Help),
            (&["watch", "ABC234"], watch(None, false)),
            (&["watch", "--json", "ABC234", "HTTP://a:1/"], watch(Some("http://a:1"), true)),
            (&["watch", "ABC234", "https://a/b", "--json"], watch(Some("https://a/b"), true)),
            (&["watch", "-h"], Command::Help),
        ];
        for (arguments, expected) in table {
            assert_eq!(parsed(arguments), Ok(expected), "{arguments:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_said_in_one_line_with_a_hint() {
        let table: [(&[&str], &str); 33] = [
            (&["--port"], "invalid option '--port'"),
            (&["-x"], "invalid option '-x'"),
            (&["serve"], "there is no command 'serve'"),
            (&["user\n"], "there is no command 'user?'"),
            (&["--a\nb"], "invalid option '--a?b'"),
            (&[""], "there is no command ''"),
            (&["--check-config", "now"], "unexpected argument \"now\""),
            (&["--check-config=now"], "unexpected argument for option '--check-config': \"now\""),
            (&["user"], "user needs one of add, list, passwd, disable"),
            (&["user", "rename", "a@b.c"], "user needs one of add, list, passwd, disable"),
            (&["user", "add"], "user add needs an e-mail address"),
            (&["user", "passwd"], "user passwd needs an e-mail address"),
            (&["user", "disable"], "user disable needs an e-mail address"),
            (&["user", "list", "a@b.c"], "user list takes no e-mail address"),
            (&["user", "list", "--admin"], "only user add takes --admin"),
            (&["user", "passwd", "a@b.c", "--admin"], "only user add takes --admin"),
            (&["user", "add", "--admin", "--admin", "a"], "invalid option '--admin'"),
            (&["user", "add", "a@b.c", "password"], "unexpected argument \"password\""),
            (&["user", "add", "--role", "a@b.c"], "invalid option '--role'"),
            (&["backup"], "backup needs a file to write to"),
            (&["backup", "--fast"], "backup needs a file to write to"),
            (&["backup", "a", "b"], "unexpected argument \"b\""),
            (&["healthcheck", "now"], "unexpected argument \"now\""),
            (&["setup"], "setup needs the URL of a server"),
            (&["setup", "a", "b"], "unexpected argument \"b\""),
            (&["doctor", "a"], "'a' is not http(s)://host[:port][/path]"),
            (&["doctor", "http://a", "http://b"], "unexpected argument \"http://b\""),
            (&["doctor", "--slow", "--slow"], "invalid option '--slow'"),
            (&["doctor", "--fast"], "invalid option '--fast'"),
            (&["watch"], "watch needs the code of a room"),
            (&["watch", "A", "b"], "'b' is not http(s)://host[:port][/path]"),
            (&["watch", "A", "http://b", "c"], "unexpected argument \"c\""),
            (&["watch", "A", "--json", "--json"], "invalid option '--json'"),
        ];
        for (arguments, problem) in table {
            let error = parsed(arguments).expect_err("no command").to_string();
            assert_eq!(error, format!("{problem} (see sync-server --help)"), "{arguments:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn arguments_that_are_no_text_do_not_panic() {
        use std::os::unix::ffi::OsStringExt;
        let odd = || OsString::from_vec(vec![b'a', 0xFF]);
        assert_eq!(parse(["backup".into(), odd()]), Ok(Command::Backup(odd().into())));
        for arguments in [vec![odd()], vec!["user".into(), "add".into(), odd()]] {
            let error = parse(arguments).expect_err("no command").to_string();
            assert!(error.ends_with("(see sync-server --help)"), "{error}");
        }
    }
}
