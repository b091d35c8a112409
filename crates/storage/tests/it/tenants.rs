//! A deleted tenant is removed in portions with all of its rows, and with none of another tenant's.

use crate::databases::run;
use hookgraph_domain::audit::AuditEntry;
use hookgraph_domain::change::{Change, CommitError, Expected, Write};
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::idempotency::{AnswerKey, KeptAnswer};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::permission::PermissionSet;
use hookgraph_domain::ports::{Fenced, FlowReader, PrunePosition, Retention, Store, TenantReader};
use hookgraph_domain::record::{Link, Name};
use hookgraph_domain::replay::{Replay, ReplayPayload, ReplayState};
use hookgraph_domain::tenant::{CopyState, CopyTask};
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::token::AccessToken;
use hookgraph_domain::webhook::WebhookStatus;
use hookgraph_storage::limits::REMOVED_WITH_BODIES_MAX;
use hookgraph_storage::{SqlStore, StoreOptions};
use hookgraph_testkit::conformance::World;
use hookgraph_testkit::{PlainVault, SeededEntropy, sample};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

const OTHER: TenantId = TenantId(Uuid::from_u128(1));
/// The rows of a portion.
const PORTION: u32 = 2;
/// The rows of each kind: more than one portion.
const COUNT: u8 = 5;
/// The tables in which a tenant has rows.
const FILLED: [&str; 15] = [
    "access_token",
    "attempt",
    "audit_entry",
    "delivery",
    "due",
    "event",
    "event_skip",
    "feed",
    "idempotency",
    "payload",
    "record",
    "record_link",
    "record_name",
    "tombstone",
    "webhook",
];

async fn open(url: &str) -> (SqlStore, World) {
    let store = SqlStore::open(StoreOptions::new(url, Arc::new(PlainVault))).await.unwrap();
    store.migrate().await.unwrap();
    let world = World::new(Arc::new(store.clone()) as Arc<dyn Store>).await;
    (store, world)
}

/// Another tenant of the same store.
async fn other(world: &World) -> World {
    let other = World { store: world.store.clone(), entropy: SeededEntropy::new(2), tenant_id: OTHER };
    other.write(vec![Write::InsertTenant(sample::tenant(OTHER, "other"))]).await;
    other
}

/// `count` events, each with the record that it deleted.
async fn record(world: &World, count: usize) {
    for first in (0..count).step_by(500) {
        let mut change = Change::at(sample::now());
        for _ in first..count.min(first + 500) {
            let mut event = sample::event(world.id(), world.tenant_id, "o1");
            event.tombstone = Some(sample::record(world.tenant_id, "o1", 1));
            change.events.push(event);
        }
        world.store.commit(change).await.unwrap();
    }
}

fn token(world: &World, secret_sha256: [u8; 32]) -> Write {
    Write::InsertToken(AccessToken {
        id: world.id(),
        tenant_id: world.tenant_id,
        name: "admin".to_owned(),
        secret_sha256,
        permissions: PermissionSet::NONE,
        created_at: sample::now(),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    })
}

/// Makes rows of every kind, of deliveries that ended and of held ones.
async fn fill(world: &World) {
    let webhook = world.webhook_with_query().await;
    let [first, ..] = *world.tenant_id.0.as_bytes();
    for number in 0..COUNT {
        world.webhook_with(|webhook| webhook.status = WebhookStatus::Disabled).await;
        let link = Link { relation: "customer".to_owned(), target: "ada".to_owned(), rank: number.into() };
        let name = Name { scope: "sku".to_owned(), value: format!("sku-{number}") };
        let key = AnswerKey { tenant_id: world.tenant_id, key: format!("key-{number}"), step: 0 };
        let replay = Replay {
            id: world.id(),
            tenant_id: world.tenant_id,
            webhook_id: webhook.id,
            from: sample::now(),
            before: plus_ms(sample::now(), 1_000),
            states: Vec::new(),
            rate_per_second: 5,
            payload: ReplayPayload::Fresh,
            state: ReplayState::Finished,
            reason: None,
            position: None,
            made_count: 0,
            next_at: sample::now(),
            user_id: None,
            version: 1,
            created_at: sample::now(),
            updated_at: sample::now(),
        };
        let task = CopyTask { state: CopyState::Finished, ..sample::copy_task(world.id(), world.tenant_id) };
        let audited = AuditEntry {
            id: world.id(),
            tenant_id: world.tenant_id,
            at: sample::now(),
            user_id: None,
            action: "webhook.update".to_owned(),
            subject: "webhook:1".to_owned(),
            before: None,
            after: None,
        };
        let mut secret_sha256 = [first; 32];
        secret_sha256[31] = number;
        world
            .write(vec![
                world.put_named(&format!("o{number}"), 1, Expected::Absent, vec![link], vec![name]),
                Write::Audit(audited),
                Write::KeepAnswer(KeptAnswer { key, request_sha256: [number; 32], answer: "{}".to_owned() }),
                Write::PutReplay { replay, expected: Expected::Absent },
                Write::PutCopyTask { task, expected: Expected::Absent },
                token(world, secret_sha256),
            ])
            .await;
    }
    for _ in 0..COUNT {
        record(world, 1).await;
    }
    for claimed in world.claim().await {
        world.freeze(&claimed, "{}").await;
        world.settle(&claimed, DeliveryState::Delivered).await;
    }
    world.set_status(webhook.id, WebhookStatus::Paused, Vec::new()).await;
    record(world, COUNT.into()).await;
}

async fn texts(connection: &DatabaseConnection, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

async fn count(connection: &DatabaseConnection, rows: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {rows}");
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    connection.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// Every table with a column of that name.
async fn tables_with(connection: &DatabaseConnection, column: &str) -> Vec<String> {
    let sql = match connection.get_database_backend() {
        DbBackend::Postgres => format!(
            "SELECT table_name::text FROM information_schema.columns WHERE column_name = '{column}' \
             AND table_schema = current_schema()"
        ),
        _ => format!(
            "SELECT one.name FROM sqlite_master AS one JOIN pragma_table_info(one.name) AS has \
             WHERE one.type = 'table' AND has.name = '{column}'"
        ),
    };
    texts(connection, &sql).await
}

fn literal(connection: &DatabaseConnection, id: Uuid) -> String {
    match connection.get_database_backend() {
        DbBackend::Postgres => format!("'{id}'"),
        _ => format!("x'{}'", id.simple()),
    }
}

/// How many rows name a tenant, by table.
async fn rows_of(connection: &DatabaseConnection, tenant_id: TenantId) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for column in ["tenant_id", "source_tenant_id"] {
        for table in tables_with(connection, column).await {
            let rows = format!("{table} WHERE {column} = {}", literal(connection, tenant_id.0));
            counts.insert(table, count(connection, &rows).await);
        }
    }
    assert!(counts.len() > 12, "{counts:?}");
    counts
}

/// How many rows the tables of a tenant have.
async fn all_rows(connection: &DatabaseConnection) -> BTreeMap<&'static str, i64> {
    let mut counts = BTreeMap::new();
    for table in FILLED.into_iter().chain(["copy_task", "feed_pruned", "replay", "stopping"]) {
        counts.insert(table, count(connection, table).await);
    }
    counts
}

/// Removes the rows of deleted tenants; returns in how many portions, and what was put off.
async fn pruned(store: &SqlStore, rows_max: u32) -> (usize, Vec<String>) {
    let (mut portions, mut put_off, mut from) = (0, Vec::new(), PrunePosition::default());
    loop {
        let step = store.prune_tenants(from, rows_max).await.unwrap();
        assert!(step.rows <= 3 * u64::from(rows_max), "{step:?}");
        portions += usize::from(step.rows > 0);
        put_off.extend(step.put_off);
        let Some(next) = step.next else { return (portions, put_off) };
        from = next;
    }
}

/// Removes the due deliveries of deleted tenants, to the end.
async fn stopped(world: &World) {
    loop {
        let stopping = world.store.webhooks_stopping(&[], 10).await.unwrap();
        if stopping.is_empty() {
            return;
        }
        world.write(stopping.into_iter().map(|webhook_id| Write::StopMore { webhook_id }).collect()).await;
    }
}

async fn every_row_goes_and_no_other(url: String) {
    let (store, world) = open(&url).await;
    let connection = Database::connect(&url).await.unwrap();
    let other = other(&world).await;
    fill(&other).await;
    let theirs = all_rows(&connection).await;
    fill(&world).await;
    for table in FILLED {
        let mine = count(&connection, table).await - theirs[table];
        assert!(mine > i64::from(PORTION), "{mine} rows of {table}");
    }
    world.write(vec![Write::DeleteTenant(world.tenant_id)]).await;
    stopped(&world).await;
    let (portions, put_off) = pruned(&store, PORTION).await;
    assert_eq!(put_off, Vec::<String>::new());
    assert!(portions > 30, "{portions}");
    for (table, rows) in rows_of(&connection, world.tenant_id).await {
        assert_eq!(rows, 0, "{table}");
    }
    assert_eq!(count(&connection, "tenant").await, 1);
    assert_eq!(all_rows(&connection).await, theirs);
    assert!(store.tenant(OTHER).await.unwrap().is_some());
    connection.close().await.unwrap();
    store.close().await.unwrap();
}

async fn what_is_due_goes_in_parts(url: String) {
    let (store, world) = open(&url).await;
    let connection = Database::connect(&url).await.unwrap();
    let webhook = world.webhook_with_query().await;
    record(&world, REMOVED_WITH_BODIES_MAX as usize + 1).await;
    let claimed = world.claim_at(sample::now(), 1, 10).await.remove(0);
    world.freeze(&claimed, "{}").await;
    world.write(vec![Write::DeleteTenant(world.tenant_id)]).await;
    assert_eq!(store.webhooks_stopping(&[], 10).await.unwrap(), [webhook.id]);

    let (_, put_off) = pruned(&store, 500).await;
    assert_eq!(put_off.len(), 1, "the tenant stays: {put_off:?}");
    assert_eq!(count(&connection, "event").await, 0);
    let refused = world.try_write(vec![token(&world, [1; 32])]).await;
    assert!(matches!(refused, Err(CommitError::Refused(_))), "{refused:?}");
    let late = sample::webhook(world.id(), world.tenant_id);
    let refused = world.try_write(vec![Write::PutWebhook { webhook: late, expected: Expected::Absent }]).await;
    assert!(matches!(refused, Err(CommitError::Refused(_))), "{refused:?}");

    let stop = || vec![Write::StopMore { webhook_id: webhook.id }];
    world.write(stop()).await;
    assert_eq!(count(&connection, "due").await, 1);
    assert_eq!(store.webhooks_stopping(&[], 10).await.unwrap(), [webhook.id]);
    world.write(stop()).await;
    assert_eq!(store.webhooks_stopping(&[], 10).await.unwrap(), []);
    for table in ["due", "payload", "delivery", "feed"] {
        assert_eq!(count(&connection, table).await, 0, "{table}");
    }
    assert_eq!(world.settle(&claimed, DeliveryState::Delivered).await, Fenced::LeaseLost);
    assert_eq!(pruned(&store, 500).await, (2, Vec::new()), "the webhook, and the tenant");
    assert_eq!(count(&connection, "tenant").await, 0);
    connection.close().await.unwrap();
    store.close().await.unwrap();
}

/// Attempts, and deliveries with their payloads, may each have a MiB, so a portion of them is smaller than the caller
/// allows.
async fn what_may_be_large_goes_in_smaller_portions(url: String) {
    let (store, world) = open(&url).await;
    let connection = Database::connect(&url).await.unwrap();
    world.webhook_with_query().await;
    let at_once = REMOVED_WITH_BODIES_MAX as usize;
    record(&world, at_once + 1).await;
    let mut ended = 0;
    while ended <= at_once {
        for claimed in world.claim().await {
            world.freeze(&claimed, "{}").await;
            world.settle(&claimed, DeliveryState::Delivered).await;
            ended += 1;
        }
    }
    world.write(vec![Write::DeleteTenant(world.tenant_id)]).await;
    stopped(&world).await;
    let mut from = PrunePosition::default();
    for (table, left) in [("attempt", 1), ("attempt", 0), ("payload", 1), ("payload", 0)] {
        let step = store.prune_tenants(from, 1_000).await.unwrap();
        assert_eq!(count(&connection, table).await, left, "{table}: {step:?}");
        from = step.next.unwrap();
    }
    assert_eq!(pruned(&store, 1_000).await.1, Vec::<String>::new());
    assert_eq!(count(&connection, "tenant").await, 0);
    connection.close().await.unwrap();
    store.close().await.unwrap();
}

/// A claim that comes before the removal writes no history and no feed entry either.
async fn a_claim_drops_what_is_due_of_a_deleted_tenant(url: String) {
    let (store, world) = open(&url).await;
    let connection = Database::connect(&url).await.unwrap();
    world.webhook_with_query().await;
    record(&world, 3).await;
    let claimed = world.claim_at(sample::now(), 1, 10).await.remove(0);
    world.freeze(&claimed, "{}").await;
    world.write(vec![Write::DeleteTenant(world.tenant_id)]).await;
    let fed = count(&connection, "feed").await;
    // The lease has ended by then.
    let later = plus_ms(sample::now(), 600_000);
    assert!(world.claim_at(later, 10, 10).await.is_empty());
    for table in ["due", "payload", "delivery"] {
        assert_eq!(count(&connection, table).await, 0, "{table}");
    }
    assert_eq!(count(&connection, "feed").await, fed);
    connection.close().await.unwrap();
    store.close().await.unwrap();
}

/// Webhooks of tenants that live come first, however long the others wait.
async fn webhooks_of_live_tenants_stop_first(url: String) {
    let (store, world) = open(&url).await;
    let other = other(&world).await;
    let gone = world.webhook().await;
    record(&world, 1).await;
    let live = other.webhook().await;
    world.write(vec![Write::DeleteTenant(world.tenant_id)]).await;
    let mut later = Change::at(plus_ms(sample::now(), 1_000));
    later.writes.push(Write::CancelDue { webhook_id: live.id, reason: "its webhook was switched off".to_owned() });
    world.store.commit(later).await.unwrap();
    assert_eq!(store.webhooks_stopping(&[], 10).await.unwrap(), [live.id, gone.id]);
    store.close().await.unwrap();
}

async fn one_that_fails_keeps_no_other_from_its_turn(url: String) {
    let (store, world) = open(&url).await;
    let connection = Database::connect(&url).await.unwrap();
    let other = other(&world).await;
    for world in [&world, &other] {
        world.write(vec![world.put_record("o1", 1, Expected::Absent)]).await;
        world.write(vec![Write::DeleteTenant(world.tenant_id)]).await;
    }
    let theirs = literal(&connection, OTHER.0);
    let (refuse, relent) = match connection.get_database_backend() {
        DbBackend::Postgres => (
            format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$; \
                 CREATE TRIGGER refuse BEFORE DELETE ON record FOR EACH ROW WHEN (old.tenant_id = {theirs}) \
                 EXECUTE FUNCTION refuse()"
            ),
            "DROP TRIGGER refuse ON record",
        ),
        _ => (
            format!(
                "CREATE TRIGGER refuse BEFORE DELETE ON record WHEN old.tenant_id = {theirs} \
                 BEGIN SELECT RAISE(ABORT, 'refused'); END"
            ),
            "DROP TRIGGER refuse",
        ),
    };
    run(&url, &refuse).await;
    let (_, put_off) = pruned(&store, PORTION).await;
    assert!(put_off.len() == 1 && put_off[0].contains(&OTHER.to_string()), "{put_off:?}");
    assert_eq!(count(&connection, "tenant").await, 1, "the failing one comes first, and stays");
    run(&url, relent).await;
    assert_eq!(pruned(&store, PORTION).await.1, Vec::<String>::new());
    assert_eq!(count(&connection, "tenant").await, 0);
    connection.close().await.unwrap();
    store.close().await.unwrap();
}

on_both_databases! {
    every_row_goes_and_no_other: every_row_goes_and_no_other_on_sqlite, every_row_goes_and_no_other_on_postgresql;
    what_is_due_goes_in_parts: what_is_due_goes_in_parts_on_sqlite, what_is_due_goes_in_parts_on_postgresql;
    what_may_be_large_goes_in_smaller_portions:
        what_may_be_large_goes_in_smaller_portions_on_sqlite, what_may_be_large_goes_in_smaller_portions_on_postgresql;
    a_claim_drops_what_is_due_of_a_deleted_tenant:
        a_claim_drops_what_is_due_of_a_deleted_tenant_on_sqlite,
        a_claim_drops_what_is_due_of_a_deleted_tenant_on_postgresql;
    webhooks_of_live_tenants_stop_first:
        webhooks_of_live_tenants_stop_first_on_sqlite, webhooks_of_live_tenants_stop_first_on_postgresql;
    one_that_fails_keeps_no_other_from_its_turn:
        one_that_fails_keeps_no_other_from_its_turn_on_sqlite,
        one_that_fails_keeps_no_other_from_its_turn_on_postgresql;
}
