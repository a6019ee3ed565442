//! One server for one data directory: a lock that the kernel holds as long as the process lives,
//! and gives up whichever way it ends. The console's commands do not need it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use log::warn;

use super::contract::StoreError;

/// The file's name in the data directory.
const FILE_NAME: &str = "sync.lock";
/// Bytes that are read of what another server has written into it.
const TEXT_BYTES_MAX: u64 = 200;

/// A data directory as long as it belongs to this server.
#[derive(Debug)]
pub struct Claim {
    /// `None`: there is nothing to be claimed, or this file system has no locks.
    file: Option<File>,
    _directory: Option<File>,
}

impl Claim {
    /// Of nothing: the data is in a database that takes several servers.
    pub(super) fn nothing() -> Self {
        Self { file: None, _directory: None }
    }

    /// Claims `dir`, which is made if it is missing, for the process `process_id`. On a file system
    /// without locks the log says so and the start goes on: whether the database can live there,
    /// it finds out by itself.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if another server has it; [`StoreError::Damaged`] if it cannot
    /// be written to.
    pub(super) fn of(dir: &Path, process_id: u32) -> Result<Self, StoreError> {
        let path = dir.join(FILE_NAME);
        let mut file = open(dir, &path).map_err(|error| {
            StoreError::Damaged(format!("cannot write to {}: {error}", path.display()))
        })?;
        // The directory as well: a lock file may be taken for a left-over and removed.
        let directory = File::open(dir).map_err(|error| {
            StoreError::Damaged(format!("cannot read {}: {error}", dir.display()))
        })?;
        match file.try_lock().and_then(|()| directory.try_lock()) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Unavailable(format!(
                    "{} is in use by another server ({}): stop that one, or give this one another \
                     DATA_DIR",
                    dir.display(),
                    owner(&mut file)
                )));
            }
            Err(TryLockError::Error(error)) => {
                warn!("cannot lock {}: {error}; see that no other server uses it", path.display());
                return Ok(Self::nothing());
            }
        }
        let claim = Self { file: Some(file), _directory: Some(directory) };
        claim.write(&format!("process {process_id}"));
        Ok(claim)
    }

    /// Has the next server that wants the same told `owner`: which process has it, and where it
    /// listens.
    pub fn write(&self, owner: &str) {
        let Some(mut file) = self.file.as_ref() else { return };
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(owner.as_bytes()));
        // On a full disk, for one: it is the lock that counts.
        if let Err(error) = written {
            warn!("cannot write to sync.lock: {error}");
        }
    }
}

fn open(dir: &Path, path: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // What another server has written is kept until the lock is ours.
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// What the server that holds the lock says of itself.
fn owner(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(TEXT_BYTES_MAX).read_to_string(&mut text) {
        Ok(bytes) if bytes > 0 => text.replace(char::is_control, " "),
        _ => "it has not said which".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_which_is_the_first_until_that_is_gone() {
        let dir = std::env::temp_dir().join(format!("sync-claim-{}", std::process::id()));
        let first = Claim::of(&dir, 7).expect("it is free");
        let refused = |expected: &str| {
            let error = Claim::of(&dir, 8).expect_err("it is in use").to_string();
            assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
        };
        refused("(process 7)");
        first.write("process 7, listening on http://127.0.0.1:3001");
        refused("(process 7, listening on http://127.0.0.1:3001)");
        drop(first);
        let second = Claim::of(&dir, 8).expect("it is free again");
        refused("(process 8)");
        drop(second);
        std::fs::remove_dir_all(&dir).expect("it was made here");
    }
}
