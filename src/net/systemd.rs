//! What the service manager is told: that the server is ready, reloads, stops, and still turns
//! (`sd_notify(3)`, `sd_watchdog_enabled(3)`).
//!
//! A datagram a message, to the socket that `NOTIFY_SOCKET` names; without that nothing is told
//! and no watchdog fed. Knows one socket of its own, and neither the clients' nor the clock.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use log::warn;

use crate::base::time::Timestamp;

/// How long a message may wait for its reader. systemd reads at once; a reader that does not may
/// hold up the event loop for so long, and no longer.
const SEND_TIMEOUT: Duration = Duration::from_millis(100);
/// What a stop may take beyond the grace before systemd kills: closing the store.
const STOP_MARGIN: Duration = Duration::from_secs(15);
/// Parts of the watchdog's time after which it is fed: half of it has passed, as
/// `sd_watchdog_enabled(3)` advises.
const FEEDS_PER_TIMEOUT: u32 = 2;
/// The same for feeding once more when it failed, in time before the timeout.
const RETRIES_PER_TIMEOUT: u32 = 8;

/// The service manager, if one wants to be told.
#[derive(Debug, Default)]
pub struct Supervisor {
    channel: Option<Channel>,
    watchdog: Option<Watchdog>,
}

/// Variables of the service manager that make no sense; it is to blame, or whoever set them.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// `NOTIFY_SOCKET` names no socket that can be sent to.
    #[error("NOTIFY_SOCKET={}: {source}", .name.display())]
    Socket {
        /// Its value.
        name: OsString,
        /// Why not.
        source: io::Error,
    },
    /// `WATCHDOG_USEC` or `WATCHDOG_PID` is no number.
    #[error("{name}: must be a number")]
    NoNumber {
        /// The variable.
        name: &'static str,
    },
}

/// Where messages go.
#[derive(Debug)]
struct Channel {
    socket: UnixDatagram,
    address: SocketAddr,
    has_failed: bool,
}

/// Restarts a server that does not turn.
#[derive(Debug)]
struct Watchdog {
    timeout: Duration,
    feed_at: Timestamp,
}

impl Supervisor {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`; `lookup` gives a variable's
    /// value, `process_id` is our own.
    ///
    /// # Errors
    /// [`SupervisorError`]. The server can do without: [`Supervisor::default`] tells nobody.
    pub fn from_variables(
        lookup: impl Fn(&str) -> Option<OsString>,
        process_id: u32,
    ) -> Result<Self, SupervisorError> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let Some(name) = lookup("NOTIFY_SOCKET") else { return Ok(Self::default()) };
        let channel = Channel::open(name.as_bytes())
            .map_err(|source| SupervisorError::Socket { name, source })?;
        let number = |name: &'static str| -> Result<Option<u64>, SupervisorError> {
            let Some(value) = lookup(name) else { return Ok(None) };
            let number = value.to_str().and_then(|text| text.parse().ok());
            number.map(Some).ok_or(SupervisorError::NoNumber { name })
        };
        let timeout = number("WATCHDOG_USEC")?.filter(|us| *us > 0).map(Duration::from_micros);
        // Without the variable it is whoever got the other ones that is watched.
        let is_ours = number("WATCHDOG_PID")?.is_none_or(|pid| pid == u64::from(process_id));
        let watchdog =
            timeout.filter(|_| is_ours).map(|timeout| Watchdog { timeout, feed_at: Timestamp(0) });
        Ok(Self { channel: Some(channel), watchdog })
    }

    /// The server does what it is for, at first or again. `status` is shown to the operator.
    pub fn ready(&mut self, status: &str) {
        // A line of its own would be a message of its own.
        let status = status.replace(char::is_control, "?");
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// Settings are being read again; [`ready`](Self::ready) follows. `monotonic_us` is the
    /// system's monotonic clock, by which systemd knows this reload from an earlier one.
    pub fn reloading(&mut self, monotonic_us: u64) {
        self.tell(&format!(
            "RELOADING=1\nMONOTONIC_USEC={monotonic_us}\nSTATUS=reading the settings again"
        ));
    }

    /// The server stops, which may take `grace`.
    pub fn stopping(&mut self, grace: Duration) {
        let longest_us = (grace + STOP_MARGIN).as_micros();
        self.tell(&format!(
            "STOPPING=1\nEXTEND_TIMEOUT_USEC={longest_us}\nSTATUS=storing rooms, closing all"
        ));
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.watchdog.as_ref().map(|watchdog| watchdog.feed_at)
    }

    /// Feeds the watchdog if it is due. Only the event loop calls this, once a turn: a loop that
    /// hangs must not look alive.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        let is_fed = self.tell("WATCHDOG=1");
        if let Some(watchdog) = &mut self.watchdog {
            let parts = if is_fed { FEEDS_PER_TIMEOUT } else { RETRIES_PER_TIMEOUT };
            watchdog.feed_at = now + watchdog.timeout / parts;
        }
    }

    /// Returns whether the message is on its way. What cannot be told is said in the log, once.
    fn tell(&mut self, message: &str) -> bool {
        let Some(channel) = &mut self.channel else { return false };
        match channel.socket.send_to_addr(message.as_bytes(), &channel.address) {
            Ok(_) => {
                channel.has_failed = false;
                true
            }
            Err(error) => {
                if !channel.has_failed {
                    warn!("systemd was not told {message:?}: {error}");
                }
                channel.has_failed = true;
                false
            }
        }
    }
}

impl Channel {
    /// `name` is a path, or an abstract name behind a `@`.
    fn open(name: &[u8]) -> io::Result<Self> {
        let address = match name {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
            [b'/', ..] => SocketAddr::from_pathname(Path::new(std::ffi::OsStr::from_bytes(name)))?,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "neither a path nor a @name",
                ));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Self { socket, address, has_failed: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: u32 = 7;

    /// A listener of our own on an abstract name, and that name as in `NOTIFY_SOCKET`.
    fn listener(name: &str) -> (UnixDatagram, String) {
        let name = format!("sync-server-{}-{name}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a short name");
        let socket = UnixDatagram::bind_addr(&address).expect("a name of our own");
        socket.set_nonblocking(true).expect("a socket");
        (socket, format!("@{name}"))
    }

    fn supervisor(pairs: &[(&str, &str)]) -> Result<Supervisor, String> {
        let value = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, v)| v.into());
        Supervisor::from_variables(value, PROCESS).map_err(|error| error.to_string())
    }

    /// What has come since the last call.
    fn heard(socket: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 1024];
        let mut messages = Vec::new();
        while let Ok(count) = socket.recv(&mut buffer) {
            messages.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
        }
        messages
    }

    #[test]
    fn nothing_is_told_and_nothing_is_due_without_a_socket() {
        let mut supervisor = supervisor(&[("WATCHDOG_USEC", "1000")]).expect("nothing is wrong");
        supervisor.ready("x");
        supervisor.handle_timeout(Timestamp(0));
        assert_eq!(supervisor.poll_timeout(), None);
    }

    #[test]
    fn each_state_is_one_datagram() {
        let (socket, name) = listener("states");
        let mut supervisor = supervisor(&[("NOTIFY_SOCKET", &name)]).expect("a name");
        supervisor.ready("listening on x\nSTOPPING=1");
        supervisor.reloading(12);
        supervisor.stopping(Duration::from_secs(5));
        assert_eq!(
            heard(&socket),
            [
                "READY=1\nSTATUS=listening on x?STOPPING=1",
                "RELOADING=1\nMONOTONIC_USEC=12\nSTATUS=reading the settings again",
                "STOPPING=1\nEXTEND_TIMEOUT_USEC=20000000\nSTATUS=storing rooms, closing all",
            ]
        );
        assert_eq!(supervisor.poll_timeout(), None, "nobody asked for a watchdog");
    }

    #[test]
    fn the_watchdog_is_fed_at_half_its_time_and_sooner_if_that_failed() {
        let (socket, name) = listener("watchdog");
        let variables =
            [("NOTIFY_SOCKET", &*name), ("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "7")];
        let mut supervisor = supervisor(&variables).expect("numbers");
        for (now, fed, next) in [(0, 1, 500), (499, 0, 500), (500, 1, 1_000), (1_700, 1, 2_200)] {
            supervisor.handle_timeout(Timestamp(now));
            assert_eq!(heard(&socket), vec!["WATCHDOG=1"; fed], "{now}");
            assert_eq!(supervisor.poll_timeout(), Some(Timestamp(next)), "{now}");
        }
        drop(socket);
        supervisor.handle_timeout(Timestamp(2_200));
        assert_eq!(supervisor.poll_timeout(), Some(Timestamp(2_325)));
    }

    #[test]
    fn a_watchdog_of_another_process_is_left_to_it() {
        let (_socket, name) = listener("others");
        for (usec, pid, expected) in [
            ("1000", "", true),
            ("1000", "7", true),
            ("1000", "8", false),
            ("0", "7", false),
            ("", "7", false),
        ] {
            let variables =
                [("NOTIFY_SOCKET", &*name), ("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)];
            let supervisor = supervisor(&variables).expect("numbers");
            assert_eq!(supervisor.poll_timeout().is_some(), expected, "{usec} {pid}");
        }
    }

    #[test]
    fn variables_that_make_no_sense_are_named() {
        let long = format!("/{}", "x".repeat(200));
        for (pairs, expected) in [
            (
                &[("NOTIFY_SOCKET", "vsock:2:1")][..],
                "NOTIFY_SOCKET=vsock:2:1: neither a path nor a @name",
            ),
            (&[("NOTIFY_SOCKET", &long)], "NOTIFY_SOCKET=/xxx"),
            (
                &[("NOTIFY_SOCKET", "@x"), ("WATCHDOG_USEC", "1s")],
                "WATCHDOG_USEC: must be a number",
            ),
            (
                &[("NOTIFY_SOCKET", "@x"), ("WATCHDOG_USEC", "1"), ("WATCHDOG_PID", "-1")],
                "WATCHDOG_PID: must be a number",
            ),
        ] {
            let error = supervisor(pairs).expect_err("no sense");
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
