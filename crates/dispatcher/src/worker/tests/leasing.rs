//! Leases that are kept alive, that this process takes over from itself, and that come late.

use super::running::{Running, settled_ids};
use super::*;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::ports::{Claims, Left};
use hookgraph_domain::time::plus_ms;
use std::collections::BTreeSet;

#[tokio::test]
async fn a_delivery_in_flight_is_kept_leased_through_a_failing_store_until_it_is_settled() {
    let mut bench = Bench::with([due(1, 1, "gate"), due(2, 2, "200")]);
    (bench.limits.lease_ms, bench.limits.beat_ms) = (limits::SEND_MARGIN_MS, 2);
    bench.limits.drain_ms = 60_000;
    bench.queue.failing("extend", 2);
    let running = Running::of(&bench);
    bench.transport.begun(2).await;
    bench.queue.ended(1).await;
    bench.noted.advance_ms(2);
    bench.queue.beaten(1).await;
    bench.transport.gate.add_permits(1);
    running.shut_down().await;
    let extended = bench.queue.state.lock().extended.clone();
    assert!(extended.iter().all(|ids| *ids == [Uuid::from_u128(1).into()]), "{extended:?}");
}

/// The delivery as a second claim takes it over, under the next token.
fn taken_over(claim: ClaimedDelivery) -> ClaimedDelivery {
    let mut claim = ClaimedDelivery { was_orphaned: true, ..claim };
    claim.delivery.fencing_token += 1;
    claim
}

/// The clock may have been set ahead: then every lease has ended for the next claim, those of its own process too.
#[tokio::test(start_paused = true)]
async fn a_delivery_under_way_is_not_sent_again_when_its_own_process_takes_it_over() {
    let bench = Bench::with([due(1, 1, "gate")]);
    let running = Running::of(&bench);
    bench.transport.begun(1).await;
    bench.queue.add(taken_over(due(1, 1, "gate")));
    bench.queue.looked_anew().await;
    bench.transport.gate.add_permits(2);
    bench.queue.ended(1).await;
    running.shut_down().await;
    assert_eq!(bench.transport.count(), 1);
    let state = bench.queue.state.lock();
    let tokens: Vec<_> = state.settled.iter().map(|settled| settled.fencing_token).collect();
    assert_eq!((tokens, state.released.len()), (vec![2], 0));
}

/// The store refuses it under its old token, and nobody would send the delivery again: the claim began nothing.
#[tokio::test(start_paused = true)]
async fn a_settlement_that_a_claim_of_its_own_process_overtakes_is_offered_again() {
    let bench = Bench::with([due(1, 1, "200")]);
    bench.queue.settle_gate.forget_permits(1_000);
    let running = Running::of(&bench);
    bench.transport.begun(1).await;
    // By then the settlement waits at the gate.
    bench.queue.looked_anew().await;
    bench.queue.add(taken_over(due(1, 1, "200")));
    bench.queue.looked_anew().await;
    bench.queue.settle_gate.add_permits(2);
    bench.queue.ended(1).await;
    running.shut_down().await;
    assert_eq!(bench.transport.count(), 1);
    let state = bench.queue.state.lock();
    let tokens: Vec<_> = state.settled.iter().map(|settled| settled.fencing_token).collect();
    assert_eq!((tokens, &state.commits), (vec![2], &vec![1, 1]));
}

/// The claim that overtakes the delivery is committed, and its answer is still under way when the store refuses the
/// outcome. If the lease ended with the refusal, the claim would find nothing to renew and send the delivery again.
#[tokio::test(start_paused = true)]
async fn a_settlement_waits_for_the_answer_of_a_claim_that_may_have_overtaken_it() {
    let bench = Bench::with([due(1, 1, "gate")]);
    let running = Running::of(&bench);
    bench.transport.begun(1).await;
    bench.queue.claim_gate.forget_permits(1);
    bench.queue.add(taken_over(due(1, 1, "gate")));
    bench.queue.until(|state| state.tokens.values().eq(&[2_i64])).await;
    // A second request would need a permit, too.
    bench.transport.gate.add_permits(2);
    bench.queue.until(|state| state.commits == [1]).await;
    assert!(bench.queue.state.lock().settled.is_empty());
    bench.queue.claim_gate.add_permits(1);
    bench.queue.ended(1).await;
    running.shut_down().await;
    assert_eq!(bench.transport.count(), 1);
    let state = bench.queue.state.lock();
    let tokens: Vec<_> = state.settled.iter().map(|settled| settled.fencing_token).collect();
    assert_eq!((tokens, &state.commits, state.released.len()), (vec![2], &vec![1, 1], 0));
}

/// Another process has the lease: both slots are needed for the two deliveries that come next.
#[tokio::test(start_paused = true)]
async fn a_settlement_whose_lease_is_lost_frees_its_slot_once_the_claim_under_way_is_answered() {
    let mut bench = Bench::with([due(1, 1, "gate")]);
    bench.limits.in_flight_max = 2;
    let running = Running::of(&bench);
    bench.transport.begun(1).await;
    bench.queue.claim_gate.forget_permits(1);
    let claims = bench.queue.state.lock().claims.len();
    bench.queue.until(|state| state.claims.len() > claims).await;
    bench.queue.state.lock().tokens.insert(Uuid::from_u128(1).into(), 2);
    bench.transport.gate.add_permits(1);
    bench.queue.until(|state| state.commits == [1]).await;
    bench.queue.add(due(2, 2, "gate"));
    bench.queue.add(due(3, 3, "gate"));
    bench.queue.claim_gate.add_permits(1);
    bench.transport.begun(3).await;
    bench.transport.gate.add_permits(2);
    bench.queue.ended(2).await;
    running.shut_down().await;
    assert_eq!(settled_ids(&bench), BTreeSet::from([2, 3]));
}

/// It was screened under the old claim, and its webhook may have been paused since.
#[tokio::test(start_paused = true)]
async fn a_delivery_that_was_not_sent_yet_is_given_back_when_its_own_process_takes_it_over() {
    let bench = Bench::with([]);
    let running = Running::of(&bench);
    bench.queue.looked(1).await;
    bench.queue.extend_gate.forget_permits(1);
    let frozen = || ClaimedDelivery { payload: Some(payload("{}")), ..due(1, 1, "200") };
    claimed_late(&bench, frozen());
    bench.queue.until(|state| state.extended.len() == 1).await;
    bench.queue.add(taken_over(frozen()));
    bench.queue.looked_anew().await;
    bench.queue.extend_gate.add_permits(1);
    bench.queue.ended(1).await;
    running.shut_down().await;
    assert_eq!(bench.queue.state.lock().released, [DeliveryId(Uuid::from_u128(1))]);
    assert_eq!(bench.transport.count(), 0);
}

/// A recording's claim that comes so late that a beat is due to its lease.
fn claimed_late(bench: &Bench, claim: ClaimedDelivery) {
    let wanted = bench.queue.claimer().wanted().expect("room for a claim");
    let leased_until = plus_ms(noon(), bench.limits.lease_ms - bench.limits.beat_ms);
    let claim = ClaimedDelivery { leased_until, ..claim };
    wanted.take(Claims { deliveries: vec![claim], left: Left::default() });
}

#[tokio::test]
async fn a_lease_that_comes_late_is_extended_before_the_request() {
    let bench = Bench::with([]);
    let running = Running::of(&bench);
    bench.queue.looked(1).await;
    claimed_late(&bench, due(1, 1, "200"));
    bench.queue.ended(1).await;
    assert_eq!(bench.queue.state.lock().extended, [[DeliveryId(Uuid::from_u128(1))]]);
    assert_eq!(bench.transport.count(), 1);
    running.shut_down().await;
}

#[tokio::test]
async fn a_late_lease_that_cannot_be_extended_is_given_back_unsent() {
    let bench = Bench::with([]);
    bench.queue.failing("extend", 1);
    let running = Running::of(&bench);
    bench.queue.looked(1).await;
    claimed_late(&bench, due(1, 1, "200"));
    bench.queue.ended(1).await;
    assert_eq!(bench.queue.state.lock().released, [DeliveryId(Uuid::from_u128(1))]);
    assert_eq!(bench.transport.count(), 0);
    running.shut_down().await;
}
