//! A recording claims the deliveries that it makes due in its own transaction, for a worker that wants them.

use crate::databases::run;
use hookgraph_domain::change::{Change, Claimed, Committed, Expected, Write};
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::feed::FeedChange;
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::{EventId, TenantId, WebhookId};
use hookgraph_domain::ports::{
    ClaimRequest, Claimer, Claims, DeliveryQueue, Feed, History, Left, RecordReader, UnitOfWork, WantedClaim,
};
use hookgraph_domain::record::RecordKind;
use hookgraph_domain::time::{Timestamp, plus_ms};
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use hookgraph_storage::limits::CLAIM_ALONG_PAUSE_MS;
use hookgraph_storage::{SqlStore, StoreOptions};
use hookgraph_testkit::postgres::with_postgres;
use hookgraph_testkit::{PlainVault, sample};
use sea_orm::sqlx::{self, Connection, PgConnection};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));

fn request() -> ClaimRequest {
    ClaimRequest {
        now: sample::now(),
        leased_until: plus_ms(sample::now(), 60_000),
        limit: 100,
        in_flight_per_webhook_max: 100,
        limits: Vec::new(),
        limit_per_webhook: 100,
        retries_max: 100,
    }
}

/// A worker that wants a number of deliveries at once, and keeps its claims.
#[derive(Clone, Default)]
struct Worker {
    limit: Arc<Mutex<u32>>,
    asked: Arc<Mutex<u32>>,
    got: Arc<Mutex<Vec<Claims>>>,
    /// The webhook for which the worker waits for more than slots.
    waits_for_time: Arc<Mutex<Option<WebhookId>>>,
}

struct Wanted(ClaimRequest, Worker);

impl Claimer for Worker {
    fn wanted(&self) -> Option<Box<dyn WantedClaim>> {
        *self.asked.lock().unwrap() += 1;
        let limit = *self.limit.lock().unwrap();
        let request = ClaimRequest { limit, ..request() };
        (limit > 0).then(|| Box::new(Wanted(request, self.clone())) as Box<dyn WantedClaim>)
    }
}

impl WantedClaim for Wanted {
    fn request(&self) -> &ClaimRequest {
        &self.0
    }

    fn waits_for_slots(&self, webhook_id: WebhookId) -> bool {
        self.1.waits_for_time.lock().unwrap().is_none_or(|id| id != webhook_id)
    }

    fn take(self: Box<Self>, claims: Claims) {
        self.1.got.lock().unwrap().push(claims);
    }
}

impl Worker {
    fn wants(&self, limit: u32) {
        *self.limit.lock().unwrap() = limit;
    }

    fn takes_one(&self) -> Claims {
        let mut got = self.got.lock().unwrap();
        assert_eq!(got.len(), 1);
        got.remove(0)
    }

    fn has_nothing(&self) -> bool {
        self.got.lock().unwrap().is_empty()
    }
}

/// A store with a webhook in that status, and its worker.
async fn world(url: &str, status: WebhookStatus) -> (SqlStore, Arc<Worker>) {
    let options = StoreOptions::new(url, Arc::new(PlainVault));
    let store = SqlStore::open(options).await.unwrap();
    store.migrate().await.unwrap();
    let mut change = Change::at(sample::now());
    change.writes.push(Write::InsertTenant(sample::tenant(TENANT, "acme")));
    let webhook = Webhook { status, ..sample::webhook(WebhookId(Uuid::from_u128(2)), TENANT) };
    change.writes.push(Write::PutWebhook { webhook, expected: Expected::Absent });
    store.commit(change).await.unwrap();
    let worker = Arc::new(Worker::default());
    let claimer: Arc<dyn Claimer> = worker.clone();
    store.claim_with_recordings(Arc::downgrade(&claimer));
    (store, worker)
}

async fn record(store: &SqlStore, numbers: &[u128]) -> Committed {
    record_at(store, sample::now(), numbers).await
}

async fn record_at(store: &SqlStore, at: Timestamp, numbers: &[u128]) -> Committed {
    let events = numbers.iter().map(|number| sample::event(event_id(*number), TENANT, &number.to_string()));
    let change = Change { events: events.collect(), ..Change::at(at) };
    store.commit(change).await.unwrap()
}

fn event_id(number: u128) -> EventId {
    EventId(Uuid::from_u128(1_000 + number))
}

async fn what_is_wanted_is_leased_by_the_recording_itself(url: String) {
    let (store, worker) = world(&url, WebhookStatus::Active).await;
    worker.wants(10);
    let committed = record(&store, &[1]).await;
    assert_eq!(committed.claimed, Claimed::All);
    let claims = worker.takes_one();
    assert_eq!(claims.left, Left::default());
    let claim = &claims.deliveries[0];
    assert_eq!((claim.event.id, claim.delivery.fencing_token), (event_id(1), 1));
    assert!(claim.payload.is_some() && !claim.was_orphaned);
    let kept = &store.deliveries(TENANT, &[claim.delivery.id]).await.unwrap()[0];
    assert_eq!((kept.state, kept.fencing_token), (DeliveryState::InFlight, 1));
    assert!(store.claim(&request()).await.unwrap().deliveries.is_empty(), "it is the worker's");
    let entries = store.feed_page(TENANT, 0, &Default::default(), 10).await.unwrap().entries;
    let states = entries.iter().filter_map(|entry| match &entry.what {
        FeedChange::DeliveryUpdated { state, .. } => Some(*state),
        _ => None,
    });
    assert_eq!(states.collect::<Vec<_>>(), [DeliveryState::Pending, DeliveryState::InFlight]);
    store.close().await.unwrap();
}

/// A change of a record, which raises an event.
fn of_record(number: u128) -> Change {
    let record = sample::record(TENANT, &number.to_string(), 1);
    let put = Write::PutRecord { record, expected: Expected::Absent, links: Vec::new(), names: Vec::new() };
    let event = sample::event(event_id(number), TENANT, &number.to_string());
    Change { writes: vec![put], events: vec![event], ..Change::at(sample::now()) }
}

async fn a_change_of_a_record_claims_along_too(url: String) {
    let (store, worker) = world(&url, WebhookStatus::Active).await;
    worker.wants(10);
    assert_eq!(store.commit(of_record(1)).await.unwrap().claimed, Claimed::All);
    assert_eq!(worker.takes_one().deliveries[0].event.id, event_id(1));
    assert!(store.commit(of_record(1)).await.is_err(), "the record is there already");
    assert!(worker.has_nothing());
    run(&url, if url.starts_with("sqlite") { SQLITE_REFUSES } else { POSTGRES_REFUSES }).await;
    let committed = store.commit(of_record(2)).await.unwrap();
    assert_eq!((committed.delivery_count, committed.claimed), (1, Claimed::NotAll));
    let found = store.records(TENANT, RecordKind::Order, &["2".to_owned()]).await.unwrap();
    assert_eq!(found[0].version, 1, "it is changed once, whatever became of the claim");
    store.close().await.unwrap();
}

async fn claims_nothing(url: &str, change: Change) {
    let (store, worker) = world(url, WebhookStatus::Active).await;
    worker.wants(10);
    assert_eq!(store.commit(change).await.unwrap().claimed, Claimed::NotAll);
    assert!(worker.has_nothing());
    store.close().await.unwrap();
}

/// Such a change may have made deliveries due by its writes, so the worker is to be woken.
async fn a_change_that_raises_nothing_claims_nothing(url: String) {
    claims_nothing(&url, Change { events: Vec::new(), ..of_record(1) }).await;
}

/// A claim caches the webhooks that it reads, so they must be committed.
async fn a_change_of_a_webhook_claims_nothing(url: String) {
    let webhook = sample::webhook(WebhookId(Uuid::from_u128(3)), TENANT);
    let mut change = of_record(1);
    change.writes.push(Write::PutWebhook { webhook, expected: Expected::Absent });
    claims_nothing(&url, change).await;
}

async fn what_finds_no_room_is_left_due(url: String) {
    let (store, worker) = world(&url, WebhookStatus::Active).await;
    worker.wants(1);
    assert_eq!(record(&store, &[1, 2]).await.claimed, Claimed::WhatHadRoom);
    let claims = worker.takes_one();
    assert_eq!((claims.deliveries.len(), claims.left.without_room), (1, vec![WebhookId(Uuid::from_u128(2))]));
    worker.wants(0);
    assert_eq!(record(&store, &[3]).await.claimed, Claimed::NotAll, "nothing is wanted");
    let claims = store.claim(&request()).await.unwrap();
    assert_eq!((claims.deliveries.len(), claims.left), (2, Left::default()));
    store.close().await.unwrap();
}

/// The worker is left asleep only where it learns that the webhook has no room.
async fn a_recording_says_how_much_of_it_was_claimed(url: String) {
    let (store, worker) = world(&url, WebhookStatus::Active).await;
    add_webhook(&store, |webhook| webhook.flow.concurrency = 1).await;
    worker.wants(10);
    assert_eq!(record(&store, &[1]).await.claimed, Claimed::All);
    assert_eq!(worker.takes_one().left, Left::default());
    assert_eq!(record(&store, &[2]).await.claimed, Claimed::WhatHadRoom);
    let claims = worker.takes_one();
    let narrow = WebhookId(Uuid::from_u128(3));
    assert_eq!((claims.deliveries.len(), claims.left.without_room), (1, vec![narrow]));
    *worker.waits_for_time.lock().unwrap() = Some(narrow);
    assert_eq!(record(&store, &[3]).await.claimed, Claimed::NotAll);
    store.close().await.unwrap();
}

async fn what_stands_in_line_is_not_without_room(url: String) {
    let (store, worker) = world(&url, WebhookStatus::Active).await;
    add_webhook(&store, |webhook| webhook.flow.ordering = Ordering::ByRecord).await;
    worker.wants(10);
    assert_eq!(record(&store, &[1]).await.claimed, Claimed::All);
    let events = vec![sample::event(event_id(2), TENANT, "1")];
    let second = store.commit(Change { events, ..Change::at(sample::now()) }).await.unwrap();
    assert_eq!((second.delivery_count, second.claimed), (2, Claimed::NotAll));
    store.close().await.unwrap();
}

/// A second webhook on the same events.
async fn add_webhook(store: &SqlStore, adjust: impl FnOnce(&mut Webhook)) {
    let mut webhook = sample::webhook(WebhookId(Uuid::from_u128(3)), TENANT);
    adjust(&mut webhook);
    let mut change = Change::at(sample::now());
    change.writes.push(Write::PutWebhook { webhook, expected: Expected::Absent });
    store.commit(change).await.unwrap();
}

/// A held delivery needs no wake-up.
async fn what_is_held_is_claimed_by_nobody(url: String) {
    let (store, worker) = world(&url, WebhookStatus::Paused).await;
    worker.wants(10);
    let committed = record(&store, &[1]).await;
    assert!(committed.claimed == Claimed::All && worker.has_nothing());
    store.close().await.unwrap();
}

/// The event is recorded although the claim fails, and the claim is not tried again at once.
async fn a_claim_that_fails_keeps_nothing_from_being_recorded(url: String, refusal: &str) {
    let (store, worker) = world(&url, WebhookStatus::Active).await;
    worker.wants(10);
    run(&url, refusal).await;
    let committed = record(&store, &[1]).await;
    assert_eq!((committed.delivery_count, committed.claimed), (1, Claimed::NotAll));
    assert!(worker.has_nothing());
    assert_eq!(store.events(TENANT, &[event_id(1)]).await.unwrap().len(), 1);
    let asked = |after_ms, number| {
        let (store, worker) = (store.clone(), worker.clone());
        async move {
            record_at(&store, plus_ms(sample::now(), after_ms), &[number]).await;
            *worker.asked.lock().unwrap()
        }
    };
    assert_eq!(asked(CLAIM_ALONG_PAUSE_MS - 1, 2).await, 1);
    assert_eq!(asked(CLAIM_ALONG_PAUSE_MS, 3).await, 2);
    store.close().await.unwrap();
}

const SQLITE_REFUSES: &str = "CREATE TRIGGER refuse BEFORE UPDATE ON due BEGIN SELECT raise(ABORT, 'no'); END";
const POSTGRES_REFUSES: &str = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
    $$ BEGIN RAISE EXCEPTION 'no'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON due FOR EACH ROW EXECUTE FUNCTION refuse()";

on_both_databases! {
    what_is_wanted_is_leased_by_the_recording_itself: leased_on_sqlite, leased_on_postgresql;
    a_change_of_a_record_claims_along_too: of_record_on_sqlite, of_record_on_postgresql;
    a_change_that_raises_nothing_claims_nothing: of_nothing_on_sqlite, of_nothing_on_postgresql;
    a_change_of_a_webhook_claims_nothing: of_webhook_on_sqlite, of_webhook_on_postgresql;
    what_finds_no_room_is_left_due: left_due_on_sqlite, left_due_on_postgresql;
    what_stands_in_line_is_not_without_room: in_line_on_sqlite, in_line_on_postgresql;
    a_recording_says_how_much_of_it_was_claimed: how_much_on_sqlite, how_much_on_postgresql;
    what_is_held_is_claimed_by_nobody: held_on_sqlite, held_on_postgresql;
    refused: refused_on_sqlite, refused_on_postgresql;
}

async fn refused(url: String) {
    let refusal = if url.starts_with("sqlite") { SQLITE_REFUSES } else { POSTGRES_REFUSES };
    a_claim_that_fails_keeps_nothing_from_being_recorded(url, refusal).await;
}

/// Under load the worker's own claims, which run beside the next recording, reach more deliveries.
#[tokio::test]
async fn many_are_left_to_a_claim_of_their_own_on_postgresql() {
    with_postgres(|url| async move {
        let (store, worker) = world(&url, WebhookStatus::Active).await;
        worker.wants(100);
        let most = hookgraph_storage::limits::CLAIMED_ALONG_MAX as u128;
        assert_eq!(record(&store, &(1..=most).collect::<Vec<_>>()).await.claimed, Claimed::All);
        assert_eq!(worker.takes_one().deliveries.len(), most as usize);
        assert_eq!(record(&store, &(100..=100 + most).collect::<Vec<_>>()).await.claimed, Claimed::NotAll);
        assert!(worker.has_nothing());
        store.close().await.unwrap();
    })
    .await;
}

/// A recording waits neither for another process that claims, nor for one that hangs in its claim.
#[tokio::test]
async fn a_recording_waits_for_nobody_who_claims_on_postgresql() {
    with_postgres(|url| async move {
        let (store, worker) = world(&url, WebhookStatus::Active).await;
        worker.wants(10);
        let mut claiming = PgConnection::connect(&url).await.unwrap();
        let lock = "SELECT pg_advisory_lock(x'686f6f6b0002'::bigint)";
        sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut claiming).await.unwrap();
        assert_eq!(record(&store, &[1]).await.claimed, Claimed::NotAll);
        assert!(worker.has_nothing());
        claiming.close().await.unwrap();
        store.close().await.unwrap();
    })
    .await;
}
