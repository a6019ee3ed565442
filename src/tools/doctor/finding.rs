//! What the doctor says: one line for each thing that it has looked at.

use std::fmt;

/// Characters of a text. Parts of it may come from an unknown server.
const TEXT_CHARS_MAX: usize = 600;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could, or not for long.
    Warning,
    /// It does not work.
    Problem,
}

/// What is looked at, in a word or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subject(pub(super) &'static str);

/// One thing that was looked at. If it is not in order, the text says what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub(super) severity: Severity,
    /// What was looked at.
    pub(super) subject: Subject,
    /// What was found.
    pub(super) text: String,
}

/// How many findings are not in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Findings that are warnings.
    pub warnings: usize,
    /// Findings that are problems.
    pub problems: usize,
}

impl Subject {
    pub(super) fn ok(self, text: impl Into<String>) -> Finding {
        Finding { severity: Severity::Ok, subject: self, text: text.into() }
    }

    pub(super) fn warning(self, text: impl Into<String>) -> Finding {
        Finding { severity: Severity::Warning, subject: self, text: text.into() }
    }

    pub(super) fn problem(self, text: impl Into<String>) -> Finding {
        Finding { severity: Severity::Problem, subject: self, text: text.into() }
    }

    /// A problem if that `is_bad`, else a warning.
    pub(super) fn problem_if(self, is_bad: bool, text: String) -> Finding {
        if is_bad { self.problem(text) } else { self.warning(text) }
    }
}

impl Tally {
    /// Counts `finding`.
    pub fn add(&mut self, finding: &Finding) {
        match finding.severity {
            Severity::Ok => {}
            Severity::Warning => self.warnings += 1,
            Severity::Problem => self.problems += 1,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        })
    }
}

/// One line, whatever a stranger's answer in it may hold.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, subject: Subject(subject), text } = self;
        write!(f, "{severity:8}{subject:10} ")?;
        let shown = text.chars().take(TEXT_CHARS_MAX);
        f.write_str(&shown.map(|c| if c.is_control() { '?' } else { c }).collect::<String>())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: usize, word: &str| match count {
            1 => format!("1 {word}"),
            _ => format!("{count} {word}s"),
        };
        write!(f, "{}, {}", counted(self.problems, "problem"), counted(self.warnings, "warning"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_of_three_columns() {
        let findings = [
            (Subject("clock").ok("fine"), "ok      clock      fine"),
            (Subject("open files").warning("few"), "warning open files few"),
            (Subject("port").problem("a\r\n\u{1b}[31mb"), "problem port       a???[31mb"),
        ];
        for (finding, line) in findings {
            assert_eq!(finding.to_string(), line);
        }
        let long = Subject("port").ok("ก".repeat(TEXT_CHARS_MAX + 1));
        assert_eq!(long.to_string().chars().filter(|c| *c == 'ก').count(), TEXT_CHARS_MAX);
    }

    #[test]
    fn what_is_not_in_order_is_counted() {
        let mut tally = Tally::default();
        assert_eq!(tally.to_string(), "0 problems, 0 warnings");
        for finding in [
            Subject("a").ok(""),
            Subject("b").warning(""),
            Subject("c").problem(""),
            Subject("d").warning(""),
        ] {
            tally.add(&finding);
        }
        assert_eq!(tally, Tally { warnings: 2, problems: 1 });
        assert_eq!(tally.to_string(), "1 problem, 2 warnings");
    }
}
