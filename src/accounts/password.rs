//! Password hashes: argon2id for every new one, bcrypt only to let old users in.
//!
//! The only user of `argon2` and `bcrypt`. Runs on a worker: one hash takes tens of milliseconds
//! and [`HASH_MEMORY_BYTES`]. Knows no user, no store and no request; the salt comes in.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::base::login::PASSWORD_BYTES;

/// Bytes of a salt (RFC 9106, section 3.1).
pub const SALT_BYTES: usize = 16;

/// Memory of one hash, in bytes: what the memory budget is charged for each that runs. No stored
/// hash is verified that asks for more, so a hostile database cannot break the budget.
pub const HASH_MEMORY_BYTES: usize = MEMORY_KIB as usize * 1024;

/// 19 MiB, two passes, one lane: the second choice that OWASP lists for argon2id, and the one
/// that fits a small container.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Most passes and lanes of a stored argon2id hash that is verified.
const PASSES_MAX: u32 = 8;
const LANES_MAX: u32 = 8;

/// Highest bcrypt cost that is verified: 2¹⁴ rounds take about a second.
const BCRYPT_COST_MAX: u32 = 14;

/// Blocks that are allocated for one hash, of which only those that the parameters ask for are
/// touched. glibc serves a request of up to 32 MiB from an arena once it has seen one freed, and
/// then keeps the memory; above that, every request is a mapping of its own and goes back.
const BLOCKS_ALLOCATED: usize = 33 * 1024;

/// A hash with today's parameters of a password that no user has.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$a2h1bi1waGFlbi1zeW5jIQ$\
                      wV0mHq8bqmYB2uVq0Zk5mCq5n8yqk6hFh0S1cXb2f3o";

/// What comparing a password with a stored hash gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is right, and the hash is one that [`hash`] makes today.
    Match,
    /// The password is right, but the hash is older or weaker: store a new one.
    MatchNeedsRehash,
    /// The password is wrong.
    Mismatch,
    /// The stored text is no hash that this server verifies. It took the time of a mismatch.
    Unusable,
}

/// The system gave no memory for a hash. The fault is the machine's, not the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not enough memory to hash a password")]
pub struct OutOfMemory;

/// The argon2id hash of `password` as a PHC string, with today's parameters.
///
/// # Errors
/// [`OutOfMemory`].
pub fn hash(password: &[u8], salt: [u8; SALT_BYTES]) -> Result<String, OutOfMemory> {
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    fill(Version::V0x13, params(), password, &salt, &mut output)?;
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params()).expect("three numbers fit"),
        salt: Some(Salt::new(&salt).expect("16 bytes are a salt")),
        hash: Some(Output::new(&output).expect("32 bytes are an output")),
    };
    Ok(phc.to_string())
}

/// Compares `password` with `stored`, in a time that does not depend on where they differ.
///
/// Without a `stored` hash the answer is [`Verdict::Mismatch`] after the time of a real one. A
/// bcrypt hash takes the time of bcrypt (some 250 ms at cost 12), so until such a user has logged
/// in once, a stranger can tell that the account is an old one.
///
/// # Errors
/// [`OutOfMemory`].
pub fn verify(password: &[u8], stored: Option<&str>) -> Result<Verdict, OutOfMemory> {
    // No longer one can have been set, so what follows cannot make it right.
    let password = &password[..password.len().min(PASSWORD_BYTES.end() + 1)];
    let Some(stored) = stored else {
        verify_nobody(password)?;
        return Ok(Verdict::Mismatch);
    };
    let verdict = if stored.starts_with("$2") {
        verify_bcrypt(password, stored)
    } else {
        verify_argon2id(password, stored)?
    };
    match verdict {
        Some(verdict) => Ok(verdict),
        None => verify_nobody(password).map(|()| Verdict::Unusable),
    }
}

/// Spends the time of a mismatch.
fn verify_nobody(password: &[u8]) -> Result<(), OutOfMemory> {
    let verdict = verify_argon2id(password, NOBODY)?;
    debug_assert!(verdict.is_some(), "the constant is a hash that can be verified");
    Ok(())
}

/// `None` when `stored` is no argon2id hash within bounds.
fn verify_argon2id(password: &[u8], stored: &str) -> Result<Option<Verdict>, OutOfMemory> {
    let Some((version, params, salt, expected)) = parse_argon2id(stored) else {
        return Ok(None);
    };
    let mut output = [0; Output::MAX_LENGTH];
    let output = &mut output[..expected.len()];
    let current = version == Version::V0x13 && same_cost(&params, &self::params());
    fill(version, params, password, &salt, output)?;
    // `Output` compares in constant time.
    let matches = Output::new(output).is_ok_and(|output| output == expected);
    Ok(Some(match (matches, current) {
        (false, _) => Verdict::Mismatch,
        (true, true) => Verdict::Match,
        (true, false) => Verdict::MatchNeedsRehash,
    }))
}

fn parse_argon2id(stored: &str) -> Option<(Version, Params, Salt, Output)> {
    let phc = PasswordHash::new(stored).ok()?;
    if phc.algorithm != Algorithm::Argon2id.ident() {
        return None;
    }
    let version = match phc.version {
        None => Version::V0x10,
        Some(number) => Version::try_from(number).ok()?,
    };
    let params = Params::try_from(&phc).ok()?;
    let bounded = params.m_cost() <= MEMORY_KIB
        && params.t_cost() <= PASSES_MAX
        && params.p_cost() <= LANES_MAX;
    bounded.then_some((version, params, phc.salt?, phc.hash?))
}

/// `None` when `stored` is no bcrypt hash within bounds. bcrypt looks at the first 72 bytes of a
/// password only; so did the server that stored the hash.
fn verify_bcrypt(password: &[u8], stored: &str) -> Option<Verdict> {
    // `$2x$` marks hashes of an implementation with a bug that is not rebuilt here.
    if !["$2a$", "$2b$", "$2y$"].iter().any(|prefix| stored.starts_with(prefix)) {
        return None;
    }
    let cost = stored.parse::<bcrypt::HashParts>().ok()?.get_cost();
    if cost > BCRYPT_COST_MAX {
        return None;
    }
    let matches = bcrypt::verify(password, stored).ok()?;
    Some(if matches { Verdict::MatchNeedsRehash } else { Verdict::Mismatch })
}

/// Computes argon2id into `output`. `params` are within this file's bounds, and a salt of a parsed
/// hash within those of the algorithm, so memory is all that can be missing.
fn fill(
    version: Version,
    params: Params,
    password: &[u8],
    salt: &[u8],
    output: &mut [u8],
) -> Result<(), OutOfMemory> {
    let block_count = params.block_count();
    debug_assert!(block_count <= MEMORY_KIB as usize, "bounded before");
    let mut blocks = Vec::new();
    blocks.try_reserve_exact(BLOCKS_ALLOCATED).map_err(|_| OutOfMemory)?;
    blocks.resize(block_count, Block::new());
    Argon2::new(Algorithm::Argon2id, version, params)
        .hash_password_into_with_memory(password, salt, output, &mut blocks)
        .map_err(|_| OutOfMemory)
}

fn params() -> Params {
    Params::new(MEMORY_KIB, PASSES, LANES, Some(Params::DEFAULT_OUTPUT_LEN))
        .expect("constants within the bounds of the algorithm")
}

fn same_cost(a: &Params, b: &Params) -> bool {
    (a.m_cost(), a.t_cost(), a.p_cost()) == (b.m_cost(), b.t_cost(), b.p_cost())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: [u8; SALT_BYTES] = *b"0123456789abcdef";

    fn check(password: &str, stored: &str, expected: Verdict) {
        let verdict = verify(password.as_bytes(), Some(stored));
        assert_eq!(verdict, Ok(expected), "{password:?} against {stored}");
    }

    #[test]
    fn a_new_hash_is_a_phc_string_that_verifies() {
        let stored = hash(b"correct horse", SALT).expect("memory");
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$"));
        check("correct horse", &stored, Verdict::Match);
        check("correct horsf", &stored, Verdict::Mismatch);
        check("", &stored, Verdict::Mismatch);
        let other = hash(b"correct horse", [7; SALT_BYTES]).expect("memory");
        assert_ne!(stored, other, "the salt matters");
    }

    #[test]
    fn the_longest_password_counts_to_its_last_byte() {
        let longest = "x".repeat(*PASSWORD_BYTES.end());
        let stored = hash(longest.as_bytes(), SALT).expect("memory");
        check(&longest, &stored, Verdict::Match);
        check(&longest[1..], &stored, Verdict::Mismatch);
        check(&format!("{longest}x"), &stored, Verdict::Mismatch);
        check(&longest.repeat(60), &stored, Verdict::Mismatch);
    }

    #[test]
    fn older_hashes_let_in_and_ask_for_a_new_one() {
        // From the reference implementation's tests (argon2) and from crypt_blowfish's (bcrypt).
        let argon2id =
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let bcrypt = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        for (password, stored) in [
            ("password", argon2id.to_owned()),
            ("U*U", bcrypt.to_owned()),
            ("U*U", bcrypt.replace("$2a$", "$2b$")),
            ("U*U", bcrypt.replace("$2a$", "$2y$")),
        ] {
            check(password, &stored, Verdict::MatchNeedsRehash);
            check("wrong", &stored, Verdict::Mismatch);
        }
    }

    #[test]
    fn bcrypt_looks_at_72_bytes() {
        let stored = bcrypt::hash("a".repeat(80), 4).expect("cost 4");
        check(&"a".repeat(72), &stored, Verdict::MatchNeedsRehash);
        check(&format!("{}b", "a".repeat(72)), &stored, Verdict::MatchNeedsRehash);
        check(&"a".repeat(71), &stored, Verdict::Mismatch);
    }

    #[test]
    fn what_is_out_of_bounds_is_never_computed() {
        let tail = "$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHApl8ArZWb2GRPPc";
        let bcrypt = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        for stored in [
            format!("$argon2id$v=19$m=19457,t=2,p=1{tail}"),
            format!("$argon2id$v=19$m=4294967295,t=2,p=1{tail}"),
            format!("$argon2id$v=19$m=64,t=9,p=1{tail}"),
            format!("$argon2id$v=19$m=64,t=4294967295,p=1{tail}"),
            format!("$argon2id$v=19$m=128,t=1,p=9{tail}"),
            format!("$argon2id$v=19$m=0,t=0,p=0{tail}"),
            format!("$argon2id$v=17$m=64,t=1,p=1{tail}"),
            format!("$argon2i$v=19$m=64,t=1,p=1{tail}"),
            "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ".to_owned(),
            "$argon2id$v=19$m=64,t=1,p=1".to_owned(),
            format!("$2b$15${bcrypt}"),
            format!("$2b$31${bcrypt}"),
            format!("$2b$99${bcrypt}"),
            format!("$2x$05${bcrypt}"),
            "$2b$05$".to_owned(),
            "$2".to_owned(),
            "plain text".to_owned(),
            String::new(),
            "\u{e4}".repeat(30),
        ] {
            check("password", &stored, Verdict::Unusable);
        }
    }

    #[test]
    fn nobody_is_hashed_like_everybody() {
        let (version, params, salt, output) = parse_argon2id(NOBODY).expect("a hash");
        assert_eq!(version, Version::V0x13);
        assert!(same_cost(&params, &super::params()));
        assert_eq!((salt.len(), output.len()), (SALT_BYTES, Params::DEFAULT_OUTPUT_LEN));
        assert_eq!(verify(b"password", None), Ok(Verdict::Mismatch));
    }

    #[test]
    fn the_budget_covers_one_hash() {
        assert_eq!(HASH_MEMORY_BYTES, 19 << 20);
        assert!(params().block_count() * Block::SIZE <= HASH_MEMORY_BYTES);
    }
}
