//! A string that must never reach a log: `Debug` and `Display` print `***`.

use std::fmt;

use subtle::ConstantTimeEq;

/// A token, password or URI with a password in it. Its only way out is [`Secret::expose`], so
/// that a reader can find every place where it leaves.
///
/// `==` compares two in a time that depends on their lengths only.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself. Do not log it, do not put it into an error.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatting_shows_nothing() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn secrets_are_equal_if_their_bytes_are() {
        let table =
            [("", "", true), ("abc", "abc", true), ("abc", "abd", false), ("abc", "ab", false)];
        for (one, other, expected) in table {
            assert_eq!(Secret::new(one) == Secret::new(other), expected, "{one} {other}");
        }
    }
}
