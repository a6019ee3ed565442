//! `GET /metrics`: what the server counts of itself, for those that may see it.

use std::time::Duration;

use super::answer::Answer;
use super::application::Engine;
use super::context::Context;
use super::job::Job;
use super::requests::Asker;
use super::turns::Owner;
use super::waiting::Waiting;
use crate::api::metrics::MetricType::{Counter, Gauge, Histogram, Info};
use crate::api::metrics::{self, Exposition};
use crate::base::ids::ConnId;
use crate::base::metrics::ProcessFacts;
use crate::base::time::{Now, Timestamp};
use crate::http::{Request, Response};
use crate::session::{Census, Sessions};

impl Engine {
    /// Answers once the process was looked at.
    pub(super) fn metrics(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request,
        asker: Asker,
    ) -> Result<Answer, Response> {
        metrics::may_see(request, asker.peer, self.config.metrics_token.as_ref())?;
        let (owner, waiting) = (Owner::at(asker.address), Waiting::Metrics(cx.conn));
        let started = self.jobs.start(owner, Job::InspectProcess, waiting, cx.now.at);
        // Without a place in the queue, the rest can be told: just then it is wanted.
        Ok(started.map_or_else(|_| self.show_metrics(cx, None), |_| Answer::Waits))
    }

    /// The process was looked at; or no worker was free to look, and the rest can be told.
    pub(super) fn metrics_known(
        &mut self,
        sessions: &mut Sessions,
        conn: ConnId,
        facts: Option<ProcessFacts>,
        now: Now,
    ) {
        let mut cx = Context { sessions, conn, now };
        let answer = self.show_metrics(&cx, facts);
        self.respond(&mut cx, answer);
    }

    fn show_metrics(&self, cx: &Context<'_>, facts: Option<ProcessFacts>) -> Answer {
        let mut page = Exposition::default();
        if let Some(facts) = facts {
            show_process(&mut page, &facts, cx.now);
        }
        let version = [(env!("CARGO_PKG_VERSION"), 1_u64)];
        page.add_each(Info, "sync_server_build", "The program", "version", version);
        self.show_sessions(&mut page, cx.sessions);
        self.show_rooms(&mut page);
        self.show_work(&mut page);
        page.into_response().into()
    }

    fn show_sessions(&self, page: &mut Exposition, sessions: &Sessions) {
        let Census { websockets, queued_bytes, queued_bytes_longest } = sessions.census();
        let http = sessions.len().saturating_sub(websockets);
        let (by_protocol, traffic) =
            ([("http", http), ("websocket", websockets)], sessions.traffic());
        let help = "Connections, by what they speak";
        page.add_each(Gauge, "sync_server_connections", help, "protocol", by_protocol);
        let help = "MAX_CONNECTIONS, or what open files allow";
        page.add(Gauge, "sync_server_connections_limit", help, sessions.connections_max());
        for (name, help, count) in [
            ("sync_server_connections_accepted", "Connections taken", traffic.connections_accepted),
            (
                "sync_server_connections_refused",
                "Connections told 503",
                traffic.connections_refused,
            ),
            ("sync_server_received_bytes", "Bytes read from clients", traffic.bytes_received),
            ("sync_server_sent_bytes", "Bytes written to clients", traffic.bytes_sent),
            ("sync_server_http_requests", "HTTP requests", traffic.requests),
            ("sync_server_messages_received", "WebSocket messages", traffic.messages_received),
            (
                "sync_server_messages_delivered",
                "Frames queued for clients: a message to twenty is twenty",
                traffic.messages_delivered,
            ),
        ] {
            page.add(Counter, name, help, count);
        }
        let closes = traffic.closes.iter().map(|(reason, count)| (*reason, *count));
        let help = "WebSockets closed by the server";
        page.add_each(Counter, "sync_server_closes", help, "reason", closes);
        let help = "Errors that clients were told";
        page.add_each(Counter, "sync_server_errors", help, "code", self.replies.errors());
        let help = "Queued for all clients; shared bytes count for each";
        page.add(Gauge, "sync_server_send_queue_bytes", help, queued_bytes);
        let help = "Queued for the client with the longest queue";
        page.add(Gauge, "sync_server_send_queue_longest_bytes", help, queued_bytes_longest);
    }

    fn show_rooms(&self, page: &mut Exposition) {
        let (rooms, documents) = (&self.rooms, self.rooms.document_census());
        for (name, help, value) in [
            ("sync_server_rooms", "Rooms in memory", rooms.rooms()),
            ("sync_server_rooms_limit", "MAX_ROOMS", self.config.limits.rooms_max as usize),
            (
                "sync_server_rooms_unsaved",
                "Rooms whose newest state is not stored",
                rooms.unsaved(),
            ),
            ("sync_server_room_members", "Connections in rooms", rooms.connections()),
            ("sync_server_documents_bytes", "All documents in memory", documents.bytes),
            ("sync_server_documents", "Documents in memory", documents.held),
            (
                "sync_server_documents_waiting",
                "Documents to be read from the store that wait for memory",
                self.reads.waiting(),
            ),
            (
                "sync_server_memory_used_bytes",
                "What clients make the server keep",
                self.budget.used(),
            ),
            ("sync_server_memory_budget_bytes", "MEMORY_BUDGET_BYTES", self.budget.limit()),
        ] {
            page.add(Gauge, name, help, value);
        }
        let help = "Documents read from the store";
        page.add(Counter, "sync_server_documents_read", help, self.reads.started());
        let help = "Documents that left memory while their rooms stayed";
        page.add(Counter, "sync_server_documents_evicted", help, documents.evicted);
    }

    fn show_work(&self, page: &mut Exposition) {
        let (jobs, is_ok) = (&self.jobs, u64::from(self.store.is_ok()));
        page.add(Gauge, "sync_server_store_up", "1: nothing that failed waits to be stored", is_ok);
        for (name, help, by_lane) in [
            ("sync_server_jobs_waiting", "Jobs to be started; rooms to be stored", jobs.queued()),
            ("sync_server_jobs_running", "Jobs that workers have", jobs.running()),
        ] {
            page.add_each(Gauge, name, help, "lane", by_lane);
        }
        let help = "Jobs that stored rooms, each all that waited";
        page.add(Counter, "sync_server_save_groups", help, jobs.groups());
        let late = "Jobs that ended too late for anybody";
        page.add(Counter, "sync_server_jobs_late", late, jobs.late());
        let help = "From the wish to the outcome of a job";
        let name = "sync_server_job_duration_seconds";
        page.add_each(Histogram, name, help, "kind", jobs.durations());
        let help = "A turn of the event loop, without what it waited";
        page.add(Histogram, "sync_server_loop_turn_seconds", help, &self.turns);
    }
}

fn show_process(page: &mut Exposition, facts: &ProcessFacts, now: Now) {
    let since_epoch = Duration::from_millis(u64::try_from(now.unix.0).unwrap_or_default());
    let start = since_epoch.saturating_sub(now.at.since(Timestamp(0))).as_secs_f64();
    page.add(Gauge, "process_resident_memory_bytes", "Resident memory", facts.resident_bytes);
    page.add(Gauge, "process_virtual_memory_bytes", "Addresses in use", facts.virtual_bytes);
    page.add(Gauge, "process_open_fds", "Open file descriptors", facts.open_files);
    page.add(Gauge, "process_max_fds", "How many there may be", facts.open_files_max);
    page.add(Counter, "process_cpu_seconds", "Processor time", facts.processor_seconds);
    let help = "When it began to serve, since 1970";
    page.add(Gauge, "process_start_time_seconds", help, start);
    let help = "Lines of the log that had no place";
    page.add(Counter, "sync_server_log_lines_dropped", help, facts.log_lines_dropped);
}
