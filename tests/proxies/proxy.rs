//! Real proxies, each with all of its files in a directory of its own, ended by process id.

use std::env;
use std::fmt;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, getuid, kill_process};

use crate::readme::{SITE, UNIX_SOCKET, UPSTREAM, block, with_line};
use crate::support::{Directory, Log, skip};

/// Other tests may take a port between its choice and its use.
pub(crate) const PORT_ATTEMPTS_MAX: usize = 10;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Caddy,
}

/// Where the proxy finds the server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Upstream<'a> {
    Tcp(SocketAddr),
    Unix(&'a Path),
}

/// What differs from the README.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Changes<'a> {
    /// Lines of nginx that are left out, by their beginnings.
    pub(crate) without: &'a [&'a str],
    /// Directives of nginx that are added, in one line.
    pub(crate) with: &'a str,
    /// TLS, as the README has it: a certificate for `localhost`, and its key.
    pub(crate) tls: Option<&'a Certificate>,
}

/// A self-signed certificate for `localhost` and its key, as files.
#[derive(Debug)]
pub(crate) struct Certificate {
    directory: Arc<Directory>,
}

/// A running proxy. Ended when the value is dropped.
pub(crate) struct Proxy {
    child: Child,
    address: SocketAddr,
    log: Arc<Log>,
    _directory: Arc<Directory>,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Nginx, Self::Caddy];

    /// Those that are installed; what is not is said.
    pub(crate) fn installed() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|kind| kind.program().is_some())
    }

    /// The executable. Debian has nginx where only root's `PATH` leads.
    fn program(self) -> Option<PathBuf> {
        let (name, version) = match self {
            Self::Nginx => ("nginx", "-v"),
            Self::Caddy => ("caddy", "version"),
        };
        let candidates = [PathBuf::from(name), Path::new("/usr/sbin").join(name)];
        let runs = |program: &PathBuf| {
            let mut command = Command::new(program);
            command.arg(version).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let found = candidates.into_iter().find(runs);
        if found.is_none() {
            skip(&format!("{name} is not installed"), "REQUIRE_PROXIES");
        }
        found
    }
}

impl Certificate {
    /// Made by openssl, for two days. `None`: skip the test.
    pub(crate) fn make() -> Option<Self> {
        let directory = Directory::new();
        let certificate = Self { directory };
        let mut command = Command::new("openssl");
        command
            .args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(certificate.key())
            .arg("-out")
            .arg(certificate.file())
            .stdin(Stdio::null());
        match command.output() {
            Ok(output) if output.status.success() => Some(certificate),
            Ok(output) => panic!("openssl: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => {
                skip(&format!("openssl: {error}"), "REQUIRE_PROXIES");
                None
            }
        }
    }

    /// The certificate, which is its own authority.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    /// The JSON at `path` of the server at `to`, asked over TLS as `localhost`.
    #[cfg(feature = "tls")]
    pub(crate) fn ask(&self, to: SocketAddr, path: &str) -> serde_json::Value {
        use sync_server::tools::client;
        let authority = fs::read(self.file()).expect("it was made");
        let connection =
            client::Connection::open(to, client::Deadline::after(crate::support::DEADLINE));
        let connection = connection.expect("it listens");
        let mut stream = client::start_tls(connection, "localhost", Some(&authority)).expect("TLS");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n",
            to.port()
        );
        let (answer, _) = client::ask(&mut stream, &request).expect("an answer");
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }
}

impl Proxy {
    /// The README's configuration of `kind` in front of `upstream`, on a free port of loopback.
    /// Returns once it listens.
    pub(crate) fn start(kind: Kind, upstream: Upstream<'_>, changes: &Changes<'_>) -> Self {
        let mut attempts = (0..PORT_ATTEMPTS_MAX).map(|_| free_address());
        attempts
            .find_map(|address| Self::start_at(address, kind, upstream, changes))
            .expect("one of them stays free")
    }

    /// As [`Self::start`], but at `address`. `None`: somebody else was faster.
    pub(crate) fn start_at(
        address: SocketAddr,
        kind: Kind,
        upstream: Upstream<'_>,
        changes: &Changes<'_>,
    ) -> Option<Self> {
        let configuration = match kind {
            Kind::Nginx => nginx_configuration(address, upstream, changes),
            Kind::Caddy => caddy_configuration(address, upstream, changes),
        };
        match Self::try_start(kind, address, &configuration) {
            Ok(proxy) => Some(proxy),
            Err(log) if log.to_lowercase().contains("address already in use") => None,
            Err(log) => panic!("{kind:?} does not start:\n{log}\nwith:\n{configuration}"),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn try_start(kind: Kind, address: SocketAddr, configuration: &str) -> Result<Self, String> {
        let directory = Directory::new();
        let path = directory.path();
        let file = path.join("configuration");
        fs::write(&file, configuration).expect("the directory is ours");
        let mut command = Command::new(kind.program().expect("the caller has looked"));
        let listening = match kind {
            Kind::Nginx => {
                command.arg("-e").arg("stderr").arg("-p").arg(path).arg("-c").arg(&file);
                "start worker process "
            }
            Kind::Caddy => {
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
                "serving initial configuration"
            }
        };
        let mut child = command
            .current_dir(path)
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", path)
            .env("XDG_DATA_HOME", path)
            .env("XDG_CONFIG_HOME", path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let log = Log::collect(child.stderr.take().expect("standard error is piped"));
        let proxy = Self { child, address, log, _directory: directory };
        if proxy.log.wait_for(listening).is_some() { Ok(proxy) } else { Err(proxy.log.text()) }
    }
}

impl Drop for Proxy {
    /// SIGTERM, since nginx's first process has to end the others.
    fn drop(&mut self) {
        let _ended_already = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if !self.log.wait_for_end() {
            let _ended_meanwhile = self.child.kill();
        }
        let _reaped_already = self.child.wait();
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).finish_non_exhaustive()
    }
}

/// An address of loopback that is free now.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it is bound")
}

/// The README's block within the rest of a configuration, all of whose files are relative.
fn nginx_configuration(
    address: SocketAddr,
    upstream: Upstream<'_>,
    changes: &Changes<'_>,
) -> String {
    let text = block("nginx", "server {");
    let (listen, certificate, key) = match changes.tls {
        Some(certificate) => (
            format!("listen {address} ssl;"),
            format!("ssl_certificate {};", certificate.file().display()),
            format!("ssl_certificate_key {};", certificate.key().display()),
        ),
        None => (format!("listen {address};"), String::new(), String::new()),
    };
    assert!(text.contains("listen 443 ssl;"), "{text}");
    let text = with_line(&text, "listen ", &listen);
    let text = with_line(&text, &format!("server_name {SITE};"), "server_name localhost;");
    let text = with_line(&text, "ssl_certificate ", &certificate);
    let text = with_line(&text, "ssl_certificate_key ", &key);
    let pass = match upstream {
        Upstream::Tcp(at) => format!("proxy_pass http://{at};"),
        Upstream::Unix(path) => {
            let line = block("nginx", UNIX_SOCKET);
            line.trim().replace(UNIX_SOCKET, &path.display().to_string())
        }
    };
    let pass = format!("{pass} {}", changes.with);
    let mut text = with_line(&text, &format!("proxy_pass http://{UPSTREAM};"), &pass);
    for beginning in changes.without {
        text = with_line(&text, beginning, "");
    }
    // Workers of a master that is not root are its user's anyway.
    let user = if getuid().is_root() { "user root;\n" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {name};\n"))
        .concat();
    format!(
        "{user}daemon off;\npid nginx.pid;\nworker_processes 1;\nerror_log stderr notice;\n\
         events {{ worker_connections 256; }}\nhttp {{\n    access_log off;\n{temporary}{text}}}\n"
    )
}

/// The README's block below options that keep Caddy to itself.
fn caddy_configuration(
    address: SocketAddr,
    upstream: Upstream<'_>,
    changes: &Changes<'_>,
) -> String {
    let text = block("caddyfile", "reverse_proxy 127");
    let site = match changes.tls {
        Some(certificate) => format!(
            "https://localhost:{} {{\n    bind 127.0.0.1\n    tls {} {}",
            address.port(),
            certificate.file().display(),
            certificate.key().display()
        ),
        None => format!("http://:{} {{\n    bind 127.0.0.1", address.port()),
    };
    let text = with_line(&text, &format!("{SITE} {{"), &site);
    let pass = match upstream {
        Upstream::Tcp(at) => format!("reverse_proxy {at}"),
        Upstream::Unix(path) => {
            let line = block("caddyfile", UNIX_SOCKET);
            line.trim().replace(UNIX_SOCKET, &path.display().to_string())
        }
    };
    let text = with_line(&text, &format!("reverse_proxy {UPSTREAM}"), &pass);
    format!("{{\n    admin off\n    auto_https off\n}}\n\n{text}")
}
