//! The server as it is reached over HTTP: its address, and its rooms. Blocking, with deadlines:
//! this happens before the load.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde::Deserialize;

use super::clock::Clock;

/// How long a connection, and each read and write on it, may take.
const IO_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// How often in a row a room may be refused for making too many of them.
const REFUSALS_MAX: u32 = 100;
/// The longest time that a server may ask us to wait.
const WAIT_SECONDS_MAX: u64 = 60;

/// Where a server is. No TLS: load belongs on the server, not on what is in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    host: String,
    port: u16,
    /// Without a slash at the end.
    path: String,
}

/// Not an address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--url must be http://HOST[:PORT][/PATH]")]
pub(crate) struct UrlError;

/// A room to put load on.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Room {
    /// To join it.
    #[serde(rename = "room_code")]
    pub(crate) code: String,
    /// Who may be its host.
    pub(crate) host_id: String,
    /// What the host has to show, if the server knows such a thing.
    pub(crate) host_token: Option<String>,
}

/// The server can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// It is not reached.
    #[error("{url} cannot be reached: {source}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// Why not.
        source: io::Error,
    },
    /// It is not on this machine.
    #[error(
        "{0} is not a loopback address; load on a server of somebody else is an attack, so say \
         --i-own-this-server if it is yours"
    )]
    NotLoopback(IpAddr),
    /// It answers, but not with a room.
    #[error("POST /api/rooms was answered with {0}")]
    NoRoom(String),
}

struct Answer {
    status: u16,
    retry_after_seconds: Option<u64>,
    body: Vec<u8>,
}

impl Url {
    /// Reads `http://HOST[:PORT][/PATH]`.
    ///
    /// # Errors
    /// [`UrlError`], which says this.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        let rest = text.strip_prefix("http://").or(text.strip_prefix("ws://")).ok_or(UrlError)?;
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let is_literal = authority.starts_with('[') && authority.ends_with(']');
        let (host, port) = match authority.rsplit_once(':').filter(|_| !is_literal) {
            Some((host, port)) => (host, port.parse().map_err(|_| UrlError)?),
            None => (authority, 80),
        };
        let path = path.trim_end_matches('/');
        let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && b != b'@');
        if host.is_empty() || !is_plain(host) || !is_plain(path) || path.contains(['?', '#']) {
            return Err(UrlError);
        }
        Ok(Self { host: host.to_owned(), port, path: path.to_owned() })
    }

    /// The addresses of the host.
    ///
    /// # Errors
    /// [`ServerError`], also if one of them is not loopback, unless `owned`.
    pub(crate) fn resolve(&self, owned: bool) -> Result<Vec<SocketAddr>, ServerError> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> =
            (host, self.port).to_socket_addrs().map_err(|error| self.unreachable(error))?.collect();
        match addresses.iter().find(|address| !owned && !address.ip().is_loopback()) {
            Some(foreign) => Err(ServerError::NotLoopback(foreign.ip())),
            None => Ok(addresses),
        }
    }

    /// The first of `addresses` at which somebody listens.
    ///
    /// # Errors
    /// [`ServerError::Unreachable`] if nobody does.
    pub(crate) fn reach(&self, addresses: &[SocketAddr]) -> Result<SocketAddr, ServerError> {
        let mut problem = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match TcpStream::connect_timeout(address, IO_TIMEOUT) {
                Ok(_) => return Ok(*address),
                Err(error) => problem = error,
            }
        }
        Err(self.unreachable(problem))
    }

    /// The head of a request, without its end.
    pub(crate) fn request(&self, line: (&str, &str, &str), token: Option<&str>) -> String {
        let (method, path, version) = line;
        let mut head = format!(
            "{method} {}{path} {version}\r\nHost: {}:{}\r\n",
            self.path, self.host, self.port
        );
        if let Some(token) = token {
            head.push_str("Authorization: Bearer ");
            head.push_str(token);
            head.push_str("\r\n");
        }
        head
    }

    /// That the server is not there.
    pub(crate) fn unreachable(&self, source: io::Error) -> ServerError {
        ServerError::Unreachable { url: self.to_string(), source }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.path)
    }
}

/// Makes the room `code`, or finds it. If the server says that it makes no more rooms for now,
/// waits as long as it asks for; `waiting` is told.
///
/// # Errors
/// [`ServerError`], with what the server said instead.
pub(crate) fn make_room(
    url: &Url,
    address: SocketAddr,
    code: &str,
    token: Option<&str>,
    mut waiting: impl FnMut(),
) -> Result<Room, ServerError> {
    let body = format!(r#"{{"desired_room_code":"{code}"}}"#);
    let request = |version| {
        let head = url.request(("POST", "/api/rooms", version), token);
        let bytes = body.len();
        format!(
            "{head}Connection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {bytes}\r\n\r\n{body}"
        )
    };
    // With HTTP/1.0 the answer ends with the connection, and never comes in chunks.
    let mut version = "HTTP/1.0";
    for _ in 0..REFUSALS_MAX {
        let request = request(version);
        let answer = exchange(address, &request).map_err(|error| url.unreachable(error))?;
        match answer.status {
            200 | 201 => {
                let room = serde_json::from_slice(&answer.body);
                return room.map_err(|error| ServerError::NoRoom(error.to_string()));
            }
            // A server of a newer version alone, as uWebSockets is.
            505 if version == "HTTP/1.0" => version = "HTTP/1.1",
            429 => {
                waiting();
                let seconds = answer.retry_after_seconds.unwrap_or(1).clamp(1, WAIT_SECONDS_MAX);
                Clock::start().wait(Duration::from_secs(seconds));
            }
            status => {
                let body: String =
                    String::from_utf8_lossy(&answer.body).chars().take(200).collect();
                return Err(ServerError::NoRoom(format!("{status} {body}")));
            }
        }
    }
    Err(ServerError::NoRoom(format!("429, {REFUSALS_MAX} times in a row")))
}

fn exchange(address: SocketAddr, request: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, IO_TIMEOUT)?;
    stream.set_read_timeout(Some(IO_TIMEOUT))?;
    stream.set_write_timeout(Some(IO_TIMEOUT))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
    parse_answer(&bytes).ok_or_else(|| io::Error::other("it does not speak HTTP"))
}

fn parse_answer(bytes: &[u8]) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = response.parse(bytes).ok()? else { return None };
    let retry_after = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("retry-after"))
        .and_then(|header| str::from_utf8(header.value).ok())
        .and_then(|value| value.trim().parse().ok());
    Some(Answer {
        status: response.code?,
        retry_after_seconds: retry_after,
        body: bytes[head_bytes..].to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_shown() {
        for (text, shown) in [
            ("http://127.0.0.1:3001", "http://127.0.0.1:3001"),
            ("ws://localhost", "http://localhost:80"),
            ("http://[::1]:3001/sync/", "http://[::1]:3001/sync"),
            ("http://[::1]", "http://[::1]:80"),
        ] {
            assert_eq!(Url::parse(text).map(|url| url.to_string()), Ok(shown.to_owned()));
        }
        for text in ["", "h", "https://h", "http://", "http://h:x", "http://a@h", "http://h/a b"] {
            assert_eq!(Url::parse(text), Err(UrlError), "{text}");
        }
    }

    #[test]
    fn only_loopback_is_a_target_unless_one_owns_the_server() {
        let url = Url::parse("http://192.0.2.1:1").unwrap();
        let problem = url.resolve(false).expect_err("TEST-NET-1 is not loopback").to_string();
        assert!(problem.contains("--i-own-this-server"), "{problem}");
        assert!(url.resolve(true).is_ok());
        for own in ["http://127.9.9.9:1", "http://[::1]:1"] {
            assert!(Url::parse(own).unwrap().resolve(false).is_ok(), "{own}");
        }
    }

    #[test]
    fn answers_are_read() {
        let answer = parse_answer(b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\n\r\n{}").unwrap();
        assert_eq!((answer.status, answer.retry_after_seconds), (429, Some(7)));
        assert_eq!(answer.body, b"{}");
        assert!(parse_answer(b"SSH-2.0-x\r\n").is_none());
        assert!(parse_answer(b"HTTP/1.1 200 OK\r\n").is_none());
    }
}
