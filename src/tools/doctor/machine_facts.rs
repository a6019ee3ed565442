//! Facts about this machine.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access, statvfs};
use rustix::process::geteuid;

use super::machine::{
    DataDirectory, DirectoryState, MachineMemory, Port, group_limit, group_limit_files,
};
use crate::config::Config;
use crate::net::Listener;
use crate::tools::client::Server;
use crate::tools::healthcheck::{self, HealthcheckError};

/// The memory there is. What the system does not say is not known.
pub(super) fn memory() -> MachineMemory {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = group_limit_files(&groups)
        .into_iter()
        .filter_map(|file| group_limit(&fs::read_to_string(file).ok()?));
    MachineMemory { group_limit: limits.min(), machine: machine_memory() }
}

/// What there is at `path`, or could be.
pub(super) fn data_directory(path: &Path) -> DataDirectory {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let state = state(&path);
    DataDirectory { path, user: geteuid().as_raw(), state }
}

/// What there is at the port, or at the Unix socket.
pub(super) fn port(config: &Config) -> Port {
    let Some(server) = Server::local(&config.bind_addr, config.port) else { return Port::Any };
    match healthcheck::check(config) {
        Ok(health) => Port::Running(health, server.to_string()),
        Err(HealthcheckError::Absent(_)) => free_port(config, &server),
        Err(error) => Port::Unusable(error.to_string()),
    }
}

/// Whether a server could listen at `address`, where none does.
fn free_port(config: &Config, address: &Server<'_>) -> Port {
    let Server::Unix(path) = address else {
        // As the server does it; the socket is closed again at once.
        return match Listener::bind(&config.bind_addr, config.port) {
            Ok(listener) => Port::Free(listener.to_string()),
            Err(error) => Port::Unusable(error.to_string()),
        };
    };
    // Here listening would leave a trace: a file, or one less.
    let directory = path.parent().unwrap_or(path);
    if directory.is_dir() && is_writable(directory) {
        Port::Free(address.to_string())
    } else {
        let directory = directory.display();
        Port::Unusable(format!("{directory} is no directory that one may write to"))
    }
}

fn state(path: &Path) -> DirectoryState {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => match statvfs(path) {
            Ok(system) => DirectoryState::Directory {
                owner: found.uid(),
                is_writable: is_writable(path),
                free_bytes: system.f_bavail.saturating_mul(system.f_frsize),
                // Some file systems do not count files, and have 0 of 0.
                has_free_files: system.f_files == 0 || system.f_favail > 0,
            },
            Err(error) => DirectoryState::Blocked(error.to_string()),
        },
        Ok(_) => DirectoryState::Blocked("it is no directory".to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let existing = path.ancestors().skip(1).find(|parent| parent.exists());
            match existing {
                Some(parent) => DirectoryState::Missing {
                    parent: parent.to_owned(),
                    is_parent_writable: parent.is_dir() && is_writable(parent),
                },
                None => DirectoryState::Blocked(error.to_string()),
            }
        }
        Err(error) => DirectoryState::Blocked(error.to_string()),
    }
}

fn is_writable(directory: &Path) -> bool {
    access(directory, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// `MemTotal` of /proc/meminfo, in bytes.
fn machine_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}
