//! What runs beside the event loop: the worker threads, the jobs that they carry out, and what the
//! process tells of itself. Everything here may block; nothing here knows a client's socket.

pub mod backend;
pub mod ending;
pub mod logging;
pub mod pool;
pub mod process;

pub use backend::Backend;
pub use pool::Workers;
