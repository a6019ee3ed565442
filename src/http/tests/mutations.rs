//! Damaged requests, from seeds: nothing panics, nothing grows, and how the bytes are cut makes
//! no difference.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Outcome, read};
use crate::base::time::UnixMillis;
use crate::http::{
    BODY_BYTES_MAX, HEAD_BYTES_MAX, RequestParser, Response, ResponseContext, ResponseEncoder,
    Upgrade,
};

const SEEDS: u64 = 100;
const ROUNDS: usize = 25;

const REQUESTS: [&str; 5] = [
    "GET /ws?token=a%2eb HTTP/1.1\r\nHost: a:80\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Protocol: khun-phaen.v1, bearer.a.b.c\r\nOrigin: https://a\r\n\r\n",
    "POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n\
     {\"a\":[1,{}]}",
    "PUT /api/auth/users/%41 HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\n\
     Cookie: _khun_ph_token=a; b\r\n\r\n\
     5;x=\"y\"\r\nhello\r\n0A\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
    "GET http://a/api/rooms/ABC HTTP/1.0\r\nAuthorization: Bearer abc\r\n\
     X-Forwarded-Proto: https, http\r\nX-Forwarded-Host: b\r\nConnection: keep-alive\r\n\r\n",
    "\r\n\nOPTIONS * HTTP/1.1\nHost: a\nAccess-Control-Request-Method: PUT\n\n",
];

/// Bytes that parsers care about.
const PIECES: [&[u8]; 16] = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b":",
    b";",
    b",",
    b"%",
    b"0",
    b"F",
    b"-",
    b"\xff",
    b"HTTP/1.1",
    b"Content-Length: 5\r\n",
];

fn damage(bytes: &mut Vec<u8>, random: &mut StdRng) {
    for _ in 0..random.random_range(0..4) {
        let at = random.random_range(0..=bytes.len());
        let piece = PIECES[random.random_range(0..PIECES.len())];
        match random.random_range(0..5) {
            0 => drop(bytes.splice(at..at, piece.iter().copied())),
            1 => bytes.truncate(at),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 if at < bytes.len() => bytes[at] = random.random(),
            _ => {
                let end = bytes.len().min(at + random.random_range(0..20));
                bytes.extend_from_within(at..end);
            }
        }
    }
}

/// Whatever was read is looked at in every way there is.
fn exercise(outcome: &Outcome, encoder: &mut ResponseEncoder) {
    for request in &outcome.requests {
        let context = ResponseContext::of(request);
        let response = Upgrade::of(request).err().unwrap_or(Response::no_content());
        let mut out = Vec::new();
        encoder.encode(&response, &context, UnixMillis(0), &mut out);
        assert!(out.starts_with(b"HTTP/1.1 ") && out.windows(4).any(|end| end == b"\r\n\r\n"));
        assert!(request.path().starts_with('/') || request.path() == "*");
        assert!(request.body().len() <= BODY_BYTES_MAX);
        let _values = (request.query_value("token"), request.cookie("_khun_ph_token"));
        assert!(!format!("{request:?}").is_empty());
    }
}

#[test]
fn damaged_requests_are_read_the_same_however_they_are_cut() {
    let mut encoder = ResponseEncoder::default();
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..ROUNDS {
            let mut bytes = Vec::new();
            for _ in 0..random.random_range(1..4) {
                let mut request =
                    REQUESTS[random.random_range(0..REQUESTS.len())].as_bytes().to_vec();
                damage(&mut request, &mut random);
                bytes.append(&mut request);
            }
            let whole = read([bytes.as_slice()]);
            assert_eq!(read(bytes.chunks(1)), whole, "seed {seed}: {}", bytes.escape_ascii());
            let size = random.random_range(2..40);
            assert_eq!(read(bytes.chunks(size)), whole, "seed {seed}: {}", bytes.escape_ascii());
            exercise(&whole, &mut encoder);
            accepted += whole.requests.len();
            refused += usize::from(whole.error.is_some());
        }
    }
    // Else nothing was tried.
    assert!(accepted > 500 && refused > 500, "{accepted} accepted, {refused} refused");
}

#[test]
fn noise_is_refused_and_never_hoarded() {
    for seed in 0..SEEDS {
        let mut random = StdRng::seed_from_u64(seed);
        let mut parser = RequestParser::default();
        // The first bytes get past the head; noise in what follows is the body's trouble.
        let start = ["", "GET ", "GET / HTTP/1.1\r\n", REQUESTS[2].split_at(150).0];
        let mut input = start[random.random_range(0..start.len())].as_bytes().to_vec();
        input.extend((0..HEAD_BYTES_MAX).map(|_| random.random::<u8>()));
        let mut rest = input.as_slice();
        while let Ok(Some(_)) = parser.feed(&mut rest) {}
        assert!(parser.buffered_bytes() <= 2 * HEAD_BYTES_MAX, "seed {seed}");
    }
}
