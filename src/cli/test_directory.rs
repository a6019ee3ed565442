//! A directory of a test that goes with it.

use std::fs;
use std::path::{Path, PathBuf};

/// See the [module](self).
pub(super) struct Directory(PathBuf);

impl Directory {
    /// An empty one, named after the test.
    pub(super) fn new(name: &str) -> Self {
        let name = format!("sync-server-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes the file `name` and returns its path.
    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, bytes).expect("the directory is ours");
        path.to_str().expect("it is text").to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("it is ours");
    }
}
