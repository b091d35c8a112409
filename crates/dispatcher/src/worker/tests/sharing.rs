//! The slots of the loop, shared by slow receivers, retries and large payloads.

use super::running::{Running, settled_ids};
use super::*;
use std::collections::BTreeSet;

#[tokio::test]
async fn a_slow_receiver_delays_nobody_beyond_its_own_slots() {
    let slow = (1..=30).map(|number| due(number, 1, "never"));
    let quick = (31..=60).map(|number| due(number, 2, "200"));
    let mut bench = Bench::with(slow.chain(quick));
    bench.limits.in_flight_per_webhook_max = 2;
    bench.limits.in_flight_max = 4;
    let running = Running::of(&bench);
    bench.queue.ended(30).await;
    assert_eq!(settled_ids(&bench), (31..=60).collect());
    running.shut_down().await;
    assert_eq!(bench.queue.state.lock().released.len(), 2);
}

#[tokio::test]
async fn however_many_receivers_hang_there_is_room_for_the_others() {
    // Each hanging webhook alone has enough deliveries due to fill the process, and a concurrency that would let it.
    let hanging =
        (1..=5_u128).flat_map(|webhook| (0..40).map(move |place| due(webhook * 100 + place, webhook, "never")));
    let mut bench = Bench::with(hanging);
    bench.limits.in_flight_max = 32;
    bench.limits.in_flight_per_webhook_max = 200;
    let running = Running::of(&bench);
    bench.transport.begun(20).await;
    for number in 1_000..1_050 {
        bench.queue.add(due(number, 9, "200"));
    }
    running.wake.raise();
    bench.queue.ended(50).await;
    assert_eq!(settled_ids(&bench), (1_000..1_050).collect());
    let held = bench.queue.state.lock().leased.len();
    assert!(held < 32, "{held} are held by those that hang");
    running.shut_down().await;
}

#[tokio::test]
async fn retries_leave_a_share_of_the_slots_to_first_attempts() {
    let retried = (1..=20).map(|number| {
        let mut claim = due(number, number, "never");
        claim.delivery.attempts_spent = 1;
        claim
    });
    let mut bench = Bench::with(retried);
    bench.limits.in_flight_max = 8;
    let running = Running::of(&bench);
    bench.transport.begun(6).await;
    for number in 101..=120 {
        bench.queue.add(due(number, number, "200"));
    }
    running.wake.raise();
    bench.queue.ended(20).await;
    assert_eq!(settled_ids(&bench), (101..=120).collect());
    assert_eq!(bench.queue.state.lock().leased.len(), 6, "three quarters of the slots");
    running.shut_down().await;
}

/// Sends ten deliveries, of which three are in flight until the last ones.
async fn three_of_ten_at_once(bench: Bench) {
    let running = Running::of(&bench);
    bench.transport.begun(3).await;
    for ended in 1..=7 {
        assert_eq!(bench.queue.state.lock().leased.len(), 3);
        bench.transport.gate.add_permits(1);
        bench.queue.ended(ended).await;
        bench.transport.begun(3 + ended).await;
    }
    bench.transport.gate.add_permits(3);
    running.shut_down().await;
    assert_eq!(settled_ids(&bench).len(), 10);
}

#[tokio::test]
async fn a_webhook_has_no_more_in_flight_than_its_concurrency() {
    let due = (1..=10).map(|number| with_webhook(due(number, 1, "gate"), |webhook| webhook.flow.concurrency = 3));
    let bench = Bench::with(due);
    three_of_ten_at_once(bench).await;
}

#[tokio::test]
async fn no_more_deliveries_are_in_flight_than_allowed() {
    let mut bench = Bench::with((1..=10).map(|number| due(number, number, "gate")));
    bench.limits.in_flight_max = 3;
    three_of_ten_at_once(bench).await;
}

/// Sixteen payloads are rendered before their size is known. They hold 128 slots, more than half, and the others go
/// back.
#[tokio::test]
async fn large_payloads_of_one_webhook_leave_room_for_others() {
    let large = |webhook: &mut Webhook| (webhook.name, webhook.flow.concurrency) = ("large".to_owned(), 100);
    let mut bench = Bench::with((1..=40).map(|number| with_webhook(due(number, 1, "gate"), large)));
    bench.limits.in_flight_max = 200;
    let running = Running::of(&bench);
    bench.queue.ended(24).await;
    assert_eq!(bench.transport.count(), 16);
    assert_eq!(bench.queue.state.lock().released.len(), 24);
    bench.queue.add(due(50, 2, "200"));
    running.wake.raise();
    bench.queue.ended(25).await;
    assert_eq!(settled_ids(&bench), BTreeSet::from([50]));
    bench.transport.gate.add_permits(16);
    bench.queue.ended(41).await;
    running.shut_down().await;
}

/// The payload of another tenant waits, too: before the render nothing tells how large it is.
#[tokio::test(start_paused = true)]
async fn payloads_of_unknown_size_are_rendered_a_few_at_a_time() {
    let mut other = due(2, 2, "200");
    other.delivery.tenant_id = TenantId(Uuid::from_u128(2));
    let mut bench = Bench::with([due(1, 1, "render-hangs"), other]);
    bench.limits.in_flight_max = 8;
    let running = Running::of(&bench);
    bench.queue.ended(1).await;
    assert_eq!(*bench.renderer.calls.lock(), [1]);
    bench.queue.ended(2).await;
    running.shut_down().await;
}

/// The payloads that were rendered meanwhile are larger than guessed and in flight: the waiting ones go back.
#[tokio::test]
async fn payloads_that_waited_for_others_are_not_rendered_once_those_hold_every_slot() {
    let large = |webhook: &mut Webhook| (webhook.name, webhook.flow.concurrency) = ("large".to_owned(), 100);
    let of = |tenant: u128, number: u128| {
        let mut claim = with_webhook(due(number, tenant, "gate"), large);
        claim.delivery.tenant_id = TenantId(Uuid::from_u128(tenant));
        claim
    };
    let mut bench = Bench::with((1..=8).map(|number| of(1, number)).chain((9..=16).map(|number| of(2, number))));
    bench.limits.in_flight_max = 64;
    let running = Running::of(&bench);
    bench.transport.begun(8).await;
    bench.queue.ended(8).await;
    assert_eq!(*bench.renderer.calls.lock(), [8]);
    assert_eq!(bench.queue.state.lock().released.len(), 8);
    bench.transport.gate.add_permits(8);
    bench.queue.ended(16).await;
    running.shut_down().await;
}
