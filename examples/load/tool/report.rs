//! What came of it, for people and for programs.

use std::fmt::Write;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::tally::Reasons;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Every message reached everybody once and in order, and no connection was lost.
    pub(crate) passed: bool,
    /// What the clients did.
    pub(crate) scenario: &'static str,
    /// The server.
    pub(crate) url: String,
    /// All clients.
    pub(crate) clients: u32,
    /// All rooms.
    pub(crate) rooms: u32,
    /// How long the scenario took, joining not counted unless it was the scenario.
    pub(crate) seconds: f64,
    /// How the clients came in; those who come and go, in `churn`.
    pub(crate) joins: Joins,
    /// Messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traffic: Option<Traffic>,
    /// Who came and went, as the others heard it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) presence: Option<Presence>,
    /// Errors from the server, by code.
    pub(crate) refused: Reasons,
    /// Connections that the server ended, by reason.
    pub(crate) ended: Reasons,
    /// The same of those that did not read: that is as it should be.
    pub(crate) stalled_ended: Reasons,
    /// The server's process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<Server>,
    /// Of one core, what the load generator itself took: near 100, the figures are its own.
    pub(crate) generator_cpu_percent: f64,
}

/// Times in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    /// Half were faster.
    pub(crate) p50_us: u64,
    /// 99 of 100 were faster.
    pub(crate) p99_us: u64,
    /// 999 of 1000 were faster.
    pub(crate) p999_us: u64,
    /// None was slower.
    pub(crate) max_us: u64,
}

/// How clients came in.
#[derive(Debug, Serialize)]
pub(crate) struct Joins {
    /// How many.
    pub(crate) count: u64,
    /// In a second.
    pub(crate) per_second: f64,
    /// From beginning to connect to being in a room.
    pub(crate) latency: Latency,
}

/// Messages.
#[derive(Debug, Serialize)]
pub(crate) struct Traffic {
    /// Of each message's text.
    pub(crate) bytes: usize,
    /// By senders.
    pub(crate) sent: u64,
    /// To readers, that should be.
    pub(crate) deliveries_expected: u64,
    /// To readers, that were.
    pub(crate) deliveries: u64,
    /// In a second.
    pub(crate) deliveries_per_second: f64,
    /// Of text, to readers, in a second; 1 MB is a million bytes.
    pub(crate) megabytes_per_second: f64,
    /// Did not come.
    pub(crate) lost: u64,
    /// Came after a later one of the same sender.
    pub(crate) reordered: u64,
    /// Came twice.
    pub(crate) repeated: u64,
    /// Came to somebody else.
    pub(crate) misrouted: u64,
    /// Came shorter or longer than they were sent.
    pub(crate) mutilated: u64,
    /// Clients that heard different senders in another order than others of their room did.
    pub(crate) orders_that_differ: u64,
    /// How much later than planned we ourselves sent, at most.
    pub(crate) late_us_max: u64,
    /// From sending to hearing.
    pub(crate) latency: Latency,
}

/// Who came and went.
#[derive(Debug, Serialize)]
pub(crate) struct Presence {
    /// How often somebody should have heard of it.
    pub(crate) expected: u64,
    /// How often somebody did.
    pub(crate) heard: u64,
}

/// The server's process.
#[derive(Debug, Serialize)]
pub(crate) struct Server {
    /// Its id.
    pub(crate) pid: u32,
    /// Processor time during the scenario.
    pub(crate) cpu_seconds: f64,
    /// The same of one core.
    pub(crate) cpu_percent: f64,
    /// For one message to one reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_us_per_delivery: Option<f64>,
    /// For a million bytes of text to one reader, if messages are large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_us_per_megabyte: Option<f64>,
    /// For one client to come in (and, in `churn`, to go).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_us_per_join: Option<f64>,
    /// Resident memory before the first client.
    pub(crate) resident_bytes_before: u64,
    /// And at the end, with all of them.
    pub(crate) resident_bytes: u64,
    /// The most since the server was started.
    pub(crate) resident_bytes_peak: u64,
    /// What it grew by, divided among the clients; only after nothing but joining.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resident_bytes_per_client: Option<f64>,
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            p50_us: histogram.value_at_quantile(0.5),
            p99_us: histogram.value_at_quantile(0.99),
            p999_us: histogram.value_at_quantile(0.999),
            max_us: histogram.max(),
        }
    }

    fn text(&self) -> String {
        let ms = |us| milliseconds(us);
        format!(
            "p50 {}  p99 {}  p99.9 {}  max {}",
            ms(self.p50_us),
            ms(self.p99_us),
            ms(self.p999_us),
            ms(self.max_us)
        )
    }
}

impl Traffic {
    fn is_faultless(&self) -> bool {
        let faults = [
            self.lost,
            self.reordered,
            self.repeated,
            self.misrouted,
            self.mutilated,
            self.orders_that_differ,
        ];
        faults == [0; 6]
    }
}

impl Report {
    /// Sets `passed` to what follows from everything else.
    pub(crate) fn judge(&mut self) {
        self.passed = self.traffic.as_ref().is_none_or(Traffic::is_faultless)
            && self.presence.as_ref().is_none_or(|presence| presence.heard == presence.expected)
            && self.refused.is_empty()
            && self.ended.is_empty();
    }

    /// One JSON object on a line.
    pub(crate) fn json(&self) -> String {
        // There are no maps but those with strings as keys, so there is always a JSON form.
        let mut text = serde_json::to_string(self).expect("a report has a JSON form");
        text.push('\n');
        text
    }

    /// Lines for a person.
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![
            line("scenario", &format!("{} on {}", self.scenario, self.url)),
            line(
                "clients",
                &format!("{} in {} rooms, {:.1} s", self.clients, self.rooms, self.seconds),
            ),
            line("joins", &format!("{} ({:.0}/s)", self.joins.count, self.joins.per_second)),
            line("join latency", &self.joins.latency.text()),
        ];
        if let Some(presence) = &self.presence {
            let Presence { expected, heard } = presence;
            lines.push(line("presence", &format!("{heard} of {expected} heard")));
        }
        if let Some(traffic) = &self.traffic {
            traffic.describe(&mut lines);
        }
        for (name, reasons) in [
            ("refused", &self.refused),
            ("ended", &self.ended),
            ("stalled, ended", &self.stalled_ended),
        ] {
            for (reason, count) in reasons {
                lines.push(line(name, &format!("{count} × {reason}")));
            }
        }
        if self.refused.contains_key("rate_limited") {
            lines.push(line("hint", "start the server with MESSAGE_RATE_LIMIT=0 for this"));
        }
        if let Some(server) = &self.server {
            server.describe(&mut lines);
        }
        lines.push(line(
            "load generator",
            &format!("{:.0} % of a core", self.generator_cpu_percent),
        ));
        lines.push(line("result", if self.passed { "passed" } else { "FAILED" }));
        lines.concat()
    }
}

impl Traffic {
    fn describe(&self, lines: &mut Vec<String>) {
        lines.push(line("sent", &format!("{} messages of {} bytes", self.sent, self.bytes)));
        lines.push(line(
            "delivered",
            &format!(
                "{} of {} ({:.0}/s, {:.1} MB/s)",
                self.deliveries,
                self.deliveries_expected,
                self.deliveries_per_second,
                self.megabytes_per_second
            ),
        ));
        lines.push(line(
            "wrong",
            &format!(
                "{} lost, {} out of order, {} repeated, {} misrouted, {} mutilated, \
                 {} with another order",
                self.lost,
                self.reordered,
                self.repeated,
                self.misrouted,
                self.mutilated,
                self.orders_that_differ
            ),
        ));
        lines.push(line("latency", &self.latency.text()));
        if self.late_us_max > 0 {
            lines.push(line("sent late by", &format!("up to {}", milliseconds(self.late_us_max))));
        }
    }
}

impl Server {
    fn describe(&self, lines: &mut Vec<String>) {
        let mut cpu = format!("{:.2} s, {:.1} % of a core", self.cpu_seconds, self.cpu_percent);
        for (value, what) in [
            (self.cpu_us_per_delivery, "delivery"),
            (self.cpu_us_per_megabyte, "MB delivered"),
            (self.cpu_us_per_join, "join"),
        ] {
            if let Some(value) = value {
                // Writing to a String cannot fail.
                let _infallible = write!(cpu, ", {value:.2} µs per {what}");
            }
        }
        lines.push(line("server CPU", &cpu));
        let mut memory = format!(
            "{} before, {} at the end, {} at most",
            megabytes(self.resident_bytes_before),
            megabytes(self.resident_bytes),
            megabytes(self.resident_bytes_peak)
        );
        if let Some(value) = self.resident_bytes_per_client {
            let _infallible = write!(memory, ", {value:.0} bytes per client");
        }
        lines.push(line("server memory", &memory));
    }
}

fn line(name: &str, value: &str) -> String {
    format!("{name:<15} {value}\n")
}

/// `one` for each `of`; 0 if there is none.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(crate) fn ratio(one: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { one as f64 / of as f64 }
}

/// Microseconds as milliseconds.
pub(crate) fn milliseconds(us: u64) -> String {
    format!("{:.2} ms", ratio(us, 1000))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", ratio(bytes, 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let latency = Latency { p50_us: 90, p99_us: 1_500, p999_us: 2_000, max_us: 2_500 };
        Report {
            passed: false,
            scenario: "paced",
            url: "http://127.0.0.1:3001".to_owned(),
            clients: 4,
            rooms: 2,
            seconds: 1.0,
            joins: Joins { count: 4, per_second: 4.0, latency },
            traffic: Some(Traffic {
                bytes: 200,
                sent: 3,
                deliveries_expected: 3,
                deliveries: 3,
                deliveries_per_second: 3.0,
                megabytes_per_second: 0.0,
                lost: 0,
                reordered: 0,
                repeated: 0,
                misrouted: 0,
                mutilated: 0,
                orders_that_differ: 0,
                late_us_max: 0,
                latency,
            }),
            presence: Some(Presence { expected: 2, heard: 2 }),
            refused: Reasons::new(),
            ended: Reasons::new(),
            stalled_ended: Reasons::from([("closed with 1013".to_owned(), 1)]),
            server: None,
            generator_cpu_percent: 3.0,
        }
    }

    #[test]
    fn any_fault_fails_the_run() {
        let judged = |change: fn(&mut Report)| {
            let mut report = report();
            change(&mut report);
            report.judge();
            report.passed
        };
        assert!(judged(|_| ()));
        let faults: [fn(&mut Report); 9] = [
            |report| report.traffic.iter_mut().for_each(|traffic| traffic.lost = 1),
            |report| report.traffic.iter_mut().for_each(|traffic| traffic.reordered = 1),
            |report| report.traffic.iter_mut().for_each(|traffic| traffic.repeated = 1),
            |report| report.traffic.iter_mut().for_each(|traffic| traffic.misrouted = 1),
            |report| report.traffic.iter_mut().for_each(|traffic| traffic.mutilated = 1),
            |report| report.traffic.iter_mut().for_each(|traffic| traffic.orders_that_differ = 1),
            |report| report.presence.iter_mut().for_each(|presence| presence.heard = 3),
            |report| report.refused.extend([("host_only".to_owned(), 1)]),
            |report| report.ended.extend([("cut off".to_owned(), 1)]),
        ];
        for fault in faults {
            assert!(!judged(fault));
        }
    }

    #[test]
    fn a_report_is_for_people_and_for_programs() {
        let mut report = report();
        report.judge();
        let text = report.text();
        for part in [
            "latency         p50 0.09 ms  p99 1.50 ms  p99.9 2.00 ms  max 2.50 ms\n",
            "wrong           0 lost, 0 out of order,",
            "stalled, ended  1 × closed with 1013\n",
            "result          passed\n",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let json: serde_json::Value = serde_json::from_str(&report.json()).expect("JSON");
        assert_eq!(json["traffic"]["latency"]["p999_us"], 2_000);
        assert_eq!(json["passed"], true);
        assert!(json.get("server").is_none());
    }
}
