//! Tests of the way from a request to its answer, as far as no engine is needed.

mod cors;
mod routes;
mod upgrades;

use crate::http::{Request, RequestParser};

/// The one request that `bytes` are.
fn request(bytes: impl AsRef<[u8]>) -> Request {
    let mut rest = bytes.as_ref();
    let request = RequestParser::default().feed(&mut rest).expect("HTTP").expect("whole");
    assert!(rest.is_empty(), "one request");
    request
}
