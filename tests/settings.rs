//! Holds `.env.example` to the table of settings: every setting with its default, commented out and
//! explained, and nothing that nobody reads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sync_server::config::{Config, SETTINGS};

/// Variables that only Docker Compose and its MongoDB read, and their defaults.
const FOREIGN: [(&str, &str); 4] = [
    ("MONGO_INITDB_ROOT_USERNAME", ""),
    ("MONGO_INITDB_ROOT_PASSWORD", ""),
    ("MONGO_IMAGE", "mongo:7"),
    ("SYNC_SERVER_IMAGE", "localhost/sync-server"),
];

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `#NAME=default` as a name and a default; `None` for any other line.
fn assignment(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '#']))?.split_once('=')
}

/// What is wrong with the text of a `.env.example`.
fn faults(text: &str) -> Vec<String> {
    // By name: the default, and the line above.
    let mut expected: BTreeMap<&str, (&str, String)> = SETTINGS
        .iter()
        .map(|s| (s.name, (s.default, format!("# Allowed: {}.", s.allowed))))
        .chain(FOREIGN.map(|(name, default)| (name, (default, "# ".to_owned()))))
        .collect();
    let mut faults = Vec::new();
    let mut above = "";
    for line in text.lines() {
        match assignment(line) {
            Some((name, default)) => match expected.remove(name) {
                Some(found) if found.0 != default => faults.push(format!("{line}: no default")),
                Some((_, allowed)) if !above.starts_with(&allowed) => {
                    faults.push(format!("{line}: not below {allowed}"));
                }
                Some(_) => {}
                None => faults.push(format!("{line}: unknown, or twice")),
            },
            None if line.is_empty() || line.starts_with("# ") => {}
            None => faults.push(format!("{line}: it sets something")),
        }
        above = line;
    }
    faults.extend(expected.keys().map(|name| format!("{name} is missing")));
    faults
}

#[test]
fn the_example_explains_every_setting_and_sets_nothing() {
    let good = example();
    assert_eq!(faults(&good), Vec::<String>::new());
    for (from, to) in [
        ("#PORT=3001", "PORT=3001"),
        ("#PORT=3001", "#PORT=80"),
        ("#PORT=3001", "#PORTS=3001"),
        ("#PORT=3001", "#PORT=3001\n# Allowed: 0 to 65535.\n#PORT=3001"),
        ("#PORT=3001", ""),
        ("\n#PORT", "\n\n#PORT"),
        ("# Allowed: 0 to 65535.\n#PORT", "# Allowed: 1 to 65535.\n#PORT"),
        ("#JWT_SECRET=", "#JWT_SECRET=secret"),
        ("#MONGO_INITDB_ROOT_PASSWORD=", ""),
        ("\n#MONGO_INITDB_ROOT_PASSWORD=", "\n\n#MONGO_INITDB_ROOT_PASSWORD="),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from} is there to be replaced");
        assert!(!faults(&bad).is_empty(), "{from} may become {to}");
    }
}

#[test]
fn taking_away_every_comment_sign_changes_nothing() {
    let example = example();
    let pairs: Vec<(&str, &str)> = example.lines().filter_map(assignment).collect();
    let config = Config::from_variables(|name| {
        pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    })
    .expect("the defaults are valid");
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}
