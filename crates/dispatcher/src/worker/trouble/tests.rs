//! Outages as their calls tell them, second by second.

use super::*;
use crate::limits::STORE_BACKOFF_MS_MAX;

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(second, 0).expect("a time")
}

const LONG_MS: u64 = 7_000;
const SETTLE_FIRST_S: i64 = SETTLE_FIRST_MS.cast_signed() / 1_000;

/// Every process has asked the store again before any of them claims.
const _: () = assert!(SETTLE_FIRST_MS > STORE_BACKOFF_MS_MAX);

impl Trouble {
    /// A call from one second to another.
    fn calls(&self, begun: i64, ended: i64, how: CallEnded) {
        self.begin_call(at(begun)).ended(at(ended), how);
    }

    /// A claim from one second to another, of `count` deliveries.
    fn claims(&self, begun: i64, ended: i64, count: usize) {
        self.begin_call(at(begun)).claimed(at(ended), count);
    }

    /// For how many seconds settlements come before claims, seen at `second`; none where a claim may be made.
    fn settles_for(&self, second: i64) -> Option<u64> {
        match self.before_claim(at(second)) {
            BeforeClaim::Settle(left) => Some(left.as_secs()),
            BeforeClaim::Nothing => None,
            BeforeClaim::Ask => panic!("the store is to be asked"),
        }
    }
}

#[test]
fn a_store_that_fails_is_asked_and_after_a_short_outage_claimed_from() {
    let trouble = Trouble::of(LONG_MS);
    assert_eq!((trouble.before_claim(at(0)), trouble.is_on(at(0))), (BeforeClaim::Nothing, false));
    trouble.calls(0, 0, CallEnded::Failed);
    assert_eq!((trouble.before_claim(at(1)), trouble.is_on(at(1))), (BeforeClaim::Ask, true));
    trouble.calls(6, 6, CallEnded::Read);
    assert_eq!(trouble.settles_for(6), None);
    trouble.claims(6, 6, 0);
    assert!(trouble.is_on(at(6)), "a claim that takes nothing writes nothing");
    trouble.claims(7, 7, 1);
    assert!(!trouble.is_on(at(7)));
}

#[test]
fn after_a_long_outage_settlements_come_first() {
    let trouble = Trouble::of(LONG_MS);
    trouble.calls(0, 0, CallEnded::Failed);
    trouble.calls(5, 5, CallEnded::Failed);
    trouble.calls(7, 7, CallEnded::Read);
    assert_eq!(trouble.settles_for(7), Some(SETTLE_FIRST_MS / 1_000));
    trouble.calls(8, 8, CallEnded::Wrote);
    trouble.calls(9, 9, CallEnded::Wrote);
    assert_eq!(trouble.settles_for(9), Some(SETTLE_FIRST_MS / 1_000 - 1), "counted from the first that was written");
    assert_eq!(trouble.settles_for(8 + SETTLE_FIRST_S), None);
    assert_eq!(trouble.settles_for(7), None, "a clock that was set back keeps nobody waiting");
}

/// The disk is full, or the database read-only.
#[test]
fn an_outage_of_writes_is_not_over_because_reads_succeed() {
    let trouble = Trouble::of(LONG_MS);
    for second in 0..7 {
        trouble.calls(second, second, CallEnded::Failed);
        trouble.calls(second, second, CallEnded::Read);
        trouble.claims(second, second, 0);
    }
    trouble.calls(7, 7, CallEnded::Failed);
    assert_eq!(trouble.before_claim(at(7)), BeforeClaim::Ask);
    trouble.calls(8, 8, CallEnded::Wrote);
    assert_eq!(trouble.settles_for(8), Some(SETTLE_FIRST_MS / 1_000));
    trouble.calls(9, 9, CallEnded::Failed);
    trouble.calls(10, 10, CallEnded::Wrote);
    assert_eq!(trouble.settles_for(10), None, "another outage, which was short");
}

#[test]
fn an_outage_with_nothing_to_write_is_over_when_nothing_fails_for_a_while() {
    let trouble = Trouble::of(LONG_MS);
    trouble.calls(0, 0, CallEnded::Failed);
    trouble.calls(1, 1, CallEnded::Read);
    let past = 1 + OUTAGE_PAST_MS.cast_signed() / 1_000;
    assert!(trouble.is_on(at(past - 1)) && !trouble.is_on(at(past)));
    trouble.calls(past, past, CallEnded::Failed);
    trouble.calls(past + 1, past + 1, CallEnded::Read);
    assert_eq!(trouble.settles_for(past + 1), None);
    // A claim much later, the first call that writes, does not make the outage a long one.
    trouble.claims(past + 60, past + 60, 1);
    assert!(!trouble.is_on(at(past + 60)));
}

/// The first claim that takes a delivery is also the first call that writes.
#[test]
fn a_claim_after_the_wait_ends_the_outage() {
    let trouble = Trouble::of(LONG_MS);
    trouble.calls(0, 0, CallEnded::Failed);
    trouble.calls(7, 7, CallEnded::Read);
    let later = 7 + SETTLE_FIRST_S;
    trouble.claims(later, later + 1, 1);
    assert_eq!((trouble.before_claim(at(later + 1)), trouble.is_on(at(later + 1))), (BeforeClaim::Nothing, false));
}

#[test]
fn a_clock_that_was_set_back_hides_no_outage() {
    let trouble = Trouble::of(LONG_MS);
    for second in 3_600..3_610 {
        trouble.calls(second, second, CallEnded::Wrote);
    }
    trouble.calls(10, 10, CallEnded::Failed);
    assert_eq!(trouble.before_claim(at(10)), BeforeClaim::Ask);
}

/// Calls wait for a connection and succeed once the store is back: none of them failed.
#[test]
fn calls_that_took_as_long_as_an_outage_tell_of_one() {
    let trouble = Trouble::of(LONG_MS);
    let (settles, claims) = (trouble.begin_call(at(0)), trouble.begin_call(at(1)));
    assert!(!trouble.is_on(at(6)) && trouble.is_on(at(7)), "before any has ended");
    settles.ended(at(8), CallEnded::Wrote);
    claims.claimed(at(8), 1);
    assert_eq!(trouble.settles_for(8), Some(SETTLE_FIRST_MS / 1_000), "the claim began before the store answered");
    let later = 8 + SETTLE_FIRST_S;
    trouble.claims(later, later + 1, 1);
    assert_eq!((trouble.before_claim(at(later + 1)), trouble.is_on(at(later + 1))), (BeforeClaim::Nothing, false));
    drop(trouble.begin_call(at(20)));
    assert!(!trouble.is_on(at(60)), "a call that was given up is none");
}

#[test]
fn a_call_that_hung_dates_the_outage_from_its_own_beginning_unless_others_wrote_since() {
    let trouble = Trouble::of(LONG_MS);
    trouble.calls(5, 5, CallEnded::Failed);
    trouble.calls(0, 6, CallEnded::Failed);
    trouble.calls(7, 7, CallEnded::Read);
    assert_eq!(trouble.settles_for(7), Some(SETTLE_FIRST_MS / 1_000));
    trouble.calls(8, 8, CallEnded::Wrote);
    trouble.calls(7, 9, CallEnded::Failed);
    trouble.calls(9, 9, CallEnded::Wrote);
    assert_eq!(trouble.settles_for(9), None, "an outage of two seconds");
    let later = 9 + SETTLE_FIRST_S;
    trouble.claims(later, later, 1);
    trouble.calls(7, later, CallEnded::Failed);
    assert_eq!(
        (trouble.before_claim(at(later)), trouble.is_on(at(later))),
        (BeforeClaim::Nothing, false),
        "others wrote since"
    );
}

/// Both calls succeed at the end of one outage.
#[test]
fn a_call_that_wrote_at_once_does_not_hide_the_calls_that_were_kept_waiting() {
    let trouble = Trouble::of(LONG_MS);
    trouble.calls(5, 8, CallEnded::Wrote);
    trouble.calls(0, 8, CallEnded::Wrote);
    assert_eq!(trouble.settles_for(8), Some(SETTLE_FIRST_MS / 1_000));
}

#[test]
fn a_final_refusal_is_an_answer() {
    assert_eq!(CallEnded::of_error(&StoreError::Busy(String::new())), CallEnded::Failed);
    assert_eq!(CallEnded::of_error(&StoreError::Rejected(String::new())), CallEnded::Read);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_store_ends_at_its_first_answer() {
    let trouble = Trouble::of(LONG_MS);
    trouble.calls(0, 0, CallEnded::Failed);
    trouble.calls(0, 0, CallEnded::ReadFailed);
    trouble.calls(0, 0, CallEnded::Failed);
    let begun = tokio::time::Instant::now();
    tokio::join!(trouble.wait(Duration::from_secs(60)), async { trouble.calls(1, 1, CallEnded::Read) });
    assert_eq!(begun.elapsed(), Duration::ZERO);
    trouble.calls(2, 2, CallEnded::Failed);
    let minute = Duration::from_secs(60);
    tokio::join!(trouble.wait(minute), async { trouble.calls(2, 2, CallEnded::Read) });
    assert_eq!(begun.elapsed(), minute, "reads always succeeded, so a read tells those who write nothing");
}
