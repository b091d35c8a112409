//! The history, in pages.

use super::World;
use crate::sample;
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::delivery::{Delivery, DeliveryEvent, DeliveryPurpose, DeliveryState, NewDelivery};
use hookgraph_domain::ids::{DeliveryId, TenantId};
use hookgraph_domain::page::{DeliveryQuery, EventQuery};
use hookgraph_domain::ports::Store;
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::webhook::WebhookStatus;
use std::sync::Arc;

/// The order holds with every filter.
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

/// All deliveries of a query, read in pages of two.
async fn in_pages(world: &World, query: DeliveryQuery) -> Vec<Delivery> {
    let mut all: Vec<Delivery> = Vec::new();
    loop {
        let before = all.last().map(|last| last.id.0);
        let page = DeliveryQuery { before, limit: 2, ..query.clone() };
        let page = world.store.delivery_page(&page).await.expect("page");
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// The pages show deliveries that are due and deliveries that have ended, and no other event's.
pub async fn an_events_deliveries_are_those_of_its_fan_out_and_what_was_made_later(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhooks = [world.webhook().await.id, world.webhook().await.id, world.webhook().await.id];
    world.event().await;
    let event_id = world.event().await;
    world.event().await;
    let mut ids: Vec<DeliveryId> = webhooks.map(|webhook_id| DeliveryId::of_fan_out(event_id, webhook_id)).to_vec();
    for webhook_id in [webhooks[0], webhooks[0], webhooks[1], webhooks[2]] {
        let (id, event) = (world.id(), DeliveryEvent::Recorded(event_id));
        let test = NewDelivery { id, tenant_id: world.tenant_id, webhook_id, event, purpose: DeliveryPurpose::Test };
        world.write(vec![Write::InsertDelivery(test)]).await;
        ids.push(id);
    }
    ids.sort_by(|a, b| b.cmp(a));
    let of_event = || DeliveryQuery { event_id: Some(event_id), ..world.delivery_query() };
    let read = async |query| in_pages(&world, query).await.into_iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(read(of_event()).await, ids, "all are due");
    let cancel = |id: &DeliveryId| Write::CancelDelivery { delivery_id: *id, reason: "by a person".to_owned() };
    world.write(ids.iter().step_by(2).map(cancel).collect()).await;
    assert_eq!(read(of_event()).await, ids, "some have ended");
    let ended = DeliveryQuery { states: vec![DeliveryState::Cancelled], ..of_event() };
    assert_eq!(read(ended).await, ids.iter().step_by(2).copied().collect::<Vec<_>>());
    let of_first = DeliveryQuery { webhook_id: Some(webhooks[0]), ..of_event() };
    assert_eq!(read(of_first).await.len(), 3);
    assert!(read(DeliveryQuery { tenant_id: world.id(), ..of_event() }).await.is_empty());
}

/// The pages go over all webhooks of the tenant, also over one that was deleted while it was called, and over no other
/// tenant's.
pub async fn what_is_due_of_a_tenant_is_read_over_its_webhooks(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let stranger: TenantId = world.id();
    let theirs = sample::webhook(world.id(), stranger);
    let their_event = sample::event(world.id(), stranger, "o1");
    world
        .write(vec![
            Write::InsertTenant(sample::tenant(stranger, "stranger")),
            Write::PutWebhook { webhook: theirs, expected: Expected::Absent },
        ])
        .await;
    let change = Change { at: sample::now(), writes: Vec::new(), events: vec![their_event] };
    world.store.commit(change).await.expect("the event is recorded");
    let deleted = world.webhook().await.id;
    world.event().await;
    let called = world.claim().await.into_iter().find(|claim| claim.webhook.id == deleted).expect("it is called");
    world.change_webhook(deleted, |webhook| webhook.deleted_at = Some(sample::now()), Vec::new()).await;
    let (_one, held) = (world.webhook().await, world.webhook().await.id);
    world.set_status(held, WebhookStatus::Paused, Vec::new()).await;
    for _ in 0..3 {
        world.event().await;
    }
    let all = world.deliveries().await;
    assert_eq!(all.len(), 7);
    assert!(all.iter().any(|delivery| delivery.id == called.delivery.id));
    assert_eq!(in_pages(&world, world.delivery_query()).await, all);
    let open = |states: &[DeliveryState]| DeliveryQuery { states: states.to_vec(), ..world.delivery_query() };
    use DeliveryState::{Held, InFlight, Pending, Retrying};
    assert_eq!(in_pages(&world, open(&[Pending, InFlight, Retrying, Held])).await, all);
    let of_held = in_pages(&world, open(&[Held])).await;
    assert_eq!(of_held.len(), 3);
    assert!(of_held.iter().all(|delivery| delivery.webhook_id == held));
}

/// Test events are left out with every filter as well.
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

/// The order holds over pages.
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

/// A stranger reads nothing by the ids of events, deliveries and webhooks.
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
