//! The rate of a webhook: a token bucket, as the moment at which it will be full again.
//!
//! The bucket of a webhook is each process's own: several processes that serve one webhook keep its rate each.

use crate::limits::RATE_BURST_MS;
use crate::time::Timestamp;
use chrono::TimeDelta;

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
        let missing_us = (self.full_at - now).num_microseconds().unwrap_or(i64::MAX).max(0);
        let left_us = self.burst_us() - missing_us;
        u32::try_from(left_us.max(0) / self.token_us()).unwrap_or(u32::MAX)
    }

    /// Whether nothing was taken that has not come back.
    pub fn is_full(self, now: Timestamp) -> bool {
        self.full_at <= now
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Timestamp) -> bool {
        let has_one = self.tokens(now) > 0;
        if has_one {
            self.full_at = self.full_at.max(now) + TimeDelta::microseconds(self.token_us());
        }
        has_one
    }

    /// When there will be a token: `now` where there is one.
    pub fn next_at(self, now: Timestamp) -> Timestamp {
        let at = self.full_at + TimeDelta::microseconds(self.token_us() - self.burst_us());
        at.max(now)
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
    use crate::time::plus_ms;
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
