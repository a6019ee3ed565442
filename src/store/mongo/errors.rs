//! What the driver's errors mean here.

use mongodb::error::{Error, ErrorKind, WriteFailure};

use crate::store::contract::StoreError;

/// The server's error code for a unique index that is violated.
pub(super) const DUPLICATE_KEY: i32 = 11_000;
/// The server's error code for a document over its limit.
pub(super) const OBJECT_TOO_LARGE: i32 = 10_334;

/// What an operation gave; `None` if a unique index forbids it.
pub(super) fn unless_duplicate<T>(result: Result<T, Error>) -> Result<Option<T>, StoreError> {
    match result {
        Err(error) if code(&error) == Some(DUPLICATE_KEY) => Ok(None),
        result => Ok(Some(result?)),
    }
}

/// The server's code for what went wrong, if it was the server that said so.
pub(super) fn code(error: &Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        _ => None,
    }
}

/// The driver's words without the debris around them. It never has the URI's password in them.
pub(super) fn brief(error: &Error) -> String {
    let text = match error.kind.as_ref() {
        ErrorKind::ServerSelection { .. } => "no MongoDB server answers".to_owned(),
        ErrorKind::Authentication { .. } => "MongoDB refuses the user or password".to_owned(),
        other => other.to_string(),
    };
    one_line(&text)
}

/// What a line of the log takes of `text`.
pub(super) fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        if code(&error) == Some(OBJECT_TOO_LARGE) {
            Self::TooLarge
        } else {
            Self::Unavailable(brief(&error))
        }
    }
}
