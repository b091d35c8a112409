//! Claims: leases of due deliveries, fairly over webhooks.

use super::World;
use super::world::{LEASE_MS, QUERY};
use crate::sample;
use hookgraph_domain::change::Write;
use hookgraph_domain::delivery::{ClaimedDelivery, DeliveryState};
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::ports::{Fenced, Store};
use hookgraph_domain::time::{minus_ms, plus_ms};
use hookgraph_domain::webhook::{Header, WebhookStatus};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A claim carries the event, the webhook with its headers opened, the signer, and the payload once it is frozen.
pub async fn a_claim_carries_all_that_sending_needs(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let header = Header { name: "x-key".to_owned(), value: "k".to_owned(), is_secret: false };
    let webhook = world
        .webhook_with(|webhook| {
            webhook.headers = vec![header];
            webhook.graphql_query = Some(QUERY.to_owned());
        })
        .await;
    let event_id = world.event().await;
    let claimed = world.claim_one().await;
    assert_eq!(*claimed.webhook, webhook);
    assert_eq!(claimed.event.id, event_id);
    assert_eq!(claimed.event.variables.keys().collect::<Vec<_>>(), ["id", "userId", "tenantId"]);
    assert_eq!(claimed.signer.tenant_identifier, "acme");
    assert_eq!(claimed.signer.keys, sample::tenant(world.tenant_id, "acme").keys);
    assert_eq!(claimed.payload, None);
    assert_eq!(claimed.leased_until, plus_ms(sample::now(), LEASE_MS));
    assert_eq!((claimed.delivery.state, claimed.delivery.fencing_token), (DeliveryState::InFlight, 1));
    assert_eq!(world.delivery(claimed.delivery.id).await, claimed.delivery);
    assert!(world.claim().await.is_empty(), "what is leased is not claimed again");

    world.freeze(&claimed, r#"{"a":1}"#).await;
    let again = world.claim_at(plus_ms(sample::now(), LEASE_MS), 10, 10).await.remove(0);
    assert_eq!(again.payload.expect("the payload is frozen").json.as_ref(), r#"{"a":1}"#);
}

/// The time at which a delivery is due holds to the microsecond.
pub async fn what_is_due_later_is_not_claimed(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    world.event_at(plus_ms(sample::now(), 1)).await;
    assert!(world.claim().await.is_empty());
    assert_eq!(world.claim_at(plus_ms(sample::now(), 1), 10, 10).await.len(), 1);
}

/// The claim takes from each webhook in turn, however long one webhook's deliveries have been due.
pub async fn a_long_backlog_does_not_delay_another_webhook(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let busy = world.webhook().await;
    for _ in 0..20 {
        world.event().await;
    }
    world.change_webhook(busy.id, |busy| busy.event_type.event = "update".to_owned(), Vec::new()).await;
    let quiet = world.webhook().await;
    world.event_at(plus_ms(sample::now(), 1)).await;
    let claimed = world.claim_at(plus_ms(sample::now(), 1), 4, 100).await;
    assert_eq!(claimed.len(), 4);
    assert!(claimed.iter().any(|claimed| claimed.webhook.id == quiet.id));
}

/// The cap counts earlier claims and the current one together, and the oldest deliveries are claimed first.
pub async fn the_cap_per_webhook_counts_what_is_in_flight(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    for later_ms in [3, 1, 2, 0] {
        world.event_at(plus_ms(sample::now(), later_ms)).await;
    }
    let now = plus_ms(sample::now(), 10);
    let first = world.claim_at(now, 100, 2).await;
    let due: Vec<_> = first.iter().map(|claimed| claimed.delivery.created_at).collect();
    assert_eq!(due, [sample::now(), plus_ms(sample::now(), 1)]);
    assert!(world.claim_at(now, 100, 2).await.is_empty());
    world.settle(&first[0], DeliveryState::Delivered).await;
    assert_eq!(world.claim_at(now, 100, 2).await.len(), 1);
    assert_eq!(world.read_webhook(webhook.id).await.version, 1);
}

/// A worker that died delays its deliveries by no more than its lease, and does not fill its webhook's slots.
pub async fn a_lease_that_ended_is_claimed_with_a_higher_token(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    world.event().await;
    let first = world.claim_at(sample::now(), 10, 1).await.remove(0);
    assert!(world.claim_at(plus_ms(sample::now(), LEASE_MS - 1), 10, 1).await.is_empty());
    let second = world.claim_at(plus_ms(sample::now(), LEASE_MS), 10, 1).await.remove(0);
    assert_eq!(second.delivery.id, first.delivery.id);
    assert_eq!(second.delivery.fencing_token, first.delivery.fencing_token + 1);
    assert_eq!((first.was_orphaned, second.was_orphaned), (false, true));
    world.store.release(&[claim_of(&second)], sample::now()).await.expect("release");
    assert!(!world.claim_one().await.was_orphaned, "what was given back is nobody's orphan");
}

/// The delivery's id and its fencing token, by which the holder of a claim names it.
fn claim_of(claimed: &ClaimedDelivery) -> (DeliveryId, i64) {
    (claimed.delivery.id, claimed.delivery.fencing_token)
}

/// Nobody claims the delivery before the lease's new end, and the feed gets no entry.
pub async fn an_extended_lease_holds_and_tells_nobody(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    world.event().await;
    let claimed = world.claim_one().await;
    let seq = world.store.latest_seq().await.expect("read");
    let later = plus_ms(sample::now(), 3 * LEASE_MS);
    assert_eq!(world.store.extend(&[claim_of(&claimed)], later).await.expect("extend"), [Fenced::Done]);
    assert!(world.claim_at(plus_ms(sample::now(), 3 * LEASE_MS - 1), 10, 10).await.is_empty());
    assert_eq!(world.delivery(claimed.delivery.id).await, claimed.delivery);
    assert_eq!(world.store.latest_seq().await.expect("read"), seq);
    world.settle(&claimed, DeliveryState::Delivered).await;
    assert_eq!(world.delivery(claimed.delivery.id).await.state, DeliveryState::Delivered);
}

/// A lease is lost when another claim followed, or when the delivery was settled or given back; the other leases of the
/// call are extended.
pub async fn a_lease_that_was_lost_is_not_extended(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    world.event().await;
    let first = world.claim_one().await;
    let now = plus_ms(sample::now(), LEASE_MS);
    let second = world.claim_at(now, 10, 10).await.remove(0);
    let later = plus_ms(now, 2 * LEASE_MS);
    let asked = [claim_of(&first), claim_of(&second)];
    let answers = world.store.extend(&asked, later).await.expect("extend");
    assert_eq!(answers, [Fenced::LeaseLost, Fenced::Done]);
    world.store.release(&[claim_of(&second)], now).await.expect("release");
    assert_eq!(world.store.extend(&asked, later).await.expect("extend"), [Fenced::LeaseLost; 2]);
    let third = world.claim_at(now, 10, 10).await.remove(0);
    world.settle(&third, DeliveryState::Delivered).await;
    assert_eq!(world.store.extend(&[claim_of(&third)], later).await.expect("extend"), [Fenced::LeaseLost]);
    assert_eq!(world.store.extend(&[], later).await.expect("extend"), []);
}

/// A delivery whose lease ended is not sent under a webhook that was paused, disabled or deleted meanwhile.
pub async fn a_claim_passes_over_what_its_webhook_holds_back(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    for (status, expected) in
        [(WebhookStatus::Paused, DeliveryState::Held), (WebhookStatus::Disabled, DeliveryState::Cancelled)]
    {
        let webhook = world.webhook().await;
        world.event().await;
        let claimed = world.claim_one().await;
        world.set_status(webhook.id, status, Vec::new()).await;
        assert!(world.claim_at(plus_ms(sample::now(), LEASE_MS), 10, 10).await.is_empty());
        assert_eq!(world.delivery(claimed.delivery.id).await.state, expected);
        world.change_webhook(webhook.id, |webhook| webhook.deleted_at = Some(sample::now()), Vec::new()).await;
    }
}

/// The fact holds whichever of an event's two webhooks the claim meets first.
pub async fn what_is_held_takes_no_event_from_what_is_sent(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (stopped, sending) = (world.webhook().await, world.webhook().await);
    for _ in 0..8 {
        world.event().await;
    }
    assert_eq!(world.claim_at(sample::now(), 100, 100).await.len(), 16);
    world.set_status(stopped.id, WebhookStatus::Paused, Vec::new()).await;
    let claimed = world.claim_at(plus_ms(sample::now(), LEASE_MS), 100, 100).await;
    assert_eq!(claimed.iter().map(|claim| claim.webhook.id).collect::<Vec<_>>(), [sending.id; 8]);
}

/// Workers in parallel get all deliveries, each delivery once.
pub async fn two_claims_at_once_never_share_a_delivery(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    for _ in 0..3 {
        world.webhook().await;
    }
    for _ in 0..20 {
        world.event().await;
    }
    let claims = (0..4).map(|_| {
        let world = world.clone();
        tokio::spawn(async move {
            let mut ids = Vec::new();
            loop {
                let claimed = world.claim_at(sample::now(), 5, 100).await;
                if claimed.is_empty() {
                    return ids;
                }
                ids.extend(claimed.into_iter().map(|claimed| claimed.delivery.id));
            }
        })
    });
    let claimed: Vec<_> =
        futures::future::join_all(claims).await.into_iter().flat_map(|ids| ids.expect("claim")).collect();
    assert_eq!(claimed.len(), 60);
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>().len(), 60);
}

/// A delivery that is due already waits for something else than the time, so it hides no later time.
pub async fn the_next_due_time_is_the_earliest_of_due_and_leases(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    let store = &world.store;
    let next_after = |after| async move { store.next_due_at(after).await.expect("read") };
    let next = || next_after(sample::now());
    assert_eq!(next().await, None);
    world.event_at(plus_ms(sample::now(), 40_000)).await;
    assert_eq!(next().await, Some(plus_ms(sample::now(), 40_000)));
    world.event().await;
    assert_eq!(next().await, Some(plus_ms(sample::now(), 40_000)));
    assert_eq!(next_after(minus_ms(sample::now(), 1)).await, Some(sample::now()));
    assert_eq!(next_after(plus_ms(sample::now(), 40_000)).await, None);
    world.claim_one().await;
    assert_eq!(next().await, Some(plus_ms(sample::now(), LEASE_MS)));
    world.write(vec![Write::CancelDue { webhook_id: webhook.id, reason: "gone".to_owned() }]).await;
    assert_eq!(next().await, Some(plus_ms(sample::now(), LEASE_MS)));
}

/// The release spends no attempt; a claim that was lost meanwhile gives nothing back.
pub async fn a_released_claim_is_due_at_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    world.event().await;
    let first = world.claim_one().await;
    let (id, token) = (first.delivery.id, first.delivery.fencing_token);
    world.store.release(&[(id, token + 1)], sample::now()).await.expect("release");
    assert_eq!(world.delivery(id).await.state, DeliveryState::InFlight);
    world.store.release(&[(id, token)], sample::now()).await.expect("release");
    let released = world.delivery(id).await;
    assert_eq!((released.state, released.attempts_spent), (DeliveryState::Pending, 0));
    assert_eq!(released.due_at, Some(sample::now()));
    assert_eq!(world.claim_one().await.delivery.fencing_token, token + 1);
}
