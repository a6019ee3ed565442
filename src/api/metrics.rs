//! `GET /metrics`: a [`Report`] as text of `OpenMetrics`, which Prometheus and its relatives read,
//! and which requests may see it. The only user of the crate `prometheus_client`.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::credentials::bearer;
use super::whoami::refuse_pages;
use crate::base::metrics::{Histogram, ProcessFacts, Traffic};
use crate::base::secret::Secret;
use crate::config::Peer;
use crate::http::{Request, Response, Status};

/// The media type of `OpenMetrics` 1.0.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the names of our own metrics begin with.
const PREFIX: &str = "sync_server";

/// Fields by which a proxy says that it passes on the request of another client.
const PROXY_FIELDS: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Everything that can be asked for, at one moment.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of the program.
    pub version: &'static str,
    /// When it began to serve, in seconds since 1970.
    pub start_time_seconds: f64,
    /// Connections that are there, by what they speak.
    pub connections: [(&'static str, usize); 2],
    /// How many there may be.
    pub connections_max: usize,
    /// What went in and out.
    pub traffic: Traffic,
    /// Bytes queued for all clients together; shared ones count for each.
    pub send_queue_bytes: usize,
    /// Bytes queued for the client with the longest queue.
    pub send_queue_bytes_longest: usize,
    /// Rooms in memory.
    pub rooms: usize,
    /// How many there may be.
    pub rooms_max: usize,
    /// Of these, those whose newest state is not stored.
    pub rooms_unsaved: usize,
    /// Connections in rooms.
    pub members: usize,
    /// Bytes of all documents in memory.
    pub document_bytes: usize,
    /// Bytes that count against the budget.
    pub memory_used_bytes: usize,
    /// The budget.
    pub memory_budget_bytes: usize,
    /// Errors that clients were told, by their code; each code that there is.
    pub errors: Vec<(&'static str, u64)>,
    /// Jobs that wait to be started.
    pub jobs_waiting: usize,
    /// Jobs that were started.
    pub jobs_running: usize,
    /// From the wish to the outcome, by kind.
    pub job_durations: Vec<(&'static str, Histogram)>,
    /// Outcomes that came after everybody had given up.
    pub jobs_late: u64,
    /// Whether the store answered the last time.
    pub store_ok: bool,
    /// Turns of the event loop, without what they waited.
    pub turns: Histogram,
    /// The process, if the operating system says.
    pub process: Option<ProcessFacts>,
}

/// Whether `request`, which came from `peer`, has the token of the settings, or, if there is none,
/// comes from this very machine.
///
/// # Errors
/// What to answer instead.
pub fn may_see(request: &Request, peer: Peer, token: Option<&Secret>) -> Result<(), Response> {
    refuse_pages(request)?;
    let Some(token) = token else {
        let is_passed_on = PROXY_FIELDS.iter().any(|field| request.has_header(field));
        let is_local = matches!(peer, Peer::Network(address) if address.is_loopback());
        let message = "Without METRICS_TOKEN this is for the machine itself only";
        let refusal = Response::error(Status::FORBIDDEN, message);
        return if is_local && !is_passed_on { Ok(()) } else { Err(refusal) };
    };
    if bearer(request).as_ref() == Some(token) {
        return Ok(());
    }
    let refusal = Response::error(Status::UNAUTHORIZED, "METRICS_TOKEN is required");
    Err(refusal.with_header("WWW-Authenticate", "Bearer"))
}

impl Report {
    /// The report as the answer to a request.
    pub fn into_response(self) -> Response {
        Response::new(Status::OK, CONTENT_TYPE, self.exposition().into_bytes())
            .with_header("Cache-Control", "no-store")
    }

    fn exposition(self) -> String {
        let mut registry = Registry::default();
        if let Some(process) = self.process {
            registry.register_collector(Box::new(Process(process, self.start_time_seconds)));
        }
        registry.sub_registry_with_prefix(PREFIX).register_collector(Box::new(self));
        let mut text = String::new();
        // A String takes whatever is written.
        let written = prometheus_client::encoding::text::encode(&mut text, &registry);
        debug_assert!(written.is_ok(), "a report can be written");
        text
    }
}

/// With the time when it began to serve.
#[derive(Debug)]
struct Process(ProcessFacts, f64);

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(facts, start_time_seconds) = self;
        let mut page = Page(encoder);
        let bytes = Some(&Unit::Bytes);
        page.gauge("process_resident_memory", bytes, "Resident memory", facts.resident_bytes)?;
        page.gauge("process_virtual_memory", bytes, "Addresses in use", facts.virtual_bytes)?;
        page.gauge("process_open_fds", None, "Open file descriptors", facts.open_files)?;
        page.gauge("process_max_fds", None, "How many there may be", facts.open_files_max)?;
        page.family("process_cpu", Some(&Unit::Seconds), "Processor time", MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, f64>(&facts.processor_seconds, None)?;
        page.family(
            "process_start_time",
            Some(&Unit::Seconds),
            "When it began to serve, since 1970",
            MetricType::Gauge,
        )?
        .encode_gauge(start_time_seconds)
    }
}

impl Collector for Report {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.family("build", None, "The program", MetricType::Info)?
            .encode_info(&[("version", self.version)])?;
        self.encode_connections(&mut page)?;
        self.encode_rooms(&mut page)?;
        self.encode_work(&mut page)
    }
}

impl Report {
    fn encode_connections(&self, page: &mut Page<'_>) -> fmt::Result {
        let bytes = Some(&Unit::Bytes);
        let by_protocol = self.connections.map(|(protocol, count)| (protocol, number(count)));
        page.gauges("connections", "Connections, by what they speak", "protocol", &by_protocol)?;
        page.gauge(
            "connections_limit",
            None,
            "MAX_CONNECTIONS, or what open files allow",
            number(self.connections_max),
        )?;
        let traffic = &self.traffic;
        let counters = [
            ("connections_accepted", None, "Connections taken", traffic.connections_accepted),
            ("connections_refused", None, "Connections told 503", traffic.connections_refused),
            ("received", bytes, "Bytes read from clients", traffic.bytes_received),
            ("sent", bytes, "Bytes written to clients", traffic.bytes_sent),
            ("http_requests", None, "HTTP requests", traffic.requests),
            ("messages_received", None, "WebSocket messages", traffic.messages_received),
            (
                "messages_delivered",
                None,
                "Frames queued for clients: a message to twenty is twenty",
                traffic.messages_delivered,
            ),
        ];
        for (name, unit, help, count) in counters {
            page.counter(name, unit, help, count)?;
        }
        let closes: Vec<_> = traffic.closes.iter().map(|(&name, &count)| (name, count)).collect();
        page.counters("closes", "WebSockets closed by the server", "reason", &closes)?;
        page.counters("errors", "Errors that clients were told", "code", &self.errors)?;
        page.gauge(
            "send_queue",
            bytes,
            "Queued for all clients; shared bytes count for each",
            number(self.send_queue_bytes),
        )?;
        page.gauge(
            "send_queue_longest",
            bytes,
            "Queued for the client with the longest queue",
            number(self.send_queue_bytes_longest),
        )
    }

    fn encode_rooms(&self, page: &mut Page<'_>) -> fmt::Result {
        let bytes = Some(&Unit::Bytes);
        let gauges = [
            ("rooms", None, "Rooms in memory", self.rooms),
            ("rooms_limit", None, "MAX_ROOMS", self.rooms_max),
            ("rooms_unsaved", None, "Rooms whose newest state is not stored", self.rooms_unsaved),
            ("room_members", None, "Connections in rooms", self.members),
            ("documents", bytes, "All documents in memory", self.document_bytes),
            ("memory_used", bytes, "What clients make the server keep", self.memory_used_bytes),
            ("memory_budget", bytes, "MEMORY_BUDGET_BYTES", self.memory_budget_bytes),
        ];
        for (name, unit, help, value) in gauges {
            page.gauge(name, unit, help, number(value))?;
        }
        Ok(())
    }

    fn encode_work(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge("store_up", None, "1: the store answered the last time", self.store_ok.into())?;
        page.gauge("jobs_waiting", None, "Jobs to be started", number(self.jobs_waiting))?;
        page.gauge("jobs_running", None, "Jobs that were started", number(self.jobs_running))?;
        page.counter("jobs_late", None, "Jobs that ended too late for anybody", self.jobs_late)?;
        page.histograms(
            "job_duration",
            "From the wish to the outcome of a job",
            "kind",
            &self.job_durations,
        )?;
        let turns = "A turn of the event loop, without what it waited";
        let seconds = Some(&Unit::Seconds);
        let mut family = page.family("loop_turn", seconds, turns, MetricType::Histogram)?;
        encode_histogram(&mut family, &self.turns)
    }
}

/// Writes families of metrics.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn family<'s>(
        &'s mut self,
        name: &'s str,
        unit: Option<&'s Unit>,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, unit, kind)
    }

    fn gauge(&mut self, name: &str, unit: Option<&Unit>, help: &str, value: u64) -> fmt::Result {
        self.family(name, unit, help, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) -> fmt::Result {
        let mut family = self.family(name, None, help, MetricType::Gauge)?;
        values.iter().try_for_each(|&(value, count)| {
            family.encode_family(&[(label, value)])?.encode_gauge(&count)
        })
    }

    fn counter(&mut self, name: &str, unit: Option<&Unit>, help: &str, count: u64) -> fmt::Result {
        let mut family = self.family(name, unit, help, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        counts: &[(&str, u64)],
    ) -> fmt::Result {
        let mut family = self.family(name, None, help, MetricType::Counter)?;
        counts.iter().try_for_each(|&(value, count)| {
            let labels = [(label, value)];
            let mut one = family.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, u64>(&count, None)
        })
    }

    /// Durations in seconds.
    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        histograms: &[(&str, Histogram)],
    ) -> fmt::Result {
        let mut family = self.family(name, Some(&Unit::Seconds), help, MetricType::Histogram)?;
        histograms.iter().try_for_each(|(value, histogram)| {
            encode_histogram(&mut family.encode_family(&[(label, *value)])?, histogram)
        })
    }
}

fn encode_histogram(family: &mut MetricEncoder<'_>, histogram: &Histogram) -> fmt::Result {
    family.encode_histogram::<NoLabelSet>(
        histogram.sum_seconds(),
        histogram.count(),
        &histogram.buckets(),
        None,
    )
}

fn number(value: usize) -> u64 {
    // No target has a larger usize.
    value as u64
}
