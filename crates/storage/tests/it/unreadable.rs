//! Rows that cannot be read keep no other row from claims, pages and the feed. The tests spoil them by SQL.

use hookgraph_domain::attempt::{Attempt, OutcomeCode};
use hookgraph_domain::change::{Change, Committed, Expected, Write};
use hookgraph_domain::delivery::{ClaimedDelivery, Delivery, DeliveryState};
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::{AttemptId, EventId, ReplayId, TenantId, WebhookId};
use hookgraph_domain::limits::SET_ASIDE_MS;
use hookgraph_domain::page::{DeliveryQuery, EventQuery, WebhookQuery};
use hookgraph_domain::ports::{
    ClaimRequest, DeliveryQueue, Entropy, Feed, Fenced, FlowReader, History, Observer, RowKind, UnitOfWork,
    WebhookReader,
};
use hookgraph_domain::replay::{Replay, ReplayPayload, ReplayState};
use hookgraph_domain::settle::{HealthSignal, NextState, Settlement};
use hookgraph_domain::time::{Timestamp, minus_ms, plus_ms};
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use hookgraph_storage::{SqlStore, StoreOptions};
use hookgraph_testkit::postgres::with_postgres;
use hookgraph_testkit::{PlainVault, SeededEntropy, sample};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const FIRST: WebhookId = WebhookId(Uuid::from_u128(2));
const SECOND: WebhookId = WebhookId(Uuid::from_u128(3));

/// A store with two webhooks of one event type, both by record, and SQL beside it.
struct World {
    store: SqlStore,
    sql: DatabaseConnection,
    entropy: SeededEntropy,
}

impl World {
    async fn on(url: &str) -> Self {
        let options = StoreOptions::new(url, Arc::new(PlainVault));
        let store = SqlStore::open(options).await.unwrap();
        store.migrate().await.unwrap();
        let mut change = Change::at(sample::now());
        change.writes.push(Write::InsertTenant(sample::tenant(TENANT, "acme")));
        for id in [FIRST, SECOND] {
            let mut webhook: Webhook = sample::webhook(id, TENANT);
            webhook.flow.ordering = Ordering::ByRecord;
            change.writes.push(Write::PutWebhook { webhook, expected: Expected::Absent });
        }
        store.commit(change).await.unwrap();
        Self { store, sql: Database::connect(url).await.unwrap(), entropy: SeededEntropy::new(1) }
    }

    async fn event(&self, order: &str) -> EventId {
        let id = EventId(self.entropy.uuid(sample::now()));
        let mut change = Change::at(sample::now());
        change.events.push(sample::event(id, TENANT, order));
        self.store.commit(change).await.unwrap();
        id
    }

    async fn execute(&self, sql: &str, id: Uuid) -> u64 {
        let id = match self.sql.get_database_backend() {
            DbBackend::Postgres => format!("'{id}'"),
            _ => format!("x'{}'", id.simple()),
        };
        self.sql.execute_unprepared(&sql.replace("$ID", &id)).await.unwrap().rows_affected()
    }

    async fn spoil(&self, sql: &str, id: Uuid) {
        assert!(self.execute(sql, id).await > 0, "{sql}");
    }

    /// Bytes that neither the vault nor the feed can read.
    fn rubbish(&self) -> &'static str {
        if self.sql.get_database_backend() == DbBackend::Postgres { "'\\xff'" } else { "x'ff'" }
    }

    async fn claims_at(&self, now: Timestamp) -> Vec<ClaimedDelivery> {
        let request = ClaimRequest {
            now,
            leased_until: plus_ms(now, 60_000),
            limit: 10,
            in_flight_per_webhook_max: 10,
            limits: Vec::new(),
            limit_per_webhook: 10,
            retries_max: 10,
        };
        self.store.claim(&request).await.unwrap().deliveries
    }

    async fn claim_at(&self, now: Timestamp) -> Vec<(WebhookId, EventId)> {
        let claimed = self.claims_at(now).await;
        let mut claimed: Vec<_> = claimed.into_iter().map(|one| (one.webhook.id, one.event.id)).collect();
        claimed.sort_unstable();
        claimed
    }

    /// The outcome of a claim.
    fn settlement(&self, claimed: &ClaimedDelivery, state: DeliveryState, health: HealthSignal) -> Settlement {
        let now = sample::now();
        let delivery = &claimed.delivery;
        let attempt = Attempt {
            id: AttemptId(self.entropy.uuid(now)),
            delivery_id: delivery.id,
            number: 1,
            code: OutcomeCode::HttpStatus,
            detail: None,
            request: None,
            response: None,
            response_body: None,
            response_truncated: false,
            remote_address: None,
            started_at: now,
            ended_at: now,
        };
        let due_at = (state == DeliveryState::Retrying).then(|| plus_ms(now, 5_000));
        Settlement {
            delivery_id: delivery.id,
            webhook_id: delivery.webhook_id,
            fencing_token: delivery.fencing_token,
            attempt: Some(attempt),
            next: NextState { state, reason: None, due_at, attempts_spent: 1 },
            health: Some(health),
            now,
        }
    }

    async fn deliveries(&self, limit: u32) -> Vec<Delivery> {
        let query = DeliveryQuery::of(TENANT, limit);
        self.store.delivery_page(&query).await.unwrap()
    }

    async fn events(&self, limit: u32) -> Vec<EventId> {
        let query = EventQuery {
            tenant_id: TENANT,
            concern: None,
            event: None,
            recorded_from: None,
            recorded_before: None,
            before: None,
            limit,
        };
        self.store.event_page(&query).await.unwrap().into_iter().map(|event| event.id).collect()
    }

    async fn close(self) {
        self.sql.close().await.unwrap();
        self.store.close().await.unwrap();
    }
}

/// Runs a test on both databases.
async fn on_both(test: impl AsyncFn(&World)) {
    let directory = tempfile::tempdir().unwrap();
    let world = World::on(&format!("sqlite://{}?mode=rwc", directory.path().join("hookgraph.db").display())).await;
    test(&world).await;
    world.close().await;
    let test = &test;
    with_postgres(|url| async move {
        let world = World::on(&url).await;
        test(&world).await;
        world.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_set_aside_until_it_can_and_its_record_goes_on() {
    on_both(async |world| {
        let spoiled = world.event("o1").await;
        let behind = world.event("o1").await;
        world.spoil("UPDATE event SET variables = '{' || variables WHERE id = $ID", spoiled.0).await;
        assert_eq!(world.claim_at(sample::now()).await, [], "both lines are at their first event");
        let aside: Vec<_> =
            world.deliveries(10).await.into_iter().filter(|delivery| delivery.event_id == spoiled).collect();
        assert_eq!(aside.len(), 2);
        for delivery in &aside {
            assert_eq!(delivery.state_reason.as_deref(), Some("set aside: its event cannot be read"));
            assert_eq!((delivery.state, delivery.attempts_spent), (DeliveryState::Pending, 0));
            assert_eq!(delivery.due_at, Some(plus_ms(sample::now(), SET_ASIDE_MS)));
        }
        assert_eq!(world.claim_at(sample::now()).await, [(FIRST, behind), (SECOND, behind)]);
        assert_eq!(world.events(1).await, [behind]);
        assert_eq!(world.events(2).await, [behind], "it is in no page");

        world.spoil("UPDATE event SET variables = substr(variables, 2) WHERE id = $ID", spoiled.0).await;
        let later = plus_ms(sample::now(), SET_ASIDE_MS);
        assert!(world.claim_at(later).await.starts_with(&[(FIRST, spoiled)]));
    })
    .await;
}

#[tokio::test]
async fn a_page_is_full_although_rows_of_it_cannot_be_read() {
    on_both(async |world| {
        let mut events = Vec::new();
        for n in 0..4 {
            events.push(world.event(&format!("o{n}")).await);
        }
        world.spoil("UPDATE event SET changed_fields = 'none' WHERE id = $ID", events[2].0).await;
        assert_eq!(world.events(3).await, [events[3], events[1], events[0]]);
        let all = world.deliveries(10).await;
        world.spoil("UPDATE due SET attempt_count = -1 WHERE id = $ID", all[1].id.0).await;
        let page: Vec<_> = world.deliveries(3).await.into_iter().map(|delivery| delivery.id).collect();
        assert_eq!(page, [all[0].id, all[2].id, all[3].id]);
    })
    .await;
}

#[tokio::test]
async fn a_webhook_that_does_not_open_delays_no_other() {
    on_both(async |world| {
        let event = world.event("o1").await;
        let spoil =
            format!("UPDATE webhook SET headers_sealed = {}, version = version + 1 WHERE id = $ID", world.rubbish());
        world.spoil(&spoil, FIRST.0).await;
        assert_eq!(world.claim_at(sample::now()).await, [(SECOND, event)]);
        let query = WebhookQuery { tenant_id: TENANT, concern: None, event: None, after: None, limit: 1 };
        let page = world.store.webhook_page(&query).await.unwrap();
        assert_eq!(page.iter().map(|webhook| webhook.id).collect::<Vec<_>>(), [SECOND]);
        let waiting = world.store.backlog(FIRST, 10).await.unwrap();
        assert_eq!(waiting.oldest_due_at, Some(plus_ms(sample::now(), SET_ASIDE_MS)), "it stays owed");
        let another = world.event("o2").await;
        assert_eq!(world.claim_at(sample::now()).await, [(SECOND, another)]);
    })
    .await;
}

/// A delivery must not be sent again because this process does not know a key yet; and an unreadable webhook is not
/// written.
#[tokio::test]
async fn what_came_of_a_request_is_kept_though_its_webhook_cannot_be_read() {
    on_both(async |world| {
        for order in ["o1", "o2", "o3"] {
            world.event(order).await;
        }
        let claims = world.claims_at(sample::now()).await;
        let of = |id| claims.iter().filter(|claim| claim.webhook.id == id).collect::<Vec<_>>();
        let (of_first, of_second) = (of(FIRST), of(SECOND));
        let ([arrived, failed, refused], [sent, late, last]) = (&of_first[..], &of_second[..]) else {
            panic!("three of each: {of_first:?} {of_second:?}");
        };
        let spoiled = format!("headers_sealed = {}, version = version + 1", world.rubbish());
        world.spoil(&format!("UPDATE webhook SET {spoiled} WHERE id = $ID"), FIRST.0).await;
        world.spoil(&format!("UPDATE webhook SET status = 'PAUSED', {spoiled} WHERE id = $ID"), SECOND.0).await;
        let settlements = [
            world.settlement(arrived, DeliveryState::Delivered, HealthSignal::Succeeded),
            world.settlement(failed, DeliveryState::Retrying, HealthSignal::Failed),
            world.settlement(refused, DeliveryState::Held, HealthSignal::Gone),
            world.settlement(sent, DeliveryState::Delivered, HealthSignal::Succeeded),
            world.settlement(late, DeliveryState::Retrying, HealthSignal::Failed),
        ];
        assert_eq!(world.store.settle(&settlements).await.unwrap(), [Fenced::Done; 5]);
        let ids: Vec<_> = settlements.iter().map(|one| one.delivery_id).collect();
        assert_eq!(world.store.attempts(&ids).await.unwrap().len(), 5);
        let kept = world.deliveries(10).await;
        let states = ids.iter().map(|id| kept.iter().find(|one| one.id == *id).unwrap().state);
        let (delivered, retrying) = (DeliveryState::Delivered, DeliveryState::Retrying);
        // Nobody would make a delivery due again that is held for a webhook that sends.
        assert_eq!(states.collect::<Vec<_>>(), [delivered, retrying, retrying, delivered, retrying]);
        let as_it_was =
            "UPDATE webhook SET name = name WHERE id = $ID AND status = 'ACTIVE' AND failing_since_us IS NULL";
        assert_eq!(world.execute(as_it_was, FIRST.0).await, 1);

        world.spoil("DELETE FROM webhook WHERE id = $ID", SECOND.0).await;
        let last = world.settlement(last, DeliveryState::Delivered, HealthSignal::Succeeded);
        assert_eq!(world.store.settle(&[last]).await.unwrap(), [Fenced::LeaseLost]);
    })
    .await;
}

#[tokio::test]
async fn a_tenant_whose_secret_does_not_open_keeps_what_it_is_owed() {
    on_both(async |world| {
        world.event("o1").await;
        let spoil =
            format!("UPDATE tenant SET keys_sealed = {}, version = version + 1 WHERE id = $ID", world.rubbish());
        world.spoil(&spoil, TENANT.0).await;
        assert_eq!(world.claim_at(sample::now()).await, []);
        let reasons: Vec<_> =
            world.deliveries(10).await.into_iter().map(|delivery| delivery.state_reason.unwrap()).collect();
        assert_eq!(reasons, ["set aside: its tenant cannot be read"; 2]);
    })
    .await;
}

#[tokio::test]
async fn a_delivery_that_cannot_be_read_is_set_aside() {
    on_both(async |world| {
        let first = world.event("o1").await;
        let spoiled = world.deliveries(10).await[0].id;
        world.spoil("UPDATE due SET attempt_count = -1 WHERE id = $ID", spoiled.0).await;
        let second = world.event("o2").await;
        let claimed = world.claim_at(sample::now()).await;
        assert_eq!(claimed.len(), 3, "{claimed:?}");
        assert!(claimed.iter().filter(|(_, event)| *event == first).count() == 1);
        assert!(claimed.iter().filter(|(_, event)| *event == second).count() == 2);
        let next_due_at = world.store.next_due_at(minus_ms(sample::now(), 1)).await.unwrap();
        assert_eq!(next_due_at, Some(plus_ms(sample::now(), 60_000)), "it is due no more");
    })
    .await;
}

#[tokio::test]
async fn a_batch_of_the_feed_that_cannot_be_read_stops_no_reader() {
    on_both(async |world| {
        world.event("o1").await;
        let seq = world.store.latest_seq().await.unwrap();
        world.event("o2").await;
        let spoil = format!("UPDATE feed SET entries = {} WHERE seq_last = {seq} AND tenant_id = $ID", world.rubbish());
        world.spoil(&spoil, TENANT.0).await;
        let page = world.store.feed_page(TENANT, 0, &Default::default(), 100).await.unwrap();
        assert_eq!((page.entries.len(), page.entries[0].seq, page.more), (3, seq + 1, false));
    })
    .await;
}

/// More unreadable ones stand before it than one round looks at.
#[tokio::test]
async fn webhooks_and_replays_that_cannot_be_read_are_set_aside_in_the_flow() {
    on_both(async |world| {
        let mut change = Change::at(sample::now());
        let suspended = |number: u128, after_ms: u64| {
            let mut webhook = sample::webhook(WebhookId(Uuid::from_u128(number)), TENANT);
            webhook.status = WebhookStatus::Suspended;
            webhook.breaker.probe_at = Some(plus_ms(sample::now(), after_ms));
            webhook
        };
        let last = suspended(200, 5);
        for webhook in (100..105).map(|number| suspended(number, 0)).chain([last.clone()]) {
            change.writes.push(Write::PutWebhook { webhook, expected: Expected::Absent });
        }
        let replays: Vec<ReplayId> = (0..3).map(|_| ReplayId(world.entropy.uuid(sample::now()))).collect();
        for id in &replays {
            let replay = replay(*id);
            change.writes.push(Write::PutReplay { replay, expected: Expected::Absent });
        }
        world.store.commit(change).await.unwrap();
        let kept = "CREATE TABLE kept AS SELECT headers_sealed FROM webhook WHERE id = $ID";
        world.execute(kept, Uuid::from_u128(100)).await;
        for number in 100..105 {
            let spoil = format!("UPDATE webhook SET headers_sealed = {} WHERE id = $ID", world.rubbish());
            world.spoil(&spoil, Uuid::from_u128(number)).await;
        }
        let now = plus_ms(sample::now(), 10);
        let to_probe = world.store.webhooks_to_probe(now, 2).await.unwrap();
        assert_eq!(to_probe.iter().map(|webhook| webhook.id).collect::<Vec<_>>(), [last.id]);
        let later = plus_ms(now, SET_ASIDE_MS);
        let mended = "UPDATE webhook SET headers_sealed = (SELECT headers_sealed FROM kept) WHERE id = $ID";
        world.spoil(mended, Uuid::from_u128(100)).await;
        let again = world.store.webhooks_to_probe(later, 10).await.unwrap();
        assert_eq!(
            again.iter().map(|webhook| webhook.id).collect::<Vec<_>>(),
            [last.id, WebhookId(Uuid::from_u128(100))]
        );

        world.spoil("UPDATE replay SET states = 'none' WHERE id = $ID", replays[0].0).await;
        assert_eq!(world.store.replays_due(now, 1).await.unwrap(), []);
        let due = world.store.replays_due(now, 1).await.unwrap();
        assert_eq!(due.iter().map(|replay| replay.id).collect::<Vec<_>>(), replays[1..2]);
        assert_eq!(world.store.running_replays(TENANT).await.unwrap().len(), 2);
    })
    .await;
}

/// Each unreadable row is logged once, however often it is met.
#[tokio::test]
async fn rows_that_cannot_be_read_are_counted_by_kind() {
    #[derive(Default)]
    struct Kinds(Mutex<Vec<RowKind>>);
    impl Observer for Kinds {
        fn recorded(&self, _: &Committed, _: Timestamp) {}
        fn unreadable(&self, kind: RowKind) {
            self.0.lock().unwrap().push(kind);
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", directory.path().join("hookgraph.db").display());
    let world = World::on(&url).await;
    let event = world.event("o1").await;
    world.spoil("UPDATE event SET variables = '{' || variables WHERE id = $ID", event.0).await;
    let kinds = Arc::new(Kinds::default());
    let mut options = StoreOptions::new(url, Arc::new(PlainVault));
    options.observer = kinds.clone();
    let store = SqlStore::open(options).await.unwrap();
    for _ in 0..2 {
        assert!(store.events(TENANT, &[event]).await.unwrap().is_empty());
    }
    assert_eq!(*kinds.0.lock().unwrap(), [RowKind::Event]);
    store.close().await.unwrap();
    world.close().await;
}

fn replay(id: ReplayId) -> Replay {
    Replay {
        id,
        tenant_id: TENANT,
        webhook_id: FIRST,
        from: sample::now(),
        before: plus_ms(sample::now(), 1_000),
        states: Vec::new(),
        rate_per_second: 5,
        payload: ReplayPayload::Fresh,
        state: ReplayState::Running,
        reason: None,
        position: None,
        made_count: 0,
        next_at: sample::now(),
        user_id: None,
        version: 1,
        created_at: sample::now(),
        updated_at: sample::now(),
    }
}
