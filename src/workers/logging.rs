//! The log: one line an event on standard error, as text or as JSON.
//!
//! Whatever a client sends may end up in a line, so what could forge a line, or move the cursor of
//! a terminal, is escaped on the way out. A line is written in one piece; one that
//! cannot be written is lost, and nothing else happens.

use std::fmt::Write as _;
use std::io::{self, Write};

use log::{LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, FormatItem, WriteLogger, format_description};

use crate::config::LogFormat;

/// Of a message. What is longer is cut: a log is no place for a client's document.
const MESSAGE_BYTES_MAX: usize = 4096;

/// What the targets of our own modules begin with. Only they are heard: what libraries log may
/// hold messages, and what matters of it comes back as an error anyway.
const OWN_TARGET: &str = "sync_server";

const TEXT_TIME: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The time and all before it; the rest of the object is the line's message.
const JSON_TIME: &[FormatItem<'_>] = format_description!(
    "{\"time\":\"[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z\","
);

/// Starts logging to standard error, what is at least as important as `level`. Only the first
/// call in a process counts.
pub fn start(level: LevelFilter, format: LogFormat) {
    if log::set_boxed_logger(logger(format, io::stderr())).is_ok() {
        set_level(level);
    }
}

/// From here on only what is at least as important as `level` is logged.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// Logs events of every level: less important ones are stopped where they are made.
fn logger(format: LogFormat, out: impl Write + Send + 'static) -> Box<dyn Log> {
    let time = match format {
        LogFormat::Text => TEXT_TIME,
        LogFormat::Json => JSON_TIME,
    };
    // Time and message are simplelog's; the level is ours, for it puts that into brackets.
    let config = ConfigBuilder::new()
        .set_time_format_custom(time)
        .set_max_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .add_filter_allow_str(OWN_TARGET)
        .build();
    let lines = WholeLines { out, line: Vec::new() };
    Box::new(Renderer { format, inner: WriteLogger::new(LevelFilter::Trace, config, lines) })
}

/// Makes a line of level and message, before the logger behind it locks its output: a message
/// that logs or panics while it is formatted harms no other.
struct Renderer<L> {
    format: LogFormat,
    inner: Box<L>,
}

impl<L: Log> Log for Renderer<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(OWN_TARGET) && self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = cut(record.args().to_string());
        let level = record.level();
        let line = match self.format {
            LogFormat::Text => format!("{level:<5} {}", text(&message)),
            LogFormat::Json => format!("\"level\":\"{level}\",\"message\":{}}}", json(&message)),
        };
        let mut rendered = Record::builder();
        rendered.metadata(record.metadata().clone());
        self.inner.log(&rendered.args(format_args!("{line}")).build());
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

/// Collects what is written until a line is whole, and then writes it at once: simplelog writes a
/// line in a dozen pieces, each of which would be a system call.
struct WholeLines<W> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> Write for WholeLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if bytes.ends_with(b"\n") {
            let result = self.out.write_all(&self.line);
            self.line.clear();
            result?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// At most [`MESSAGE_BYTES_MAX`] bytes of `message`.
fn cut(mut message: String) -> String {
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
    use std::sync::{Arc, Mutex};

    use log::Level;
    use serde_json::{Value, json};

    use super::*;

    /// Where a test's lines go: what each call of `write` got.
    #[derive(Clone, Default)]
    struct Pieces(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An output that is closed.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    fn log_to(logger: &dyn Log, level: Level, target: &str, message: &str) {
        let mut record = Record::builder();
        record.level(level).target(target);
        logger.log(&record.args(format_args!("{message}")).build());
    }

    /// The pieces that one event is written in.
    fn pieces(format: LogFormat, level: Level, target: &str, message: &str) -> Vec<String> {
        let out = Pieces::default();
        log_to(&*logger(format, out.clone()), level, target, message);
        let pieces = out.0.lock().expect("not poisoned");
        pieces.iter().map(|piece| String::from_utf8(piece.clone()).expect("UTF-8")).collect()
    }

    /// The one line of an event, without its end.
    fn line(format: LogFormat, level: Level, message: &str) -> String {
        let mut pieces = pieces(format, level, "sync_server::net", message);
        assert_eq!(pieces.len(), 1, "{pieces:?}");
        let line = pieces.pop().expect("one piece");
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
    fn only_our_own_events_are_written() {
        for format in [LogFormat::Text, LogFormat::Json] {
            for (level, target, expected) in [
                (Level::Info, "sync_server", 1),
                (Level::Error, "sync_server::net::listener", 1),
                (Level::Trace, "sync_server", 1),
                (Level::Error, "tungstenite::protocol", 0),
                (Level::Info, "mio", 0),
            ] {
                let count = pieces(format, level, target, "x").len();
                assert_eq!(count, expected, "{level} {target}");
            }
        }
    }

    #[test]
    fn long_messages_are_cut() {
        let rendered = |message: &str| {
            let line = line(LogFormat::Text, Level::Info, message);
            line.split_once("INFO  ").expect("a level").1.to_owned()
        };
        let longest = "x".repeat(MESSAGE_BYTES_MAX);
        assert_eq!(rendered(&longest), longest);
        assert_eq!(rendered(&format!("{longest}y")), format!("{longest}…"));
        let thai = rendered(&"ก".repeat(MESSAGE_BYTES_MAX));
        assert_eq!(thai, format!("{}…", "ก".repeat(MESSAGE_BYTES_MAX / 3)));
    }

    #[test]
    fn an_output_that_is_closed_harms_nobody() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let logger = logger(format, Closed);
            for _ in 0..3 {
                log_to(&*logger, Level::Error, "sync_server", "nobody reads this");
            }
            logger.flush();
        }
        let mut lines = WholeLines { out: Closed, line: Vec::new() };
        for _ in 0..3 {
            assert!(writeln!(lines, "nobody reads this").is_err());
            assert!(lines.line.is_empty(), "what is lost is not kept");
        }
    }
}
