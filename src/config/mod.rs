//! Settings: what the operator chose, parsed and checked once at the start.
//!
//! Pure: reads no environment, no file and no clock itself (the caller hands the variables in).

mod address;
mod server;
mod settings;
mod values;

pub use address::{AddressKey, AllowedOrigins, RemoteEnd, TrustedProxies, client_address};
pub use server::{BindAddress, Config, HostAuth, InitialAdmin, Limits, LogFormat, SyncWriters};
pub use settings::{SETTINGS, STATE_DIRECTORY, Setting, SettingError, variable_names};
pub use values::{UrlParts, public_url, url_parts};
