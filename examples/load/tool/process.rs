//! Processor time and memory of a process, and the limit of open files of ours. Linux: read from
//! `/proc` (proc(5)).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A hundredth of a second, in which `/proc/PID/stat` counts (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A process.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    folder: PathBuf,
}

/// What a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Processor time of all its threads.
    pub(crate) cpu: Duration,
    /// Resident memory now, in bytes.
    pub(crate) resident_bytes: u64,
    /// The most that it ever was.
    pub(crate) resident_bytes_peak: u64,
}

impl Process {
    /// The process with this id.
    pub(crate) fn with_id(pid: u32) -> Self {
        Self { folder: Path::new("/proc").join(pid.to_string()) }
    }

    /// This process.
    pub(crate) fn own() -> Self {
        Self { folder: "/proc/self".into() }
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// The system's: there is no such process, or no `/proc`.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let status = fs::read_to_string(self.folder.join("status"))?;
        // Nanoseconds if the kernel keeps them, else hundredths of a second.
        let cpu = self.cpu_of_threads().or_else(|_| self.cpu_in_ticks())?;
        Ok(Usage {
            cpu,
            resident_bytes: kilobytes(&status, "VmRSS:")? * 1024,
            resident_bytes_peak: kilobytes(&status, "VmHWM:")? * 1024,
        })
    }

    fn cpu_of_threads(&self) -> io::Result<Duration> {
        let mut total = Duration::ZERO;
        for thread in fs::read_dir(self.folder.join("task"))? {
            let statistics = fs::read_to_string(thread?.path().join("schedstat"))?;
            total += Duration::from_nanos(number(statistics.split(' ').next())?);
        }
        Ok(total)
    }

    fn cpu_in_ticks(&self) -> io::Result<Duration> {
        let statistics = fs::read_to_string(self.folder.join("stat"))?;
        // The name, in brackets, may hold anything; behind it, utime and stime are the twelfth and
        // the thirteenth.
        let fields = statistics.rsplit_once(')').map_or("", |(_, fields)| fields);
        let mut times = fields.split_ascii_whitespace().skip(11);
        let ticks = number(times.next())? + number(times.next())?;
        Ok(TICK * u32::try_from(ticks).unwrap_or(u32::MAX))
    }
}

fn number(text: Option<&str>) -> io::Result<u64> {
    text.and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| io::Error::other("an unknown format of /proc"))
}

fn kilobytes(status: &str, name: &str) -> io::Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    number(line.and_then(|line| line.trim().strip_suffix(" kB")))
}

/// Raises the limit of open files as far as this process may, and returns it.
pub(crate) fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_used_something() {
        let before = Process::own().usage().expect("Linux");
        // Long enough to be seen in ticks too.
        let mut sum = 0_u64;
        while Process::own().usage().expect("Linux").cpu < before.cpu + TICK * 3 {
            sum = (0..100_000).fold(sum, |sum, number| sum.wrapping_mul(31) ^ number);
        }
        let after = Process::with_id(std::process::id()).usage().expect("Linux");
        assert!(after.cpu > before.cpu, "{sum}");
        assert!(after.resident_bytes > 100_000);
        assert!(after.resident_bytes_peak >= after.resident_bytes);
        let ticks = Process::own().cpu_in_ticks().expect("Linux");
        assert!(ticks >= TICK, "{ticks:?} {after:?}");
    }

    #[test]
    fn there_may_be_no_such_process() {
        assert!(Process::with_id(u32::MAX).usage().is_err());
        assert!(kilobytes("VmRSS:\t7 MB\n", "VmRSS:").is_err());
        assert_eq!(kilobytes("A:\t1 kB\nVmRSS:\t  7 kB\n", "VmRSS:").ok(), Some(7));
    }
}
