//! `sync-server setup URL`: makes the first administrator through a running server, by means of
//! the setup token. For containers: the image runs once more beside the server, and needs no shell
//! or curl for it. Opens no store.

use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::client::{AskError, Deadline, Server, complaint};
use crate::base::secret::Secret;
use crate::config::{Config, InitialAdmin, UrlParts, public_url, url_parts};
use crate::http::ServerAnswer;

/// For everything together: a server that is started at the same time, and its database, need some
/// time until they answer.
const LIMIT: Duration = Duration::from_secs(60);
/// For one request: longer than the jobs behind it may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// Between two requests.
const INTERVAL: Duration = Duration::from_millis(500);
/// Of what a server says in its answer; enough to understand it.
const SHOWN_CHARS_MAX: usize = 200;

/// What came of it. Both are success, so that a set-up can be run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstAdmin {
    /// There is an administrator now.
    Made,
    /// There was a user already, with whatever rights.
    AlreadyThere,
}

/// Why there is no administrator, in one line.
#[derive(Debug, thiserror::Error)]
pub enum FirstAdminError {
    /// The URL cannot be meant.
    #[error("the URL of the server must be http://HOST or http://HOST:PORT")]
    Url,
    /// A setting is missing that describes the administrator, or allows to make it.
    #[error("{0} is not set")]
    Unset(&'static str),
    /// The server at this URL gives no answer, or none in HTTP: what the last attempt failed with.
    #[error("{0} gave no answer within 60 s: {1}")]
    Unreachable(String, AskError),
    /// The server was started with another token, or without one.
    #[error("{0} has another INITIAL_SETUP_TOKEN, or none")]
    Token(String),
    /// An answer that says no for another reason: the URL, the status code and the message.
    #[error("{0} answered {1}: {2}")]
    Refused(String, u16, String),
}

/// Makes the administrator of `config` through the server at `url`, within a minute: one that
/// does not answer yet, or whose database does not, is asked again.
///
/// # Errors
/// [`FirstAdminError`], whatever keeps it from being known that there is a user.
pub fn make(config: &Config, url: &str) -> Result<FirstAdmin, FirstAdminError> {
    let server = Server::Url(parts(url).ok_or(FirstAdminError::Url)?);
    let token = config.initial_setup_token.as_ref();
    let token = token.ok_or(FirstAdminError::Unset("INITIAL_SETUP_TOKEN"))?;
    let admin = config.initial_admin.as_ref();
    let admin = admin.ok_or(FirstAdminError::Unset("INITIAL_ADMIN_EMAIL"))?;
    let request = request(&server, token, admin);
    let deadline = Deadline::after(LIMIT);
    loop {
        let outcome = match server.ask(&request, REQUEST_LIMIT.min(deadline.left())) {
            Ok(answer) => judge(url, &answer),
            Err(error) => Err(FirstAdminError::Unreachable(url.to_owned(), error)),
        };
        match outcome {
            Err(error) if error.may_pass() && deadline.left() > INTERVAL => pause(),
            outcome => return outcome,
        }
    }
}

impl FirstAdminError {
    /// Whether the next attempt may go better: the server or its database is still starting.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable(..) | Self::Refused(_, 503, _))
    }
}

/// `POST /api/auth/invite`, as README.md describes it.
#[derive(Serialize)]
struct Invitation<'a> {
    email: &'a str,
    password: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    nickname: Option<&'a str>,
}

/// The parts of `url`, if it is `http://HOST[:PORT]`.
fn parts(url: &str) -> Option<UrlParts<'_>> {
    // What `public_url` would put right is not to be put right here.
    let plain = url.strip_suffix('/').unwrap_or(url);
    let parts = url_parts(plain).filter(|_| public_url(plain).is_some_and(|same| same == plain))?;
    (!parts.is_secure && parts.path.is_empty()).then_some(parts)
}

fn request(server: &Server<'_>, token: &Secret, admin: &InitialAdmin) -> String {
    let body = serde_json::to_string(&Invitation {
        email: &admin.email,
        password: admin.password.expose(),
        nickname: admin.nickname.as_deref(),
    })
    .expect("texts can be written as JSON");
    server
        .request("POST", "/api/auth/invite")
        .field("X-Setup-Token", token.expose())
        .field("Content-Type", "application/json")
        .field("Content-Length", body.len())
        .with_body(&body)
}

/// What `answer` means. Without a login, 401 says that a login is needed: there are users.
fn judge(url: &str, answer: &ServerAnswer) -> Result<FirstAdmin, FirstAdminError> {
    let url = url.to_owned();
    match answer.status {
        200 | 201 => Ok(FirstAdmin::Made),
        401 => Ok(FirstAdmin::AlreadyThere),
        403 => Err(FirstAdminError::Token(url)),
        status => {
            let message = match complaint(answer) {
                Some(text) => text.escape_debug().take(SHOWN_CHARS_MAX).collect(),
                None => "is this a sync server?".to_owned(),
            };
            Err(FirstAdminError::Refused(url, status, message))
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a command of its own, which does nothing else")]
fn pause() {
    thread::sleep(INTERVAL);
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::http::parse_answer;

    fn answer(status: u16, body: &str) -> ServerAnswer {
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        parse_answer(text.as_bytes(), true).expect("HTTP").expect("whole").0
    }

    #[test]
    fn urls_are_plain() {
        for (url, expected) in [
            ("http://server", Some(("server", 80))),
            ("http://server:3001", Some(("server", 3001))),
            ("http://127.0.0.1:3001/", Some(("127.0.0.1", 3001))),
            ("http://[::1]:3001", Some(("[::1]", 3001))),
            ("http://[::1]", Some(("[::1]", 80))),
            ("https://server", None),
            ("server:3001", None),
            ("http://", None),
            ("http://:3001", None),
            ("http://server:", None),
            ("http://server:+1", None),
            ("http://server:65536", None),
            ("http://server/path", None),
            ("http://ann@server", None),
            ("http://server\r\nX: y", None),
            ("http://[::1", None),
            ("http://[::1]x", None),
        ] {
            let found = parts(url).map(|parts| (parts.host, parts.port));
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn a_request_is_what_the_readme_shows() {
        let admin = InitialAdmin {
            email: "ann@example.com".to_owned(),
            password: Secret::new("a \"good\" รหัส"),
            nickname: Some("Ann".to_owned()),
        };
        let body = r#"{"email":"ann@example.com","password":"a \"good\" รหัส","nickname":"Ann"}"#;
        let expected = format!(
            "POST /api/auth/invite HTTP/1.1\r\nHost: [::1]\r\nX-Setup-Token: t0ken\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n\
             {body}",
            body.len()
        );
        let server = Server::Url(parts("http://[::1]").expect("a server"));
        assert_eq!(request(&server, &Secret::new("t0ken"), &admin), expected);
        let nameless = InitialAdmin { nickname: None, ..admin };
        assert!(!request(&server, &Secret::new("t"), &nameless).contains("nickname"));
    }

    #[test]
    fn answers_are_told_apart() {
        let error = |status, body| {
            let error = judge("http://s", &answer(status, body)).expect_err("a refusal");
            (error.may_pass(), error.to_string())
        };
        assert_eq!(judge("http://s", &answer(200, "{}")).expect("success"), FirstAdmin::Made);
        let there = judge("http://s", &answer(401, "{}")).expect("success");
        assert_eq!(there, FirstAdmin::AlreadyThere);
        let line = "http://s has another INITIAL_SETUP_TOKEN, or none";
        assert_eq!(error(403, "{}"), (false, line.to_owned()));
        let line = "http://s answered 400: No \\u{7} e-mail";
        assert_eq!(error(400, r#"{"error":"No \u0007 e-mail"}"#), (false, line.to_owned()));
        let (may_pass, line) = error(503, "down");
        assert_eq!((may_pass, &*line), (true, "http://s answered 503: is this a sync server?"));
        let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(1000));
        assert_eq!(error(400, &long).1.len(), "http://s answered 400: ".len() + SHOWN_CHARS_MAX);
    }

    #[test]
    fn what_is_not_set_is_named_before_anybody_is_asked() {
        let mut config = Config::default();
        let problem = |config: &Config, url| make(config, url).expect_err("no way").to_string();
        assert_eq!(problem(&config, "ftp://x"), FirstAdminError::Url.to_string());
        assert_eq!(problem(&config, "http://x"), "INITIAL_SETUP_TOKEN is not set");
        config.initial_setup_token = Some(Secret::new("t0ken"));
        assert_eq!(problem(&config, "http://x"), "INITIAL_ADMIN_EMAIL is not set");
    }

    #[test]
    fn the_limit_is_the_one_that_is_told() {
        let error = AskError::Connection(ErrorKind::TimedOut.into());
        let line = FirstAdminError::Unreachable(String::new(), error).to_string();
        assert!(line.contains(&format!("within {} s", LIMIT.as_secs())), "{line}");
    }
}
