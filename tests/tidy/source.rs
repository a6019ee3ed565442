//! A source file as the rules see it: its text, and its code without comments, the insides of
//! strings, and tests.
//!
//! This is no parser. It knows just enough of Rust's lexical structure not to be fooled by a brace
//! in a string or a word in a comment.

/// One file.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the project's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments, and the insides of strings and characters, replaced by blanks. Same
    /// lines, same columns.
    pub(crate) code: String,
    /// `code` without items under `#[cfg(test)]`; nothing at all if the whole file is a test.
    pub(crate) product: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = blank_out(text);
        let is_test =
            !path.starts_with("src/") || path.ends_with("/tests.rs") || path.contains("/tests/");
        let product = if is_test { String::new() } else { without_tests(&code) };
        Self { path: path.to_owned(), text: text.to_owned(), code, product }
    }

    /// A fault in the line of the byte `at`.
    pub(crate) fn fault(&self, at: usize, what: &str) -> String {
        let line = self.text[..at].matches('\n').count() + 1;
        format!("{}:{line}: {what}", self.path)
    }
}

/// Positions of `word` in `code` where it stands alone, not as a part of a longer name.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let begins = !code[..at].ends_with(is_part) || !word.starts_with(is_part);
        let ends = !code[at + word.len()..].starts_with(is_part) || !word.ends_with(is_part);
        begins && ends
    })
}

/// The end of the block that the next `{` after `from` begins, or of the statement if a `;` comes
/// before it.
pub(crate) fn end_of_item(code: &str, from: usize) -> usize {
    let mut depth = 0;
    let mut inside = 0;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            // The semicolon of an array's type ends nothing.
            b'(' | b'[' => inside += 1,
            b')' | b']' => inside -= 1,
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b';' if depth == 0 && inside == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut product = String::new();
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let end = end_of_item(rest, at + MARK.len());
        product.push_str(&rest[..at]);
        product.extend(rest[at..end].chars().map(blank));
        rest = &rest[end..];
    }
    product + rest
}

/// What stands for a character that does not count: a blank of the same width in bytes.
fn blank(character: char) -> &'static str {
    match character {
        '\n' => "\n",
        _ => &"    "[..character.len_utf8()],
    }
}

/// What a run of text is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    Code,
    /// A comment, blanked to its end.
    Comment,
    /// A string or character, of which the delimiters stay.
    Literal {
        delimiter: usize,
    },
}

fn blank_out(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let (run, length) = next_run(text, at);
        let piece = &text[at..at + length];
        match run {
            Run::Code => code.push_str(piece),
            Run::Comment => code.extend(piece.chars().map(blank)),
            Run::Literal { delimiter } => {
                code.push_str(&piece[..delimiter]);
                let inside = piece.get(delimiter..length - delimiter.min(1)).unwrap_or("");
                code.extend(inside.chars().map(blank));
                code.push_str(&piece[delimiter + inside.len()..]);
            }
        }
        at += length;
    }
    code
}

/// What begins at `at`, and its length in bytes.
fn next_run(text: &str, at: usize) -> (Run, usize) {
    let rest = &text[at..];
    let first = rest.chars().next().map_or(1, char::len_utf8);
    let continues_a_name = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return (Run::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Run::Comment, block_comment(rest));
    }
    if !continues_a_name && let Some(length) = raw_string(rest) {
        return (Run::Literal { delimiter: 1 }, length);
    }
    if rest.starts_with('"') {
        return (Run::Literal { delimiter: 1 }, string(rest));
    }
    if let Some(length) = character(rest) {
        return (Run::Literal { delimiter: 1 }, length);
    }
    (Run::Code, first)
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let step = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                2
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a raw string, `r"…"`, `r#"…"#`, `br"…"`.
fn raw_string(rest: &str) -> Option<usize> {
    let prefix = if rest.starts_with("br") { 2 } else { 1 };
    if !rest[..prefix.min(rest.len())].ends_with('r') {
        return None;
    }
    let hashes = rest[prefix..].bytes().take_while(|byte| *byte == b'#').count();
    let begin = prefix + hashes + 1;
    if rest.as_bytes().get(begin - 1) != Some(&b'"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let inside = rest[begin..].find(&end).unwrap_or(rest.len() - begin);
    Some((begin + inside + end.len()).min(rest.len()))
}

fn string(rest: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character in quotes; a quote without an end begins a lifetime.
fn character(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    if let Some(escape) = inside.strip_prefix('\\') {
        let skipped = escape.chars().next().map_or(0, char::len_utf8);
        return escape[skipped..].find('\'').map(|end| 1 + 1 + skipped + end + 1);
    }
    let width = inside.chars().next()?.len_utf8();
    inside[width..].starts_with('\'').then_some(1 + width + 1)
}

#[test]
fn code_is_told_from_comments_strings_and_tests() {
    let text = "fn a<'b>() { '\"'; \"}\\\"\"; r#\"}\"#; b'\\''; /* } /* */ */ } // }\n\
                #[cfg(test)]\nmod tests { fn b() {} }\nfn c() {}\n";
    let source = Source::new("src/a.rs", text);
    assert_eq!(source.code.len(), text.len());
    assert_eq!(source.code.matches('}').count(), 5 - 1, "{}", source.code);
    assert!(source.product.contains("fn c") && !source.product.contains("fn b"));
    assert_eq!(end_of_item(&source.code, 0), text.find(" // }").expect("it is there"));
    assert_eq!(words("std::net::Ip std::network a_std::net", "std::net").count(), 1);
    assert_eq!(Source::new("src/a/tests.rs", text).product, "");
}
