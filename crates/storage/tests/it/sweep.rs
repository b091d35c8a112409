//! The sweep of PostgreSQL's queue: what it frees, what keeps it from sweeping, and what the planner knows after it.

use hookgraph_storage::limits::{PLANNED_ROWS_MIN, QUEUE_DEAD_ROWS_MIN};
use hookgraph_storage::{SqlStore, StoreOptions, Sweep};
use hookgraph_testkit::conformance::World;
use hookgraph_testkit::postgres::with_postgres;
use hookgraph_testkit::{PlainVault, sample};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement, TransactionTrait};
use std::sync::Arc;

const AND_DELIVER_THEM: &str = "DELETE FROM due WHERE id IN (SELECT id FROM more)";

/// A queue of one delivery, without autovacuum.
struct Queue {
    url: String,
    store: SqlStore,
    world: World,
    connection: DatabaseConnection,
}

async fn open(url: &str) -> SqlStore {
    SqlStore::open(StoreOptions::new(url, Arc::new(PlainVault))).await.unwrap()
}

async fn on_a_queue(test: impl AsyncFnOnce(&Queue)) {
    with_postgres(async |url: String| {
        let store = open(&url).await;
        store.migrate().await.unwrap();
        let world = World::new(Arc::new(store.clone())).await;
        world.webhook().await;
        world.event().await;
        let mut options = ConnectOptions::new(&url);
        options.max_connections(1);
        let connection = Database::connect(options).await.unwrap();
        connection.execute_unprepared("ALTER TABLE due SET (autovacuum_enabled = false)").await.unwrap();
        let queue = Queue { url, store, world, connection };
        test(&queue).await;
        queue.connection.close().await.unwrap();
        queue.store.close().await.unwrap();
    })
    .await;
}

impl Queue {
    /// Adds `count` copies of the delivery, and brings PostgreSQL's statistics up to date at once.
    async fn add(&self, count: i64, then: &str) {
        let add = format!(
            "CREATE TEMP TABLE more AS
            SELECT due.* FROM (SELECT * FROM due LIMIT 1) AS due, generate_series(1, {count});
             UPDATE more SET id = gen_random_uuid();
             INSERT INTO due SELECT * FROM more"
        );
        // Each in a transaction of its own, as they come.
        for sql in [&add, then, "DROP TABLE more", "SELECT pg_stat_force_next_flush()"] {
            self.connection.execute_unprepared(sql).await.unwrap();
        }
    }

    async fn sweep(&self) -> Sweep {
        self.store.sweep_queue().await.unwrap()
    }

    /// The numbers of dead rows before a sweep and after it.
    async fn dead(&self) -> (i64, i64) {
        let sweep = self.sweep().await;
        let Sweep::Swept { dead_before, dead_after } = sweep else { panic!("{sweep:?}") };
        (dead_before, dead_after)
    }

    async fn number(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        self.connection.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    }
}

#[tokio::test]
async fn the_queue_is_swept_of_what_was_delivered() {
    on_a_queue(async |queue| {
        assert!(matches!(queue.sweep().await, Sweep::NotNeeded));
        queue.add(QUEUE_DEAD_ROWS_MIN, AND_DELIVER_THEM).await;
        let (before, after) = queue.dead().await;
        assert!(before >= QUEUE_DEAD_ROWS_MIN && after < QUEUE_DEAD_ROWS_MIN / 2, "{before}, {after}");
        assert!(matches!(queue.sweep().await, Sweep::NotNeeded), "there is nothing left to sweep");
        assert_eq!(queue.world.claim_at(sample::now(), 10, 10).await.len(), 1);
    })
    .await;
}

/// A vacuum by itself reads only the pages where something died, and guesses the rest from them.
#[tokio::test]
async fn what_is_swept_is_analysed() {
    on_a_queue(async |queue| {
        queue.add(QUEUE_DEAD_ROWS_MIN, AND_DELIVER_THEM).await;
        assert_eq!(queue.number("SELECT pg_stat_get_analyze_count('due'::regclass)").await, 0);
        queue.dead().await;
        assert_eq!(queue.number("SELECT pg_stat_get_analyze_count('due'::regclass)").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_sweep_says_what_an_open_transaction_keeps_it_from() {
    on_a_queue(async |queue| {
        let other = Database::connect(&queue.url).await.unwrap();
        let open = other.begin().await.unwrap();
        open.execute_unprepared("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM due").await.unwrap();
        queue.add(QUEUE_DEAD_ROWS_MIN, AND_DELIVER_THEM).await;
        let (before, after) = queue.dead().await;
        assert!(after >= before.min(QUEUE_DEAD_ROWS_MIN), "{before}, {after}");
        open.rollback().await.unwrap();
        let (_, after) = queue.dead().await;
        assert!(after < QUEUE_DEAD_ROWS_MIN / 2, "{after}");
        other.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_outgrew_its_plans_is_analysed() {
    on_a_queue(async |queue| {
        queue.add(PLANNED_ROWS_MIN, "").await;
        let other = Database::connect(&queue.url).await.unwrap();
        let at_it = other.begin().await.unwrap();
        at_it.execute_unprepared("LOCK TABLE due IN SHARE UPDATE EXCLUSIVE MODE").await.unwrap();
        assert!(matches!(queue.sweep().await, Sweep::PassedOver));
        at_it.rollback().await.unwrap();
        other.close().await.unwrap();
        assert!(matches!(queue.sweep().await, Sweep::Analysed));
        let counted = "SELECT reltuples::bigint FROM pg_class WHERE oid = 'due'::regclass";
        assert_eq!(queue.number(counted).await, PLANNED_ROWS_MIN + 1);
        assert!(matches!(queue.sweep().await, Sweep::NotNeeded), "it is known now");
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_is_another_role_s_is_left_to_it() {
    on_a_queue(async |queue| {
        queue.add(QUEUE_DEAD_ROWS_MIN, AND_DELIVER_THEM).await;
        // A role that every PostgreSQL has, and that owns nothing.
        let mark = if queue.url.contains('?') { '&' } else { '?' };
        let stranger = open(&format!("{}{mark}options=-c%20role%3Dpg_monitor", queue.url)).await;
        assert!(matches!(stranger.sweep_queue().await.unwrap(), Sweep::NotNeeded));
        stranger.close().await.unwrap();
        queue.dead().await;
    })
    .await;
}
