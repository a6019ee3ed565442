//! The key of the tokens, when the operator sets none: made once, kept in the data directory.
//!
//! Blocking disk access; for the start of the process only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::base::entropy::Entropy;
use crate::base::hex;
use crate::base::secret::Secret;

/// The file's name in the data directory.
const SECRET_FILE: &str = "jwt_secret";

/// Fewest bytes that a secret in the file may have. Less would be a damaged file.
const SECRET_FILE_BYTES_MIN: usize = 32;

/// Most bytes that are read of the file.
const SECRET_FILE_BYTES_MAX: u64 = 4096;

/// Why there is no secret. The fault is the machine's or the operator's; each text is one line
/// that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file is there and cannot be read.
    #[error("cannot read {}: {source}; make it readable or set JWT_SECRET", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not there and cannot be made.
    #[error("cannot create {}: {source}; make DATA_DIR writable or set JWT_SECRET", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is empty, cut off or something else.
    #[error(
        "{} holds no secret of at least {SECRET_FILE_BYTES_MIN} characters; delete it to have a \
         new one made (everybody must log in again), or set JWT_SECRET",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// The secret in `data_dir`, which is made (mode 0700) if it is missing; the first time a new
/// secret from `entropy`, in a file that only its owner may read. Of several processes that come
/// first at once all get the same.
///
/// # Errors
/// [`SecretFileError`]. A file that is there is never overwritten.
pub(super) fn load_or_create_secret(
    data_dir: &Path,
    entropy: &Entropy,
) -> Result<Secret, SecretFileError> {
    let path = data_dir.join(SECRET_FILE);
    if let Some(secret) = read(&path)? {
        return Ok(secret);
    }
    create(data_dir, &path, entropy)
        .map_err(|source| SecretFileError::Create { path: path.clone(), source })?;
    // Another process may have been first: what counts is in the file.
    read(&path)?.ok_or(SecretFileError::Damaged { path })
}

/// `None` when there is no file.
fn read(path: &Path) -> Result<Option<Secret>, SecretFileError> {
    let failed = |source| SecretFileError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        log::warn!("{} can be read by others (mode {:o})", path.display(), mode & 0o777);
    }
    let mut content = Vec::new();
    file.take(SECRET_FILE_BYTES_MAX).read_to_end(&mut content).map_err(failed)?;
    let secret = std::str::from_utf8(&content).map(str::trim).unwrap_or_default();
    if secret.len() < SECRET_FILE_BYTES_MIN {
        return Err(SecretFileError::Damaged { path: path.to_owned() });
    }
    Ok(Some(Secret::new(secret)))
}

/// Writes the secret under another name and links it to its own when it is on the disk: a link
/// never replaces a file that is there, and no reader ever sees half a secret.
fn create(data_dir: &Path, path: &Path, entropy: &Entropy) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    let secret = entropy.token();
    let suffix = hex::encode(&entropy.bytes::<8>());
    let draft = data_dir.join(format!("{SECRET_FILE}.{suffix}"));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = writeln!(file, "{}", secret.expose()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(data_dir)?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TempDir, os_entropy};
    use super::*;

    use std::sync::Barrier;
    use std::thread;

    fn load(data_dir: &Path) -> Result<Secret, SecretFileError> {
        load_or_create_secret(data_dir, &os_entropy())
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).expect("a directory");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn made_once_then_kept() {
        let temp = TempDir::new();
        let data_dir = temp.path().join("state/khun");
        let first = load(&data_dir).expect("a secret");
        assert_eq!(first.expose().len(), 64);
        assert_eq!(load(&data_dir).expect("the same"), first);
        assert_eq!(names(&data_dir), [SECRET_FILE]);
        let mode = fs::metadata(data_dir.join(SECRET_FILE)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = load(&temp.path().join("other")).expect("another secret");
        assert_ne!(first, other);
    }

    #[test]
    fn sixteen_at_once_get_the_same() {
        let temp = TempDir::new();
        let barrier = Barrier::new(16);
        let secrets: Vec<Secret> = thread::scope(|scope| {
            let load_at_once = || {
                barrier.wait();
                load(temp.path()).expect("a secret")
            };
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(load_at_once)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
        assert_eq!(names(temp.path()), [SECRET_FILE]);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_stays() {
        let short = "x".repeat(SECRET_FILE_BYTES_MIN - 1);
        for content in [&b""[..], b"\n", short.as_bytes(), &[0xFF; 64]] {
            let temp = TempDir::new();
            let path = temp.path().join(SECRET_FILE);
            fs::write(&path, content).expect("written");
            let error = load(temp.path()).expect_err("no secret");
            assert!(matches!(error, SecretFileError::Damaged { .. }), "{error}");
            assert_eq!(error.to_string().lines().count(), 1);
            assert_eq!(fs::read(&path).expect("still there"), content);
        }
    }

    #[test]
    fn what_cannot_be_read_or_made_is_said() {
        let temp = TempDir::new();
        fs::create_dir(temp.path().join(SECRET_FILE)).expect("made");
        assert!(matches!(load(temp.path()), Err(SecretFileError::Read { .. })));
        let file = temp.path().join("file");
        fs::write(&file, "").expect("written");
        let error = load(&file.join("data")).expect_err("a file is no directory");
        assert!(error.to_string().contains("JWT_SECRET"), "{error}");
    }
}
