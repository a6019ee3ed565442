//! What a stream of bytes, or a text, of a client comes to, with everything checked that must hold
//! whatever it is. The property tests draw such streams, the fuzz targets are given them.
//!
//! Uses nothing but the library's public parts, and asserts; knows nothing of where input is from.

pub(crate) mod http;
pub(crate) mod message;
pub(crate) mod web_socket;

/// What stands for "all at once" among the lengths of [`pieces`].
pub(crate) const WHOLE: u8 = u8::MAX;

/// Cuts `stream` into pieces of `lengths`, over and over. Each length is one more than the number
/// says, so that there is an end to it; [`WHOLE`] takes all that is left. No lengths cut nothing.
pub(crate) fn pieces<'a>(stream: &'a [u8], lengths: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = stream;
    let mut lengths = lengths.iter().cycle();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = match lengths.next() {
            None | Some(&WHOLE) => rest.len(),
            Some(&length) => rest.len().min(usize::from(length) + 1),
        };
        let (piece, others) = rest.split_at(length);
        rest = others;
        Some(piece)
    })
}
