//! Secrets are in a type that does not show them, and are not compared as texts.
//! `sync_server::base::secret::Secret` is that type; what this finds is a plain text beside it
//! that would be printed along with its neighbours.

use crate::source::{Source, end_of_item, words};
use crate::{Fault, hold};

/// Parts of a field's name that say that its text is nobody's business.
const NAMES: [&str; 5] = ["password", "secret", "token", "credentials", "bearer"];

/// Types that print what they hold.
const PLAIN: [&str; 6] = ["String", "str", "Cow", "Vec", "Bytes", "RawValue"];

/// Structs and enums that derive `Debug`, from the attribute to the end.
fn shown_items(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let derives = code.match_indices("#[derive(").map(|(at, _)| at);
    derives.filter_map(|at| {
        let list_end = at + code[at..].find(")]")?;
        let is_shown = words(&code[at..list_end], "Debug").next().is_some();
        is_shown.then(|| (at, &code[at..end_of_item(code, list_end + ")]".len())]))
    })
}

/// Whether this is the name of something secret. What was hashed may be seen.
fn is_secret(name: &str) -> bool {
    NAMES.iter().any(|part| name.contains(part)) && !name.ends_with("_hash")
        || name == "password_hash"
}

/// The fields of an item, each with its name and type.
fn fields(item: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    item.split_inclusive('\n')
        .scan(0, |at, line| {
            let begin = *at;
            *at += line.len();
            Some((begin, line))
        })
        .filter_map(|(at, line)| {
            let (name, type_name) = line.trim().split_once(": ")?;
            let name = name.rsplit(' ').next()?;
            Some((at, name, type_name))
        })
}

fn secret_faults(source: &Source) -> Vec<Fault> {
    let shown = shown_items(&source.product).flat_map(|(at, item)| {
        let secret = fields(item).filter(|(_, name, _)| is_secret(name));
        secret.map(move |(line, name, type_name)| (at + line, name, type_name))
    });
    let plain = shown.filter(|(_, _, type_name)| {
        PLAIN.iter().any(|plain| words(type_name, plain).next().is_some())
    });
    plain.map(|(at, name, _)| source.fault(at, &format!("{name} would be printed"))).collect()
}

/// `==` of two texts ends at the first byte that differs, which tells how much was right.
fn comparison_faults(source: &Source) -> Vec<Fault> {
    let exposed = source.product.match_indices(".expose()").filter(|(at, _)| {
        let code = &source.product;
        let line_begin = code[..*at].rfind('\n').map_or(0, |end| end + 1);
        let line = code[line_begin..].lines().next().unwrap_or_default();
        line.contains(" == ") || line.contains(" != ")
    });
    exposed.map(|(at, _)| source.fault(at, "secrets are compared as Secret, not as text")).collect()
}

#[test]
fn secrets_are_compared_in_constant_time() {
    let samples = [
        ("src/a.rs", "fn f() { token.expose() == expected }"),
        ("src/a.rs", "fn f() {\n    if given != expected.expose() {}\n}"),
    ];
    hold(&samples, comparison_faults);
}

#[test]
fn no_secret_is_printed_with_its_neighbours() {
    let samples = [
        ("src/a.rs", "#[derive(Clone, Debug)]\nstruct A {\n    pub jwt_secret: String,\n}"),
        ("src/a.rs", "#[derive(Debug)]\nenum A { B {\n    token: Cow<'a, str>,\n} }"),
        ("src/a.rs", "#[derive(Debug)]\nstruct A {\n    password_hash: Option<Vec<u8>>,\n}"),
    ];
    hold(&samples, secret_faults);
    let fine = "#[derive(Debug)]\nstruct A {\n    token: Secret,\n    token_hash: Vec<u8>,\n}\n\
                #[derive(Clone)]\nstruct B {\n    token: String,\n}";
    assert_eq!(secret_faults(&Source::new("src/a.rs", fine)), Vec::<Fault>::new());
}
