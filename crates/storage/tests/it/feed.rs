//! Pages of the feed: how far a page reads, and that a reader whose filter matches none of its entries misses no later
//! ones.

use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::event::{EventTypeKey, NewEvent};
use hookgraph_domain::feed::{FeedChange, FeedFilter, FeedKind, FeedPage};
use hookgraph_domain::ids::{EventId, TenantId};
use hookgraph_domain::ports::{Entropy, Feed, UnitOfWork};
use hookgraph_storage::limits::{FEED_BATCH_ENTRIES_MAX, FEED_SCAN_BATCHES_MAX};
use hookgraph_storage::{SqlStore, StoreOptions};
use hookgraph_testkit::{PlainVault, SeededEntropy, sample};
use std::sync::Arc;
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));

/// The number of batches that one change makes here.
const BATCHES_AT_ONCE: usize = 50;

async fn nothing_is_missed_behind_what_a_filter_leaves_out(url: String) {
    let store = SqlStore::open(StoreOptions::new(url, Arc::new(PlainVault))).await.unwrap();
    store.migrate().await.unwrap();
    let mut change = Change::at(sample::now());
    change.writes.push(Write::InsertTenant(sample::tenant(TENANT, "acme")));
    store.commit(change).await.unwrap();
    let entropy = SeededEntropy::new(1);
    let event = || sample::event(EventId(entropy.uuid(sample::now())), TENANT, "o1");
    let record = async |events: Vec<NewEvent>| {
        store.commit(Change { events, ..Change::at(sample::now()) }).await.unwrap();
    };
    let mut left = FEED_SCAN_BATCHES_MAX as usize;
    while left > 0 {
        let batches = left.min(BATCHES_AT_ONCE);
        record((0..batches * FEED_BATCH_ENTRIES_MAX).map(|_| event()).collect()).await;
        left -= batches;
    }
    let looked_at = (FEED_SCAN_BATCHES_MAX as usize * FEED_BATCH_ENTRIES_MAX) as i64;
    assert_eq!(store.latest_seq().await.unwrap(), looked_at);

    let of_items =
        FeedFilter { only: Some(FeedKind::Events), concern: Some("items".to_owned()), ..FeedFilter::default() };
    let page = async |after_seq| store.feed_page(TENANT, after_seq, &of_items, 10).await.unwrap();
    let nothing = FeedPage { entries: Vec::new(), read_to_seq: looked_at, more: false, pruned_to: None };
    assert_eq!(page(0).await, nothing);
    let wanted = NewEvent { event_type: EventTypeKey::new("items", "create"), ..event() };
    let wanted_id = wanted.id;
    record(vec![wanted]).await;
    assert_eq!(page(0).await, FeedPage { more: true, ..nothing }, "it looks no further, and says so");
    let next = page(looked_at).await;
    assert_eq!((next.entries.len(), next.read_to_seq, next.more), (1, looked_at + 1, false));
    assert!(matches!(&next.entries[0].what, FeedChange::EventRecorded { event_id, .. } if *event_id == wanted_id));

    let (mut seqs, mut after_seq) = (Vec::new(), 0);
    loop {
        let page = store.feed_page(TENANT, after_seq, &FeedFilter::default(), 1_000).await.unwrap();
        seqs.extend(page.entries.iter().map(|entry| entry.seq));
        after_seq = page.read_to_seq;
        if !page.more {
            break;
        }
    }
    assert_eq!(seqs, (1..=looked_at + 1).collect::<Vec<_>>(), "each once, in order");
    store.close().await.unwrap();
}

on_both_databases! {
    nothing_is_missed_behind_what_a_filter_leaves_out: nothing_is_missed_on_sqlite, nothing_is_missed_on_postgresql;
}
