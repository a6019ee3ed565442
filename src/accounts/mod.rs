//! Accounts: what users may do, and how they prove to be them.
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
pub mod token;
mod views;

pub use api::{
    AccountError, AccountReply, AccountRequest, AccountRoute, AuthError, CookieChange, Effect,
    Identity,
};
pub use input::LoginKey;
pub use secret_file::SecretFileError;
pub use service::Service;

#[cfg(test)]
mod tests;
