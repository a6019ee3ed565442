//! The store has said whether a room exists: the requests that waited for it go on.

use super::application::Engine;
use super::context::Context;
use super::waiting::RoomRequest;
use crate::base::time::Now;
use crate::rooms::{Located, StoreUnavailable, StoredRoom};
use crate::session::Sessions;

impl Engine {
    /// The lookup of `code` has ended, in whichever way; each request that waited for it goes on.
    pub(super) fn looked_up(
        &mut self,
        sessions: &mut Sessions,
        code: &str,
        found: Result<Option<&StoredRoom>, StoreUnavailable>,
        now: Now,
    ) {
        let (rooms, mut effects) = self.split(sessions, now);
        for (conn, request) in rooms.lookup_done(code, &mut effects) {
            // Each anew: an earlier request may have brought the room to memory.
            let located = self.rooms.located(code, found);
            self.go_on(&mut Context { sessions, conn, now }, located, request);
        }
    }

    fn go_on(&mut self, cx: &mut Context<'_>, located: Located<'_>, request: RoomRequest) {
        let answer = match request {
            RoomRequest::Join { join, id } => {
                self.enter(cx, located, &join, id.as_ref());
                cx.sessions.resume(cx.conn);
                return;
            }
            RoomRequest::Create(creation) => self.create_located(cx, located, creation),
            RoomRequest::View(address) => self.view_located(cx, located, address).into(),
            RoomRequest::Close => self.close_located(cx, located),
        };
        self.respond(cx, answer);
    }
}
