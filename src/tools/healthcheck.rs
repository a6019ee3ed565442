//! `sync-server healthcheck`: asks the server that the settings describe how it is. For containers
//! without a shell. Opens no store; a database that does not answer makes no server unhealthy,
//! since a restart would not bring it back.

use std::io::ErrorKind;
use std::time::Duration;

use super::client::{AskError, Server};
use crate::api::Health;
use crate::config::Config;

/// For everything together: Docker and its like have time-outs of their own, the usual one being
/// 30 s.
const LIMIT: Duration = Duration::from_secs(5);

/// Why the server is not healthy, in one line.
#[derive(Debug, thiserror::Error)]
pub enum HealthcheckError {
    /// `PORT` is 0, so it is not known where to ask.
    #[error("PORT=0 lets the system choose a port, so it is not known where to ask")]
    UnknownPort,
    /// Nothing listens there.
    #[error("nobody listens on {0} (PORT and BIND_ADDR say where the server is asked)")]
    Absent(Server<'static>),
    /// No answer within the time there is.
    #[error("{0} gave no answer within 5 s")]
    Late(Server<'static>),
    /// The connection failed, or the answer is no HTTP.
    #[error("{0}: {1}")]
    Failed(Server<'static>, AskError),
    /// The answer is one that says no.
    #[error("{0} answered {1} to GET /health, not 200")]
    Refused(Server<'static>, u16),
    /// Another program answers.
    #[error("{0} is another program: its answer to GET /health is not that of a sync server")]
    Stranger(Server<'static>),
}

/// Asks the server that `config` describes, within five seconds.
///
/// # Errors
/// [`HealthcheckError`], whatever keeps it from being known as healthy.
pub fn check(config: &Config) -> Result<Health, HealthcheckError> {
    let server =
        Server::local(&config.bind_addr, config.port).ok_or(HealthcheckError::UnknownPort)?;
    let request = server.request("GET", "/health").with_body("");
    match server.ask(&request, LIMIT) {
        Ok(answer) if answer.status != 200 => Err(HealthcheckError::Refused(server, answer.status)),
        Ok(answer) => Health::read(&answer).ok_or(HealthcheckError::Stranger(server)),
        Err(AskError::Connection(error)) => Err(match error.kind() {
            ErrorKind::TimedOut => HealthcheckError::Late(server),
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => HealthcheckError::Absent(server),
            _ => HealthcheckError::Failed(server, error.into()),
        }),
        Err(error) => Err(HealthcheckError::Failed(server, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_one_that_is_told() {
        let late = HealthcheckError::Late(Server::Tcp(([127, 0, 0, 1], 80).into()));
        assert!(late.to_string().ends_with(&format!("within {} s", LIMIT.as_secs())), "{late}");
    }
}
