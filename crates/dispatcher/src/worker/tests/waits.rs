//! How long the loop waits: for a transaction to grow, and for the next due delivery. The clock is paused.

use super::running::Running;
use super::*;
use crate::limits::LOOK_MS_MIN;
use hookgraph_domain::time::plus_ms;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// A bench with sixteen deliveries due at once: after a batch of this size the next one waits to grow.
fn with_enough() -> Bench {
    let mut bench = Bench::with((1..=16).map(|number| due(number, 1, "200")));
    bench.limits.gathering = Gathering { count_min: 16, wait_ms: 10_000 };
    bench.limits.poll_ms = 60_000;
    bench
}

#[tokio::test(start_paused = true)]
async fn after_a_large_batch_of_settlements_the_next_one_waits_to_grow() {
    for (has_neighbours, waited_ms) in [(false, 10_000), (true, 20_000)] {
        let bench = with_enough();
        bench.noted.has_neighbours.store(has_neighbours, Ordering::Relaxed);
        (101..=102).for_each(|number| bench.queue.add(due(number, number, "gate")));
        let begun_at = Instant::now();
        let running = Running::of(&bench);
        bench.queue.ended(16).await;
        assert_eq!(begun_at.elapsed().as_millis(), 0);
        bench.transport.gate.add_permits(1);
        bench.queue.ended(17).await;
        assert_eq!(begun_at.elapsed().as_millis(), waited_ms);
        bench.transport.gate.add_permits(1);
        running.shut_down().await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_large_claim_the_next_one_waits_to_grow_but_no_longer_than_to_the_next_look() {
    for (poll_ms, waited_ms) in [(60_000, 10_000), (3_000, 3_000)] {
        let mut bench = with_enough();
        bench.limits.poll_ms = poll_ms;
        let begun_at = Instant::now();
        let running = Running::of(&bench);
        bench.queue.ended(16).await;
        bench.queue.add(due(101, 2, "200"));
        running.wake.raise();
        bench.transport.begun(17).await;
        assert_eq!(begun_at.elapsed().as_millis(), waited_ms);
        running.shut_down().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_loop_looks_when_a_delivery_falls_due_and_polls_where_that_time_has_passed() {
    for (due_in_ms, waited_ms) in [(3_000, 3_001), (0, 60_000), (90_000, 60_000)] {
        let mut bench = Bench::with([]);
        bench.limits.poll_ms = 60_000;
        bench.queue.state.lock().next_due_at = Some(plus_ms(noon(), due_in_ms));
        let begun_at = Instant::now();
        let running = Running::of(&bench);
        bench.queue.looked(1).await;
        bench.queue.add(due(1, 1, "200"));
        bench.queue.ended(1).await;
        assert_eq!(begun_at.elapsed().as_millis(), waited_ms);
        running.shut_down().await;
    }
}

#[tokio::test(start_paused = true)]
async fn deliveries_that_fall_due_while_others_have_no_room_are_looked_for_at_a_pace() {
    let held = [1, 2].map(|number| with_webhook(due(number, 1, "gate"), |webhook| webhook.flow.concurrency = 1));
    let mut bench = Bench::with(held);
    bench.limits.poll_ms = 60_000;
    bench.queue.state.lock().next_due_at = Some(plus_ms(noon(), 1));
    let running = Running::of(&bench);
    bench.queue.looked(1).await;
    let begun_at = Instant::now();
    bench.queue.looked(3).await;
    let waited_ms = begun_at.elapsed().as_millis();
    assert_eq!(waited_ms, 2 * u128::from(LOOK_MS_MIN));
    bench.transport.gate.add_permits(2);
    running.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn the_loop_looks_for_one_delivery_after_another_as_they_fall_due() {
    let mut bench = Bench::with([]);
    bench.limits.poll_ms = 60_000;
    bench.queue.state.lock().next_due_at = Some(plus_ms(noon(), 1_000));
    let begun_at = Instant::now();
    let running = Running::of(&bench);
    bench.queue.looked(1).await;
    // The first delivery is claimed by itself: the second falls due a moment later.
    bench.queue.add(due(1, 1, "200"));
    bench.queue.state.lock().next_due_at = Some(plus_ms(noon(), 1_500));
    bench.noted.advance_ms(1_000);
    bench.queue.ended(1).await;
    bench.queue.add(due(2, 2, "200"));
    bench.queue.ended(2).await;
    assert_eq!(begun_at.elapsed().as_millis(), 1_001 + 501);
    running.shut_down().await;
}
