use super::*;
use crate::limits::STORE_BACKOFF_MS_MAX;

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(second, 0).expect("a time")
}

const LONG_MS: u64 = 7_000;
const SETTLE_FIRST_S: i64 = SETTLE_FIRST_MS.cast_signed() / 1_000;
const READS: Told = Told::Answered { writes: false };
const WRITES: Told = Told::Answered { writes: true };

/// All processes have asked again before any of them claims.
const _: () = assert!(SETTLE_FIRST_MS > STORE_BACKOFF_MS_MAX);

impl Trouble {
    /// A call from one second to another.
    fn calls(&self, asked: i64, ended: i64, told: Told) {
        self.asks(at(asked)).ended(at(ended), told);
    }

    fn claims(&self, asked: i64, ended: i64, takes_any: bool) {
        self.asks(at(asked)).claimed(at(ended), takes_any);
    }

    /// For how many seconds yet what came of requests is written at that second, if it is.
    fn settles_for(&self, second: i64) -> Option<u64> {
        match self.first(at(second)) {
            First::Settle(left) => Some(left.as_secs()),
            First::Claim => None,
            First::Ask => panic!("the store is to be asked"),
        }
    }
}

#[test]
fn a_store_that_fails_is_asked_and_after_a_short_outage_claimed_from() {
    let trouble = Trouble::of(LONG_MS);
    assert_eq!((trouble.first(at(0)), trouble.is_on(at(0))), (First::Claim, false));
    trouble.calls(0, 0, Told::Failed);
    assert_eq!((trouble.first(at(1)), trouble.is_on(at(1))), (First::Ask, true));
    trouble.calls(6, 6, READS);
    assert_eq!(trouble.settles_for(6), None);
    trouble.claims(6, 6, false);
    assert!(trouble.is_on(at(6)), "a claim that takes nothing writes nothing");
    trouble.claims(7, 7, true);
    assert!(!trouble.is_on(at(7)));
}

#[test]
fn after_a_long_outage_what_came_of_requests_is_written_first() {
    let trouble = Trouble::of(LONG_MS);
    trouble.calls(0, 0, Told::Failed);
    trouble.calls(5, 5, Told::Failed);
    trouble.calls(7, 7, READS);
    assert_eq!(trouble.settles_for(7), Some(SETTLE_FIRST_MS / 1_000));
    trouble.calls(8, 8, WRITES);
    trouble.calls(9, 9, WRITES);
    assert_eq!(trouble.settles_for(9), Some(SETTLE_FIRST_MS / 1_000 - 1), "counted from the first that was written");
    assert_eq!(trouble.settles_for(8 + SETTLE_FIRST_S), None);
    assert_eq!(trouble.settles_for(7), None, "a clock that was set back keeps nobody waiting");
}

/// A disk that is full, a database that is read-only.
#[test]
fn an_outage_of_writes_is_not_over_because_reads_succeed() {
    let trouble = Trouble::of(LONG_MS);
    for second in 0..7 {
        trouble.calls(second, second, Told::Failed);
        trouble.calls(second, second, READS);
        trouble.claims(second, second, false);
    }
    trouble.calls(7, 7, Told::Failed);
    assert_eq!(trouble.first(at(7)), First::Ask);
    trouble.calls(8, 8, WRITES);
    assert_eq!(trouble.settles_for(8), Some(SETTLE_FIRST_MS / 1_000));
    trouble.calls(9, 9, Told::Failed);
    trouble.calls(10, 10, WRITES);
    assert_eq!(trouble.settles_for(10), None, "another outage, which was short");
}

#[test]
fn an_outage_with_nothing_to_write_is_over_when_nothing_fails_for_a_while() {
    let trouble = Trouble::of(LONG_MS);
    trouble.calls(0, 0, Told::Failed);
    trouble.calls(1, 1, READS);
    let past = 1 + 2 * SETTLE_FIRST_S;
    assert!(trouble.is_on(at(past - 1)) && !trouble.is_on(at(past)));
    trouble.calls(past, past, Told::Failed);
    trouble.calls(past + 1, past + 1, READS);
    assert_eq!(trouble.settles_for(past + 1), None);
    // Nor does what is written much later make it a long one.
    trouble.claims(past + 60, past + 60, true);
    assert!(!trouble.is_on(at(past + 60)));
}

/// The first that takes something is the first that writes.
#[test]
fn a_claim_after_the_wait_ends_the_outage() {
    let trouble = Trouble::of(LONG_MS);
    trouble.calls(0, 0, Told::Failed);
    trouble.calls(7, 7, READS);
    let later = 7 + SETTLE_FIRST_S;
    trouble.claims(later, later + 1, true);
    assert_eq!((trouble.first(at(later + 1)), trouble.is_on(at(later + 1))), (First::Claim, false));
}

#[test]
fn a_clock_that_was_set_back_hides_no_outage() {
    let trouble = Trouble::of(LONG_MS);
    for second in 3_600..3_610 {
        trouble.calls(second, second, WRITES);
    }
    trouble.calls(10, 10, Told::Failed);
    assert_eq!(trouble.first(at(10)), First::Ask);
}

/// Calls wait for a connection, and succeed once the store is back: no call failed.
#[test]
fn calls_that_took_as_long_as_an_outage_tell_of_one() {
    let trouble = Trouble::of(LONG_MS);
    let (settles, claims) = (trouble.asks(at(0)), trouble.asks(at(1)));
    assert!(!trouble.is_on(at(6)) && trouble.is_on(at(7)), "before any has ended");
    settles.ended(at(8), WRITES);
    claims.claimed(at(8), true);
    assert_eq!(
        trouble.settles_for(8),
        Some(SETTLE_FIRST_MS / 1_000),
        "the claim was asked for before the store answered"
    );
    let later = 8 + SETTLE_FIRST_S;
    trouble.claims(later, later + 1, true);
    assert_eq!((trouble.first(at(later + 1)), trouble.is_on(at(later + 1))), (First::Claim, false));
    drop(trouble.asks(at(20)));
    assert!(!trouble.is_on(at(60)), "a call that was given up is none");
}

#[test]
fn a_call_that_hung_tells_of_the_outage_from_when_it_was_asked_for_unless_others_wrote_since() {
    let trouble = Trouble::of(LONG_MS);
    trouble.calls(5, 5, Told::Failed);
    trouble.calls(0, 6, Told::Failed);
    trouble.calls(7, 7, READS);
    assert_eq!(trouble.settles_for(7), Some(SETTLE_FIRST_MS / 1_000));
    trouble.calls(8, 8, WRITES);
    trouble.calls(7, 9, Told::Failed);
    trouble.calls(9, 9, WRITES);
    assert_eq!(trouble.settles_for(9), None, "an outage of two seconds");
    let later = 9 + SETTLE_FIRST_S;
    trouble.claims(later, later, true);
    trouble.calls(7, later, Told::Failed);
    assert_eq!((trouble.first(at(later)), trouble.is_on(at(later))), (First::Claim, false), "others wrote since");
}

/// The same at the end of one outage: the first that succeeds hides the others from nobody.
#[test]
fn one_call_that_wrote_at_once_does_not_hide_those_that_were_kept_waiting() {
    let trouble = Trouble::of(LONG_MS);
    trouble.calls(5, 8, WRITES);
    trouble.calls(0, 8, WRITES);
    assert_eq!(trouble.settles_for(8), Some(SETTLE_FIRST_MS / 1_000));
}

#[test]
fn what_can_never_be_taken_is_an_answer() {
    assert_eq!(Told::by(&StoreError::Busy(String::new())), Told::Failed);
    assert_eq!(Told::by(&StoreError::Rejected(String::new())), READS);
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_on_at_the_first_answer() {
    let trouble = Trouble::of(LONG_MS);
    trouble.calls(0, 0, Told::Failed);
    trouble.calls(0, 0, Told::Away);
    trouble.calls(0, 0, Told::Failed);
    let begun = tokio::time::Instant::now();
    tokio::join!(trouble.wait(Duration::from_secs(60)), async { trouble.calls(1, 1, READS) });
    assert_eq!(begun.elapsed(), Duration::ZERO);
    trouble.calls(2, 2, Told::Failed);
    let minute = Duration::from_secs(60);
    tokio::join!(trouble.wait(minute), async { trouble.calls(2, 2, READS) });
    assert_eq!(begun.elapsed(), minute, "whoever only reads tells nothing to those who write");
}
