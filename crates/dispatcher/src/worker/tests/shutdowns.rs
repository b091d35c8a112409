//! Shutdowns lose no delivery, and end.

use super::running::{Running, settled_ids};
use super::*;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::ports::{Claims, Left};
use std::collections::BTreeSet;

#[tokio::test]
async fn a_shutdown_lets_requests_in_flight_end() {
    let mut bench = Bench::with([due(1, 1, "gate")]);
    bench.limits.drain_ms = 60_000;
    let running = Running::of(&bench);
    bench.transport.begun(1).await;
    running.shutdown.cancel();
    bench.queue.add(due(2, 2, "200"));
    bench.transport.gate.add_permits(1);
    running.shut_down().await;
    assert_eq!(settled_ids(&bench), BTreeSet::from([1]));
    assert!(bench.queue.state.lock().released.is_empty());
}

#[tokio::test]
async fn a_shutdown_releases_requests_that_take_too_long() {
    let bench = Bench::with([due(1, 1, "never")]);
    let running = Running::of(&bench);
    bench.transport.begun(1).await;
    running.shut_down().await;
    assert_eq!(bench.queue.state.lock().released, [Uuid::from_u128(1).into()]);
    assert!(bench.queue.state.lock().settled.is_empty());
}

#[tokio::test]
async fn a_shutdown_releases_deliveries_that_are_not_sent_yet() {
    let bench = Bench::with([due(1, 1, "200"), due(2, 1, "render-hangs")]);
    let running = Running::of(&bench);
    bench.renderer.called().await;
    running.shut_down().await;
    assert_eq!(bench.queue.state.lock().released.len(), 2);
    assert_eq!(bench.transport.count(), 0);
}

#[tokio::test]
async fn a_shutdown_ends_even_when_the_store_takes_nothing() {
    let mut bench = Bench::with([due(1, 1, "200")]);
    bench.limits.flush_ms = 20;
    bench.queue.failing("settle", u32::MAX);
    let running = Running::of(&bench);
    bench.transport.begun(1).await;
    running.shut_down().await;
    assert!(bench.queue.state.lock().settled.is_empty());
}

/// A delivery that is claimed as a shutdown begins is given back, and the shutdown waits until then.
#[tokio::test]
async fn a_shutdown_waits_for_the_claim_of_a_recording() {
    let bench = Bench::with([]);
    let running = Running::of(&bench);
    bench.queue.looked(1).await;
    let wanted = bench.queue.claimer().wanted().expect("room for a claim");
    running.shutdown.cancel();
    wanted.take(Claims { deliveries: vec![due(1, 1, "200")], left: Left::default() });
    running.shut_down().await;
    assert_eq!(bench.queue.state.lock().released, [DeliveryId(Uuid::from_u128(1))]);
    assert_eq!(bench.transport.count(), 0);
}
