//! Breakers, their probes, and the drain that follows.

use super::World;
use crate::sample;
use hookgraph_domain::breaker::{Breaker, Trip};
use hookgraph_domain::change::Write;
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::drain::Drain;
use hookgraph_domain::flow::{FlowSettings, Ordering};
use hookgraph_domain::ids::{DeliveryId, WebhookId};
use hookgraph_domain::ports::Store;
use hookgraph_domain::settle::HealthSignal;
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use std::sync::Arc;

/// A webhook that is suspended, and its two deliveries, one of which was in flight as the breaker opened.
async fn tripped(world: &World) -> (Webhook, DeliveryId, DeliveryId) {
    let webhook = world.webhook().await;
    world.event().await;
    world.event().await;
    let claimed = world.claim_at(sample::now(), 1, 10).await.remove(0);
    let mut settlement = world.settlement(&claimed, DeliveryState::Retrying);
    settlement.health = Some(HealthSignal::Tripped { trip: Trip { attempts: 20, failed: 20 }, asked_ms: 0 });
    world.settle_as(settlement).await;
    let held = world.store.held(webhook.id, 10).await.expect("read");
    let [first, second] = held[..] else { panic!("two are held: {held:?}") };
    (world.read_webhook(webhook.id).await, first, second)
}

async fn probe(world: &World, webhook_id: WebhookId, probe_id: DeliveryId) {
    let release = Write::ReleaseDeliveries { webhook_id, delivery_ids: vec![probe_id] };
    let begin = |webhook: &mut Webhook| webhook.breaker = webhook.breaker.probing(probe_id, sample::now());
    world.change_webhook(webhook_id, begin, vec![release]).await;
}

/// The settings, an open breaker and a drain are read as they were written.
pub async fn flow_reads_back_as_written(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let open = world
        .webhook_with(|webhook| {
            webhook.flow = FlowSettings { concurrency: 7, rate_per_second: Some(3), ordering: Ordering::ByRecord };
            webhook.status = WebhookStatus::Suspended;
            webhook.breaker = Breaker::opened(sample::now()).probing(world.id(), sample::now());
            webhook.breaker.probes_failed = 4;
        })
        .await;
    assert_eq!(world.read_webhook(open.id).await, open);
    let draining = world.webhook_with(|webhook| webhook.draining = Some(Drain::begun(sample::now()))).await;
    assert_eq!(world.read_webhook(draining.id).await, draining);
}

/// The deliveries are held in the transaction that suspends the webhook.
pub async fn a_trip_holds_all_that_is_due(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (webhook, first, second) = tripped(&world).await;
    assert_eq!((webhook.status, webhook.version), (WebhookStatus::Suspended, 2));
    assert_eq!(webhook.breaker, Breaker::opened(sample::now()));
    for id in [first, second] {
        let held = world.delivery(id).await;
        assert_eq!((held.state, held.due_at), (DeliveryState::Held, None));
    }
    assert!(world.claim_at(plus_ms(sample::now(), 3_600_000), 10, 10).await.is_empty());
}

/// The probe is also claimed again after its lease was given back.
pub async fn a_suspended_webhook_gets_its_probe_alone(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (webhook, first, second) = tripped(&world).await;
    probe(&world, webhook.id, second).await;
    let claimed = world.claim_one().await;
    assert_eq!(claimed.delivery.id, second);
    let key = (second, claimed.delivery.fencing_token);
    world.store.release(&[key], sample::now()).await.expect("release");
    assert_eq!(world.delivery(second).await.state, DeliveryState::Pending);
    assert_eq!(world.claim_one().await.delivery.id, second);
    assert_eq!(world.delivery(first).await.state, DeliveryState::Held);
}

/// The other deliveries stay held, for the drain to release.
pub async fn a_delivered_probe_sets_its_webhook_to_work(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (webhook, first, second) = tripped(&world).await;
    probe(&world, webhook.id, first).await;
    let claimed = world.claim_one().await;
    let mut settlement = world.settlement(&claimed, DeliveryState::Delivered);
    settlement.health = Some(HealthSignal::ProbeSucceeded);
    world.settle_as(settlement).await;
    let closed = world.read_webhook(webhook.id).await;
    assert_eq!((closed.status, closed.draining), (WebhookStatus::Active, Some(Drain::begun(sample::now()))));
    assert_eq!(world.delivery(first).await.state, DeliveryState::Delivered);
    assert_eq!(world.delivery(second).await.state, DeliveryState::Held);
    let waiting = world.store.webhooks_to_drain(sample::now(), 10).await.expect("read");
    assert_eq!(waiting, [closed]);
}

/// The webhook waits for its next probe for as long as its receiver asked.
pub async fn a_failed_probe_is_held_again(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (webhook, first, _) = tripped(&world).await;
    probe(&world, webhook.id, first).await;
    let claimed = world.claim_one().await;
    let mut settlement = world.settlement(&claimed, DeliveryState::Held);
    settlement.health = Some(HealthSignal::ProbeFailed { asked_ms: 30_000 });
    world.settle_as(settlement).await;
    assert_eq!(world.delivery(first).await.state, DeliveryState::Held);
    let open = world.read_webhook(webhook.id).await;
    assert_eq!((open.status, open.breaker.probes_failed), (WebhookStatus::Suspended, 1));
    let at = |later_ms| plus_ms(sample::now(), later_ms);
    assert!(world.store.webhooks_to_probe(at(29_999), 10).await.expect("read").is_empty());
    assert_eq!(world.store.webhooks_to_probe(at(30_000), 10).await.expect("read"), [open]);
}

/// The webhook drained while its probe was under way, so nobody else would make the probe due.
pub async fn a_probe_that_fails_after_a_resume_is_due_again(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (webhook, first, _) = tripped(&world).await;
    probe(&world, webhook.id, first).await;
    let claimed = world.claim_one().await;
    world
        .change_webhook(
            webhook.id,
            |it| *it = it.clone().with_status(WebhookStatus::Active, None, it.created_at),
            vec![],
        )
        .await;
    let mut settlement = world.settlement(&claimed, DeliveryState::Held);
    settlement.health = Some(HealthSignal::ProbeFailed { asked_ms: 0 });
    world.settle_as(settlement).await;
    let again = world.delivery(first).await;
    assert_eq!((again.state, again.due_at), (DeliveryState::Retrying, Some(sample::now())));
}

/// Deliveries that are not held, and deliveries of other webhooks, stay as they are.
pub async fn only_what_is_held_is_released(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (webhook, first, second) = tripped(&world).await;
    let other = world.webhook_with(|other| other.status = WebhookStatus::Paused).await;
    world.event().await;
    let elsewhere = world.store.held(other.id, 10).await.expect("read")[0];
    let cancel = Write::CancelDelivery { delivery_id: first, reason: "by a person".to_owned() };
    let delivery_ids = vec![first, second, elsewhere];
    world.write(vec![cancel, Write::ReleaseDeliveries { webhook_id: webhook.id, delivery_ids }]).await;
    assert_eq!(world.delivery(first).await.state, DeliveryState::Cancelled);
    let released = world.delivery(second).await;
    assert_eq!((released.due_at, released.state_reason), (Some(sample::now()), None));
    assert_eq!(world.delivery(elsewhere).await.state, DeliveryState::Held);
    assert_eq!(world.fed_states(second).await.last(), Some(&released.state));
}
