//! A WebSocket echo server on the project's own `net`, `session` and `ws` layers, with another
//! application behind them: what a conformance suite talks to.
//!
//! `cargo run --release --example echo -- 9001`

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use sync_server::base::ids::{ConnId, JobId};
use sync_server::base::memory::MemoryBudget;
use sync_server::base::time::{Now, Timestamp};
use sync_server::config::{BindAddress, Config};
use sync_server::http::{Request, Upgrade};
use sync_server::net::{EventLoop, Listener};
use sync_server::session::{Dispatch, Sessions};
use sync_server::workers::Workers;
use sync_server::ws::{self, Frame};

/// Sends every message back.
#[derive(Debug)]
struct Echo {
    bytes_max: usize,
}

impl Dispatch for Echo {
    type Job = ();
    type Outcome = ();
    type Event = Infallible;

    fn request(&mut self, sessions: &mut Sessions, conn: ConnId, request: Request, now: Now) {
        match Upgrade::of(&request) {
            Ok(upgrade) => sessions.upgrade(conn, &upgrade, now),
            Err(response) => sessions.respond(conn, &response, now),
        }
        sessions.set_message_bytes_max(conn, self.bytes_max);
        sessions.expect_message_by(conn, None);
    }

    fn message(&mut self, sessions: &mut Sessions, conn: ConnId, text: &str, now: Now) {
        let (mut scratch, budget) = (Vec::new(), sessions.budget());
        let write = |out: &mut Vec<u8>| out.extend_from_slice(text.as_bytes());
        sessions.send(conn, &Frame::text(&mut scratch, budget, write), now);
    }

    fn binary(&mut self, sessions: &mut Sessions, conn: ConnId, bytes: &[u8], now: Now) {
        let (mut scratch, budget) = (Vec::new(), sessions.budget());
        let write = |out: &mut Vec<u8>| out.extend_from_slice(bytes);
        sessions.send(conn, &Frame::binary(&mut scratch, budget, write), now);
    }

    fn overdue(&mut self, _: &mut Sessions, _: ConnId, _: Now) {}
    fn closed(&mut self, _: &mut Sessions, _: ConnId, _: Now) {}
    fn event(&mut self, _: &mut Sessions, event: Infallible, _: Now) {
        match event {}
    }
    fn job_done(&mut self, _: &mut Sessions, _: JobId, (): (), _: Now) {}
    fn next_job(&mut self, _: Now) -> Option<(JobId, ())> {
        None
    }
    fn job_refused(&mut self, _: JobId, (): ()) {}
    fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }
    fn handle_timeout(&mut self, _: &mut Sessions, _: Now) {}
    fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(2)
    }
    fn shut_down(&mut self, sessions: &mut Sessions, now: Now) {
        sessions.stop_keeping_alive();
        for conn in sessions.ids() {
            sessions.close(conn, ws::CloseReason::GoingAway, now);
            sessions.end_if_idle(conn);
        }
    }
    fn is_finished(&self) -> bool {
        true
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(9001), |port| port.parse())?;
    let mut config = Config::default();
    config.limits.message_bytes_max = 64 << 20;
    config.limits.send_queue_bytes_max = 128 << 20;
    config.limits.memory_budget_bytes = 512 << 20;
    let listener = Listener::bind(&BindAddress::Ip(Ipv4Addr::LOCALHOST.into()), port)?;
    println!("echoing on {listener}");
    let sessions = Sessions::new(&config, MemoryBudget::new(config.limits.memory_budget_bytes));
    let echo = Echo { bytes_max: config.limits.message_bytes_max };
    let pool = |wake: Box<dyn Fn() + Send + Sync>| Workers::start(1, 1, Arc::new(|()| ()), wake);
    EventLoop::new(listener, sessions, echo, pool)?.run()?;
    Ok(())
}
