//! What the tests of this directory share.

#[cfg(feature = "sqlite")]
pub(crate) mod fixture;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::entropy::Entropy;

/// A new directory that goes with the value.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("sync-server-{}-{count}", process::id()));
        fs::create_dir(&path).expect("the temporary directory is writable");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A directory that stays behind is no reason to fail a test.
        let _best_effort = fs::remove_dir_all(&self.0);
    }
}

/// Randomness of the system.
pub(crate) fn os_entropy() -> Entropy {
    Entropy::new(|bytes| getrandom::fill(bytes).expect("the system has randomness"))
}
