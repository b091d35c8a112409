//! Backoff: how long to wait after a call of the store failed. The log gets one line per outage instead of one per
//! call.

use crate::limits::{STORE_BACKOFF_MS_MAX, STORE_BACKOFF_MS_MIN};
use hookgraph_domain::ports::StoreError;
use std::time::Duration;

/// The consecutive failures of one kind of call.
#[derive(Debug)]
pub(super) struct Backoff {
    call: &'static str,
    failures: u32,
}

impl Backoff {
    /// A backoff of the calls named `call` in the log, none of which has failed yet.
    pub(super) fn of(call: &'static str) -> Self {
        Self { call, failures: 0 }
    }

    /// Counts a failure, and answers how long to wait before the next call.
    pub(super) fn failed(&mut self, error: &StoreError) -> Duration {
        let wait = wait_after(self.failures);
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            tracing::warn!(call = self.call, %error, "the store fails: trying again until it answers");
        } else {
            tracing::debug!(call = self.call, %error, failures = self.failures, "the store still fails");
        }
        wait
    }

    /// Shortens the next wait after a call succeeded while others still fail. The outage stays open: the log has its
    /// line.
    pub(super) fn lessens(&mut self) {
        self.failures = self.failures.min(1);
    }

    /// Ends the outage after a call succeeded, and answers whether there was one.
    pub(super) fn over(&mut self) -> bool {
        let failures = std::mem::take(&mut self.failures);
        if failures > 0 {
            tracing::info!(call = self.call, failures, "the store answers again");
        }
        failures > 0
    }
}

/// The wait after a failure before which `failures_before` others came.
fn wait_after(failures_before: u32) -> Duration {
    let doubled = STORE_BACKOFF_MS_MIN.saturating_mul(1_u64.checked_shl(failures_before).unwrap_or(u64::MAX));
    Duration::from_millis(doubled.min(STORE_BACKOFF_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_from_the_shortest_and_stays_at_the_longest() {
        assert_eq!(wait_after(0).as_millis(), 50);
        assert_eq!(wait_after(1).as_millis(), 100);
        assert_eq!(wait_after(5).as_millis(), 1_600);
        assert_eq!(wait_after(6).as_millis(), 2_000);
        assert_eq!(wait_after(200).as_millis(), 2_000);
    }
}
