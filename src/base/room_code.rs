//! What a room can be called (protocol, section 2).

/// Bytes of a room code. That many has one that a client may ask for, whatever room it is: older
/// servers let a code be any text.
pub const ROOM_CODE_BYTES_MAX: usize = 64;

/// Whether a room may be made with the code `text`: 1–64 of `A–Z a–z 0–9 _ -`. The store may have
/// older rooms with others.
pub fn is_room_code(text: &str) -> bool {
    (1..=ROOM_CODE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_room_can_be_called_is_no_code() {
        let longest = "x".repeat(ROOM_CODE_BYTES_MAX);
        for code in ["a", "ABC-d_9", &longest] {
            assert!(is_room_code(code), "{code}");
        }
        for code in ["", "a.b", "a b", "a/b", "ข", &format!("{longest}x")] {
            assert!(!is_room_code(code), "{code}");
        }
    }
}
