//! What the operating system says of this process. It reads a few files of `/proc`, so it belongs
//! on a worker.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::logging;
use crate::base::metrics::ProcessFacts;

/// The unit of times in `/proc/PID/stat`: `USER_HZ`, which is 100 on every architecture that the
/// server is built for (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// The facts; `None` where there is no `/proc`.
pub fn facts() -> Option<ProcessFacts> {
    let open_files = u64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()?;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let limit = getrlimit(Resource::Nofile).current;
    parse(&stat, &statm, rustix::param::page_size() as u64).map(|facts| ProcessFacts {
        // Listing them opens one.
        open_files: open_files.saturating_sub(1),
        open_files_max: limit.unwrap_or(u64::MAX),
        log_lines_dropped: logging::dropped(),
        ..facts
    })
}

/// What `stat` and `statm` say (proc(5)).
fn parse(stat: &str, statm: &str, page_bytes: u64) -> Option<ProcessFacts> {
    // The name of the program may hold anything, parentheses and blanks too.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: Vec<f64> = fields.split(' ').skip(11).take(2).flat_map(str::parse).collect();
    let pages: Vec<u64> = statm.split(' ').take(2).flat_map(str::parse).collect();
    let (&[user, system], &[total, resident]) = (&ticks[..], &pages[..]) else { return None };
    Some(ProcessFacts {
        resident_bytes: resident * page_bytes,
        virtual_bytes: total * page_bytes,
        processor_seconds: (user + system) / TICKS_PER_SECOND,
        open_files: 0,
        open_files_max: 0,
        log_lines_dropped: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_name_hides_nothing() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 150 25 0 0 20 0 3 0 9 8 7";
        let facts = parse(stat, "2000 500 300 1 0 100 0\n", 4096).expect("it is whole");
        assert_eq!((facts.virtual_bytes, facts.resident_bytes), (2000 * 4096, 500 * 4096));
        assert!((facts.processor_seconds - 1.75).abs() < 1e-9);
        assert_eq!(parse("42 (a", "1 2", 4096), None);
        assert_eq!(parse(stat, "", 4096), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_files() {
        let facts = facts().expect("Linux has /proc");
        assert!(facts.resident_bytes > 100_000 && facts.virtual_bytes >= facts.resident_bytes);
        assert!((3..facts.open_files_max).contains(&facts.open_files), "{facts:?}");
    }
}
