//! Randomness as an argument: where it comes from is the caller's.

use std::fmt;

use super::hex;
use super::secret::Secret;

/// Makes bytes that cannot be guessed, outside of tests.
pub struct Entropy(Box<Fill>);

type Fill = dyn Fn(&mut [u8]) + Send + Sync;

impl Entropy {
    /// Bytes that `fill` makes.
    pub fn new(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Self(Box::new(fill))
    }

    /// `N` bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0)(&mut bytes);
        bytes
    }

    /// 256 bits as 64 hexadecimal digits.
    pub fn token(&self) -> Secret {
        Secret::new(hex::encode(&self.bytes::<32>()))
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy")
    }
}
