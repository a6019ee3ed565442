//! Every bound of time and of memory, to the microsecond and to the byte: sessions and engine
//! without a socket, in virtual time.

mod closing;
mod connections;
mod documents;
mod events;
mod guesses;
mod jobs;
mod memory;
mod network;
mod places;
mod pressure;
mod reload;
mod shutdown;
mod turns;
mod world;
