//! How sources are written: length, documentation, and what must not be left behind.

use crate::hold;
use crate::source::{Source, end_of_item, words};
use crate::{Fault, sources};

const LINE_COLUMNS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 70;
/// Beside `self`.
const PARAMETERS_MAX: usize = 5;
/// Of a file, its tests not counted.
const FILE_LINES_MAX: usize = 600;
/// Of a file of nothing but tests.
const TEST_FILE_LINES_MAX: usize = 1000;

/// Written in two parts each, so that this list is not found by the rule itself.
const LEFT_BEHIND: [(&str, &str); 8] = [
    ("TO", "DO"),
    ("FIX", "ME"),
    ("XX", "X"),
    ("dbg", "!"),
    ("to", "do!"),
    ("unimpl", "emented!"),
    ("#[ig", "nore"),
    ("#[should_", "panic"),
];

/// Places of one machine. In two parts as well.
const MACHINE_PATHS: [(&str, &str); 4] =
    [("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/"), ("/tmp", "/wt")];

/// `source` at the first byte of each line, and the line.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |at, line| {
        let begin = *at;
        *at += line.len();
        Some((begin, line.trim_end_matches('\n')))
    })
}

fn line_faults(source: &Source) -> Vec<Fault> {
    lines(&source.text)
        .filter_map(|(at, line)| {
            let what = if line.chars().count() > LINE_COLUMNS_MAX {
                "a line of more than 100 columns"
            } else if line.ends_with([' ', '\t', '\r']) {
                "blanks at the end of a line"
            } else if line.contains('\t') {
                "a tab"
            } else {
                return None;
            };
            Some(source.fault(at, what))
        })
        .collect()
}

fn file_faults(source: &Source) -> Vec<Fault> {
    let is_test = source.product.is_empty();
    let max = if is_test { TEST_FILE_LINES_MAX } else { FILE_LINES_MAX };
    let counted = if is_test { &source.text } else { before_tests(source) };
    let count = counted.lines().count();
    if count > max {
        vec![source.fault(0, &format!("{count} lines, at most {max}"))]
    } else {
        vec![]
    }
}

/// The text up to the module of tests at its end, if there is one.
fn before_tests(source: &Source) -> &str {
    let end = source.code.find("#[cfg(test)]\nmod ").unwrap_or(source.text.len());
    &source.text[..end]
}

fn function_faults(source: &Source) -> Vec<Fault> {
    words(&source.code, "fn")
        .filter_map(|at| {
            let end = end_of_item(&source.code, at);
            let count = source.code[at..end].lines().count();
            let what = format!("a function of {count} lines, at most {FUNCTION_LINES_MAX}");
            (count > FUNCTION_LINES_MAX).then(|| source.fault(at, &what))
        })
        .collect()
}

/// The list of parameters of the function at `at`, split at its commas.
fn parameters(code: &str, at: usize) -> Vec<&str> {
    // Inside of parentheses, brackets and braces, and of angle brackets that are no arrows.
    let (mut depth, mut angles) = (0, 0);
    let (mut parameters, mut begin) = (Vec::new(), at);
    for (place, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' | b'{' if depth == 0 && angles == 0 => {
                depth = 1;
                begin = place + 1;
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b'<' => angles += 1,
            b'>' if !code[..place].ends_with(['-', '=']) => angles -= 1,
            _ => {}
        }
        let ends = depth == 0 && angles == 0 && byte == b')';
        if ends || (depth == 1 && angles == 0 && byte == b',') {
            parameters.push(code[begin..place].trim());
            begin = place + 1;
        }
        if ends {
            break;
        }
    }
    parameters.retain(|parameter| !parameter.is_empty());
    parameters
}

fn parameter_faults(source: &Source) -> Vec<Fault> {
    words(&source.product, "fn")
        // A type `fn(A)` has no name.
        .filter(|at| source.product[at + 2..].trim_start().starts_with(|c: char| c.is_alphabetic()))
        .filter_map(|at| {
            let parameters = parameters(&source.product, at);
            let is_method = parameters.first().is_some_and(|p| words(p, "self").next().is_some());
            let count = parameters.len() - usize::from(is_method);
            let what = format!("{count} parameters, at most {PARAMETERS_MAX}");
            (count > PARAMETERS_MAX).then(|| source.fault(at, &what))
        })
        .collect()
}

/// Too many arguments, or too many bools, are no matter of taste: they are mended.
fn waiver_faults(source: &Source) -> Vec<Fault> {
    ["too_many_arguments", "struct_excessive_bools", "fn_params_excessive_bools"]
        .into_iter()
        .flat_map(|lint| words(&source.code, lint))
        .map(|at| source.fault(at, "this lint is let off nowhere"))
        .collect()
}

fn left_behind_faults(source: &Source) -> Vec<Fault> {
    let found = |parts: &[(&str, &str)]| -> Vec<Fault> {
        let words = parts.iter().map(|(one, other)| format!("{one}{other}"));
        words
            .flat_map(|word| {
                let places: Vec<usize> = crate::source::words(&source.text, &word).collect();
                places.into_iter().map(move |at| source.fault(at, &format!("{word:?}")))
            })
            .collect()
    };
    [found(&LEFT_BEHIND), found(&MACHINE_PATHS)].concat()
}

fn documentation_faults(source: &Source) -> Vec<Fault> {
    let begins = source.text.starts_with("//! ");
    if begins { vec![] } else { vec![source.fault(0, "a file begins with what it is: //!")] }
}

/// An `expect` says why it can't fail; an `unwrap` says nothing. Tests may: they can fail.
fn unwrap_faults(source: &Source) -> Vec<Fault> {
    let unwrapped = source.product.match_indices(".unwrap()").map(|(at, _)| at);
    let unexplained = source.product.match_indices(".expect(").map(|(at, _)| at).filter(|at| {
        let text = source.text[at + ".expect(".len()..].trim_start();
        !text.starts_with('"') || text.starts_with("\"\"")
    });
    unwrapped
        .map(|at| source.fault(at, "unwrap without a word; expect says why it can't fail"))
        .chain(unexplained.map(|at| source.fault(at, "expect without a text")))
        .collect()
}

/// `#[allow]` and `#[expect]` of a lint give a reason.
fn allow_faults(source: &Source) -> Vec<Fault> {
    ["[allow(", "[expect("]
        .into_iter()
        .flat_map(|word| source.code.match_indices(word))
        .filter(|(at, word)| {
            let attribute = &source.code[at + word.len()..];
            let end = attribute.find(")]").unwrap_or(attribute.len());
            words(&attribute[..end], "reason").next().is_none()
        })
        .map(|(at, _)| source.fault(at, "a lint is let off without a reason"))
        .collect()
}

#[test]
fn lines_fit_and_end_where_they_end() {
    let long = format!("//! {}\n", "x".repeat(LINE_COLUMNS_MAX));
    hold(&[("src/a.rs", &long), ("src/a.rs", "fn a() {} \n"), ("src/a.rs", "\tx")], line_faults);
}

#[test]
fn files_can_be_read_in_one_go() {
    let product = "fn f() {}\n".repeat(FILE_LINES_MAX + 1);
    let tests = "fn f() {}\n".repeat(TEST_FILE_LINES_MAX + 1);
    hold(&[("src/a.rs", &product), ("tests/a.rs", &tests)], file_faults);
    let tested = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{tests}}}\n");
    assert_eq!(file_faults(&Source::new("src/a.rs", &tested)), Vec::<Fault>::new());
}

#[test]
fn functions_fit_on_a_screen() {
    let body = "    work();\n".repeat(FUNCTION_LINES_MAX);
    let function = format!("fn f(x: [u8; 2]) {{\n{body}}}\n");
    hold(&[("src/a.rs", &function), ("tests/a.rs", &function)], function_faults);
}

#[test]
fn functions_take_few_parameters() {
    let samples = [
        ("src/a.rs", "fn f(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {}"),
        (
            "src/b.rs",
            "fn f<F: Fn(A, B)>(&self, a: F, (b, c): D, d: E<F, G>, e: u8, f: u8, g: u8,) {}",
        ),
    ];
    hold(&samples, parameter_faults);
    let fine = "fn f<T: Fn(A) -> B>(&mut self, a: T, b: M<K, V>, (c, d): E, e: &[u8; 2], f: u8) {}";
    assert_eq!(parameter_faults(&Source::new("src/a.rs", fine)), Vec::<Fault>::new());
}

#[test]
fn too_much_at_once_is_mended_and_not_let_off() {
    let sample = "#[expect(clippy::struct_excessive_bools, reason = \"facts\")]\nstruct S;";
    hold(&[("src/a.rs", sample)], waiver_faults);
}

#[test]
fn nothing_is_left_behind() {
    let join = |(one, other): &(&str, &str)| format!("{one}{other}");
    let texts: Vec<String> = LEFT_BEHIND.iter().chain(&MACHINE_PATHS).map(join).collect();
    let samples: Vec<(&str, &str)> = texts.iter().map(|text| ("src/a.rs", &**text)).collect();
    hold(&samples, left_behind_faults);
}

#[test]
fn every_file_says_what_it_is() {
    hold(&[("src/a.rs", "use std::fmt;\n"), ("src/a.rs", "")], documentation_faults);
}

#[test]
fn what_cannot_fail_says_why() {
    let samples = [
        ("src/a.rs", "fn f() { x.unwrap() }"),
        ("src/a.rs", "fn f() { x.expect(&text) }"),
        ("src/a.rs", "fn f() { x.expect(\"\") }"),
    ];
    hold(&samples, unwrap_faults);
}

#[test]
fn lints_are_let_off_for_a_reason_only() {
    let samples = [
        ("src/a.rs", "#[allow(dead_code)] fn f() {}"),
        ("src/a.rs", "#![expect(clippy::all)]"),
        ("src/a.rs", "#[allow(\n    dead_code,\n)]\nfn reason() {}"),
    ];
    hold(&samples, allow_faults);
}

#[test]
fn the_rules_see_the_whole_project() {
    let sources = sources();
    for path in ["src/main.rs", "src/lib.rs", "src/net/event_loop.rs", "tests/tidy/style.rs"] {
        assert!(sources.iter().any(|source| source.path == path), "{path} was not read");
    }
}
