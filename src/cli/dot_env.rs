//! The `.env` file.
//!
//! It is read as other programs read theirs (Docker Compose, and servers that use dotenv):
//! `NAME=value` or `export NAME=value` a line, `#` begins a comment, `'…'` is taken as it is, and
//! in a bare or `"…"` value `\` escapes and `$NAME` or `${NAME}` stands for another variable, of
//! the environment or from further up. Of two lines for one name the lower counts.
//!
//! Passwords and MongoDB URIs have `$` in them, and the others put nothing in the place of a
//! variable that is not set. For one of our settings that is an error here: a password that lost
//! its end is worse than no start.

use std::cell::Cell;
use std::io::{self, Read};
use std::path::Path;

use super::variables::{EnvironmentError, Variables, names, read_text};

/// Of a `.env` file; a file that is longer is something else.
pub(super) const DOT_ENV_BYTES_MAX: u64 = 1 << 20;

const MALFORMED: &str =
    "must be NAME=value; put a value with blanks, #, $ or \\ between single quotes";
const UNSET: &str = "a $ stands for no variable that is set (write ${NAME} for one); put the value \
    between single quotes to keep the $";

/// The assignments of our settings in `file`; none if there is no such file. `is_set` tells
/// whether the environment has a variable.
///
/// # Errors
/// [`EnvironmentError`] for a file that cannot be read or has a line that is no assignment.
pub(super) fn read(
    file: &Path,
    is_set: impl Fn(&str) -> bool,
) -> Result<Variables, EnvironmentError> {
    match read_text(file, DOT_ENV_BYTES_MAX, "1 MiB") {
        // Some editors begin a file with a mark, and some end it without an end of the last line.
        Ok(text) => {
            let text = format!("{}\n", text.strip_prefix('\u{feff}').unwrap_or(&text));
            assignments(file, &text, is_set)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Variables::new()),
        Err(error) => Err(EnvironmentError(format!("{} cannot be read: {error}", file.display()))),
    }
}

/// The assignments of our settings in `text`, the contents of `file`.
fn assignments(
    file: &Path,
    text: &str,
    is_set: impl Fn(&str) -> bool,
) -> Result<Variables, EnvironmentError> {
    let known: Vec<String> = names().collect();
    let consumed = Cell::new(0);
    let pairs = dotenvy::from_read_iter(LineByLine { text: text.as_bytes(), at: &consumed });
    let mut ours = Variables::new();
    let mut seen: Vec<String> = Vec::new();
    let mut begin = 0;
    for pair in pairs {
        let assignment = without_comments(&text[begin..consumed.get()]);
        begin = consumed.get();
        let fault = |problem| {
            let place = place(&text[..begin], assignment);
            EnvironmentError(format!("{}, {place}: {problem}", file.display()))
        };
        let (name, value) = pair.map_err(|_| fault(MALFORMED))?;
        if known.contains(&name) {
            // No setting has lines; a quote that is not closed makes one of two.
            if value.contains('\n') {
                return Err(fault(MALFORMED));
            }
            let is_known = |name: &&str| is_set(name) || seen.iter().any(|seen| seen == name);
            if !references(assignment).iter().all(is_known) {
                return Err(fault(UNSET));
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

/// The names of the variables that replace something in `assignment`: behind each `$` that is
/// neither between single quotes nor behind a `\`.
fn references(assignment: &str) -> Vec<&str> {
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

/// The name at the beginning of `text`, which stands behind a `$`. Empty if the name is not all
/// that is replaced: `$A_B` is taken for `$A` with `_B` behind it.
fn reference(text: &str) -> &str {
    if let Some((name, _)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        return name;
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    Some(&text[..end]).filter(|name| !name.contains('_')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "some/.env";

    /// The settings of a file's text; the environment has only `HOME_HOST`, which the process
    /// has not, so what stands for it is nothing.
    fn read(text: &str) -> Result<Variables, String> {
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
        assert_eq!(variables, Variables::from([("PORT".to_owned(), "80".to_owned())]));
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
}
