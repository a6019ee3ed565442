//! A connection that speaks HTTP, from its bytes to the answers that it could be given.

use super::pieces;
use sync_server::api::{Cors, check_upgrade, credentials, route, websocket_url};
use sync_server::base::time::UnixMillis;
use sync_server::config::{AllowedOrigins, RemoteEnd, TrustedProxies, client_address};
use sync_server::http::{
    BODY_BYTES_MAX, HEAD_BYTES_MAX, HttpError, Request, RequestParser, Response, ResponseContext,
    ResponseEncoder, Stage, parse_json,
};

/// What a parser may keep: a head with its marks, and a body's buffer after its last doubling.
const BUFFERED_BYTES_MAX: usize = 2 * BODY_BYTES_MAX + 2 * HEAD_BYTES_MAX;

/// Fields of an answer; ours have less than half of them.
const ANSWER_FIELDS_MAX: usize = 32;

/// What a connection sees of some bytes: requests in order, then perhaps the error that ends it.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) requests: Vec<Request>,
    pub(crate) error: Option<HttpError>,
    /// Where the last parser stands.
    pub(crate) stage: Stage,
}

/// Feeds `pieces` to a connection that, as sessions do, has a parser only while a request is under
/// way.
pub(crate) fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut parser: Option<Box<RequestParser>> = None;
    let mut requests = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let mut reading = parser.take().unwrap_or_default();
            let before = piece.len();
            match reading.feed(&mut piece) {
                Ok(Some(request)) => {
                    assert!(piece.len() < before, "a request of no bytes");
                    requests.push(request);
                }
                Ok(None) => {
                    assert!(piece.is_empty(), "what is unfinished takes everything");
                    assert!(reading.buffered_bytes() <= BUFFERED_BYTES_MAX);
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

/// Checks a stream in every cut. The first four bytes of `input` are the lengths of [`pieces`], the
/// rest is the stream.
pub(crate) fn check_input(input: &[u8]) {
    let Some((lengths, stream)) = input.split_first_chunk::<4>() else { return };
    check_stream(stream, lengths);
}

/// However `stream` is cut, it comes to the same, which is looked at.
pub(crate) fn check_stream(stream: &[u8], lengths: &[u8]) {
    let whole = read([stream]);
    assert_eq!(read(pieces(stream, lengths)), whole, "in pieces: {}", stream.escape_ascii());
    assert_eq!(read(stream.chunks(1)), whole, "byte by byte: {}", stream.escape_ascii());
    look_at(&whole);
}

/// Looks at `outcome` in every way that the server does, and answers it in every way.
fn look_at(outcome: &Outcome) {
    let listed = AllowedOrigins::parse("https://a,null").expect("two origins");
    for origins in [AllowedOrigins::Any, listed] {
        let mut encoder = ResponseEncoder::default();
        encoder.set_extra_fields(Box::new(Cors::new(origins.clone())));
        for request in &outcome.requests {
            look_at_request(request, &origins, &mut encoder);
        }
        if let Some(error) = &outcome.error {
            let answer = Response::from(error);
            check_answer(&answer, &ResponseContext::closing(), &mut encoder);
        }
    }
}

fn look_at_request(request: &Request, origins: &AllowedOrigins, encoder: &mut ResponseEncoder) {
    assert!(request.path().starts_with('/') || request.path() == "*");
    assert!(request.body().len() <= BODY_BYTES_MAX);
    assert!(!format!("{request:?}").contains('\n'), "one line for a log");
    let context = ResponseContext::of(request);
    match route(request.method(), request.path()) {
        Ok(_) => check_answer(&Response::no_content(), &context, encoder),
        Err(error) => check_answer(&Response::from(&error), &context, encoder),
    }
    match check_upgrade(request, origins) {
        Ok((upgrade, _)) => {
            let mut out = Vec::new();
            encoder.encode_upgrade(&upgrade, UnixMillis(0), &mut out);
            assert_eq!(check_head(&out).0, 101);
        }
        Err(answer) => check_answer(&answer, &context, encoder),
    }
    let token = credentials(request, origins);
    assert!(token.is_none_or(|token| !token.expose().is_empty()));
    let _values = (request.query_value("token"), websocket_url(request, None, true));
    let proxies = TrustedProxies::parse("10.0.0.0/8, ::1").expect("a network and an address");
    let hops = request.joined_header("x-forwarded-for").unwrap_or_default();
    let _client = client_address(RemoteEnd::Local, &hops, &proxies);
    if let Err(message) = parse_json::<Option<serde_json::Value>>(request) {
        assert!(message.len() < 300, "an error does not repeat a long body");
    }
}

/// The answer is one that a client can read, and ends where it says.
fn check_answer(answer: &Response, context: &ResponseContext, encoder: &mut ResponseEncoder) {
    let mut out = Vec::new();
    encoder.encode(answer, context, UnixMillis(0), &mut out);
    let (status, content_length, head_bytes) = check_head(&out);
    assert!((200..600).contains(&status));
    let body_bytes = out.len() - head_bytes;
    assert!(body_bytes == 0 || content_length == Some(body_bytes), "{content_length:?}");
}

/// Status, `Content-Length` and bytes of the head that `out` begins with.
fn check_head(out: &[u8]) -> (u16, Option<usize>, usize) {
    let mut fields = [httparse::EMPTY_HEADER; ANSWER_FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(out).expect("our answers are HTTP");
    let head_bytes = parsed.unwrap();
    let content_length = response.headers.iter().find_map(|field| {
        let is_length = field.name.eq_ignore_ascii_case("content-length");
        is_length.then(|| str::from_utf8(field.value).ok()?.parse().ok()).flatten()
    });
    (response.code.expect("an answer has a status"), content_length, head_bytes)
}
