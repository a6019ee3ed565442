//! Names become addresses, within a deadline.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;

use super::deadline::Deadline;

/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 8;

/// The addresses of `host`, a name or an address, with `port`; at least one, at most eight.
///
/// The system's resolver cannot be interrupted. If the deadline is over, its thread is left
/// behind and ends when the resolver does.
///
/// # Errors
/// That of the resolver, or [`ErrorKind::TimedOut`].
pub(super) fn resolve(host: &str, port: u16, deadline: Deadline) -> io::Result<Vec<SocketAddr>> {
    if deadline.left().is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    // URLs have IPv6 addresses in brackets, the resolver wants them without.
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let name = bare.to_owned();
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs();
        let _unawaited = sender.send(found.map(|all| all.take(ADDRESSES_MAX).collect()));
    })?;
    let timed_out = |_| io::Error::from(ErrorKind::TimedOut);
    let found: Vec<SocketAddr> = receiver.recv_timeout(deadline.left()).map_err(timed_out)??;
    if found.is_empty() { Err(ErrorKind::NotFound.into()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn addresses_and_names_are_found() {
        let find = |host| resolve(host, 80, Deadline::after(Duration::from_secs(20)));
        let check = |host, expected: &str| {
            let expected = expected.parse().expect("an address");
            assert_eq!(find(host).expect("it is an address"), [expected]);
        };
        check("127.0.0.1", "127.0.0.1:80");
        check("[::1]", "[::1]:80");
        assert!(
            find("localhost").expect("it is everywhere").iter().all(|at| at.ip().is_loopback())
        );
        assert!(find("no host").is_err());
    }

    #[test]
    fn a_deadline_that_is_over_ends_the_search() {
        let error = resolve("localhost", 80, Deadline::after(Duration::ZERO));
        assert_eq!(error.map_err(|error| error.kind()), Err(ErrorKind::TimedOut));
    }
}
