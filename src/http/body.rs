//! JSON bodies.

use serde::de::DeserializeOwned;

use super::request::Request;

/// The body of `request` as a `T`; an empty one is `T::default()`.
///
/// `Content-Type` is not looked at, since clients exist that send another. That lets a form of a
/// foreign page post JSON: a cookie must not count there.
///
/// # Errors
/// One line for the client, who is to blame. It may quote the body: not for logs.
pub fn parse_json<T: DeserializeOwned + Default>(request: &Request) -> Result<T, String> {
    let body = request.body();
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| format!("Invalid JSON: {error}"))
}
