//! Gathering: under load the next transaction is given a moment to grow, so that more share what one costs.

use crate::limits::GATHER_SHARED_TIMES;
use std::time::Duration;

/// When the next transaction of a kind waits for more, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gathering {
    /// After one of so many.
    pub count_min: usize,
    /// For so long, in milliseconds; [`GATHER_SHARED_TIMES`] as long where another process has a part of the load.
    pub wait_ms: u64,
}

impl Gathering {
    /// How long the next one waits after one of that size, of at most so many: not where it is full at once.
    pub fn wait(self, count: usize, count_max: usize, is_shared: bool) -> Duration {
        let times = if is_shared { GATHER_SHARED_TIMES } else { 1 };
        let is_worth_it = (self.count_min..count_max).contains(&count);
        if is_worth_it { Duration::from_millis(self.wait_ms.saturating_mul(times)) } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_given_time_to_grow_after_one_that_grew_with_the_load_and_was_not_full() {
        let gathering = Gathering { count_min: 16, wait_ms: 4 };
        let waited_ms =
            |is_shared| [0, 1, 15, 16, 511, 512].map(|count| gathering.wait(count, 512, is_shared).as_millis());
        assert_eq!(waited_ms(false), [0, 0, 0, 4, 4, 0]);
        assert_eq!(waited_ms(true), [0, 0, 0, 8, 8, 0], "others have a part of the load");
    }
}
