//! Strings of JSON.

/// Appends `text` as a JSON string. Names are nearly always plain and then copied as they are;
/// `serde_json` escapes the others.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        let written = serde_json::to_writer(out, text);
        debug_assert!(written.is_ok(), "every string has a JSON form, a vector takes it");
    }
}
