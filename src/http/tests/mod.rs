//! Tests of the whole way from bytes to bytes. Those of one function alone stand beside it.

mod bodies;
mod conditional;
mod limits;
mod mutations;
mod requests;
mod responses;
mod upgrades;

use super::{HttpError, Request, RequestParser, Stage};

/// What a connection sees of some bytes: requests in order, then perhaps the error that ends it.
#[derive(Debug, PartialEq)]
struct Outcome {
    requests: Vec<Request>,
    error: Option<HttpError>,
    /// Where the last parser stands.
    stage: Stage,
}

/// Feeds `pieces` to a connection that, as sessions do, has a parser only while a request is
/// under way.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut parser: Option<Box<RequestParser>> = None;
    let mut requests = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let mut reading = parser.take().unwrap_or_default();
            match reading.feed(&mut piece) {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => {
                    assert!(piece.is_empty(), "what is unfinished takes everything");
                    parser = (!reading.is_idle()).then_some(reading);
                }
                Err(error) => {
                    return Outcome { requests, error: Some(error), stage: reading.stage() };
                }
            }
        }
    }
    Outcome { requests, error: None, stage: parser.map_or(Stage::Idle, |parser| parser.stage()) }
}

/// What `bytes` turn into, which must not depend on how they are cut: in one piece, in two at
/// every place, byte by byte.
fn read_in_all_ways(bytes: &[u8]) -> Outcome {
    let whole = read([bytes]);
    assert_eq!(read(bytes.chunks(1)), whole, "byte by byte: {}", bytes.escape_ascii());
    for cut in 1..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(read([first, second]), whole, "cut at {cut}: {}", bytes.escape_ascii());
    }
    whole
}

/// The one request that `bytes` are.
fn request(bytes: impl AsRef<[u8]>) -> Request {
    let outcome = read([bytes.as_ref()]);
    assert_eq!((outcome.error, outcome.stage), (None, Stage::Idle));
    let [request] = <[Request; 1]>::try_from(outcome.requests).expect("one request");
    request
}
