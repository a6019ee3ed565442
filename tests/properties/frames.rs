//! The frames that we send are those that tungstenite would.

use proptest::prelude::*;
use sync_server::base::memory::MemoryBudget;
use sync_server::ws::{CloseReason, Frame, close_frame};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame as Theirs;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::cases;

/// Around each length at which the header changes its form (RFC 6455, 5.2), and anything.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![0..=2_usize, 123..=128_usize, 65_533..=65_538_usize, 0..=200_000_usize]
}

fn by_tungstenite(frame: Theirs) -> Vec<u8> {
    let mut out = Vec::new();
    frame.format(&mut out).expect("a vector takes everything");
    out
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn data_frames_are_those_of_tungstenite(
        length in length(),
        byte in any::<u8>(),
        before in 0..100_usize,
    ) {
        let mut scratch = vec![b'?'; before];
        let payload = vec![byte & 0x7f; length];
        let write = |out: &mut Vec<u8>| out.extend_from_slice(&payload);
        let budget = MemoryBudget::new(1 << 30);
        let text = Frame::text(&mut scratch, &budget, write).as_slice().to_vec();
        let binary = Frame::binary(&mut scratch, &budget, write).as_slice().to_vec();
        for (ours, data) in [(text, Data::Text), (binary, Data::Binary)] {
            let theirs = Theirs::message(payload.clone(), OpCode::Data(data), true);
            prop_assert!(ours == by_tungstenite(theirs), "{data:?} of {length} bytes");
        }
    }
}

#[test]
fn every_length_up_to_the_second_form_and_beyond_the_third() {
    let (mut scratch, budget) = (Vec::new(), MemoryBudget::new(1 << 20));
    for length in (0..=300).chain(65_500..=65_600) {
        let payload = vec![b'x'; length];
        let write = |out: &mut Vec<u8>| out.extend_from_slice(&payload);
        let ours = Frame::text(&mut scratch, &budget, write).as_slice().to_vec();
        let theirs = by_tungstenite(Theirs::message(payload, OpCode::Data(Data::Text), true));
        assert!(ours == *theirs, "{length} bytes");
    }
}

#[test]
fn close_frames_are_those_of_tungstenite() {
    const RULES: [&str; 4] = ["", "rule", "กฎ", "1234567890123456789012345678901234567890"];
    let others = [
        CloseReason::Normal,
        CloseReason::GoingAway,
        CloseReason::ProtocolError,
        CloseReason::InvalidUtf8,
        CloseReason::MessageTooBig,
        CloseReason::Internal,
        CloseReason::TooSlow,
        CloseReason::TryAgainLater,
    ];
    for reason in RULES.map(CloseReason::Policy).into_iter().chain(others) {
        let mut ours = Vec::new();
        close_frame(reason, &mut ours);
        let close = CloseFrame { code: reason.code().into(), reason: reason.text().into() };
        assert_eq!(ours, by_tungstenite(Theirs::close(Some(close))), "{reason}");
    }
}
