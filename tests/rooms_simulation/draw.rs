//! Where what happens comes from: a seed in the test, bytes that a fuzzer has chosen elsewhere.

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
