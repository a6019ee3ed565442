//! The state of one connection: what it is doing, what it has yet to send, and until when.
//!
//! Knows bytes and time, but no socket and no application: [`Session::next_input`] turns bytes
//! into requests and messages, the table beside it hands those to the application.

use std::time::Duration;

use super::flush_list::FlushState;
use super::hold::Hold;
use super::places::Place;
use super::send_buffer::SendBuffer;
use super::send_queue::SendQueue;
use super::timeouts::{
    BODY_TIMEOUT, CLOSE_TIMEOUT, FIRST_MESSAGE_TIMEOUT, LAST_WORDS_TIMEOUT, LINGER_TIMEOUT,
    Timeouts, WRITE_STALL_TIMEOUT,
};
use crate::base::ids::ConnId;
use crate::base::memory::{MemoryBudget, allocated_bytes};
use crate::base::time::Timestamp;
use crate::config::RemoteEnd;
use crate::http::{HttpError, Request, RequestParser, ResponseContext, Stage};
use crate::ws::{CloseReason, Decoder, DecoderPool, Incoming};

/// Unread answers to pipelined requests beyond which no further request is read.
const ANSWERS_QUEUED_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a message until the application says that the client may send longer ones.
const FIRST_MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// What an idle socket takes in the kernel, in bytes: itself, its file, its places in the file
/// system and in the poll. All that is charged to the process's control group: 3.7 KiB with Linux
/// 6.18; older kernels leave out a part.
const SOCKET_BYTES: usize = 4 * 1024;

/// What a connection takes as long as it is there, in bytes.
pub(super) const PLACE_BYTES: usize = SOCKET_BYTES + size_of::<Session>();

/// What a connection is doing. Each state owns what only it needs.
#[derive(Debug)]
enum Phase {
    /// Reading a request.
    Http {
        /// Holds what has come of the request; `None` while nothing has.
        parser: Option<Box<RequestParser>>,
        /// When the current stage (idle, head or body) began.
        since: Timestamp,
        /// At least one request was answered.
        served: bool,
    },
    /// A request is with the application; nothing further is read until it is answered.
    Answering(Box<ResponseContext>),
    /// Upgraded.
    WebSocket(WebSocket),
    /// We sent a Close frame and wait for the peer's.
    Closing {
        /// Reads on, for the sake of the peer's Close frame only.
        decoder: Decoder,
        /// When we stop waiting.
        until: Timestamp,
    },
    /// The queue goes out, then our half is shut; what still comes in is thrown away.
    Draining {
        /// Our half is shut.
        shut: bool,
        /// When we stop waiting.
        until: Timestamp,
    },
    /// Nothing more goes in or out; the slot waits for the reaper.
    Gone,
}

/// An open WebSocket connection.
#[derive(Debug)]
struct WebSocket {
    decoder: Decoder,
    /// Of one message; small until the application says otherwise.
    message_bytes_max: usize,
    /// The application wants a message by then.
    message_by: Option<Timestamp>,
    /// A ping was sent since the last byte came.
    pinged: bool,
}

/// What bytes turned out to be.
#[derive(Debug)]
pub(super) enum Input {
    /// A whole request. The session now waits for its answer.
    Request(Box<Request>),
    /// A whole message.
    Message(Incoming),
}

/// What is to be done once the queue is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterFlush {
    /// Nothing.
    Nothing,
    /// Shut our half of the connection.
    ShutdownWrite,
    /// Close the socket; the session is finished.
    Drop,
}

/// What a passed deadline means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// Nothing was due yet.
    Nothing,
    /// What the client has sent was not read yet: it is too early to tell.
    Unheard,
    /// A ping is to be sent.
    Ping,
    /// A request took too long.
    RequestTimeout,
    /// The message that the application expects has not come.
    Overdue,
    /// The connection is to be dropped, for this reason.
    Drop(&'static str),
}

/// One connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: ConnId,
    /// The client's address; behind a trusted proxy the one that the proxy named.
    pub(super) peer: RemoteEnd,
    /// What it is counted as against the limit per address.
    pub(super) place: Option<Place>,
    /// It is over a limit of connections and only told so.
    pub(super) refused: bool,
    phase: Phase,
    pub(super) queue: SendQueue,
    /// Where that goes.
    pub(super) send_buffer: SendBuffer,
    /// Whether input waits, and what.
    pub(super) hold: Hold,
    /// Since when input may be waiting to be read or taken up, on a clock that leaves nothing
    /// out; `None` while none does.
    pub(super) waiting_since: Option<Timestamp>,
    last_received: Timestamp,
    stalled_since: Option<Timestamp>,
    /// When the set of deadlines has this session looked at next.
    pub(super) armed: Option<Timestamp>,
    /// What the application keeps for the client beside its queue, in bytes.
    kept_bytes: usize,
    /// What the memory budget has been told of this session, in bytes.
    pub(super) counted_bytes: usize,
    /// Whether it waits to be flushed, and how urgently.
    pub(super) flush: FlushState,
    /// The peer has shut its half.
    peer_finished: bool,
    /// The kernel need not send what it still has.
    pub(super) is_forsaken: bool,
    departure: Departure,
}

/// What the application knows of the client's going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Departure {
    /// Nothing: there is nothing to know.
    None,
    /// Nothing yet.
    Untold,
    /// That the client is gone.
    Told,
}

impl Session {
    pub(super) fn new(id: ConnId, peer: RemoteEnd, now: Timestamp) -> Self {
        Self {
            id,
            peer,
            place: None,
            refused: false,
            phase: Phase::Http { parser: None, since: now, served: false },
            queue: SendQueue::default(),
            send_buffer: SendBuffer::default(),
            hold: Hold::default(),
            waiting_since: None,
            last_received: now,
            stalled_since: None,
            armed: None,
            kept_bytes: 0,
            counted_bytes: 0,
            flush: FlushState::default(),
            peer_finished: false,
            is_forsaken: false,
            departure: Departure::None,
        }
    }

    /// Whether frames can be sent to it.
    pub(super) fn is_open_websocket(&self) -> bool {
        matches!(self.phase, Phase::WebSocket(_))
    }

    /// Whether it was upgraded and is not gone yet.
    pub(super) fn is_websocket(&self) -> bool {
        matches!(self.phase, Phase::WebSocket(_) | Phase::Closing { .. })
    }

    /// Whether it was answered and waits for a further request, of which nothing has come yet.
    pub(super) fn is_between_requests(&self) -> bool {
        matches!(self.phase, Phase::Http { parser: None, served: true, .. })
    }

    pub(super) fn is_answering(&self) -> bool {
        matches!(self.phase, Phase::Answering(_))
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Gone)
    }

    /// Whether bytes should be read from the socket. Not reading is how a client that sends ahead
    /// of an answer is slowed down.
    pub(super) fn wants_read(&self) -> bool {
        !(self.is_held() || self.hold.has_parked() || self.peer_finished || self.is_gone())
    }

    /// Whether input has to wait.
    pub(super) fn is_held(&self) -> bool {
        self.hold.is_on() || self.is_answering() || self.has_answers_enough()
    }

    /// A client that asks and asks and reads no answer is not asked for more.
    fn has_answers_enough(&self) -> bool {
        matches!(self.phase, Phase::Http { .. })
            && self.queue.queued_bytes() > ANSWERS_QUEUED_BYTES_MAX
    }

    /// Ends a pause of the application. Returns whether withheld input goes on.
    pub(super) fn resume(&mut self) -> bool {
        self.hold.resume();
        self.can_go_on()
    }

    /// Whether input was withheld, for reasons that are no more.
    pub(super) fn can_go_on(&self) -> bool {
        self.hold.has_withheld() && !self.is_held()
    }

    /// The application is to hear that the client is gone; false if it has been told, or will be.
    pub(super) fn depart(&mut self) -> bool {
        let is_news = self.departure == Departure::None;
        if is_news {
            self.departure = Departure::Untold;
        }
        is_news
    }

    /// The application has heard it, and keeps nothing for the client any more.
    pub(super) fn has_departed(&mut self) {
        self.departure = Departure::Told;
        self.kept_bytes = 0;
    }

    /// The application is still to hear it.
    pub(super) fn is_departing(&self) -> bool {
        self.departure == Departure::Untold
    }

    /// Bytes that only this session keeps alive, beside its place.
    pub(super) fn held_bytes(&self) -> usize {
        let phase = match &self.phase {
            Phase::Http { parser, .. } => parser.as_ref().map_or(0, |parser| {
                allocated_bytes(size_of::<RequestParser>()) + parser.buffered_bytes()
            }),
            Phase::WebSocket(WebSocket { decoder, .. }) | Phase::Closing { decoder, .. } => {
                decoder.held_bytes()
            }
            Phase::Answering(_) | Phase::Draining { .. } | Phase::Gone => 0,
        };
        let queued = self.queue.own_bytes() + self.send_buffer.held_bytes();
        phase + self.hold.held_bytes() + queued + self.kept_bytes
    }

    /// Tells `budget` what the session holds now.
    pub(super) fn settle(&mut self, budget: &MemoryBudget) {
        let place = if self.is_gone() { 0 } else { PLACE_BYTES };
        let held = place + self.held_bytes();
        budget.replace(self.counted_bytes, held);
        self.counted_bytes = held;
    }

    /// The application keeps so many bytes for the client from here on.
    pub(super) fn keep(&mut self, bytes: usize) {
        self.kept_bytes = bytes;
    }

    /// Notes that bytes came.
    pub(super) fn received(&mut self, now: Timestamp) {
        self.last_received = now;
        if let Phase::WebSocket(web_socket) = &mut self.phase {
            web_socket.pinged = false;
        }
    }

    /// The peer has shut its half. Returns whether the session is over with that.
    pub(super) fn peer_has_finished(&mut self) -> bool {
        self.peer_finished = true;
        match self.phase {
            Phase::Http { .. } | Phase::Draining { .. } => self.queue.is_empty(),
            Phase::Answering(_) => false,
            Phase::WebSocket(_) | Phase::Closing { .. } | Phase::Gone => true,
        }
    }

    /// The next request or message in `input`, which shrinks by what was used. `None`: all of it
    /// was used and more is needed.
    pub(super) fn next_input(
        &mut self,
        input: &mut &[u8],
        pool: &mut DecoderPool,
        replies: &mut Vec<u8>,
        now: Timestamp,
    ) -> Result<Option<Input>, InputError> {
        match &mut self.phase {
            Phase::Http { .. } => self.next_request(input, now),
            Phase::WebSocket(WebSocket { decoder, message_bytes_max, .. }) => {
                match decoder.next(pool, input, *message_bytes_max, replies) {
                    Ok(message) => Ok(message.map(Input::Message)),
                    Err(reason) => Err(InputError::WebSocket(reason)),
                }
            }
            Phase::Closing { decoder, .. } => {
                match decoder.next(pool, input, 0, replies) {
                    Ok(None) => Ok(None),
                    // Only the Close frame matters now, and any error is as good as one.
                    Ok(Some(_)) | Err(_) => Err(InputError::Closed),
                }
            }
            Phase::Draining { .. } | Phase::Gone => {
                *input = &[];
                Ok(None)
            }
            Phase::Answering(_) => Ok(None),
        }
    }

    fn next_request(
        &mut self,
        input: &mut &[u8],
        now: Timestamp,
    ) -> Result<Option<Input>, InputError> {
        let Phase::Http { parser, since, .. } = &mut self.phase else { return Ok(None) };
        if input.is_empty() {
            return Ok(None);
        }
        let mut reading = parser.take().unwrap_or_default();
        let stage_before = reading.stage();
        match reading.feed(input) {
            Ok(Some(request)) => {
                self.phase = Phase::Answering(Box::new(ResponseContext::of(&request)));
                Ok(Some(Input::Request(Box::new(request))))
            }
            Ok(None) => {
                if reading.take_continue() {
                    self.queue.push_copy(CONTINUE);
                }
                if reading.stage() != stage_before {
                    *since = now;
                }
                *parser = (!reading.is_idle()).then_some(reading);
                Ok(None)
            }
            Err(error) => Err(InputError::Http(error)),
        }
    }

    /// Queues the answer to the request that the session waits with (or to one that could not be
    /// read), which `encode` writes. After the last answer the connection is closed.
    pub(super) fn respond(
        &mut self,
        encode: impl FnOnce(&ResponseContext, &mut Vec<u8>),
        is_last: bool,
        now: Timestamp,
    ) {
        let context = match std::mem::replace(&mut self.phase, Phase::Gone) {
            Phase::Answering(context) => *context,
            // The request could not be read, so where the next one would begin is not known.
            Phase::Http { .. } => ResponseContext::closing(),
            other => {
                self.phase = other;
                return;
            }
        };
        let mut head = Vec::new();
        encode(&context, &mut head);
        self.queue.push_copy(&head);
        self.kept_bytes = 0;
        self.phase = if context.keep_alive() && !is_last {
            Phase::Http { parser: None, since: now, served: true }
        } else {
            Phase::Draining { shut: false, until: now + LAST_WORDS_TIMEOUT }
        };
    }

    /// From here on it speaks WebSocket. `response` is the 101.
    pub(super) fn upgrade(&mut self, response: &[u8], now: Timestamp) {
        debug_assert!(self.is_answering(), "only a request can be upgraded");
        self.queue.push_copy(response);
        self.kept_bytes = 0;
        self.last_received = now;
        self.phase = Phase::WebSocket(WebSocket {
            decoder: Decoder::default(),
            message_bytes_max: FIRST_MESSAGE_BYTES_MAX,
            message_by: Some(now + FIRST_MESSAGE_TIMEOUT),
            pinged: false,
        });
    }

    pub(super) fn set_message_bytes_max(&mut self, bytes_max: usize) {
        if let Phase::WebSocket(web_socket) = &mut self.phase {
            web_socket.message_bytes_max = bytes_max;
        }
    }

    pub(super) fn expect_message_by(&mut self, by: Option<Timestamp>) {
        if let Phase::WebSocket(web_socket) = &mut self.phase {
            web_socket.message_by = by;
        }
    }

    /// We have queued a Close frame.
    pub(super) fn wait_for_close(&mut self, now: Timestamp) {
        if let Phase::WebSocket(web_socket) = std::mem::replace(&mut self.phase, Phase::Gone) {
            let mut decoder = web_socket.decoder;
            decoder.discard_until_close();
            self.phase = Phase::Closing { decoder, until: now + LAST_WORDS_TIMEOUT };
        }
        self.hold.give_up();
    }

    /// Only what is queued still goes out.
    pub(super) fn drain(&mut self, now: Timestamp) {
        if !matches!(self.phase, Phase::Gone | Phase::Draining { .. }) {
            self.phase = Phase::Draining { shut: false, until: now + LAST_WORDS_TIMEOUT };
        }
        self.hold.give_up();
    }

    /// Nothing goes out any more.
    pub(super) fn abandon(&mut self) {
        self.phase = Phase::Gone;
        self.queue = SendQueue::default();
        self.send_buffer = SendBuffer::default();
        self.stalled_since = None;
        self.hold.give_up();
        self.kept_bytes = 0;
    }

    /// The client has had its time: once the session is gone, the kernel is to forget what it still
    /// has for it.
    pub(super) fn forsake(&mut self) {
        self.is_forsaken = true;
    }

    /// [Forsakes](Self::forsake) a client that takes nothing or is silent. What was written to one
    /// that was told everything still arrives.
    pub(super) fn forsake_if_stuck(&mut self) {
        self.is_forsaken |= !self.queue.is_empty() || self.is_open_websocket();
    }

    /// The socket took something.
    pub(super) fn write_progressed(&mut self) {
        self.stalled_since = None;
    }

    /// The socket takes nothing at present.
    pub(super) fn write_blocked(&mut self, now: Timestamp) {
        self.send_buffer.filled();
        self.stalled_since.get_or_insert(now);
    }

    /// What follows now that the queue is empty.
    pub(super) fn flushed(&mut self, now: Timestamp) -> AfterFlush {
        debug_assert!(self.queue.is_empty());
        match &mut self.phase {
            Phase::Draining { shut, until } => {
                if self.peer_finished {
                    return AfterFlush::Drop;
                }
                if *shut {
                    return AfterFlush::Nothing;
                }
                *shut = true;
                *until = now + LINGER_TIMEOUT;
                AfterFlush::ShutdownWrite
            }
            Phase::Closing { until, .. } => {
                *until = (*until).min(now + CLOSE_TIMEOUT);
                AfterFlush::Nothing
            }
            Phase::Http { .. } if self.peer_finished => AfterFlush::Drop,
            Phase::Gone => AfterFlush::Drop,
            _ => AfterFlush::Nothing,
        }
    }

    /// When something is due, at the earliest.
    pub(super) fn deadline(&self, timeouts: &Timeouts) -> Option<Timestamp> {
        let phase = match &self.phase {
            Phase::Http { parser, since, served } => {
                Some(*since + request_timeout(parser.as_deref(), *served, timeouts))
            }
            Phase::WebSocket(web_socket) => {
                let silence = if web_socket.pinged {
                    timeouts.ping_timeout
                } else {
                    ping_after(self.id, timeouts)
                };
                let sound = self.last_received + silence;
                Some(web_socket.message_by.map_or(sound, |by| by.min(sound)))
            }
            Phase::Closing { until, .. } | Phase::Draining { until, .. } => Some(*until),
            Phase::Answering(_) | Phase::Gone => None,
        };
        let stall = self.stalled_since.map(|since| since + WRITE_STALL_TIMEOUT);
        [phase, stall].into_iter().flatten().min()
    }

    /// Input waits that the server has not got round to, so it cannot be said that the client is
    /// silent. What it says does not matter once it is to be closed, nor while it reads no answers.
    fn may_have_spoken(&self) -> bool {
        let is_heard = match self.phase {
            Phase::Http { .. } => !self.is_held(),
            Phase::WebSocket(_) => true,
            _ => false,
        };
        is_heard && self.waiting_since.is_some()
    }

    /// What is due at `now`. A ping that is due counts as sent.
    pub(super) fn expired(&mut self, now: Timestamp, timeouts: &Timeouts) -> Expired {
        if self.deadline(timeouts).is_none_or(|deadline| deadline > now) {
            return Expired::Nothing;
        }
        if self.stalled_since.is_some_and(|since| since + WRITE_STALL_TIMEOUT <= now) {
            return Expired::Drop("a write made no progress");
        }
        if self.may_have_spoken() {
            return Expired::Unheard;
        }
        match &mut self.phase {
            Phase::Http { parser, .. } => match parser.as_deref().map(RequestParser::stage) {
                Some(Stage::Head | Stage::Body) => Expired::RequestTimeout,
                _ => Expired::Drop("no request came"),
            },
            Phase::WebSocket(web_socket) => {
                if self.last_received + timeouts.ping_timeout <= now {
                    Expired::Drop("no answer to a ping")
                } else if web_socket.message_by.is_some_and(|by| by <= now) {
                    web_socket.message_by = None;
                    Expired::Overdue
                } else {
                    web_socket.pinged = true;
                    Expired::Ping
                }
            }
            Phase::Closing { .. } => Expired::Drop("no answer to a close"),
            Phase::Draining { .. } => Expired::Drop("the last bytes were not taken"),
            Phase::Answering(_) | Phase::Gone => Expired::Nothing,
        }
    }
}

/// Why input ended a session's ordinary life.
#[derive(Debug)]
pub(super) enum InputError {
    /// The request cannot be read; it says how to answer.
    Http(HttpError),
    /// The frames cannot be read, or the peer wants to close.
    WebSocket(CloseReason),
    /// The peer has answered our Close frame.
    Closed,
}

/// The interim answer to `Expect: 100-continue` (RFC 9110, 10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

fn request_timeout(parser: Option<&RequestParser>, served: bool, timeouts: &Timeouts) -> Duration {
    match parser.map(RequestParser::stage) {
        None | Some(Stage::Idle) if served => timeouts.keep_alive,
        None | Some(Stage::Idle) => timeouts.first_request,
        Some(Stage::Head) => timeouts.header,
        Some(Stage::Body) => BODY_TIMEOUT,
    }
}

/// Silence after which this connection is pinged: between three fifths of the interval and the
/// whole of it, so that thousands that came in one second are not pinged in one burst.
fn ping_after(conn: ConnId, timeouts: &Timeouts) -> Duration {
    /// 2³² divided by the golden ratio: consecutive numbers end up far from each other.
    const SPREAD: u32 = 2_654_435_769;
    let share = f64::from(conn.generation.wrapping_mul(SPREAD)) / f64::from(u32::MAX);
    timeouts.ping_interval.mul_f64(0.6 + 0.4 * share)
}
