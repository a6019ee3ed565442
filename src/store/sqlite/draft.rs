//! Files that get their name when they are whole: a database that is made, and a copy. What is
//! left of one whose making was interrupted has a name that no server opens.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use log::warn;

use super::guard::with_suffix;

/// What comes behind the name of a file that is being made.
const SUFFIX: &str = ".partial";
/// Drafts of one file that may lie beside it, as interrupted attempts leave them.
const DRAFTS_MAX: u32 = 100;

/// A new file beside the one that it is to become. Removed with this value, unless it was
/// [published](Self::publish).
pub(super) struct Draft {
    path: PathBuf,
    target: PathBuf,
}

impl Draft {
    /// An empty file for `target`, only for this user to read.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if there is a `target`, or if [`DRAFTS_MAX`] are left.
    pub(super) fn new(target: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(target).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        for number in 0..DRAFTS_MAX {
            let number = if number == 0 { String::new() } else { format!("-{number}") };
            let path = with_suffix(target, &format!("{SUFFIX}{number}"));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(_) => return Ok(Self { path, target: target.to_owned() }),
                // Another attempt's; whether that goes on cannot be told.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(
            ErrorKind::AlreadyExists,
            format!("too many {SUFFIX} files of interrupted attempts: remove them"),
        ))
    }

    /// Where it is now.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the whole file its name, durably.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if another process has made `target` meanwhile, which is left
    /// as it is.
    pub(super) fn publish(self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        match fs::hard_link(&self.path, &self.target) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
            // A file system without hard links, such as that of most memory cards.
            Err(_) if fs::symlink_metadata(&self.target).is_err() => {
                fs::rename(&self.path, &self.target)?;
            }
            linked => linked?,
        }
        // The name must survive a power cut as well as the content.
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                warn!("cannot remove {}: {error}", self.path.display());
            }
            _ => {}
        }
    }
}
