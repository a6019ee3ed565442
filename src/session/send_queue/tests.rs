//! The queue against the plainest model of it: a list of frames.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::base::memory::MemoryBudget;

impl SendQueue {
    /// Recomputes everything that the queue only remembers.
    fn check_invariants(&self) {
        let before = self.before.as_deref();
        let segments: Vec<&Segment> = before.iter().flat_map(|before| &before.segments).collect();
        assert_eq!(before.is_some(), !segments.is_empty());
        assert!(segments.iter().all(|segment| !segment.bytes().is_empty()));
        let chunks: usize = segments.iter().map(|segment| segment.chunk_bytes()).sum();
        assert_eq!(before.map_or(0, |before| before.chunk_bytes), chunks);
        let bytes: usize = segments.iter().map(|segment| segment.bytes().len()).sum();
        assert_eq!(self.queued_bytes + self.front_sent, bytes + self.tail.len());
        let front = segments.first().map_or(self.tail.len(), |front| front.bytes().len());
        assert!(self.front_sent < front || (self.front_sent == 0 && self.is_empty()));
        if let Some(index) = before.and_then(|before| before.latest) {
            assert!(matches!(segments[index], Segment::Shared(_)));
        }
        if self.is_empty() {
            assert_eq!(self.own_bytes(), 0, "an empty queue holds no heap");
        }
    }

    /// One write: what it would send at most.
    fn next_write(&self) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let filled = self.slices(&mut slices);
        let mut write = Vec::new();
        slices[..filled].iter().for_each(|slice| write.extend_from_slice(slice));
        write
    }

    fn slice_count(&self) -> usize {
        self.slices(&mut [IoSlice::new(&[]); SLICES_MAX])
    }

    /// Writes of at most `portion` bytes, until all is sent.
    fn send_all(&mut self, portion: usize) -> Vec<u8> {
        let mut sent = Vec::new();
        while !self.is_empty() {
            let mut write = self.next_write();
            write.truncate(portion);
            self.consume(write.len());
            self.check_invariants();
            sent.extend(write);
        }
        sent
    }
}

fn latest(byte: u8, length: usize) -> Bytes {
    Bytes::from(vec![byte; length])
}

/// A list of frames; `true` marks one that a later one replaces.
#[derive(Default)]
struct Model {
    frames: VecDeque<(bool, Vec<u8>)>,
    front_sent: usize,
}

impl Model {
    fn push_latest(&mut self, bytes: Vec<u8>) {
        let started = usize::from(self.front_sent > 0);
        let old = (started..self.frames.len()).find(|&index| self.frames[index].0);
        if let Some(index) = old {
            self.frames.remove(index);
        }
        self.frames.push_back((true, bytes));
    }

    fn consume(&mut self, bytes: usize) {
        self.front_sent += bytes;
        while let Some((_, front)) = self.frames.front()
            && self.front_sent >= front.len()
        {
            self.front_sent -= front.len();
            self.frames.pop_front();
        }
    }

    fn queued_bytes(&self) -> usize {
        self.frames.iter().map(|(_, frame)| frame.len()).sum::<usize>() - self.front_sent
    }

    /// Whether `bytes` are the next ones.
    fn starts_with(&self, mut bytes: &[u8]) -> bool {
        let mut sent = self.front_sent;
        for (_, frame) in &self.frames {
            let unsent = &frame[mem::take(&mut sent)..];
            let (part, rest) = bytes.split_at(unsent.len().min(bytes.len()));
            if part != &unsent[..part.len()] {
                return false;
            }
            bytes = rest;
        }
        bytes.is_empty()
    }
}

/// Goal: whatever is pushed and however it is sent, the bytes leave in the order of the model.
#[test]
fn any_sequence_of_operations_sends_what_the_model_sends() {
    for seed in 0..256 {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut queue, mut model) = (SendQueue::default(), Model::default());
        // Short frames test joining, long ones the ends of chunks and writes.
        let length_max = if seed % 4 > 0 { 40 } else { 20_000 };
        for step in 0..200_u8 {
            let length = random.random_range(1..=length_max);
            let frame = vec![step; length];
            match random.random_range(0..10) {
                0..=3 => {
                    queue.push_copy(&frame);
                    model.frames.push_back((false, frame));
                }
                4 => {
                    queue.push_shared(Bytes::from(frame.clone()));
                    model.frames.push_back((false, frame));
                }
                5 | 6 => {
                    queue.push_latest(latest(step, length));
                    model.push_latest(frame);
                }
                _ => {
                    let write = queue.next_write().len();
                    let sent = random.random_range(0..=write);
                    queue.consume(sent);
                    model.consume(sent);
                }
            }
            queue.check_invariants();
            assert_eq!(queue.queued_bytes(), model.queued_bytes(), "seed {seed} step {step}");
            let write = queue.next_write();
            assert!(model.starts_with(&write), "seed {seed} step {step}");
            assert_eq!(write.is_empty(), queue.is_empty());
        }
        let rest = queue.send_all(usize::MAX);
        assert_eq!(rest.len(), model.queued_bytes());
        assert!(model.starts_with(&rest), "seed {seed}");
    }
}

#[test]
fn every_portion_of_writing_sends_the_same() {
    for frame_bytes in 1..40 {
        for portion in 1..40 {
            let mut queue = SendQueue::default();
            let mut expected = Vec::new();
            for index in 0..12_u8 {
                let frame = vec![index; frame_bytes];
                match index % 3 {
                    0 => queue.push_shared(Bytes::from(frame.clone())),
                    _ => queue.push_copy(&frame),
                }
                expected.extend(frame);
            }
            assert_eq!(queue.send_all(portion), expected, "{frame_bytes} in {portion}");
        }
    }
}

#[test]
fn small_frames_leave_in_one_slice() {
    let mut queue = SendQueue::default();
    for _ in 0..CHUNK_BYTES_MAX / 220 {
        queue.push_copy(&[b'x'; 220]);
    }
    assert_eq!(queue.slice_count(), 1);
    assert!(queue.own_bytes() <= 2 * CHUNK_BYTES_MAX);
    queue.push_copy(&[b'x'; 220]);
    assert_eq!(queue.slice_count(), 2, "a chunk has a bound");
    queue.push_copy(&vec![b'y'; 3 * CHUNK_BYTES_MAX]);
    assert_eq!(queue.slice_count(), 3, "a frame is never cut");
    assert_eq!(queue.queued_bytes(), queue.send_all(1_000).len());
}

#[test]
fn one_write_is_bounded_in_slices_and_bytes() {
    let mut queue = SendQueue::default();
    for _ in 0..=SLICES_MAX {
        queue.push_shared(Bytes::from_static(b"frame"));
    }
    assert_eq!(queue.slice_count(), SLICES_MAX);
    queue.push_shared(Bytes::from(vec![0; 4 << 20]));
    queue.consume(5 * SLICES_MAX);
    assert_eq!(queue.slice_count(), 2);
    assert_eq!(queue.next_write().len(), FLUSH_BYTES_MAX);
    queue.push_copy(b"last");
    queue.consume(5);
    assert_eq!(queue.slice_count(), 1, "no empty slices");
    assert!(queue.send_all(usize::MAX).ends_with(b"last"));
    assert_eq!(SendQueue::default().slice_count(), 0);
}

#[test]
fn a_replaceable_is_replaced_and_moves_to_the_end() {
    let mut queue = SendQueue::default();
    queue.push_copy(b"a");
    queue.push_latest(latest(b'1', 3));
    queue.push_copy(b"b");
    queue.push_shared(Bytes::from_static(b"C"));
    assert_eq!(queue.replaceable_bytes(), 3);
    queue.push_latest(latest(b'2', 2));
    queue.push_copy(b"d");
    assert_eq!(queue.next_write(), b"abC22d");
    queue.push_latest(latest(b'3', 1));
    queue.check_invariants();
    assert_eq!(queue.next_write(), b"abCd3");
    assert_eq!(queue.queued_bytes(), 5);
}

#[test]
fn a_latest_frame_that_is_being_sent_is_finished() {
    let mut queue = SendQueue::default();
    queue.push_copy(b"a");
    queue.push_latest(latest(b'1', 3));
    queue.consume(1);
    assert_eq!(queue.replaceable_bytes(), 3, "nothing of it is sent yet");
    queue.consume(1);
    assert_eq!(queue.replaceable_bytes(), 0);
    queue.push_latest(latest(b'2', 3));
    queue.push_latest(latest(b'3', 3));
    assert_eq!(queue.next_write(), b"11333");
    queue.consume(2);
    queue.push_latest(latest(b'4', 3));
    assert_eq!(queue.send_all(2), b"444");
}

#[test]
fn frames_that_replace_each_other_leave_no_trail() {
    let mut queue = SendQueue::default();
    queue.push_shared(Bytes::from_static(b"stuck"));
    queue.consume(1);
    for _ in 0..=4 * CHUNK_BYTES_MAX {
        queue.push_latest(latest(b'd', 10));
        queue.push_copy(b"!");
    }
    queue.check_invariants();
    assert!(queue.own_bytes() < 10 * CHUNK_BYTES_MAX, "{}", queue.own_bytes());
    assert_eq!(queue.queued_bytes(), 4 + 10 + 4 * CHUNK_BYTES_MAX + 1);
    queue.consume(4);
    assert_eq!(
        queue.slice_count(),
        6,
        "full chunks stay as they are; then the latest and the tail"
    );
}

#[test]
fn clearing_leaves_what_is_being_sent() {
    type Fill = fn(&mut SendQueue);
    let table: [(Fill, usize, &[u8]); 5] = [
        (|queue| queue.push_copy(b"abc"), 0, b"!"),
        (|queue| queue.push_copy(b"abc"), 1, b"bc!"),
        (|queue| queue.push_shared(Bytes::from_static(b"abc")), 1, b"bc!"),
        (|queue| queue.push_latest(latest(b'a', 3)), 1, b"aa!"),
        (|queue| queue.push_latest(latest(b'a', 3)), 0, b"!"),
    ];
    for (fill, sent, expected) in table {
        let mut queue = SendQueue::default();
        fill(&mut queue);
        queue.consume(sent);
        queue.push_shared(Bytes::from_static(b"unsent"));
        queue.push_latest(latest(b'd', 9));
        queue.push_copy(b"unsent");
        // A chunk that is being sent is closed by what follows it, so nothing joins it here.
        queue.clear_unstarted();
        queue.check_invariants();
        queue.push_copy(b"!");
        assert_eq!(queue.send_all(1), expected);
    }
}

#[test]
fn shared_bytes_are_not_held_for_longer_than_needed() {
    let budget = MemoryBudget::new(1_000);
    let frame = budget.counted_bytes(vec![0; 112]);
    let mut queues: [SendQueue; 3] = Default::default();
    for queue in &mut queues {
        queue.push_shared(frame.clone());
        queue.push_copy(b"more");
        assert!(queue.own_bytes() < 1_000);
    }
    drop(frame);
    for queue in &mut queues {
        assert_eq!(budget.used(), 112);
        queue.consume(112);
        queue.check_invariants();
    }
    assert_eq!(budget.used(), 0, "the frame goes when its last byte is sent");
    assert!(queues.iter().all(|queue| !queue.is_empty()));
}

#[test]
fn an_empty_push_is_nothing() {
    let mut queue = SendQueue::default();
    queue.push_copy(b"");
    queue.push_shared(Bytes::new());
    queue.check_invariants();
    assert!(queue.is_empty());
}

#[test]
fn only_what_queues_alone_keep_alive_is_pinned() {
    let document = latest(b'd', 30_000);
    let mut queue = SendQueue::default();
    queue.push_shared(latest(b'b', 20_000));
    queue.push_latest(document.clone());
    assert_eq!(queue.pinned_bytes(), 20_000, "the room has the document too");
    queue.consume(20_001);
    assert_eq!(queue.pinned_bytes(), 0, "also while it is being sent");
    queue.push_latest(latest(b'e', 40_000));
    assert_eq!(queue.pinned_bytes(), 70_000, "an older one, and one that has no other owner");
    queue.clear_unstarted();
    assert_eq!(queue.pinned_bytes(), 30_000);
    drop(document);
    assert_eq!(queue.pinned_bytes(), 30_000);
}
