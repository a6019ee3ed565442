//! What the sessions call: requests, messages, the ends of connections and of jobs, and time.

use std::time::Duration;

use log::info;

use super::application::Engine;
use super::context::Context;
use super::job::{Job, Outcome};
use super::misses::Missed;
use super::shutdown::Shutdown;
use super::store_health::{Question, lookup_error, save_error};
use super::turns::Owner;
use super::waiting::{RoomRequest, Save, Waiting};
use crate::api;
use crate::base::ids::{ConnId, JobId};
use crate::base::time::{Now, Timestamp};
use crate::http::Request;
use crate::rooms::{Located, RoomError, RoomEvent, StoreUnavailable, StoredRoom};
use crate::session::{Dispatch, Sessions};
use crate::ws::CloseReason;

/// What happens to a room because another server has accepted it.
#[derive(Clone, Debug)]
pub struct RemoteEvent {
    /// The room's own spelling of its code.
    pub room_code: String,
    /// What happens.
    pub event: RoomEvent<'static>,
}

impl Dispatch for Engine {
    type Job = Job;
    type Outcome = Outcome;
    type Event = RemoteEvent;

    fn request(&mut self, sessions: &mut Sessions, conn: ConnId, request: Request, now: Now) {
        self.answer(&mut Context { sessions, conn, now }, &request);
    }

    fn message(&mut self, sessions: &mut Sessions, conn: ConnId, text: &str, now: Now) {
        self.act(&mut Context { sessions, conn, now }, text);
    }

    fn overdue(&mut self, sessions: &mut Sessions, conn: ConnId, now: Now) {
        sessions.close(conn, CloseReason::Policy("no join"), now);
    }

    fn closed(&mut self, sessions: &mut Sessions, conn: ConnId, now: Now) {
        self.clients.remove(conn);
        self.closings.cancel(conn);
        self.misses.cancel(conn);
        let (rooms, mut effects) = self.split(sessions, now);
        rooms.disconnect(conn, now, &mut effects);
    }

    fn event(&mut self, sessions: &mut Sessions, remote: RemoteEvent, now: Now) {
        let (rooms, mut effects) = self.split(sessions, now);
        rooms.deliver_event(&remote.room_code, &remote.event, now, &mut effects);
    }

    fn turned(&mut self, took: Duration) {
        self.turns.observe(took);
    }

    fn job_done(&mut self, sessions: &mut Sessions, job: JobId, outcome: Outcome, now: Now) {
        let Some(waiting) = self.jobs.done(job, now.at) else { return };
        let has_written = self.store.note(&outcome, now.at);
        self.go_on_with(sessions, waiting, outcome, now);
        if has_written {
            let (rooms, mut effects) = self.split(sessions, now);
            rooms.retry_saves(now, &mut effects);
        }
        self.store.note_failing(self.rooms.failing());
    }

    fn next_job(&mut self, now: Now) -> Option<(JobId, Job)> {
        self.jobs.next(now.unix)
    }

    fn job_refused(&mut self, id: JobId, job: Job) {
        self.jobs.put_back(id, job);
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let deadlines = [
            self.rooms.poll_timeout(),
            self.jobs.poll_timeout(),
            self.reads.poll_timeout(),
            self.closings.poll_timeout(),
            self.misses.poll_timeout(),
            self.store.poll_timeout(),
            self.config.require_auth.then_some(self.revocations.due_at),
            self.shutdown.as_ref().and_then(Shutdown::poll_timeout),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn ease_memory(&mut self, sessions: &mut Sessions, now: Now) {
        self.evict(sessions, now);
    }

    fn handle_timeout(&mut self, sessions: &mut Sessions, now: Now) {
        let (rooms, mut effects) = self.split(sessions, now);
        rooms.handle_timeout(now, &mut effects);
        while let Some(given_up) = self.jobs.expired(now.at) {
            // A look at the process is the one job that never asks the store.
            if !given_up.is_clients_doing && !matches!(given_up.waiting, Waiting::Metrics(_)) {
                let is_question = matches!(given_up.waiting, Waiting::Probe);
                self.store.timed_out(is_question, now.at);
            }
            self.go_on_without(sessions, given_up.waiting, now);
        }
        while let Some(waiting) = self.jobs.displaced() {
            self.go_on_without(sessions, waiting, now);
        }
        self.read_documents(sessions, now);
        self.give_up_closings(sessions, now);
        self.answer_misses(sessions, now.at, now);
        self.probe_store(now);
        self.check_revocations(now);
        self.close_next(sessions, now);
    }

    fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(self.config.limits.shutdown_grace_seconds)
    }

    fn shut_down(&mut self, sessions: &mut Sessions, now: Now) {
        let (rooms, mut effects) = self.split(sessions, now);
        rooms.flush_all(now, &mut effects);
        self.answer_misses(sessions, Timestamp(u64::MAX), now);
        let shutdown = Shutdown::begin(sessions, self.shutdown_grace(), now.at);
        info!("closing {} connections, {} rooms to store", shutdown.left(), self.rooms.unsaved());
        self.shutdown = Some(shutdown);
        self.close_next(sessions, now);
    }

    fn is_finished(&self) -> bool {
        self.rooms.unsaved() == 0 && self.jobs.is_idle()
    }
}

impl Engine {
    /// A job has ended with `outcome`: what waited for it goes on.
    fn go_on_with(
        &mut self,
        sessions: &mut Sessions,
        waiting: Waiting,
        outcome: Outcome,
        now: Now,
    ) {
        match (waiting, outcome) {
            (Waiting::Lookup(code), Outcome::FoundRoom(found)) => {
                let found = found.map_err(|error| lookup_error(&error));
                let found = found.as_ref().map(Option::as_ref).map_err(|error| *error);
                self.looked_up(sessions, &code, found, now);
            }
            (Waiting::Document(room), Outcome::DocumentNeeds { bytes }) => {
                self.reads.read_again(room, bytes);
            }
            (Waiting::Document(room), Outcome::ReadDocument(found)) => {
                self.reads.ended(room);
                let found = found.map_err(|error| lookup_error(&error));
                self.document_known(sessions, room, found, now);
            }
            (Waiting::Saves(saves), Outcome::SavedRooms(results)) => {
                debug_assert_eq!(saves.len(), results.len(), "each room has its outcome");
                let (rooms, mut effects) = self.split(sessions, now);
                for (Save { room, revision, .. }, result) in saves.into_iter().zip(results) {
                    let result = result.map_err(|error| save_error(&error));
                    rooms.saved(room, revision, result, now, &mut effects);
                }
            }
            (Waiting::Delete(room), Outcome::DeletedRoom(result)) => {
                self.room_deleted(sessions, room, &result, now);
            }
            (Waiting::Account(conn, asked), Outcome::Account(reply)) => {
                let mut cx = Context { sessions, conn, now };
                let answer = self.account_answered(&mut cx, reply, asked);
                self.respond(&mut cx, answer);
            }
            // Without its client nothing is done: the answer could not be given.
            (Waiting::Login(conn, _), _) if !sessions.is_answering(conn) => {}
            (Waiting::Login(conn, wish), Outcome::Authenticated(result)) => {
                let mut cx = Context { sessions, conn, now };
                let answer = self.authenticated(&mut cx, result, wish);
                self.respond(&mut cx, answer);
            }
            (Waiting::Revocations, Outcome::CheckedAccounts(ended)) => {
                self.revoke(sessions, &ended.unwrap_or_default(), now);
            }
            (Waiting::Metrics(conn), Outcome::InspectedProcess(facts)) => {
                self.metrics_known(sessions, conn, facts, now);
            }
            (Waiting::Probe, Outcome::Probed(_) | Outcome::InspectedStore(_)) => {}
            (waiting, outcome) => {
                debug_assert!(false, "{waiting:?} ended with {outcome:?}");
            }
        }
    }

    /// A job was given up: what waited for it is told so.
    fn go_on_without(&mut self, sessions: &mut Sessions, waiting: Waiting, now: Now) {
        match waiting {
            Waiting::Metrics(conn) => self.metrics_known(sessions, conn, None, now),
            Waiting::Lookup(code) => {
                self.looked_up(sessions, &code, Err(StoreUnavailable), now);
            }
            Waiting::Document(room) => {
                self.reads.ended(room);
                self.document_known(sessions, room, Err(StoreUnavailable), now);
            }
            Waiting::Account(conn, asked) => {
                self.no_failed_login(asked);
                self.respond(&mut Context { sessions, conn, now }, api::store_unavailable());
            }
            Waiting::Login(conn, _) => {
                self.respond(&mut Context { sessions, conn, now }, api::store_unavailable());
            }
            Waiting::Revocations => self.revocations.is_running = false,
            Waiting::Probe => self.store.question_refused(now.at),
            Waiting::Saves(_) | Waiting::Delete(_) => {}
        }
    }

    /// The lookup of `code` has ended, in whichever way; each request that waited for it goes on.
    fn looked_up(
        &mut self,
        sessions: &mut Sessions,
        code: &str,
        found: Result<Option<&StoredRoom>, StoreUnavailable>,
        now: Now,
    ) {
        let (rooms, mut effects) = self.split(sessions, now);
        for (conn, request) in rooms.lookup_done(code, &mut effects) {
            // Each anew: an earlier request may have brought the room to memory.
            let located = self.rooms.located(code, found);
            self.go_on_located(&mut Context { sessions, conn, now }, located, request);
        }
    }

    fn go_on_located(&mut self, cx: &mut Context<'_>, located: Located<'_>, request: RoomRequest) {
        let answer = match request {
            RoomRequest::Join { join, id } => {
                // Before it enters, which may have it wait again, for the document or its answer.
                cx.sessions.resume(cx.conn);
                self.enter(cx, located, &join, id.as_ref());
                return;
            }
            RoomRequest::Create(creation) => self.create_located(cx, located, creation),
            RoomRequest::View(address) => self.view_located(cx, located, address),
            RoomRequest::Close => self.close_located(cx, located),
            RoomRequest::RequestSync { .. } => {
                debug_assert!(false, "the room is known to a member");
                return;
            }
        };
        self.respond(cx, answer);
    }

    /// Answers the requests that have waited until `by`.
    fn answer_misses(&mut self, sessions: &mut Sessions, by: Timestamp, now: Now) {
        while let Some((conn, missed)) = self.misses.take_due(by) {
            let mut cx = Context { sessions: &mut *sessions, conn, now };
            match missed {
                Missed::Join(id) => {
                    self.finish(&mut cx, Err(RoomError::RoomNotFound), id.as_ref());
                    cx.sessions.resume(conn);
                }
                Missed::View => self.respond(&mut cx, api::rooms::not_found()),
                // Without its client no room is made.
                Missed::Create(creation) if cx.sessions.is_answering(conn) => {
                    let answer = self.create(&mut cx, creation);
                    self.respond(&mut cx, answer);
                }
                Missed::Create(_) => {}
            }
        }
    }

    /// While the server stops: closes the connections that are due.
    fn close_next(&mut self, sessions: &mut Sessions, now: Now) {
        let is_stored = self.rooms.unsaved() == 0;
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.close_next(sessions, is_stored, now);
        }
    }

    /// Asks the store how it is, if that is due.
    fn probe_store(&mut self, now: Now) {
        let job = match self.store.due_question(now.at) {
            Some(Question::IsSomethingWrong) => Job::InspectStore,
            Some(Question::TakesWrites) => Job::Probe { now: now.unix },
            None => return,
        };
        match self.jobs.start(Owner::Server, job, Waiting::Probe, now.at) {
            Ok(_) => self.store.question_started(),
            Err(_) => self.store.question_refused(now.at),
        }
    }
}
