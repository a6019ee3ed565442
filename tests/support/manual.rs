//! The manual page, in roff (`man(7)`), out of what `--help` prints: `systemd/sync-server.1`.

use std::fmt::Write;

use sync_server::cli::render_help;
use sync_server::config::SETTINGS;

const HEAD: &str = r#".\" Written by the tests from the texts of --help: see tests/docs.rs.
.TH SYNC\-SERVER 1 "" "Khun Phaen Sync Server" "User Commands"
.SH NAME
sync\-server \- live shared rooms over WebSocket
.SH SYNOPSIS
.B sync\-server
.RI [ COMMAND " | " OPTION ]
.SH DESCRIPTION
People join a room with a short code; what one of them sends reaches all the others at once, over
WebSocket. A room can keep one shared document, which survives restarts. Without a command the
server serves until it gets SIGINT or SIGTERM.
"#;

const TAIL: &str = r#"
.SH SIGNALS
.TP
.BR SIGTERM ", " SIGINT
Stores all documents, says goodbye to all clients and ends, within SHUTDOWN_GRACE_SECONDS. A second
one ends it at once.
.TP
.B SIGHUP
Reads the settings again. Those that cannot change while it runs are named in the log.
.SH EXIT STATUS
0 if all went well, 1 if something is wrong with the server that was asked about, 2 if arguments or
settings are not allowed.
.SH FILES
.TP
.I /etc/khun\-phaen\-sync/environment
Settings of the service.
.TP
.I /etc/khun\-phaen\-sync/credentials/
A file for each secret, with the name of its setting.
.TP
.I /var/lib/khun\-phaen\-sync/
Data of the service: sync.db and jwt_secret.
.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1)
"#;

/// The text of the page.
pub(crate) fn render_manual() -> String {
    let mut page = HEAD.to_owned();
    let help = render_help();
    let (usage, settings) = help.split_once("\nSettings are ").expect("it says what they are");
    let (settings, _table) = settings.split_once("\n\n").expect("their table comes below");
    for section in ["Commands:\n", "Options:\n"] {
        let title = section.trim_end_matches(":\n").to_uppercase();
        writeln!(page, ".SH {title}").expect("a String takes everything");
        let lines = usage.split_once(section).map_or("", |(_, rest)| rest);
        for (term, words) in items(lines) {
            item(&mut page, &term, &words);
        }
    }
    page.push_str(".SH SETTINGS\n");
    page.push_str(&escaped(&format!("Settings are {}", settings.trim_end())));
    page.push('\n');
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { "-" } else { setting.default };
        let words = format!("{} ({}). Default: {default}.", setting.help, setting.allowed);
        item(&mut page, setting.name, &words);
    }
    page.push_str(TAIL.trim_start());
    page
}

/// The commands or options at the beginning of `lines`, each with its explanation: until a blank
/// line.
fn items(lines: &str) -> Vec<(String, String)> {
    let mut items: Vec<(String, String)> = Vec::new();
    for line in lines.lines().take_while(|line| !line.is_empty()) {
        match line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) {
            Some(line) => {
                let (term, words) = line.split_once("  ").unwrap_or((line, ""));
                items.push((term.to_owned(), words.trim().to_owned()));
            }
            None => {
                if let Some((_, words)) = items.last_mut() {
                    words.push(' ');
                    words.push_str(line.trim());
                }
            }
        }
    }
    items
}

fn item(page: &mut String, term: &str, words: &str) {
    write!(page, ".TP\n.B {}\n{}\n", escaped(term), escaped(words))
        .expect("a String takes everything");
}

/// As roff takes it for text (`groff_char(7)`): `-` would be a hyphen, and a line that begins with
/// a dot or a quote a request.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', r"\e").replace('-', r"\-");
    let lines = text.lines().map(|line| {
        let is_request = line.starts_with(['.', '\'']);
        if is_request { format!(r"\&{line}") } else { line.to_owned() }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn explanations_of_several_lines_are_joined() {
    let lines = "  one [X]  says one\n           and more\n  two      says two\n\nnot this";
    let expected = [("one [X]", "says one and more"), ("two", "says two")];
    let owned = expected.map(|(term, words)| (term.to_owned(), words.to_owned()));
    assert_eq!(items(lines), owned);
}

#[test]
fn text_stays_text() {
    for (text, expected) in [("a-b", r"a\-b"), (r"a\b", r"a\eb"), (".env\n'x'", "\\&.env\n\\&'x'")]
    {
        assert_eq!(escaped(text), expected);
    }
}
