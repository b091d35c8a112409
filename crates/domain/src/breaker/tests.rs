//! The breaker by table and by property.

use super::*;
use crate::sample::{now, webhook};
use crate::webhook::WebhookStatus;
use proptest::prelude::*;
use uuid::Uuid;

fn trips_after(outcomes: &[(bool, u64)]) -> Vec<Option<Trip>> {
    let (mut window, webhook) = (Window::default(), webhook());
    let mut at = now();
    let record = |(failed, later_ms): &(bool, u64)| {
        at = plus_ms(at, *later_ms);
        window.record(*failed, &webhook, at)
    };
    outcomes.iter().map(record).collect()
}

#[test]
fn nineteen_failures_are_too_few_and_the_twentieth_opens() {
    let answers = trips_after(&[(true, 100); 20]);
    assert!(answers[..19].iter().all(Option::is_none));
    assert_eq!(answers[19], Some(Trip { attempts: 20, failed: 20 }));
}

#[test]
fn half_of_the_attempts_is_the_share_that_opens() {
    let mut below: Vec<_> = [(false, 10); 11].to_vec();
    below.extend([(true, 10); 10]);
    assert!(trips_after(&below).iter().all(Option::is_none), "10 of 21");
    below.push((true, 10));
    assert_eq!(trips_after(&below)[21], Some(Trip { attempts: 22, failed: 11 }));
}

#[test]
fn what_is_a_minute_old_is_forgotten() {
    let mut outcomes = vec![(true, 10); 19];
    outcomes.push((true, 60_000));
    assert!(trips_after(&outcomes).iter().all(Option::is_none));
}

#[test]
fn an_opened_breaker_starts_to_count_anew() {
    let answers = trips_after(&[(true, 10); 40]);
    let trips: Vec<_> = answers.iter().enumerate().filter_map(|(index, trip)| trip.map(|_| index)).collect();
    assert_eq!(trips, [19, 39]);
}

/// The status changes, the clock is set back before the status changes once more, and the webhook is renamed.
#[test]
fn only_what_was_claimed_under_the_newest_status_is_counted() {
    let first = webhook();
    let status_at = |version, at| Webhook { version, ..webhook().with_status(WebhookStatus::Active, None, at) };
    let second = status_at(2, plus_ms(now(), 20_000));
    let third = status_at(3, plus_ms(now(), 10_000));
    let renamed = Webhook { version: 4, name: "Another".to_owned(), ..third.clone() };
    let mut window = Window::default();
    for (claimed, counted) in
        [(&first, 1), (&first, 2), (&second, 1), (&first, 1), (&third, 1), (&second, 1), (&renamed, 2), (&third, 3)]
    {
        assert_eq!(window.record(true, claimed, now()), None);
        assert_eq!(window.counted(now()).attempts, counted, "version {}", claimed.version);
    }
}

#[test]
fn a_breaker_that_opened_counts_nothing_of_before_once_it_has_closed() {
    let (mut window, before) = (Window::default(), webhook());
    let trips = |window: &mut Window, count: u32, webhook: &Webhook| {
        (0..count).filter_map(|_| window.record(true, webhook, now())).count()
    };
    assert_eq!(trips(&mut window, BREAKER_ATTEMPTS_MIN, &before), 1);
    let closed = before.clone().with_status(WebhookStatus::Suspended, None, plus_ms(now(), 1_000));
    let closed = closed.with_status(WebhookStatus::Active, None, plus_ms(now(), 11_000));
    let closed = Webhook { version: 3, ..closed };
    assert!(window.follows(&closed));
    assert_eq!(trips(&mut window, 2 * BREAKER_ATTEMPTS_MIN, &before), 0);
    assert_eq!(trips(&mut window, BREAKER_ATTEMPTS_MIN, &closed), 1);
}

#[test]
fn each_probe_is_another_delivery_whether_the_last_one_failed_or_was_lost() {
    let id = |number| DeliveryId(Uuid::from_u128(number));
    let held = [1, 3, 4].map(id);
    let open = Breaker::opened(now());
    for (probes_failed, lost, next) in [
        (0, None, 1),
        (1, None, 3),
        (3, None, 1),
        (0, Some(1), 3),
        (0, Some(2), 3),
        (1, Some(3), 4),
        (1, Some(4), 1),
        (2, Some(9), 1),
    ] {
        let breaker = Breaker { probes_failed, probe_id: lost.map(id), ..open };
        assert_eq!(breaker.next_probe(&held), Some(id(next)), "{probes_failed} failed, lost {lost:?}");
        assert_eq!(breaker.next_probe(&[]), None);
    }
}

#[test]
fn the_wait_for_a_probe_doubles_from_ten_seconds_to_a_quarter_of_an_hour() {
    let waits_s: Vec<_> = [0, 1, 2, 6, 7, 63, 64, u32::MAX].map(|failed| probe_wait_ms(failed) / 1_000).into();
    assert_eq!(waits_s, [10, 20, 40, 640, 900, 900, 900, 900]);
}

#[test]
fn one_delivery_probes_at_a_time_and_a_lost_one_makes_way() {
    let id = DeliveryId(Uuid::from_u128(7));
    let probing = Breaker::opened(now()).probing(id, plus_ms(now(), 10_000));
    assert_eq!(probing.probe_id, Some(id));
    assert_eq!(probing.probe_at, Some(plus_ms(now(), 10_000 + PROBE_LOST_MS)));
    let open = probing.probe_failed(plus_ms(now(), 11_000));
    assert_eq!(open, Breaker { probe_at: Some(plus_ms(now(), 31_000)), probes_failed: 1, probe_id: None });
}

#[test]
fn what_the_receiver_asks_for_makes_a_wait_longer_and_never_shorter() {
    let wait_ms = |open: Breaker| open.probe_at.map(|probe_at| (probe_at - now()).num_milliseconds());
    for (asked_ms, first_ms, second_ms) in [(0, 10_000, 20_000), (15_000, 15_000, 20_000), (60_000, 60_000, 60_000)] {
        let open = Breaker::opened(now()).left_alone(asked_ms, now());
        assert_eq!(wait_ms(open), Some(first_ms), "{asked_ms}");
        let failed = open.probe_failed(now()).left_alone(asked_ms, now());
        assert_eq!((wait_ms(failed), failed.probes_failed), (Some(second_ms), 1), "{asked_ms}");
    }
    assert_eq!(Breaker::default().left_alone(60_000, now()), Breaker::default());
}

proptest! {
    #[test]
    fn it_opens_only_on_a_failure_with_enough_attempts_and_a_reached_share(
        outcomes in proptest::collection::vec((any::<bool>(), 0_u64..5_000), 0..200)
    ) {
        for (answer, (failed, _)) in trips_after(&outcomes).into_iter().zip(&outcomes) {
            if let Some(trip) = answer {
                prop_assert!(*failed);
                prop_assert!(trip.attempts >= BREAKER_ATTEMPTS_MIN && trip.failed <= trip.attempts);
                prop_assert!(trip.failed * 100 >= trip.attempts * BREAKER_FAILING_PERCENT_MIN);
            }
        }
    }

    #[test]
    fn a_receiver_that_mostly_works_is_never_left_alone(
        outcomes in proptest::collection::vec(0_u64..3_000, 0..200)
    ) {
        // Two successes before each failure.
        let outcomes: Vec<_> =
            outcomes.into_iter().flat_map(|later_ms| [(false, later_ms), (false, 0), (true, 0)]).collect();
        prop_assert!(trips_after(&outcomes).iter().all(Option::is_none));
    }

    #[test]
    fn a_window_counts_no_more_than_what_it_spans(
        outcomes in proptest::collection::vec((any::<bool>(), 0_u64..30_000), 1..100)
    ) {
        let (mut window, webhook) = (Window::default(), webhook());
        let mut at = now();
        let mut times = Vec::new();
        for (failed, later_ms) in outcomes {
            at = plus_ms(at, later_ms);
            times.push(at);
            let tripped = window.record(failed, &webhook, at).is_some();
            if tripped {
                times.clear();
            }
            let span_ms = u64::try_from(BREAKER_WINDOW_MS).unwrap();
            let within = times.iter().filter(|time| plus_ms(**time, span_ms) > at).count();
            prop_assert!(window.counted(at).attempts as usize <= within);
        }
    }
}
