//! JSON as text, drawn with everything that a program which reads and writes it again would
//! change: blanks, escapes, long numbers, the order of keys, keys that stand there twice, lone
//! halves of surrogate pairs.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Any JSON value, as text without blanks around it.
pub(crate) fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(vec!["null", "true", "false", "{}", "[ ]"]).prop_map(str::to_owned),
        number(),
        string(),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let item = (blanks(), inner.clone(), blanks());
        let member = (blanks(), string(), blanks(), inner, blanks());
        prop_oneof![
            vec(item, 0..6).prop_map(|items| {
                let items =
                    items.iter().map(|(front, value, back)| format!("{front}{value}{back}"));
                format!("[{}]", items.collect::<Vec<_>>().join(","))
            }),
            vec(member, 0..6).prop_map(|members| {
                let members = members.iter().map(|(front, name, between, value, back)| {
                    format!("{front}{name}{between}:{between}{value}{back}")
                });
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

/// A JSON string with its quotes; some of them stand for no text at all.
pub(crate) fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -!#-\\[\\]-~]{0,8}",
        2 => "[\\u{80}-\\u{10ffff}]{1,3}",
        1 => "\\\\[\"\\\\/bfnrt]",
        1 => "\\\\u[0-9a-fA-F]{4}",
        1 => "\\\\ud[89ab][0-9a-f]{2}\\\\ud[c-f][0-9a-f]{2}",
        1 => "\\\\u[dD][89abcdefABCDEF][0-9a-fA-F]{2}",
        1 => select(vec!["\\u0000", "\u{2028}", "\u{7f}", "action", "data"])
            .prop_map(str::to_owned),
    ];
    vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// A JSON number, most of them beyond what 64 bits or a double can hold.
pub(crate) fn number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,5})?"
}

/// Blanks as JSON knows them.
pub(crate) fn blanks() -> impl Strategy<Value = String> {
    "[ \\t\\r\\n]{0,3}"
}
