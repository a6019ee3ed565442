//! The configurations of the section *Behind a proxy*, and how they are made to fit a test.

use std::fs;
use std::path::Path;

/// Where the README has the server.
pub(crate) const UPSTREAM: &str = "127.0.0.1:3001";
/// Where the README has its Unix socket.
pub(crate) const UNIX_SOCKET: &str = "/run/khun-phaen-sync/sync.sock";
/// The name that the README serves.
pub(crate) const SITE: &str = "sync.example.com";

/// The fenced block of `language` in the section *Behind a proxy* that has `part` in it.
pub(crate) fn block(language: &str, part: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(path).expect("the README is there");
    let (_, section) = text.split_once("\n## Behind a proxy\n").expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or(section);
    let opening = format!("```{language}\n");
    let mut blocks = section.split(&opening).skip(1).filter_map(|rest| rest.split("```").next());
    let found = blocks.find(|block| block.contains(part));
    found.unwrap_or_else(|| panic!("no block {language} with {part}")).to_owned()
}

/// `text` with the one line that begins with `beginning` replaced; its indentation stays.
pub(crate) fn with_line(text: &str, beginning: &str, line: &str) -> String {
    let begins = |old: &&str| old.trim_start().starts_with(beginning);
    assert_eq!(text.lines().filter(begins).count(), 1, "one line {beginning} in:\n{text}");
    let replaced = text.lines().map(|old| {
        let indentation = &old[..old.len() - old.trim_start().len()];
        if begins(&old) { format!("{indentation}{line}\n") } else { format!("{old}\n") }
    });
    replaced.collect()
}

/// The values that the README sets for a server behind a proxy on its machine.
pub(crate) fn trusted_proxies() -> String {
    let settings = block("sh", "TRUSTED_PROXIES=");
    let line = settings.lines().find_map(|line| line.strip_prefix("TRUSTED_PROXIES="));
    line.expect("the block has the setting").to_owned()
}
