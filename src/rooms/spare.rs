//! What a crowd needed is given back when the crowd has gone.

/// Tables with more slots than this give unused ones back.
pub(super) const SPARE_SLOTS_MAX: usize = 16;

/// A room that was crowded once must not keep the memory for ever.
pub(super) fn give_back<T>(table: &mut Vec<T>) {
    if table.capacity() > SPARE_SLOTS_MAX && table.len() < table.capacity() / 4 {
        table.shrink_to(table.len() * 2);
    }
}
