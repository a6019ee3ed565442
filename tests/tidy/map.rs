//! `ARCHITECTURE.md` against the sources: the top of `src` is its code map, and the functions by
//! which it follows a message, a login and a document are there.

use std::collections::BTreeSet;
use std::fs;

use crate::source::{Source, end_of_item, words};
use crate::{root, sources};

/// Names at the top of `src`.
const NAMES_MAX: usize = 18;

fn architecture() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).expect("it is there")
}

/// What stands at the top of `src`: files with their ending, folders with a slash.
fn top() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("src")).expect("there are sources");
    let name = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().expect("names are ASCII");
        if entry.path().is_dir() { name + "/" } else { name }
    };
    entries.map(|entry| name(entry.expect("a folder can be read to its end"))).collect()
}

/// The texts in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// `Type::function` in `text`, also of a module in lower case.
fn functions(text: &str) -> BTreeSet<(&str, &str)> {
    let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
    quoted(text)
        .filter_map(|quoted| quoted.split_once("::"))
        .filter(|(holder, name)| is_name(holder) && is_name(name))
        .collect()
}

/// Whether `sources` define `name` in an item of `holder`: a type, a trait, or a module.
fn is_defined(holder: &str, name: &str, sources: &[Source]) -> bool {
    let function = format!("fn {name}");
    let variant = |body: &str| words(body, name).next().is_some();
    sources.iter().filter(|source| source.path.starts_with("src/")).any(|source| {
        let code = &source.product;
        if holder.starts_with(char::is_lowercase) {
            let is_inside = source.path.starts_with(&format!("src/{holder}/"));
            return is_inside && words(code, &function).next().is_some();
        }
        ["impl", "trait", "enum"].into_iter().flat_map(|kind| words(code, kind)).any(|at| {
            let end = end_of_item(code, at);
            let head = code[at..end].split('{').next().unwrap_or_default();
            let body = &code[at..end];
            let is_enum = body.starts_with("enum");
            words(head, holder).next().is_some()
                && (words(body, &function).next().is_some() || (is_enum && variant(body)))
        })
    })
}

#[test]
fn the_top_of_src_is_the_code_map() {
    let architecture = architecture();
    let map = architecture.split("## Code map").nth(1).expect("there is a map");
    let map = map.split("\n## ").next().expect("it ends");
    let rows = map.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let rows: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert_eq!(rows, top(), "left are the rows, right is what is there");
    assert!(rows.len() <= NAMES_MAX, "{} names", rows.len());
}

#[test]
fn the_architecture_names_functions_that_there_are() {
    let (architecture, sources) = (architecture(), sources());
    let functions = functions(&architecture);
    assert!(functions.len() > 30, "{functions:?}");
    let missing: Vec<_> = functions
        .into_iter()
        .filter(|(holder, name)| !is_defined(holder, name, &sources))
        .map(|(holder, name)| format!("{holder}::{name}"))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
    assert!(!is_defined("Engine", "forgotten", &sources), "the rule can fail");
}
