//! Changes that are recorded together succeed or fail each by itself.

use futures::future::join_all;
use hookgraph_domain::change::{Change, CommitError, Expected, Write};
use hookgraph_domain::event::NewEvent;
use hookgraph_domain::ids::{EventId, TenantId, WebhookId};
use hookgraph_domain::ports::{Feed, History, StoreError, UnitOfWork};
use hookgraph_domain::time::plus_ms;
use hookgraph_storage::{SqlStore, StoreOptions};
use hookgraph_testkit::postgres::with_postgres;
use hookgraph_testkit::{PlainVault, sample};
use std::sync::Arc;
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));

async fn store(url: String) -> SqlStore {
    let options = StoreOptions::new(url, Arc::new(PlainVault));
    let store = SqlStore::open(options).await.unwrap();
    store.migrate().await.unwrap();
    let mut change = Change::at(sample::now());
    change.writes.push(Write::InsertTenant(sample::tenant(TENANT, "acme")));
    let webhook = sample::webhook(WebhookId(Uuid::from_u128(2)), TENANT);
    change.writes.push(Write::PutWebhook { webhook, expected: Expected::Absent });
    store.commit(change).await.unwrap();
    store
}

fn event(number: u128) -> NewEvent {
    sample::event(EventId(Uuid::from_u128(1_000 + number)), TENANT, &number.to_string())
}

fn change(at_ms: u64, events: Vec<NewEvent>) -> Change {
    Change { at: plus_ms(sample::now(), at_ms), writes: Vec::new(), events }
}

/// Fifty changes are recorded at once, one of which the database always refuses; each has its own time and its own
/// answer.
async fn a_refused_change_does_not_fail_its_neighbours(store: SqlStore) {
    store.commit(change(0, vec![event(7)])).await.unwrap();
    let answers = join_all((0..50).map(|number| store.commit(change(number, vec![event(u128::from(number))])))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        if number == 7 {
            assert!(matches!(answer, Err(CommitError::Store(_))), "its id is taken");
        } else {
            let committed = answer.unwrap();
            assert_eq!(committed.delivery_count, 1);
            let found = store.events(TENANT, &committed.event_ids).await.unwrap();
            assert_eq!(found[0].recorded_at, plus_ms(sample::now(), number as u64));
        }
    }
    assert_eq!(store.latest_seq().await.unwrap(), 100);
    let entries = store.feed_page(TENANT, 0, &Default::default(), 1_000).await.unwrap().entries;
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_refused_change_does_not_fail_its_neighbours_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", directory.path().join("hookgraph.db").display());
    a_refused_change_does_not_fail_its_neighbours(store(url).await).await;
}

#[tokio::test]
async fn a_refused_change_does_not_fail_its_neighbours_on_postgresql() {
    with_postgres(|url| async move {
        let store = store(url).await;
        a_refused_change_does_not_fail_its_neighbours(store.clone()).await;
        store.close().await.unwrap();
    })
    .await;
}

/// The change's events may be recorded or not; those of the others are.
#[tokio::test]
async fn a_caller_that_goes_away_takes_nobody_with_it() {
    let store = store("sqlite::memory:".to_owned()).await;
    let mut leaving = Box::pin(store.commit(change(0, vec![event(0)])));
    assert!(futures::poll!(leaving.as_mut()).is_pending());
    let staying = store.commit(change(0, vec![event(1)]));
    drop(leaving);
    assert_eq!(staying.await.unwrap().event_ids, [event(1).id]);
    assert!(store.commit(change(0, vec![event(2)])).await.is_ok());
}

#[tokio::test]
async fn a_database_that_is_gone_is_told_to_every_caller() {
    let store = store("sqlite::memory:".to_owned()).await;
    store.close().await.unwrap();
    for answer in join_all((0..3).map(|number| store.commit(change(0, vec![event(number)])))).await {
        assert!(matches!(answer, Err(CommitError::Store(StoreError::Failed(_)))));
    }
}
