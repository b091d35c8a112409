//! The gauge of the oldest due delivery that waits for no other.

use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::{TenantId, WebhookId};
use hookgraph_domain::ports::{DeliveryQueue, UnitOfWork};
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::webhook::Webhook;
use hookgraph_storage::{SqlStore, StoreOptions};
use hookgraph_testkit::postgres::with_postgres;
use hookgraph_testkit::{PlainVault, sample};
use std::sync::Arc;
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));

/// Records two events of one record for such a webhook, the first of which is in flight, and reads the gauge.
async fn due_behind_one_in_flight(url: &str, set: Set) -> (u64, u64, Option<i64>) {
    let store = SqlStore::open(StoreOptions::new(url, Arc::new(PlainVault))).await.unwrap();
    store.migrate().await.unwrap();
    let mut webhook = sample::webhook(WebhookId(Uuid::from_u128(2)), TENANT);
    set(&mut webhook);
    let mut change = Change::at(sample::now());
    change.writes.push(Write::InsertTenant(sample::tenant(TENANT, "acme")));
    change.writes.push(Write::PutWebhook { webhook, expected: Expected::Absent });
    store.commit(change).await.unwrap();
    for number in [10, 11] {
        let mut change = Change::at(sample::now());
        change.events.push(sample::event(Uuid::from_u128(number).into(), TENANT, "order:1"));
        store.commit(change).await.unwrap();
    }
    let request = sample::claim_request(1);
    assert_eq!(store.claim(&request).await.unwrap().deliveries.len(), 1);
    let gauges = store.gauges(plus_ms(sample::now(), 5_000)).await.unwrap();
    store.close().await.unwrap();
    let since = gauges.oldest_due_at.map(|at| (at - sample::now()).num_milliseconds());
    (gauges.in_flight, gauges.due, since)
}

/// The settings of a webhook.
type Set = fn(&mut Webhook);

fn cases() -> [(Set, Option<i64>); 3] {
    [
        (|_| {}, Some(0)),
        (|webhook| webhook.flow.ordering = Ordering::ByRecord, None),
        (|webhook| webhook.flow.rate_per_second = Some(1), None),
    ]
}

#[tokio::test]
async fn what_waits_on_purpose_is_not_late_on_sqlite() {
    for (set, since) in cases() {
        assert_eq!(due_behind_one_in_flight("sqlite::memory:", set).await, (1, 1, since));
    }
}

#[tokio::test]
async fn what_waits_on_purpose_is_not_late_on_postgresql() {
    for (set, since) in cases() {
        let found = with_postgres(|url| async move { due_behind_one_in_flight(&url, set).await }).await;
        assert_eq!(found, (1, 1, since));
    }
}
