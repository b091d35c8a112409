//! Lines of webhooks that keep order: how many deliveries of one stand in the way of claims, how long they are taken
//! out of the way, and what becomes of a line when the ordering changes; and how many retries a claim passes over.

use crate::databases::run;
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::delivery::{ClaimedDelivery, DeliveryState};
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::{EventId, WebhookId};
use hookgraph_domain::limits::STOPPED_AT_ONCE_MAX;
use hookgraph_domain::ports::{ClaimRequest, DeliveryQueue, Entropy, Fenced, FlowReader, Store};
use hookgraph_domain::time::{Timestamp, plus_ms};
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use hookgraph_storage::limits::{
    CLAIM_HEAD_ROWS_SPARE, CLAIM_LINED_ROWS_MAX, CLAIM_RETRIES_PASSED_MAX, CROWDED_MAX, LINED_UP_MS, LINED_UP_ROWS_MAX,
    PROBE_ROWS_LOOKED_AT_MAX,
};
use hookgraph_storage::{SqlStore, StoreOptions};
use hookgraph_testkit::conformance::World;
use hookgraph_testkit::{PlainVault, sample};
use std::sync::Arc;

const BEHIND: &str = "waits for an earlier delivery of its record";

async fn open(url: &str) -> (SqlStore, World) {
    let store = SqlStore::open(StoreOptions::new(url, Arc::new(PlainVault))).await.unwrap();
    store.migrate().await.unwrap();
    let world = World::new(Arc::new(store.clone()) as Arc<dyn Store>).await;
    (store, world)
}

fn request(now: Timestamp) -> ClaimRequest {
    ClaimRequest {
        now,
        leased_until: plus_ms(now, 60_000),
        limit: 100,
        in_flight_per_webhook_max: 100,
        limits: Vec::new(),
        limit_per_webhook: 100,
        retries_max: 100,
    }
}

fn by_record(webhook: &mut Webhook) {
    webhook.flow.ordering = Ordering::ByRecord;
}

/// `count` events of one record.
async fn record(world: &World, label: &str, count: i64) {
    for first in (0..count).step_by(500) {
        let mut change = Change::at(sample::now());
        for _ in first..count.min(first + 500) {
            let id = EventId(world.entropy.uuid(change.at));
            change.events.push(sample::event(id, world.tenant_id, label));
        }
        world.store.commit(change).await.unwrap();
    }
}

/// The deliveries of all claims until one makes no way and takes none.
async fn claimed(store: &SqlStore, request: &ClaimRequest) -> Vec<ClaimedDelivery> {
    let mut all = Vec::new();
    loop {
        let claims = store.claim(request).await.unwrap();
        let goes_on = claims.left.has_more || !claims.deliveries.is_empty();
        all.extend(claims.deliveries);
        if !goes_on {
            return all;
        }
    }
}

fn labels(claims: &[ClaimedDelivery]) -> Vec<&str> {
    claims.iter().map(|claim| claim.event.record_label.as_str()).collect()
}

async fn out_of_the_way(world: &World) -> usize {
    let query = hookgraph_domain::page::DeliveryQuery { limit: 1_000, ..world.delivery_query() };
    let page = world.store.delivery_page(&query).await.unwrap();
    page.iter().filter(|delivery| delivery.state_reason.as_deref() == Some(BEHIND)).count()
}

async fn so_many_may_stand_in_the_way(url: String) {
    let (store, world) = open(&url).await;
    world.webhook_with(by_record).await;
    record(&world, "a", CLAIM_LINED_ROWS_MAX + 1).await;
    record(&world, "b", 1).await;
    assert_eq!(labels(&claimed(&store, &request(sample::now())).await), ["order:a", "order:b"]);
    assert_eq!(out_of_the_way(&world).await, 0);
    record(&world, "b", 1).await;
    record(&world, "c", 1).await;
    assert_eq!(labels(&claimed(&store, &request(sample::now())).await), ["order:c"]);
    assert_eq!(out_of_the_way(&world).await as i64, CLAIM_LINED_ROWS_MAX + 1);
}

async fn so_many_go_out_of_the_way_at_once(url: String) {
    let (store, world) = open(&url).await;
    world.webhook_with(by_record).await;
    record(&world, "a", LINED_UP_ROWS_MAX + CLAIM_LINED_ROWS_MAX).await;
    record(&world, "b", 1).await;
    // The first claim expects due deliveries, so it takes no look; the second looks, and makes way for the third.
    let mut taken = Vec::new();
    for expected in [0, 0, 2] {
        let claims = store.claim(&request(sample::now())).await.unwrap();
        assert_eq!(claims.deliveries.len(), expected);
        assert!(claims.left.has_more || expected > 0);
        taken.extend(claims.deliveries);
    }
    assert_eq!(labels(&taken), ["order:a", "order:b"]);
}

/// The next one is due after an hour where the end of the one before went unnoticed.
async fn it_is_looked_at_again_after_a_while(url: String) {
    let (store, world) = open(&url).await;
    world.webhook_with(by_record).await;
    record(&world, "a", 600).await;
    let first = claimed(&store, &request(sample::now())).await;
    assert_eq!(labels(&first), ["order:a"]);
    run(&url, "DELETE FROM due WHERE state = 'IN_FLIGHT'").await;
    let last_moment = plus_ms(sample::now(), LINED_UP_MS - 1);
    assert!(claimed(&store, &request(last_moment)).await.is_empty());
    let again = claimed(&store, &request(plus_ms(sample::now(), LINED_UP_MS))).await;
    assert_eq!(labels(&again), ["order:a"]);
    assert!(again[0].delivery.id > first[0].delivery.id);
}

async fn the_health_of_a_webhook_counts_what_is_out_of_the_way(url: String) {
    let (store, world) = open(&url).await;
    let webhook = world.webhook_with(by_record).await;
    record(&world, "a", 600).await;
    let first = claimed(&store, &request(sample::now())).await;
    world.settle(&first[0], DeliveryState::Retrying).await;
    let backlog = store.backlog(webhook.id, 1_000).await.unwrap();
    assert_eq!((backlog.count, backlog.oldest_due_at), (600, Some(sample::now())));
}

/// More webhooks are crowded than one claim names.
async fn crowded_webhooks_all_have_their_turn(url: String) {
    let (store, world) = open(&url).await;
    for _ in 0..=CROWDED_MAX {
        world.webhook_with(by_record).await;
    }
    record(&world, "a", CLAIM_LINED_ROWS_MAX + 2).await;
    record(&world, "b", 1).await;
    let all = claimed(&store, &request(sample::now())).await;
    for label in ["order:a", "order:b"] {
        assert_eq!(labels(&all).iter().filter(|of| **of == label).count(), CROWDED_MAX + 1, "{label}");
    }
}

/// The deliveries were recorded while the ordering changed.
async fn lines_that_are_left_of_an_ordering_stop_nobody(url: String) {
    let (store, world) = open(&url).await;
    world.webhook_with(|webhook| webhook.flow.concurrency = 10).await;
    record(&world, "a", CLAIM_LINED_ROWS_MAX + 100).await;
    run(&url, "UPDATE due SET order_key = 'order:a'").await;
    let first = claimed(&store, &request(sample::now())).await;
    assert_eq!(labels(&first), ["order:a"; 10]);
    world.settle(&first[0], DeliveryState::Retrying).await;
    assert_eq!(claimed(&store, &request(sample::now())).await.len(), 1, "its slots but nine");
}

const AT_ONCE: i64 = STOPPED_AT_ONCE_MAX as i64;

/// The webhooks that are noted as lining.
async fn lining(world: &World) -> Vec<WebhookId> {
    world.store.webhooks_stopping(&[], 10).await.unwrap()
}

async fn line_more(world: &World, at: Timestamp, webhook_id: WebhookId) {
    let writes = vec![Write::StopMore { webhook_id }];
    world.store.commit(Change { writes, ..Change::at(at) }).await.unwrap();
}

/// No delivery of the webhook is claimed before all are in line, also if the webhook is saved again meanwhile.
async fn a_long_backlog_joins_its_lines_in_parts(url: String) {
    let (store, world) = open(&url).await;
    let webhook = world.webhook().await;
    record(&world, "a", AT_ONCE).await;
    record(&world, "b", 2).await;
    world.change_webhook(webhook.id, by_record, Vec::new()).await;
    world.change_webhook(webhook.id, |webhook| webhook.name = "saved".to_owned(), Vec::new()).await;
    assert_eq!(lining(&world).await, [webhook.id]);
    assert!(claimed(&store, &request(sample::now())).await.is_empty());
    line_more(&world, sample::now(), webhook.id).await;
    assert_eq!(lining(&world).await, []);
    assert_eq!(labels(&claimed(&store, &request(sample::now())).await), ["order:a", "order:b"]);
}

/// Deliveries that have left their lines are sent meanwhile, and deliveries in flight count.
async fn a_long_backlog_leaves_its_lines_in_parts(url: String) {
    let (store, world) = open(&url).await;
    let webhook = world.webhook_with(by_record).await;
    record(&world, "a", AT_ONCE + 300).await;
    assert_eq!(claimed(&store, &request(sample::now())).await.len(), 1);
    let later = plus_ms(sample::now(), 1_000);
    world.save_at(later, webhook.id, |webhook| webhook.flow.ordering = Ordering::None).await;
    assert_eq!(lining(&world).await, [webhook.id]);
    assert_eq!(out_of_the_way(&world).await, 299);
    let slots = webhook.flow.concurrency as usize;
    assert_eq!(claimed(&store, &request(later)).await.len(), slots - 1);
    let latest = plus_ms(later, 1_000);
    line_more(&world, latest, webhook.id).await;
    assert_eq!(lining(&world).await, []);
    assert_eq!(out_of_the_way(&world).await, 0);
    assert!(claimed(&store, &request(latest)).await.is_empty());
}

async fn an_ordering_that_is_changed_back_holds_at_once(url: String) {
    let (store, world) = open(&url).await;
    let webhook = world.webhook().await;
    record(&world, "a", AT_ONCE + 1).await;
    world.change_webhook(webhook.id, by_record, Vec::new()).await;
    assert_eq!(lining(&world).await, [webhook.id]);
    world.change_webhook(webhook.id, |webhook| webhook.flow.ordering = Ordering::None, Vec::new()).await;
    assert_eq!(lining(&world).await, []);
    let claims = claimed(&store, &request(sample::now())).await;
    assert_eq!(claims.len(), webhook.flow.concurrency as usize);
}

/// Deliveries that left the line may have ended meanwhile, and nobody would move up the delivery behind them.
async fn an_ordering_that_is_changed_back_leaves_nothing_out_of_the_way(url: String) {
    let (store, world) = open(&url).await;
    let webhook = world.webhook_with(by_record).await;
    record(&world, "a", AT_ONCE + 300).await;
    assert_eq!(claimed(&store, &request(sample::now())).await.len(), 1);
    let later = plus_ms(sample::now(), 1_000);
    world.save_at(later, webhook.id, |webhook| webhook.flow.ordering = Ordering::None).await;
    assert_eq!(out_of_the_way(&world).await, 299);
    let latest = plus_ms(later, 1_000);
    world.save_at(latest, webhook.id, by_record).await;
    line_more(&world, latest, webhook.id).await;
    assert_eq!(lining(&world).await, []);
    assert_eq!(out_of_the_way(&world).await, 0);
    assert!(claimed(&store, &request(latest)).await.is_empty(), "the first of the line is in flight");
}

async fn a_webhook_that_is_deleted_is_put_in_order_no_more(url: String) {
    let (store, world) = open(&url).await;
    let webhook = world.webhook().await;
    record(&world, "a", AT_ONCE + 1).await;
    world.change_webhook(webhook.id, by_record, Vec::new()).await;
    let cancel = Write::CancelDue { webhook_id: webhook.id, reason: "its webhook was deleted".to_owned() };
    world.change_webhook(webhook.id, |webhook| webhook.deleted_at = Some(sample::now()), vec![cancel]).await;
    line_more(&world, sample::now(), webhook.id).await;
    assert_eq!(lining(&world).await, []);
    assert_eq!(store.backlog(webhook.id, 10).await.unwrap().count, 0);
}

async fn what_is_due_for_webhooks_that_are_gone_is_removed(url: String) {
    let (store, world) = open(&url).await;
    world.webhook_with(by_record).await;
    record(&world, "a", 2).await;
    run(&url, "DELETE FROM webhook").await;
    assert!(claimed(&store, &request(sample::now())).await.is_empty());
    let held = world.webhook_with(|webhook| webhook.status = WebhookStatus::Paused).await;
    assert_eq!(store.backlog(held.id, 10).await.unwrap().count, 0);
    assert_eq!(world.deliveries().await, []);
}

async fn so_many_are_looked_at_for_a_probe(url: String) {
    let (store, world) = open(&url).await;
    let webhook = world
        .webhook_with(|webhook| {
            by_record(webhook);
            webhook.status = WebhookStatus::Suspended;
        })
        .await;
    record(&world, "a", PROBE_ROWS_LOOKED_AT_MAX - 1).await;
    record(&world, "b", 2).await;
    let held = store.held(webhook.id, 1_000).await.unwrap();
    assert_eq!(store.held_to_probe(webhook.id, 10).await.unwrap(), [held[0], held[999]]);
    let first = Write::CancelDelivery { delivery_id: held[999], reason: "by a person".to_owned() };
    world.write(vec![first]).await;
    record(&world, "a", 1).await;
    let b = store.held_to_probe(webhook.id, 10).await.unwrap();
    assert_eq!(b.len(), 2, "the next of b has moved up among those looked at");
}

/// Where no retry may be claimed, first attempts are found behind a bounded number of them.
async fn retries_are_passed_over_to_a_bound(url: String) {
    let (store, world) = open(&url).await;
    let webhook = world.webhook_with(|webhook| webhook.flow.concurrency = 2).await;
    let window_rows = i64::from(webhook.flow.concurrency) + CLAIM_HEAD_ROWS_SPARE;
    record(&world, "a", window_rows + CLAIM_RETRIES_PASSED_MAX - 1).await;
    run(&url, "UPDATE due SET state = 'RETRYING', attempts_spent = 1").await;
    let later = plus_ms(sample::now(), 1);
    world.event_at(later).await;
    let request = ClaimRequest { retries_max: 0, ..request(later) };
    let first = store.claim(&request).await.unwrap().deliveries;
    assert_eq!(first.iter().map(|claim| claim.delivery.attempts_spent).collect::<Vec<_>>(), [0]);
    assert_eq!(world.settle(&first[0], DeliveryState::Delivered).await, Fenced::Done);

    record(&world, "b", 1).await;
    run(&url, "UPDATE due SET state = 'RETRYING', attempts_spent = 1").await;
    world.event_at(later).await;
    assert!(claimed(&store, &request).await.is_empty(), "one retry more hides it");
}

on_both_databases! {
    retries_are_passed_over_to_a_bound: retries_on_sqlite, retries_on_postgresql;
    so_many_may_stand_in_the_way: in_the_way_on_sqlite, in_the_way_on_postgresql;
    so_many_go_out_of_the_way_at_once: at_once_on_sqlite, at_once_on_postgresql;
    it_is_looked_at_again_after_a_while: again_on_sqlite, again_on_postgresql;
    the_health_of_a_webhook_counts_what_is_out_of_the_way: health_on_sqlite, health_on_postgresql;
    crowded_webhooks_all_have_their_turn: crowded_on_sqlite, crowded_on_postgresql;
    lines_that_are_left_of_an_ordering_stop_nobody: left_on_sqlite, left_on_postgresql;
    a_long_backlog_joins_its_lines_in_parts: joins_on_sqlite, joins_on_postgresql;
    a_long_backlog_leaves_its_lines_in_parts: leaves_on_sqlite, leaves_on_postgresql;
    an_ordering_that_is_changed_back_holds_at_once: back_on_sqlite, back_on_postgresql;
    an_ordering_that_is_changed_back_leaves_nothing_out_of_the_way: back_in_line_on_sqlite, back_in_line_on_postgresql;
    a_webhook_that_is_deleted_is_put_in_order_no_more: deleted_on_sqlite, deleted_on_postgresql;
    what_is_due_for_webhooks_that_are_gone_is_removed: gone_on_sqlite, gone_on_postgresql;
    so_many_are_looked_at_for_a_probe: probe_on_sqlite, probe_on_postgresql;
}
