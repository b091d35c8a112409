//! A store that fails: how long to wait, one line in the log per outage instead of one per call, and what is written first once
//! it answers again.

use crate::limits::{SETTLE_FIRST_MS, STORE_BACKOFF_MS_MAX, STORE_BACKOFF_MS_MIN};
use futures::FutureExt;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::{Timestamp, plus_ms};
use parking_lot::Mutex;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::sync::Notify;

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

    /// Takes a success down.
    pub(super) fn over(&mut self) {
        if self.failures > 0 {
            tracing::info!(call = self.call, failures = self.failures, "the store answers again");
            self.failures = 0;
        }
    }
}

/// The wait after so many failures before this one.
fn backoff(failures_before: u32) -> Duration {
    let doubled = STORE_BACKOFF_MS_MIN.saturating_mul(1_u64.checked_shl(failures_before).unwrap_or(u64::MAX));
    Duration::from_millis(doubled.min(STORE_BACKOFF_MS_MAX))
}

/// What all calls of the road together tell of the store.
///
/// Where it fails for so long that leases end, those who wait with what came of their requests are to write it before anyone
/// claims: else what has arrived is sent again.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    at: Mutex<Option<Failing>>,
    answers: Notify,
}

/// Calls failed, and none has written since that a claim followed.
#[derive(Clone, Copy, Debug)]
struct Failing {
    /// When the first of them was asked for.
    since: Timestamp,
    /// When a call first succeeded after the last of them: one that wrote, once there is one.
    answers_since: Option<Timestamp>,
    /// Whether one of those that succeeded has written: to read is possible on a full disk too.
    writes: bool,
    /// Whether it could not even be read, until it answers.
    is_away: bool,
}

impl Failing {
    /// Whether a call that is asked for at that time and fails is of the same outage. The first after the wait may well be late.
    fn goes_on(&self, at: Timestamp) -> bool {
        !self.writes && self.answers_since.is_none_or(|since| at < plus_ms(since, 2 * SETTLE_FIRST_MS))
    }
}

/// What is to be done before a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Nothing.
    Claim,
    /// Somebody has to ask whether the store answers, by a call that takes nothing over.
    Ask,
    /// What came of requests is written until then.
    Settle { until: Timestamp },
}

impl Trouble {
    /// A call failed that was asked for at that time.
    pub(super) fn failed(&self, asked_at: Timestamp) {
        self.fails(asked_at, false);
    }

    /// A call failed that only reads.
    pub(super) fn is_away(&self, asked_at: Timestamp) {
        self.fails(asked_at, true);
    }

    fn fails(&self, asked_at: Timestamp, is_away: bool) {
        let mut at = self.at.lock();
        let before = at.filter(|failing| failing.goes_on(asked_at));
        *at = Some(Failing {
            since: before.map_or(asked_at, |failing| failing.since.min(asked_at)),
            answers_since: None,
            writes: false,
            is_away: is_away || before.is_some_and(|failing| failing.is_away),
        });
    }

    /// A call succeeded, which wrote something or did not.
    pub(super) fn answered(&self, now: Timestamp, writes: bool) {
        let mut at = self.at.lock();
        let Some(failing) = at.as_mut() else { return };
        if failing.answers_since.is_none() || (writes && !failing.writes) {
            failing.answers_since = Some(now);
        }
        failing.writes |= writes;
        if std::mem::take(&mut failing.is_away) {
            drop(at);
            self.answers.notify_waiters();
        }
    }

    /// A claim succeeded, which took something or did not.
    pub(super) fn claimed(&self, now: Timestamp, takes_any: bool) {
        self.answered(now, takes_any);
        let mut at = self.at.lock();
        if at.is_some_and(|failing| failing.writes) {
            *at = None;
        }
    }

    /// Whether calls failed, and none has written since that a claim followed.
    pub(super) fn is_on(&self) -> bool {
        self.at.lock().is_some()
    }

    /// What comes before a claim, where an outage that long is one that a lease may not outlive.
    pub(super) fn first(&self, now: Timestamp, long_ms: u64) -> First {
        let Some(failing) = *self.at.lock() else { return First::Claim };
        let Some(answers_since) = failing.answers_since else { return First::Ask };
        let until = plus_ms(answers_since, SETTLE_FIRST_MS);
        let is_long = answers_since >= plus_ms(failing.since, long_ms);
        if is_long && now < until { First::Settle { until } } else { First::Claim }
    }

    /// Waits so long, or until a store that was away answers again.
    pub(super) async fn wait(&self, at_most: Duration) {
        tokio::select! {
            biased;
            () = self.answers.notified() => {}
            () = tokio::time::sleep(at_most) => {}
        }
    }
}

/// A store's answer, where a panic inside it is a failure like another: it must not end a loop.
pub(super) async fn guarded<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let caught = AssertUnwindSafe(call).catch_unwind().await;
    caught.unwrap_or_else(|_| Err(StoreError::Failed("the store's code panicked".to_owned())))
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

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).expect("a time")
    }

    const LONG_MS: u64 = 7_000;
    const SETTLE_FIRST_S: i64 = SETTLE_FIRST_MS.cast_signed() / 1_000;

    /// All processes have asked again before any of them claims.
    const _: () = assert!(SETTLE_FIRST_MS > STORE_BACKOFF_MS_MAX);

    #[test]
    fn a_store_that_fails_is_asked_and_after_a_short_outage_claimed_from() {
        let trouble = Trouble::default();
        assert_eq!((trouble.first(at(0), LONG_MS), trouble.is_on()), (First::Claim, false));
        trouble.failed(at(0));
        assert_eq!((trouble.first(at(1), LONG_MS), trouble.is_on()), (First::Ask, true));
        trouble.answered(at(6), false);
        assert_eq!(trouble.first(at(6), LONG_MS), First::Claim);
        trouble.claimed(at(6), false);
        assert!(trouble.is_on(), "a claim that takes nothing writes nothing");
        trouble.claimed(at(7), true);
        assert!(!trouble.is_on());
    }

    #[test]
    fn after_a_long_outage_what_came_of_requests_is_written_first() {
        let trouble = Trouble::default();
        trouble.failed(at(0));
        trouble.failed(at(5));
        trouble.answered(at(7), false);
        assert_eq!(trouble.first(at(7), LONG_MS), First::Settle { until: at(7 + SETTLE_FIRST_S) });
        let until = at(8 + SETTLE_FIRST_S);
        trouble.answered(at(8), true);
        trouble.answered(at(9), true);
        assert_eq!(trouble.first(at(9), LONG_MS), First::Settle { until }, "counted from the first that was written");
        assert_eq!(trouble.first(until, LONG_MS), First::Claim);
    }

    /// A disk that is full, a database that is read-only.
    #[test]
    fn an_outage_of_writes_is_not_over_because_reads_succeed() {
        let trouble = Trouble::default();
        for second in 0..7 {
            trouble.failed(at(second));
            trouble.answered(at(second), false);
            trouble.claimed(at(second), false);
        }
        trouble.failed(at(7));
        assert_eq!(trouble.first(at(7), LONG_MS), First::Ask);
        trouble.answered(at(8), true);
        assert_eq!(trouble.first(at(8), LONG_MS), First::Settle { until: at(8 + SETTLE_FIRST_S) });
        trouble.failed(at(9));
        trouble.answered(at(10), true);
        assert_eq!(trouble.first(at(10), LONG_MS), First::Claim, "another outage, which was short");
    }

    #[test]
    fn an_outage_with_nothing_to_write_is_over_when_nothing_fails_for_a_while() {
        let trouble = Trouble::default();
        trouble.failed(at(0));
        trouble.answered(at(1), false);
        trouble.failed(at(1 + 2 * SETTLE_FIRST_S));
        trouble.answered(at(8), false);
        assert_eq!(trouble.first(at(8), LONG_MS), First::Claim);
    }

    #[test]
    fn a_call_that_hung_tells_of_the_outage_from_when_it_was_asked_for() {
        let trouble = Trouble::default();
        trouble.failed(at(5));
        trouble.failed(at(0));
        trouble.answered(at(7), false);
        assert_eq!(trouble.first(at(7), LONG_MS), First::Settle { until: at(7 + SETTLE_FIRST_S) });
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_goes_on_at_the_first_answer() {
        let trouble = Trouble::default();
        trouble.failed(at(0));
        trouble.is_away(at(0));
        trouble.failed(at(0));
        let begun = tokio::time::Instant::now();
        tokio::join!(trouble.wait(Duration::from_secs(60)), async { trouble.answered(at(1), false) });
        assert_eq!(begun.elapsed(), Duration::ZERO);
        trouble.failed(at(2));
        let minute = Duration::from_secs(60);
        tokio::join!(trouble.wait(minute), async { trouble.answered(at(2), false) });
        assert_eq!(begun.elapsed(), minute, "whoever only reads tells nothing to those who write");
    }

    #[tokio::test]
    async fn a_panic_in_the_store_is_a_failure() {
        let answer: Result<(), StoreError> = guarded(async { panic!("planned") }).await;
        assert!(matches!(answer, Err(StoreError::Failed(_))));
    }
}
