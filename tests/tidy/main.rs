//! Architecture and style as tests over the sources: what may be imported where, how long things
//! may be, and what must not be left behind. ARCHITECTURE.md tells the reasons.
//!
//! Each rule is a function from one source to its faults, and is first shown a sample that breaks
//! it: a rule that can't fail holds nothing.

mod circles;
mod layers;
mod map;
mod secrets;
mod source;
mod style;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

/// A broken rule, as `path:line: what is wrong`.
type Fault = String;

/// Where there are Rust sources.
const FOLDERS: [&str; 5] = ["src", "tests", "benches", "examples", "fuzz"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust sources of the project.
fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in FOLDERS {
        collect(&root().join(folder), &mut paths);
    }
    let rust = paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let mut sources: Vec<Source> = rust.map(|path| read(&path)).collect();
    sources.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    assert!(sources.len() > 10, "the sources were found");
    sources
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("a source is UTF-8");
    let path = path.strip_prefix(root()).expect("it was found below the root");
    Source::new(path.to_str().expect("names are ASCII"), &text)
}

/// Files below `folder`, if there is one. What tools have built there is none of ours.
fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a folder can be read to its end").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, paths);
        } else if path.is_file() {
            paths.push(path);
        }
    }
}

/// The rule `check` finds fault with each of `samples`, and with no source of the project.
#[track_caller]
fn hold(samples: &[(&str, &str)], check: impl Fn(&Source) -> Vec<Fault>) {
    for (path, text) in samples {
        let faults = check(&Source::new(path, text));
        assert!(!faults.is_empty(), "the rule can't fail: it accepts {path}: {text:?}");
    }
    let faults: Vec<Fault> = sources().iter().flat_map(check).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
