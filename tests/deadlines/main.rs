//! Every deadline of the server, to the microsecond: sessions and engine without a socket, in
//! virtual time.

mod connections;
mod guesses;
mod jobs;
mod reload;
mod shutdown;
mod world;
