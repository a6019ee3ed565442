//! `GET /metrics`: what the server counts of itself, for those who may see it.

use std::time::Duration;

use super::Engine;
use super::desk::{Desk, Waiting};
use super::jobs::{Job, Purpose};
use super::whoami::not_for_pages;
use crate::base::ids::ConnId;
use crate::base::metrics::{self, Histogram, ProcessFacts, Report};
use crate::base::time::{Now, Timestamp};
use crate::config::Peer;
use crate::http::{self, Request, Response, Status};
use crate::protocol::ErrorCode;
use crate::session::{Census, Sessions};

/// Bounds of what is counted of the loop's turns.
const TURNS: [Duration; 12] = [
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_secs(1),
];

/// Fields by which a proxy says that it passes on somebody else's request.
const PROXY_FIELDS: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// What the engine counts itself.
#[derive(Debug)]
pub(super) struct Gauges {
    turns: Histogram,
    /// Errors that clients were told, in the order of [`ErrorCode::ALL`].
    errors: [u64; ErrorCode::ALL.len()],
}

impl Default for Gauges {
    fn default() -> Self {
        Self { turns: Histogram::new(&TURNS), errors: [0; ErrorCode::ALL.len()] }
    }
}

impl Gauges {
    /// The loop has turned once.
    pub(super) fn turned(&mut self, took: Duration) {
        self.turns.observe(took);
    }

    /// A client was told that `code` was wrong.
    pub(super) fn count_error(&mut self, code: ErrorCode) {
        self.errors[code as usize] += 1;
    }
}

impl Engine {
    /// Answers who may ask, once the process was looked at.
    pub(super) fn ask_metrics(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        request: &Request,
        peer: Peer,
        now: Now,
    ) {
        if let Err(response) = self.desk.may_see_metrics(request, peer) {
            sessions.respond(conn, &response, now);
            return;
        }
        let purpose = Purpose::Metrics(conn);
        if self.desk.jobs.start(Job::InspectProcess, purpose, now.at).is_ok() {
            self.desk.waiting.insert(conn, Waiting::Metrics);
        } else {
            // Just then somebody wants to know the rest.
            self.show_metrics(sessions, conn, None, now);
        }
    }

    /// The process was looked at, or there was no worker to do so.
    pub(super) fn process_inspected(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        facts: Option<ProcessFacts>,
        now: Now,
    ) {
        if let Some(Waiting::Metrics) = self.desk.waiting.remove(&conn) {
            self.show_metrics(sessions, conn, facts, now);
        }
    }

    fn show_metrics(
        &self,
        sessions: &mut Sessions,
        conn: ConnId,
        facts: Option<ProcessFacts>,
        now: Now,
    ) {
        let text = self.report(sessions, facts, now).exposition();
        let response = Response::new(Status::OK, metrics::CONTENT_TYPE, text.into_bytes())
            .with_header("Cache-Control", "no-store");
        sessions.respond(conn, &response, now);
    }

    fn report(&self, sessions: &Sessions, process: Option<ProcessFacts>, now: Now) -> Report {
        let Census { websockets, queued_bytes, queued_bytes_longest } = sessions.census();
        let (desk, jobs, budget) = (&self.desk, &self.desk.jobs, sessions.budget());
        let since_epoch = Duration::from_millis(u64::try_from(now.unix.0).unwrap_or_default());
        let uptime = now.at.since(Timestamp(0));
        let codes = ErrorCode::ALL.map(ErrorCode::as_str);
        Report {
            version: env!("CARGO_PKG_VERSION"),
            start_time_seconds: since_epoch.saturating_sub(uptime).as_secs_f64(),
            connections: [
                ("http", sessions.len().saturating_sub(websockets)),
                ("websocket", websockets),
            ],
            connections_max: sessions.connections_max(),
            traffic: sessions.traffic().clone(),
            send_queue_bytes: queued_bytes,
            send_queue_bytes_longest: queued_bytes_longest,
            rooms: self.rooms.rooms(),
            rooms_max: desk.config.limits.rooms_max as usize,
            rooms_unsaved: self.rooms.unsaved(),
            members: self.rooms.connections(),
            document_bytes: self.rooms.document_bytes(),
            memory_used_bytes: budget.used(),
            memory_budget_bytes: budget.limit(),
            errors: codes.into_iter().zip(desk.gauges.errors).collect(),
            jobs_waiting: jobs.waiting(),
            jobs_running: jobs.running(),
            job_durations: jobs.durations(),
            jobs_late: jobs.stale,
            store_ok: desk.store_ok,
            turns: desk.gauges.turns.clone(),
            process,
        }
    }
}

impl Desk {
    /// Whether `request`, which came from `peer`, has the token of the settings, or, if there is
    /// none, comes from this very machine.
    ///
    /// # Errors
    /// What to answer instead.
    fn may_see_metrics(&self, request: &Request, peer: Peer) -> Result<(), Response> {
        if let Some(refusal) = not_for_pages(request) {
            return Err(refusal);
        }
        let Some(token) = &self.config.metrics_token else {
            let is_passed_on = PROXY_FIELDS.iter().any(|field| request.has_header(field));
            let is_local = matches!(peer, Peer::Network(address) if address.is_loopback());
            let message = "Without METRICS_TOKEN this is for the machine itself only";
            let refusal = Response::error(Status::FORBIDDEN, message);
            return if is_local && !is_passed_on { Ok(()) } else { Err(refusal) };
        };
        if http::bearer(request).as_ref() == Some(token) {
            return Ok(());
        }
        let refusal = Response::error(Status::UNAUTHORIZED, "METRICS_TOKEN is required");
        Err(refusal.with_header("WWW-Authenticate", "Bearer"))
    }
}
