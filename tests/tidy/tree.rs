//! What belongs together: every file is part of a build, every dependency is used.

use std::fs;

use crate::source::{Source, words};
use crate::{root, sources};

/// Whether `sources` has the declaration of the module that is `path`.
fn is_declared(path: &str, sources: &[Source]) -> bool {
    let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let Some((folder, name)) = stem.rsplit_once('/') else { return false };
    let parents = [
        format!("{folder}.rs"),
        format!("{folder}/mod.rs"),
        format!("{folder}/lib.rs"),
        format!("{folder}/main.rs"),
    ];
    let declaration = format!("mod {name};");
    sources.iter().any(|source| {
        parents.contains(&source.path) && words(&source.code, &declaration).next().is_some()
    })
}

/// The names in the section `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().replace('-', "_"))
        .collect()
}

fn is_used(dependency: &str, sources: &[Source]) -> bool {
    let product = sources.iter().filter(|source| source.path.starts_with("src/"));
    product.into_iter().any(|source| words(&source.code, dependency).next().is_some())
}

#[test]
fn every_file_is_part_of_a_build() {
    let sources = sources();
    let is_root = |path: &str| matches!(path, "src/lib.rs" | "src/main.rs");
    let modules = sources.iter().filter(|s| s.path.starts_with("src/") && !is_root(&s.path));
    let dead: Vec<&str> =
        modules.map(|s| s.path.as_str()).filter(|path| !is_declared(path, &sources)).collect();
    assert_eq!(dead, Vec::<&str>::new(), "no module declares these");
    assert!(!is_declared("src/net/forgotten.rs", &sources), "the rule can fail");
}

#[test]
fn every_dependency_is_used() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("it is there");
    let dependencies = dependencies(&manifest);
    assert!(dependencies.iter().any(|name| name == "mio"), "{dependencies:?}");
    let sources = sources();
    let unused: Vec<&String> =
        dependencies.iter().filter(|name| !is_used(name, &sources)).collect();
    assert_eq!(unused, Vec::<&String>::new());
    assert!(!is_used("left_pad", &sources), "the rule can fail");
}
