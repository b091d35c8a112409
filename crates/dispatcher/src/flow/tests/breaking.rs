//! The breaker: from the first failure to the last drained delivery.

use super::*;
use hookgraph_domain::delivery::{DeliveryEvent, DeliveryPurpose, NewDelivery};
use hookgraph_domain::limits::{FAILING_MS_MAX, PROBE_LOST_MS, STOPPED_AT_ONCE_MAX};

/// A world with `event_count` events. The first twenty failed and opened the breaker.
async fn suspended(event_count: usize) -> World {
    let world = World::with(|_| {}).await;
    world.answers(503);
    world.events(20, "o1").await;
    assert_eq!(world.work().await.sent, 20);
    assert_eq!(world.webhook().await.status, WebhookStatus::Suspended);
    world.events(event_count - 20, "o1").await;
    world
}

#[tokio::test]
async fn a_receiver_that_keeps_failing_is_left_alone_and_nothing_is_spent_on_it() {
    let world = suspended(30).await;
    assert_eq!(world.states().await, BTreeMap::from([(DeliveryState::Held, 30)]));
    assert_eq!(world.webhook().await.status_reason.as_deref(), Some("20 of 20 attempts failed within 60 s"));
    for _ in 0..9 {
        world.clock.advance_ms(1_000);
        assert_eq!(world.round().await, FlowRound::default());
        assert_eq!(world.work_all().await, 0);
    }
}

#[tokio::test]
async fn one_held_delivery_probes_at_a_time_after_growing_waits() {
    let world = suspended(30).await;
    let spent_before: u32 = world.deliveries().await.iter().map(|delivery| delivery.attempts_spent).sum();
    for wait_ms in [10_000, 20_000, 40_000, 80_000] {
        world.clock.advance_ms(wait_ms - 1);
        assert_eq!(world.round().await.probes, 0, "before {wait_ms} ms");
        world.clock.advance_ms(1);
        assert_eq!(world.round().await.probes, 1, "after {wait_ms} ms");
        assert_eq!(world.round().await.probes, 0, "one at a time");
        assert_eq!(world.work_all().await, 1);
        assert_eq!(world.states().await, BTreeMap::from([(DeliveryState::Held, 30)]));
    }
    let deliveries = world.deliveries().await;
    assert_eq!(deliveries.iter().map(|delivery| delivery.attempts_spent).sum::<u32>(), spent_before);
    let probed = deliveries.iter().filter(|delivery| delivery.attempt_count == 2).count();
    assert_eq!(probed, 4, "each probe took another delivery, and is in its log");
}

#[tokio::test]
async fn a_receiver_that_is_back_gets_everything_at_a_rising_pace() {
    let world = suspended(200).await;
    world.answers(200);
    world.clock.advance_ms(10_000);
    assert_eq!(world.round().await.probes, 1);
    assert_eq!(world.work_all().await, 1);
    assert_eq!(world.webhook().await.status, WebhookStatus::Active);
    let mut batches = Vec::new();
    while world.webhook().await.draining.is_some() {
        batches.push(world.round().await.drained);
        assert_eq!(world.round().await.drained, 0, "not twice at a time");
        assert_eq!(world.work_all().await, *batches.last().expect("a batch"));
        world.clock.advance_ms(500);
    }
    assert_eq!(batches[..11], [5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 10]);
    assert_eq!(batches.iter().sum::<usize>(), 199);
    assert_eq!(world.states().await, BTreeMap::from([(DeliveryState::Delivered, 200)]));
}

#[tokio::test]
async fn a_probe_that_never_comes_back_makes_way_for_another() {
    let world = suspended(21).await;
    world.clock.advance_ms(10_000);
    world.round().await;
    let probe_id = world.webhook().await.breaker.probe_id.expect("a probe");
    world.write(vec![Write::CancelDelivery { delivery_id: probe_id, reason: "by a person".to_owned() }]).await;
    world.clock.advance_ms(PROBE_LOST_MS);
    assert_eq!(world.round().await.probes, 1);
    assert_ne!(world.webhook().await.breaker.probe_id, Some(probe_id));
}

/// Each of the two oldest deliveries is held again when the next probe begins: they must not have every turn.
#[tokio::test]
async fn probes_that_can_never_be_rendered_do_not_keep_a_webhook_suspended_whose_receiver_is_back() {
    let query = "query ($id: ID!) { order { get(id: $id) { id } } }";
    let world = World::with(|webhook| webhook.graphql_query = Some(query.to_owned())).await;
    world.answers(503);
    world.events(2, "broken").await;
    world.events(20, "o1").await;
    assert_eq!(world.work().await.sent, 20);
    assert_eq!(world.states().await, BTreeMap::from([(DeliveryState::Held, 22)]));
    world.answers(200);
    let mut probes = Vec::new();
    for (wait_ms, sent) in [(10_000, 0), (PROBE_LOST_MS, 0), (PROBE_LOST_MS, 1)] {
        assert_eq!(world.webhook().await.status, WebhookStatus::Suspended);
        world.clock.advance_ms(wait_ms);
        assert_eq!(world.round().await.probes, 1);
        probes.extend(world.webhook().await.breaker.probe_id);
        assert_eq!(world.work_all().await, sent);
    }
    let oldest: Vec<_> = world.deliveries().await.iter().take(3).map(|delivery| delivery.id).collect();
    assert_eq!(probes, oldest);
    assert_eq!(world.webhook().await.status, WebhookStatus::Active);
}

#[tokio::test]
async fn with_nothing_held_there_is_nothing_to_probe_with_until_an_event_comes() {
    let world = suspended(20).await;
    for delivery in world.deliveries().await {
        let reason = "by a person".to_owned();
        world.write(vec![Write::CancelDelivery { delivery_id: delivery.id, reason }]).await;
    }
    world.clock.advance_ms(10_000);
    assert_eq!(world.round().await.probes, 0);
    world.events(1, "o2").await;
    world.clock.advance_ms(10_000);
    assert_eq!(world.round().await.probes, 1);
}

#[tokio::test]
async fn five_days_of_failed_probes_disable_the_webhook() {
    let world = suspended(25).await;
    world.clock.advance_ms(FAILING_MS_MAX);
    world.round().await;
    assert_eq!(world.work_all().await, 1);
    assert_eq!(world.webhook().await.status, WebhookStatus::AutoDisabled);
    world.clock.advance_ms(FAILING_MS_MAX);
    assert_eq!(world.round().await, FlowRound::default());
    assert_eq!(world.states().await, BTreeMap::from([(DeliveryState::Held, 25)]));
}

#[tokio::test]
async fn tests_open_no_breaker() {
    let world = World::with(|_| {}).await;
    world.answers(503);
    for _ in 0..30 {
        let event = Box::new(sample::event(EventId(world.entropy.uuid(world.clock.now())), TENANT, "o1"));
        let test = NewDelivery {
            id: world.entropy.uuid(world.clock.now()).into(),
            tenant_id: TENANT,
            webhook_id: WEBHOOK,
            event: DeliveryEvent::Synthetic(event),
            purpose: DeliveryPurpose::Test,
        };
        world.write(vec![Write::InsertDelivery(test)]).await;
    }
    assert_eq!(world.work().await.sent, 30);
    assert_eq!(world.webhook().await.status, WebhookStatus::Active);
}

#[tokio::test]
async fn a_pause_ends_the_breaker_and_resuming_drains() {
    let world = suspended(30).await;
    world.set_status(WebhookStatus::Paused).await;
    world.clock.advance_ms(3_600_000);
    assert_eq!(world.round().await, FlowRound::default());
    world.answers(200);
    world.set_status(WebhookStatus::Active).await;
    let mut sent = 0;
    while world.webhook().await.draining.is_some() {
        world.round().await;
        sent += world.work_all().await;
        world.clock.advance_ms(500);
    }
    assert_eq!(sent, 30);
}

#[tokio::test]
async fn a_backlog_longer_than_one_transaction_holds_is_held_by_the_next_rounds() {
    let world = World::with(|_| {}).await;
    let at_once = STOPPED_AT_ONCE_MAX as usize;
    let mut change = Change::at(world.clock.now());
    let event = || sample::event(EventId(world.entropy.uuid(world.clock.now())), TENANT, "o1");
    change.events.extend((0..=at_once).map(|_| event()));
    world.store.commit(change).await.expect("recorded");
    let hold = Write::HoldDue { webhook_id: WEBHOOK, reason: "the webhook is PAUSED".to_owned() };
    let webhook = world.webhook().await.with_status(WebhookStatus::Paused, None, world.clock.now());
    world.write(vec![moved_on(webhook), hold]).await;
    assert_eq!(world.states().await[&DeliveryState::Pending], 1);
    assert_eq!(world.round().await, FlowRound { stopped: 1, ..FlowRound::default() });
    assert_eq!(world.states().await, BTreeMap::from([(DeliveryState::Held, at_once + 1)]));
    assert_eq!(world.round().await, FlowRound::default(), "nothing is left to hold");
}
