//! Retention: old history is removed, deliveries that are owed stay, and a reader who comes too late is told.

use super::World;
use crate::sample;
use hookgraph_domain::audit::AuditQuery;
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::feed::FeedFilter;
use hookgraph_domain::ids::EventId;
use hookgraph_domain::ports::{Entropy, PrunePosition, Store};
use hookgraph_domain::replay::{Replay, ReplayState};
use hookgraph_domain::retention::{HistoryCut, RetentionRules};
use hookgraph_domain::settle::Settlement;
use hookgraph_domain::tenant::{CopyState, CopyTask};
use hookgraph_domain::time::{Timestamp, plus_ms};
use hookgraph_domain::webhook::WebhookStatus;
use std::sync::Arc;

const DAY_MS: u64 = 24 * 3600 * 1000;
const RULES: RetentionRules =
    RetentionRules { history_days: 30, history_bytes_max: None, feed_days: 7, due_days: 30, audit_days: 365 };

/// The moment that lies `days` days after the beginning.
fn day(days: u64) -> Timestamp {
    plus_ms(sample::now(), days * DAY_MS)
}

/// The cut as of that day.
fn cut(days: u64) -> HistoryCut {
    HistoryCut::by_age(&RULES, day(days))
}

/// The history of an event is its deliveries, attempts, payloads, skips and tombstones.
pub async fn old_history_goes_with_all_that_belongs_to_it(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook_with_query().await;
    world.webhook_with(|webhook| webhook.status = WebhookStatus::Disabled).await;
    let old = EventId(world.entropy.uuid(sample::now()));
    let mut change = Change::at(sample::now());
    let mut event = sample::event(old, world.tenant_id, "o1");
    event.tombstone = Some(sample::record(world.tenant_id, "o1", 1));
    change.events.push(event);
    world.store.commit(change).await.expect("recorded");
    let claimed = world.claim_one().await;
    world.freeze(&claimed, r#"{"n":1}"#).await;
    world.settle(&claimed, DeliveryState::Delivered).await;
    let new = world.event_at(day(20)).await.0;
    let id = claimed.delivery.id;

    assert_eq!(world.prune(&cut(30), 100).await, 0, "the day itself is kept as a whole");
    assert_eq!(world.store.events(world.tenant_id, &[old, new]).await.expect("read").len(), 2);
    assert_eq!(world.prune(&cut(31), 100).await, 6);
    assert!(world.store.events(world.tenant_id, &[old]).await.expect("read").is_empty());
    assert!(world.store.deliveries(world.tenant_id, &[id]).await.expect("read").is_empty());
    assert!(world.store.attempts(&[id]).await.expect("read").is_empty());
    assert!(world.store.payloads(&[id]).await.expect("read").is_empty());
    assert!(world.store.event_skips(&[old]).await.expect("read").is_empty());
    assert!(world.store.tombstone(old).await.expect("read").is_none());
    let left: Vec<_> = world.deliveries().await.into_iter().map(|delivery| delivery.event_id).collect();
    assert_eq!(left, [new], "a page over what was removed shows what is left");
    assert_eq!(world.store.history_from().await.expect("read"), Some(cut(31).before));
    let kept = world.store.history_kept().await.expect("read");
    assert_eq!(kept.oldest_at.map(|at| at.date_naive()), Some(day(20).date_naive()));
    assert!(kept.bytes > 0);
}

/// The payload is kept too. The same event's other delivery, which ended long ago, is removed.
pub async fn what_is_owed_keeps_its_event_and_its_log_and_is_shown_after_its_end(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook_with_query().await;
    world.webhook_with_query().await;
    let event_id = world.event().await;
    let claimed = world.claim().await;
    let (owed, ended): (Vec<_>, Vec<_>) = claimed.into_iter().partition(|one| one.delivery.webhook_id == webhook.id);
    world.freeze(&owed[0], r#"{"n":1}"#).await;
    world.settle(&owed[0], DeliveryState::Retrying).await;
    world.settle(&ended[0], DeliveryState::Delivered).await;

    world.prune(&cut(40), 1).await;
    let owed_id = owed[0].delivery.id;
    assert_eq!(world.deliveries().await.iter().map(|delivery| delivery.id).collect::<Vec<_>>(), [owed_id]);
    assert_eq!(world.store.attempts(&[owed_id]).await.expect("read").len(), 1);
    let again = world.claim_at(day(40), 10, 10).await.remove(0);
    assert_eq!((again.event.id, again.payload.expect("frozen").json.as_ref()), (event_id, r#"{"n":1}"#));
    let delivered = world.settlement(&world.claim_at(day(41), 10, 10).await[0], DeliveryState::Delivered);
    world.settle_as(Settlement { now: day(41), ..delivered }).await;

    world.prune(&cut(41), 100).await;
    assert_eq!(world.delivery(owed_id).await.state, DeliveryState::Delivered, "it ended a moment ago");
    assert_eq!(world.store.events(world.tenant_id, &[event_id]).await.expect("read").len(), 1);
    world.prune(&cut(49), 100).await;
    assert!(world.deliveries().await.is_empty());
    assert!(world.store.events(world.tenant_id, &[event_id]).await.expect("read").is_empty());
    assert!(world.store.attempts(&[owed_id]).await.expect("read").is_empty());
}

/// The webhook stays while a delivery is owed to it or the history shows one.
pub async fn a_deleted_webhook_goes_with_the_last_of_its_history(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (webhook, kept) = (world.webhook().await, world.webhook().await);
    world.event().await;
    for claimed in world.claim().await {
        world.settle(&claimed, DeliveryState::Delivered).await;
    }
    world.change_webhook(webhook.id, |webhook| webhook.deleted_at = Some(sample::now()), Vec::new()).await;
    let there = async || world.store.webhooks(world.tenant_id, &[webhook.id, kept.id]).await.expect("read").len();
    world.prune(&cut(30), 100).await;
    assert_eq!(there().await, 2);
    world.prune(&cut(31), 100).await;
    assert_eq!(there().await, 1);
}

/// The steps go over several tenants and webhooks.
pub async fn the_size_of_a_step_changes_nothing(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let other = world.id();
    world.write(vec![Write::InsertTenant(sample::tenant(other, "other"))]).await;
    for _ in 0..2 {
        world.webhook_with_query().await;
    }
    for n in 0..5 {
        world.event_at(plus_ms(sample::now(), n)).await;
        let mut change = Change::at(sample::now());
        change.events.push(sample::event(world.id(), other, "o1"));
        world.store.commit(change).await.expect("recorded");
    }
    for claimed in world.claim_at(day(1), 100, 100).await {
        world.settle(&claimed, DeliveryState::Delivered).await;
    }
    assert_eq!(world.prune(&cut(40), 2).await, 10 + 10 + 10, "events, deliveries, attempts");
    assert_eq!(world.prune(&cut(40), 2).await, 0);
    assert_eq!(world.store.history_kept().await.expect("read").oldest_at, None);
}

/// A delivery in flight ends when it is settled, and a delivery that is owed for less long stays.
pub async fn what_is_held_for_too_long_expires_and_says_so(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let held = world.webhook_with(|webhook| webhook.status = WebhookStatus::Paused).await;
    let old = world.event().await;
    for n in 1..4 {
        world.event_at(day(n * 10)).await;
    }
    world.webhook().await;
    world.event_at(day(1)).await;
    let in_flight = world.claim_at(day(1), 10, 10).await;
    assert_eq!(in_flight.len(), 1);
    let (mut from, mut rows) = (PrunePosition::default(), 0);
    let reason = RULES.expired_reason();
    loop {
        let owed_before = RULES.owed_before(day(32));
        let step = world.store.expire_due(owed_before, &reason, day(32), from, 1).await.expect("expire");
        rows += step.rows;
        match step.next {
            Some(next) => from = next,
            None => break,
        }
    }
    let expired: Vec<_> =
        world.deliveries().await.into_iter().filter(|delivery| delivery.state == DeliveryState::Expired).collect();
    assert_eq!((rows, expired.len()), (2, 2), "that of the beginning, and that of a day later");
    let first = expired.iter().find(|delivery| delivery.event_id == old).expect("expired");
    assert_eq!((first.webhook_id, first.state_reason.as_deref()), (held.id, Some(reason.as_str())));
    assert_eq!((first.updated_at, first.due_at), (day(32), None));
    assert_eq!(world.fed_states(first.id).await, [DeliveryState::Held, DeliveryState::Expired]);
    assert_eq!(world.delivery(in_flight[0].delivery.id).await.state, DeliveryState::InFlight);
}

/// Replays and copies go by the time at which they ended, a few at each step.
pub async fn ended_replays_copies_and_audit_entries_go_and_what_runs_stays(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    let mut replays = Vec::new();
    let mut copies = Vec::new();
    for (state, copy_state, updated_at) in [
        (ReplayState::Finished, CopyState::Finished, day(0)),
        (ReplayState::Running, CopyState::Running, day(0)),
        (ReplayState::Failed, CopyState::Failed, day(1)),
        (ReplayState::Cancelled, CopyState::Finished, day(20)),
    ] {
        let replay = Replay { state, updated_at, ..super::replays::replay(&world, webhook.id) };
        let copy = CopyTask { state: copy_state, updated_at, ..super::tenants::copy_task(&world) };
        replays.push(replay.id);
        copies.push(copy.id);
        world.write(vec![Write::PutReplay { replay, expected: Expected::Absent }]).await;
        world.write(vec![Write::PutCopyTask { task: copy, expected: Expected::Absent }]).await;
    }
    for at in [day(0), day(1), day(20)] {
        world.write(vec![Write::Audit(super::tenants::audit_entry(&world, at))]).await;
    }
    let prune = async |days| {
        let cut = RetentionRules { audit_days: 30, ..RULES }.work_cut(day(days));
        let (mut from, mut rows) = (PrunePosition::default(), 0);
        loop {
            let step = world.store.prune_work(&cut, from, 1).await.expect("prune");
            rows += step.rows;
            let Some(next) = step.next else { return rows };
            from = next;
        }
    };
    assert_eq!(prune(30).await, 0);
    assert_eq!(prune(40).await, 2 + 2 + 2);
    assert_eq!(prune(40).await, 0);
    for (index, is_there) in [false, true, false, true].into_iter().enumerate() {
        let replay = world.store.replay(world.tenant_id, replays[index]).await.expect("read");
        let copy = world.store.copy_task(copies[index]).await.expect("read");
        assert_eq!((replay.is_some(), copy.is_some()), (is_there, is_there), "{index}");
    }
    let query = AuditQuery { tenant_id: world.tenant_id, subject: None, before: None, limit: 10 };
    let left: Vec<_> = world.store.audit_page(&query).await.expect("page").into_iter().map(|entry| entry.at).collect();
    assert_eq!(left, [day(20)]);
}

/// A reader is told only where it would miss an entry.
pub async fn a_reader_of_the_feed_is_told_of_what_was_removed(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    for n in [0, 1, 8, 9] {
        world.event_at(day(n)).await;
    }
    let page = async |tenant_id, after| {
        world.store.feed_page(tenant_id, after, &FeedFilter::default(), 100).await.expect("feed")
    };
    let all = page(world.tenant_id, 0).await.entries;
    let (mut from, mut rows) = (PrunePosition::default(), 0);
    while let step = world.store.prune_feed(RULES.feed_before(day(10)), from, 1).await.expect("prune")
        && let Some(next) = step.next
    {
        rows += step.rows;
        from = next;
    }
    assert!(rows <= 2);
    for cursor in [0, all[0].seq] {
        let told = page(world.tenant_id, cursor).await;
        assert_eq!((told.pruned_to, told.entries.len(), told.more), (Some(all[1].seq), 0, false));
    }
    let rest = page(world.tenant_id, all[1].seq).await;
    assert_eq!((rest.pruned_to, rest.entries), (None, all[2..].to_vec()));
    let stranger = world.id();
    world.write(vec![Write::InsertTenant(sample::tenant(stranger, "other"))]).await;
    assert_eq!(page(stranger, 0).await.pruned_to, None, "nothing of theirs was removed");
}
