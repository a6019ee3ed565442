//! Rooms: their members, their hosts, what they share.
//!
//! A pure state machine: an action and the time go in, effects are pushed, borrowed, into an
//! [`Output`]. It touches no socket, clock, thread, randomness, JSON or store.
//!
//! # The contract of [`Rooms`]
//!
//! - *Requests* for a room by its code are [`Rooms::join`], [`Rooms::create`], [`Rooms::view`] and
//!   [`Rooms::close`]. First comes [`Rooms::locate`]. If that is pending, the store is being asked,
//!   and [`Rooms::lookup_done`] gives the request back, unless its connection is disconnected
//!   before. Until then the caller sends no other request of that connection.
//! - *Actions* of a member are [`Rooms::handle`]; they never wait.
//! - *Answers of the store* are [`Rooms::lookup_done`], [`Rooms::saved`] and [`Rooms::deleted`],
//!   one for each [`Output::lookup`], [`Output::persist`] and [`Output::delete`], also if the
//!   store does not answer. One that nothing waits for is ignored.
//! - *Time* passes only in arguments, and never backwards. [`Rooms::poll_timeout`] tells when
//!   [`Rooms::handle_timeout`] has something to do; calling that at any other time is harmless.
//! - A connection id names one connection for ever; [`Rooms::disconnect`] comes before its slot
//!   is used again.
//! - Effects of one call are pushed in the order in which they have to take place. The rooms are
//!   borrowed meanwhile, so no member joins or leaves under a fan-out.
//!
//! # Where things are
//!
//! [`action`] and [`event`] are the vocabulary, `room_event` is what happens to a room, `answer`
//! has the results. `room` is one room; `accept` checks what may happen to it, `deliver` tells its
//! members. `members` knows the presence of members on whichever server, and the audience connected
//! to this one; `persistence` when a room is written, `data` what of it. `registry` has all rooms
//! and `table` finds them, `lookups` has the requests that wait for the store. `locate` finds the
//! room of a request, `flow` leads the request through it, `closing` the room out; `upkeep` does
//! what is due.

pub mod action;
pub mod event;

mod accept;
mod answer;
mod closing;
mod config;
mod data;
mod deliver;
mod document;
mod flow;
mod locate;
mod lookups;
mod members;
mod memory;
mod persistence;
mod registry;
mod room;
mod room_event;
mod table;
mod upkeep;
mod waiting;

#[cfg(test)]
mod tests;

pub use action::{Action, Create, Document, Join, RawJson, TokenHash};
pub use answer::{CloseDone, Done, RoomError, SaveError, StoreUnavailable};
pub use config::RoomsConfig;
pub use data::{Metadata, Peer, StoredDocument, StoredRoom};
pub use event::{Event, Output, RoomChange};
pub use flow::CreateDone;
pub use locate::Located;
pub use memory::DocumentCensus;
pub use registry::Rooms;
pub use room::RoomView;
pub use room_event::{Joiner, Member, NodeId, RoomEvent, RoomEventKind};
