//! What an operator has set about accounts.

use super::Entropy;
use super::secret_file::{SecretFileError, load_or_create_secret};
use crate::base::secret::Secret;
use crate::config::{Config, InitialAdmin};

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Settings {
    /// The key of the tokens.
    pub jwt_secret: Secret,
    /// How long a login lasts.
    pub jwt_ttl_seconds: u64,
    /// `INITIAL_SETUP_TOKEN`
    pub setup_token: Option<Secret>,
    /// `INITIAL_ADMIN_*`
    pub initial_admin: Option<InitialAdmin>,
}

impl Settings {
    /// Those of `config`. Unless it sets a key for the tokens, that is in the data directory; the
    /// first time a new one from `entropy`.
    ///
    /// # Errors
    /// [`SecretFileError`]
    pub fn from_config(config: &Config, entropy: Entropy) -> Result<Self, SecretFileError> {
        let jwt_secret = match &config.jwt_secret {
            Some(secret) => secret.clone(),
            None => load_or_create_secret(&config.data_dir, entropy)?,
        };
        Ok(Self {
            jwt_secret,
            jwt_ttl_seconds: config.jwt_ttl_seconds,
            setup_token: config.initial_setup_token.clone(),
            initial_admin: config.initial_admin.clone(),
        })
    }
}
