//! What `--help` prints.

use std::fmt::Write;

use crate::config::{SETTINGS, Setting};

/// Of a line of [`render_help`].
const COLUMNS_MAX: usize = 100;

/// Between two columns of the table.
const GAP: usize = 2;

const USAGE: &str = "\
Usage: sync-server [COMMAND | OPTION]

Without a command it serves until it gets SIGINT or SIGTERM. SIGHUP reads the settings again.

Commands:
  user add EMAIL [--admin]  makes a user; asks for the password, or reads it from standard input
  user list                 shows all users
  user passwd EMAIL         sets a password, and ends the user's logins
  user disable EMAIL        ends the user's logins, and allows no new one
  backup FILE               copies the embedded store to FILE, also while it is in use
  healthcheck               asks the server that these settings describe: exit code 0 if it is
                            healthy, else 1 and one line; takes at most 5 seconds
  setup URL                 makes the first administrator (INITIAL_ADMIN_…) through the running
                            server at http://HOST:PORT, with INITIAL_SETUP_TOKEN; if there are
                            users already, it does nothing, and that is no failure
  doctor [URL] [--slow]     looks at this machine, the store, and the way of clients through the
                            proxy at URL (else PUBLIC_URL), and says what to change: exit code 1
                            if there is a problem; --slow also tries how long clients may be silent
  watch CODE [URL] [--json]
                            shows what happens in a room, as a guest of it, at URL, else on the
                            server that these settings describe; with WATCH_TOKEN, a login's, if
                            it is set; --json prints each message as it came, on a line
  help                      shows this

Options:
  --check-config            says whether the settings are valid: exit code 0, or 2 and one line
  -h, --help                shows this
  -V, --version             shows the version

Settings are environment variables, or lines NAME=value of the file .env in the working directory;
the environment wins. An empty value counts as unset. In .env, put a value with blanks, #, $ or \\
between single quotes. For each secret (MONGODB_URI, MONGODB_PASSWORD, JWT_SECRET,
INITIAL_SETUP_TOKEN, INITIAL_ADMIN_PASSWORD, METRICS_TOKEN) NAME_FILE=/path takes it from a file,
as does a credential NAME of systemd.
";

/// The text of `--help`: the usage and the table of settings, at most 100 columns wide.
pub fn render_help() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("sync-server {version}: live shared rooms over WebSocket\n\n{USAGE}\n");
    let width = |column: fn(&Setting) -> &str| {
        SETTINGS.iter().map(|setting| column(setting).chars().count()).max().unwrap_or(0)
    };
    let (names, defaults) = (width(|s| s.name), width(shown_default).max("DEFAULT".len()));
    let indent = GAP + names + GAP + defaults + GAP;
    let mut row = |name: &str, default: &str, words: &str| {
        let mut lines = wrapped(words, COLUMNS_MAX - indent).into_iter();
        let first = lines.next().unwrap_or_default();
        writeln!(text, "{:GAP$}{name:names$}{:GAP$}{default:defaults$}{:GAP$}{first}", "", "", "")
            .expect("a String takes everything");
        for line in lines {
            writeln!(text, "{:indent$}{line}", "").expect("a String takes everything");
        }
    };
    row("NAME", "DEFAULT", "MEANING [ALLOWED]");
    for setting in SETTINGS {
        let meaning = format!("{} [{}]", setting.help, setting.allowed);
        row(setting.name, shown_default(setting), &meaning);
    }
    text
}

fn shown_default(setting: &Setting) -> &str {
    if setting.default.is_empty() { "-" } else { setting.default }
}

/// `words` in lines of at most `width` columns. A word that is longer has a line to itself.
fn wrapped(words: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_shows_every_setting_within_a_hundred_columns() {
        let help = render_help();
        let widest = help.lines().max_by_key(|line| line.chars().count()).unwrap_or_default();
        assert!(widest.chars().count() <= COLUMNS_MAX, "{widest}");
        assert!(help.lines().all(|line| !line.ends_with(' ')));
        // As one reads it, over the ends of lines.
        let read = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for setting in SETTINGS {
            let default = shown_default(setting);
            let row = format!(" {setting} {default} {} [{}]", setting.help, setting.allowed);
            assert!(read.contains(&row), "{row}");
        }
    }

    #[test]
    fn help_lists_what_may_come_in_files() {
        let secrets: Vec<&str> =
            SETTINGS.iter().filter(|setting| setting.is_secret).map(|s| s.name).collect();
        let listed = format!("({})", secrets.join(", "));
        assert!(USAGE.replace('\n', " ").contains(&listed), "{listed}");
    }

    #[test]
    fn the_columns_of_help_are_aligned() {
        let help = render_help();
        let header = help.lines().find(|line| line.trim_start().starts_with("NAME "));
        let columns = ["DEFAULT", "MEANING"].map(|name| header.and_then(|line| line.find(name)));
        let rows = help.lines().skip_while(|line| Some(*line) != header).skip(1);
        let mut starts = 0;
        for row in rows {
            for column in columns.into_iter().flatten() {
                let (before, after) = row.split_at(column);
                assert!(before.ends_with("  "), "{row}");
                starts += usize::from(!after.starts_with(' '));
            }
        }
        assert!(starts > 2 * SETTINGS.len(), "each row has both, and some go on");
    }

    #[test]
    fn long_words_and_lines_are_wrapped() {
        for (words, expected) in [
            ("", &[""][..]),
            ("ab cd", &["ab cd"]),
            ("ab cde", &["ab", "cde"]),
            ("abcdefg h", &["abcdefg", "h"]),
            ("กข คง จ", &["กข คง", "จ"]),
        ] {
            assert_eq!(wrapped(words, 5), expected, "{words}");
        }
    }
}
