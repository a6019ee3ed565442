//! Answers, before it is known how they have to be written.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use super::error::HttpError;
use super::status::Status;
use super::syntax::{is_field_byte, is_token_byte};

/// The value of `Retry-After` for what passes soon, in seconds.
pub const RETRY_AFTER: &str = "5";

/// Fields that follow from the context or the body. Only the encoder writes them.
const ENCODER_FIELDS: [&str; 4] = ["Connection", "Content-Length", "Date", "Transfer-Encoding"];

/// The answer to one request, before it is known how it has to be written.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    status: Status,
    /// Invariant: names are tokens, values have no control bytes.
    headers: Vec<(&'static str, Cow<'static, str>)>,
    body: Cow<'static, [u8]>,
}

impl Response {
    /// `body` of the type `content_type`.
    pub fn new(
        status: Status,
        content_type: &'static str,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Self {
        let headers = vec![("Content-Type", Cow::Borrowed(content_type))];
        Self { status, headers, body: body.into() }
    }

    /// `body` written as JSON. It must be a type that always can be: no map in it whose keys are
    /// not strings.
    pub fn json(status: Status, body: &impl Serialize) -> Self {
        let text = serde_json::to_vec(body);
        debug_assert!(text.is_ok(), "an answer that has no JSON form");
        Self::json_text(status, text.unwrap_or_default())
    }

    /// `body`, which is JSON already. No cache may keep it: it may hold a token.
    pub fn json_text(status: Status, body: impl Into<Vec<u8>>) -> Self {
        let mut response = Self::new(status, "application/json", body.into());
        response.headers.push(("Cache-Control", Cow::Borrowed("no-store")));
        response
    }

    /// `{"error": message}`.
    pub fn error(status: Status, message: &str) -> Self {
        #[derive(Serialize)]
        struct Failure<'a> {
            error: &'a str,
        }
        Self::json(status, &Failure { error: message })
    }

    /// 503: what is missing may be there in a moment, `message` says what. [`RETRY_AFTER`] says
    /// when to come back.
    pub fn unavailable(message: &str) -> Self {
        Self::error(Status::SERVICE_UNAVAILABLE, message).with_header("Retry-After", RETRY_AFTER)
    }

    /// 304: the client has it already (RFC 9110, 15.4.5).
    pub const fn not_modified() -> Self {
        Self::empty(Status::NOT_MODIFIED)
    }

    /// 204 (RFC 9110, 15.3.5).
    pub const fn no_content() -> Self {
        Self::empty(Status::NO_CONTENT)
    }

    const fn empty(status: Status) -> Self {
        Self { status, headers: Vec::new(), body: Cow::Borrowed(&[]) }
    }

    /// Sets a field in place of another with that name. Control bytes in `value`, which could end
    /// the field and begin another, are left out.
    pub fn set_header(&mut self, name: &'static str, value: &str) {
        debug_assert!(name.bytes().all(is_token_byte) && !ENCODER_FIELDS.contains(&name));
        let is_clean = value.bytes().all(is_field_byte);
        let value = if is_clean {
            value.to_owned()
        } else {
            value.chars().filter(|char| !char.is_control()).collect()
        };
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name, Cow::Owned(value)));
    }

    /// Adds a field with a fixed value.
    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, Cow::Borrowed(value)));
        self
    }

    /// The status.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The value of the field called `name`, of those that were set.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_ref())
    }

    /// All fields that were set, in their order.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.headers.iter().map(|(name, value)| (*name, value.as_ref()))
    }

    /// The content.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl From<&HttpError> for Response {
    fn from(error: &HttpError) -> Self {
        Self::error(error.status, &error.to_string())
    }
}

/// Shows no field and no body: either may hold a token.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status.code())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
