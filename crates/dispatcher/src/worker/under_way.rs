//! Claims under way: the store may have committed them, and this process has not taken their answers in.
//!
//! After a step of the clock such a claim may take over a delivery whose request is under way here. The store refuses
//! the outcome of that request under the old token from then on, but only the answer shows that the lease was renewed
//! and not lost. So the settler waits for the claims that were under way, and for no later ones.

use parking_lot::Mutex;
use std::collections::BTreeSet;
use tokio::sync::Notify;

/// The numbers of the claims under way.
#[derive(Debug, Default)]
pub(super) struct ClaimsUnderWay {
    numbers: Mutex<BTreeSet<u64>>,
    ended: Notify,
}

impl ClaimsUnderWay {
    /// Notes a claim before it is made.
    pub(super) fn begin(&self, number: u64) {
        self.numbers.lock().insert(number);
    }

    /// Notes that a claim's answer is taken in, or that none will come.
    pub(super) fn end(&self, number: u64) {
        self.numbers.lock().remove(&number);
        self.ended.notify_one();
    }

    /// The last claim under way; none where no claim is.
    pub(super) fn last(&self) -> Option<u64> {
        self.numbers.lock().last().copied()
    }

    /// Whether the claim of that number has ended, and every claim before it.
    pub(super) fn are_over_to(&self, number: u64) -> bool {
        self.numbers.lock().first().is_none_or(|first| *first > number)
    }

    /// Waits until the claim of that number has ended, and every claim before it. One task may wait at a time.
    pub(super) async fn over_to(&self, number: u64) {
        while !self.are_over_to(number) {
            self.ended.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn the_claims_to_a_number_are_over_once_each_of_them_has_ended() {
        let claims = ClaimsUnderWay::default();
        assert_eq!((claims.last(), claims.are_over_to(1)), (None, true));
        claims.begin(1);
        claims.begin(2);
        assert_eq!(claims.last(), Some(2));
        claims.begin(3);
        for number in [2, 1] {
            assert!(claims.over_to(2).now_or_never().is_none());
            claims.end(number);
        }
        assert!(claims.over_to(2).now_or_never().is_some(), "the third began later");
        assert!(!claims.are_over_to(3));
    }
}
