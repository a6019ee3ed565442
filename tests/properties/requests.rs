//! HTTP: a request comes out as it was put in, and no stream, good or bad, is read differently
//! because of how it was cut.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sync_server::http::Stage;

use crate::cases;
use crate::drivers::http::{check_stream, read};
use crate::drivers::pieces;

/// A request as somebody means it.
#[derive(Clone, Debug)]
struct Meant {
    method: &'static str,
    path: String,
    query: Option<String>,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    framing: Framing,
    line_end: &'static str,
}

#[derive(Clone, Debug)]
enum Framing {
    None,
    Length,
    /// The sizes of the chunks, and what follows each size.
    Chunked(Vec<(u8, &'static str)>),
}

/// What may become of some bytes on their way.
#[derive(Clone, Debug)]
enum Damage {
    Insert(Index, &'static [u8]),
    Overwrite(Index, u8),
    Remove(Index),
    Truncate(Index),
    Repeat(Index, u8),
}

/// Bytes that parsers care about.
const PIECES: [&[u8]; 20] = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\0",
    b" ",
    b"\t",
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
    b"Transfer-Encoding: chunked\r\n",
    b"Host: b\r\n",
];

fn framing() -> impl Strategy<Value = Framing> {
    let extension = select(vec!["", ";a", " ;b=\"c\"", "\t;d"]);
    prop_oneof![
        Just(Framing::None),
        Just(Framing::Length),
        vec((any::<u8>(), extension), 1..5).prop_map(Framing::Chunked),
    ]
}

fn meant() -> impl Strategy<Value = Meant> {
    let field = ("x-[a-z]{1,8}", "[!-~]([ -~]{0,20}[!-~])?");
    (
        select(vec!["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]),
        "/[a-zA-Z0-9/%._~-]{0,30}",
        proptest::option::of("[a-z0-9=&%+?/]{0,30}"),
        vec(field, 0..6),
        vec(any::<u8>(), 0..300),
        framing(),
        select(vec!["\r\n", "\n"]),
    )
        .prop_map(|(method, path, query, fields, body, framing, line_end)| Meant {
            method,
            path,
            query,
            fields,
            body: if matches!(framing, Framing::None) { Vec::new() } else { body },
            framing,
            line_end,
        })
}

impl Meant {
    fn bytes(&self) -> Vec<u8> {
        let (method, path, end) = (self.method, &self.path, self.line_end);
        let query = self.query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
        let fields = self.fields.iter().map(|(name, value)| format!("{name}: {value}{end}"));
        let framing = match &self.framing {
            Framing::None => String::new(),
            Framing::Length => format!("Content-Length: {}{end}", self.body.len()),
            Framing::Chunked(_) => format!("Transfer-Encoding: chunked{end}"),
        };
        let head = [
            format!("{method} {path}{query} HTTP/1.1{end}Host: a{end}"),
            fields.collect(),
            framing,
            end.to_owned(),
        ];
        let body = match &self.framing {
            Framing::None | Framing::Length => self.body.clone(),
            Framing::Chunked(sizes) => chunked(&self.body, sizes),
        };
        [head.concat().as_bytes(), &body].concat()
    }
}

/// `body` in chunks, with a trailer field behind them.
fn chunked(body: &[u8], sizes: &[(u8, &str)]) -> Vec<u8> {
    let lengths: Vec<u8> = sizes.iter().map(|(length, _)| *length).collect();
    let extensions = sizes.iter().map(|(_, extension)| extension).cycle();
    let mut bytes = Vec::new();
    for (chunk, extension) in pieces(body, &lengths).zip(extensions) {
        bytes.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\nTrailer: 1\r\n\r\n");
    bytes
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), select(PIECES.to_vec())).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Overwrite(at, byte)),
        any::<Index>().prop_map(Damage::Remove),
        any::<Index>().prop_map(Damage::Truncate),
        (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Damage::Repeat(at, length)),
    ]
}

impl Damage {
    fn strike(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Insert(at, piece) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, piece.iter().copied());
            }
            Self::Overwrite(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Self::Remove(at) => {
                bytes.remove(at.index(bytes.len()));
            }
            Self::Truncate(at) => bytes.truncate(at.index(bytes.len())),
            Self::Repeat(at, length) => {
                let at = at.index(bytes.len());
                let end = bytes.len().min(at + usize::from(*length));
                bytes.extend_from_within(at..end);
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn requests_come_out_as_they_were_put_in(
        meant in vec(meant(), 1..4),
        lengths in vec(any::<u8>(), 0..8),
    ) {
        let stream: Vec<u8> = meant.iter().flat_map(Meant::bytes).collect();
        let outcome = read(pieces(&stream, &lengths));
        prop_assert_eq!((outcome.error, outcome.stage), (None, Stage::Idle));
        prop_assert_eq!(outcome.requests.len(), meant.len());
        for (request, meant) in outcome.requests.iter().zip(&meant) {
            prop_assert_eq!(request.method(), meant.method);
            prop_assert_eq!(request.path(), &meant.path);
            prop_assert_eq!(request.query(), meant.query.as_deref());
            prop_assert_eq!(request.body(), &*meant.body);
            for (name, _) in &meant.fields {
                let values: Vec<&[u8]> = request.header_values(&name.to_uppercase()).collect();
                let theirs = meant.fields.iter().filter(|(other, _)| other == name);
                let theirs: Vec<&[u8]> = theirs.map(|(_, value)| value.as_bytes()).collect();
                prop_assert_eq!(values, theirs);
            }
        }
    }

    #[test]
    fn damaged_requests_are_read_the_same_in_every_cut(
        meant in vec(meant(), 1..4),
        front in select(vec!["", "\r\n", "\n\n", "\r", "\n\r"]),
        damages in vec(damage(), 0..4),
        lengths in vec(any::<u8>(), 0..8),
    ) {
        let mut stream = front.as_bytes().to_vec();
        stream.extend(meant.iter().flat_map(Meant::bytes));
        for damage in &damages {
            damage.strike(&mut stream);
        }
        check_stream(&stream, &lengths);
    }

    #[test]
    fn noise_is_read_the_same_in_every_cut(
        front in select(vec!["", "GET ", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"]),
        noise in vec(any::<u8>(), 0..2_000),
        lengths in vec(any::<u8>(), 0..8),
    ) {
        check_stream(&[front.as_bytes(), &noise].concat(), &lengths);
    }
}

/// The bounds lie beyond what is drawn above: a request line, a head and a body around theirs.
#[test]
fn bounds_are_the_same_in_every_cut() {
    let line = |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(bytes));
    let field =
        |bytes: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(bytes));
    let body = |bytes: usize| {
        let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n");
        head + &"x".repeat(bytes)
    };
    let streams = (8_170..8_184)
        .map(line)
        .chain((16_340..16_360).map(field))
        .chain((65_534..65_539).map(body));
    let mut refused = 0;
    for stream in streams {
        let lengths = [0, 200, 7, 254];
        let whole = read([stream.as_bytes()]);
        assert_eq!(read(pieces(stream.as_bytes(), &lengths)), whole);
        refused += usize::from(whole.error.is_some());
    }
    assert!((10..30).contains(&refused), "{refused} were beyond a bound");
}
