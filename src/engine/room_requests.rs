//! Rooms over HTTP: made, and looked at.

use std::net::IpAddr;
use std::task::Poll;
use std::time::Duration;

use log::warn;

use super::answer::Answer;
use super::application::Engine;
use super::context::Context;
use super::job::Job;
use super::misses::Missed;
use super::requests::Asker;
use super::turns::Owner;
use super::waiting::{Creation, RoomRequest, Waiting, WithLogin};
use crate::api;
use crate::api::rooms::CreateRequest;
use crate::base::time::Timestamp;
use crate::http::{Request, Response};
use crate::rooms::{CreateDone, Located, RoomError};

/// Drawn codes that may turn out to be in use before the server gives up: with 30 bits each,
/// even a full server never gets there by chance.
const CODE_DRAWS_MAX: u8 = 16;

impl Engine {
    /// `POST /api/rooms`.
    pub(super) fn create_room(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request,
        asker: Asker,
    ) -> Result<Answer, Response> {
        let wish = CreateRequest::parse(request, self.config.host_auth)?;
        if wish.room_code.is_some() {
            check_place(cx, asker.address)?;
        } else {
            let taken = self.limits.take_room(asker.address, cx.now.at);
            taken.map_err(api::rooms::too_many_created)?;
        }
        let creation = Box::new(self.creation(wish, request, asker));
        if !self.config.require_auth {
            return Ok(self.create(cx, creation));
        }
        let token = api::credentials(request, &self.config.allowed_origins);
        let job = Job::Authenticate { token, now: cx.now.unix };
        let waiting = Waiting::Login(cx.conn, WithLogin::Create(creation));
        Ok(Answer::When(Owner::at(asker.address), job, waiting))
    }

    /// Makes a room, perhaps once the store has said whether its code is in use.
    pub(super) fn create(&mut self, cx: &mut Context<'_>, creation: Box<Creation>) -> Answer {
        let code = creation.room_code.clone();
        let bytes = creation.held_bytes();
        let owner = Owner::at(creation.address);
        let mut creation = Some(creation);
        let (rooms, mut effects) = self.split_for(owner, cx.sessions, cx.now);
        let request =
            || RoomRequest::Create(creation.take().expect("it is there, and taken once at most"));
        let located = rooms.locate(&code, cx.conn, request, &mut effects);
        if let (Poll::Ready(located), Some(creation)) = (located, creation) {
            return self.create_located(cx, located, creation);
        }
        cx.sessions.keep(cx.conn, bytes);
        Answer::Waits
    }

    /// The same once it is known where the room of that code is. If a drawn one is in use,
    /// another one is drawn.
    pub(super) fn create_located(
        &mut self,
        cx: &mut Context<'_>,
        located: Located<'_>,
        mut creation: Box<Creation>,
    ) -> Answer {
        if creation.is_desired && located.is_nowhere() {
            if !std::mem::replace(&mut creation.is_counted, true)
                && let Some(until) = self.count_miss_of_maker(creation.address, cx.now.at)
            {
                cx.sessions.keep(cx.conn, creation.held_bytes());
                let address = creation.address;
                self.answer_late(cx, address, until, Missed::Create(creation));
                return Answer::Waits;
            }
            if let Err(wait) = self.limits.take_room(creation.address, cx.now.at) {
                return api::rooms::too_many_created(wait).into();
            }
        }
        let (rooms, mut effects) = self.split(cx.sessions, cx.now);
        let url = &creation.websocket_url;
        let response = match rooms.create(located, &creation.request(), cx.now, &mut effects) {
            Ok(CreateDone::Created(room)) => api::rooms::created(&room, url, &creation.host_token),
            Ok(CreateDone::Restored(room)) => api::rooms::restored(&room, url, &creation.host_id),
            Ok(CreateDone::Taken) => {
                creation.draws += 1;
                if creation.draws < CODE_DRAWS_MAX {
                    creation.room_code = self.draw.room_code(self.config.limits.room_code_length);
                    return self.create(cx, creation);
                }
                warn!("{CODE_DRAWS_MAX} drawn room codes in a row were in use");
                api::rooms::no_free_code()
            }
            Err(RoomError::TooManyRooms) => api::rooms::too_many_rooms(),
            Err(_) => api::store_unavailable(),
        };
        response.into()
    }

    /// `GET /api/rooms/{code}`; `None` is a code that no room can have.
    pub(super) fn view_room(
        &mut self,
        cx: &mut Context<'_>,
        code: Option<&str>,
        address: IpAddr,
    ) -> Result<Answer, Response> {
        check_place(cx, address)?;
        let Some(code) = code else { return Ok(self.miss_view(cx, address)) };
        let (rooms, mut effects) = self.split_for(Owner::at(address), cx.sessions, cx.now);
        match rooms.locate(code, cx.conn, || RoomRequest::View(address), &mut effects) {
            Poll::Ready(located) => Ok(self.view_located(cx, located, address)),
            Poll::Pending => Ok(Answer::Waits),
        }
    }

    /// The same once it is known where the room is.
    pub(super) fn view_located(
        &mut self,
        cx: &mut Context<'_>,
        located: Located<'_>,
        address: IpAddr,
    ) -> Answer {
        match self.rooms.view(located, |room| api::rooms::shown(&room)) {
            Ok(response) => response.into(),
            Err(RoomError::RoomNotFound) => self.miss_view(cx, address),
            Err(_) => api::store_unavailable().into(),
        }
    }

    /// There is no such room, which is said now or later.
    fn miss_view(&mut self, cx: &mut Context<'_>, address: IpAddr) -> Answer {
        let Some(until) = self.count_miss(address, cx.now.at) else {
            return api::rooms::not_found().into();
        };
        self.answer_late(cx, address, until, Missed::View);
        Answer::Waits
    }

    /// Answers `missed`, of the client at `address`, at `until`, which takes a place of its address
    /// as long, whether the client waits for it or not.
    pub(super) fn answer_late(
        &mut self,
        cx: &mut Context<'_>,
        address: IpAddr,
        until: Timestamp,
        missed: Missed,
    ) {
        cx.sessions.owe_place(cx.conn, address, until);
        self.misses.wait(cx.conn, until, missed);
    }

    /// Counts a code that no room has, which the client at `address` has asked for. Until when
    /// its answer is to wait; `None`: not at all.
    pub(super) fn count_miss(&mut self, address: IpAddr, now: Timestamp) -> Option<Timestamp> {
        let delay = self.limits.count_miss(address, now);
        self.end_of_delay(delay, now)
    }

    /// The same for a code under which a room is to be made. Without a limit of rooms that is never
    /// late: then any client may make as many as it likes.
    fn count_miss_of_maker(&mut self, address: IpAddr, now: Timestamp) -> Option<Timestamp> {
        let delay = self.limits.count_miss_of_maker(address, now);
        let is_limited = self.config.limits.room_create_rate_max > 0;
        self.end_of_delay(delay, now).filter(|_| is_limited)
    }

    fn end_of_delay(&self, delay: Duration, now: Timestamp) -> Option<Timestamp> {
        (!delay.is_zero() && self.shutdown.is_none()).then(|| now + delay)
    }

    /// The room that `wish` is for, with what has to be drawn.
    fn creation(&mut self, wish: CreateRequest, request: &Request, asker: Asker) -> Creation {
        let is_desired = wish.room_code.is_some();
        let length = self.config.limits.room_code_length;
        Creation {
            address: asker.address,
            is_desired,
            room_code: wish.room_code.unwrap_or_else(|| self.draw.room_code(length)),
            room_id: self.draw.uuid(),
            host_id: wish.host_id.unwrap_or_else(|| self.draw.uuid()),
            host_auth: wish.host_auth,
            host_token: self.draw.token(),
            websocket_url: self.websocket_url(request, asker),
            draws: 0,
            is_counted: false,
        }
    }
}

/// Whether the client at `address` may ask for a code. One with a connection of its own may. A
/// proxy's, which counts for no client, has to be looked at for each request.
fn check_place(cx: &mut Context<'_>, address: IpAddr) -> Result<(), Response> {
    let has_place = cx.sessions.has_place_at(cx.conn, address, cx.now.at);
    has_place.then_some(()).ok_or_else(api::too_many_connections)
}
