//! Who may know whom: the layers of ARCHITECTURE.md.

use std::collections::BTreeSet;

use crate::source::{Source, words};
use crate::{Fault, hold, sources};

/// A part of the tree, and what must not be named there outside of its tests.
struct Layer {
    /// A file or a folder.
    place: &'static str,
    never: &'static [&'static str],
}

const SOCKETS: &[&str] = &["mio", "socket2", "TcpStream", "TcpListener", "UdpSocket", "UnixStream"];
const CLOCKS: &[&str] = &["Instant", "SystemTime"];
const THREADS: &[&str] = &["std::thread", "std::process", "Mutex", "RwLock", "Condvar", "mpsc"];
const RANDOMNESS: &[&str] = &["rand", "getrandom", "RandomState", "DefaultHasher"];
const FILES: &[&str] = &["std::fs", "std::env", "File"];

/// What pure layers never touch.
const OUTSIDE: &[&[&str]] = &[SOCKETS, CLOCKS, THREADS, RANDOMNESS, FILES];

/// Layers in which [`OUTSIDE`] is never named.
const PURE: [&str; 12] = [
    "src/rooms/",
    "src/protocol/",
    "src/http/",
    "src/session/",
    "src/engine/",
    "src/api/",
    "src/base/ids.rs",
    "src/base/time.rs",
    "src/base/throttle.rs",
    "src/tools/client/request.rs",
    "src/tools/doctor/machine.rs",
    "src/tools/doctor/public.rs",
];

/// What else is never named where.
const LAYERS: &[Layer] = &[
    Layer { place: "src/rooms/", never: &["std::net", "std::io", "tungstenite", "serde_json"] },
    Layer { place: "src/protocol/", never: &["tungstenite", "httparse"] },
    Layer { place: "src/http/", never: &["tungstenite::protocol", "WebSocketContext"] },
    Layer { place: "src/ws/", never: &["mio", "socket2", "TcpStream", "Instant", "SystemTime"] },
    Layer { place: "src/config/", never: &["mio", "Instant", "SystemTime", "TcpListener"] },
    Layer { place: "src/accounts/", never: &["mio", "Instant", "SystemTime"] },
    Layer { place: "src/store/", never: &["mio", "SystemTime"] },
    Layer { place: "src/workers/", never: &["mio", "SystemTime"] },
    Layer { place: "src/net/", never: &["serde_json", "tungstenite", "httparse", "rusqlite"] },
    Layer { place: "src/tools/", never: &["mio", "httparse"] },
    Layer { place: "src/main.rs", never: &["mio", "tungstenite", "httparse", "serde_json"] },
];

/// The modules of the crate that a module may use. One way only: nothing may use what uses it.
const USES: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("config", &["base"]),
    ("rooms", &["base", "config"]),
    ("store", &["base", "config"]),
    ("cli", &["config", "store"]),
    ("ws", &["base"]),
    ("protocol", &["base", "rooms", "ws"]),
    ("http", &["base"]),
    ("accounts", &["base", "config", "store"]),
    ("api", &["accounts", "base", "config", "http", "protocol", "rooms"]),
    ("session", &["base", "config", "http", "ws"]),
    (
        "engine",
        &[
            "accounts", "api", "base", "config", "http", "protocol", "rooms", "session", "store",
            "ws",
        ],
    ),
    ("workers", &["accounts", "base", "config", "engine", "protocol", "rooms", "store"]),
    ("net", &["base", "config", "session", "workers"]),
    ("tools", &["accounts", "api", "base", "cli", "config", "http", "net", "store"]),
];

/// Crates and what else may be named in few places only: `(name, where)`.
const HOMES: &[(&str, &[&str])] = &[
    ("mio", &["src/net/"]),
    ("socket2", &["src/net/", "src/tools/client/connection.rs"]),
    ("listenfd", &["src/net/listener.rs"]),
    ("UnixDatagram", &["src/net/systemd.rs"]),
    ("signal_hook", &["src/net/"]),
    ("signal_hook_mio", &["src/net/"]),
    ("Instant", &["src/net/clock.rs"]),
    ("SystemTime", &["src/net/clock.rs"]),
    ("argon2", &["src/accounts/password.rs"]),
    ("bcrypt", &["src/accounts/password.rs"]),
    ("jsonwebtoken", &["src/accounts/token.rs"]),
    ("rusqlite", &["src/store/sqlite"]),
    ("mongodb", &["src/store/mongo"]),
    ("httparse", &["src/http/"]),
    ("rustls", &["src/tools/client/tls.rs"]),
    ("webpki_roots", &["src/tools/client/tls.rs"]),
];

/// The name at the head of a path counts, not the same word elsewhere: `mio::Token`, `use mio;`,
/// but not `self.mongodb`.
fn named<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_type = word.starts_with(char::is_uppercase);
    words(code, word).filter(move |&at| {
        let after = code[at + word.len()..].trim_start();
        let before = code[..at].trim_end();
        is_type
            || word.contains("::")
            || (after.starts_with("::") && !before.ends_with("::"))
            || before.ends_with("use")
    })
}

/// `use a::{b, c::d};` as `a::b` and `a::c::d`, with the place of each.
pub(crate) fn imports(code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for at in words(code, "use") {
        let begin = at + "use".len();
        if let Some(length) = code[begin..].find(';') {
            expand("", &code[begin..begin + length], at, &mut paths);
        }
    }
    paths
}

fn expand(prefix: &str, tree: &str, at: usize, paths: &mut Vec<(usize, String)>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree);
        paths.push((at, format!("{prefix}{path}")));
        return;
    };
    let prefix = format!("{prefix}{}", head.trim());
    let inside = rest.trim_end().strip_suffix('}').unwrap_or(rest);
    let mut depth = 0;
    let branches = inside.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    for branch in branches.filter(|branch| !branch.trim().is_empty()) {
        expand(&prefix, branch, at, paths);
    }
}

/// Faults for naming `word`, in an import or in the code.
fn named_faults(source: &Source, word: &str, why: &str) -> Vec<Fault> {
    let what = format!("{word} {why}");
    let in_code = named(&source.product, word);
    let imported = imports(&source.product)
        .into_iter()
        .filter(|(_, path)| named(&format!("use {path};"), word).next().is_some())
        .map(|(at, _)| at);
    let mut faults: Vec<Fault> =
        in_code.chain(imported).map(|at| source.fault(at, &what)).collect();
    faults.sort_unstable();
    faults.dedup();
    faults
}

fn layer_faults(source: &Source) -> Vec<Fault> {
    let pure = PURE.iter().filter(|place| source.path.starts_with(**place));
    let outside = pure.flat_map(|_| OUTSIDE.iter().copied().flatten());
    let layers = LAYERS.iter().filter(|layer| source.path.starts_with(layer.place));
    let never = layers.flat_map(|layer| layer.never).chain(outside);
    never.flat_map(|word| named_faults(source, word, "is never named in this layer")).collect()
}

fn home_faults(source: &Source) -> Vec<Fault> {
    let is_home = |homes: &[&str]| homes.iter().any(|home| source.path.starts_with(home));
    let foreign = HOMES.iter().filter(|(_, homes)| !is_home(homes));
    foreign
        .flat_map(|(word, homes)| {
            named_faults(source, word, &format!("is only named in {}", homes.join(" and ")))
        })
        .collect()
}

/// The module of the crate that a source belongs to.
fn module(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("src/")?;
    Some(rest.split_once('/').map_or(rest, |(folder, _)| folder).trim_end_matches(".rs"))
}

/// The modules of the crate that `source` names, with the place of each.
fn used_modules(source: &Source) -> Vec<(usize, String)> {
    let in_code = words(&source.product, "crate::").map(|at| (at, &source.product[at..]));
    imports(&source.product)
        .into_iter()
        .chain(in_code.map(|(at, rest)| (at, rest.to_owned())))
        .filter_map(|(at, path)| {
            let rest = path.strip_prefix("crate::")?;
            let name = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_');
            Some((at, name.collect()))
        })
        .collect()
}

/// The arrows of [`USES`] for which no source has an import.
fn unused_arrows(sources: &[Source]) -> Vec<String> {
    let used: BTreeSet<(&str, String)> = sources
        .iter()
        .filter_map(|source| Some((module(&source.path)?, used_modules(source))))
        .flat_map(|(user, used)| used.into_iter().map(move |(_, name)| (user, name)))
        .collect();
    let arrows = USES.iter().flat_map(|(user, uses)| uses.iter().map(move |to| (*user, *to)));
    arrows
        .filter(|(user, to)| !used.contains(&(*user, (*to).to_owned())))
        .map(|(user, to)| format!("{user} may use {to}, but does not"))
        .collect()
}

fn use_faults(source: &Source) -> Vec<Fault> {
    let Some(user) = module(&source.path) else { return Vec::new() };
    if matches!(user, "lib" | "main") {
        return Vec::new();
    }
    let Some((_, allowed)) = USES.iter().find(|(name, _)| *name == user) else {
        return vec![source.fault(0, "this module has no place among the layers")];
    };
    let mut faults: Vec<Fault> = used_modules(source)
        .iter()
        .filter(|(_, name)| !(name.is_empty() || name == user || allowed.contains(&name.as_str())))
        .map(|(at, name)| source.fault(*at, &format!("{user} must not use {name}")))
        .collect();
    faults.dedup();
    faults
}

#[test]
fn no_layer_names_what_it_must_not_know() {
    let samples = [
        ("src/rooms/mod.rs", "use std::net::IpAddr;"),
        ("src/rooms/mod.rs", "use std::{fmt, net::IpAddr};"),
        ("src/rooms/room.rs", "fn f() { let now = std::time::Instant::now(); }"),
        ("src/http/parse.rs", "use mio::{Poll, Token};"),
        ("src/session/state.rs", "use std::thread;"),
        ("src/engine/desk.rs", "use std::{\n    fmt,\n    time::{Duration, SystemTime},\n};"),
        ("src/engine/mod.rs", "fn f() { std::thread::spawn(|| ()); }"),
        ("src/main.rs", "fn f(v: serde_json::Value) {}"),
    ];
    hold(&samples, layer_faults);
    let fine = "//! No mio::Poll here.\n#[cfg(test)]\nmod tests { use mio::Poll; }\nfn mio() {}";
    assert_eq!(layer_faults(&Source::new("src/rooms/mod.rs", fine)), Vec::<Fault>::new());
}

#[test]
fn what_has_one_home_is_named_nowhere_else() {
    let samples = [
        ("src/engine/mod.rs", "use mio::Token;"),
        ("src/net/event_loop.rs", "use std::time::{Duration, Instant};"),
        ("src/accounts/service.rs", "fn f() { argon2::Params::DEFAULT; }"),
        ("src/accounts/password.rs", "use jsonwebtoken as jwt;"),
        ("src/store/mod.rs", "pub use rusqlite::Error;"),
        ("src/tools/client/server.rs", "use socket2::Socket;"),
        ("src/main.rs", "fn f() { mongodb::sync::Client::with_uri_str(\"\"); }"),
    ];
    hold(&samples, home_faults);
    let fine = "fn f(config: &Config) { config.mongodb.is_some(); }";
    assert_eq!(home_faults(&Source::new("src/config/mod.rs", fine)), Vec::<Fault>::new());
}

#[test]
fn modules_use_each_other_one_way_only() {
    let samples = [
        ("src/rooms/mod.rs", "use crate::session::Sessions;"),
        ("src/session/mod.rs", "use crate::{config::Config, engine::Engine};"),
        ("src/ws/mod.rs", "fn f(n: crate::net::EventLoop) {}"),
        ("src/unheard_of.rs", "fn f() {}"),
    ];
    hold(&samples, use_faults);
    for (position, (user, uses)) in USES.iter().enumerate() {
        for used in *uses {
            let place = USES.iter().position(|(name, _)| name == used);
            assert!(place < Some(position), "{user} uses {used}, which comes after it");
        }
    }
}

#[test]
fn every_arrow_is_in_use() {
    let arrows: usize = USES.iter().map(|(_, uses)| uses.len()).sum();
    let no_sources = unused_arrows(&[]);
    assert_eq!(no_sources.len(), arrows, "the rule can fail");
    let unused = unused_arrows(&sources());
    assert!(unused.is_empty(), "\n{}", unused.join("\n"));
}
