//! Stopping: a webhook's backlog that is longer than one transaction holds or cancels.

use super::World;
use crate::sample;
use hookgraph_domain::breaker::Trip;
use hookgraph_domain::change::{Change, CommitError, Expected, Write};
use hookgraph_domain::delivery::{DeliveryEvent, DeliveryPurpose, DeliveryState, NewDelivery};
use hookgraph_domain::ids::{DeliveryId, EventId, WebhookId};
use hookgraph_domain::limits::STOPPED_AT_ONCE_MAX;
use hookgraph_domain::page::DeliveryQuery;
use hookgraph_domain::ports::{Entropy, Store};
use hookgraph_domain::settle::HealthSignal;
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use std::collections::BTreeMap;
use std::sync::Arc;

const AT_ONCE: usize = STOPPED_AT_ONCE_MAX as usize;

/// Records `count` events.
async fn record(world: &World, count: usize) {
    const EVENTS_OF_A_CHANGE: usize = 500;
    for first in (0..count).step_by(EVENTS_OF_A_CHANGE) {
        let mut change = Change::at(sample::now());
        for _ in first..count.min(first + EVENTS_OF_A_CHANGE) {
            change.events.push(sample::event(EventId(world.entropy.uuid(change.at)), world.tenant_id, "o1"));
        }
        world.store.commit(change).await.expect("recorded");
    }
}

/// A webhook that is owed `AT_ONCE` deliveries and `more`.
async fn owed(world: &World, more: usize) -> Webhook {
    let webhook = world.webhook().await;
    record(world, AT_ONCE + more).await;
    webhook
}

async fn states(world: &World) -> BTreeMap<DeliveryState, usize> {
    let mut counts = BTreeMap::new();
    let mut before = None;
    loop {
        let query = DeliveryQuery { before, limit: 1_000, ..world.delivery_query() };
        let page = world.store.delivery_page(&query).await.expect("read");
        let Some(last) = page.last() else { return counts };
        before = Some(last.id.0);
        page.iter().for_each(|delivery| *counts.entry(delivery.state).or_default() += 1);
    }
}

async fn stopping(world: &World) -> Vec<WebhookId> {
    world.store.webhooks_stopping(&[], 10).await.expect("read")
}

async fn stop_more(world: &World, webhook: &Webhook) {
    world.write(vec![Write::StopMore { webhook_id: webhook.id }]).await;
}

async fn pause(world: &World, webhook: &Webhook) {
    let hold = Write::HoldDue { webhook_id: webhook.id, reason: "the webhook is PAUSED".to_owned() };
    world.set_status(webhook.id, WebhookStatus::Paused, vec![hold]).await;
}

async fn switch_off(world: &World, webhook: &Webhook) {
    let cancel = Write::CancelDue { webhook_id: webhook.id, reason: "its webhook was switched off".to_owned() };
    world.set_status(webhook.id, WebhookStatus::Disabled, vec![cancel]).await;
}

async fn switch_on(world: &World, webhook: &Webhook) -> Result<(), CommitError> {
    let webhook = world.read_webhook(webhook.id).await;
    let expected = Expected::Version(webhook.version);
    let next =
        Webhook { version: webhook.version + 1, ..webhook.with_status(WebhookStatus::Active, None, sample::now()) };
    world.try_write(vec![Write::PutWebhook { webhook: next, expected }]).await.map(|_| ())
}

/// The delivery that is due first is held first, whatever its webhook does meanwhile; once all are held the webhook is
/// stopping no more.
pub async fn a_long_backlog_is_held_in_parts(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = owed(&world, AT_ONCE).await;
    pause(&world, &webhook).await;
    assert_eq!(
        states(&world).await,
        BTreeMap::from([(DeliveryState::Held, AT_ONCE), (DeliveryState::Pending, AT_ONCE)])
    );
    let oldest = world.store.held(webhook.id, 1).await.expect("read")[0];
    let all = DeliveryQuery { limit: 1_000, ..world.delivery_query() };
    let newest = world.store.delivery_page(&all).await.expect("read");
    assert!(newest.iter().all(|delivery| delivery.state == DeliveryState::Pending && delivery.id > oldest));
    assert_eq!(stopping(&world).await, [webhook.id]);
    stop_more(&world, &webhook).await;
    assert_eq!(states(&world).await, BTreeMap::from([(DeliveryState::Held, 2 * AT_ONCE)]));
    let reason = world.deliveries().await[0].state_reason.clone();
    assert_eq!(reason.as_deref(), Some("the webhook is PAUSED"), "of what was held last");
    // A batch that is not full tells that there is no more.
    assert_eq!(stopping(&world).await, [webhook.id]);
    stop_more(&world, &webhook).await;
    assert_eq!(stopping(&world).await, []);
    assert!(world.claim().await.is_empty());
}

/// A webhook whose backlog takes hours keeps no other webhook waiting.
pub async fn webhooks_that_stop_have_their_turns(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let first = world.webhook().await;
    let second = owed(&world, AT_ONCE).await;
    pause(&world, &first).await;
    pause(&world, &second).await;
    assert_eq!(stopping(&world).await, [first.id, second.id]);
    let mut more = Change::at(plus_ms(sample::now(), 1));
    more.writes.push(Write::StopMore { webhook_id: first.id });
    world.store.commit(more).await.expect("held");
    assert_eq!(stopping(&world).await, [second.id, first.id]);
}

/// A webhook that never comes to its end keeps no other from its own.
pub async fn webhooks_that_had_their_turns_are_left_out(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut stopped = Vec::new();
    for _ in 0..3 {
        let webhook = world.webhook().await;
        switch_off(&world, &webhook).await;
        stopped.push(webhook.id);
    }
    let but_not = async |had: &[WebhookId], limit| world.store.webhooks_stopping(had, limit).await.expect("read");
    assert_eq!(but_not(&[], 10).await, stopped);
    assert_eq!(but_not(&stopped[..1], 1).await, stopped[1..2]);
    assert_eq!(but_not(&stopped[1..2], 10).await, [stopped[0], stopped[2]]);
    assert_eq!(but_not(&stopped, 10).await, []);
}

/// A probe that is under way is not held.
pub async fn a_long_backlog_is_held_with_an_open_breaker_but_for_its_probe(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = owed(&world, 3).await;
    let claimed = world.claim_at(sample::now(), 1, 10).await.remove(0);
    let mut settlement = world.settlement(&claimed, DeliveryState::Retrying);
    settlement.health = Some(HealthSignal::Tripped { trip: Trip { attempts: 20, failed: 20 }, asked_ms: 0 });
    world.settle_as(settlement).await;
    // The delivery that failed is held by its own settlement.
    assert_eq!(states(&world).await, BTreeMap::from([(DeliveryState::Held, AT_ONCE + 1), (DeliveryState::Pending, 2)]));
    let probe_id = world.store.held(webhook.id, 1).await.expect("read")[0];
    let release = Write::ReleaseDeliveries { webhook_id: webhook.id, delivery_ids: vec![probe_id] };
    let begin = |webhook: &mut Webhook| webhook.breaker = webhook.breaker.probing(probe_id, sample::now());
    world.change_webhook(webhook.id, begin, vec![release]).await;
    stop_more(&world, &webhook).await;
    assert_eq!(
        states(&world).await,
        BTreeMap::from([(DeliveryState::Held, AT_ONCE + 2), (DeliveryState::Retrying, 1)])
    );
    assert_eq!(stopping(&world).await, []);
    assert_eq!(world.claim_one().await.delivery.id, probe_id);
}

/// Held deliveries are cancelled too; a test that was asked for meanwhile is sent.
pub async fn a_long_backlog_is_cancelled_before_its_webhook_is_switched_on(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = owed(&world, AT_ONCE + 5).await;
    let in_flight = world.claim_at(sample::now(), 1, 10).await.remove(0);
    pause(&world, &webhook).await;
    stop_more(&world, &webhook).await;
    switch_off(&world, &webhook).await;
    let rest = BTreeMap::from([
        (DeliveryState::Cancelled, AT_ONCE),
        (DeliveryState::Held, AT_ONCE),
        (DeliveryState::Pending, 4),
        (DeliveryState::InFlight, 1),
    ]);
    assert_eq!(states(&world).await, rest);
    assert!(world.delivery(in_flight.delivery.id).await.cancel_requested);
    let refused = switch_on(&world, &webhook).await;
    assert!(matches!(&refused, Err(CommitError::Refused(why)) if why.contains("still being cancelled")), "{refused:?}");
    let event = DeliveryEvent::Recorded(in_flight.delivery.event_id);
    let test_id: DeliveryId = world.id();
    let asked = NewDelivery {
        id: test_id,
        tenant_id: world.tenant_id,
        webhook_id: webhook.id,
        event,
        purpose: DeliveryPurpose::Test,
    };
    world.write(vec![Write::InsertDelivery(asked)]).await;
    stop_more(&world, &webhook).await;
    assert_eq!(states(&world).await[&DeliveryState::Cancelled], 2 * AT_ONCE);
    assert_eq!(stopping(&world).await, [webhook.id]);
    let tested = world.claim_one().await.delivery;
    assert_eq!(tested.id, test_id);
    stop_more(&world, &webhook).await;
    assert!(!world.delivery(test_id).await.cancel_requested, "it is sent though its webhook is switched off");
    assert_eq!(states(&world).await[&DeliveryState::Cancelled], 2 * AT_ONCE + 4);
    switch_on(&world, &webhook).await.expect("nothing is left of it");
    let ended = DeliveryQuery { states: vec![DeliveryState::Cancelled], limit: 1_000, ..world.delivery_query() };
    for delivery in world.store.delivery_page(&ended).await.expect("read") {
        assert_eq!(delivery.state_reason.as_deref(), Some("its webhook was switched off"));
    }
    assert_eq!(stopping(&world).await, []);
}

/// A webhook is stopping after any cancel, however little was due: a delivery that is being leased at that moment may
/// be visible to a later transaction alone.
pub async fn what_ends_with_its_webhook_is_looked_at_once_more(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    switch_off(&world, &webhook).await;
    assert_eq!(stopping(&world).await, [webhook.id]);
    switch_on(&world, &webhook).await.expect("nothing is due");
    assert_eq!(stopping(&world).await, []);
    world.event().await;
    let in_flight = world.claim_one().await.delivery;
    world.event().await;
    switch_off(&world, &webhook).await;
    switch_on(&world, &webhook).await.expect("little is due");
    assert!(world.claim().await.is_empty());
    assert!(world.delivery(in_flight.id).await.cancel_requested);
    switch_off(&world, &webhook).await;
    stop_more(&world, &webhook).await;
    assert_eq!(stopping(&world).await, []);
}

/// A deleted webhook is not switched on any more.
pub async fn a_long_backlog_is_cancelled_with_its_deleted_webhook(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = owed(&world, 1).await;
    let cancel = Write::CancelDue { webhook_id: webhook.id, reason: "its webhook was deleted".to_owned() };
    world.change_webhook(webhook.id, |webhook| webhook.deleted_at = Some(sample::now()), vec![cancel]).await;
    assert_eq!(stopping(&world).await, [webhook.id]);
    stop_more(&world, &webhook).await;
    assert_eq!(states(&world).await, BTreeMap::from([(DeliveryState::Cancelled, AT_ONCE + 1)]));
    assert_eq!(stopping(&world).await, []);
}

/// The deliveries that were not held by then go on as they were.
pub async fn a_webhook_that_sends_again_stops_no_more(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = owed(&world, 1).await;
    pause(&world, &webhook).await;
    world.set_status(webhook.id, WebhookStatus::Active, Vec::new()).await;
    stop_more(&world, &webhook).await;
    assert_eq!(stopping(&world).await, []);
    assert_eq!(states(&world).await, BTreeMap::from([(DeliveryState::Held, AT_ONCE), (DeliveryState::Pending, 1)]));
    world.claim_one().await;
}
