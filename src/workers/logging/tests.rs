//! The log as a whole: from an event to what its output got, without the writer's thread.

use std::collections::VecDeque;
use std::fmt;

use super::queue::LINES_MAX;
use super::sums::LINES_PER_KIND_MAX;
use super::*;

/// An output: what it is given, piece by piece, and how it answers the next calls; after them it
/// takes everything.
#[derive(Default)]
struct Output {
    pieces: Vec<String>,
    answers: VecDeque<io::Result<usize>>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.answers.pop_front().unwrap_or(Ok(bytes.len()))?.min(bytes.len());
        self.pieces.push(String::from_utf8(bytes[..count].to_vec()).expect("UTF-8"));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A logger whose clock stands, and its writer.
fn writer(answers: impl IntoIterator<Item = io::Result<usize>>) -> Writer<Output> {
    let logger = Logger::new(LogFormat::Text, || 0);
    let answers = answers.into_iter().collect();
    Writer::new(Arc::new(logger), Output { answers, ..Output::default() })
}

/// Logs an event of the kind that `place` is.
fn log(
    writer: &Writer<Output>,
    place: u32,
    level: Level,
    target: &str,
    message: impl fmt::Display,
) {
    let mut record = Record::builder();
    record.level(level).target(target).file_static(Some("a.rs")).line(Some(place));
    writer.logger.log(&record.args(format_args!("{message}")).build());
}

/// All that waits is written; the pieces without their times.
fn written(writer: &mut Writer<Output>) -> Vec<String> {
    while !writer.logger.queue.is_empty() {
        writer.go_on();
    }
    let pieces = writer.out.pieces.drain(..);
    pieces
        .map(|piece| piece.split_once("Z ").map_or(piece.clone(), |(_, rest)| rest.to_owned()))
        .collect()
}

#[test]
fn only_our_own_events_are_written_each_in_one_piece() {
    let mut writer = writer([]);
    for (level, target, expected) in [
        (Level::Info, "sync_server", "INFO  x\n"),
        (Level::Error, "sync_server::net::listener", "ERROR x\n"),
        (Level::Trace, "sync_server", "TRACE x\n"),
        (Level::Error, "tungstenite::protocol", ""),
        (Level::Info, "mio", ""),
    ] {
        log(&writer, 1, level, target, "x");
        assert_eq!(written(&mut writer).concat(), expected, "{level} {target}");
    }
}

#[test]
fn lines_of_one_kind_are_summed_up_and_others_are_not() {
    let mut writer = writer([]);
    for number in 0..1_000 {
        log(&writer, 1, Level::Debug, OWN_TARGET, format_args!("client {number}: gone"));
    }
    log(&writer, 2, Level::Info, OWN_TARGET, "something else");
    writer.logger.flush();
    let lines = written(&mut writer);
    let few = usize::try_from(LINES_PER_KIND_MAX).expect("it is small");
    assert_eq!(lines.len(), few + 2, "{lines:?}");
    assert_eq!(lines[few - 1], format!("DEBUG client {}: gone\n", few - 1));
    assert_eq!(lines[few], "INFO  something else\n");
    let more = 1_000 - few;
    let sum = format!("DEBUG … and {more} more like it in the last second: client 0: gone\n");
    assert_eq!(lines[few + 1], sum);
}

#[test]
fn what_is_not_written_is_not_formatted() {
    struct Formatted;
    impl fmt::Display for Formatted {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("nothing asked for it")
        }
    }
    let writer = writer([]);
    for _ in 0..LINES_PER_KIND_MAX {
        log(&writer, 1, Level::Debug, OWN_TARGET, "x");
    }
    log(&writer, 1, Level::Debug, OWN_TARGET, Formatted);
}

#[test]
fn an_event_may_log_while_it_is_formatted() {
    struct Talkative<'a>(&'a Writer<Output>);
    impl fmt::Display for Talkative<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            log(self.0, 2, Level::Info, OWN_TARGET, "inner");
            f.write_str("outer")
        }
    }
    let mut writer = writer([]);
    log(&writer, 1, Level::Info, OWN_TARGET, Talkative(&writer));
    assert_eq!(written(&mut writer), ["INFO  inner\n", "INFO  outer\n"]);
}

#[test]
fn a_reader_that_stalled_is_told_how_many_lines_it_missed() {
    let mut writer = writer([]);
    for place in 0..5_000 {
        log(&writer, place % 255, Level::Info, OWN_TARGET, place);
        if place % 250 == 0 {
            writer.logger.settle();
        }
    }
    let lost = 5_000 - LINES_MAX;
    let lines = written(&mut writer);
    assert_eq!((lines.len(), &lines[1_023][..]), (LINES_MAX, "INFO  1023\n"));
    writer.go_on();
    let notice = format!("WARN  {lost} lines of this log were dropped, {lost} in all\n");
    assert_eq!(written(&mut writer), [notice], "though nothing more is logged");
    assert_eq!(writer.logger.queue.dropped(), lost as u64);
}

#[test]
fn an_output_that_is_closed_harms_nothing() {
    let closed = || Err(io::ErrorKind::BrokenPipe.into());
    let mut writer = writer((0..6).map(|_| closed()));
    for lost in 1..=3 {
        log(&writer, 1, Level::Error, OWN_TARGET, "unread");
        assert_eq!(written(&mut writer), [""; 0]);
        assert_eq!(writer.logger.queue.dropped(), lost);
    }
}

#[test]
fn an_output_without_a_place_is_asked_again_and_one_that_fails_tears_no_second_line() {
    let full = || Err(io::ErrorKind::WouldBlock.into());
    let failed = || Err(io::ErrorKind::StorageFull.into());
    let mut writer = writer([full(), Ok(30), full(), Ok(10_000), Ok(30), failed(), failed()]);
    log(&writer, 1, Level::Info, OWN_TARGET, "it comes out whole");
    assert_eq!(written(&mut writer).concat(), "INFO  it comes out whole\n");
    log(&writer, 1, Level::Info, OWN_TARGET, "torn");
    log(&writer, 1, Level::Info, OWN_TARGET, "lost");
    assert_eq!(written(&mut writer), ["INFO "]);
    log(&writer, 1, Level::Info, OWN_TARGET, "last");
    let notice = "WARN  2 lines of this log were dropped, 2 in all\n";
    assert_eq!(written(&mut writer), ["\n", notice, "INFO  last\n"]);
}
