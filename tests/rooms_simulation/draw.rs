//! Where what happens comes from: a seed in the test, bytes that a fuzzer has chosen elsewhere.

/// One byte for each choice, until there are none.
#[derive(Debug)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

/// A source of choices.
pub(crate) trait Draw {
    /// Less than `bound`, which is at least 1.
    fn below(&mut self, bound: usize) -> usize;

    /// Whether there is nothing left that makes a difference.
    fn is_spent(&self) -> bool;

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

impl Draw for Bytes<'_> {
    fn below(&mut self, bound: usize) -> usize {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(byte) % bound
    }

    fn is_spent(&self) -> bool {
        self.0.is_empty()
    }
}
