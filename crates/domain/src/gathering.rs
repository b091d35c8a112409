//! Gathering: under load, a process lets its next transaction wait a moment and grow, so that more rows share its cost.

use crate::limits::GATHER_SHARED_TIMES;
use std::time::Duration;

/// When the next transaction of a kind waits to grow, and for how long. Its items are deliveries of a claim,
/// settlements of a commit, or events of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gathering {
    /// How many items the transaction before must have had: after a smaller one nothing waits.
    pub count_min: usize,
    /// How long the next transaction waits, in milliseconds; [`GATHER_SHARED_TIMES`] as long where another process
    /// has a part of the load.
    pub wait_ms: u64,
}

impl Gathering {
    /// How long the next transaction waits after one of `count` items, where a transaction takes `count_max` at most.
    /// After a full one it does not wait: as many again may be there already. `is_shared` says that another process
    /// has a part of the load.
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
