//! `GET /metrics`: what the server counts of itself, for those who may see it.

use std::time::Duration;

use super::answer::Answer;
use super::application::Engine;
use super::context::Context;
use super::job::Job;
use super::waiting::Waiting;
use crate::api::metrics::{self, Report};
use crate::base::metrics::ProcessFacts;
use crate::base::time::Timestamp;
use crate::config::Peer;
use crate::http::{Request, Response};
use crate::session::Census;

impl Engine {
    /// Answers once the process was looked at.
    pub(super) fn metrics(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request,
        peer: Peer,
    ) -> Result<Answer, Response> {
        metrics::may_see(request, peer, self.config.metrics_token.as_ref())?;
        let started = self.jobs.start(Job::InspectProcess, Waiting::Metrics(cx.conn), cx.now.at);
        // Without a place in the queue, the rest can be told: just then it is wanted.
        Ok(started.map_or_else(|_| self.show_metrics(cx, None), |_| Answer::Waits))
    }

    /// The process was looked at, or there was no worker to do so.
    pub(super) fn show_metrics(&self, cx: &Context<'_>, facts: Option<ProcessFacts>) -> Answer {
        self.report(cx, facts).into_response().into()
    }

    fn report(&self, cx: &Context<'_>, process: Option<ProcessFacts>) -> Report {
        let Context { sessions, now, .. } = cx;
        let Census { websockets, queued_bytes, queued_bytes_longest } = sessions.census();
        let since_epoch = Duration::from_millis(u64::try_from(now.unix.0).unwrap_or_default());
        let uptime = now.at.since(Timestamp(0));
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
            rooms_max: self.config.limits.rooms_max as usize,
            rooms_unsaved: self.rooms.unsaved(),
            members: self.rooms.connections(),
            document_bytes: self.rooms.document_bytes(),
            memory_used_bytes: self.budget.used(),
            memory_budget_bytes: self.budget.limit(),
            errors: self.replies.errors(),
            jobs_waiting: self.jobs.queued(),
            jobs_running: self.jobs.running(),
            job_durations: self.jobs.durations(),
            jobs_late: self.jobs.late(),
            store_ok: self.store.is_ok(),
            turns: self.turns.clone(),
            process,
        }
    }
}
