//! WebSocket: messages come out as they were put in, no stream is read differently because of how
//! it was cut or of who else is read beside it, and tungstenite alone reads it as we do.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sync_server::ws::{DecoderPool, Incoming};
use tungstenite::Message;

use crate::cases;
use crate::drivers::pieces;
use crate::drivers::web_socket::{
    LIMITS, Peer, check_closing, check_stream, decode, encode_by_tungstenite,
};

const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// One frame, right or wrong.
#[derive(Clone, Debug)]
struct Frame {
    first: u8,
    is_masked: bool,
    /// How many bytes the length takes: 1, 3 or 9, but never fewer than it needs.
    length_bytes: usize,
    payload: Vec<u8>,
}

impl Frame {
    fn push(&self, out: &mut Vec<u8>) {
        let mask_bit = if self.is_masked { 0x80 } else { 0 };
        let length = (self.payload.len() as u64).to_be_bytes();
        out.push(self.first);
        match self.payload.len() {
            short @ 0..126 if self.length_bytes == 1 => {
                out.push(mask_bit | u8::try_from(short).expect("below 126"));
            }
            ..65_536 if self.length_bytes <= 3 => {
                out.push(mask_bit | 0x7e);
                out.extend_from_slice(&length[6..]);
            }
            _ => {
                out.push(mask_bit | 0x7f);
                out.extend_from_slice(&length);
            }
        }
        let key = if self.is_masked { [0x37, 0xfa, 0x21, 0x3d] } else { [0; 4] };
        if self.is_masked {
            out.extend_from_slice(&key);
        }
        out.extend(self.payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "\\PC{0,40}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..140),
        1 => (0..70_000_usize).prop_map(|length| vec![b'x'; length]),
        1 => Just(vec![0x03, 0xe8]),
        1 => select(vec![999_u16, 1000, 1004, 1005, 1006, 1011, 2999, 3000, 4999, 5000])
            .prop_map(|code| code.to_be_bytes().to_vec()),
    ]
}

/// Mostly whole messages and fragments, now and then an opcode or a bit that must not be.
fn frame() -> impl Strategy<Value = Frame> {
    let first = prop_oneof![
        6 => select(vec![0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    let is_masked = prop_oneof![19 => Just(true), 1 => Just(false)];
    let length_bytes = prop_oneof![8 => Just(1), 1 => Just(3), 1 => Just(9)];
    (first, is_masked, length_bytes, payload()).prop_map(
        |(first, is_masked, length_bytes, payload)| Frame {
            first,
            is_masked,
            length_bytes,
            payload,
        },
    )
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let damage = (any::<Index>(), any::<u8>());
    (vec(frame(), 0..8), proptest::option::weighted(0.3, damage)).prop_map(|(frames, damage)| {
        let mut stream = Vec::new();
        for frame in &frames {
            frame.push(&mut stream);
        }
        if let Some((at, byte)) = damage
            && !stream.is_empty()
        {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        stream
    })
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        4 => "\\PC{0,200}".prop_map(Message::text),
        2 => vec(any::<u8>(), 0..300).prop_map(Message::binary),
        1 => vec(any::<u8>(), 0..126).prop_map(|payload| Message::Ping(payload.into())),
        1 => vec(any::<u8>(), 0..126).prop_map(|payload| Message::Pong(payload.into())),
    ]
}

fn incoming(message: &Message) -> Incoming {
    match message.clone() {
        Message::Text(text) => Incoming::Text(text),
        Message::Binary(bytes) => Incoming::Binary(bytes),
        Message::Ping(_) => Incoming::Ping,
        _ => Incoming::Pong,
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn messages_come_out_as_they_were_put_in(
        messages in vec(message(), 0..8),
        lengths in vec(any::<u8>(), 0..8),
    ) {
        let stream = encode_by_tungstenite(&messages);
        let outcome = decode(pieces(&stream, &lengths), MESSAGE_BYTES_MAX);
        prop_assert_eq!(outcome.error, None);
        prop_assert_eq!(outcome.incoming, messages.iter().map(incoming).collect::<Vec<_>>());
    }

    #[test]
    fn every_cut_of_a_stream_comes_to_what_tungstenite_says(
        stream in stream(),
        lengths in vec(any::<u8>(), 0..8),
        message_bytes_max in select(LIMITS.to_vec()),
    ) {
        check_stream(&stream, &lengths, message_bytes_max);
    }

    #[test]
    fn connections_that_share_a_pool_share_nothing_else(
        streams in vec(stream(), 2..5),
        lengths in vec(any::<u8>(), 1..8),
    ) {
        let mut pool = DecoderPool::default();
        let mut peers: Vec<Peer> = streams.iter().map(|_| Peer::default()).collect();
        let mut waiting: Vec<_> = streams.iter().map(|stream| pieces(stream, &lengths)).collect();
        loop {
            let mut is_over = true;
            for (peer, pieces) in peers.iter_mut().zip(&mut waiting) {
                if let Some(piece) = pieces.next() {
                    peer.receive(&mut pool, piece, MESSAGE_BYTES_MAX);
                    is_over = false;
                }
            }
            if is_over {
                break;
            }
        }
        for (peer, stream) in peers.into_iter().zip(&streams) {
            prop_assert_eq!(peer.into_outcome(), decode([&**stream], MESSAGE_BYTES_MAX));
        }
    }

    #[test]
    fn after_our_close_only_theirs_is_heard_in_every_cut(
        stream in stream(),
        at in any::<Index>(),
        lengths in vec(any::<u8>(), 0..8),
    ) {
        check_closing(&stream, at.index(stream.len() + 1), &lengths, MESSAGE_BYTES_MAX);
    }
}
