//! The log: one line an event on standard error, as text or as JSON.
//!
//! Whatever a client sends may end up in a line, so control characters are escaped on the way
//! out: nobody can forge a line, or move the cursor of somebody who reads it.

use std::io::{self, Write};

use log::{LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, WriteLogger, format_description};

use crate::config::LogFormat;

/// Starts logging to standard error. Only the first call in a process counts.
pub fn start(level: LevelFilter, format: LogFormat) {
    let logger: Box<dyn Log> = match format {
        LogFormat::Text => text_logger(level, io::stderr()),
        LogFormat::Json => Box::new(JsonLogger { level }),
    };
    if log::set_boxed_logger(logger).is_ok() {
        log::set_max_level(level);
    }
}

/// `2026-11-23T11:39:29.007Z [INFO] message`, for our own modules only: libraries log at debug what
/// may hold messages.
fn text_logger(level: LevelFilter, out: impl Write + Send + 'static) -> Box<dyn Log> {
    let config = ConfigBuilder::new()
        .set_time_format_custom(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        ))
        .set_level_padding(simplelog::LevelPadding::Off)
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .add_filter_allow_str(OWN_TARGET)
        .build();
    Box::new(Escaping(WriteLogger::new(level, config, out)))
}

/// What the targets of our own modules begin with.
const OWN_TARGET: &str = "sync_server";

/// Escapes each message before the logger behind it writes it.
struct Escaping(Box<dyn Log>);

impl Log for Escaping {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let message = escaped(&record.args().to_string());
        self.0.log(
            &Record::builder()
                .metadata(record.metadata().clone())
                .args(format_args!("{message}"))
                .build(),
        );
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// One JSON object a line.
struct JsonLogger {
    level: LevelFilter,
}

#[derive(serde::Serialize)]
struct JsonLine<'a> {
    time: String,
    level: &'a str,
    message: String,
}

impl Log for JsonLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level && metadata.target().starts_with(OWN_TARGET)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = JsonLine {
            time: wall_clock(),
            level: record.level().as_str(),
            message: record.args().to_string(),
        };
        if let Ok(mut text) = serde_json::to_string(&line) {
            text.push('\n');
            let _nobody_reads = io::stderr().write_all(text.as_bytes());
        }
    }

    fn flush(&self) {}
}

fn wall_clock() -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    time::OffsetDateTime::now_utc().format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(target: &str, message: &str) -> String {
        let out = Shared::default();
        let logger = text_logger(LevelFilter::Info, out.clone());
        logger.log(
            &Record::builder()
                .level(log::Level::Warn)
                .target(target)
                .args(format_args!("{message}"))
                .build(),
        );
        let bytes = out.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn a_line_has_time_level_and_message() {
        let line = logged("sync_server::net", "สวัสดี");
        let (time, rest) = line.split_once(' ').expect("two parts");
        assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 24, "{time}");
        assert_eq!(rest, "[WARN] สวัสดี\n");
    }

    #[test]
    fn nobody_can_forge_a_line() {
        let line = logged("sync_server", "a\nb\r\u{1b}[2J\u{85}");
        assert!(line.ends_with("a\\nb\\r\\u{1b}[2J\\u{85}\n"), "{line}");
        assert_eq!(line.lines().count(), 1);
        assert_eq!(logged("sync_server", "\n").lines().count(), 1);
    }

    #[test]
    fn libraries_are_not_heard() {
        assert_eq!(logged("tungstenite::protocol", "a message body"), "");
    }
}
