//! Cases that only PostgreSQL has: partitions, a server that may be away, and few connections.

use hookgraph_domain::change::{Change, CommitError, Expected, Write};
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::ids::{EventId, TenantId, WebhookId};
use hookgraph_domain::ports::{
    ClaimRequest, DeliveryQueue, Entropy, Fenced, History, PrunePosition, Retention, UnitOfWork,
};
use hookgraph_domain::retention::{HistoryCut, RetentionRules, lowest_id};
use hookgraph_domain::settle::{NextState, Settlement};
use hookgraph_domain::time::plus_ms;
use hookgraph_storage::limits::{DAY_BYTES_MOVED_MAX, DAY_CUT_OFF_MS, DAY_ROWS_MOVED_MAX};
use hookgraph_storage::{SqlStore, StoreOptions};
use hookgraph_testkit::postgres::with_postgres;
use hookgraph_testkit::{PlainVault, SeededEntropy, sample};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement, TransactionTrait};
use std::sync::Arc;
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const CONNECTIONS_MAX: u32 = 8;

fn options(url: &str) -> StoreOptions {
    let mut options = StoreOptions::new(url, Arc::new(PlainVault));
    options.postgres_connections_max = CONNECTIONS_MAX;
    options
}

async fn store(url: &str) -> SqlStore {
    let store = SqlStore::open(options(url)).await.unwrap();
    store.migrate().await.unwrap();
    let mut change = Change::at(sample::now());
    change.writes.push(Write::InsertTenant(sample::tenant(TENANT, "acme")));
    let webhook = sample::webhook(WebhookId(Uuid::from_u128(2)), TENANT);
    change.writes.push(Write::PutWebhook { webhook, expected: Expected::Absent });
    store.commit(change).await.unwrap();
    store
}

async fn number(connection: &DatabaseConnection, sql: &str) -> i64 {
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

fn request(limit: u32) -> ClaimRequest {
    let now = sample::now();
    ClaimRequest {
        now,
        leased_until: plus_ms(now, 60_000),
        limit,
        in_flight_per_webhook_max: limit,
        limits: Vec::new(),
        limit_per_webhook: limit,
        retries_max: limit,
    }
}

async fn record(store: &SqlStore, id: Uuid) {
    let mut change = Change::at(sample::now());
    change.events.push(sample::event(EventId(id), TENANT, "o1"));
    store.commit(change).await.unwrap();
}

/// Records, claims and settles one delivery.
async fn road(store: &SqlStore, id: Uuid) {
    record(store, id).await;
    let claimed = store.claim(&request(10)).await.unwrap().deliveries.pop().unwrap();
    let settlement = Settlement {
        delivery_id: claimed.delivery.id,
        webhook_id: claimed.delivery.webhook_id,
        fencing_token: claimed.delivery.fencing_token,
        attempt: None,
        next: NextState { state: DeliveryState::Delivered, reason: None, due_at: None, attempts_spent: 1 },
        health: None,
        now: sample::now(),
    };
    assert_eq!(store.settle(&[settlement]).await.unwrap(), [Fenced::Done]);
}

#[tokio::test]
async fn a_day_gets_its_partitions_once_and_its_rows_go_there() {
    with_postgres(|url| async move {
        let store = store(&url).await;
        assert_eq!(store.ensure_partitions(sample::now(), 1).await.unwrap(), 12);
        assert_eq!(store.ensure_partitions(sample::now(), 1).await.unwrap(), 0);
        let id = SeededEntropy::new(3).uuid(sample::now());
        road(&store, id).await;
        let connection = Database::connect(url).await.unwrap();
        let count = |table: &str| format!("SELECT count(*) FROM {table}_{}", sample::now().format("%Y%m%d"));
        assert_eq!(number(&connection, &count("event")).await, 1);
        assert_eq!(number(&connection, &count("delivery")).await, 1);
        assert_eq!(number(&connection, "SELECT count(*) FROM event_rest").await, 0);
        connection.close().await.unwrap();
        store.close().await.unwrap();
    })
    .await;
}

/// Otherwise every claim would write a new entry into every index of the queue.
#[tokio::test]
async fn no_index_of_the_queue_knows_a_column_that_a_claim_changes() {
    with_postgres(|url| async move {
        let store = store(&url).await;
        let connection = Database::connect(url).await.unwrap();
        for column in [
            "state",
            "state_reason",
            "leased_until_us",
            "fencing_token",
            "updated_at_us",
            "payload_kind",
            "default_frozen_at_us",
        ] {
            let indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'due'";
            assert!(number(&connection, indexes).await > 1);
            let asking = format!("{indexes} AND indexdef ~ '\\m{column}\\M'");
            assert_eq!(number(&connection, &asking).await, 0, "{column}");
        }
        connection.close().await.unwrap();
        store.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_day_with_rows_in_the_default_partition_stays_there() {
    with_postgres(|url| async move {
        let store = store(&url).await;
        let id = SeededEntropy::new(3).uuid(sample::now());
        record(&store, id).await;
        assert_eq!(store.ensure_partitions(sample::now(), 0).await.unwrap(), 5, "all but the events'");
        assert_eq!(store.events(TENANT, &[EventId(id)]).await.unwrap().len(), 1);
        store.close().await.unwrap();
    })
    .await;
}

/// The cut `days` days later, with history kept for thirty days.
fn cut(days: u64) -> HistoryCut {
    let rules =
        RetentionRules { history_days: 30, history_bytes_max: None, feed_days: 7, due_days: 30, audit_days: 365 };
    HistoryCut::by_age(&rules, plus_ms(sample::now(), days * 24 * 3_600_000))
}

/// Takes all steps of a round; returns how many partitions were dropped, and the reasons of those put off.
async fn prune(store: &SqlStore, cut: &HistoryCut) -> (u64, Vec<String>) {
    let (mut partitions, mut put_off, mut from) = (0, Vec::new(), PrunePosition::default());
    loop {
        let step = store.prune_history(cut, from, 100).await.unwrap();
        partitions += step.partitions;
        put_off.extend(step.put_off);
        match step.next {
            Some(next) => from = next,
            None => return (partitions, put_off),
        }
    }
}

#[tokio::test]
async fn an_old_day_is_dropped_and_what_is_owed_moves_to_the_rest() {
    with_postgres(|url| async move {
        let store = store(&url).await;
        store.ensure_partitions(sample::now(), 0).await.unwrap();
        let entropy = SeededEntropy::new(3);
        for _ in 0..3 {
            road(&store, entropy.uuid(sample::now())).await;
        }
        let owed = entropy.uuid(sample::now());
        record(&store, owed).await;
        assert_eq!(prune(&store, &cut(30)).await, (0, vec![]), "the day is kept still");
        assert_eq!(prune(&store, &cut(31)).await, (6, vec![]));
        let connection = Database::connect(url).await.unwrap();
        let left = "SELECT count(*) FROM pg_class WHERE relname LIKE '%_2023%' AND relkind = 'r'";
        assert_eq!(number(&connection, left).await, 0);
        assert_eq!(number(&connection, "SELECT count(*) FROM event_rest").await, 1);
        assert_eq!(number(&connection, "SELECT count(*) FROM delivery").await, 0);
        assert_eq!(store.claim(&request(10)).await.unwrap().deliveries[0].event.id, EventId(owed));
        connection.close().await.unwrap();
        store.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_day_that_someone_reads_is_left_to_a_later_round() {
    with_postgres(|url| async move {
        let store = store(&url).await;
        store.ensure_partitions(sample::now(), 0).await.unwrap();
        let outside = Database::connect(&url).await.unwrap();
        let reader = outside.begin().await.unwrap();
        reader.execute_unprepared("SELECT count(*) FROM delivery").await.unwrap();
        let (partitions, put_off) = prune(&store, &cut(31)).await;
        assert_eq!((partitions, put_off.len()), (0, 6), "what follows from it stays too: {put_off:?}");
        assert!(put_off[0].contains("is in use"), "{put_off:?}");
        reader.rollback().await.unwrap();
        assert_eq!(prune(&store, &cut(31)).await.0, 6);
        outside.close().await.unwrap();
        store.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_day_of_which_much_is_owed_stays_as_it_is() {
    with_postgres(|url| async move {
        let store = store(&url).await;
        store.ensure_partitions(sample::now(), 0).await.unwrap();
        let outside = Database::connect(&url).await.unwrap();
        let owed = format!(
            "INSERT INTO due (id, tenant_id, webhook_id, event_id, is_test, is_fan_out, state, due_at_us, \
             due_since_us, attempts_spent, attempt_count, fencing_token, cancel_requested, payload_kind, \
             created_at_us, updated_at_us) \
             SELECT low, low, low, low, FALSE, TRUE, 'PENDING', 0, 0, 0, 0, 0, FALSE, 'NONE', 0, 0 FROM (\
             SELECT (left('{}', 24) || lpad(n::text, 12, '0'))::uuid AS low \
             FROM generate_series(0, {DAY_ROWS_MOVED_MAX}) AS n)",
            lowest_id(sample::now())
        );
        outside.execute_unprepared(&format!("{owed} AS many")).await.unwrap();
        let (partitions, put_off) = prune(&store, &cut(31)).await;
        assert_eq!((partitions, put_off.len()), (0, 6), "{put_off:?}");
        assert!(put_off[0].contains("are still needed"), "{put_off:?}");
        outside.close().await.unwrap();
        store.close().await.unwrap();
    })
    .await;
}

/// Partitions of days, by name.
async fn day_partitions(connection: &DatabaseConnection) -> Vec<String> {
    let sql = "SELECT child.relname::text FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid \
               WHERE child.relkind = 'r' AND child.relname ~ '_[0-9]{8}$' ORDER BY 1";
    let rows = connection.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// Inserts `count` attempts of the only due delivery.
async fn attempts(connection: &DatabaseConnection, count: usize, body_bytes: i64) {
    let sql = format!(
        "INSERT INTO attempt (webhook_id, id, delivery_id, number, code, request_body, response_truncated, \
         started_at_us, ended_at_us) \
         SELECT webhook_id, (left('{}', 24) || lpad(n::text, 12, '0'))::uuid, id, n, 'HTTP_STATUS', \
         repeat('x', {body_bytes}), FALSE, 0, 0 FROM due, generate_series(1, {count}) AS n",
        lowest_id(sample::now())
    );
    connection.execute_unprepared(&sql).await.unwrap();
}

/// Few deliveries may have many attempts, and attempts large bodies.
#[tokio::test]
async fn a_day_too_heavy_to_move_stays_alone_and_goes_once_it_is_lighter() {
    with_postgres(|url| async move {
        let store = store(&url).await;
        store.ensure_partitions(sample::now(), 1).await.unwrap();
        let outside = Database::connect(&url).await.unwrap();
        record(&store, SeededEntropy::new(3).uuid(sample::now())).await;
        let heavy = format!("attempt_{}", sample::now().format("%Y%m%d"));
        // On every partition, because equal bytes would be compressed.
        outside.execute_unprepared("ALTER TABLE attempt ALTER COLUMN request_body SET STORAGE EXTERNAL").await.unwrap();

        attempts(&outside, DAY_ROWS_MOVED_MAX + 1, 1).await;
        let (partitions, put_off) = prune(&store, &cut(32)).await;
        assert_eq!(partitions, 11, "both days but for that: {put_off:?}");
        assert_eq!(put_off, [format!("more than {DAY_ROWS_MOVED_MAX} rows of {heavy} are still needed")]);
        assert_eq!(day_partitions(&outside).await, [heavy.as_str()]);

        outside.execute_unprepared("DELETE FROM attempt").await.unwrap();
        attempts(&outside, 5, DAY_BYTES_MOVED_MAX / 4).await;
        let (partitions, put_off) = prune(&store, &cut(32)).await;
        assert_eq!(partitions, 0);
        assert_eq!(put_off, [format!("more than {DAY_BYTES_MOVED_MAX} bytes of {heavy} are still needed")]);

        outside.execute_unprepared("DELETE FROM attempt WHERE number > 1").await.unwrap();
        assert_eq!(prune(&store, &cut(32)).await, (1, vec![]));
        assert!(day_partitions(&outside).await.is_empty());
        assert_eq!(number(&outside, "SELECT count(*) FROM attempt_rest").await, 1, "what is owed keeps its attempt");
        outside.close().await.unwrap();
        store.close().await.unwrap();
    })
    .await;
}

/// The statement fails as one that ran for too long.
#[tokio::test]
async fn a_day_whose_move_is_cut_off_is_left_alone_for_a_while() {
    with_postgres(|url| async move {
        let store = store(&url).await;
        store.ensure_partitions(sample::now(), 1).await.unwrap();
        let outside = Database::connect(&url).await.unwrap();
        let entropy = SeededEntropy::new(3);
        record(&store, entropy.uuid(sample::now())).await;
        let cut_off = "CREATE FUNCTION cut_off() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN \
                       RAISE EXCEPTION 'cut off' USING ERRCODE = 'query_canceled'; END $$; \
                       CREATE TRIGGER cut_off BEFORE INSERT ON event_rest FOR EACH ROW EXECUTE FUNCTION cut_off()";
        outside.execute_unprepared(cut_off).await.unwrap();
        let (partitions, put_off) = prune(&store, &cut(32)).await;
        assert_eq!((partitions, put_off.len()), (9, 3), "it and what follows from it stay: {put_off:?}");
        assert!(put_off[0].contains("took too long"), "{put_off:?}");
        let day = sample::now().format("%Y%m%d");
        let stay = ["event", "event_skip", "tombstone"].map(|table| format!("{table}_{day}"));
        assert_eq!(day_partitions(&outside).await, stay);
        assert_eq!(number(&outside, "SELECT count(*) FROM event").await, 1, "what it began is undone");

        outside.execute_unprepared("DROP TRIGGER cut_off ON event_rest").await.unwrap();
        assert_eq!(prune(&store, &cut(32)).await, (0, put_off.clone()), "it is not tried");
        let another = SqlStore::open(options(&url)).await.unwrap();
        assert_eq!(prune(&another, &cut(32)).await, (0, put_off), "nor by another process");
        another.close().await.unwrap();
        let mut later = cut(32);
        later.ended_before = plus_ms(later.ended_before, DAY_CUT_OFF_MS as u64);
        assert_eq!(prune(&store, &later).await, (3, vec![]));
        assert_eq!(number(&outside, "SELECT count(*) FROM event_rest").await, 1);
        outside.close().await.unwrap();
        store.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn one_process_at_a_time_takes_steps() {
    with_postgres(|url| async move {
        let store = store(&url).await;
        store.ensure_partitions(sample::now(), 0).await.unwrap();
        let outside = Database::connect(&url).await.unwrap();
        let another = outside.begin().await.unwrap();
        let lock = format!("SELECT pg_advisory_xact_lock({})", 0x686f_6f6b_0004_i64);
        another.execute_unprepared(&lock).await.unwrap();
        assert_eq!(prune(&store, &cut(31)).await.0, 0);
        let of_tenants = store.prune_tenants(PrunePosition::default(), 100).await.unwrap();
        assert_eq!((of_tenants.is_others, of_tenants.next), (true, None));
        another.rollback().await.unwrap();
        assert_eq!(prune(&store, &cut(31)).await.0, 6);
        assert!(!store.prune_tenants(PrunePosition::default(), 100).await.unwrap().is_others);
        outside.close().await.unwrap();
        store.close().await.unwrap();
    })
    .await;
}

/// The webhook keeps its turn, and no failure is logged.
#[tokio::test]
async fn a_batch_of_what_stops_that_someone_holds_is_a_conflict() {
    with_postgres(|url| async move {
        let store = store(&url).await;
        record(&store, SeededEntropy::new(3).uuid(sample::now())).await;
        let webhook_id = WebhookId(Uuid::from_u128(2));
        let change = |write| Change { writes: vec![write], ..Change::at(sample::now()) };
        store.commit(change(Write::DeleteTenant(TENANT))).await.unwrap();
        let outside = Database::connect(&url).await.unwrap();
        let holder = outside.begin().await.unwrap();
        holder.execute_unprepared("SELECT 1 FROM webhook FOR UPDATE").await.unwrap();
        let held = store.commit(change(Write::StopMore { webhook_id })).await;
        assert!(matches!(held, Err(CommitError::Conflict(_))), "{held:?}");
        holder.rollback().await.unwrap();
        store.commit(change(Write::StopMore { webhook_id })).await.unwrap();
        assert_eq!(number(&outside, "SELECT count(*) FROM due").await, 0);
        outside.close().await.unwrap();
        store.close().await.unwrap();
    })
    .await;
}

/// The webhook holds, and is removed with its deleted tenant while an event of it is recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_held_for_a_webhook_that_has_just_gone() {
    with_postgres(|url| async move {
        let store = store(&url).await;
        let outside = Database::connect(&url).await.unwrap();
        outside.execute_unprepared("UPDATE webhook SET status = 'PAUSED'").await.unwrap();
        let sweep = outside.begin().await.unwrap();
        sweep.execute_unprepared("DELETE FROM webhook").await.unwrap();
        let recording = tokio::spawn({
            let store = store.clone();
            async move { record(&store, SeededEntropy::new(3).uuid(sample::now())).await }
        });
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        while number(&outside, waits).await == 0 && !recording.is_finished() {
            tokio::task::yield_now().await;
        }
        sweep.commit().await.unwrap();
        recording.await.unwrap();
        assert_eq!(number(&outside, "SELECT count(*) FROM event").await, 1);
        assert_eq!(number(&outside, "SELECT count(*) FROM due").await, 0);
        outside.close().await.unwrap();
        store.close().await.unwrap();
    })
    .await;
}

/// Another process begins the copy while the deletion is under way: neither of the two would find the copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_begun_while_its_source_is_deleted_is_refused() {
    with_postgres(|url| async move {
        let store = store(&url).await;
        let another = SqlStore::open(options(&url)).await.unwrap();
        let outside = Database::connect(&url).await.unwrap();
        let change = |write| Change { writes: vec![write], ..Change::at(sample::now()) };
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        // The row that the deletion marks last.
        let holder = outside.begin().await.unwrap();
        holder.execute_unprepared("SELECT 1 FROM webhook FOR UPDATE").await.unwrap();
        let deleting = tokio::spawn({
            let (store, delete) = (store.clone(), change(Write::DeleteTenant(TENANT)));
            async move { store.commit(delete).await }
        });
        while number(&outside, waits).await == 0 && !deleting.is_finished() {
            tokio::task::yield_now().await;
        }
        let task = sample::copy_task(Uuid::from_u128(9).into(), TENANT);
        let beginning = tokio::spawn({
            let (another, begin) = (another.clone(), change(Write::PutCopyTask { task, expected: Expected::Absent }));
            async move { another.commit(begin).await }
        });
        while number(&outside, waits).await < 2 && !beginning.is_finished() {
            tokio::task::yield_now().await;
        }
        holder.rollback().await.unwrap();
        deleting.await.unwrap().unwrap();
        let begun = beginning.await.unwrap();
        assert!(matches!(begun, Err(CommitError::Refused(_))), "{begun:?}");
        assert_eq!(number(&outside, "SELECT count(*) FROM copy_task").await, 0);
        outside.close().await.unwrap();
        another.close().await.unwrap();
        store.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_away_is_told_at_once() {
    let error = SqlStore::open(options("postgres://hookgraph@127.0.0.1:1/hookgraph")).await.unwrap_err();
    assert!(error.to_string().ends_with("cannot connect to 127.0.0.1:1: connection refused"), "{error}");
}

/// As many changes as there are connections wait for a row that another transaction has locked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_wait_leave_the_road_its_connections() {
    with_postgres(|url| async move {
        let store = store(&url).await;
        let outside = Database::connect(&url).await.unwrap();
        let holder = outside.begin().await.unwrap();
        holder.execute_unprepared("SELECT 1 FROM tenant FOR UPDATE").await.unwrap();
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS_MAX {
            let store = store.clone();
            waiting.spawn(async move {
                let mut change = Change::at(sample::now());
                let mut tenant = sample::tenant(TENANT, "acme");
                tenant.version = 2;
                change.writes.push(Write::UpdateTenant(tenant));
                let _ = store.commit(change).await;
            });
        }
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        while number(&outside, waits).await < i64::from(CONNECTIONS_MAX / 2) {
            tokio::task::yield_now().await;
        }
        road(&store, SeededEntropy::new(3).uuid(sample::now())).await;
        assert!(waiting.try_join_next().is_none(), "all of them wait still");
        holder.rollback().await.unwrap();
        waiting.join_all().await;
        outside.close().await.unwrap();
        store.close().await.unwrap();
    })
    .await;
}
