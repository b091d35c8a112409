//! The log, in pages.

use super::World;
use crate::sample;
use hookgraph_domain::change::Write;
use hookgraph_domain::delivery::{DeliveryEvent, DeliveryPurpose, DeliveryState, NewDelivery};
use hookgraph_domain::page::{DeliveryQuery, EventQuery};
use hookgraph_domain::ports::Store;
use hookgraph_domain::time::plus_ms;
use std::sync::Arc;

/// With every filter.
pub async fn delivery_pages_run_from_new_to_old(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (webhook, _other) = (world.webhook().await, world.webhook().await);
    let mut events = Vec::new();
    for later_ms in 0..3 {
        events.push(world.event_at(plus_ms(sample::now(), later_ms)).await.0);
    }
    let all = world.deliveries().await;
    assert_eq!(all.len(), 6);
    assert!(all.is_sorted_by(|a, b| a.id > b.id));
    let first = world.store.delivery_page(&DeliveryQuery { limit: 4, ..world.delivery_query() }).await.expect("page");
    let before = Some(first[3].id.0);
    let rest = world.store.delivery_page(&DeliveryQuery { before, ..world.delivery_query() }).await.expect("page");
    assert_eq!([first, rest].concat(), all);
    let count = |query: DeliveryQuery| {
        let store = world.store.clone();
        async move { store.delivery_page(&query).await.expect("page").len() }
    };
    let query = || world.delivery_query();
    assert_eq!(count(DeliveryQuery { webhook_id: Some(webhook.id), ..query() }).await, 3);
    assert_eq!(count(DeliveryQuery { event_id: Some(events[0]), ..query() }).await, 2);
    assert_eq!(count(DeliveryQuery { states: vec![DeliveryState::Failed], ..query() }).await, 0);
    let states = vec![DeliveryState::Failed, DeliveryState::Pending];
    assert_eq!(count(DeliveryQuery { states, ..query() }).await, 6);
    let middle = plus_ms(sample::now(), 1);
    assert_eq!(count(DeliveryQuery { created_from: Some(middle), ..query() }).await, 4);
    assert_eq!(count(DeliveryQuery { created_before: Some(middle), ..query() }).await, 2);
}

/// Also with every filter.
pub async fn event_pages_leave_tests_out(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    let first = world.event().await;
    let second = world.event_at(plus_ms(sample::now(), 5)).await.0;
    let delivery = NewDelivery {
        id: world.id(),
        tenant_id: world.tenant_id,
        webhook_id: webhook.id,
        event: DeliveryEvent::Synthetic(Box::new(sample::event(world.id(), world.tenant_id, "o1"))),
        purpose: DeliveryPurpose::Test,
    };
    world.write(vec![Write::InsertDelivery(delivery)]).await;
    let all = EventQuery {
        tenant_id: world.tenant_id,
        concern: None,
        event: None,
        recorded_from: None,
        recorded_before: None,
        before: None,
        limit: 10,
    };
    let ids = |query: EventQuery| {
        let store = world.store.clone();
        async move {
            let page = store.event_page(&query).await.expect("page");
            page.into_iter().map(|event| event.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(ids(all.clone()).await, [second, first]);
    assert_eq!(ids(EventQuery { before: Some(second.0), ..all.clone() }).await, [first]);
    assert_eq!(ids(EventQuery { limit: 1, ..all.clone() }).await, [second]);
    assert_eq!(ids(EventQuery { recorded_from: Some(plus_ms(sample::now(), 1)), ..all.clone() }).await, [second]);
    assert_eq!(ids(EventQuery { recorded_before: Some(plus_ms(sample::now(), 1)), ..all.clone() }).await, [first]);
    assert_eq!(ids(EventQuery { concern: Some("orders".to_owned()), ..all.clone() }).await.len(), 2);
    assert_eq!(ids(EventQuery { event: Some("update".to_owned()), ..all }).await.len(), 0);
}

/// In pages.
pub async fn a_webhooks_attempts_come_newest_first(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    for _ in 0..3 {
        world.event().await;
    }
    for claimed in world.claim().await {
        world.settle(&claimed, DeliveryState::Delivered).await;
    }
    let all = world.store.webhook_attempts(webhook.id, None, 10).await.expect("read");
    assert_eq!(all.len(), 3);
    assert!(all.is_sorted_by(|a, b| a.id > b.id));
    let rest = world.store.webhook_attempts(webhook.id, Some(all[0].id), 1).await.expect("read");
    assert_eq!(rest, all[1..2]);
    assert!(world.store.webhook_attempts(world.id(), None, 10).await.expect("read").is_empty());
}

/// By no id.
pub async fn history_of_another_tenant_is_not_read(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    let event_id = world.event().await;
    let delivery_id = world.deliveries().await[0].id;
    let stranger = world.id();
    assert!(world.store.events(stranger, &[event_id]).await.expect("read").is_empty());
    assert!(world.store.deliveries(stranger, &[delivery_id]).await.expect("read").is_empty());
    assert!(world.store.webhooks(stranger, &[webhook.id]).await.expect("read").is_empty());
    let query = DeliveryQuery { tenant_id: stranger, ..world.delivery_query() };
    assert!(world.store.delivery_page(&query).await.expect("read").is_empty());
}
