//! Streams as clients send them, in every cut.

use tungstenite::protocol::CloseFrame;

use super::*;

const MESSAGE_BYTES_MAX: usize = 1 << 20;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
/// The bit of a frame that ends its message.
const FIN: u8 = 0x80;

/// A frame as a client sends it, masked (RFC 6455, 5.2 and 5.3).
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let length = (payload.len() as u64).to_be_bytes();
    let mut frame = vec![first];
    match payload.len() {
        0..=125 => frame.push(0x80 | length[7]),
        126..=65_535 => frame.extend_from_slice(&[0x80 | 0x7e, length[6], length[7]]),
        _ => {
            frame.push(0x80 | 0x7f);
            frame.extend_from_slice(&length);
        }
    }
    frame.extend_from_slice(&key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// What a tungstenite client would send.
fn by_tungstenite(messages: &[Message]) -> Vec<u8> {
    let mut client = WebSocketContext::new(Role::Client, None);
    let mut sent = Vec::new();
    for message in messages {
        let mut feed = Feed { input: &[], replies: &mut sent };
        client.write(&mut feed, message.clone()).expect("memory takes everything");
        client.flush(&mut feed).expect("memory takes everything");
    }
    sent
}

/// What came of a stream: the messages, the replies, how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    incoming: Vec<Incoming>,
    replies: Vec<u8>,
    error: Option<CloseReason>,
}

/// A connection with its decoder.
#[derive(Default)]
struct Peer {
    decoder: Decoder,
    outcome: Outcome,
}

impl Peer {
    fn receive(&mut self, pool: &mut DecoderPool, mut input: &[u8], message_bytes_max: usize) {
        loop {
            let replies = &mut self.outcome.replies;
            match self.decoder.next(pool, &mut input, message_bytes_max, replies) {
                Ok(Some(incoming)) => self.outcome.incoming.push(incoming),
                Ok(None) => break,
                Err(reason) => {
                    assert_eq!(self.outcome.error.replace(reason), None, "a second error");
                }
            }
        }
        assert!(input.is_empty(), "without a message nothing is left over");
    }
}

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, message_bytes_max: usize) -> Outcome {
    let mut pool = DecoderPool::default();
    let mut peer = Peer::default();
    for piece in pieces {
        peer.receive(&mut pool, piece, message_bytes_max);
    }
    peer.outcome
}

/// Decodes `stream` whole, in two pieces cut anywhere, and in pieces of every length up to 16.
fn decode_every_way(stream: &[u8], message_bytes_max: usize) -> Outcome {
    let whole = decode([stream], message_bytes_max);
    for at in 0..=stream.len() {
        let (first, second) = stream.split_at(at);
        assert_eq!(decode([first, second], message_bytes_max), whole, "cut at {at}");
    }
    for length in 1..=16 {
        assert_eq!(decode(stream.chunks(length), message_bytes_max), whole, "pieces of {length}");
    }
    whole
}

fn text(text: &str) -> Incoming {
    Incoming::Text(text.into())
}

#[test]
fn every_cut_of_a_stream_yields_the_same() {
    let long = "ก".repeat(100);
    let stream = [
        frame(FIN | TEXT, b"one"),
        frame(FIN | TEXT, b""),
        frame(FIN | PING, b""),
        frame(FIN | TEXT, long.as_bytes()),
        frame(FIN | BINARY, &[0xff, 0]),
        frame(TEXT, &long.as_bytes()[..4]),
        frame(FIN | PING, b"within a message"),
        frame(CONTINUATION, b""),
        frame(FIN | PONG, b"unasked"),
        frame(FIN | CONTINUATION, &long.as_bytes()[4..]),
        frame(BINARY, b"a"),
        frame(FIN | CONTINUATION, b"b"),
        frame(FIN | CLOSE, b"\x03\xe8bye"),
        frame(FIN | TEXT, b"never heard"),
    ]
    .concat();
    let outcome = decode_every_way(&stream, MESSAGE_BYTES_MAX);
    assert_eq!(
        outcome.incoming,
        [
            text("one"),
            text(""),
            Incoming::Ping,
            text(&long),
            Incoming::Binary(Bytes::from_static(&[0xff, 0])),
            Incoming::Ping,
            Incoming::Pong,
            text(&long),
            Incoming::Binary(Bytes::from_static(b"ab")),
            Incoming::Close(Some(1000)),
        ]
    );
    assert_eq!(outcome.replies, b"\x8a\x00\x8a\x10within a message\x88\x05\x03\xe8bye");
    assert_eq!(outcome.error, None);
}

#[test]
fn a_tungstenite_client_is_understood_at_every_boundary_of_the_length() {
    for length in [0, 125, 126, 127, 1023, 1024, 65_535, 65_536, 300_000] {
        let payload = "x".repeat(length);
        let mut stream = by_tungstenite(&[
            Message::text(payload.as_str()),
            Message::binary(payload.clone().into_bytes()),
            Message::Pong(Bytes::new()),
        ]);
        stream.extend(by_tungstenite(&[Message::Close(Some(CloseFrame {
            code: 4000.into(),
            reason: "done".into(),
        }))]));
        let expected = [
            text(&payload),
            Incoming::Binary(payload.into()),
            Incoming::Pong,
            Incoming::Close(Some(4000)),
        ];
        for piece in [stream.len(), 65_536, 1_000, 13] {
            let outcome = decode(stream.chunks(piece), MESSAGE_BYTES_MAX);
            assert_eq!(outcome.incoming, expected, "{length} bytes in pieces of {piece}");
            assert_eq!(outcome.replies, b"\x88\x06\x0f\xa0done");
        }
    }
}

#[test]
fn a_broken_stream_ends_with_its_reason() {
    use CloseReason::{InvalidUtf8, MessageTooBig, ProtocolError};
    let table: &[(&str, CloseReason, Vec<u8>)] = &[
        ("reserved bit 1", ProtocolError, frame(FIN | 0x40 | TEXT, b"x")),
        ("reserved bit 2", ProtocolError, frame(FIN | 0x20 | TEXT, b"x")),
        ("reserved bit 3", ProtocolError, frame(FIN | 0x10 | PING, b"x")),
        ("data opcode 3", ProtocolError, frame(FIN | 0x3, b"x")),
        ("control opcode 11", ProtocolError, frame(FIN | 0xb, b"x")),
        ("no mask", ProtocolError, b"\x81\x01x".to_vec()),
        ("long ping", ProtocolError, frame(FIN | PING, &[b'x'; 126])),
        ("fragmented ping", ProtocolError, frame(PING, b"x")),
        ("fragmented close", ProtocolError, frame(CLOSE, b"\x03\xe8")),
        ("nothing to continue", ProtocolError, frame(FIN | CONTINUATION, b"x")),
        ("half a close code", ProtocolError, frame(FIN | CLOSE, b"\x03")),
        (
            "a message within a message",
            ProtocolError,
            [frame(TEXT, b"x"), frame(FIN | TEXT, b"x")].concat(),
        ),
        ("text that is not UTF-8", InvalidUtf8, frame(FIN | TEXT, b"x\xff")),
        ("half a character", InvalidUtf8, frame(FIN | TEXT, "ก".as_bytes().split_at(2).0)),
        (
            "half a character in fragments",
            InvalidUtf8,
            [frame(TEXT, b"\xe0\xb8"), frame(FIN | CONTINUATION, b"")].concat(),
        ),
        ("close reason that is not UTF-8", InvalidUtf8, frame(FIN | CLOSE, b"\x03\xe8\xff")),
        ("too long", MessageTooBig, frame(FIN | TEXT, &[b'x'; 201])),
        ("too long in sum", MessageTooBig, {
            [frame(BINARY, &[b'x'; 150]), frame(CONTINUATION, &[b'x'; 51])].concat()
        }),
        ("too long for any machine", MessageTooBig, {
            let mut header = vec![FIN | TEXT, 0x80 | 0x7f];
            header.extend_from_slice(&[0xff; 8 + 4]);
            header
        }),
    ];
    for (what, reason, broken) in table {
        let stream =
            [frame(FIN | TEXT, b"before"), broken.clone(), frame(FIN | TEXT, b"after")].concat();
        let outcome = decode_every_way(&stream, 200);
        assert_eq!(outcome.error, Some(*reason), "{what}");
        assert_eq!(outcome.incoming, [text("before")], "{what}");
        assert_eq!(outcome.replies, b"", "{what}: the session answers errors, not the decoder");
    }
}

#[test]
fn a_message_may_be_as_long_as_the_limit_which_may_change() {
    let mut pool = DecoderPool::default();
    let mut peer = Peer::default();
    peer.receive(&mut pool, &frame(FIN | TEXT, &[b'x'; 200]), 200);
    peer.receive(&mut pool, &frame(FIN | TEXT, &[b'x'; 300]), 300);
    assert_eq!((peer.outcome.incoming.len(), peer.outcome.error), (2, None));
    peer.receive(&mut pool, &frame(FIN | TEXT, &[b'x'; 201]), 200);
    assert_eq!(peer.outcome.error, Some(CloseReason::MessageTooBig));
    // The header alone is enough: nobody waits for what will be refused.
    let outcome = decode([&frame(FIN | TEXT, &[b'x'; 201])[..8]], 200);
    assert_eq!(outcome.error, Some(CloseReason::MessageTooBig));
}

#[test]
fn close_codes_that_must_not_be_sent_are_answered_with_1002() {
    let table: &[(&[u8], Option<u16>)] = &[
        (b"", None),
        (b"\x03\xe8", Some(1000)),
        (b"\x0f\xff", Some(4095)),
        (b"\x03\xed", Some(1002)), // 1005
        (b"\x03\xee", Some(1002)), // 1006
        (b"\x03\xf7", Some(1002)), // 1015
        (b"\x00\x00", Some(1002)),
        (b"\xff\xff", Some(1002)),
    ];
    for (payload, code) in table {
        let outcome = decode_every_way(&frame(FIN | CLOSE, payload), 200);
        assert_eq!(outcome.incoming, [Incoming::Close(*code)]);
        let reply_code = outcome.replies.get(2..4).map(|c| u16::from_be_bytes([c[0], c[1]]));
        assert_eq!(reply_code, *code);
    }
}

#[test]
fn the_caller_can_stop_after_every_message() {
    let (one, two) = (frame(FIN | TEXT, b"one"), frame(TEXT, b"two"));
    let stream = [&one[..], &one, &two[..4]].concat();
    let (mut pool, mut decoder) = (DecoderPool::default(), Decoder::default());
    let mut input = stream.as_slice();
    for left in [one.len() + 4, 4] {
        let next = decoder.next(&mut pool, &mut input, 200, &mut Vec::new());
        assert_eq!(next, Ok(Some(text("one"))));
        assert_eq!(input.len(), left);
        assert_eq!(decoder.held_bytes(), 0);
    }
    assert_eq!(decoder.next(&mut pool, &mut input, 200, &mut Vec::new()), Ok(None));
    assert!(input.is_empty());
}

#[test]
fn only_unfinished_messages_hold_memory() {
    let mut pool = DecoderPool::default();
    let mut peer = Peer::default();
    let base = allocated_bytes(size_of::<MessageContext>());
    let small = base + allocated_bytes(READ_BUFFER_BYTES);
    // The read buffer is made for the whole frame as soon as that is announced.
    let announced = base + allocated_bytes(5_000);
    let copied = announced + allocated_bytes(5_000);
    let first = frame(TEXT, &[b'x'; 5_000]);
    let last = frame(FIN | CONTINUATION, &[b'y'; 5_000]);
    let steps: [(&[u8], usize); 9] = [
        (&first[..1], small),
        (&first[1..3_000], announced),
        // Once in the message so far, and once in the buffer into which it was read.
        (&first[3_000..], copied),
        (&frame(FIN | PING, b"12345"), copied),
        (&frame(CONTINUATION, b"").repeat(1_000), copied),
        (&last[..100], copied),
        (&last[100..], 0),
        // In the same context.
        (&frame(FIN | PING, b"12345")[..1], announced),
        (&frame(FIN | PING, b"12345")[1..], 0),
    ];
    for (piece, held) in steps {
        peer.receive(&mut pool, piece, MESSAGE_BYTES_MAX);
        assert_eq!(peer.decoder.held_bytes(), held);
        assert_eq!(matches!(peer.decoder.state, Progress::Idle), held == 0);
    }
    assert_eq!(peer.outcome.incoming.len(), 3);
    assert_eq!(pool.spares.len(), 1);
}

#[test]
fn of_a_long_message_the_pages_count_that_have_come() {
    let mut pool = DecoderPool::default();
    let message = frame(FIN | TEXT, &vec![b'x'; 1 << 20]);
    let header = message.len() - (1 << 20);
    for come in [0, 8_000, 300_000] {
        let mut peer = Peer::default();
        peer.receive(&mut pool, &message[..header + come], MESSAGE_BYTES_MAX);
        let pages = (come + READ_BUFFER_BYTES).next_multiple_of(4_096) + 4_096;
        let base = allocated_bytes(size_of::<MessageContext>());
        assert_eq!(peer.decoder.held_bytes(), base + pages);
    }
}

#[test]
fn the_pool_keeps_few_contexts_and_no_big_one() {
    let mut pool = DecoderPool::default();
    let mut peers: Vec<Peer> = std::iter::repeat_with(Peer::default).take(20).collect();
    let whole = frame(FIN | TEXT, b"shared");
    for (index, peer) in peers.iter_mut().enumerate() {
        peer.receive(&mut pool, &whole[..index % whole.len()], 200);
    }
    for (index, peer) in peers.iter_mut().enumerate() {
        peer.receive(&mut pool, &whole[index % whole.len()..], 200);
        assert_eq!(peer.outcome.incoming, [text("shared")], "each has its own context");
    }
    assert_eq!(pool.spares.len(), SPARES_MAX);

    pool.spares.clear();
    for (length, spares) in [(SPARE_BUFFER_BYTES_MAX, 1), (SPARE_BUFFER_BYTES_MAX + 1, 0)] {
        peers[0].receive(&mut pool, &frame(FIN | TEXT, &vec![b'x'; length]), MESSAGE_BYTES_MAX);
        assert_eq!(pool.spares.len(), spares);
    }
    peers[0].receive(&mut pool, &[0xff], MESSAGE_BYTES_MAX);
    peers[0].receive(&mut pool, &[0xff; 20], MESSAGE_BYTES_MAX);
    assert_eq!(peers[0].outcome.error, Some(CloseReason::ProtocolError));
    assert_eq!(pool.spares.len(), 0, "a context that failed is not used again");
}

#[test]
fn a_pong_goes_to_the_connection_that_asked_and_at_once() {
    let mut pool = DecoderPool::default();
    let (mut asking, mut silent) = (Peer::default(), Peer::default());
    asking.receive(&mut pool, &frame(FIN | PING, b"?"), 200);
    assert_eq!(asking.outcome.replies, b"\x8a\x01?");
    silent.receive(&mut pool, &frame(FIN | TEXT, b"text"), 200);
    assert_eq!(silent.outcome.replies, b"");
}

#[test]
fn a_message_that_is_still_held_is_not_written_over() {
    let (mut pool, mut decoder) = (DecoderPool::default(), Decoder::default());
    let mut held = Vec::new();
    for letter in b'a'..=b'z' {
        let bytes = frame(FIN | TEXT, &[letter; 300]);
        let mut input = bytes.as_slice();
        held.push((letter, decoder.next(&mut pool, &mut input, 400, &mut Vec::new())));
    }
    for (letter, incoming) in held {
        assert_eq!(incoming, Ok(Some(text(&char::from(letter).to_string().repeat(300)))));
    }
}

#[test]
fn after_our_close_only_the_peers_close_is_heard() {
    let before = frame(FIN | TEXT, b"before");
    let after = [
        frame(FIN | TEXT, &[b'x'; 5_000]),
        frame(FIN | PING, b"unanswered"),
        frame(FIN | TEXT, b"\xff"),
        frame(FIN | CLOSE, b"\x03\xe8"),
        frame(FIN | TEXT, b"never heard"),
    ]
    .concat();
    let stream = [before.clone(), after].concat();
    // We close after any number of bytes; the rest comes in pieces.
    for at in before.len()..before.len() + 40 {
        for length in [1, 7, stream.len()] {
            let mut pool = DecoderPool::default();
            let mut peer = Peer::default();
            let (first, second) = stream.split_at(at);
            peer.receive(&mut pool, first, 100_000);
            peer.decoder.discard_until_close();
            assert_eq!(peer.decoder.held_bytes(), 0);
            for piece in second.chunks(length) {
                peer.receive(&mut pool, piece, 10);
            }
            assert_eq!(peer.outcome.incoming, [text("before"), Incoming::Close(None)]);
            assert_eq!((peer.outcome.error, &peer.outcome.replies[..]), (None, &[][..]));
        }
    }
}

#[test]
fn a_finished_decoder_throws_everything_away() {
    let mut pool = DecoderPool::default();
    for end in [frame(FIN | CLOSE, b""), frame(FIN | 0x3, b"")] {
        let mut peer = Peer::default();
        peer.receive(&mut pool, &end, 200);
        let seen = peer.outcome.incoming.len();
        peer.decoder.discard_until_close();
        peer.receive(&mut pool, &frame(FIN | TEXT, b"more"), 200);
        peer.receive(&mut pool, &frame(FIN | CLOSE, b""), 200);
        assert_eq!(peer.outcome.incoming.len(), seen);
    }
}
