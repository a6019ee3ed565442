//! Bytes as lower-case hexadecimal digits, and back.

use std::fmt::Write;

/// Two digits for each of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// The `N` bytes that `text` stands for; `None` if it does not stand for so many.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_their_text() {
        assert_eq!(encode(&[]), "");
        assert_eq!(encode(&[0, 0x0a, 0xff]), "000aff");
        assert_eq!(decode("000aff"), Some([0, 0x0a, 0xff]));
        assert_eq!(decode("000AFF"), Some([0, 0x0a, 0xff]));
        for bad in ["", "000af", "000aff0", "zzzzzz", "+1+1+1", "ééé"] {
            assert_eq!(decode::<3>(bad), None, "{bad}");
        }
    }
}
