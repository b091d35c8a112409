//! Portions: how many of the waiting rows one write takes.

use crate::limits::WRITE_BYTES_MAX;

/// The size of the next write: `rows_max` rows and [`WRITE_BYTES_MAX`] at most. A write that fails may have been too
/// much for the time that a statement has, so the next one takes half as many rows; each write that succeeds doubles
/// them again.
#[derive(Debug)]
pub(super) struct Portion {
    rows_max: usize,
    rows: usize,
}

impl Portion {
    pub(super) fn of(rows_max: usize) -> Self {
        let rows_max = rows_max.max(1);
        Self { rows_max, rows: rows_max }
    }

    /// How many of the first rows the next write takes, where `bytes` holds the size of each waiting row. It takes
    /// one row at least, however large, if any waits.
    pub(super) fn first(&self, bytes: impl IntoIterator<Item = usize>) -> usize {
        let mut sum = 0_usize;
        let fits = |bytes: &usize| {
            sum = sum.saturating_add(*bytes);
            sum <= WRITE_BYTES_MAX
        };
        let mut bytes = bytes.into_iter().take(self.rows).peekable();
        let has_one = bytes.peek().is_some();
        bytes.take_while(fits).count().max(usize::from(has_one))
    }

    /// Notes that a write of `count` rows failed.
    pub(super) fn failed(&mut self, count: usize) {
        self.rows = (count / 2).max(1);
    }

    /// Notes that a write succeeded.
    pub(super) fn written(&mut self) {
        self.rows = self.rows.saturating_mul(2).min(self.rows_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_takes_no_more_than_its_most_rows_and_bytes() {
        let portion = Portion::of(3);
        assert_eq!(portion.first([]), 0);
        assert_eq!(portion.first([1, 1]), 2);
        assert_eq!(portion.first([1, 1, 1, 1]), 3);
        let half = WRITE_BYTES_MAX / 2;
        assert_eq!(portion.first([half, half, 1]), 2);
        assert_eq!(portion.first([half, half + 1, 1]), 1);
        assert_eq!(portion.first([WRITE_BYTES_MAX + 1, 1]), 1, "one row goes however large it is");
        assert_eq!(portion.first([usize::MAX, usize::MAX]), 1);
    }

    #[test]
    fn a_write_that_fails_is_halved_down_to_one_row_and_grows_again() {
        let mut portion = Portion::of(5);
        let mut taken = Vec::new();
        for fails in [true, true, true, false, false, false, false] {
            let count = portion.first([1; 9]);
            taken.push(count);
            if fails { portion.failed(count) } else { portion.written() }
        }
        assert_eq!(taken, [5, 2, 1, 1, 2, 4, 5]);
    }
}
