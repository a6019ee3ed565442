//! What is drawn at random: codes, ids and tokens. Where the randomness comes from is the
//! caller's.

use crate::base::entropy::Entropy;
use crate::base::hex;
use crate::base::secret::Secret;

/// Characters of a generated room code: none that look alike (protocol, section 2). There are 32,
/// so five bits of a random byte choose one without bias.
const CODE_ALPHABET: &[u8; 32] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789_";

/// Draws names.
#[derive(Debug)]
pub(super) struct Draw {
    entropy: Entropy,
}

impl Draw {
    /// Draws from `entropy`.
    pub(super) fn new(entropy: Entropy) -> Self {
        Self { entropy }
    }

    /// A room code of `length` characters.
    pub(super) fn room_code(&self, length: usize) -> String {
        let mut code = String::with_capacity(length);
        while code.len() < length {
            let [byte] = self.entropy.bytes::<1>();
            let letter = CODE_ALPHABET[usize::from(byte & 31)];
            // 31 letters are in use: the 32nd place means "draw again", so that none is likelier.
            if letter != b'_' {
                code.push(char::from(letter));
            }
        }
        code
    }

    /// A permanent id.
    pub(super) fn uuid(&self) -> String {
        uuid::Builder::from_random_bytes(self.entropy.bytes()).into_uuid().to_string()
    }

    /// The id of a peer that brings none.
    pub(super) fn peer_id(&self) -> String {
        format!("peer_{}", hex::encode(&self.entropy.bytes::<4>()))
    }

    /// 256 bits as 64 hexadecimal digits.
    pub(super) fn token(&self) -> Secret {
        self.entropy.token()
    }
}
