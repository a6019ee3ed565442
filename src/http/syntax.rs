//! Which bytes may stand where (RFC 9110, 5), percent-encoding (RFC 3986, 2.1), and the form
//! encoding that browsers use in queries.

/// The decoded value of the first `name=value` in `query`, a list in the form encoding of the
/// URL standard: `%41` is `A`, `+` is a space. `None` if there is none, or if it does not decode
/// to UTF-8.
pub fn query_value(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| decode(value, true))
}

/// A decoded part of a path, where `+` means itself. `None` if it does not decode to UTF-8.
pub fn decode_segment(segment: &str) -> Option<String> {
    decode(segment, false)
}

fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'%' => {
                let (&[high, low], tail) = rest.split_first_chunk::<2>()?;
                bytes.push(hex_digit(high)? << 4 | hex_digit(low)?);
                rest = tail;
            }
            b'+' if plus_is_space => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// The value of a hexadecimal digit.
pub(super) const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// A byte of a field name or method (RFC 9110, 5.6.2).
pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+')
        || matches!(byte, b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// A byte of a field value (RFC 9110, 5.5).
pub(super) const fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7F)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_or_refused() {
        let table = [
            ("", Some("")),
            ("ROOM-1", Some("ROOM-1")),
            ("%52oom%2d1", Some("Room-1")),
            ("a+b", Some("a+b")),
            ("%E0%B8%82", Some("ข")),
            ("%", None),
            ("%4", None),
            ("%+1", None),
            ("%4G", None),
            ("%FF", None),
        ];
        for (text, expected) in table {
            assert_eq!(decode_segment(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_first_value_of_a_name_is_found_and_decoded() {
        let table = [
            ("token=abc", Some("abc")),
            ("a=1&token=a.b-c_d&token=2", Some("a.b-c_d")),
            ("token=a%2Bb+c", Some("a+b c")),
            ("token=", Some("")),
            ("token=a=b", Some("a=b")),
            ("token", None),
            ("mytoken=1", None),
            ("token=%zz", None),
            ("", None),
        ];
        for (query, expected) in table {
            assert_eq!(query_value(query, "token").as_deref(), expected, "{query}");
        }
    }
}
