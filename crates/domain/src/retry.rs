//! The retry schedule: when the next attempt is due.

use crate::limits::{RETRY_AFTER_MS_MAX, RETRY_DELAY_S_MAX, RETRY_DELAY_S_MIN, RETRY_DELAYS_MAX};
use crate::problem::Problem;
use crate::time::{Timestamp, plus_ms};

/// The default waits before the second and every later attempt, in seconds: 5 s, 30 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h,
/// 20 h, 24 h. With the first attempt at once, that is eleven attempts.
pub const RETRY_DELAYS_S_DEFAULT: [u32; 10] = [5, 30, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// What jitter adds to a wait at most, as a share of it, so that what failed together is not tried together again.
pub const JITTER_SHARE_MAX: f64 = 0.1;

/// How many attempts a schedule allows: the first one and one after each wait.
pub const fn attempts_max(delays_s: &[u32]) -> usize {
    delays_s.len() + 1
}

/// When the next attempt is due after `attempts_spent` of them (the one that just failed counted); none when all are
/// spent.
///
/// `jitter` is a fraction from 0 to 1 of [`JITTER_SHARE_MAX`], added and never subtracted. A receiver's `Retry-After`
/// makes it later, up to [`RETRY_AFTER_MS_MAX`], never earlier than the schedule.
pub fn next_attempt_at(
    delays_s: &[u32],
    attempts_spent: u32,
    retry_after_ms: Option<u64>,
    now: Timestamp,
    jitter: f64,
) -> Option<Timestamp> {
    let waits_spent = usize::try_from(attempts_spent.saturating_sub(1)).ok()?;
    let delay_ms = u64::from(*delays_s.get(waits_spent)?) * 1_000;
    let asked_ms = retry_after_ms.unwrap_or(0).min(RETRY_AFTER_MS_MAX);
    Some(plus_ms(now, with_jitter(delay_ms, jitter).max(asked_ms)))
}

/// A wait with its jitter added.
fn with_jitter(delay_ms: u64, jitter: f64) -> u64 {
    // A wait has few enough milliseconds for a double to hold them; the cast cuts the fraction off.
    delay_ms + (delay_ms as f64 * JITTER_SHARE_MAX * jitter.clamp(0.0, 1.0)) as u64
}

/// What is wrong with a schedule that a user wrote; nothing when it may stand. Empty means a single attempt.
pub fn problems(path: &str, delays_s: &[i64]) -> Vec<Problem> {
    if delays_s.len() > RETRY_DELAYS_MAX {
        let message = format!("{} waits, {RETRY_DELAYS_MAX} are allowed", delays_s.len());
        return vec![Problem::new(path, "RETRY_SCHEDULE_TOO_LONG", message)];
    }
    let allowed = i64::from(RETRY_DELAY_S_MIN)..=i64::from(RETRY_DELAY_S_MAX);
    let wrong = delays_s.iter().enumerate().filter(|(_, delay_s)| !allowed.contains(delay_s));
    let problem = |(index, delay_s)| {
        let message = format!("a wait of {delay_s} seconds: {RETRY_DELAY_S_MIN} to {RETRY_DELAY_S_MAX} are allowed");
        Problem::new(format!("{path}.{index}"), "RETRY_DELAY_OUT_OF_RANGE", message)
    };
    wrong.map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, TimeDelta};
    use proptest::prelude::*;

    fn now() -> Timestamp {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn wait_ms(attempts_spent: u32, retry_after_ms: Option<u64>, jitter: f64) -> Option<i64> {
        let at = next_attempt_at(&RETRY_DELAYS_S_DEFAULT, attempts_spent, retry_after_ms, now(), jitter)?;
        Some((at - now()).num_milliseconds())
    }

    #[test]
    fn the_default_schedule_is_eleven_attempts_over_three_days() {
        assert_eq!(attempts_max(&RETRY_DELAYS_S_DEFAULT), 11);
        let waits: Vec<_> = (1..=11).map(|spent| wait_ms(spent, None, 0.0).map(|ms| ms / 1000)).collect();
        let expected = [5, 30, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400].map(Some);
        assert_eq!(waits[..10], expected);
        assert_eq!(waits[10], None);
        let total_s: u32 = RETRY_DELAYS_S_DEFAULT.iter().sum();
        assert_eq!(TimeDelta::seconds(total_s.into()).num_hours(), 75);
    }

    #[test]
    fn a_retry_after_makes_a_wait_longer_up_to_a_day_and_never_shorter() {
        for (retry_after_ms, expected_ms) in
            [(None, 5_000), (Some(0), 5_000), (Some(4_999), 5_000), (Some(7_000), 7_000), (Some(u64::MAX), 86_400_000)]
        {
            assert_eq!(wait_ms(1, retry_after_ms, 0.0), Some(expected_ms), "{retry_after_ms:?}");
        }
    }

    #[test]
    fn an_empty_schedule_is_a_single_attempt() {
        assert_eq!(next_attempt_at(&[], 1, Some(1), now(), 0.5), None);
    }

    #[test]
    fn a_schedule_is_bounded_in_length_and_in_each_wait() {
        let codes = |delays: &[i64]| -> Vec<(String, String)> {
            problems("input.retryDelaysS", delays).into_iter().map(|p| (p.path, p.code)).collect()
        };
        assert_eq!(codes(&[]), []);
        assert_eq!(codes(&[1, 259_200]), []);
        let out_of_range = |path: &str| (path.to_owned(), "RETRY_DELAY_OUT_OF_RANGE".to_owned());
        assert_eq!(
            codes(&[0, 1, 259_201, -5]),
            [
                out_of_range("input.retryDelaysS.0"),
                out_of_range("input.retryDelaysS.2"),
                out_of_range("input.retryDelaysS.3")
            ]
        );
        assert_eq!(codes(&[1; 21]), [("input.retryDelaysS".to_owned(), "RETRY_SCHEDULE_TOO_LONG".to_owned())]);
    }

    proptest! {
        #[test]
        fn jitter_adds_at_most_a_tenth(spent in 1u32..=10, jitter in any::<f64>()) {
            let plain = wait_ms(spent, None, 0.0).unwrap();
            let jittered = wait_ms(spent, None, jitter).unwrap();
            prop_assert!(jittered >= plain && jittered <= plain + plain / 10, "{plain} became {jittered}");
        }
    }
}
