//! The feed, which is in commit order and resumable by cursor.

use super::World;
use crate::sample;
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::feed::{FeedChange, FeedFilter, FeedKind, FeedMoves};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::ports::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const EVERYTHING: fn() -> FeedFilter = FeedFilter::default;

/// A claim changes the state as well, and is in the feed.
pub async fn every_state_change_is_in_the_feed_in_order(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    let event_id = world.event().await;
    let claimed = world.claim_one().await;
    world.settle(&claimed, DeliveryState::Delivered).await;
    let page = world.store.feed_page(world.tenant_id, 0, &EVERYTHING(), 100).await.expect("feed");
    assert!(matches!(&page.entries[0].what, FeedChange::EventRecorded { event_id: id, event_type }
        if *id == event_id && event_type.concern == "orders"));
    let FeedChange::DeliveryUpdated { attempt_count, event_id: of, .. } = &page.entries[3].what else {
        panic!("the last entry is the settle: {page:?}");
    };
    assert_eq!((*attempt_count, *of), (1, event_id));
    let states = world.fed_states(claimed.delivery.id).await;
    assert_eq!(states, [DeliveryState::Pending, DeliveryState::InFlight, DeliveryState::Delivered]);
    assert!(page.entries.is_sorted_by(|a, b| a.seq < b.seq));
    assert_eq!(page.read_to_seq, world.store.latest_seq().await.expect("seq"));
    assert!(!page.more);
    assert_eq!(page.entries[0].at, sample::now());
}

/// The reader takes pages of three entries.
pub async fn a_reader_resumes_by_cursor_without_gap_or_duplicate(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    for _ in 0..5 {
        world.event().await;
    }
    let (mut seqs, mut cursor) = (Vec::new(), 0);
    loop {
        let page = world.store.feed_page(world.tenant_id, cursor, &EVERYTHING(), 3).await.expect("feed");
        seqs.extend(page.entries.iter().map(|entry| entry.seq));
        assert!(page.read_to_seq >= cursor);
        cursor = page.read_to_seq;
        if !page.more {
            break;
        }
    }
    assert_eq!(seqs.len(), 10);
    assert!(seqs.is_sorted_by(|a, b| a < b));
    let nothing = world.store.feed_page(world.tenant_id, cursor, &EVERYTHING(), 3).await.expect("feed");
    assert_eq!((nothing.entries.len(), nothing.read_to_seq, nothing.more), (0, cursor, false));
    world.event().await;
    let news = world.store.feed_page(world.tenant_id, cursor, &EVERYTHING(), 3).await.expect("feed");
    assert_eq!(news.entries.len(), 2);
}

/// A reader that follows while six writers commit sees every entry once, in order.
pub async fn concurrent_commits_never_appear_behind_a_reader(store: Arc<dyn Store>) {
    const WRITERS: usize = 6;
    const EVENTS_EACH: usize = 15;
    let world = Arc::new(World::new(store).await);
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move {
                for _ in 0..EVENTS_EACH {
                    world.event().await;
                }
            })
        })
        .collect();
    let (mut seen, mut cursor) = (Vec::new(), 0);
    while seen.len() < WRITERS * EVENTS_EACH {
        let done = writers.iter().all(|writer| writer.is_finished());
        let page = world.store.feed_page(world.tenant_id, cursor, &EVERYTHING(), 7).await.expect("feed");
        cursor = page.read_to_seq;
        seen.extend(page.entries.into_iter().map(|entry| (entry.seq, entry.what)));
        assert!(!done || page.more || seen.len() == WRITERS * EVENTS_EACH, "an entry was missed");
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.expect("writer");
    }
    assert!(seen.is_sorted_by(|a, b| a.0 < b.0));
    let events: BTreeSet<_> = seen
        .into_iter()
        .map(|(_, what)| match what {
            FeedChange::EventRecorded { event_id, .. } => event_id,
            other => panic!("no webhook, no delivery: {other:?}"),
        })
        .collect();
    assert_eq!(events.len(), WRITERS * EVENTS_EACH);
}

/// A quiet subscriber would otherwise read the same entries for ever.
pub async fn a_filter_moves_the_cursor_past_what_it_leaves_out(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (webhook, _other) = (world.webhook().await, world.webhook().await);
    world.event().await;
    let latest = world.store.latest_seq().await.expect("seq");
    let none = FeedFilter { states: vec![DeliveryState::Failed], only: Some(FeedKind::Deliveries), ..EVERYTHING() };
    let page = world.store.feed_page(world.tenant_id, 0, &none, 100).await.expect("feed");
    assert_eq!((page.entries.len(), page.read_to_seq), (0, latest));
    let count = |filter: FeedFilter| {
        let (store, tenant_id) = (world.store.clone(), world.tenant_id);
        async move { store.feed_page(tenant_id, 0, &filter, 100).await.expect("feed").entries.len() }
    };
    assert_eq!(count(EVERYTHING()).await, 3);
    assert_eq!(count(FeedFilter { only: Some(FeedKind::Events), ..EVERYTHING() }).await, 1);
    assert_eq!(count(FeedFilter { only: Some(FeedKind::Deliveries), ..EVERYTHING() }).await, 2);
    let of_webhook = FeedFilter { webhook_id: Some(webhook.id), only: Some(FeedKind::Deliveries), ..EVERYTHING() };
    assert_eq!(count(of_webhook).await, 1);
    let events = FeedFilter { only: Some(FeedKind::Events), concern: Some("items".to_owned()), ..EVERYTHING() };
    assert_eq!(count(events).await, 0);
    let stranger = world.store.feed_page(world.id(), 0, &EVERYTHING(), 100).await.expect("feed");
    assert!(stranger.entries.is_empty());
}

/// Records an event of each of those tenants, in one change.
async fn fed(world: &World, tenant_ids: &[TenantId]) {
    let events = tenant_ids.iter().map(|tenant_id| sample::event(world.id(), *tenant_id, "o1")).collect();
    let change = Change { at: sample::now(), writes: Vec::new(), events };
    world.store.commit(change).await.expect("the events are recorded");
}

/// Reads all moves after `after_seq`: the last `seq` of each tenant, and the `seq` up to which the feed was read.
async fn moves(store: &dyn Store, after_seq: i64, batches_max: u32) -> (BTreeMap<TenantId, i64>, i64) {
    let (mut last_seqs, mut read_to_seq) = (BTreeMap::new(), after_seq);
    loop {
        let found = store.feed_moves(read_to_seq, batches_max).await.expect("moves");
        assert!(!found.more || found.read_to_seq > read_to_seq, "each look goes on: {found:?}");
        let tenants: BTreeSet<_> = found.tenants.iter().map(|(tenant_id, _)| *tenant_id).collect();
        assert_eq!(tenants.len(), found.tenants.len(), "each once: {found:?}");
        last_seqs.extend(found.tenants);
        read_to_seq = found.read_to_seq;
        if !found.more {
            return (last_seqs, read_to_seq);
        }
    }
}

/// A tenant whose feed did not move is not named.
pub async fn the_tenants_whose_feeds_moved_are_found_however_few_are_looked_at(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (one, other, quiet): (TenantId, TenantId, TenantId) = (world.tenant_id, world.id(), world.id());
    let tenants = [sample::tenant(other, "other"), sample::tenant(quiet, "quiet")];
    world.write(tenants.into_iter().map(Write::InsertTenant).collect()).await;
    fed(&world, &[quiet]).await;
    let before = world.store.latest_seq().await.expect("seq");
    let nothing = world.store.feed_moves(before, 10).await.expect("moves");
    assert_eq!(nothing, FeedMoves { tenants: Vec::new(), read_to_seq: before, more: false });

    fed(&world, &[one]).await;
    fed(&world, &[one, other, one]).await;
    fed(&world, &[other]).await;
    let latest = world.store.latest_seq().await.expect("seq");
    let mut last_seqs = BTreeMap::new();
    for tenant_id in [one, other] {
        let page = world.store.feed_page(tenant_id, before, &EVERYTHING(), 100).await.expect("feed");
        last_seqs.insert(tenant_id, page.entries.last().expect("an entry").seq);
    }
    for batches_max in [1, 2, 3, 100] {
        assert_eq!(moves(&*world.store, before, batches_max).await, (last_seqs.clone(), latest), "{batches_max}");
    }
    assert_eq!(moves(&*world.store, latest, 100).await, (BTreeMap::new(), latest));
    assert!(moves(&*world.store, 0, 100).await.0.contains_key(&quiet));
}

/// Where two tenants are written to at the same time, the reader of moves comes to know the last entry of both.
pub async fn a_concurrent_commit_is_never_passed_over_by_who_looks_for_moves(store: Arc<dyn Store>) {
    const EVENTS_EACH: usize = 40;
    let world = Arc::new(World::new(store).await);
    let other: TenantId = world.id();
    world.write(vec![Write::InsertTenant(sample::tenant(other, "other"))]).await;
    let (first, second) = (world.clone(), world.clone());
    let writers = [
        tokio::spawn(async move {
            for _ in 0..EVENTS_EACH {
                fed(&first, &[first.tenant_id]).await;
            }
        }),
        tokio::spawn(async move {
            for _ in 0..EVENTS_EACH {
                fed(&second, &[other]).await;
            }
        }),
    ];
    let (mut known, mut read_to_seq) = (BTreeMap::new(), 0);
    loop {
        // Asked before the reading: a reading that begins after the last commit finds every move.
        let is_done = writers.iter().all(|writer| writer.is_finished());
        let (found, end) = moves(&*world.store, read_to_seq, 3).await;
        known.extend(found);
        read_to_seq = end;
        if is_done {
            break;
        }
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.expect("writer");
    }
    for tenant_id in [world.tenant_id, other] {
        let page = world.store.feed_page(tenant_id, 0, &EVERYTHING(), 100).await.expect("feed");
        assert_eq!(known.get(&tenant_id), page.entries.last().map(|entry| &entry.seq));
    }
}
