//! Due work: how much of it there is, and what people do to it, which is to hold, release, cancel and retry.

use super::World;
use crate::sample;
use hookgraph_domain::change::{Change, CommitError, Write};
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::ports::{Backlog, Store};
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::webhook::WebhookStatus;
use std::sync::Arc;

async fn retry(world: &World, id: DeliveryId) -> Result<(), CommitError> {
    let at = plus_ms(sample::now(), 60_000);
    let change = Change { at, writes: vec![Write::RetryDelivery(id)], events: Vec::new() };
    world.store.commit(change).await.map(|_| ())
}

/// A delivery in flight is marked, and ends when it is settled.
pub async fn due_work_is_held_released_and_cancelled_together(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (webhook, other) = (world.webhook().await, world.webhook().await);
    let reason = || "by hand".to_owned();
    world.event().await;
    let claimed = world.claim().await;
    let mine = claimed.iter().find(|claimed| claimed.webhook.id == webhook.id).expect("claimed").clone();
    world.settle(&mine, DeliveryState::Retrying).await;
    world.event().await;
    let states = || async {
        let mut deliveries = world.deliveries().await;
        deliveries.retain(|delivery| delivery.webhook_id == webhook.id);
        deliveries.iter().rev().map(|delivery| (delivery.state, delivery.due_at)).collect::<Vec<_>>()
    };
    world.write(vec![Write::HoldDue { webhook_id: webhook.id, reason: reason() }]).await;
    assert_eq!(states().await, [(DeliveryState::Held, None), (DeliveryState::Held, None)]);
    world.write(vec![world.release_held(webhook.id).await]).await;
    let now = Some(sample::now());
    assert_eq!(states().await, [(DeliveryState::Retrying, now), (DeliveryState::Pending, now)]);
    let in_flight = world.claim_at(sample::now(), 1, 100).await;
    world.write(vec![Write::HoldDue { webhook_id: webhook.id, reason: reason() }]).await;
    for webhook_id in [webhook.id, other.id] {
        world.write(vec![Write::CancelDue { webhook_id, reason: reason() }]).await;
    }
    for delivery in world.deliveries().await {
        let is_leased = in_flight.iter().any(|claimed| claimed.delivery.id == delivery.id)
            || claimed.iter().any(|claimed| claimed.webhook.id == other.id && claimed.delivery.id == delivery.id);
        if is_leased {
            assert_eq!((delivery.state, delivery.cancel_requested), (DeliveryState::InFlight, true));
        } else {
            assert_eq!((delivery.state, delivery.due_at), (DeliveryState::Cancelled, None));
            assert_eq!(delivery.state_reason, Some(reason()));
        }
    }
}

/// Attempts and age are counted anew, while the log goes on.
pub async fn a_retry_makes_an_ended_delivery_due_with_its_payload(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook_with_query().await;
    world.event().await;
    let claimed = world.claim_one().await;
    world.freeze(&claimed, r#"{"n":1}"#).await;
    world.settle(&claimed, DeliveryState::Failed).await;
    retry(&world, claimed.delivery.id).await.expect("retry");
    let due = world.delivery(claimed.delivery.id).await;
    let at = plus_ms(sample::now(), 60_000);
    assert_eq!((due.state, due.due_at, due.due_since), (DeliveryState::Pending, Some(at), at));
    assert_eq!((due.attempts_spent, due.attempt_count), (0, 1));
    let again = world.claim_at(at, 10, 10).await.remove(0);
    assert_eq!(again.payload.as_ref().expect("frozen").json.as_ref(), r#"{"n":1}"#);
    world.settle(&again, DeliveryState::Delivered).await;
    let numbers: Vec<_> =
        world.store.attempts(&[due.id]).await.expect("read").iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2]);
}

/// Such a delivery is due already, or under way.
pub async fn a_retry_of_a_delivery_that_has_not_ended_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    world.event().await;
    let id = world.deliveries().await[0].id;
    assert!(matches!(retry(&world, id).await, Err(CommitError::Refused(_))));
    world.claim_one().await;
    assert!(matches!(retry(&world, id).await, Err(CommitError::Refused(_))));
    assert!(matches!(retry(&world, world.id()).await, Err(CommitError::Refused(_))));
}

/// There is no webhook that could send the delivery.
pub async fn a_retry_under_a_disabled_or_deleted_webhook_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    world.event().await;
    let claimed = world.claim_one().await;
    world.settle(&claimed, DeliveryState::Failed).await;
    world.set_status(webhook.id, WebhookStatus::Disabled, Vec::new()).await;
    assert!(matches!(retry(&world, claimed.delivery.id).await, Err(CommitError::Refused(_))));
    world.change_webhook(webhook.id, |webhook| webhook.deleted_at = Some(sample::now()), Vec::new()).await;
    assert!(matches!(retry(&world, claimed.delivery.id).await, Err(CommitError::Refused(_))));
    assert_eq!(world.delivery(claimed.delivery.id).await.state, DeliveryState::Failed);
}

/// The delivery is held until its webhook's deliveries are released.
pub async fn a_retry_under_a_paused_webhook_waits_with_it(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    world.event().await;
    let claimed = world.claim_one().await;
    world.settle(&claimed, DeliveryState::Failed).await;
    world.set_status(webhook.id, WebhookStatus::Paused, Vec::new()).await;
    retry(&world, claimed.delivery.id).await.expect("retry");
    let held = world.delivery(claimed.delivery.id).await;
    assert_eq!((held.state, held.due_at), (DeliveryState::Held, None));
    let release = vec![world.release_held(webhook.id).await];
    world.set_status(webhook.id, WebhookStatus::Active, release).await;
    assert_eq!(world.claim_one().await.delivery.id, held.id);
}

/// A held delivery can be cancelled as well.
pub async fn a_cancelled_delivery_is_never_claimed(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    let held = world.webhook_with(|webhook| webhook.status = WebhookStatus::Paused).await;
    world.event().await;
    for delivery in world.deliveries().await {
        let cancel = Write::CancelDelivery { delivery_id: delivery.id, reason: "by hand".to_owned() };
        world.write(vec![cancel]).await;
        let cancelled = world.delivery(delivery.id).await;
        assert_eq!((cancelled.state, cancelled.due_at), (DeliveryState::Cancelled, None));
        assert_eq!(cancelled.state_reason.as_deref(), Some("by hand"));
    }
    world.write(vec![world.release_held(held.id).await]).await;
    assert!(world.claim().await.is_empty());
}

/// The refusal tells the person that the cancel came too late.
pub async fn a_cancel_of_an_ended_delivery_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    world.event().await;
    let claimed = world.claim_one().await;
    world.settle(&claimed, DeliveryState::Delivered).await;
    let cancel = Write::CancelDelivery { delivery_id: claimed.delivery.id, reason: "late".to_owned() };
    assert!(matches!(world.try_write(vec![cancel]).await, Err(CommitError::Refused(_))));
}

/// The count goes up to the limit that was asked for; a delivery that has ended is not owed.
pub async fn a_backlog_is_what_is_owed(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    let backlog = async |count_max| world.store.backlog(webhook.id, count_max).await.expect("read");
    assert_eq!(backlog(10).await, Backlog::default());
    for _ in 0..3 {
        world.event().await;
    }
    assert_eq!(backlog(10).await, Backlog { count: 3, oldest_due_at: Some(sample::now()) });
    assert_eq!(backlog(2).await.count, 2);
    let claimed = world.claim_at(sample::now(), 2, 10).await;
    world.settle(&claimed[0], DeliveryState::Delivered).await;
    assert_eq!(backlog(10).await.count, 2);
}
