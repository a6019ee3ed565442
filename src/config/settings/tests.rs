//! Tests of the table of settings: each row by what it says of itself.

use std::fmt;
use std::path::Path;

use log::LevelFilter;

use super::*;
use crate::config::BindAddress;

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn read(pairs: &[(&str, &str)]) -> Result<Config, SettingError> {
    Config::from_variables(|name| {
        pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    })
}

fn valid(pairs: &[(&str, &str)]) -> Config {
    read(pairs).unwrap_or_else(|error| panic!("{pairs:?}: {error}"))
}

fn error(pairs: &[(&str, &str)]) -> String {
    match read(pairs) {
        Ok(_) => panic!("{pairs:?} is not allowed"),
        Err(error) => error.to_string(),
    }
}

/// All of a configuration but its secrets, to be compared.
fn shape(config: &Config) -> String {
    format!("{config:?}")
}

/// Settings that must go along so that the bounds of one can be reached.
const WIDE: [(&str, &str); 4] = [
    ("MAX_MESSAGE_BYTES", "1KiB"),
    ("SEND_QUEUE_BYTES", "64KiB"),
    ("MEMORY_BUDGET_BYTES", "64GiB"),
    ("PING_INTERVAL_SECONDS", "1"),
];

/// Settings that have a meaning only together, and tests of their own.
const TESTED_TOGETHER: [&str; 5] = [
    "MONGODB_USERNAME",
    "MONGODB_PASSWORD",
    "INITIAL_ADMIN_EMAIL",
    "INITIAL_ADMIN_PASSWORD",
    "INITIAL_ADMIN_NICKNAME",
];

fn read_among_wide(name: &str, value: &str) -> Result<Config, SettingError> {
    let others: &[(&str, &str)] = match name {
        "MAX_MESSAGE_BYTES" => &[("SEND_QUEUE_BYTES", "1GiB"), WIDE[2]],
        "SEND_QUEUE_BYTES" => &[WIDE[0], WIDE[2]],
        "MEMORY_BUDGET_BYTES" => &[WIDE[0], WIDE[1]],
        "PING_INTERVAL_SECONDS" => &[("PING_TIMEOUT_SECONDS", "7200")],
        "PING_TIMEOUT_SECONDS" => &[WIDE[3]],
        _ => &[],
    };
    read(&[&[(name, value)], others].concat())
}

#[test]
fn the_defaults_of_the_table_are_the_defaults() {
    let defaults: Vec<_> = SETTINGS.iter().map(|s| (s.name, s.default)).collect();
    assert_eq!(shape(&valid(&defaults)), shape(&Config::default()));
    assert_eq!(shape(&valid(&[])), shape(&Config::default()));
    assert_eq!(Config::default().warnings(), Vec::<String>::new());
}

#[test]
fn the_table_has_each_name_once_and_no_secret_has_a_default() {
    let mut names: Vec<_> = variable_names().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), SETTINGS.len() + 1);
    for setting in SETTINGS {
        let is_secret_by_name =
            ["SECRET", "_URI", "PASSWORD", "TOKEN"].iter().any(|part| setting.name.contains(part));
        assert_eq!(setting.is_secret, is_secret_by_name, "{setting}");
        assert!(!setting.is_secret || setting.default.is_empty(), "{setting}");
        assert!(!setting.help.is_empty() && !setting.help.contains('\n'), "{setting}");
    }
}

/// Every setting that has a meaning of its own, with a value that is not its default.
fn other_values() -> Vec<(&'static str, &'static str)> {
    let values = [
        ("PORT", "80"),
        ("BIND_ADDR", "[::1]"),
        ("PUBLIC_URL", "http://a"),
        ("RUST_LOG", "warn"),
        ("LOG_FORMAT", "JSON"),
        ("DATA_DIR", "/d"),
        ("MONGODB_URI", "mongodb://a"),
        ("DB_NAME", "d"),
        ("JWT_SECRET", "s"),
        ("JWT_TTL_SECONDS", "60"),
        ("INITIAL_SETUP_TOKEN", "t"),
        ("REQUIRE_AUTH", "yes"),
        ("HOST_AUTH", "token"),
        ("SYNC_WRITERS", "any"),
        ("ROOM_IDLE_TIMEOUT_SECONDS", "1"),
        ("ROOM_AUTO_CREATE", "1"),
        ("ROOM_STORE", "off"),
        ("ALLOWED_ORIGINS", "https://a"),
        ("TRUSTED_PROXIES", "::1"),
    ];
    // Numbers and sizes: the least value is no default.
    let least = SETTINGS.iter().filter_map(|setting| {
        let (least, _) = setting.allowed.split_once(" to ")?;
        (!values.iter().any(|(name, _)| *name == setting.name)).then_some((setting.name, least))
    });
    let all = values.into_iter().chain(least);
    all.filter(|(name, _)| !TESTED_TOGETHER.contains(name)).collect()
}

#[test]
fn every_setting_has_an_effect() {
    let mut changed = 0;
    for (name, value) in other_values() {
        let config = read_among_wide(name, value).unwrap_or_else(|error| panic!("{error}"));
        let without = read_among_wide(name, "").expect("the others are valid");
        assert_ne!(shape(&config), shape(&without), "{name}={value}");
        changed += 1;
    }
    assert_eq!(changed, SETTINGS.len() - TESTED_TOGETHER.len());
}

#[test]
fn every_setting_refuses_nonsense_in_one_line() {
    let nonsense = "/?*\n \u{1b}";
    // These take any text.
    let free = ["DATA_DIR", "MONGODB_USERNAME", "MONGODB_PASSWORD", "JWT_SECRET"];
    for setting in SETTINGS.iter().filter(|setting| !free.contains(&setting.name)) {
        let value = if setting.name == "INITIAL_ADMIN_PASSWORD" { "/?*" } else { nonsense };
        let line = error(&[(setting.name, value)]);
        let shown = if setting.is_secret { "" } else { "=/?*\\n \\u{1b}" };
        assert_eq!(line, format!("{setting}{shown}: must be {}", setting.allowed));
    }
}

#[test]
fn numbers_and_sizes_are_bounded_as_the_table_says() {
    let mut checked = 0;
    for setting in SETTINGS {
        let Some((min, max)) = setting.allowed.split_once(" to ") else { continue };
        let max = max.split(',').next().unwrap_or(max);
        let (Some(least), Some(most)) = (bound(min), bound(max)) else { continue };
        checked += 1;
        for value in [min, max] {
            let result = read_among_wide(setting.name, value);
            assert!(result.is_ok(), "{setting}={value}: {result:?}");
        }
        let below = least.checked_sub(1).map_or_else(|| "-1".to_owned(), |n| n.to_string());
        let above = (most + 1).to_string();
        for value in [&*below, &above, "1.5", "+5", "", "99999999999999999999", "5x", "0x10", "๕"]
        {
            let Err(error) = read_among_wide(setting.name, value) else {
                assert_eq!(value, "", "{setting}={value} is allowed");
                continue;
            };
            assert!(error.to_string().starts_with(&format!("{setting}={value}: must be {min}")));
        }
    }
    assert_eq!(checked, 19, "rows with a range");
}

/// A bound of the table in bytes or units; `None` for other uses of " to ".
fn bound(text: &str) -> Option<u64> {
    size(text, 0, u64::MAX >> 1).and_then(|bytes| u64::try_from(bytes).ok())
}

#[test]
fn sizes_have_units() {
    for (text, bytes) in [
        ("2048", 2048),
        ("2048B", 2048),
        ("512KiB", 512 << 10),
        ("64k", 64 << 10),
        ("4MiB", 4 << 20),
        ("6 MiB", 6 << 20),
        ("4mib", 4 << 20),
        ("4MB", 4_000_000),
        ("500 kb", 500_000),
    ] {
        let config = valid(&[("MAX_MESSAGE_BYTES", text)]);
        assert_eq!(config.limits.message_bytes_max, bytes, "{text}");
    }
    let budget = |text| valid(&[("MEMORY_BUDGET_BYTES", text)]).limits.memory_budget_bytes;
    assert_eq!((budget("1GiB"), budget("2G"), budget("1GB")), (1 << 30, 2 << 30, 1_000_000_000));
    for bad in ["MiB", "4 M i B", "4TiB", "-4MiB", "4,5MiB", "18446744073709551615GiB"] {
        assert!(error(&[("MEMORY_BUDGET_BYTES", bad)]).contains(bad));
    }
    for (bytes, text) in
        [(0, "0"), (1, "1"), (1025, "1025"), (64 << 10, "64KiB"), (3 << 29, "1536MiB")]
    {
        assert_eq!(size_text(bytes), text);
        assert_eq!(size(text, 0, GIB << 10), Some(bytes));
    }
}

#[test]
fn booleans_are_words_in_any_case() {
    for (text, expected) in [
        ("true", true),
        ("TRUE", true),
        ("1", true),
        ("Yes", true),
        ("on", true),
        (" false ", false),
        ("0", false),
        ("no", false),
        ("OFF", false),
    ] {
        assert_eq!(valid(&[("ROOM_STORE", text)]).room_store, expected, "{text}");
    }
    for bad in ["2", "tru", "y", "enabled"] {
        assert_eq!(error(&[("ROOM_STORE", bad)]), format!("ROOM_STORE={bad}: must be {BOOLEAN}"));
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let table: [(&[(&str, &str)], &str); 7] = [
        (
            &[("MAX_MESSAGE_BYTES", "8MiB")],
            "SEND_QUEUE_BYTES=8MiB: must be at least 1KiB more than MAX_MESSAGE_BYTES=8MiB",
        ),
        (
            &[("SEND_QUEUE_BYTES", "4195327")],
            "SEND_QUEUE_BYTES=4195327: must be at least 1KiB more than MAX_MESSAGE_BYTES=4MiB",
        ),
        (
            &[("SEND_QUEUE_BYTES", "65MiB")],
            "MEMORY_BUDGET_BYTES=64MiB: must be at least SEND_QUEUE_BYTES=65MiB",
        ),
        (
            &[("PING_TIMEOUT_SECONDS", "25")],
            "PING_TIMEOUT_SECONDS=25: must be more than PING_INTERVAL_SECONDS=25",
        ),
        (
            &[("PING_INTERVAL_SECONDS", "61")],
            "PING_TIMEOUT_SECONDS=60: must be more than PING_INTERVAL_SECONDS=61",
        ),
        (
            &[("INITIAL_ADMIN_EMAIL", "a@b.c"), ("INITIAL_ADMIN_PASSWORD", "")],
            "INITIAL_ADMIN_PASSWORD: must be set if INITIAL_ADMIN_EMAIL is",
        ),
        (
            &[("INITIAL_ADMIN_PASSWORD", "hunter22")],
            "INITIAL_ADMIN_EMAIL: must be set if INITIAL_ADMIN_PASSWORD is",
        ),
    ];
    for (pairs, line) in table {
        assert_eq!(error(pairs), line);
    }
    valid(&[("SEND_QUEUE_BYTES", "4195328"), ("MEMORY_BUDGET_BYTES", "8MiB")]);
    valid(&[("SEND_QUEUE_BYTES", "64MiB")]);
    valid(&[("PING_TIMEOUT_SECONDS", "26")]);
}

#[test]
fn the_administrator_is_read_and_checked() {
    let admin = |email, password, nickname| {
        valid(&[
            ("INITIAL_ADMIN_EMAIL", email),
            ("INITIAL_ADMIN_PASSWORD", password),
            ("INITIAL_ADMIN_NICKNAME", nickname),
        ])
        .initial_admin
    };
    let expected = |password: &str, nickname: Option<&str>| {
        let (email, nickname) = ("somchai@example.com".to_owned(), nickname.map(str::to_owned));
        Some(InitialAdmin { email, password: Secret::new(password), nickname })
    };
    let found = admin(" Somchai@Example.COM ", " 345678 \r\n", "  สมชาย ");
    assert_eq!(found, expected(" 345678 ", Some("สมชาย")), "blanks of a password may be meant");
    assert_eq!(admin("somchai@example.com", "12345678", ""), expected("12345678", None));
    assert_eq!(admin("", "", "Somchai"), None, "a name alone makes nobody");
    let longest = "p".repeat(1024);
    assert_eq!(admin("somchai@example.com", &longest, ""), expected(&longest, None));
    for bad in ["1234567".to_owned(), "p".repeat(1025)] {
        let pairs = [("INITIAL_ADMIN_EMAIL", "a@b"), ("INITIAL_ADMIN_PASSWORD", &*bad)];
        assert_eq!(error(&pairs), "INITIAL_ADMIN_PASSWORD: must be 8 to 1024 bytes");
    }
    let too_long = format!("{}@b", "a".repeat(253));
    for bad in ["a", "@b", "a@", "a@b@c", "a b@c", "a@b\tc", &too_long] {
        let line = error(&[("INITIAL_ADMIN_EMAIL", bad), ("INITIAL_ADMIN_PASSWORD", "12345678")]);
        assert!(line.ends_with(": must be an e-mail address"), "{line}");
    }
    let line = error(&[("INITIAL_ADMIN_NICKNAME", &*"ก".repeat(201))]);
    assert!(line.ends_with("…: must be up to 200 characters"), "{line}");
}

#[test]
fn a_login_at_mongodb_may_be_given_apart_and_as_it_is() {
    let uri = |uri, username, password| {
        let settings =
            [("MONGODB_URI", uri), ("MONGODB_USERNAME", username), ("MONGODB_PASSWORD", password)];
        read(&settings).map(|config| config.mongodb_uri)
    };
    for (given, username, password, expected) in [
        ("mongodb://h", "u", "p", "mongodb://u:p@h"),
        ("mongodb://h:1,i:2/?a=b@c", "u", "p", "mongodb://u:p@h:1,i:2/?a=b@c"),
        (
            "mongodb+srv://h/d",
            "a b",
            "p@/:?#%ä",
            "mongodb+srv://a%20b:p%40%2F%3A%3F%23%25%C3%A4@h/d",
        ),
        ("mongodb://u:p@h", "", "", "mongodb://u:p@h"),
    ] {
        assert_eq!(uri(given, username, password), Ok(Some(Secret::new(expected))), "{given}");
    }
    for (given, username, password, problem) in [
        (
            "mongodb://u:p@h",
            "u",
            "p",
            "MONGODB_URI: must be without a user if MONGODB_USERNAME is set",
        ),
        ("", "u", "p", "MONGODB_URI: must be set if MONGODB_USERNAME is"),
        ("mongodb://h", "u", "", "MONGODB_PASSWORD: must be set if MONGODB_USERNAME is"),
        ("mongodb://h", "", "p", "MONGODB_USERNAME: must be set if MONGODB_PASSWORD is"),
    ] {
        let error = uri(given, username, password).expect_err(problem);
        assert_eq!(error.to_string(), problem);
    }
}

#[test]
fn secrets_are_shown_neither_in_errors_nor_in_debug_output() {
    const HIDDEN: &str = "hunter2";
    for (name, value) in [
        ("MONGODB_URI", "postgres://u:hunter2@h"),
        ("INITIAL_ADMIN_PASSWORD", "hunter2"),
        ("INITIAL_SETUP_TOKEN", "hunter2 hunter2"),
        ("PUBLIC_URL", "https://u:hunter2@h"),
        ("ALLOWED_ORIGINS", "https://u:hunter2@h"),
        ("DB_NAME", "mongodb://u:hunter2@h/x"),
    ] {
        let line = error(&[(name, value)]);
        assert!(line.starts_with(&format!("{name}: must be ")), "{line}");
        assert!(!line.contains(HIDDEN), "{line}");
    }
    let config = valid(&[
        ("MONGODB_URI", "mongodb://u:hunter2@h"),
        ("JWT_SECRET", "hunter2"),
        ("INITIAL_SETUP_TOKEN", "hunter2"),
        ("INITIAL_ADMIN_EMAIL", "a@b"),
        ("INITIAL_ADMIN_PASSWORD", "hunter2hunter2"),
    ]);
    assert!(!format!("{config:?}{:?}", config.warnings()).contains(HIDDEN));
    assert_eq!(config.mongodb_uri, Some(Secret::new("mongodb://u:hunter2@h")));
    assert_eq!(config.jwt_secret, Some(Secret::new("hunter2")));
    assert_eq!(config.initial_setup_token, Some(Secret::new("hunter2")));
}

#[test]
fn errors_show_long_values_in_part() {
    let longest = "9".repeat(SHOWN_CHARS_MAX);
    assert_eq!(error(&[("PORT", &longest)]), format!("PORT={longest}: must be 0 to 65535"));
    let longer = format!("{longest}9");
    assert_eq!(error(&[("PORT", &longer)]), format!("PORT={longest}…: must be 0 to 65535"));
}

#[test]
fn log_levels_may_be_those_of_an_older_env_file() {
    for (text, level) in [
        ("debug", LevelFilter::Debug),
        ("OFF", LevelFilter::Off),
        ("info,", LevelFilter::Info),
        ("backend=debug,tower_http=info,warn", LevelFilter::Warn),
        ("backend=debug", LevelFilter::Info),
        ("warn,sync_server=trace", LevelFilter::Trace),
        ("sync_server=off,trace", LevelFilter::Off),
        ("sync_server::net=debug, sync_server=info", LevelFilter::Debug),
        ("sync_server_x=trace,error", LevelFilter::Error),
    ] {
        assert_eq!(valid(&[("RUST_LOG", text)]).log_level, level, "{text}");
    }
    for bad in ["lod", "backend", "backend=", "=debug", "info,lod", "backend=lod,info", ",", "3"] {
        let line = error(&[("RUST_LOG", bad)]);
        assert_eq!(line, format!("RUST_LOG={bad}: must be off, error, warn, info, debug or trace"));
    }
}

#[test]
fn systemds_directory_is_the_default_data_directory() {
    let directory = |pairs: &[(&str, &str)]| valid(pairs).data_dir;
    for (value, expected) in [
        ("/var/lib/a", "/var/lib/a"),
        ("/var/lib/a:/var/lib/b", "/var/lib/a"),
        (":/var/lib/b", "/var/lib/b"),
        ("", "./data"),
        (":", "./data"),
    ] {
        assert_eq!(directory(&[("STATE_DIRECTORY", value)]), Path::new(expected), "{value}");
    }
    let both = [("STATE_DIRECTORY", "/var/lib/a"), ("DATA_DIR", "/d")];
    assert_eq!(directory(&both), Path::new("/d"));
}

#[test]
fn pages_of_the_public_url_are_listed_if_there_is_a_list() {
    let origins = |list: &str, url: &str| {
        valid(&[("ALLOWED_ORIGINS", list), ("PUBLIC_URL", url)]).allowed_origins
    };
    let list = |text: &str| AllowedOrigins::parse(text).expect("a list");
    assert_eq!(origins("*", "https://a"), AllowedOrigins::Any);
    assert_eq!(origins("https://b", "HTTPS://A:443/sync"), list("https://b,https://a"));
    assert_eq!(origins("https://b", "http://[::1]:3001/"), list("https://b,http://[::1]:3001"));
    assert_eq!(origins("https://b", "https://b/sync"), list("https://b"));
}

#[test]
fn public_urls_are_http_and_plain() {
    for (text, expected) in [
        ("https://a.example/sync/", "https://a.example/sync"),
        ("HTTP://a.example:8080", "http://a.example:8080"),
        ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443"),
        ("https://a_b.example/x-y/%20", "https://a_b.example/x-y/%20"),
    ] {
        assert_eq!(valid(&[("PUBLIC_URL", text)]).public_url.as_deref(), Some(expected));
    }
    for bad in [
        "a.example",
        "ftp://a",
        "https://",
        "https:///x",
        "https://a?b",
        "https://a/x?b",
        "https://a/#b",
        "https://a b",
        "https://a:99999",
        "https://a/\"",
        "https://ก",
        "//a",
    ] {
        let line = error(&[("PUBLIC_URL", bad)]);
        assert_eq!(line, format!("PUBLIC_URL={bad}: must be http(s)://host[:port][/path]"));
    }
}

#[test]
fn database_names_are_those_that_mongodb_takes() {
    let longest = "d".repeat(63);
    for good in ["d", "tracker-db", "Tracker_2", &longest] {
        assert_eq!(valid(&[("DB_NAME", good)]).db_name, good);
    }
    let too_long = "d".repeat(64);
    for bad in ["a.b", "a/b", "a b", "a$b", "a\\b", "a\"b", &too_long] {
        assert!(error(&[("DB_NAME", bad)]).ends_with("must be a database name"), "{bad}");
    }
}

#[test]
fn what_is_valid_but_unwise_is_warned_of() {
    for (name, value, warned) in [
        ("JWT_SECRET", "0123456789abcdef0123456789abcde", true),
        ("JWT_SECRET", "0123456789abcdef0123456789abcdef", false),
        ("INITIAL_SETUP_TOKEN", "0123456789abcde", true),
        ("INITIAL_SETUP_TOKEN", "0123456789abcdef", false),
        ("ROOM_CODE_LENGTH", "5", true),
        ("ROOM_CODE_LENGTH", "6", false),
        ("TRUSTED_PROXIES", "10.0.0.1,0.0.0.0/0", true),
        ("TRUSTED_PROXIES", "10.0.0.1", false),
        ("ALLOWED_ORIGINS", "https://a,null", true),
        ("ALLOWED_ORIGINS", "https://a", false),
        ("MESSAGE_RATE_LIMIT", "0", true),
        ("ROOM_CREATE_RATE", "0", true),
        ("ROOM_CREATE_RATE", "1", false),
        ("ROOM_IDLE_TIMEOUT_SECONDS", "0", true),
    ] {
        let warnings = valid(&[(name, value)]).warnings();
        assert_eq!(warnings.len(), usize::from(warned), "{name}={value}: {warnings:?}");
        assert!(warnings.iter().all(|line| line.starts_with(name) && !line.contains('\n')));
        assert!(!warnings.concat().contains("0123456789"));
    }
}

#[test]
fn the_server_listens_at_an_address_or_on_a_unix_socket() {
    let longest = format!("unix:/{}", "x".repeat(106));
    for (text, expected) in [
        ("127.0.0.1", BindAddress::Ip([127, 0, 0, 1].into())),
        ("[::]", BindAddress::Ip([0_u16; 8].into())),
        ("unix:/run/a b/sync.sock", BindAddress::Unix("/run/a b/sync.sock".into())),
        (&longest, BindAddress::Unix(longest[5..].into())),
    ] {
        assert_eq!(valid(&[("BIND_ADDR", text)]).bind_addr, expected, "{text}");
    }
    let too_long = format!("{longest}x");
    for bad in ["unix:", "unix:/", "unix:run/sync.sock", "/run/sync.sock", "UNIX:/a", &too_long] {
        assert!(error(&[("BIND_ADDR", bad)]).ends_with(": must be an IP address or unix:/path"));
    }
}

#[test]
fn a_running_server_takes_a_new_value_or_names_the_setting_that_has_to_wait() {
    let mut waiting = 0;
    for (name, value) in other_values() {
        let running = read_among_wide(name, "").expect("the others are valid");
        let new = read_among_wide(name, value).expect("it is valid");
        let setting = SETTINGS.iter().find(|setting| setting.name == name).expect("it is listed");
        let (after, names) = running.reloaded(&new);
        if setting.takes_effect_at_start() {
            waiting += 1;
            assert_eq!(names, [name]);
            assert_eq!(exposed(&after), exposed(&running), "{name} stays");
        } else {
            assert_eq!(names, [""; 0], "{name}");
            assert_eq!(exposed(&after), exposed(&new), "{name} changes");
        }
    }
    assert!(waiting > 5, "{waiting}");
}

#[test]
fn the_parts_of_the_administrator_have_to_wait_each_for_itself() {
    let admin = |email, password, nickname| {
        valid(&[
            ("INITIAL_ADMIN_EMAIL", email),
            ("INITIAL_ADMIN_PASSWORD", password),
            ("INITIAL_ADMIN_NICKNAME", nickname),
        ])
    };
    let running = admin("a@b.c", "password", "A");
    for (new, expected) in [
        (admin("a@b.c", "password", "A"), &[][..]),
        (admin("b@b.c", "password", "A"), &["INITIAL_ADMIN_EMAIL"]),
        (admin("a@b.c", "passwords", ""), &["INITIAL_ADMIN_PASSWORD", "INITIAL_ADMIN_NICKNAME"]),
        (valid(&[]), &["INITIAL_ADMIN_EMAIL", "INITIAL_ADMIN_PASSWORD", "INITIAL_ADMIN_NICKNAME"]),
    ] {
        let (after, names) = running.reloaded(&new);
        assert_eq!(names, expected);
        assert_eq!(after.initial_admin, running.initial_admin);
    }
}

/// A configuration with its secrets, to be compared.
fn exposed(config: &Config) -> (String, [Option<String>; 3]) {
    let secrets = [&config.mongodb_uri, &config.jwt_secret, &config.initial_setup_token];
    let expose = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
    (shape(config), secrets.map(expose))
}
