//! What a client has already, and in which form it takes the rest (RFC 9110, 8.4, 12.5.3 and
//! 13.1.2).

use super::request::Request;

/// Whether the client says that it has what `entity_tag`, a weak one, names.
pub fn is_known(request: &Request, entity_tag: &str) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    request
        .list_elements("if-none-match")
        .any(|tag| tag == b"*" || opaque(tag) == opaque(entity_tag.as_bytes()))
}

/// Whether the client takes content that is compressed with gzip.
pub fn accepts_gzip(request: &Request) -> bool {
    let accepted = |coding: &[u8]| {
        request.list_elements("accept-encoding").find_map(|element| {
            let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let is_it = parts.next()?.eq_ignore_ascii_case(coding);
            is_it.then(|| !parts.any(is_zero_weight))
        })
    };
    accepted(b"gzip").or_else(|| accepted(b"*")).unwrap_or(false)
}

/// `q=0`, `q=0.000`: not acceptable.
fn is_zero_weight(parameter: &[u8]) -> bool {
    parameter
        .strip_prefix(b"q=")
        .or_else(|| parameter.strip_prefix(b"Q="))
        .is_some_and(|weight| weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
}
