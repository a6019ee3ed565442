//! What the program does besides serving: small clients of a running server, and the doctor. None
//! of it is part of the server, which knows nothing of it.

pub mod client;
pub mod console;
pub mod doctor;
pub mod first_admin;
pub mod healthcheck;
pub mod watch;
