//! How much of what waits goes together in one piece.

/// How many of the first items go together, of which `bytes` gives the sizes: no more than
/// `items_max`, nor together more than `bytes_max` bytes; but one at least, whatever its size, if
/// there is one.
pub fn batch_len(
    bytes: impl IntoIterator<Item = usize>,
    items_max: usize,
    bytes_max: usize,
) -> usize {
    let mut sum: usize = 0;
    let is_first_or_fits = |(index, bytes): &(usize, usize)| {
        sum = sum.saturating_add(*bytes);
        *index == 0 || sum <= bytes_max
    };
    bytes.into_iter().take(items_max).enumerate().take_while(is_first_or_fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_in_items_and_bytes_and_never_empty_without_need() {
        for (bytes, expected) in [
            (&[][..], 0),
            (&[100], 1),
            (&[100, 1], 1),
            (&[4, 6, 1], 2),
            (&[1; 9], 3),
            (&[0, usize::MAX, 0], 1),
        ] {
            assert_eq!(batch_len(bytes.iter().copied(), 3, 10), expected, "{bytes:?}");
        }
    }
}
