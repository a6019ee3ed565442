//! What is to be said of the machine: files, memory, data directory, port, clock. Pure: facts in,
//! findings out.

use std::path::{Display, PathBuf};

use super::finding::{Finding, Subject};
use crate::api::Health;
use crate::base::time::UnixMillis;
use crate::config::{Config, Limits};
use crate::net::{FILES_RESERVED, FileLimit};

/// The subject of what is said of the settings.
pub(super) const SETTINGS: Subject = Subject("settings");
/// What the program needs beside what clients make it keep: itself, its store, and one password
/// that is being hashed, in bytes.
const PROGRAM_BYTES: u64 = 32 << 20;
/// Ancestors of a group that are looked at; the limit of each holds for all below it.
const ANCESTORS_MAX: usize = 32;
/// From here on a limit of version 1 means that there is none: it writes the largest number of
/// whole pages.
const NO_LIMIT_BYTES: u64 = 1 << 60;
/// Fewer connections than these are of no use to anybody.
const CONNECTIONS_USEFUL: u64 = 64;
/// The least that `MEMORY_BUDGET_BYTES` may be.
const BUDGET_BYTES_MIN: u64 = 8 << 20;
/// Free space below which a room's document may not fit, in bytes.
const FREE_BYTES_NEEDED: u64 = 32 << 20;
/// Free space below which it is time to look, in bytes.
const FREE_BYTES_ADVISED: u64 = 256 << 20;
/// Dates between which a clock can be right: from the year of this program on, for a lifetime.
const YEARS: (UnixMillis, UnixMillis) =
    (UnixMillis(1_767_225_600_000), UnixMillis(4_102_444_800_000));
/// Between two clocks: what requests under way and whole seconds explain.
const SKEW_SECONDS_ADVISED: u64 = 10;
/// Between two clocks: from here on logins and links end at the wrong time.
const SKEW_SECONDS_MAX: u64 = 300;

/// How much memory there is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MachineMemory {
    /// The smallest limit of the control groups.
    pub(super) group_limit: Option<u64>,
    /// What the machine has.
    pub(super) machine: Option<u64>,
}

/// The data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DataDirectory {
    pub(super) path: PathBuf,
    /// The number of the user that asks.
    pub(super) user: u32,
    pub(super) state: DirectoryState,
}

/// What is at its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DirectoryState {
    /// A directory.
    Directory { owner: u32, is_writable: bool, free_bytes: u64, has_free_files: bool },
    /// Nothing. `parent` is the nearest directory above that exists.
    Missing { parent: PathBuf, is_parent_writable: bool },
    /// Something else, or the system says why it cannot be told.
    Blocked(String),
}

/// What is at the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// A sync server, here.
    Running(Health, String),
    /// Nothing; the address can be listened on.
    Free(String),
    /// The system chooses one at each start.
    Any,
    /// Another program, or the address cannot be had: one line.
    Unusable(String),
}

/// A clock that ours is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OtherClock {
    pub(super) name: &'static str,
    /// What it said, in seconds since the Unix epoch.
    pub(super) seconds: i64,
    /// What ours said then.
    pub(super) ours: i64,
}

/// Files that may hold a limit, for a process whose `/proc/self/cgroup` is `groups`.
pub(super) fn group_limit_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let [number, controllers, path] = line.splitn(3, ':').collect::<Vec<_>>()[..] else {
            continue;
        };
        if number == "0" && controllers.is_empty() {
            push_files("/sys/fs/cgroup", path, "memory.max", &mut files);
        } else if controllers.split(',').any(|controller| controller == "memory") {
            push_files("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes", &mut files);
        }
    }
    files
}

/// The limit that such a file says, in bytes.
pub(super) fn group_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < NO_LIMIT_BYTES)
}

pub(super) fn judge_settings(config: &Config) -> Vec<Finding> {
    let warnings = config.warnings();
    if warnings.is_empty() {
        return vec![SETTINGS.ok("valid")];
    }
    warnings.into_iter().map(|line| SETTINGS.warning(line)).collect()
}

pub(super) fn judge_open_files(limit: FileLimit, limits: &Limits) -> Finding {
    let subject = Subject("open files");
    let wanted = u64::from(limits.connections_max);
    let fitting = limit.hard.saturating_sub(FILES_RESERVED);
    let hard = if limit.hard == u64::MAX { "any number" } else { &limit.hard.to_string() };
    if fitting >= wanted {
        return subject.ok(format!("at most {hard}, enough for MAX_CONNECTIONS={wanted}"));
    }
    let text = format!(
        "at most {hard}, so only {} connections fit instead of MAX_CONNECTIONS={wanted}: raise the \
         limit to {} (LimitNOFILE= of a systemd unit, ulimits: in Compose, ulimit -n in a shell), \
         or lower MAX_CONNECTIONS",
        fitting.max(1),
        wanted + FILES_RESERVED
    );
    subject.problem_if(fitting < wanted.min(CONNECTIONS_USEFUL), text)
}

pub(super) fn judge_memory(memory: MachineMemory, limits: &Limits) -> Finding {
    let subject = Subject("memory");
    let budget = limits.memory_budget_bytes as u64;
    let needed = budget + PROGRAM_BYTES;
    let of_machine = memory.machine.map(|bytes| (bytes, "this machine has"));
    let of_group = memory.group_limit.map(|bytes| (bytes, "the limit here (of the cgroup) is"));
    let Some((bytes, whose)) = of_machine.into_iter().chain(of_group).min() else {
        return subject.ok("no limit is known");
    };
    let (has, wants) = (mebibytes(bytes), mebibytes(budget));
    if bytes >= needed {
        return subject.ok(format!("{whose} {has}, MEMORY_BUDGET_BYTES is {wants}"));
    }
    let least = (limits.send_queue_bytes_max as u64).max(BUDGET_BYTES_MIN);
    let fitting = bytes.saturating_sub(PROGRAM_BYTES) >> 20;
    let advice = if fitting << 20 >= least {
        format!("set MEMORY_BUDGET_BYTES={fitting}MiB, or raise it to {}", mebibytes(needed))
    } else {
        format!("raise it to {} at least", mebibytes(least + PROGRAM_BYTES))
    };
    let text = format!(
        "{whose} {has}, less than MEMORY_BUDGET_BYTES ({wants}) and {} for the program itself: \
         {advice}",
        mebibytes(PROGRAM_BYTES)
    );
    subject.problem_if(bytes < budget, text)
}

pub(super) fn judge_data_directory(directory: &DataDirectory) -> Vec<Finding> {
    let subject = Subject("data");
    let path = directory.path.display();
    let user = directory.user;
    let finding = match &directory.state {
        DirectoryState::Blocked(why) => subject.problem(format!(
            "{path}: {why}; DATA_DIR must name a directory that the server may write to"
        )),
        DirectoryState::Missing { parent, is_parent_writable: true } => {
            let parent = parent.display();
            subject.ok(format!("{path} is not there; the first start makes it in {parent}"))
        }
        DirectoryState::Missing { parent, is_parent_writable: false } => subject.problem(format!(
            "{path} is not there, and user {user} may not make it in {}: make it, and give it to \
             the server's user (install -d -m 700 -o USER {path}), or set DATA_DIR",
            parent.display()
        )),
        DirectoryState::Directory { is_writable: false, owner, .. } => subject.problem(format!(
            "{path} belongs to user {owner} and cannot be written to by user {user}: give it to \
             the server's user (chown -R USER {path}), mount it writable, or set DATA_DIR"
        )),
        &DirectoryState::Directory { owner, free_bytes, has_free_files, .. } => {
            let mut findings = vec![judge_free_space(subject, &path, free_bytes, has_free_files)];
            if owner != user {
                findings.push(subject.warning(format!(
                    "{path} belongs to user {owner}, and this is user {user}: run the doctor as \
                     the server's user to see what the server may do"
                )));
            }
            return findings;
        }
    };
    vec![finding]
}

pub(super) fn judge_port(port: &Port) -> Finding {
    let subject = Subject("port");
    let ours = env!("CARGO_PKG_VERSION");
    match port {
        Port::Running(health, address) if health.version == ours => {
            subject.ok(format!("a server is running on {address}, version {ours}"))
        }
        Port::Running(health, address) => subject.warning(format!(
            "a server is running on {address}, but it is version {} and this program is {ours}: \
             restart it",
            health.version
        )),
        Port::Free(address) => subject.ok(format!("{address} is free; no server is running")),
        Port::Any => {
            subject.warning("PORT=0 lets the system choose another one at each start: set PORT")
        }
        Port::Unusable(why) => {
            subject.problem(format!("{why}: stop what is there, or set another PORT or BIND_ADDR"))
        }
    }
}

pub(super) fn judge_clock(now: UnixMillis, others: &[OtherClock]) -> Finding {
    let subject = Subject("clock");
    let advice = "set it, best by NTP (timedatectl set-ntp true)";
    let shown = now.rfc3339();
    if now < YEARS.0 || now > YEARS.1 {
        return subject.problem(format!("it says {shown}, which cannot be: {advice}"));
    }
    let skew = |other: &OtherClock| other.seconds.abs_diff(other.ours);
    let Some(worst) = others.iter().max_by_key(|other| skew(other)) else {
        return subject.ok(shown);
    };
    let seconds = skew(worst);
    if seconds <= SKEW_SECONDS_ADVISED {
        let names: Vec<&str> = others.iter().map(|other| other.name).collect();
        return subject.ok(format!("{shown}, in step with {}", names.join(" and ")));
    }
    let direction = if worst.ours > worst.seconds { "ahead of" } else { "behind" };
    let text = format!("{seconds} s {direction} that of {}: {advice}", worst.name);
    subject.problem_if(seconds > SKEW_SECONDS_MAX, text)
}

fn judge_free_space(subject: Subject, path: &Display<'_>, bytes: u64, has_files: bool) -> Finding {
    if !has_files {
        return subject.problem(format!("{path}: the file system takes no further file"));
    }
    let text = format!("{path} is writable, {} are free", mebibytes(bytes));
    if bytes >= FREE_BYTES_ADVISED {
        return subject.ok(text);
    }
    let text = format!("{text}: make room, or set DATA_DIR to another disk");
    subject.problem_if(bytes < FREE_BYTES_NEEDED, text)
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// The file called `name` in each group from `path` up to the root. In a container the path may
/// be that of the host; the root, which is the container's own group there, is always among them.
fn push_files(root: &str, path: &str, name: &str, files: &mut Vec<String>) {
    let is_group = |part: &&str| !part.is_empty() && *part != "..";
    let mut parts: Vec<&str> = path.split('/').filter(is_group).take(ANCESTORS_MAX).collect();
    loop {
        let whole: Vec<&str> = [&[root], &parts[..], &[name]].concat();
        files.push(whole.join("/"));
        if parts.pop().is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
