//! Claims that recordings make in their own transaction.

use super::running::{Running, settled_ids};
use super::*;
use hookgraph_domain::ports::{Claims, Left, WantedClaim};
use std::collections::BTreeSet;

/// The recording claims the delivery that it makes due: it is sent though nobody is woken.
#[tokio::test]
async fn a_delivery_that_a_recording_claimed_is_sent() {
    let bench = Bench::with([]);
    let running = Running::of(&bench);
    bench.queue.looked(1).await;
    let claimer = bench.queue.claimer();
    let wanted = claimer.wanted().expect("room for a claim");
    let most = shares::claim_size(bench.limits.in_flight_max).min(bench.limits.claim_batch_max);
    assert_eq!(wanted.request().limit, most);
    let beside = claimer.wanted().expect("room for another");
    let share = |wanted: &dyn WantedClaim| wanted.request().limit_per_webhook;
    assert!(share(&*beside) < share(&*wanted), "what the first may take counts as taken");
    assert!(claimer.wanted().is_none(), "a third could take nothing");
    drop(beside);
    let leased_until = wanted.request().leased_until;
    let claim = ClaimedDelivery { leased_until, ..due(1, 1, "200") };
    wanted.take(Claims { deliveries: vec![claim], left: Left::default() });
    bench.queue.ended(1).await;
    assert_eq!(settled_ids(&bench), BTreeSet::from([1]));
    running.shut_down().await;
    assert!(claimer.wanted().is_none(), "nothing is claimed any more");
}

/// Somebody has to be woken for its token, or for the slots that other claims give back.
#[tokio::test]
async fn a_webhook_that_waits_for_a_token_or_beside_other_claims_does_not_wait_for_slots_alone() {
    let bench = Bench::with([]);
    let running = Running::of(&bench);
    bench.queue.looked(1).await;
    let claimer = bench.queue.claimer();
    let limited = with_webhook(due(1, 1, "200"), |webhook| webhook.flow.rate_per_second = Some(1));
    let other = due(2, 2, "200");
    let wanted = claimer.wanted().expect("room for a claim");
    assert!(wanted.waits_for_slots(limited.webhook.id) && wanted.waits_for_slots(other.webhook.id));
    let beside = claimer.wanted().expect("room for another");
    assert!(!beside.waits_for_slots(other.webhook.id));
    drop(beside);
    let leased_until = wanted.request().leased_until;
    let (id, other_id) = (limited.webhook.id, other.webhook.id);
    wanted.take(Claims { deliveries: vec![ClaimedDelivery { leased_until, ..limited }], left: Left::default() });
    bench.queue.ended(1).await;
    let wanted = claimer.wanted().expect("room for a claim");
    assert!(!wanted.waits_for_slots(id) && wanted.waits_for_slots(other_id));
    drop(wanted);
    running.shut_down().await;
}
