//! Scenarios without messages: clients that are there, that come, that come and go.

use super::LoadError;
use super::clock::SECOND;
use super::report::{Presence, Report, ratio};
use super::stage::{Span, Stage, TURN};

/// `idle`: all join, and then nothing.
pub(super) fn idle(stage: &mut Stage<'_>) -> Result<Report, LoadError> {
    let gathering = stage.gather()?;
    let presence = stage.hear_gathering()?;
    let mark = stage.mark()?;
    let until = mark.at + SECOND * stage.options.duration.as_secs();
    while stage.crowd.now() < until {
        stage.crowd.turn(TURN, &mut stage.tally)?;
        stage.tick(|tally| {
            let lost: u64 = tally.ended.values().sum();
            format!("idle, {lost} connections lost")
        });
    }
    let span = stage.span(&mark)?;
    let mut report = stage.report(&gathering, &span)?;
    report.presence = presence;
    per_client(&mut report);
    report.judge();
    Ok(report)
}

/// `join`: all join, as fast as they can.
pub(super) fn join(stage: &mut Stage<'_>) -> Result<Report, LoadError> {
    let mark = stage.mark()?;
    let gathering = stage.gather()?;
    let presence = stage.hear_gathering()?;
    // That everybody hears of everybody is a part of the work.
    let span = stage.span(&mark)?;
    let mut report = stage.report(&gathering, &span)?;
    report.presence = presence;
    per_client(&mut report);
    per_join(&mut report, &span);
    report.judge();
    Ok(report)
}

/// `churn`: all join, and then others come and vanish without a word.
pub(super) fn churn(stage: &mut Stage<'_>) -> Result<Report, LoadError> {
    stage.gather()?;
    let before = stage.hear_gathering()?;
    let seating = stage.seating();
    let residents = seating.clients;
    let slots = residents..residents + stage.options.concurrency;
    stage.tally.join_latencies.reset();
    let mark = stage.mark()?;
    let until = mark.at + SECOND * stage.options.duration.as_secs();
    let mut expected = before.as_ref().map_or(0, |presence| presence.expected);
    let (mut begun, mut done) = (0_u64, 0_u64);
    for slot in slots.clone() {
        come(stage, slot, &mut begun)?;
    }
    while done < begun {
        stage.crowd.turn(TURN, &mut stage.tally)?;
        let is_over = stage.crowd.now() >= until;
        let joined = stage.tally.take_joined();
        let (ended, _) = stage.tally.take_ended();
        let ended: Vec<u32> = ended.into_iter().filter(|slot| slots.contains(slot)).collect();
        for slot in &joined {
            // Each of the residents of that room hears it twice.
            expected += 2 * u64::from(seating.members(seating.room(*slot)));
            stage.crowd.cut(*slot);
        }
        done += (joined.len() + ended.len()) as u64;
        for slot in joined.into_iter().chain(ended) {
            if !is_over {
                come(stage, slot, &mut begun)?;
            }
        }
        if stage.crowd.now() > until + 30 * SECOND {
            break;
        }
        stage.tick(|tally| format!("{done} came and went, {} heard", tally.presence()));
    }
    stage.drain(|tally| tally.presence() >= expected)?;
    let span = stage.span(&mark)?;
    let mut report = stage.report(&span, &span)?;
    report.presence = before.map(|_| Presence { expected, heard: stage.tally.presence() });
    per_join(&mut report, &span);
    report.judge();
    Ok(report)
}

/// Somebody new begins to connect. Rooms are those of the residents, in turn.
fn come(stage: &mut Stage<'_>, slot: u32, begun: &mut u64) -> Result<(), LoadError> {
    let name = stage.name(format_args!("visit-{begun}"));
    let message = stage.join_message(slot, &name);
    stage.crowd.connect(slot, message)?;
    *begun += 1;
    Ok(())
}

fn per_client(report: &mut Report) {
    let clients = u64::from(report.clients);
    if let Some(server) = &mut report.server {
        let grown = server.resident_bytes.saturating_sub(server.resident_bytes_before);
        server.resident_bytes_per_client = Some(ratio(grown, clients));
    }
}

fn per_join(report: &mut Report, span: &Span) {
    if let (Some(server), Some(cpu_us)) = (&mut report.server, span.server_cpu_us()) {
        server.cpu_us_per_join = Some(ratio(cpu_us, report.joins.count));
    }
}
