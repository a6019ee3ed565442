//! What an e-mail address and a new password must be like.

use std::ops::RangeInclusive;

/// Longest e-mail address, in bytes (RFC 5321, section 4.5.3.1.3, less the angle brackets).
pub const EMAIL_BYTES_MAX: usize = 254;

/// Bytes of a new password. No more than the most are looked at in a login.
pub const PASSWORD_BYTES: RangeInclusive<usize> = 8..=1024;

/// `text` trimmed and in lower case, if it can be an e-mail address: one `@` with something on both
/// sides, no blanks or control characters, at most [`EMAIL_BYTES_MAX`] bytes.
pub fn email(text: &str) -> Option<String> {
    let email = text.trim().to_lowercase();
    let (local, domain) = email.split_once('@')?;
    let is_address = !local.is_empty() && !domain.is_empty() && !domain.contains('@');
    let is_printable = !email.contains(|c: char| c.is_whitespace() || c.is_control());
    (is_address && is_printable && email.len() <= EMAIL_BYTES_MAX).then_some(email)
}
