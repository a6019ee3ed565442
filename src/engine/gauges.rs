//! `GET /metrics`: what the server counts of itself, for those who may see it.

use std::time::Duration;

use super::Engine;
use super::desk::Waiting;
use super::jobs::{Job, Purpose};
use crate::api::metrics::{self, Report};
use crate::base::ids::ConnId;
use crate::base::metrics::{Histogram, ProcessFacts};
use crate::base::time::{Now, Timestamp};
use crate::config::Peer;
use crate::http::Request;
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
        let token = self.desk.config.metrics_token.as_ref();
        if let Err(response) = metrics::may_see(request, peer, token) {
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
        let response = self.report(sessions, facts, now).into_response();
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
