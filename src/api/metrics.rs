//! `GET /metrics`: figures as text of `OpenMetrics`, which Prometheus and its relatives read, and
//! which requests may see them. The only user of the crate `prometheus_client`.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
pub use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::credentials::bearer;
use super::whoami::refuse_pages;
use crate::base::metrics::Histogram;
use crate::base::secret::Secret;
use crate::config::RemoteEnd;
use crate::http::{Request, Response, Status};

/// The media type of `OpenMetrics` 1.0.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Fields by which a proxy says that it passes on the request of another client.
const PROXY_FIELDS: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Families of metrics, in the order in which they are shown.
#[derive(Debug, Default)]
pub struct Exposition(Vec<Family>);

#[derive(Debug)]
struct Family {
    kind: MetricType,
    /// With its unit, and without the `_total` of a counter.
    name: &'static str,
    help: &'static str,
    /// What the values are told apart by; empty if there is only one.
    label: &'static str,
    values: Vec<(&'static str, Figure)>,
}

/// What a metric is at one moment.
#[derive(Debug)]
pub enum Figure {
    /// Bytes, or how many there are of something.
    Count(u64),
    /// A time.
    Seconds(f64),
    /// How long things took.
    Durations(Histogram),
}

/// Whether `request`, which came from `peer`, has the token of the settings, or, if there is none,
/// comes from this very machine.
///
/// # Errors
/// What to answer instead.
pub fn may_see(request: &Request, peer: RemoteEnd, token: Option<&Secret>) -> Result<(), Response> {
    refuse_pages(request)?;
    let Some(token) = token else {
        let is_passed_on = PROXY_FIELDS.iter().any(|field| request.has_header(field));
        let is_local = matches!(peer, RemoteEnd::Network(address) if address.is_loopback());
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

impl Exposition {
    /// Adds the family `name` of one value.
    pub fn add(
        &mut self,
        kind: MetricType,
        name: &'static str,
        help: &'static str,
        value: impl Into<Figure>,
    ) {
        self.add_each(kind, name, help, "", [("", value)]);
    }

    /// Adds the family `name` of values that `label` tells apart.
    pub fn add_each<F: Into<Figure>>(
        &mut self,
        kind: MetricType,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'static str, F)>,
    ) {
        let values = values.into_iter().map(|(text, value)| (text, value.into())).collect();
        self.0.push(Family { kind, name, help, label, values });
    }

    /// The answer to a request.
    pub fn into_response(self) -> Response {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut page = String::new();
        let written = text::encode(&mut page, &registry);
        debug_assert!(written.is_ok(), "a String takes whatever is written");
        Response::new(Status::OK, CONTENT_TYPE, page.into_bytes())
            .with_header("Cache-Control", "no-store")
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { kind, name, help, label, values } in &self.0 {
            let (name, unit) = match name.rsplit_once('_') {
                Some((name, "bytes")) => (name, Some(&Unit::Bytes)),
                Some((name, "seconds")) => (name, Some(&Unit::Seconds)),
                _ => (*name, None),
            };
            let mut family = encoder.encode_descriptor(name, help, unit, *kind)?;
            for (text, figure) in values {
                match (kind, *label) {
                    (MetricType::Info, label) => family.encode_info(&[(label, *text)])?,
                    (_, "") => figure.encode(*kind, &mut family)?,
                    (_, label) => {
                        figure.encode(*kind, &mut family.encode_family(&[(label, *text)])?)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Figure {
    fn encode(&self, kind: MetricType, metric: &mut MetricEncoder<'_>) -> fmt::Result {
        match (self, kind) {
            (Self::Count(count), MetricType::Counter) => {
                metric.encode_counter::<NoLabelSet, _, u64>(count, None)
            }
            (Self::Seconds(seconds), MetricType::Counter) => {
                metric.encode_counter::<NoLabelSet, _, f64>(seconds, None)
            }
            (Self::Count(count), _) => metric.encode_gauge(count),
            (Self::Seconds(seconds), _) => metric.encode_gauge(seconds),
            (Self::Durations(all), _) => metric.encode_histogram::<NoLabelSet>(
                all.sum_seconds(),
                all.count(),
                &all.buckets(),
                None,
            ),
        }
    }
}

impl From<u64> for Figure {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<usize> for Figure {
    fn from(count: usize) -> Self {
        // No target has a larger usize.
        Self::Count(count as u64)
    }
}

impl From<f64> for Figure {
    fn from(seconds: f64) -> Self {
        Self::Seconds(seconds)
    }
}

impl From<&Histogram> for Figure {
    fn from(durations: &Histogram) -> Self {
        Self::Durations(durations.clone())
    }
}
