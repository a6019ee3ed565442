//! Requests that may have to wait for the store, led through the rooms as the engine does.

use std::task::Poll;

use super::*;

/// What asks for a room by its code.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Join(Join<'static>),
    Create(Desire),
    View,
    Close,
    /// For the document.
    Sync,
}

/// A room to be made, without its code.
#[derive(Clone, Debug)]
pub(super) struct Desire {
    pub(super) desired: bool,
    pub(super) host_id: String,
    pub(super) host_auth: HostAuth,
    pub(super) host_token: TokenHash,
}

/// An answer, as it is written in a trace.
pub(super) type Answer = Result<String, RoomError>;

/// Asks for the room of `code`; pending if the request waits.
pub(super) fn ask<O: Output>(
    rooms: &mut Rooms<Request>,
    (conn, code): (ConnId, &str),
    request: &Request,
    now: Now,
    out: &mut O,
) -> Poll<Answer> {
    rooms
        .locate(code, conn, || request.clone(), out)
        .map(|located| request.go_on(rooms, (located, conn, code), now, out))
}

impl Request {
    /// Does what was asked for, now that it is known where the room is.
    pub(super) fn go_on<O: Output>(
        &self,
        rooms: &mut Rooms<Self>,
        (located, conn, code): (Located<'_>, ConnId, &str),
        now: Now,
        out: &mut O,
    ) -> Answer {
        match self {
            Self::Join(join) => {
                let done = rooms.join(located, conn, join, now, out)?;
                if let Done::WhenRead(room) = done {
                    rooms.wait_for_document(room, conn, self.clone(), out);
                    return Ok("waits for the document".to_owned());
                }
                assert_eq!(done, Done::Now, "a join has nothing to be stored");
                Ok("now".to_owned())
            }
            Self::Create(Desire { desired, host_id, host_auth, host_token }) => {
                let create = Create {
                    room_code: code,
                    desired: *desired,
                    room_id: "id-1",
                    host_id,
                    host_auth: *host_auth,
                    host_token: *host_token,
                };
                rooms.create(located, &create, now, out).map(|done| done.to_string())
            }
            Self::View => rooms.view(located, |room| room.describe()),
            Self::Sync => panic!("a member knows its room"),
            Self::Close => rooms.close(located, now, out).map(|done| match done {
                CloseDone::Closed => "closed".to_owned(),
                CloseDone::WhenDeleted(_) => "when deleted".to_owned(),
            }),
        }
    }
}
