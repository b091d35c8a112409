//! The loop goes on: batch after batch, after failures of the store and panics, with and without wake-ups.

use super::running::{Running, settled_ids};
use super::*;
use std::collections::BTreeSet;

#[tokio::test]
async fn every_due_delivery_is_sent_batch_after_batch() {
    let mut bench = Bench::with((1..=40).map(|number| due(number, number, "200")));
    bench.limits.claim_batch_max = 7;
    let running = Running::of(&bench);
    bench.queue.ended(40).await;
    running.shut_down().await;
    assert_eq!(settled_ids(&bench).len(), 40);
    assert_eq!(bench.transport.count(), 40);
}

#[tokio::test]
async fn claims_go_on_after_an_outage() {
    let bench = Bench::with([due(1, 1, "200")]);
    bench.queue.failing("claim", 2);
    let running = Running::of(&bench);
    bench.queue.ended(1).await;
    running.shut_down().await;
    assert_eq!(settled_ids(&bench).len(), 1);
}

#[tokio::test]
async fn a_panic_costs_neither_its_slot_nor_the_loop() {
    let mut bench = Bench::with([due(1, 1, "panic"), due(2, 2, "panic"), due(3, 3, "200")]);
    bench.limits.in_flight_max = 1;
    let running = Running::of(&bench);
    bench.queue.ended(3).await;
    running.shut_down().await;
    assert_eq!(settled_ids(&bench), BTreeSet::from([1, 2, 3]));
    for settlement in &bench.queue.state.lock().settled[..2] {
        let next = &settlement.next;
        assert_eq!((settlement.attempt.as_ref(), next.attempts_spent, next.state.is_final()), (None, 0, false));
        assert!(next.due_at > Some(noon()), "it is sent again, but not at once");
    }
}

#[tokio::test]
async fn a_wake_up_is_enough_to_look_again() {
    let mut bench = Bench::with([due(1, 1, "200")]);
    bench.limits.poll_ms = 3_600_000;
    let running = Running::of(&bench);
    bench.queue.ended(1).await;
    bench.queue.add(due(2, 2, "200"));
    running.wake.raise();
    bench.queue.ended(2).await;
    assert_eq!(settled_ids(&bench), BTreeSet::from([1, 2]));
    running.shut_down().await;
}

#[tokio::test]
async fn a_lost_wake_up_does_no_harm() {
    let bench = Bench::with([due(1, 1, "200")]);
    let running = Running::of(&bench);
    bench.queue.ended(1).await;
    bench.queue.add(due(2, 2, "200"));
    bench.queue.ended(2).await;
    assert_eq!(settled_ids(&bench), BTreeSet::from([1, 2]));
    running.shut_down().await;
}
