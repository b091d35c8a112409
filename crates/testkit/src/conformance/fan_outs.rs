//! The fan out: which webhooks get a delivery of an event, and which webhooks get none.

use super::World;
use crate::sample;
use hookgraph_domain::change::{Expected, Write};
use hookgraph_domain::delivery::{DeliveryEvent, DeliveryPurpose, DeliveryState, NewDelivery};
use hookgraph_domain::event::{EventTypeKey, SkipReason};
use hookgraph_domain::feed::{FeedFilter, FeedKind};
use hookgraph_domain::ids::{DeliveryId, TenantId};
use hookgraph_domain::ports::Store;
use hookgraph_domain::webhook::WebhookStatus;
use std::sync::Arc;

/// An active webhook's delivery is due, a disabled webhook is passed over with the reason, and the others' deliveries
/// are held.
pub async fn each_status_gets_what_it_shall(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    for status in WebhookStatus::ALL {
        let webhook = world.webhook_with(|webhook| webhook.status = status).await;
        let event_id = world.event().await;
        let mut deliveries = world.deliveries().await;
        deliveries.retain(|delivery| delivery.webhook_id == webhook.id && delivery.event_id == event_id);
        let skips = world.store.event_skips(&[event_id]).await.expect("skips");
        let skip = skips.iter().find(|skip| skip.webhook_id == webhook.id).map(|skip| skip.reason);
        if status == WebhookStatus::Disabled {
            assert_eq!((deliveries.len(), skip), (0, Some(SkipReason::Disabled)));
            continue;
        }
        assert_eq!((deliveries.len(), skip), (1, None));
        let delivery = &deliveries[0];
        if status == WebhookStatus::Active {
            assert_eq!((delivery.state, delivery.due_at), (DeliveryState::Pending, Some(sample::now())));
        } else {
            assert_eq!((delivery.state, delivery.due_at), (DeliveryState::Held, None));
            assert!(delivery.state_reason.is_some(), "it says why it is held");
        }
        assert_eq!((delivery.created_at, delivery.due_since), (sample::now(), sample::now()));
        assert_eq!((delivery.attempts_spent, delivery.attempt_count, delivery.fencing_token), (0, 0, 0));
    }
}

/// Every store derives the same id.
pub async fn a_delivery_of_the_fan_out_has_the_id_of_its_event_and_webhook(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhooks = [world.webhook().await.id, world.webhook().await.id];
    let events = [world.event().await, world.event().await];
    let mut expected: Vec<_> = events
        .into_iter()
        .flat_map(|event_id| {
            webhooks.map(|webhook_id| (DeliveryId::of_fan_out(event_id, webhook_id), event_id, webhook_id))
        })
        .collect();
    expected.sort_by(|a, b| b.cmp(a));
    let made = world.deliveries().await.into_iter().map(|made| (made.id, made.event_id, made.webhook_id));
    assert_eq!(made.collect::<Vec<_>>(), expected);
}

/// A deleted webhook is not counted as skipped either.
pub async fn a_deleted_webhook_gets_nothing(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook_with(|webhook| webhook.deleted_at = Some(sample::now())).await;
    let event_id = world.event().await;
    assert!(world.deliveries().await.is_empty());
    assert!(world.store.event_skips(&[event_id]).await.expect("skips").is_empty());
}

/// An event goes to its own tenant's webhooks of its own type.
pub async fn another_tenants_or_types_webhooks_get_nothing(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let stranger: TenantId = world.id();
    let theirs = sample::webhook(world.id(), stranger);
    world
        .write(vec![
            Write::InsertTenant(sample::tenant(stranger, "stranger")),
            Write::PutWebhook { webhook: theirs, expected: Expected::Absent },
        ])
        .await;
    world.webhook_with(|webhook| webhook.event_type = EventTypeKey::new("orders", "update")).await;
    let mine = world.webhook().await;
    world.event().await;
    let deliveries = world.deliveries().await;
    assert_eq!(deliveries.iter().map(|delivery| delivery.webhook_id).collect::<Vec<_>>(), [mine.id]);
}

/// A synthetic event fans out to nobody, and is in no feed of events.
pub async fn a_synthetic_event_reaches_its_webhook_alone(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let tested = world.webhook_with(|webhook| webhook.status = WebhookStatus::Paused).await;
    world.webhook().await;
    let event = sample::event(world.id(), world.tenant_id, "o1");
    let event_id = event.id;
    let delivery = NewDelivery {
        id: world.id(),
        tenant_id: world.tenant_id,
        webhook_id: tested.id,
        event: DeliveryEvent::Synthetic(Box::new(event)),
        purpose: DeliveryPurpose::Test,
    };
    world.write(vec![Write::InsertDelivery(delivery.clone())]).await;
    let deliveries = world.deliveries().await;
    assert_eq!(deliveries.len(), 1);
    assert!(deliveries[0].is_test);
    assert_eq!((deliveries[0].id, deliveries[0].state), (delivery.id, DeliveryState::Pending));
    assert!(world.store.events(world.tenant_id, &[event_id]).await.expect("read")[0].is_test);
    let only_events = FeedFilter { only: Some(FeedKind::Events), ..FeedFilter::default() };
    let page = world.store.feed_page(world.tenant_id, 0, &only_events, 10).await.expect("feed");
    assert!(page.entries.is_empty());
    assert_eq!(world.claim_one().await.delivery.id, delivery.id);
}

/// The test is a delivery beside the one of the fan out.
pub async fn a_test_of_a_recorded_event_is_marked(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    let event_id = world.event().await;
    let delivery = NewDelivery {
        id: world.id(),
        tenant_id: world.tenant_id,
        webhook_id: webhook.id,
        event: DeliveryEvent::Recorded(event_id),
        purpose: DeliveryPurpose::Test,
    };
    world.write(vec![Write::InsertDelivery(delivery.clone())]).await;
    assert!(world.delivery(delivery.id).await.is_test);
    assert_eq!(world.deliveries().await.len(), 2);
    world.write(vec![Write::HoldDue { webhook_id: webhook.id, reason: "by hand".to_owned() }]).await;
    assert_eq!(world.delivery(delivery.id).await.state, DeliveryState::Pending, "a test goes out all the same");
    let unknown = NewDelivery { id: world.id(), event: DeliveryEvent::Recorded(world.id()), ..delivery };
    assert!(world.try_write(vec![Write::InsertDelivery(unknown)]).await.is_err());
}
