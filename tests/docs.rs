//! Holds the documents to the code: what the server has, both READMEs name; what they show, they
//! show alike; where they point, something is.
//!
//! Each check is a function from texts to faults, and its test begins with texts that have one.

#[path = "support/manual.rs"]
mod manual;

use std::fs;
use std::path::Path;

use sync_server::api;
use sync_server::base::secret::Secret;
use sync_server::config::{AllowedOrigins, Config, SETTINGS, TrustedProxies};
use sync_server::protocol::ErrorCode;
use sync_server::ws::CloseReason;

const READMES: [&str; 2] = ["README.md", "README.th.md"];

const DOCUMENTS: [&str; 9] = [
    "README.md",
    "README.th.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "TESTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    OPERATIONS,
    "client/README.md",
];

const OPERATIONS: &str = "docs/operations.md";

const ENVIRONMENT: &str = ".env.example";

/// Variables that only the Compose files read, and their defaults.
const FOREIGN_VARIABLES: [(&str, &str); 4] = [
    ("MONGO_INITDB_ROOT_USERNAME", ""),
    ("MONGO_INITDB_ROOT_PASSWORD", ""),
    ("MONGO_IMAGE", "mongo:7"),
    ("SYNC_SERVER_IMAGE", "localhost/sync-server"),
];

/// Folders of one machine; nobody else has them.
const MACHINE_FOLDERS: [&str; 3] =
    [concat!("/", "work"), concat!("/", "root"), concat!("/", "home")];

type Faults = Vec<String>;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Fails with all faults of all `files`.
fn hold(files: &[&str], check: impl Fn(&str, &str) -> Faults) {
    let faults: Faults = files
        .iter()
        .flat_map(|file| check(file, &read(file)).into_iter().map(move |f| format!("{file}: {f}")))
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The text without its fenced blocks, and those blocks with their first lines.
fn split_code(text: &str) -> (String, Vec<String>) {
    let (mut prose, mut blocks, mut block) = (String::new(), Vec::new(), None::<String>);
    for line in text.lines() {
        match &mut block {
            Some(code) if line == "```" => {
                blocks.push(std::mem::take(code));
                block = None;
            }
            Some(code) => {
                code.push_str(line);
                code.push('\n');
            }
            None if line.starts_with("```") => block = Some(format!("{line}\n")),
            None => {
                prose.push_str(line);
                prose.push('\n');
            }
        }
    }
    assert!(block.is_none(), "a fenced block has no end");
    (prose, blocks)
}

/// What of `rows` begins no line of `text`.
fn missing_rows<'a>(text: &str, rows: impl IntoIterator<Item = &'a str>) -> Faults {
    let missing = rows.into_iter().filter(|row| !text.lines().any(|line| line.starts_with(row)));
    missing.map(|row| format!("no table has a row {row}")).collect()
}

/// Rows whose first column is code of the given shape, but not among `known`.
fn unknown_rows(text: &str, known: &[&str], is_shaped: impl Fn(&str) -> bool) -> Faults {
    let names = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let unknown = names.filter(|name| is_shaped(name) && !known.contains(name));
    unknown.map(|name| format!("{name} is in a table, but not in the code")).collect()
}

fn setting_faults(text: &str) -> Faults {
    let rows: Vec<String> = SETTINGS
        .iter()
        .map(|setting| match setting.default {
            "" => format!("| `{}` | – |", setting.name),
            default => format!("| `{}` | `{default}` |", setting.name),
        })
        .collect();
    let names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
    let is_setting = |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let mut faults = missing_rows(text, rows.iter().map(String::as_str));
    faults.extend(unknown_rows(text, &names, is_setting));
    faults
}

/// Whether the settings that take effect only at the start are listed, these and no others.
fn at_start_faults(text: &str) -> Faults {
    let names = SETTINGS.iter().filter(|setting| setting.takes_effect_at_start());
    let names: Vec<String> = names.map(|setting| format!("`{}`", setting.name)).collect();
    let line = names.join(", ");
    let is_listed = text.lines().any(|found| found.trim_end_matches('.') == line);
    if is_listed { vec![] } else { vec![format!("there is no line {line}")] }
}

fn route_faults(text: &str) -> Faults {
    let routes: Vec<String> = api::routes().collect();
    let rows: Vec<String> = routes.iter().map(|route| format!("| `{route}` |")).collect();
    let known: Vec<&str> = routes.iter().map(String::as_str).collect();
    let mut faults = missing_rows(text, rows.iter().map(String::as_str));
    faults.extend(unknown_rows(text, &known, |name| name.contains(" /")));
    faults
}

/// Every error code. The `match` has to be extended with the enum, and the array with it.
fn error_codes() -> [&'static str; 12] {
    use ErrorCode as E;
    let all = [
        E::BadMessage,
        E::UnknownAction,
        E::RoomNotFound,
        E::NotInRoom,
        E::HostOnly,
        E::RoomFull,
        E::TooManyRooms,
        E::TooLarge,
        E::RateLimited,
        E::Unauthorized,
        E::StoreUnavailable,
        E::Internal,
    ];
    match all[0] {
        E::BadMessage
        | E::UnknownAction
        | E::RoomNotFound
        | E::NotInRoom
        | E::HostOnly
        | E::RoomFull
        | E::TooManyRooms
        | E::TooLarge
        | E::RateLimited
        | E::Unauthorized
        | E::StoreUnavailable
        | E::Internal => {}
    }
    all.map(ErrorCode::as_str)
}

fn error_faults(text: &str) -> Faults {
    let rows = error_codes().map(|code| format!("| `{code}` |"));
    missing_rows(text, rows.iter().map(String::as_str))
}

/// Every close code. The `match` has to be extended with the enum, and the array with it.
fn close_codes() -> [u16; 10] {
    use CloseReason as C;
    let all = [
        C::Normal,
        C::GoingAway,
        C::ProtocolError,
        C::InvalidUtf8,
        C::Policy(""),
        C::RoomClosed,
        C::MessageTooBig,
        C::Internal,
        C::TooSlow,
        C::TryAgainLater,
    ];
    match all[0] {
        C::Normal
        | C::GoingAway
        | C::ProtocolError
        | C::InvalidUtf8
        | C::Policy(_)
        | C::RoomClosed
        | C::MessageTooBig
        | C::Internal
        | C::TooSlow
        | C::TryAgainLater => {}
    }
    all.map(CloseReason::code)
}

fn close_faults(text: &str) -> Faults {
    let rows = close_codes().map(|code| format!("| {code} |"));
    missing_rows(text, rows.iter().map(String::as_str))
}

/// The first block in which two texts differ.
fn code_faults(one: &str, other: &str) -> Faults {
    let (one, other) = (split_code(one).1, split_code(other).1);
    if one.len() != other.len() {
        return vec![format!("{} and {} fenced blocks", one.len(), other.len())];
    }
    let differing = one.iter().zip(&other).find(|(a, b)| a != b);
    differing.map(|(a, b)| format!("two blocks differ:\n{a}\n{b}")).into_iter().collect()
}

/// Headings by level and rows by columns: what a translation has to keep.
fn shape(text: &str) -> Vec<String> {
    let (prose, _) = split_code(text);
    let shape_of = |line: &str| {
        let level = line.bytes().take_while(|&byte| byte == b'#').count();
        match line.bytes().next() {
            Some(b'#') => Some(format!("heading {level}")),
            Some(b'|') => Some(format!("row of {}", line.matches(" |").count())),
            _ => None,
        }
    };
    prose.lines().filter_map(shape_of).collect()
}

/// The anchor that a heading gets where the documents are shown.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| !c.is_ascii_punctuation() || matches!(c, '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn has_anchor(text: &str, wanted: &str) -> bool {
    let (prose, _) = split_code(text);
    prose.lines().any(|line| {
        let heading = line.trim_start_matches('#');
        heading.len() < line.len() && anchor(heading.trim()) == wanted
    })
}

/// Links to files that are not there, and to headings that are not in them. `file_text` gives a
/// file's text, if there is such a file.
fn link_faults(text: &str, file_text: impl Fn(&str) -> Option<String>) -> Faults {
    let (prose, _) = split_code(text);
    let mut faults = Faults::new();
    for target in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        if target.starts_with("https://") {
            continue;
        }
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let linked = if file.is_empty() { Some(text.to_owned()) } else { file_text(file) };
        match linked {
            None => faults.push(format!("there is no file {file}")),
            Some(linked) if !heading.is_empty() && !has_anchor(&linked, heading) => {
                faults.push(format!("{target}: there is no such heading"));
            }
            Some(_) => {}
        }
    }
    faults
}

fn path_faults(text: &str) -> Faults {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-');
    let begins = |before: &str| !before.ends_with(|c: char| c.is_alphanumeric() || c == '}');
    let is_named = |folder: &&&str| {
        text.match_indices(**folder)
            .any(|(at, _)| begins(&text[..at]) && ends(&text[at + folder.len()..]))
    };
    MACHINE_FOLDERS.iter().filter(is_named).map(|folder| format!("{folder} is one's own")).collect()
}

/// `.env.example`: every setting with its default, commented out, below a comment that explains it;
/// nothing that is set, and nothing that nobody reads.
fn environment_faults(text: &str) -> Faults {
    let mut faults = Faults::new();
    let mut assigned = Vec::new();
    let mut explained = false;
    for line in text.lines() {
        let assignment = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
        match (assignment.and_then(|rest| rest.split_once('=')), line) {
            (Some((name, value)), _) => {
                if !explained {
                    faults.push(format!("{name} is not explained"));
                }
                assigned.push((name, value));
            }
            (None, "") => explained = false,
            (None, comment) if comment.starts_with("# ") => explained = true,
            (None, other) => faults.push(format!("neither a comment nor a default: {other}")),
        }
    }
    let expected: Vec<(&str, &str)> = SETTINGS
        .iter()
        .map(|setting| (setting.name, setting.default))
        .chain(FOREIGN_VARIABLES)
        .collect();
    let lacking = expected.iter().filter(|pair| !assigned.contains(pair));
    faults.extend(lacking.map(|(name, default)| format!("no line #{name}={default}")));
    let unknown = assigned.iter().filter(|pair| !expected.contains(pair));
    faults.extend(unknown.map(|(name, value)| format!("{name}={value} is not the default")));
    faults
}

/// Folders and files of tests that are not named, and names in the table of limits that no test
/// has.
fn testing_faults(text: &str, layers: &[String], tests: &[String]) -> Faults {
    let unnamed = layers.iter().filter(|layer| !text.contains(&format!("`{layer}`")));
    let mut faults: Faults = unnamed.map(|layer| format!("nothing is said of {layer}")).collect();
    let limits = text.split_once("\n## Limits\n").map_or("", |(_, limits)| limits);
    let limits = limits.split("\n## ").next().unwrap_or_default();
    let rows: Vec<&str> = limits.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    if rows.is_empty() {
        faults.push("there is no table of limits".to_owned());
    }
    for row in rows {
        let (_, cell) = row.trim_end_matches(" |").rsplit_once("| ").unwrap_or_default();
        let named: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            faults.push(format!("no test in {row}"));
        }
        let unknown = named.iter().filter(|name| !tests.iter().any(|test| test == *name));
        faults.extend(unknown.map(|name| format!("there is no test {name}")));
    }
    faults
}

/// What stands in `tests`, as it is named in documents.
fn layers() -> Vec<String> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    let names = entries.expect("this file is in it").map(|entry| {
        let name = entry.expect("it can be read").file_name();
        format!("tests/{}", name.to_str().expect("names are ASCII"))
    });
    names.collect()
}

/// The names of all tests in `folder` and below.
fn tests_in(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            names.extend(tests_in(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("sources are text");
            let after = text.split("#[test]\n").skip(1);
            let functions = after.filter_map(|rest| rest.trim_start().strip_prefix("fn "));
            names.extend(functions.filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())));
        }
    }
    names
}

#[test]
fn every_layer_of_tests_is_explained_and_every_limit_has_a_test() {
    let (layers, tests) = ([String::from("tests/a")], [String::from("it_holds")]);
    let good = "`tests/a`\n\n## Limits\n\n| limit | test |\n|---|---|\n| `A` | `it_holds` |\n";
    assert_eq!(testing_faults(good, &layers, &tests), Faults::new());
    for (from, to) in [
        ("tests/a", "tests/b"),
        ("`it_holds`", "`it_held`"),
        ("`it_holds`", "`it_holds`, `nobody`"),
        ("`it_holds`", "–"),
        ("## Limits", "## Limit"),
    ] {
        let bad = good.replace(from, to);
        assert_eq!(testing_faults(&bad, &layers, &tests).len(), 1, "{from} may become {to}");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = ["src", "tests"].map(|folder| tests_in(&root.join(folder))).concat();
    let layers = self::layers();
    hold(&["TESTING.md"], |_, text| testing_faults(text, &layers, &tests));
}

#[test]
fn every_setting_is_in_both_readmes_with_its_default() {
    let good = read("README.md");
    for (from, to) in [
        ("| `PORT` | `3001` |", "| `PORT` | `80` |"),
        ("| `JWT_SECRET` | – |", "| `JWT_SECRETS` | – |"),
        ("| `DB_NAME` | ", ""),
    ] {
        assert!(!setting_faults(&good.replace(from, to)).is_empty(), "{from} can be missing");
    }
    hold(&READMES, |_, text| setting_faults(text));
}

#[test]
fn both_readmes_list_what_takes_effect_at_the_start() {
    let good = read("README.md");
    for (from, to) in
        [("`LOG_FORMAT`, ", ""), ("`WORKER_THREADS`.", "`WORKER_THREADS`, `MAX_ROOMS`.")]
    {
        assert!(!at_start_faults(&good.replace(from, to)).is_empty(), "{from} can be missing");
    }
    hold(&READMES, |_, text| at_start_faults(text));
}

#[test]
fn every_route_is_in_both_readmes() {
    let good = read("README.md");
    assert!(!route_faults(&good.replace("| `GET /health` |", "")).is_empty());
    assert!(!route_faults(&format!("{good}\n| `GET /nowhere` | – |\n")).is_empty());
    hold(&READMES, |_, text| route_faults(text));
}

#[test]
fn every_error_code_is_in_both_readmes() {
    assert_eq!(error_faults("| `bad_message` | text |").len(), error_codes().len() - 1);
    hold(&READMES, |_, text| error_faults(text));
}

#[test]
fn every_close_code_is_in_both_readmes() {
    assert_eq!(close_faults("| 1013 | text |").len(), close_codes().len() - 2);
    hold(&READMES, |_, text| close_faults(text));
}

#[test]
fn both_readmes_show_the_same_code() {
    let faults = |one, other| code_faults(one, other).len();
    assert_eq!(faults("```sh\nls\n```\n", "text\n```sh\nls\n```\n"), 0);
    assert_eq!(faults("```sh\nls\n```\n", "```sh\nls -l\n```\n"), 1);
    assert_eq!(faults("```sh\nls\n```\n", "```text\nls\n```\n"), 1);
    assert_eq!(faults("```sh\nls\n```\n", ""), 1);
    hold(&["README.th.md"], |_, text| code_faults(&read("README.md"), text));
}

#[test]
fn both_readmes_have_the_same_headings_and_tables() {
    assert_ne!(shape("## A\n| a | b |"), shape("# A\n| a | b |"));
    assert_ne!(shape("| a | b |"), shape("| a |"));
    assert_eq!(shape("## A\ntext\n| a | b |"), shape("## B\n| c | d |"));
    assert_eq!(shape(&read("README.md")), shape(&read("README.th.md")));
}

#[test]
fn links_lead_somewhere() {
    let file = |name: &str| (name == "there.md").then(|| "# Some `code`, and more\n".to_owned());
    for bad in ["[a](gone.md)", "[a](#nothing)", "[a](there.md#nothing)"] {
        assert_eq!(link_faults(bad, file).len(), 1, "{bad}");
    }
    let good = "# คำ สั่ง\n[a](there.md#some-code-and-more) [b](#คำ-สั่ง) \
                [c](https://gone.example)";
    assert_eq!(link_faults(good, file), Faults::new());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    hold(&DOCUMENTS, |name, document| {
        let folder = root.join(name).parent().map(Path::to_owned).unwrap_or_default();
        // Of a picture it counts that it is there.
        let bytes = |file: &str| fs::read(folder.join(file)).ok();
        link_faults(document, |file| bytes(file).map(|b| String::from_utf8_lossy(&b).into_owned()))
    });
}

#[test]
fn no_document_names_a_folder_of_one_machine() {
    for folder in MACHINE_FOLDERS {
        for bad in [format!("see {folder}/main"), format!("in `{folder}`")] {
            assert_eq!(path_faults(&bad).len(), 1, "{bad}");
        }
    }
    assert_eq!(path_faults("/workers, src/work, ${dir}/root-ca"), Faults::new());
    hold(&DOCUMENTS, |_, text| path_faults(text));
    hold(&[ENVIRONMENT], |_, text| path_faults(text));
}

#[test]
fn the_example_of_settings_is_complete_and_sets_nothing() {
    let good = read(ENVIRONMENT);
    for (from, to) in [
        ("#PORT=3001", "PORT=3001"),
        ("#PORT=3001", "#PORT=80"),
        ("#PORT=3001", "#PORTS=3001"),
        ("#PORT=3001", ""),
        ("#JWT_SECRET=", "#JWT_SECRET=secret"),
        ("#MONGO_INITDB_ROOT_PASSWORD=", ""),
        ("# Allowed: 0 to 65535.\n#PORT", "\n#PORT"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from} is there to be replaced");
        assert!(!environment_faults(&text).is_empty(), "{from} may become {to}");
    }
    hold(&[ENVIRONMENT], |_, text| environment_faults(text));
}

const MANUAL: &str = "systemd/sync-server.1";

/// With this set, the test writes the page instead of complaining that it is old.
const WRITE_MANUAL: &str = "WRITE_MANUAL";

#[test]
fn the_manual_page_is_that_of_this_version() {
    let page = manual::render_manual();
    if std::env::var_os(WRITE_MANUAL).is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(MANUAL), &page).expect("it is ours");
    }
    assert!(read(MANUAL) == page, "run {WRITE_MANUAL}=1 cargo test --test docs, and commit it");
    for word in ["healthcheck", "JWT_SECRET", r"\-\-check\-config", "/etc/khun"] {
        assert!(page.contains(word), "{word}");
    }
}

/// What a completion of `help` lacks: commands, their parts, and long options.
fn incomplete(help: &str, completion: &str) -> Faults {
    let lists = help
        .split("\n\n")
        .filter(|list| list.starts_with("Commands:") || list.starts_with("Options:"));
    let begins_item = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let terms = lists.flat_map(str::lines).filter(begins_item);
    let mut words: Vec<&str> = terms
        .flat_map(|line| line.trim_start().split("  ").next().unwrap_or_default().split([' ', ',']))
        .map(|word| word.trim_matches(['[', ']']).trim_start_matches("--"))
        .filter(|word| word.len() > 2 && !word.chars().any(char::is_uppercase))
        .collect();
    words.sort_unstable();
    words.dedup();
    assert!(words.len() > 10, "{words:?}");
    words.into_iter().filter(|word| !completion.contains(word)).map(str::to_owned).collect()
}

#[test]
fn shells_complete_every_command_and_option() {
    let help = sync_server::cli::render_help();
    assert_ne!(incomplete(&help, "user add list"), Faults::new());
    hold(
        &[
            "systemd/completions/sync-server.bash",
            "systemd/completions/_sync-server",
            "systemd/completions/sync-server.fish",
        ],
        |_, completion| incomplete(&help, completion),
    );
}

/// The messages that `source` logs at warn or error, with `…` where something is put in.
fn logged_lines(source: &str) -> Vec<String> {
    // A level that is computed may be warn.
    const CALLS: [&str; 3] = ["warn!(", "error!(", "log!(level,"];
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let rests = CALLS.into_iter().flat_map(|call| code.split(call).skip(1));
    let literals = rests.map(|rest| rest.split('"').nth(1).expect("a call has its message"));
    literals.map(shown_line).collect()
}

/// A message as the page shows it: `{…}` as `…`, and a line that goes on below joined.
fn shown_line(literal: &str) -> String {
    let joined: String =
        literal.split("\\\n").enumerate().fold(String::new(), |text, (index, part)| {
            text + if index == 0 { part } else { part.trim_start() }
        });
    let mut shown = String::new();
    for (index, part) in joined.split(['{', '}']).enumerate() {
        shown.push_str(if index % 2 == 0 { part } else { "…" });
    }
    shown
}

/// Settings that are allowed and yet warned of: all of them.
fn warned_of() -> Config {
    let mut config = Config {
        jwt_secret: Some(Secret::new("short")),
        initial_setup_token: Some(Secret::new("short")),
        metrics_token: Some(Secret::new("short")),
        trusted_proxies: TrustedProxies::parse("0.0.0.0/0").expect("a network"),
        allowed_origins: AllowedOrigins::parse("null").expect("an origin"),
        room_idle_timeout_seconds: 0,
        ..Config::default()
    };
    config.limits.room_code_length = 4;
    config.limits.message_rate_max = 0;
    config.limits.room_create_rate_max = 0;
    config
}

/// Lines of `logged` that no row of the page explains, and rows for lines that nobody logs.
fn operations_faults(page: &str, logged: &[String]) -> Faults {
    let rows: Vec<String> = logged.iter().map(|line| format!("| `{line}` |")).collect();
    let mut faults = missing_rows(page, rows.iter().map(String::as_str));
    let log = page.split("\n## The log\n").nth(1).unwrap_or_default();
    let known: Vec<&str> = logged.iter().map(String::as_str).collect();
    faults.extend(unknown_rows(log, &known, |_| true));
    faults
}

/// Texts of all sources below `folder`.
fn sources(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder of sources");
    let paths = entries.map(|entry| entry.expect("it is there").path());
    let texts = paths.flat_map(|path| {
        if path.is_dir() {
            return sources(&path);
        }
        let is_test =
            path.ends_with("tests.rs") || path.parent().is_some_and(|p| p.ends_with("tests"));
        if is_test { vec![] } else { vec![fs::read_to_string(&path).expect("a source")] }
    });
    texts.collect()
}

#[test]
fn every_warning_is_explained_to_operators() {
    let sample = "warn!(\"{x}: too {much:?} of \\\n   it\"); info!(\"no\"); log!(level, \"a\");";
    assert_eq!(logged_lines(sample), ["…: too … of it", "a"]);
    let page = "\n## The log\n| `a` | b |\n";
    assert_eq!(operations_faults(page, &["a".to_owned()]), Faults::new());
    assert_eq!(operations_faults(page, &["a".to_owned(), "b".to_owned()]).len(), 1);
    assert_eq!(operations_faults(page, &[]).len(), 1);

    let texts = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let mut logged: Vec<String> = texts.iter().flat_map(|text| logged_lines(text)).collect();
    assert!(logged.len() > 20, "the messages were found: {logged:?}");
    // What passes on a line of another place: those of the settings.
    logged.retain(|line| line != "…");
    let warnings = warned_of().warnings();
    assert_eq!(warnings.len(), 9, "one of each kind");
    logged.extend(warnings);
    hold(&[OPERATIONS], |_, page| operations_faults(page, &logged));
}
