//! What every part may use: small modules that depend on nothing but each other, and that know no
//! socket, no clock, no setting and no client.

pub mod authority;
pub mod batch;
pub mod conn_map;
pub mod entropy;
pub mod hex;
pub mod ids;
pub mod login;
pub mod memory;
pub mod metrics;
pub mod room_code;
pub mod secret;
pub mod throttle;
pub mod time;
pub mod timer_set;
