//! Scenarios with messages: at a fixed rate, or as fast as they are heard.

use std::time::Duration;

use super::client::Template;
use super::clock::{Micros, SECOND};
use super::report::{Latency, Report, Traffic, ratio};
use super::stage::{Span, Stage, TURN, told};
use super::{LoadError, Scenario};

/// Messages that are due are sent in groups of this size and read in between: to be late is our
/// fault, and must not look like a reader that is too slow.
const GROUP_MAX: u32 = 16;
/// Of messages this long, what they cost is told by the megabyte as well.
const LARGE_BYTES: usize = 4096;
/// How long those who did not read may take to hear how it ended.
const WAKING_TIME: Micros = 5 * SECOND;

/// `paced` and `stalled`: senders take turns, one message every so often.
pub(super) fn paced(stage: &mut Stage<'_>) -> Result<Report, LoadError> {
    let gathering = stage.gather()?;
    let presence = stage.hear_gathering()?;
    let seating = stage.seating();
    let stalled: Vec<u32> =
        (0..seating.clients).filter(|client| seating.is_excused(*client)).collect();
    for client in &stalled {
        stage.crowd.stall(*client);
    }
    let rate = u64::from(stage.options.rate);
    let total = rate * stage.options.duration.as_secs();
    let mut template = template(stage);
    let mark = stage.mark()?;
    let due = |message: u64| mark.at + message * SECOND / rate;
    let (mut sent, mut sender, mut late) = (0, 0, 0);
    while sent < total {
        let mut now = stage.crowd.now();
        for _ in 0..GROUP_MAX {
            if sent == total || due(sent) > now {
                break;
            }
            late = late.max(now - due(sent));
            send(stage, &mut template, sender, now);
            sender = (sender + 1) % seating.senders_total();
            sent += 1;
            now = stage.crowd.now();
        }
        let wait = Duration::from_micros(due(sent).saturating_sub(now)).min(TURN);
        stage.crowd.turn(wait, &mut stage.tally)?;
        stage.tick(told);
    }
    stage.drain(|tally| tally.ledger.missing() == 0)?;
    let span = stage.span(&mark)?;
    for client in &stalled {
        stage.crowd.wake(*client);
    }
    let until = stage.crowd.now() + WAKING_TIME;
    let is_open = |stage: &Stage<'_>| stalled.iter().any(|c| stage.crowd.is_connected(*c));
    while is_open(stage) && stage.crowd.now() < until {
        stage.crowd.turn(TURN, &mut stage.tally)?;
    }
    let mut report = report(stage, &gathering, &span, late)?;
    report.stalled_ended.clone_from(&stage.tally.stalled_ended);
    report.presence = presence;
    report.judge();
    Ok(report)
}

/// `flood`, `bigroom` and `document`: each sender has a window of messages under way, and sends the
/// next when all readers have heard one.
pub(super) fn flood(stage: &mut Stage<'_>) -> Result<Report, LoadError> {
    let gathering = stage.gather()?;
    let presence = stage.hear_gathering()?;
    let mut template = template(stage);
    let mark = stage.mark()?;
    let until = mark.at + SECOND * stage.options.duration.as_secs();
    for _ in 0..stage.options.window {
        for sender in 0..stage.seating().senders_total() {
            let now = stage.crowd.now();
            send(stage, &mut template, sender, now);
        }
    }
    loop {
        stage.crowd.turn(TURN, &mut stage.tally)?;
        let now = stage.crowd.now();
        if now >= until {
            break;
        }
        for sender in stage.tally.take_permits() {
            send(stage, &mut template, sender, now);
        }
        stage.tick(told);
    }
    stage.drain(|tally| tally.ledger.missing() == 0)?;
    let span = stage.span(&mark)?;
    let mut report = report(stage, &gathering, &span, 0)?;
    report.presence = presence;
    report.judge();
    Ok(report)
}

fn template(stage: &Stage<'_>) -> Template {
    let before = if stage.options.scenario == Scenario::Document {
        r#"{"action":"sync_document","document":""#
    } else {
        r#"{"action":"broadcast","data":""#
    };
    Template::new(before, stage.options.bytes, "\"}")
}

fn send(stage: &mut Stage<'_>, template: &mut Template, sender: u32, now: Micros) {
    let stamp = stage.tally.send(sender, now);
    stage.crowd.send(sender, template.stamped(&stamp));
}

fn report(
    stage: &Stage<'_>,
    gathering: &Span,
    span: &Span,
    late_us_max: Micros,
) -> Result<Report, LoadError> {
    let (ledger, bytes) = (&stage.tally.ledger, stage.options.bytes);
    let (deliveries, lost) = (ledger.deliveries(), ledger.missing());
    let faults = ledger.faults();
    let delivered_bytes = deliveries * bytes as u64;
    let mut report = stage.report(gathering, span)?;
    report.traffic = Some(Traffic {
        bytes,
        sent: ledger.sent(),
        deliveries_expected: ledger.expected(),
        deliveries,
        deliveries_per_second: span.per_second(deliveries),
        megabytes_per_second: span.per_second(delivered_bytes) / 1e6,
        lost,
        reordered: faults.reordered,
        repeated: faults.repeated,
        misrouted: faults.misrouted,
        mutilated: stage.tally.mutilated,
        // Whoever lacks something has heard something else.
        orders_that_differ: if lost == 0 { ledger.orders_that_differ() } else { 0 },
        late_us_max,
        latency: Latency::of(&stage.tally.latencies),
    });
    if let (Some(server), Some(cpu_us)) = (&mut report.server, span.server_cpu_us()) {
        server.cpu_us_per_delivery = Some(ratio(cpu_us, deliveries));
        let is_large = bytes >= LARGE_BYTES;
        server.cpu_us_per_megabyte = is_large.then(|| 1e6 * ratio(cpu_us, delivered_bytes));
    }
    Ok(report)
}
