//! The pace at which what was held becomes due again once its webhook sends: slow at first, so that a receiver that has
//! just come back is not knocked over by its backlog, then faster and faster.

use crate::limits::{DRAIN_BATCH_MS, DRAIN_DOUBLES_MS, DRAIN_PER_S_MAX, DRAIN_PER_S_MIN};
use crate::time::{Timestamp, plus_ms};

/// A backlog under way. It is over when nothing is held any more, or when the webhook stops sending again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Since when.
    pub since: Timestamp,
    /// When the next batch may become due. Whoever moves it on with the webhook's next version may release one.
    pub next_at: Timestamp,
}

impl Drain {
    /// One that begins.
    pub const fn begun(now: Timestamp) -> Self {
        Self { since: now, next_at: now }
    }

    /// How many may become due now.
    pub fn batch(self, now: Timestamp) -> u32 {
        let elapsed_ms = u64::try_from((now - self.since).num_milliseconds()).unwrap_or(0);
        let doublings = u32::try_from(elapsed_ms / DRAIN_DOUBLES_MS).unwrap_or(u32::MAX);
        let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
        let per_s = u64::from(DRAIN_PER_S_MIN).saturating_mul(factor).min(DRAIN_PER_S_MAX.into());
        u32::try_from(per_s * DRAIN_BATCH_MS / 1_000).unwrap_or(u32::MAX).max(1)
    }

    /// After a batch.
    pub fn after_batch(self, now: Timestamp) -> Self {
        Self { next_at: plus_ms(now, DRAIN_BATCH_MS), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::now;

    #[test]
    fn the_pace_doubles_every_five_seconds_up_to_its_bound() {
        let drain = Drain::begun(now());
        let batches: Vec<_> = [0, 4_999, 5_000, 10_000, 35_000, 86_400_000]
            .map(|elapsed_ms| drain.batch(plus_ms(now(), elapsed_ms)))
            .into();
        assert_eq!(batches, [5, 5, 10, 20, 500, 500]);
        assert_eq!(drain.batch(now() - chrono::TimeDelta::hours(1)), 5, "a clock that was set back");
    }

    #[test]
    fn the_next_batch_waits_for_its_time() {
        let after = Drain::begun(now()).after_batch(plus_ms(now(), 700));
        assert_eq!((after.since, after.next_at), (now(), plus_ms(now(), 1_200)));
    }
}
