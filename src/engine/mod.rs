//! The whole server but its input and output: rooms, accounts, routes and jobs behind one
//! [`Dispatch`](crate::session::Dispatch).
//!
//! The [`Engine`] is driven by `net` (or by a simulation): every method takes the time as an
//! argument, randomness comes from a function it is given, and what may block leaves as a
//! [`Job`] and comes back as an [`Outcome`]. It touches no socket, no thread and no clock.
//!
//! `application` has the engine's parts and splits them, so that [`Rooms`](crate::rooms::Rooms) can
//! decide while all else, the `effects`, carries out what they decided. `dispatch` is what the
//! sessions call. From there a message goes to `messages`, a request to `requests` and on to
//! `room_requests`, `account_requests`, `admin_requests` and `metrics_requests`, which
//! return an `Answer` (`answer`). A request that has to wait is a value of `waiting`, owned by the
//! job (`jobs`), or by the lookup or the read of a document (in the rooms) that it waits for. The
//! answer to a room code that is nowhere may have to wait as well (`misses`).
//! `documents` says when there is memory for such a read (`reads`), and for a new document.

mod account_requests;
mod acks;
mod admin_requests;
mod answer;
mod application;
mod clients;
mod closings;
mod context;
mod dispatch;
mod documents;
mod draw;
mod effects;
mod job;
mod jobs;
mod limits;
mod messages;
mod metrics_requests;
mod misses;
mod reads;
mod replies;
mod requests;
mod revocations;
mod room_requests;
mod saves;
mod shutdown;
mod store_health;
mod turns;
mod waiting;

pub use application::Engine;
pub use dispatch::RemoteEvent;
pub use job::{Job, Outcome};
