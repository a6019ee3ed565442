//! What the sessions know of the application behind them: the calls that it takes.

use std::time::Duration;

use super::table::Sessions;
use crate::base::ids::{ConnId, JobId};
use crate::base::time::{Now, Timestamp};
use crate::http::Request;
use crate::ws::CloseReason;

/// The application behind the sessions: what to do with a request or a message. One thread calls
/// it, never from within itself.
pub trait Dispatch {
    /// Work that may block, run on the worker pool.
    type Job: Send + 'static;
    /// What such work ends with.
    type Outcome: Send + 'static;
    /// Input that is neither a client's nor the end of a job.
    type Event;

    /// A whole request came. Until [`Sessions::respond`] or [`Sessions::upgrade`] is called for
    /// `conn`, at once or later, nothing further is read from it.
    fn request(&mut self, sessions: &mut Sessions, conn: ConnId, request: Request, now: Now);

    /// A whole text message came.
    fn message(&mut self, sessions: &mut Sessions, conn: ConnId, text: &str, now: Now);

    /// A whole binary message came. Unless the application wants bytes, it counts as a text
    /// message with the same content, and closes the connection (1007) if it is not UTF-8.
    fn binary(&mut self, sessions: &mut Sessions, conn: ConnId, bytes: &[u8], now: Now) {
        match str::from_utf8(bytes) {
            Ok(text) => self.message(sessions, conn, text, now),
            Err(_) => sessions.close(conn, CloseReason::InvalidUtf8, now),
        }
    }

    /// No message came by the time that was set for `conn`: sixty seconds after the upgrade, or
    /// what [`Sessions::expect_message_by`] said last.
    fn overdue(&mut self, sessions: &mut Sessions, conn: ConnId, now: Now);

    /// The client is gone, or is being closed: nothing sent to it will arrive. Said once for a
    /// connection that was upgraded or whose request is being answered.
    fn closed(&mut self, sessions: &mut Sessions, conn: ConnId, now: Now);

    /// Something came from outside of all connections.
    fn event(&mut self, sessions: &mut Sessions, event: Self::Event, now: Now);

    /// The loop has turned once, which took it so long, without what it waited.
    fn turned(&mut self, _took: Duration) {}

    /// A job has ended.
    fn job_done(&mut self, sessions: &mut Sessions, job: JobId, outcome: Self::Outcome, now: Now);

    /// The next job to start; asked while the pool has room.
    fn next_job(&mut self, now: Now) -> Option<(JobId, Self::Job)>;

    /// The pool was full after all: the job comes back, and is asked for again later.
    fn job_refused(&mut self, id: JobId, job: Self::Job);

    /// When `handle_timeout` wants to be called, at the latest.
    fn poll_timeout(&self) -> Option<Timestamp>;

    /// Frees memory that can do without, if it is short: before connections are closed for that.
    fn ease_memory(&mut self, _sessions: &mut Sessions, _now: Now) {}

    /// Whatever is due. Calling it early is harmless.
    fn handle_timeout(&mut self, sessions: &mut Sessions, now: Now);

    /// How long shutting down may take.
    fn shutdown_grace(&self) -> Duration;

    /// The process was asked to stop: finish what must not be lost.
    fn shut_down(&mut self, sessions: &mut Sessions, now: Now);

    /// Whether everything that `shut_down` began has ended.
    fn is_finished(&self) -> bool;
}
