//! Accounts: who may do what, and how they prove it.
//!
//! [`Service`] answers every account route. It runs on workers, for hashing and the store block;
//! it knows no socket, no request head, no clock and no room. [`password`] is the only user of
//! `argon2` and `bcrypt`, [`token`] the only one of `jsonwebtoken`.

mod api;
mod console;
pub mod input;
pub mod password;
mod secret_file;
mod service;
mod settings;
pub mod token;
mod views;

pub use api::{
    AccountError, AccountReply, AccountRequest, AuthError, Effect, Identity, SECURE_COOKIE,
    TOKEN_COOKIE,
};
pub use input::{LoginKey, login_email};
pub use secret_file::SecretFileError;
pub use service::{LINK_TTL_MS, Service};
pub use settings::Settings;

/// Fills its argument with bytes that nobody can guess. Comes from the system's generator.
pub type Entropy = fn(&mut [u8]);

#[cfg(test)]
mod tests;
