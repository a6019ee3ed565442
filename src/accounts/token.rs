//! Login tokens: JSON Web Tokens (RFC 7519) signed with HMAC-SHA-256 (`HS256`, RFC 7518).
//!
//! The only user of `jsonwebtoken`. Knows no user, no store and no clock: what a token says is
//! only true as long as the user it names agrees, which [`super::Service`] asks the store.

use std::fmt;
use std::sync::Once;

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, new_error};
use jsonwebtoken::signature;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::base::secret::Secret;
use crate::base::time::UnixMillis;

/// Longest token that is looked at, in bytes. Ours have about 300.
pub const TOKEN_BYTES_MAX: usize = 2048;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The `user_id` of the user that logged in.
    pub sub: String,
    /// The role at the login. Shown to clients; never trusted, the store is asked instead.
    #[serde(default)]
    pub role: String,
    /// When it was issued, in seconds since the epoch.
    #[serde(default)]
    pub iat: i64,
    /// When it stops to count, in seconds since the epoch.
    pub exp: i64,
    /// The user's token version at the login. A token with a lower one than the user's is revoked.
    /// Tokens of older servers have none, which counts as 0.
    #[serde(default)]
    pub ver: u64,
}

/// The token is not one of ours, or expired. Why is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid token")]
pub struct InvalidToken;

/// Issues and checks tokens with one key.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    ttl_seconds: i64,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("ttl_seconds", &self.ttl_seconds).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Tokens signed with the bytes of `secret` that count for `ttl_seconds`.
    pub fn new(secret: &Secret, ttl_seconds: u64) -> Self {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(|| {
            // Fails only if there is one already, and nothing else in the process sets one.
            let _other_caller_was_first = HMAC_SHA_256_ONLY.install_default();
        });
        let mut validation = Validation::new(Algorithm::HS256);
        // The crate would read the OS clock; `check` compares with the time it is given.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        Self {
            encoding: EncodingKey::from_secret(secret.expose().as_bytes()),
            decoding: DecodingKey::from_secret(secret.expose().as_bytes()),
            validation,
            ttl_seconds: i64::try_from(ttl_seconds).unwrap_or(i64::MAX),
        }
    }

    /// A token for the user `user_id` with `role`, whose token version is `version`.
    pub fn issue(&self, user_id: &str, role: &str, version: u64, now: UnixMillis) -> Secret {
        let claims = Claims {
            sub: user_id.to_owned(),
            role: role.to_owned(),
            iat: now.seconds(),
            exp: now.seconds().saturating_add(self.ttl_seconds),
            ver: version,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .expect("numbers and strings are JSON, and HMAC takes a key of any length");
        Secret::new(token)
    }

    /// What `token` says, if it was signed with this key and has not expired at `now`.
    ///
    /// # Errors
    /// [`InvalidToken`] for anything else: another algorithm, another key, a changed byte.
    pub fn check(&self, token: &str, now: UnixMillis) -> Result<Claims, InvalidToken> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(InvalidToken);
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|_| InvalidToken)?
            .claims;
        // RFC 7519, section 4.1.4: the current time must be before it. No leeway: the clock that
        // set it is this one, or that of a neighbour on the same database.
        if now.seconds() >= claims.exp { Err(InvalidToken) } else { Ok(claims) }
    }
}

/// The cryptography that `jsonwebtoken` calls: the one algorithm we use. Its own providers bring
/// RSA and elliptic curves along.
static HMAC_SHA_256_ONLY: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        require_hs256(*algorithm)?;
        Ok(Box::new(HmacSha256::new(key.as_bytes())))
    },
    verifier_factory: |algorithm, key| {
        require_hs256(*algorithm)?;
        Ok(Box::new(HmacSha256::new(key.try_get_as_bytes()?)))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct HmacSha256(Hmac<Sha256>);

impl HmacSha256 {
    fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104)"))
    }
}

impl signature::Signer<Vec<u8>> for HmacSha256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl signature::Verifier<Vec<u8>> for HmacSha256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        // Compares in constant time, and the whole tag only.
        self.0
            .clone()
            .chain_update(message)
            .verify_slice(signature)
            .map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for HmacSha256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for HmacSha256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

fn require_hs256(algorithm: Algorithm) -> jsonwebtoken::errors::Result<()> {
    if algorithm == Algorithm::HS256 { Ok(()) } else { Err(new_error(ErrorKind::InvalidAlgorithm)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_300_819_000_000);

    fn tokens(secret: &str) -> Tokens {
        Tokens::new(&Secret::new(secret), 3_600)
    }

    /// A token of `header` and `claims`, rightly signed with HMAC-SHA-256 and `secret`.
    fn forged(header: &str, claims: &str, secret: &str) -> String {
        let message = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
        let tag = HmacSha256::new(secret.as_bytes()).0.chain_update(&message).finalize();
        format!("{message}.{}", base64url(&tag.into_bytes()))
    }

    /// RFC 4648, section 5, without padding; by hand, for a second opinion on the crate's.
    fn base64url(bytes: &[u8]) -> String {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let bits = chunk.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte));
            let bits = bits << (8 * (3 - chunk.len()));
            for index in 0..=chunk.len() {
                text.push(char::from(ALPHABET[(bits >> (18 - 6 * index)) as usize & 63]));
            }
        }
        text
    }

    #[test]
    fn a_token_says_who_and_until_when() {
        let token = tokens("k").issue("u-1", "admin", 7, NOW);
        let claims = tokens("k").check(token.expose(), NOW).expect("our own token");
        let expected = Claims {
            sub: "u-1".into(),
            role: "admin".into(),
            iat: 1_300_819_000,
            exp: 1_300_822_600,
            ver: 7,
        };
        assert_eq!(claims, expected);
    }

    #[test]
    fn the_signature_is_the_standards() {
        // RFC 7515, appendix A.1: header, claims and key of the standard's own example.
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                     eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9p\
                     c19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75\
                   aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let key =
            DecodingKey::from_base64_secret(&(key.replace('-', "+").replace('_', "/") + "=="))
                .expect("base64");
        let tokens = Tokens { decoding: key, ..tokens("unused") };
        let verified =
            jsonwebtoken::decode::<serde_json::Value>(token, &tokens.decoding, &tokens.validation);
        assert_eq!(verified.expect("the example verifies").claims["iss"], "joe");
    }

    #[test]
    fn a_token_counts_until_the_second_it_expires() {
        let token = tokens("k").issue("u-1", "user", 0, NOW);
        let at = |seconds: i64| UnixMillis(NOW.0 + seconds * 1_000);
        for (seconds, valid) in [(0, true), (3_599, true), (3_600, false), (1 << 40, false)] {
            assert_eq!(tokens("k").check(token.expose(), at(seconds)).is_ok(), valid, "{seconds}");
        }
        let for_ever = Tokens::new(&Secret::new("k"), u64::MAX).issue("u-1", "user", 0, NOW);
        assert!(tokens("k").check(for_ever.expose(), at(1 << 40)).is_ok());
    }

    #[test]
    fn a_token_of_an_older_server_has_version_0() {
        let token =
            forged(r#"{"alg":"HS256"}"#, r#"{"sub":"u-1","role":"user","exp":1300819001}"#, "k");
        let claims = tokens("k").check(&token, NOW).expect("rightly signed");
        assert_eq!((claims.ver, claims.iat), (0, 0));
    }

    #[test]
    fn forgeries_are_refused_alike() {
        let claims = r#"{"sub":"u-1","role":"admin","iat":1,"exp":1300822600,"ver":0}"#;
        let good = forged(r#"{"typ":"JWT","alg":"HS256"}"#, claims, "k");
        assert!(tokens("k").check(&good, NOW).is_ok(), "the table below starts from a good one");
        let (message, tag) = good.rsplit_once('.').expect("three parts");
        let (header, _) = message.split_once('.').expect("three parts");
        let other_version = base64url(claims.replace("\"ver\":0", "\"ver\":9").as_bytes());
        let none = base64url(br#"{"alg":"none"}"#);
        let body = base64url(claims.as_bytes());
        for (what, token) in [
            ("another key", forged(r#"{"alg":"HS256"}"#, claims, "K")),
            ("empty key", forged(r#"{"alg":"HS256"}"#, claims, "")),
            ("no algorithm, no tag", format!("{none}.{body}.")),
            ("no algorithm, a tag", format!("{none}.{body}.{tag}")),
            ("alg None", forged(r#"{"alg":"None"}"#, claims, "k")),
            ("RS256 with our key as HMAC key", forged(r#"{"alg":"RS256"}"#, claims, "k")),
            ("ES256", forged(r#"{"alg":"ES256"}"#, claims, "k")),
            ("HS512 named", forged(r#"{"alg":"HS512"}"#, claims, "k")),
            ("no alg", forged(r#"{"typ":"JWT"}"#, claims, "k")),
            ("a changed ver", format!("{header}.{other_version}.{tag}")),
            ("a changed tag", format!("{message}.A{}", &tag[1..])),
            ("half a tag", format!("{message}.{}", &tag[..20])),
            ("no tag", format!("{message}.")),
            ("two parts", message.to_owned()),
            ("four parts", format!("{good}.{tag}")),
            ("padding", format!("{good}=")),
            ("no sub", forged(r#"{"alg":"HS256"}"#, r#"{"exp":1300822600}"#, "k")),
            ("no exp", forged(r#"{"alg":"HS256"}"#, r#"{"sub":"u-1"}"#, "k")),
            ("exp as text", forged(r#"{"alg":"HS256"}"#, r#"{"sub":"u","exp":"9e9"}"#, "k")),
            ("negative ver", forged(r#"{"alg":"HS256"}"#, &claims.replace("0}", "-1}"), "k")),
            ("claims no JSON", forged(r#"{"alg":"HS256"}"#, "u-1", "k")),
            ("header no JSON", forged("HS256", claims, "k")),
            ("expired", forged(r#"{"alg":"HS256"}"#, r#"{"sub":"u","exp":1300819000}"#, "k")),
            ("too long", tokens("k").issue(&"u".repeat(2_000), "user", 0, NOW).expose().to_owned()),
            ("empty", String::new()),
            ("dots", "..".to_owned()),
            ("no ASCII", "ä.ö.ü".to_owned()),
        ] {
            assert_eq!(tokens("k").check(&token, NOW), Err(InvalidToken), "{what}");
        }
    }
}
