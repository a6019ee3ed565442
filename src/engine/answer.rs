//! How a request is answered: the one place that responds.

use std::net::IpAddr;

use super::application::Engine;
use super::context::Context;
use super::job::Job;
use super::turns::Owner;
use super::waiting::Waiting;
use crate::accounts::Identity;
use crate::api;
use crate::http::{Response, Upgrade};

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is answered.
    Now(Response),
    /// It is answered when this job, for the clients at its address, has ended.
    When(Owner, Job, Waiting),
    /// It waits for a lookup, or for the deletion of a room, that has it by now.
    Waits,
    /// It becomes a WebSocket of the client at this address, with its identity if it has one.
    Upgrade(Box<Upgrade>, IpAddr, Option<Box<Identity>>),
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Now(response)
    }
}

/// What a handler returns if it answers early.
impl From<Result<Self, Response>> for Answer {
    fn from(result: Result<Self, Response>) -> Self {
        result.unwrap_or_else(Self::Now)
    }
}

impl Engine {
    /// Carries out `answer` for the connection of `cx`.
    pub(super) fn respond(&mut self, cx: &mut Context<'_>, answer: impl Into<Answer>) {
        match answer.into() {
            Answer::Now(response) => cx.sessions.respond(cx.conn, &response, cx.now),
            Answer::When(owner, job, waiting) => {
                if self.jobs.start(owner, job, waiting, cx.now.at).is_err() {
                    self.respond(cx, api::store_unavailable());
                }
            }
            Answer::Waits => {}
            Answer::Upgrade(upgrade, address, identity) => {
                // Only now: a proxy goes on with the connection of an upgrade that failed, for
                // other clients.
                if cx.sessions.set_address(cx.conn, address, cx.now.at) {
                    self.clients.insert(cx.conn, identity);
                    cx.sessions.upgrade(cx.conn, &upgrade, cx.now);
                } else {
                    self.respond(cx, api::too_many_connections());
                }
            }
        }
    }
}
