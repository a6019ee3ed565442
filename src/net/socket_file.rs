//! A Unix socket of our own: its file is made, kept from strangers, and taken away again.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use log::warn;
use socket2::{Domain, SockAddr, Socket, Type};

/// Who may connect: the server's user and group. A proxy is put into that group.
const MODE: u32 = 0o660;

/// The file of a listening socket. It is removed when the value is dropped, unless somebody has
/// put another one into its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

/// Listens on a new file `path`, for which `backlog` connections may wait. A file that a server
/// has left behind is replaced.
///
/// # Errors
/// `AddrInUse` if a server listens there, `AlreadyExists` if something else than a socket is
/// there, and those of socket(2), bind(2) and chmod(2).
pub(super) fn listen(path: &Path, backlog: i32) -> io::Result<(SocketFile, UnixListener)> {
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file =
        SocketFile { path: path.to_owned(), identity: identity(&fs::symlink_metadata(path)?) };
    // Before anybody can connect, since nobody listens yet.
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    socket.listen(backlog)?;
    Ok((file, socket.into()))
}

/// Makes place for a socket at `path`, if what is there is one that nobody listens on.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err(io::ErrorKind::AlreadyExists.into())
        }
        Ok(_) if is_listened_on(path)? => Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_listened_on(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A server whose backlog is full would let us wait.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Ok(false),
            io::ErrorKind::WouldBlock => Ok(true),
            _ => Err(error),
        },
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |metadata: Metadata| identity(&metadata) == self.identity;
        if !fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            warn!("{} cannot be removed: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    const BACKLOG: i32 = 1;

    /// A path that nobody has used yet; what is there goes with the value.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let name = format!("sync-server-{name}-{}.sock", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _gone_already = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn only_user_and_group_may_connect_and_the_file_goes_with_the_server() {
        let place = Place::new("mode");
        let (file, _listener) = listen(&place.0, BACKLOG).expect("a fresh path");
        let mode = fs::metadata(&place.0).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        UnixStream::connect(&place.0).expect("somebody listens");
        drop(file);
        assert!(!fs::exists(&place.0).expect("readable"));
    }

    #[test]
    fn what_was_left_behind_is_replaced_and_what_is_in_use_is_not() {
        let place = Place::new("stale");
        drop(UnixListener::bind(&place.0).expect("a fresh path"));
        let (_file, listener) = listen(&place.0, BACKLOG).expect("nobody listens there");
        // Each attempt to listen asks who is there, and that fills the backlog after the second.
        for _ in 0..4 {
            let error = listen(&place.0, BACKLOG).expect_err("it is in use");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        listener.accept().expect("somebody asked");
    }

    #[test]
    fn a_file_that_is_no_socket_stays_and_so_does_anothers() {
        let place = Place::new("other");
        fs::write(&place.0, "dear diary").expect("a fresh path");
        let error = listen(&place.0, BACKLOG).expect_err("no place");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        fs::remove_file(&place.0).expect("it is still there");

        let (file, _listener) = listen(&place.0, BACKLOG).expect("nothing is there");
        fs::remove_file(&place.0).expect("it is there");
        let _other = UnixListener::bind(&place.0).expect("nothing is there");
        drop(file);
        assert!(fs::exists(&place.0).expect("readable"), "it is not ours any more");
    }
}
