//! Where settings come from: the environment of the process over a `.env` file, and for secrets
//! files of their own, which `secret_files` reads.
//!
//! `.env` is read as other programs read theirs (Docker Compose, and servers that use dotenv):
//! `NAME=value` or `export NAME=value` a line, `#` begins a comment, `'…'` is taken as it is, and
//! in a bare or `"…"` value `\` escapes and `$NAME` or `${NAME}` stands for another variable, of
//! the environment or from further up. Of two lines for one name the lower counts.
//!
//! Passwords and MongoDB URIs have `$` in them, and the others put nothing in the place of a
//! variable that is not set. For one of our settings that is an error here: a password that lost
//! its end is worse than no start.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::secret_files::{self, Variables};
use crate::config::variable_names;

/// Set by systemd for a service with credentials: the directory that they are in
/// (systemd.exec(5)).
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Of a `.env` file; a file that is longer is something else.
const DOT_ENV_BYTES_MAX: u64 = 1 << 20;

/// Settings that cannot be read; the operator is to blame. One line without any value: a value
/// may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The `.env` file is there, but cannot be read.
    #[error("{} cannot be read: {error}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line of the `.env` file is no assignment.
    #[error(
        "{}, {place}: must be NAME=value; put a value with blanks, #, $ or \\ between single \
         quotes",
        .file.display()
    )]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Which line, and for which setting if that is clear.
        place: String,
    },
    /// A value in the `.env` file has a `$` that stands for nothing.
    #[error(
        "{}, {place}: a $ stands for no variable that is set (write ${{NAME}} for one); put the \
         value between single quotes to keep the $",
        .file.display()
    )]
    Unset {
        /// The file.
        file: PathBuf,
        /// Which line, for which setting.
        place: String,
    },
    /// The value of a variable of the environment is not UTF-8.
    #[error("{name}: must be UTF-8")]
    NotText {
        /// The variable.
        name: String,
    },
    /// One source has the secret itself, and the name of a file with it.
    #[error("{name} and {name}_FILE are both set: one of them is enough")]
    SetTwice {
        /// The setting.
        name: String,
    },
    /// The file that a secret is in cannot be read, or has none in it.
    #[error("{variable}: {} cannot be read: {error}", .file.display())]
    SecretFile {
        /// The variable that names the file, or the name of the credential.
        variable: String,
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// What is set of the variables that the settings are read from: those of the environment, over
/// systemd's credentials, over those of the file `dot_env`, which need not exist. A variable that
/// is set to nothing does not hide that of the file. Secrets that are in files were read from them.
///
/// # Errors
/// [`EnvironmentError`]. Lines of the file for variables that are none of ours must be well formed
/// too, but may say what they like.
pub fn variables(dot_env: &Path) -> Result<HashMap<String, String>, EnvironmentError> {
    let of_file = match contents(dot_env) {
        Ok(text) => assignments(dot_env, &text, |name| std::env::var_os(name).is_some())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => HashMap::new(),
        Err(error) => return Err(EnvironmentError::Unreadable { file: dot_env.into(), error }),
    };
    let of_environment = environment(|name| std::env::var_os(name))?;
    let credentials = std::env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from);
    secret_files::merge(of_file, of_environment, credentials.as_deref())
}

/// The names of all variables that are read for the settings.
fn names() -> impl Iterator<Item = String> {
    variable_names().map(str::to_owned).chain(secret_files::file_variable_names())
}

/// Those of our variables that the environment sets to something; `lookup` gives the value of one.
fn environment(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Variables, EnvironmentError> {
    let mut variables = Variables::new();
    for name in names() {
        let Some(value) = lookup(&name) else { continue };
        let Ok(value) = value.into_string() else {
            return Err(EnvironmentError::NotText { name });
        };
        if !value.trim().is_empty() {
            variables.insert(name, value);
        }
    }
    Ok(variables)
}

/// The file's text, without the mark that some editors begin a file with, and with an end to its
/// last line.
fn contents(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(file)?.take(DOT_ENV_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DOT_ENV_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 1 MiB"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
    Ok(format!("{}\n", text.strip_prefix('\u{feff}').unwrap_or(&text)))
}

/// The assignments of our settings in `text`, the contents of `file`. `is_set` tells whether the
/// environment has a variable.
fn assignments(
    file: &Path,
    text: &str,
    is_set: impl Fn(&str) -> bool,
) -> Result<HashMap<String, String>, EnvironmentError> {
    let known: Vec<String> = names().collect();
    let consumed = Cell::new(0);
    let pairs = dotenvy::from_read_iter(LineByLine { text: text.as_bytes(), at: &consumed });
    let mut ours = HashMap::new();
    let mut seen: Vec<String> = Vec::new();
    let mut begin = 0;
    for pair in pairs {
        let assignment = without_comments(&text[begin..consumed.get()]);
        begin = consumed.get();
        let place = || place(&text[..begin], assignment);
        let malformed = || EnvironmentError::Malformed { file: file.into(), place: place() };
        let (name, value) = pair.map_err(|_| malformed())?;
        if known.contains(&name) {
            // No setting has lines; a quote that is not closed makes one of two.
            if value.contains('\n') {
                return Err(malformed());
            }
            let stands_for_something = |reference: &Reference<'_>| {
                let name = reference.name;
                reference.is_understood && (is_set(name) || seen.iter().any(|seen| seen == name))
            };
            if !references(assignment).iter().all(stands_for_something) {
                return Err(EnvironmentError::Unset { file: file.into(), place: place() });
            }
            ours.insert(name.clone(), value);
        }
        seen.push(name);
    }
    Ok(ours)
}

/// Gives one line for each call of `read`, so that `at` shows how far the reader behind it, which
/// buffers, has come.
struct LineByLine<'a> {
    text: &'a [u8],
    at: &'a Cell<usize>,
}

impl Read for LineByLine<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.text[self.at.get()..];
        let line = rest.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let length = line.len().min(buffer.len());
        buffer[..length].copy_from_slice(&line[..length]);
        self.at.set(self.at.get() + length);
        Ok(length)
    }
}

/// `text` from its first line that is neither empty nor a comment.
fn without_comments(text: &str) -> &str {
    let is_comment = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let skipped = text.split_inclusive('\n').take_while(|line| is_comment(line));
    &text[skipped.map(str::len).sum()..]
}

/// Where `assignment` is, at the end of `text`; and its name, if it is one of ours: anything else
/// before a `=` may be a part of a secret.
fn place(text: &str, assignment: &str) -> String {
    let line = text[..text.len() - assignment.len()].matches('\n').count() + 1;
    let name = assignment.split('=').next().unwrap_or_default().trim();
    let name = name.strip_prefix("export").map_or(name, str::trim_start);
    match names().find(|known| known == name) {
        Some(name) => format!("line {line} ({name})"),
        None => format!("line {line}"),
    }
}

/// A `$` in a value, and the name behind it.
struct Reference<'a> {
    name: &'a str,
    /// Whether the whole name is what is replaced. `$A_B` is taken for `$A` with `_B` behind it.
    is_understood: bool,
}

/// What in `assignment` is replaced by other variables: each `$` that is neither between single
/// quotes nor behind a `\`.
fn references(assignment: &str) -> Vec<Reference<'_>> {
    let value = assignment.split_once('=').map_or("", |(_, value)| value.trim());
    let mut references = Vec::new();
    let mut quote = None;
    let mut is_escaped = false;
    let mut before = ' ';
    for (at, character) in value.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if quote != Some('\'') => is_escaped = true,
            '\'' | '"' if quote == Some(character) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(character),
            '#' if quote.is_none() && before.is_whitespace() => break,
            '$' if quote != Some('\'') => references.push(reference(&value[at + 1..])),
            _ => {}
        }
        before = character;
    }
    references
}

/// The name at the beginning of `text`, which stands behind a `$`.
fn reference(text: &str) -> Reference<'_> {
    if let Some((name, _)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        return Reference { name, is_understood: true };
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let name = &text[..end];
    Reference { name, is_understood: !name.contains('_') }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cli::test_directory::Directory;

    const FILE: &str = "some/.env";

    /// The settings of a file's text; the environment has only `HOME_HOST`, which the process
    /// has not, so what stands for it is nothing.
    fn read(text: &str) -> Result<HashMap<String, String>, String> {
        let text = format!("{text}\n");
        assignments(Path::new(FILE), &text, |name| name == "HOME_HOST")
            .map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_read_as_other_programs_read_them() {
        for (text, expected) in [
            ("DB_NAME=a", "a"),
            ("  export  DB_NAME = a  # a comment", "a"),
            ("DB_NAME=a#b", "a#b"),
            ("DB_NAME='a b # $c \\d'", "a b # $c \\d"),
            ("DB_NAME=\"a b \\\"c\\\" \\$d\"", "a b \"c\" $d"),
            ("DB_NAME=a\\ b\\$c", "a b$c"),
            ("DB_NAME=a\r", "a"),
            ("DB_NAME=a   ", "a"),
            ("DB_NAME=a\nDB_NAME=b", "b"),
            ("HOST=h\nDB_NAME=a-$HOST-${HOST}", "a-h-h"),
            ("PORT=7\nDB_NAME=a$PORT", "a7"),
            ("DB_NAME=x${HOME_HOST}y", "xy"),
            ("DB_NAME=", ""),
            ("DB_NAME=a # costs $5", "a"),
        ] {
            let variables = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(variables.get("DB_NAME").map(String::as_str), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_none_of_ours_is_not_kept() {
        let text = "HOME=/x\n\n# PORT=1\nMONGO_INITDB_ROOT_PASSWORD=pa$word\nPORT=80";
        let variables = read(text).expect("a good file");
        assert_eq!(variables, HashMap::from([("PORT".to_owned(), "80".to_owned())]));
    }

    #[test]
    fn a_line_that_is_no_assignment_is_named_but_not_shown() {
        for (text, place) in [
            ("PORT=80\n\n# note\nhunter2\n", "line 4"),
            ("=hunter2\n", "line 1"),
            ("JWT_SECRET hunter2\n", "line 1"),
            ("JWT_SECRET=hunter2 hunter2\n", "line 1 (JWT_SECRET)"),
            ("A=1\nexport JWT_SECRET=hunter2 hunter2\n", "line 2 (JWT_SECRET)"),
            ("JWT_SECRET='hunter2\nPORT=80\nDB_NAME=a\n", "line 1 (JWT_SECRET)"),
            ("\nJWT_SECRET=\"hunter2\nPORT=80\"\n", "line 2 (JWT_SECRET)"),
            ("JWT_SECRET='hunter2\\'\nDB_NAME='a'\nPORT='8\n", "line 1 (JWT_SECRET)"),
            ("OTHER='a\nb'\nPORT=8 0\n", "line 3 (PORT)"),
            ("1PORT=80", "line 1"),
            ("JWT_SECRET_FILE=a b", "line 1 (JWT_SECRET_FILE)"),
            ("DATA_DIR_FILE=a b", "line 1"),
            // What follows a name, dotenvy takes for text, even a quote.
            ("MONGODB_URI=\"pa$hunter2\"", "line 1 (MONGODB_URI)"),
        ] {
            let error = read(text).expect_err(text);
            let rest = error.strip_prefix(&format!("{FILE}, {place}: must be NAME=value;"));
            assert!(rest.is_some_and(|rest| !rest.contains('\n')), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_dollar_that_stands_for_nothing_is_refused() {
        for value in
            ["pa$word", "\"pa$word!\"", "pa${word}", "pa$", "pa$$word", "pa$HOME_HOST", "'a'$word"]
        {
            let error = read(&format!("PORT=80\nMONGODB_URI={value}\n")).expect_err(value);
            assert!(error.starts_with(&format!("{FILE}, line 2 (MONGODB_URI): a $ ")), "{error}");
            assert!(!error.contains("pa$") && !error.contains("word"), "{error}");
        }
    }

    #[test]
    fn no_dollar_is_lost_in_silence() {
        let alphabet = ['a', 'b', '$', '$', '{', '}', '\'', '"', '\\', ' ', '_', '=', 'é'];
        let mut state = 1_u64;
        let mut draw = |count: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 33).expect("31 bits") % count
        };
        let mut accepted_with_dollar = 0;
        for _ in 0..20_000 {
            let value: String = (0..draw(9)).map(|_| alphabet[draw(alphabet.len())]).collect();
            let Ok(variables) = read(&format!("DB_NAME={value}")) else { continue };
            let dollars = value.matches('$').count();
            let read = &variables["DB_NAME"];
            assert_eq!(read.matches('$').count(), dollars, "{value} was read as {read}");
            accepted_with_dollar += usize::from(dollars > 0);
        }
        assert!(accepted_with_dollar > 100, "{accepted_with_dollar}");
    }

    #[test]
    fn long_lines_are_read_whole() {
        let long = "x".repeat(100_000);
        let text = format!("JWT_SECRET={long}\nPORT=8 0\n");
        let error = read(&text).expect_err("a bad line");
        assert!(error.contains("line 2 (PORT)"), "{error}");
        let variables = read(&format!("JWT_SECRET={long}\n")).expect("a good file");
        assert_eq!(variables["JWT_SECRET"], long);
    }

    #[test]
    fn the_environment_wins_unless_it_says_nothing() {
        let file = read("PORT=80\nDB_NAME=file\nLOG_FORMAT=json").expect("a good file");
        let pairs = HashMap::from([
            ("PORT", "81"),
            ("DB_NAME", ""),
            ("LOG_FORMAT", "  "),
            ("STATE_DIRECTORY", "/s"),
            ("HOME", "/h"),
        ]);
        let environment = environment(|name| pairs.get(name).map(OsString::from)).expect("text");
        let variables = secret_files::merge(file, environment, None).expect("no files");
        let expected = [
            ("PORT", "81"),
            ("DB_NAME", "file"),
            ("LOG_FORMAT", "json"),
            ("STATE_DIRECTORY", "/s"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(variables, HashMap::from(expected));
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_refused_but_only_if_it_is_ours() {
        use std::os::unix::ffi::OsStringExt;
        let odd = |odd: &'static str| {
            move |name: &str| (name == odd).then(|| OsString::from_vec(vec![0xFF]))
        };
        for name in ["DATA_DIR", "JWT_SECRET_FILE"] {
            let error = environment(odd(name)).expect_err("no text");
            assert_eq!(error.to_string(), format!("{name}: must be UTF-8"));
        }
        environment(odd("LS_COLORS")).expect("none of ours");
    }

    #[test]
    fn the_file_need_not_exist_but_must_be_readable() {
        let directory = Directory::new("environment");
        let file = directory.path().join(".env");
        assert!(!variables(&file).expect("no file").contains_key("JWT_TTL_SECONDS"));

        fs::write(&file, "\u{feff}JWT_TTL_SECONDS=61 ").expect("written");
        assert_eq!(variables(&file).expect("a good file")["JWT_TTL_SECONDS"], "61");

        let too_long = vec![b'#'; 1 + usize::try_from(DOT_ENV_BYTES_MAX).expect("small")];
        for (bytes, problem) in [
            (&b"JWT_TTL_SECONDS=\xFF"[..], "it is not UTF-8"),
            (&too_long, "it has more than 1 MiB"),
        ] {
            fs::write(&file, bytes).expect("written");
            let error = variables(&file).expect_err("a bad file").to_string();
            assert_eq!(error, format!("{} cannot be read: {problem}", file.display()));
        }
        let error = variables(directory.path()).expect_err("a directory is no file").to_string();
        assert!(error.contains(" cannot be read: "), "{error}");
    }
}
