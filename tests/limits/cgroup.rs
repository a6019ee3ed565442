//! A real limit of memory for a process: a control group of its own, version 2 or 1
//! (cgroups(7)). Where nobody may make one, there is none, and the test has to look itself.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A control group with a limit of memory. Removed when the value is dropped, for which its
/// processes must have ended.
#[derive(Debug)]
pub(crate) struct MemoryGroup {
    folder: PathBuf,
    /// The files that say how much memory its processes had at most.
    peaks: &'static [&'static str],
}

/// Where groups are made, and what the files in them are called.
struct Kind {
    root: &'static str,
    limit: &'static str,
    /// Also limits swap, so that the limit is one of memory.
    swap: (&'static str, Swap),
    /// Has the buffers of TCP sockets counted, which version 1 counts apart, and only if they have
    /// a limit.
    sockets: Option<&'static str>,
    peaks: &'static [&'static str],
}

enum Swap {
    None,
    /// The limit counts both together.
    Included,
}

const KINDS: [Kind; 2] = [
    Kind {
        root: "/sys/fs/cgroup",
        limit: "memory.max",
        swap: ("memory.swap.max", Swap::None),
        sockets: None,
        peaks: &["memory.peak"],
    },
    Kind {
        root: "/sys/fs/cgroup/memory",
        limit: "memory.limit_in_bytes",
        swap: ("memory.memsw.limit_in_bytes", Swap::Included),
        sockets: Some("memory.kmem.tcp.limit_in_bytes"),
        peaks: &["memory.max_usage_in_bytes", "memory.kmem.tcp.max_usage_in_bytes"],
    },
];

impl MemoryGroup {
    /// A group whose processes have `bytes` bytes at most; beyond that the kernel kills one.
    ///
    /// # Errors
    /// The system's: who is not root may make none, and in a container nobody may.
    pub(crate) fn with_limit(bytes: u64) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut refused = io::Error::from(io::ErrorKind::NotFound);
        for kind in &KINDS {
            let name = format!("khun-phaen-sync-test-{}-{count}", std::process::id());
            let group = Self { folder: Path::new(kind.root).join(name), peaks: kind.peaks };
            match group.set_up(kind, bytes) {
                Ok(()) => return Ok(group),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn set_up(&self, kind: &Kind, bytes: u64) -> io::Result<()> {
        fs::create_dir(&self.folder)?;
        // Only in a control group are there files already; elsewhere they would just be made.
        let set = |file: &str, bytes: u64| {
            let mut file = OpenOptions::new().write(true).open(self.folder.join(file))?;
            file.write_all(bytes.to_string().as_bytes())
        };
        set(kind.limit, bytes)?;
        let (file, swap) = &kind.swap;
        let allowed = match swap {
            Swap::None => 0,
            Swap::Included => bytes,
        };
        // A kernel without swap accounting has no such file, and then most often no swap.
        let _no_such_file = set(file, allowed);
        // More than there is to have: that both together keep the limit is for the test to say.
        kind.sockets.map_or(Ok(()), |file| set(file, 10 * bytes))
    }

    /// A shell command that puts the shell into the group, and what it executes with it.
    pub(crate) fn enter(&self) -> String {
        format!("echo $$ > {}", self.folder.join("cgroup.procs").display())
    }

    /// From here on only what comes counts for [`Self::peak_bytes`], where the kernel can do that.
    pub(crate) fn reset_peak(&self) {
        for peak in self.peaks {
            let _not_here = fs::write(self.folder.join(peak), "0");
        }
    }

    /// The most that its processes had, the kernel's memory for them included, in bytes. If it is
    /// counted in parts, they need not have been that large at the same time.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let peaks = self.peaks.iter().map(|peak| {
            fs::read_to_string(self.folder.join(peak)).ok()?.trim().parse::<u64>().ok()
        });
        peaks.sum()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _not_made = fs::remove_dir(&self.folder);
    }
}
