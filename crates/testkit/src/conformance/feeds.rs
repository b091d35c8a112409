//! The feed: in commit order, resumable by cursor.

use super::World;
use crate::sample;
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::feed::{FeedChange, FeedFilter, FeedKind};
use hookgraph_domain::ports::Store;
use std::collections::BTreeSet;
use std::sync::Arc;

const EVERYTHING: fn() -> FeedFilter = FeedFilter::default;

/// The claim too.
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

/// In pages of three.
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

/// A reader that follows while many write sees every entry once, in order.
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

/// Or a quiet subscriber would read the same entries for ever.
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
