//! The observer is told of every cancelled delivery once its cancellation is committed.

use hookgraph_domain::change::{Change, Committed, Expected, Write};
use hookgraph_domain::ids::{TenantId, WebhookId};
use hookgraph_domain::ports::{DeliveryQueue, Observer, UnitOfWork};
use hookgraph_domain::time::Timestamp;
use hookgraph_storage::{SqlStore, StoreOptions};
use hookgraph_testkit::postgres::with_postgres;
use hookgraph_testkit::{PlainVault, sample};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));

#[derive(Default)]
struct Counts(AtomicUsize);

impl Observer for Counts {
    fn recorded(&self, _: &Committed, _: Timestamp) {}
    fn cancelled(&self, count: usize) {
        self.0.fetch_add(count, Ordering::SeqCst);
    }
}

fn write(write: Write) -> Change {
    Change { writes: vec![write], ..Change::at(sample::now()) }
}

async fn counts_what_is_cancelled(url: &str) {
    let counts = Arc::new(Counts::default());
    let mut options = StoreOptions::new(url, Arc::new(PlainVault));
    options.observer = counts.clone();
    let store = SqlStore::open(options).await.unwrap();
    store.migrate().await.unwrap();
    let webhook_id = WebhookId(Uuid::from_u128(2));
    let webhook = sample::webhook(webhook_id, TENANT);
    store.commit(write(Write::InsertTenant(sample::tenant(TENANT, "acme")))).await.unwrap();
    store.commit(write(Write::PutWebhook { webhook, expected: Expected::Absent })).await.unwrap();
    for number in 10..15_u128 {
        let mut change = Change::at(sample::now());
        change.events.push(sample::event(Uuid::from_u128(number).into(), TENANT, "order:1"));
        store.commit(change).await.unwrap();
    }
    let request = sample::claim_request(1);
    let claimed = store.claim(&request).await.unwrap().deliveries;
    let other = store.claim(&request).await.unwrap().deliveries;
    let (claimed, other) = (&claimed[0].delivery, &other[0].delivery);
    // The delivery in flight is cancelled as it settles.
    let reason = "cancelled by hand".to_owned();
    store.commit(write(Write::CancelDelivery { delivery_id: claimed.id, reason: reason.clone() })).await.unwrap();
    assert_eq!(counts.0.load(Ordering::SeqCst), 0);
    store.release(&[(claimed.id, claimed.fencing_token)], sample::now()).await.unwrap();
    assert_eq!(counts.0.load(Ordering::SeqCst), 1);
    // The others are cancelled at once.
    store.commit(write(Write::CancelDue { webhook_id, reason })).await.unwrap();
    assert_eq!(counts.0.load(Ordering::SeqCst), 4);
    store.release(&[(other.id, other.fencing_token)], sample::now()).await.unwrap();
    assert_eq!(counts.0.load(Ordering::SeqCst), 5);
    store.close().await.unwrap();
}

#[tokio::test]
async fn sqlite_tells_of_what_is_cancelled() {
    counts_what_is_cancelled("sqlite::memory:").await;
}

#[tokio::test]
async fn postgresql_tells_of_what_is_cancelled() {
    with_postgres(|url| async move { counts_what_is_cancelled(&url).await }).await;
}
