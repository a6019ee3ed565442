//! From a level and a message to a line with its time. The only user of `simplelog`.
//!
//! Whatever a client sends may end up in a line, so what could forge a line, or move the cursor of
//! a terminal, is escaped on the way out.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, FormatItem, WriteLogger, format_description};

use crate::config::LogFormat;

/// Of a message. What is longer is cut: a log is no place for a client's document.
const MESSAGE_BYTES_MAX: usize = 4096;

const TEXT_TIME: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The time and all before it; the rest of the object is the line's message.
const JSON_TIME: &[FormatItem<'_>] = format_description!(
    "{\"time\":\"[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z\","
);

/// Makes lines. Time and message are simplelog's; the level is ours, for it puts that into
/// brackets.
pub(super) struct Renderer {
    format: LogFormat,
    inner: Box<WriteLogger<Piecewise>>,
    line: Piecewise,
}

/// What simplelog writes a line into, in a dozen pieces. It keeps the one and only other handle
/// for itself, so the lock is always free.
#[derive(Clone, Default)]
struct Piecewise(Arc<Mutex<Vec<u8>>>);

impl Renderer {
    /// For events of every level: less important ones are stopped where they are made.
    pub(super) fn new(format: LogFormat) -> Self {
        let time = match format {
            LogFormat::Text => TEXT_TIME,
            LogFormat::Json => JSON_TIME,
        };
        let config = ConfigBuilder::new()
            .set_time_format_custom(time)
            .set_max_level(LevelFilter::Off)
            .set_thread_level(LevelFilter::Off)
            .set_target_level(LevelFilter::Off)
            .set_location_level(LevelFilter::Off)
            .build();
        let line = Piecewise::default();
        let inner = WriteLogger::new(LevelFilter::Trace, config, line.clone());
        Self { format, inner, line }
    }

    /// The whole line, with its end. Its time is that of the call.
    pub(super) fn line(&self, level: Level, message: &str) -> Vec<u8> {
        let line = match self.format {
            LogFormat::Text => format!("{level:<5} {}", text(message)),
            LogFormat::Json => format!("\"level\":\"{level}\",\"message\":{}}}", json(message)),
        };
        let metadata = Metadata::builder().level(level).build();
        self.inner.log(&Record::builder().metadata(metadata).args(format_args!("{line}")).build());
        std::mem::take(&mut *self.line.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Piecewise {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// At most [`MESSAGE_BYTES_MAX`] bytes of `message`.
pub(super) fn cut(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES_MAX {
        let end = (0..=MESSAGE_BYTES_MAX).rev().find(|end| message.is_char_boundary(*end));
        message.truncate(end.unwrap_or(0));
        message.push('…');
    }
    message
}

/// Whether a terminal, or a program that reads lines, may take `character` for more than text:
/// controls, other ends of lines, and what turns the direction of writing.
fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}')
        || matches!(character, '\u{2066}'..='\u{2069}')
}

/// `message` with what is dangerous as Rust writes it in a literal.
fn text(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for character in message.chars() {
        if is_dangerous(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// `message` as a JSON string, also with those escapes that JSON does not ask for.
fn json(message: &str) -> String {
    let string = serde_json::Value::from(message).to_string();
    let mut line = String::with_capacity(string.len());
    for character in string.chars() {
        if is_dangerous(character) {
            // All of them are below U+10000: one escape each.
            write!(line, "\\u{:04x}", u32::from(character)).expect("a String takes everything");
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The one line of an event, without its end.
    fn line(format: LogFormat, level: Level, message: &str) -> String {
        let renderer = Renderer::new(format);
        let line = String::from_utf8(renderer.line(level, message)).expect("UTF-8");
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        line.strip_suffix('\n').expect("a whole line").to_owned()
    }

    fn is_time(text: &str) -> bool {
        let shape: String =
            text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        shape == "0000-00-00T00:00:00.000Z"
    }

    #[test]
    fn a_line_of_text_has_time_level_and_message() {
        for (level, message, expected) in [
            (Level::Error, "gone", "ERROR gone"),
            (Level::Warn, "สวัสดี \"you\" \\n", "WARN  สวัสดี \"you\" \\n"),
            (Level::Info, "", "INFO  "),
        ] {
            let line = line(LogFormat::Text, level, message);
            let (time, rest) = line.split_once(' ').expect("a time");
            assert!(is_time(time), "{time}");
            assert_eq!(rest, expected);
        }
    }

    #[test]
    fn a_line_of_json_is_one_object_with_time_level_and_message() {
        for message in ["gone", "สวัสดี \"you\" \\n", "a\nb\r\u{1b}[2J\u{7f}\u{9b}\u{2028}", ""]
        {
            let line = line(LogFormat::Json, Level::Warn, message);
            assert!(!line.chars().any(is_dangerous), "{line}");
            let mut value: Value = serde_json::from_str(&line).expect("JSON");
            assert!(is_time(value["time"].as_str().expect("a string")), "{line}");
            value["time"] = Value::Null;
            assert_eq!(value, json!({ "time": null, "level": "WARN", "message": message }));
        }
    }

    #[test]
    fn nobody_can_forge_a_line_or_move_the_cursor() {
        let forged = "a\nINFO  b\r\u{1b}[2J\u{8}\u{85}\u{9b}\u{2029}\u{202e}";
        let line = line(LogFormat::Text, Level::Info, forged);
        assert!(!line.chars().any(is_dangerous), "{line}");
        let end = "a\\nINFO  b\\r\\u{1b}[2J\\u{8}\\u{85}\\u{9b}\\u{2029}\\u{202e}";
        assert!(line.ends_with(end), "{line}");
        assert_eq!(text("ก\u{200b}ข 👩\u{200d}💻"), "ก\u{200b}ข 👩\u{200d}💻", "just text");
    }

    #[test]
    fn long_messages_are_cut() {
        let longest = "x".repeat(MESSAGE_BYTES_MAX);
        assert_eq!(cut(longest.clone()), longest);
        assert_eq!(cut(format!("{longest}y")), format!("{longest}…"));
        let thai = cut("ก".repeat(MESSAGE_BYTES_MAX));
        assert_eq!(thai, format!("{}…", "ก".repeat(MESSAGE_BYTES_MAX / 3)));
    }
}
