//! A store that fails: how long to wait, and one line in the log per outage instead of one per call.

use crate::limits::{STORE_BACKOFF_MS_MAX, STORE_BACKOFF_MS_MIN};
use hookgraph_domain::ports::StoreError;
use std::time::Duration;

/// The failures of one kind of call, one after the other.
#[derive(Debug)]
pub(super) struct Outage {
    call: &'static str,
    failures: u32,
}

impl Outage {
    /// No outage of that call yet.
    pub(super) fn of(call: &'static str) -> Self {
        Self { call, failures: 0 }
    }

    /// Takes a failure down, and says how long to wait before the next call.
    pub(super) fn failed(&mut self, error: &StoreError) -> Duration {
        let wait = backoff(self.failures);
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            tracing::warn!(call = self.call, %error, "the store fails: trying again until it answers");
        } else {
            tracing::debug!(call = self.call, %error, failures = self.failures, "the store still fails");
        }
        wait
    }

    /// Takes a success of some down, while others still fail: they are soon tried again, and the log has said so.
    pub(super) fn lessens(&mut self) {
        self.failures = self.failures.min(1);
    }

    /// Takes a success down, and says whether it is the first after failures.
    pub(super) fn over(&mut self) -> bool {
        let failures = std::mem::take(&mut self.failures);
        if failures > 0 {
            tracing::info!(call = self.call, failures, "the store answers again");
        }
        failures > 0
    }
}

/// The wait after so many failures before this one.
fn backoff(failures_before: u32) -> Duration {
    let doubled = STORE_BACKOFF_MS_MIN.saturating_mul(1_u64.checked_shl(failures_before).unwrap_or(u64::MAX));
    Duration::from_millis(doubled.min(STORE_BACKOFF_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_from_the_shortest_and_stays_at_the_longest() {
        assert_eq!(backoff(0).as_millis(), 50);
        assert_eq!(backoff(1).as_millis(), 100);
        assert_eq!(backoff(5).as_millis(), 1_600);
        assert_eq!(backoff(6).as_millis(), 2_000);
        assert_eq!(backoff(200).as_millis(), 2_000);
    }
}
