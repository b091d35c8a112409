//! The deliveries that a dead process had leased on an SQLite file are due again when the next process starts.

use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::ids::{TenantId, WebhookId};
use hookgraph_domain::ports::{DeliveryQueue, Fenced, UnitOfWork};
use hookgraph_storage::{SqlStore, StoreOptions};
use hookgraph_testkit::postgres::with_postgres;
use hookgraph_testkit::{PlainVault, sample};
use std::sync::Arc;
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));

async fn with_two_due(url: &str) -> SqlStore {
    let store = SqlStore::open(StoreOptions::new(url, Arc::new(PlainVault))).await.unwrap();
    store.migrate().await.unwrap();
    let mut change = Change::at(sample::now());
    change.writes.push(Write::InsertTenant(sample::tenant(TENANT, "acme")));
    for number in [2, 3] {
        let webhook = sample::webhook(WebhookId(Uuid::from_u128(number)), TENANT);
        change.writes.push(Write::PutWebhook { webhook, expected: Expected::Absent });
    }
    store.commit(change).await.unwrap();
    let mut change = Change::at(sample::now());
    change.events.push(sample::event(Uuid::from_u128(4).into(), TENANT, "order:1"));
    store.commit(change).await.unwrap();
    store
}

async fn claim(store: &SqlStore) -> Vec<ClaimedDelivery> {
    let request = sample::claim_request(100);
    store.claim(&request).await.unwrap().deliveries
}

#[tokio::test]
async fn what_the_process_before_had_leased_is_due_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", directory.path().join("hookgraph.db").display());
    let store = with_two_due(&url).await;
    assert_eq!(store.end_leases(sample::now()).await.unwrap(), 0, "nothing is leased");
    let before = claim(&store).await;
    assert_eq!((before.len(), claim(&store).await.len()), (2, 0));

    assert_eq!(store.end_leases(sample::now()).await.unwrap(), 2);
    let after = claim(&store).await;
    assert_eq!((after.len(), after.iter().filter(|claim| claim.was_orphaned).count()), (2, 2));
    let key = (before[0].delivery.id, before[0].delivery.fencing_token);
    assert_eq!(
        store.extend(&[key], sample::now()).await.unwrap(),
        vec![Fenced::LeaseLost],
        "who had it before has it no more"
    );
}

#[tokio::test]
async fn leases_on_postgresql_are_others_too() {
    with_postgres(|url| async move {
        let store = with_two_due(&url).await;
        assert_eq!(claim(&store).await.len(), 2);
        assert_eq!(store.end_leases(sample::now()).await.unwrap(), 0);
        assert_eq!(claim(&store).await.len(), 0);
    })
    .await;
}
