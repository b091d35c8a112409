//! The rate of a webhook: a token bucket, kept as the moment at which it will be full again.
//!
//! The bucket of a webhook is each process's own: several processes that serve one webhook keep its rate each. (The
//! server paces the requests of tokens alike, in `server::shares`, but in nanoseconds and with a burst that is
//! configured.)

use crate::limits::{RATE_BURST_MS, RATE_PER_SECOND_MIN};
use crate::time::Timestamp;
use chrono::TimeDelta;

/// How far ahead of the clock a bucket can be full, in milliseconds: the time that a token takes at the lowest rate,
/// and as much again for a moment that was read before another. A bucket that is full later was reckoned before the
/// clock was set back.
const AHEAD_MS_MAX: i64 = 2 * 1_000 / RATE_PER_SECOND_MIN as i64;

/// Tokens of one webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    rate_per_second: u32,
    full_at: Timestamp,
}

impl TokenBucket {
    /// A full one. A rate of nothing is taken as one a second.
    pub fn full(rate_per_second: u32, now: Timestamp) -> Self {
        Self { rate_per_second: rate_per_second.max(1), full_at: now }
    }

    /// The same bucket at another rate; what was taken stays taken.
    pub fn at_rate(self, rate_per_second: u32) -> Self {
        Self { rate_per_second: rate_per_second.max(1), ..self }
    }

    /// Its rate.
    pub const fn rate_per_second(self) -> u32 {
        self.rate_per_second
    }

    /// Tokens in it: at most what [`RATE_BURST_MS`] yield, and at least one once it is full.
    pub fn tokens(self, now: Timestamp) -> u32 {
        let missing_us = (self.full_at_seen_from(now) - now).num_microseconds().unwrap_or(i64::MAX).max(0);
        let left_us = self.burst_us() - missing_us;
        u32::try_from(left_us.max(0) / self.token_us()).unwrap_or(u32::MAX)
    }

    /// Whether nothing was taken that has not come back.
    pub fn is_full(self, now: Timestamp) -> bool {
        self.full_at_seen_from(now) <= now
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Timestamp) -> bool {
        let has_one = self.tokens(now) > 0;
        if has_one {
            self.full_at = self.full_at_seen_from(now).max(now) + TimeDelta::microseconds(self.token_us());
        }
        has_one
    }

    /// When there will be a token: `now` where there is one.
    pub fn next_at(self, now: Timestamp) -> Timestamp {
        let at = self.full_at_seen_from(now) + TimeDelta::microseconds(self.token_us() - self.burst_us());
        at.max(now)
    }

    /// When the bucket is full. After the clock was set back that is now, as in a new process: the moment that the
    /// clock had before would keep the webhook waiting for as long as it lies ahead.
    fn full_at_seen_from(self, now: Timestamp) -> Timestamp {
        let is_of_another_clock = self.full_at - now > TimeDelta::milliseconds(AHEAD_MS_MAX);
        if is_of_another_clock { now } else { self.full_at }
    }

    /// What one token takes to come, in microseconds: rounded up, so that the rate is never exceeded.
    fn token_us(self) -> i64 {
        1_000_000_i64.div_euclid(self.rate_per_second.into()) + i64::from(1_000_000 % self.rate_per_second != 0)
    }

    fn burst_us(self) -> i64 {
        let tokens = (u64::from(self.rate_per_second) * RATE_BURST_MS / 1_000).max(1);
        i64::try_from(tokens).unwrap_or(i64::MAX).saturating_mul(self.token_us())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::now;
    use crate::time::{minus_ms, plus_ms};
    use proptest::prelude::*;

    #[test]
    fn a_full_bucket_holds_a_quarter_of_a_second_and_at_least_one() {
        for (rate_per_second, tokens) in [(0, 1), (1, 1), (4, 1), (40, 10), (1_000, 250)] {
            assert_eq!(TokenBucket::full(rate_per_second, now()).tokens(now()), tokens, "{rate_per_second}");
        }
    }

    #[test]
    fn a_token_comes_back_after_its_time() {
        let mut bucket = TokenBucket::full(10, now());
        assert!(bucket.take(now()) && bucket.take(now()));
        assert!(!bucket.take(now()));
        assert_eq!(bucket.next_at(now()), plus_ms(now(), 100));
        assert!(!bucket.take(plus_ms(now(), 99)));
        assert!(bucket.take(plus_ms(now(), 100)));
        assert_eq!(bucket.at_rate(1).tokens(plus_ms(now(), 100)), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_a_full_bucket_which_is_then_emptied_as_any() {
        let back = minus_ms(now(), 3_600_000);
        let mut bucket = empty(10);
        assert_eq!((bucket.tokens(back), bucket.next_at(back), bucket.is_full(back)), (2, back, true));
        assert!(bucket.take(back) && bucket.take(back));
        assert!(!bucket.take(back));
        assert_eq!(bucket.next_at(back), plus_ms(back, 100));
        assert!(bucket.take(plus_ms(back, 100)));
    }

    #[test]
    fn no_clock_that_is_set_back_makes_a_webhook_wait_for_longer_than_two_seconds() {
        for rate_per_second in [1, 3, 10, 1_000] {
            for back_ms in [1, 500, 1_000, 1_999, 2_000, 2_001, 60_000, 3_600_000] {
                let at = minus_ms(now(), back_ms);
                let wait = empty(rate_per_second).next_at(at) - at;
                assert!(wait <= TimeDelta::seconds(2), "{rate_per_second} per second, {back_ms} ms back: {wait}");
            }
        }
    }

    #[test]
    fn neither_a_moment_that_was_read_earlier_nor_another_rate_brings_a_token() {
        for earlier_ms in [1, 100, 1_000] {
            assert_eq!(empty(1).tokens(minus_ms(now(), earlier_ms)), 0, "{earlier_ms}");
            assert_eq!(empty(1_000).tokens(minus_ms(now(), earlier_ms)), 0, "{earlier_ms}");
        }
        assert_eq!(empty(1).at_rate(1_000).tokens(now()), 0);
    }

    fn empty(rate_per_second: u32) -> TokenBucket {
        let mut bucket = TokenBucket::full(rate_per_second, now());
        while bucket.take(now()) {}
        bucket
    }

    proptest! {
        #[test]
        fn no_more_than_the_rate_and_one_burst_is_ever_taken(
            rate_per_second in 1_u32..=1_000,
            steps_ms in proptest::collection::vec(0_u64..400, 1..100)
        ) {
            let mut bucket = TokenBucket::full(rate_per_second, now());
            let burst = u64::from(bucket.tokens(now()));
            let (mut at, mut taken) = (now(), 0_u64);
            for step_ms in steps_ms {
                at = plus_ms(at, step_ms);
                while bucket.take(at) {
                    taken += 1;
                }
                let elapsed_ms = u64::try_from((at - now()).num_milliseconds()).unwrap();
                prop_assert!(taken <= burst + elapsed_ms * u64::from(rate_per_second) / 1_000);
                prop_assert!(bucket.tokens(bucket.next_at(at)) >= 1);
            }
        }
    }
}
