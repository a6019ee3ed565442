//! What is to be said of the way that clients come: the public address, and the proxy behind it.
//! Pure: facts in, findings out.

use std::net::IpAddr;

use super::finding::{Finding, Severity, Subject};
use crate::api::{Health, Whoami};
use crate::config::UrlParts;
use crate::http::ServerAnswer;

/// The subject of what is said of the public address.
pub(super) const ADDRESS: Subject = Subject("address");
const CLIENT: Subject = Subject("client");
const WEB_SOCKET: Subject = Subject("WebSocket");
/// Between what two answers of one server say of its uptime, in seconds.
const UPTIME_SECONDS_APART_MAX: u64 = 15;
/// What nginx has to be told for WebSocket. Caddy does it by itself.
const UPGRADE_ADVICE: &str = "have the proxy pass it on (nginx: proxy_http_version 1.1; \
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;)";
/// What nginx has to be told of clients.
const FORWARDED_ADVICE: &str = "have it send X-Forwarded-For (nginx: proxy_set_header \
    X-Forwarded-For $proxy_add_x_forwarded_for;)";

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The name has no address.
    Name(String),
    /// No address takes connections.
    Connection(String),
    /// No encryption, or the certificate is not to be trusted.
    Tls(String),
    /// This build speaks no TLS.
    NoTls,
    /// No HTTP, or not in time.
    Http(String),
}

/// How the attempt to open a WebSocket ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// An action and its answer went through.
    Answered,
    /// 101 came, but nothing after it, or nothing of ours.
    Mute(String),
    /// An answer other than 101.
    Refused(ServerAnswer),
    /// No answer.
    Failed(Trouble),
}

/// How an open but silent WebSocket fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// It was still open at the end.
    Open { seconds: u64 },
    /// It ended before.
    Ended { seconds: u64, why: String },
}

/// The public address as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicFacts {
    /// The answer to `GET /health`.
    pub(super) health: Result<ServerAnswer, Trouble>,
    /// What the server that runs here says of itself, if there is one.
    pub(super) local: Option<Health>,
    /// The answer to `GET /api/whoami`, and our end's address on the way there.
    pub(super) whoami: Result<(ServerAnswer, IpAddr), Trouble>,
    pub(super) opened: Opened,
    /// Only if it was asked for.
    pub(super) idle: Option<Idle>,
    /// `PING_INTERVAL_SECONDS`
    pub(super) ping_interval_seconds: u64,
}

/// What to say of `url`. If no sync server answers there, that and nothing more.
pub(super) fn judge_public(url: UrlParts<'_>, facts: &PublicFacts) -> Vec<Finding> {
    let health = judge_health(url, facts);
    let is_ours = health.severity == Severity::Ok;
    let mut findings = vec![health];
    if is_ours {
        findings.extend(judge_client(url, facts));
        findings.push(judge_upgrade(facts));
        findings.extend(facts.idle.as_ref().map(|idle| judge_idle(idle, facts)));
    }
    findings
}

fn judge_health(url: UrlParts<'_>, facts: &PublicFacts) -> Finding {
    let shown = shown(url);
    let answer = match &facts.health {
        Ok(answer) => answer,
        Err(trouble) => return judge_trouble(url, trouble),
    };
    let Some(health) = Health::read(answer) else {
        return ADDRESS.problem(format!("{shown}{}", stranger(answer)));
    };
    if let Some(local) = &facts.local
        && local.uptime_seconds.abs_diff(health.uptime_seconds) > UPTIME_SECONDS_APART_MAX
    {
        return ADDRESS.problem(format!(
            "{shown} leads to another sync server than the one here (up {} s, this one {} s): \
             correct the proxy's upstream, PORT, or the address",
            health.uptime_seconds, local.uptime_seconds
        ));
    }
    ADDRESS.ok(format!("{shown} leads to a sync server, version {}", health.version))
}

fn judge_trouble(url: UrlParts<'_>, trouble: &Trouble) -> Finding {
    let (shown, host, port) = (shown(url), url.host, url.port);
    ADDRESS.problem(match trouble {
        Trouble::Name(why) => {
            format!("{host} has no address here ({why}): correct the name or its DNS record")
        }
        Trouble::Connection(why) => format!(
            "{shown} takes no connections ({why}): start the proxy, have it listen on port \
             {port}, open the firewall for it"
        ),
        Trouble::Tls(why) => format!(
            "{shown} cannot be trusted ({why}): it needs a certificate for {host} of an authority \
             that browsers know; SSL_CERT_FILE may name another authority for this check"
        ),
        Trouble::Http(why) => {
            format!("{shown} does not answer ({why}): see the proxy's log and its upstream")
        }
        Trouble::NoTls => {
            return ADDRESS.warning(format!(
                "{shown} was not checked, since this build speaks no TLS: try curl -i \
                 {shown}/health, {shown}/api/whoami, and {shown}/ws with -H 'Connection: Upgrade' \
                 -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: \
                 AAAAAAAAAAAAAAAAAAAAAA==' --http1.1, which must give 101"
            ));
        }
    })
}

/// What an answer to `GET /health` that is not ours may mean.
fn stranger(answer: &ServerAnswer) -> String {
    let status = answer.status;
    match (status, answer.field("location")) {
        (301 | 302 | 307 | 308, Some(location)) => {
            format!(" redirects to {location}: give the address that it leads to")
        }
        (502..=504, _) => format!(
            " answers {status}: the proxy does not reach the server; start it, and compare the \
             proxy's upstream with PORT and BIND_ADDR"
        ),
        (404, _) => " has no /health (404): correct its path, or the proxy's".to_owned(),
        (401 | 403, _) => {
            format!(" answers {status}: the proxy lets nobody in; the server has its own logins")
        }
        (200, _) => " is another program: correct the address, or the proxy's upstream".to_owned(),
        _ => {
            format!(" answers {status} to GET /health: correct the address, or see the proxy's log")
        }
    }
}

/// Whether the server knows the addresses of its clients, and what it would tell them.
fn judge_client(url: UrlParts<'_>, facts: &PublicFacts) -> Vec<Finding> {
    let (answer, own) = match &facts.whoami {
        Ok((answer, own)) => (answer, own.to_canonical()),
        Err(trouble) => return vec![judge_trouble(url, trouble)],
    };
    let Some(whoami) = Whoami::read(answer) else {
        return vec![CLIENT.warning(format!(
            "GET /api/whoami answers {}: have the proxy pass it on, or update the server behind it",
            answer.status
        ))];
    };
    let has_proxy = url.is_secure || ["server", "via"].iter().any(|f| answer.field(f).is_some());
    let mut findings = vec![judge_address(&whoami, own, has_proxy)];
    let scheme = if url.is_secure { "wss" } else { "ws" };
    let expected = format!("{scheme}://{}{}/ws", url.authority, url.path);
    if !whoami.websocket_url.eq_ignore_ascii_case(&expected) {
        findings.push(CLIENT.problem(format!(
            "clients are told to connect to {} instead of {expected}: set PUBLIC_URL={}",
            whoami.websocket_url,
            shown(url)
        )));
    }
    findings
}

fn judge_address(whoami: &Whoami, own: IpAddr, has_proxy: bool) -> Finding {
    let seen = whoami.address.to_canonical();
    match &*whoami.forwarded {
        "ignored" => CLIENT.problem(format!(
            "the server does not believe the proxy, so all clients look like {seen}: set \
             TRUSTED_PROXIES={seen} and restart it"
        )),
        "believed" if seen != own && !is_public(seen) => CLIENT.warning(format!(
            "the server sees you as {seen}, but you came from {own}: if that is a further proxy, \
             list it in TRUSTED_PROXIES as well"
        )),
        "believed" => CLIENT.ok(format!("the proxy is believed; the server sees you as {seen}")),
        _ if has_proxy => CLIENT.problem(format!(
            "the proxy does not say who its clients are, so all look like {seen}: \
             {FORWARDED_ADVICE}, and set TRUSTED_PROXIES={seen}"
        )),
        _ if seen == own => CLIENT.ok(format!("there is no proxy; the server sees you as {seen}")),
        _ => CLIENT.warning(format!(
            "the server sees you as {seen}, but you came from {own}: something between hides its \
             clients; if it can, {FORWARDED_ADVICE}"
        )),
    }
}

fn judge_upgrade(facts: &PublicFacts) -> Finding {
    let interval = facts.ping_interval_seconds;
    match &facts.opened {
        Opened::Answered if facts.idle.is_some() => {
            WEB_SOCKET.ok("it opens, and an action is answered")
        }
        Opened::Answered => WEB_SOCKET.ok(format!(
            "it opens, and an action is answered; how long it may be silent is tried with --slow \
             (a proxy's time-out should be {} s or more, the server pings after {interval} s)",
            interval * 2
        )),
        Opened::Mute(why) => WEB_SOCKET.problem(format!(
            "it opens, but nothing comes through ({why}): turn off what the proxy does to answers \
             (buffering, compression, scanning)"
        )),
        Opened::Failed(trouble) => WEB_SOCKET
            .problem(format!("GET /ws has no answer ({}): {UPGRADE_ADVICE}", trouble.why())),
        Opened::Refused(answer) => judge_refusal(answer),
    }
}

/// The server checks a request for `/ws` in a fixed order, so its refusal says what was missing.
fn judge_refusal(answer: &ServerAnswer) -> Finding {
    let body = String::from_utf8_lossy(&answer.body);
    let found = match answer.status {
        401 if body.contains("Not logged in") => {
            let text =
                "the request to open it comes through; the rest needs a login (REQUIRE_AUTH)";
            return WEB_SOCKET.ok(text);
        }
        503 => {
            return WEB_SOCKET.problem(
                "the server takes no more connections (503): see MAX_CONNECTIONS, \
                 MAX_CONNECTIONS_PER_IP, MEMORY_BUDGET_BYTES and its log",
            );
        }
        426 => "the proxy does not pass on the header Upgrade (426)",
        400 if body.contains("Connection header") => {
            "the proxy does not pass on Connection: Upgrade (400)"
        }
        400 if body.contains("HTTP/1.1") => "the proxy speaks HTTP/1.0 to the server (400)",
        status => &format!("GET /ws answers {status} instead of 101"),
    };
    WEB_SOCKET.problem(format!("{found}: {UPGRADE_ADVICE}"))
}

fn judge_idle(idle: &Idle, facts: &PublicFacts) -> Finding {
    let subject = Subject("silence");
    let interval = facts.ping_interval_seconds;
    match idle {
        // Then no ping has come through that could have kept it open.
        Idle::Open { seconds } if *seconds <= interval => subject.warning(format!(
            "a WebSocket that said nothing for {seconds} s is open, but the server pings only \
             after {interval} s: lower PING_INTERVAL_SECONDS, or see that the proxy's time-out is \
             longer than that"
        )),
        Idle::Open { seconds } => {
            subject.ok(format!("a WebSocket that said nothing for {seconds} s is open"))
        }
        Idle::Ended { seconds, why } => subject.problem(format!(
            "a WebSocket that said nothing ended after {seconds} s ({why}): lengthen the proxy's \
             time-out (nginx: proxy_read_timeout, proxy_send_timeout), or lower \
             PING_INTERVAL_SECONDS below it"
        )),
    }
}

impl Trouble {
    /// Without advice.
    fn why(&self) -> &str {
        match self {
            Self::Name(why) | Self::Connection(why) | Self::Tls(why) | Self::Http(why) => why,
            Self::NoTls => "no TLS",
        }
    }
}

/// Whether `address` belongs to one place in the world, as far as one may tell. Others are handed
/// out behind a NAT, or on one machine.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            // RFC 6598: what providers use for their own NAT.
            let is_shared = first == 100 && (64..128).contains(&second);
            let is_local = v4.is_loopback() || v4.is_link_local() || v4.is_unspecified();
            !(is_shared || is_local || v4.is_private())
        }
        IpAddr::V6(v6) => {
            let is_local = v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified();
            !(is_local || v6.is_unique_local())
        }
    }
}

fn shown(url: UrlParts<'_>) -> String {
    let scheme = if url.is_secure { "https" } else { "http" };
    format!("{scheme}://{}{}", url.authority, url.path)
}

#[cfg(test)]
mod tests;
